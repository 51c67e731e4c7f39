/* SPDX-License-Identifier: MIT */
/* Alerts: would catch a reason that a rule should have silenced, a repeated alert, one that is
 * never resolved, a noisy owner that hides another, and a count that is lost. */

#include "daemon/alert.h"

#include <portwatch/text.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DAY PW_USEC_PER_DAY
#define NOW (1000 * DAY)

static struct pw_record *make(const char *address, uint16_t port, uint32_t uid, const char *exe)
{
        struct pw_record *record = pw_record_new();

        assert_non_null(record);
        record->owner = pw_owner_new();
        record->owner->uid = uid;
        record->owner->user = strdup(uid == 0 ? "root" : "dev");
        record->owner->exe = exe ? strdup(exe) : NULL;
        assert_int_equal(pw_shared_set(&record->netns, PW_NETNS_HOST), 0);
        record->protocol = PW_TCP;
        record->port = port;
        assert_int_equal(pw_address_parse(address, &record->address), 0);
        assert_int_equal(pw_record_label(record, PW_EPHEMERAL_DEFAULT), 0);
        pw_record_identify(record);
        record->verdict = PW_UNEXPECTED;
        return record;
}

static void test_reasons(void **state)
{
        struct pw_record *record = make("*", 8080, 1000, "/usr/bin/python3");
        struct pw_surroundings none = {0};

        (void)state;
        assert_int_equal(pw_alert_reasons(record, none, false), PW_REASON_UNEXPECTED);
        record->owner->traits = PW_TRAIT_MEMFD;
        record->owner->unknown = PW_UNKNOWN_NO_HOLDER;
        assert_int_equal(pw_alert_reasons(record, (struct pw_surroundings){true, true}, false),
                         PW_REASON_UNEXPECTED | PW_REASON_SUSPICIOUS | PW_REASON_NO_OWNER |
                             PW_REASON_SCOPE_WIDENED | PW_REASON_SECOND_OWNER);
        assert_int_equal(pw_alert_reasons(record, none, true), 0); /* may be a client */

        record->verdict = PW_DENIED;
        assert_true(pw_alert_reasons(record, none, true) & PW_REASON_DENIED);
        record->verdict = PW_EXPECTED; /* an allow rule silences every reason */
        assert_int_equal(pw_alert_reasons(record, (struct pw_surroundings){true, true}, false), 0);
        record->verdict = PW_IGNORED;
        assert_int_equal(pw_alert_reasons(record, (struct pw_surroundings){true, true}, false), 0);

        /* The kernel's own sockets have no process, which is no mystery. */
        record->verdict = PW_UNEXPECTED;
        record->owner->traits = PW_TRAIT_KERNEL;
        assert_int_equal(pw_alert_reasons(record, none, false), PW_REASON_UNEXPECTED);
        pw_record_unref(record);
}

static void test_widening(void **state)
{
        struct pw_record *local = make("127.0.0.1", 6379, 110, "/usr/bin/redis-server");
        struct pw_record *wide = make("0.0.0.0", 6379, 110, "/usr/bin/redis-server");
        struct pw_record *other = make("0.0.0.0", 6379, 110, "/usr/bin/other");
        struct pw_record *group = make("239.1.1.1", 6379, 110, "/usr/bin/redis-server");

        (void)state;
        assert_false(pw_alert_widens(wide, local)); /* was not expected itself */
        local->verdict = PW_EXPECTED;
        assert_true(pw_alert_widens(wide, local));
        assert_false(pw_alert_widens(other, local));
        assert_false(pw_alert_widens(group, local));
        wide->verdict = PW_EXPECTED;
        assert_false(pw_alert_widens(local, wide)); /* narrower */
        pw_record_unref(local);
        pw_record_unref(wide);
        pw_record_unref(other);
        pw_record_unref(group);
}

/* Two that take random ports are in nobody's way. */
static void test_folded_are_no_rivals(void **state)
{
        struct pw_record *resolver = make("0.0.0.0", 0, 110, "/usr/sbin/unbound");
        struct pw_record *media = make("0.0.0.0", 0, 1000, "/usr/bin/media");
        struct pw_record *local = make("127.0.0.1", 0, 110, "/usr/sbin/unbound");

        (void)state;
        assert_false(pw_alert_rivals(resolver, media));
        local->verdict = PW_EXPECTED;
        assert_false(pw_alert_widens(resolver, local));
        pw_record_unref(resolver);
        pw_record_unref(media);
        pw_record_unref(local);
}

static void test_rivals(void **state)
{
        struct pw_record *nginx = make("0.0.0.0", 80, 0, "/usr/sbin/nginx");
        struct pw_record *front = make("127.0.0.1", 80, 1000, "/usr/bin/python3");
        struct pw_record *same = make("127.0.0.1", 80, 0, "/usr/sbin/nginx");
        struct pw_record *six = make("::1", 80, 1000, "/usr/bin/python3");
        struct pw_record *elsewhere = make("192.0.2.1", 80, 1000, "/usr/bin/python3");
        struct pw_record *elsewhere_root = make("192.0.2.1", 80, 0, "/usr/sbin/nginx");
        struct pw_record *mapped = make("::ffff:192.0.2.1", 80, 1000, "/usr/bin/python3");

        (void)state;
        assert_true(pw_alert_rivals(front, nginx));
        assert_true(pw_alert_rivals(nginx, front));
        assert_false(pw_alert_rivals(same, nginx));
        assert_false(pw_alert_rivals(six, nginx)); /* another family */
        assert_false(pw_alert_rivals(elsewhere, same));
        assert_true(pw_alert_rivals(mapped, elsewhere_root));
        assert_false(pw_alert_rivals(nginx, nginx));
        pw_record_unref(nginx);
        pw_record_unref(front);
        pw_record_unref(same);
        pw_record_unref(six);
        pw_record_unref(elsewhere);
        pw_record_unref(elsewhere_root);
        pw_record_unref(mapped);
}

