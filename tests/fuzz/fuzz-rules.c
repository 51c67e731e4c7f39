/* SPDX-License-Identifier: MIT */
/* Rules files of any bytes. Beyond not crashing: a text is taken as a whole or not at all; a rule's
 * text read again is the same rule; a rule that is said to be shadowed never decides. */

#include "daemon/rule.h"

#define NOW (1800000000 * PW_USEC_PER_SEC)
#define COMPARED_MAX 64 /* rules; comparing is quadratic */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static struct pw_record *record_of(uint8_t protocol, uint16_t port, const char *address)
{
        struct pw_record *record = pw_record_new();

        record->protocol = protocol;
        record->port = port;
        pw_address_parse(address, &record->address);
        pw_shared_set(&record->netns, PW_NETNS_HOST);
        pw_record_label(record, PW_EPHEMERAL_DEFAULT);
        record->owner = pw_owner_new();
        record->owner->user = strdup("root");
        record->owner->exe = strdup("/usr/sbin/sshd");
        record->owner->unit = strdup("ssh.service");
        return record;
}

static void check_judging(const struct pw_policy *policy)
{
        static const struct {
                uint8_t protocol;
                uint16_t port;
                const char *address;
        } cases[] = {{PW_TCP, 22, "*"}, {PW_UDP, 53, "127.0.0.1"}, {PW_UDP, 40000, "10.0.0.1"}};

        for (size_t c = 0; c < PW_ELEMENTS(cases); c++) {
                _cleanup_(pw_record_unrefp) struct pw_record *record =
                    record_of(cases[c].protocol, cases[c].port, cases[c].address);
                struct pw_ruling ruling = pw_policy_judge(policy, record, NOW);

                for (size_t i = 0; i < pw_policy_count(policy); i++) {
                        struct pw_rule_info info = pw_policy_rule(policy, i);

                        if (!pw_policy_rule_matches(policy, i, record, NOW))
                                continue;
                        require(ruling.rule == info.place && ruling.verdict == info.verdict);
                        require(i >= COMPARED_MAX || pw_policy_shadowed_by(policy, i) < 0);
                        break;
                }
        }
}

static void check_text(const struct pw_policy *policy, size_t i)
{
        struct pw_rule_info info = pw_policy_rule(policy, i), again;
        struct pw_refusals refusals = {0};
        _cleanup_(pw_policy_freep) struct pw_policy *copy = NULL;

        require(pw_policy_new(&copy) == 0);
        require(pw_policy_parse(copy, "again", info.text, strlen(info.text), NULL, &refusals) == 0);
        require(pw_policy_count(copy) == 1);
        again = pw_policy_rule(copy, 0);
        require(strcmp(info.text, again.text) == 0 && info.verdict == again.verdict);
        require(pw_rule_covers(pw_policy_get(policy, i), pw_policy_get(copy, 0)));
        require(pw_rule_covers(pw_policy_get(copy, 0), pw_policy_get(policy, i)));
        pw_refusals_done(&refusals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct pw_refusals refusals = {0};
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        int r;

        require(pw_policy_new(&policy) == 0);
        r = pw_policy_parse(policy, "fuzz", (const char *)data, size, NULL, &refusals);
        require(r == (refusals.total > 0));
        require(r == 0 || pw_policy_count(policy) == 0);
        for (size_t i = 0; i < pw_policy_count(policy) && i < COMPARED_MAX; i++)
                check_text(policy, i);
        check_judging(policy);
        pw_refusals_done(&refusals);
        return 0;
}
