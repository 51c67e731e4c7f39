/* SPDX-License-Identifier: MIT */
/* The writer going on after a stop or a reboot: would catch an interval left open though its boot
 * is over or ended at a time that nobody saw, a listener or an alert that is not known again, and a
 * past without a limit. After each test the books must be right (assert_consistent). */

#include "tests/unit/store-fixture.h"

static void test_resume_same_boot(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *one = make_record(80, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *two = make_record(81, "a");
        struct pw_past past;
        const struct pw_record *open;

        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        assert_int_equal(past.open.n + past.recent.n + past.alerts.n, 0);
        assert_int_equal(past.heartbeat_usec, 0);
        assert_false(past.clean_stop);
        pw_past_done(&past);

        add_event(fixture, PW_EVENT_STARTED, T0, NULL);
        add(fixture, PW_WRITE_OPEN, one, T0);
        one->alert_id = 5;
        one->reasons = PW_REASON_UNEXPECTED;
        assert_int_equal(pw_shared_set(&one->former_rule, "/etc/rules.d/gone.rules:1"), 0);
        add(fixture, PW_WRITE_ALERT, one, T0);
        apply(fixture, T0);
        put_interval(fixture, two, T0, T0 + 10);
        apply(fixture, T0 + 50);
        close_store(fixture);
        open_store(fixture, 0);

        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, T0 + 10, 10, &past), 0);
        assert_false(past.clean_stop);
        assert_int_equal(past.heartbeat_usec, T0 + 50);
        assert_int_equal(past.last_alert_id, 5);
        assert_int_equal(past.open.n, 1);
        open = past.open.items[0];
        assert_string_equal(open->listener_id, one->listener_id);
        assert_int_equal(open->cookie, one->cookie);
        assert_int_equal(open->last_seen_usec, T0 + 50);
        assert_int_equal(open->closed_usec, 0);
        assert_int_equal(open->alert_id, 5);
        assert_string_equal(open->owner->user, "a");
        assert_int_equal(open->owner->pids[0], 4711);
        assert_int_equal(past.recent.n, 1);
        assert_string_equal(past.recent.items[0]->listener_id, two->listener_id);
        assert_int_equal(past.alerts.n, 1);
        assert_int_equal(past.alerts.items[0]->alert_id, 5);
        assert_string_equal(past.alerts.items[0]->former_rule, "/etc/rules.d/gone.rules:1");
        pw_past_done(&past);

        /* What ended before the time asked for is not recent. */
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, T0 + 11, 10, &past), 0);
        assert_int_equal(past.recent.n, 0);
        pw_past_done(&past);
}

/* A folded listener has no port; a daemon that goes on must know it again. */
static void test_resume_folded(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *folded = make_record(0, "a");
        struct pw_past past;

        folded->protocol = PW_UDPLITE;
        folded->opened_how = PW_HOW_EVENT;
        pw_record_identify(folded);
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        pw_past_done(&past);
        put(fixture, PW_WRITE_OPEN, folded, T0);
        folded->sockets = 99;
        put(fixture, PW_WRITE_REFRESH, folded, T0 + 5);
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        assert_int_equal(past.open.n, 1);
        assert_true(pw_record_is_folded(past.open.items[0]));
        assert_int_equal(past.open.items[0]->sockets, 99);
        assert_int_equal(past.open.items[0]->opened_how, PW_HOW_EVENT);
        assert_false(pw_record_may_be_client(past.open.items[0]));
        pw_record_identify(past.open.items[0]);
        assert_string_equal(past.open.items[0]->listener_id, folded->listener_id);
        pw_past_done(&past);
}