static void test_life_of_an_alert(void **state)
{
        struct pw_record *record = make("*", 8080, 1000, "/usr/bin/python3");

        (void)state;
        assert_int_equal(pw_alert_step(record, 0, NOW, DAY), PW_ALERT_NOTHING);
        assert_int_equal(pw_alert_step(record, PW_REASON_UNEXPECTED, NOW, DAY), PW_ALERT_RAISE);
        record->alert_id = 17;
        record->reasons = PW_REASON_UNEXPECTED;
        record->raised_usec = NOW;
        assert_int_equal(pw_alert_step(record, PW_REASON_UNEXPECTED, NOW, DAY), PW_ALERT_NOTHING);
        assert_int_equal(pw_alert_step(record, PW_REASON_UNEXPECTED | PW_REASON_DENIED, NOW, DAY),
                         PW_ALERT_ESCALATE);
        record->reasons |= PW_REASON_NO_OWNER;
        assert_int_equal(pw_alert_step(record, PW_REASON_UNEXPECTED, NOW, DAY), PW_ALERT_UPDATE);
        record->reasons = PW_REASON_UNEXPECTED;
        assert_int_equal(pw_alert_step(record, 0, NOW, DAY), PW_ALERT_RESOLVE);

        record->resolved_usec = NOW;
        assert_int_equal(pw_alert_step(record, 0, NOW, DAY), PW_ALERT_NOTHING);
        assert_int_equal(pw_alert_step(record, PW_REASON_UNEXPECTED, NOW + DAY - 1, DAY),
                         PW_ALERT_REOPEN);
        assert_int_equal(pw_alert_step(record, PW_REASON_UNEXPECTED, NOW + DAY, DAY),
                         PW_ALERT_RAISE);
        assert_int_equal(pw_alert_step(record, PW_REASON_UNEXPECTED, NOW - DAY, DAY),
                         PW_ALERT_REOPEN); /* the clock was set back */
        assert_int_equal(pw_alert_step(record, PW_REASON_DENIED, NOW + 1, DAY), PW_ALERT_ESCALATE);
        pw_record_unref(record);
}

static void test_limit_is_for_each_owner(void **state)
{
        struct pw_record *noisy = make("*", 1, 1000, "/tmp/noisy");
        struct pw_record *quiet = make("*", 2, 1001, "/usr/bin/quiet");
        struct pw_record *last = NULL;
        struct pw_limit *limit;
        uint64_t over = 0;
        unsigned taken = 0;

        (void)state;
        assert_int_equal(pw_limit_new(10, PW_USEC_PER_MINUTE, &limit), 0);
        assert_int_equal(pw_limit_due(limit), PW_USEC_INFINITY);
        for (unsigned i = 0; i < 1000; i++)
                taken += pw_limit_take(limit, noisy, i);
        assert_int_equal(taken, 10);
        assert_true(pw_limit_take(limit, quiet, 1000));

        assert_int_equal(pw_limit_summary(limit, PW_USEC_PER_MINUTE - 1, &over, &last), 0);
        assert_int_equal(pw_limit_due(limit), PW_USEC_PER_MINUTE);
        assert_int_equal(pw_limit_summary(limit, PW_USEC_PER_MINUTE, &over, &last), 1);
        assert_int_equal(over, 990);
        assert_ptr_equal(last, noisy);
        pw_record_unref(last);
        assert_int_equal(pw_limit_summary(limit, 2 * PW_USEC_PER_MINUTE, &over, &last), 0);
        assert_int_equal(pw_limit_due(limit), PW_USEC_INFINITY);
        assert_true(pw_limit_take(limit, noisy, 2 * PW_USEC_PER_MINUTE));
        pw_limit_free(limit);
        pw_record_unref(noisy);
        pw_record_unref(quiet);
}

/* A user who makes a new executable for each port must not take memory without end, nor more than
 * its share. */
static void test_owners_without_end(void **state)
{
        struct pw_record *other;
        struct pw_record *last = NULL;
        struct pw_limit *limit;
        uint64_t over, sum = 0;
        unsigned taken = 0;

        (void)state;
        assert_int_equal(pw_limit_new(1, PW_USEC_PER_MINUTE, &limit), 0);
        for (unsigned i = 0; i < 10000; i++) {
                struct pw_record *record;
                char exe[32];

                snprintf(exe, sizeof exe, "/tmp/x%u", i);
                record = make("*", 1, 1000, exe);
                taken += pw_limit_take(limit, record, 1);
                pw_record_unref(record);
        }
        assert_int_equal(taken, 4096 + 1); /* beyond that, once for the user */
        other = make("*", 1, 1001, "/usr/bin/sshd");
        assert_true(pw_limit_take(limit, other, 1)); /* whom nobody has crowded out */
        pw_record_unref(other);
        while (pw_limit_summary(limit, 2 * PW_USEC_PER_MINUTE, &over, &last) > 0) {
                sum += over;
                pw_record_unref(last);
        }
        assert_int_equal(taken + sum, 10000); /* nothing is uncounted */
        pw_limit_free(limit);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_reasons),
            cmocka_unit_test(test_widening),
            cmocka_unit_test(test_rivals),
            cmocka_unit_test(test_folded_are_no_rivals),
            cmocka_unit_test(test_life_of_an_alert),
            cmocka_unit_test(test_limit_is_for_each_owner),
            cmocka_unit_test(test_owners_without_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
