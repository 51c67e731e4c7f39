/* SPDX-License-Identifier: MIT */
/* Rules that an earlier one leaves nothing to: would catch a "shadowed" that is not, and one that
 * is not noticed. */

#include "tests/unit/rule-policy.h"

static void test_shadowed(void **state _unused_)
{
        static const struct {
                const char *wide, *narrow;
                bool shadowed;
        } cases[] = {
            {"deny any any", "allow tcp 80 exe=/a user=b", true},
            {"allow tcp 80", "allow tcp 80", true},
            {"allow tcp 80-90", "allow tcp 81,83-90", true},
            {"allow tcp 80-90", "allow tcp 81,91", false},
            {"allow tcp 80", "allow any 80", false},
            {"allow tcp any", "allow tcp ephemeral", true},
            {"allow tcp dynamic", "allow tcp ephemeral", false},
            {"allow tcp ephemeral", "allow tcp 40000", false},
            {"allow tcp 80 scope=any,private", "allow tcp 80 scope=any", true},
            {"allow tcp 80 scope=any", "allow tcp 80", false},
            {"allow tcp 80 address=10.0.0.0/8", "allow tcp 80 address=10.1.0.0/16", true},
            {"allow tcp 80 address=10.1.0.0/16", "allow tcp 80 address=10.0.0.0/8", false},
            {"allow tcp 80 address=10.0.0.0/16", "allow tcp 80 address=10.0.0.0/8", false},
            {"allow tcp 80 address=::/0", "allow tcp 80 address=0.0.0.0/0", false},
            {"allow tcp 80 exe=/usr/*", "allow tcp 80 exe=/usr/bin/a", true},
            {"allow tcp 80 exe=/usr/*", "allow tcp 80 exe=/opt/*", false},
            {"allow tcp 80 exe=*", "allow tcp 80 exe=/opt/*", true},
            {"allow tcp 80 exe=*", "allow tcp 80 exe=/tmp/a", false},
            {"allow tcp 80 exe=*", "allow tcp 80", false},
            {"allow tcp 80 user=root", "allow tcp 80 user=0", false},
            {"allow tcp 80 user=0", "allow tcp 80 user=root", false},
            {"allow tcp 80 user=0", "allow tcp 80 user=0 exe=/a", true},
            {"allow tcp 80 netns=*", "allow tcp 80", true},
            {"allow tcp 80", "allow tcp 80 netns=blue", false},
            {"allow tcp 80 netns=host", "allow tcp 80", true},
            {"allow tcp 80 owner=kernel", "allow tcp 80", false},
            {"allow tcp 80 until=@9", "allow tcp 80", false},
            {"allow tcp 80", "allow tcp 80 until=@9", true},
            {"allow tcp 80 unit=a[*].service", "allow tcp 80 unit=a[*].service", true},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                char text[512];
                _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;

                snprintf(text, sizeof text, "%s\n%s\n", cases[i].wide, cases[i].narrow);
                policy = policy_of(text);
                if (pw_policy_shadowed_by(policy, 1) != (cases[i].shadowed ? 0 : -1))
                        fail_msg("%s", text);
                assert_int_equal(pw_policy_shadowed_by(policy, 0), -1);
        }
}

/* Values that overlap in many ways, so that random rules and records meet often. */
static const char *const random_keys[] = {
    "",
    "",
    " exe=/a/b",
    " exe=/a/*",
    " exe=*",
    " exe=/tmp/*",
    " user=root",
    " user=0",
    " user=*",
    " scope=any",
    " scope=any,loopback",
    " address=0.0.0.0/0",
    " address=::/0",
    " address=127.0.0.0/8",
    " netns=*",
    " netns=blue",
    " netns=b*",
    " owner=kernel",
    " unit=a.service",
    " unit=*.service",
    " device=eth0",
    " device=e*",
    " until=@1800000001",
    " until=@1700000000",
};
static const char *const random_ports[] = {"any",   "80",        "80-90",   "81,85",
                                           "ssh",   "ephemeral", "dynamic", "ephemeral,80",
                                           "22,80", "well-known"};
static const char *const random_protocols[] = {"tcp", "udp", "any"};

#define PICK(array) ((array)[next_random(seed) % PW_ELEMENTS(array)])

static struct pw_policy *random_pair(uint64_t *seed)
{
        char text[1024] = "";
        size_t length = 0;

        for (int i = 0; i < 2; i++) {
                const char *a = PICK(random_keys), *b = PICK(random_keys);
                size_t key = strcspn(a, "=");

                if (i == 0 || strncmp(a, b, key) == 0)
                        b = ""; /* the first with one key: it should be the wide one */
                length += (size_t)snprintf(text + length, sizeof text - length, "allow %s %s%s%s\n",
                                           PICK(random_protocols), PICK(random_ports), a, b);
        }
        return policy_of(text);
}

static struct pw_record *random_record(uint64_t *seed)
{
        static const char *const exes[] = {"", "/a/b", "/a/c", "/tmp/x", "/z"};
        static const char *const addresses[] = {"*",         "::",  "0.0.0.0",
                                                "127.0.0.1", "::1", "8.8.8.8"};
        static const char *const users[] = {"root", "dev", "0"};
        static const char *const spaces[] = {NULL, "blue", "bert"};
        static const char *const units[] = {NULL, "a.service", "b.service", "b.scope"};
        static const char *const devices[] = {NULL, "eth0", "eth1"};
        static const uint16_t ports[] = {22, 80, 81, 85, 90, 40000, 60999, 65535};
        static const uint8_t protocols[] = {PW_TCP, PW_UDP, PW_UDPLITE};
        static const unsigned traits[] = {0, 0, PW_TRAIT_TEMPORARY, PW_TRAIT_KERNEL,
                                          PW_TRAIT_FOREIGN_ROOT};
        struct sample sample = {
            .exe = PICK(exes),
            .address = PICK(addresses),
            .user = PICK(users),
            .netns = PICK(spaces),
            .unit = PICK(units),
            .device = PICK(devices),
            .port = PICK(ports),
            .protocol = PICK(protocols),
            .traits = PICK(traits),
            .uid = next_random(seed) % 2 ? UINT32_MAX : 1000,
        };

        return sample_record(&sample);
}

/* "Shadowed" is a proof: no record may match the later rule and not the earlier one. */
static void test_shadowed_is_sound(void **state _unused_)
{
        uint64_t now[] = {NOW, 1600000000 * PW_USEC_PER_SEC}, seed_value = 1, *seed = &seed_value;
        size_t proven = 0, matched = 0;

        for (int i = 0; i < 20000; i++) {
                _cleanup_(pw_policy_freep) struct pw_policy *policy = random_pair(seed);

                if (pw_policy_shadowed_by(policy, 1) < 0)
                        continue;
                proven++;
                for (int j = 0; j < 50; j++) {
                        _cleanup_(pw_record_unrefp) struct pw_record *record = random_record(seed);

                        if (!pw_policy_rule_matches(policy, 1, record, now[j % 2]))
                                continue;
                        matched++;
                        if (!pw_policy_rule_matches(policy, 0, record, now[j % 2]))
                                fail_msg("%s, not %s", pw_policy_rule(policy, 1).text,
                                         pw_policy_rule(policy, 0).text);
                }
        }
        assert_true(proven > 100 && matched > 100); /* else this tested nothing */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_shadowed),
            cmocka_unit_test(test_shadowed_is_sound),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
