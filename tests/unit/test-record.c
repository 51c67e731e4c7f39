/* SPDX-License-Identifier: MIT */
/* Records: would catch a listener that is taken for a client and passed over in silence, a client
 * that is reported, a folded record that takes the labels of port 0, and an owner for whom a rule
 * is proposed that cannot be made. */

#include "tests/unit/rule-records.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct pw_record *make(uint8_t protocol, uint16_t port, enum pw_how how)
{
        struct pw_record *record = sample_record(
            &(struct sample){.protocol = protocol, .port = port, .folded = port == 0});

        record->opened_how = how;
        record->verdict = PW_UNEXPECTED;
        return record;
}

/* A port of the ephemeral range may be a client's, unless the kernel told that it was asked for. */
static void test_clients(void **state _unused_)
{
        static const struct {
                uint8_t protocol;
                uint16_t port;
                enum pw_how how;
                bool may_be_client;
        } cases[] = {
            {PW_UDP, 40000, PW_HOW_SEEN, true},
            {PW_UDP, 40000, PW_HOW_NONE, true}, /* a live look */
            {PW_UDP, 40000, PW_HOW_FIRST_LOOK, true},
            {PW_UDPLITE, 40000, PW_HOW_SEEN, true},
            {PW_UDP, 40000, PW_HOW_EVENT, false},
            {PW_UDPLITE, 40000, PW_HOW_EVENT, false},
            {PW_UDP, 53, PW_HOW_SEEN, false},
            {PW_UDP, 61000, PW_HOW_SEEN, false}, /* beyond the range */
            {PW_TCP, 40000, PW_HOW_SEEN, false},
            {PW_UDP, 0, PW_HOW_SEEN, false},
            {PW_UDP, 0, PW_HOW_EVENT, false},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_record *record = make(cases[i].protocol, cases[i].port, cases[i].how);

                if (pw_record_may_be_client(record) != cases[i].may_be_client)
                        fail_msg("case %zu", i);
                assert_int_equal(pw_record_is_unexpected(record), !cases[i].may_be_client);
                record->verdict = PW_DENIED; /* a deny rule means clients, too */
                assert_true(pw_record_is_unexpected(record));
                record->verdict = PW_EXPECTED;
                assert_false(pw_record_is_unexpected(record));
                record->verdict = PW_IGNORED;
                assert_false(pw_record_is_unexpected(record));
                pw_record_unref(record);
        }
}

static void test_folded(void **state _unused_)
{
        struct pw_record *folded = make(PW_UDP, 0, PW_HOW_EVENT);
        struct pw_record *lite = make(PW_UDPLITE, 0, PW_HOW_EVENT);
        struct pw_record *one = make(PW_UDP, 40000, PW_HOW_EVENT);

        assert_true(pw_record_is_folded(folded));
        assert_false(pw_record_is_folded(one));
        assert_int_equal(folded->range, PW_RANGE_DYNAMIC);
        /* Whatever the host's range is. */
        assert_int_equal(pw_record_label(folded, (struct pw_ports){50000, 50001}), 0);
        assert_true(folded->ephemeral);
        pw_record_identify(folded);
        pw_record_identify(lite);
        pw_record_identify(one);
        assert_string_not_equal(folded->listener_id, lite->listener_id);
        assert_string_not_equal(folded->listener_id, one->listener_id);
        pw_record_unref(folded);
        pw_record_unref(lite);
        pw_record_unref(one);
}

/* Why no rule can be made of an owner. */
static void test_obstacles(void **state _unused_)
{
        static const struct {
                struct sample sample;
                const char *why; /* a part of it; NULL: a rule can be made */
        } cases[] = {
            {{0}, NULL},
            {{.exe = "", .traits = PW_TRAIT_KERNEL, .unknown = PW_UNKNOWN_NO_HOLDER}, NULL},
            {{.traits = PW_TRAIT_FOREIGN_ROOT, .container = "docker:web"}, NULL},
            {{.traits = PW_TRAIT_FOREIGN_ROOT}, "not this host's file"},
            {{.traits = PW_TRAIT_FOREIGN_ROOT, .container = ""}, "not this host's file"},
            {{.traits = PW_TRAIT_MEMFD, .container = "docker:web"}, "in memory"},
            {{.traits = PW_TRAIT_TEMPORARY}, "anybody may write"},
            {{.unknown = PW_UNKNOWN_HIDDEN}, "not known"},
            {{.exe = ""}, "not known"},
            {{.exe = "server"}, "not known"},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_owner *owner = sample_owner(&cases[i].sample);
                const char *why = pw_owner_obstacle(owner);

                if (!cases[i].why != !why || (why && !strstr(why, cases[i].why)))
                        fail_msg("case %zu: %s", i, why ? why : "no obstacle");
                pw_owner_unref(owner);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_clients),
            cmocka_unit_test(test_folded),
            cmocka_unit_test(test_obstacles),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