/* After a reboot, what was open ended when it was last seen; not later, not now. */
static void test_resume_other_boot(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *one = make_record(80, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *late = make_record(81, "a");
        struct pw_past past;

        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        pw_past_done(&past);
        late->opened_usec = T0 + 90; /* after the last heartbeat: the clock was set back */
        add(fixture, PW_WRITE_OPEN, one, T0);
        add(fixture, PW_WRITE_OPEN, late, T0);
        apply(fixture, T0 + 50);
        close_store(fixture);
        open_store(fixture, 0);

        assert_int_equal(pw_store_resume(fixture->store, BOOT_B, 0, 10, &past), 0);
        assert_int_equal(past.open.n, 0);
        assert_int_equal(past.recent.n, 2);
        assert_int_equal(past.recent.items[1]->closed_usec, T0 + 50);
        assert_int_equal(past.recent.items[1]->closed_how, PW_HOW_REBOOT);
        assert_int_equal(past.recent.items[0]->closed_usec, T0 + 90);
        assert_int_equal(n_events(fixture, PW_EVENT_CLOSED), 2);
        pw_past_done(&past);

        /* It opens again: belongs to this boot, and the same boot finds it open. */
        put(fixture, PW_WRITE_OPEN, one, T0 + 100);
        assert_int_equal(pw_store_resume(fixture->store, BOOT_B, 0, 10, &past), 0);
        assert_int_equal(past.open.n, 1);
        assert_int_equal(past.recent.n, 1);
        pw_past_done(&past);
}

static void test_clean_stop(void **state)
{
        struct fixture *fixture = *state;
        struct pw_past past;

        add_event(fixture, PW_EVENT_STOPPED, T0, NULL);
        apply(fixture, T0);
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        assert_true(past.clean_stop);
        pw_past_done(&past);
        add_event(fixture, PW_EVENT_STARTED, T0 + 1, NULL);
        apply(fixture, T0 + 1);
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        assert_false(past.clean_stop);
        pw_past_done(&past);
}

/* The limit holds for each list, and keeps the newest. */
static void test_resume_limit(void **state)
{
        struct fixture *fixture = *state;
        struct pw_past past;

        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        pw_past_done(&past);
        for (uint16_t port = 1; port <= 20; port++) {
                _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(port, "a");

                record->opened_usec = T0 + port;
                put(fixture, PW_WRITE_OPEN, record, T0 + port);
        }
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 3, &past), 0);
        assert_int_equal(past.open.n, 3);
        assert_int_equal(past.open.items[0]->port, 20);
        pw_past_done(&past);
        assert_int_equal(past.last_alert_id, 0); /* there never was one */
}

/* What is over is bounded, whatever the limit for what is open; open alerts are all kept. */
static void test_resume_closed_limit(void **state)
{
        struct fixture *fixture = *state;
        struct pw_past past;

        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        pw_past_done(&past);
        for (unsigned i = 1; i <= PW_PAST_CLOSED_MAX + 20; i++) {
                _cleanup_(pw_record_unrefp) struct pw_record *record =
                    make_record((uint16_t)i, "a");

                record->alert_id = i;
                record->reasons = PW_REASON_UNEXPECTED;
                record->raised_usec = T0;
                record->resolved_usec = record->closed_usec = T0 + i;
                add(fixture, PW_WRITE_OPEN, record, T0);
                add(fixture, PW_WRITE_ALERT, record, T0);
                add(fixture, PW_WRITE_CLOSE, record, T0 + i);
                if (i > 5)
                        add(fixture, PW_WRITE_RESOLVED, record, T0 + i);
                else
                        fixture->writes.items[fixture->writes.n - 2].record->resolved_usec = 0;
        }
        apply(fixture, T0 + 100000);
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 200000, &past), 0);
        assert_int_equal(past.recent.n, PW_PAST_CLOSED_MAX);
        assert_int_equal(past.recent.items[0]->port, PW_PAST_CLOSED_MAX + 20);
        assert_int_equal(past.alerts.n, PW_PAST_CLOSED_MAX + 5);
        assert_int_equal(past.alerts.items[0]->alert_id, PW_PAST_CLOSED_MAX + 20);
        assert_int_equal(past.alerts.items[past.alerts.n - 1]->alert_id, 1);
        /* All are one process's. */
        assert_ptr_equal(past.recent.items[0]->owner, past.alerts.items[7]->owner);
        pw_past_done(&past);
}

/* Rows of one process share its owner; no other rows do. */
static void test_resume_shares_owners(void **state)
{
        struct fixture *fixture = *state;
        struct pw_record *records[4];
        struct pw_past past;

        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        pw_past_done(&past);
        for (size_t i = 0; i < PW_ELEMENTS(records); i++) {
                records[i] = make_record((uint16_t)(80 + i), "a");
                records[i]->opened_usec = T0 + 10 - i;
        }
        records[2]->owner->started[0]++;
        records[3]->owner->unknown = PW_UNKNOWN_HIDDEN;
        for (size_t i = 0; i < PW_ELEMENTS(records); i++) {
                put(fixture, PW_WRITE_OPEN, records[i], T0);
                pw_record_unref(records[i]);
        }
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        assert_int_equal(past.open.n, 4);
        assert_ptr_equal(past.open.items[0]->owner, past.open.items[1]->owner);
        assert_ptr_not_equal(past.open.items[0]->owner, past.open.items[2]->owner);
        assert_ptr_not_equal(past.open.items[0]->owner, past.open.items[3]->owner);
        assert_ptr_not_equal(past.open.items[2]->owner, past.open.items[3]->owner);
        assert_int_equal(past.open.items[3]->owner->unknown, PW_UNKNOWN_HIDDEN);
        pw_past_done(&past);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            STORE_TEST(test_resume_same_boot),     STORE_TEST(test_resume_folded),
            STORE_TEST(test_resume_other_boot),    STORE_TEST(test_clean_stop),
            STORE_TEST(test_resume_limit),         STORE_TEST(test_resume_closed_limit),
            STORE_TEST(test_resume_shares_owners),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
