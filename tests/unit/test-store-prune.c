/* SPDX-License-Identifier: MIT */
/* The writer's forgetting: by age and by size, from whom there is most, in small steps; and how
 * large the file gets. After each test the books must be right (assert_consistent). */

#include "tests/unit/store-fixture.h"

static void prune_all(struct fixture *fixture, uint64_t before_usec, uint64_t max_bytes,
                      unsigned step)
{
        int r = 1;

        for (int i = 0; r > 0 && i < 10000; i++)
                r = pw_store_prune(fixture->store, before_usec, max_bytes, step);
        assert_int_equal(r, 0);
}

static void test_prune_by_age(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *old = make_record(80, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *open = make_record(81, "b");
        _cleanup_(pw_record_unrefp) struct pw_record *fresh = make_record(82, "c");
        struct pw_past past;

        old->alert_id = 9;
        old->reasons = PW_REASON_UNEXPECTED;
        add(fixture, PW_WRITE_OPEN, old, T0);
        add(fixture, PW_WRITE_ALERT, old, T0);
        old->closed_usec = T0 + 10;
        add(fixture, PW_WRITE_CLOSE, old, T0 + 10);
        add(fixture, PW_WRITE_RESOLVED, old, T0 + 10);
        add(fixture, PW_WRITE_OPEN, open, T0);
        apply(fixture, T0 + 10);
        put_interval(fixture, fresh, T0, T0 + 1000);

        prune_all(fixture, T0 + 500, 0, 1); /* one row a step: every step must get further */
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 2);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval WHERE port = 80"), 0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert"), 0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM listener"), 2);
        assert_int_equal(number(fixture, "SELECT count(*) FROM event"), 1);
        assert_int_equal(n_open(fixture), 1);
        /* Numbers of alerts are never used again. */
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 10, &past), 0);
        assert_int_equal(past.last_alert_id, 9);
        pw_past_done(&past);
}

/* An open alert stays, and with it the interval in which it was raised, however old. */
static void test_prune_keeps_open_alerts(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(80, "a");

        record->alert_id = 1;
        record->reasons = PW_REASON_UNEXPECTED;
        put(fixture, PW_WRITE_OPEN, record, T0);
        put(fixture, PW_WRITE_ALERT, record, T0);
        record->closed_usec = T0 + 1;
        put(fixture, PW_WRITE_CLOSE, record, T0 + 1);
        prune_all(fixture, T0 + PW_USEC_PER_DAY, 0, 100);
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert"), 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 1);
}

/* Too large: a noisy owner pushes out its own history, and not that of others. */
static void test_prune_by_size(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *quiet = make_record(22, "quiet");
        _cleanup_(pw_record_unrefp) struct pw_record *alerted = make_record(23, "noisy");
        _cleanup_(pw_record_unrefp) struct pw_record *noisy = make_record(8080, "noisy");
        int64_t pages, kept;

        put_interval(fixture, quiet, T0, T0 + 1);
        alerted->alert_id = 1;
        alerted->reasons = PW_REASON_UNEXPECTED;
        put(fixture, PW_WRITE_OPEN, alerted, T0);
        put(fixture, PW_WRITE_ALERT, alerted, T0);
        put(fixture, PW_WRITE_CLOSE, alerted, T0 + 1);
        put(fixture, PW_WRITE_RESOLVED, alerted, T0 + 1);
        for (uint64_t i = 0; i < 10000; i++) {
                noisy->opened_usec = T0 + i;
                noisy->closed_usec = T0 + i + 1;
                add(fixture, PW_WRITE_OPEN, noisy, T0 + i);
                add(fixture, PW_WRITE_CLOSE, noisy, T0 + i + 1);
        }
        apply(fixture, T0 + 20000);
        pages = number(fixture, "PRAGMA page_count");
        prune_all(fixture, 0, (uint64_t)pages * 4096 / 2, 500);
        assert_true(number(fixture, "PRAGMA page_count") <= pages / 2 + 256);
        kept = number(fixture, "SELECT count(*) FROM interval WHERE port = 8080");
        assert_true(kept > 2500 && kept < 7500);
        assert_true(number(fixture, "SELECT min(opened) FROM interval WHERE port = 8080") >
                    (int64_t)T0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval WHERE port = 22"), 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert"), 1);

        /* Smaller than can be: all goes but what is open; alerts last, and the loop ends. */
        put(fixture, PW_WRITE_OPEN, quiet, T0 + 30000);
        prune_all(fixture, 0, 1, 1000);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert"), 0);
        assert_int_equal(n_open(fixture), 1);
}

/* A user with hundreds of copies of a program, each of which has less history than somebody else's
 * only one, pushes out the user's own history. */
static void test_prune_many_programs(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *quiet = make_record(22, "quiet");
        int64_t pages;

        for (uint64_t i = 0; i < 20; i++)
                put_interval(fixture, quiet, T0 + 2 * i, T0 + 2 * i + 1);
        for (unsigned i = 0; i < 300; i++) {
                _cleanup_(pw_record_unrefp) struct pw_record *noisy = make_record(8080, "noisy");
                char exe[32];

                snprintf(exe, sizeof exe, "/home/noisy/%u", i);
                free(noisy->owner->exe);
                noisy->owner->exe = strdup(exe);
                pw_record_identify(noisy);
                for (uint64_t k = 0; k < 10; k++)
                        put_interval(fixture, noisy, T0 + 2 * k, T0 + 2 * k + 1);
        }
        pages = number(fixture, "PRAGMA page_count");
        prune_all(fixture, 0, (uint64_t)pages * 4096 / 2, 100);
        assert_true(number(fixture, "SELECT count(*) FROM interval WHERE port = 8080") < 2500);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval WHERE port = 22"), 20);
        assert_int_equal(number(fixture, "SELECT count(*) FROM event e JOIN owner o"
                                         " ON o.id = e.owner WHERE user = 'quiet'"),
                         40);
}

/* An owner that changes all the time fills the file with events: they go before others' history. */
static void test_prune_noisy_events(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *quiet = make_record(22, "quiet");
        _cleanup_(pw_record_unrefp) struct pw_record *noisy = make_record(8080, "noisy");
        int64_t pages;

        put_interval(fixture, quiet, T0, T0 + 1);
        add(fixture, PW_WRITE_OPEN, noisy, T0);
        for (uint64_t i = 0; i < 20000; i++)
                add(fixture, PW_WRITE_CHANGE, noisy, T0 + i);
        apply(fixture, T0 + 20000);
        pages = number(fixture, "PRAGMA page_count");
        prune_all(fixture, 0, (uint64_t)pages * 4096 / 2, 500);
        assert_true(number(fixture, "SELECT count(*) FROM event") < 15000);
        assert_int_equal(number(fixture, "SELECT count(*) FROM event e JOIN owner o"
                                         " ON o.id = e.owner WHERE user = 'quiet'"),
                         2);
}

/* No more than asked for in one step. */
static void test_prune_step(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(80, "a");

        for (uint64_t i = 0; i < 100; i++)
                put_interval(fixture, record, T0 + 2 * i, T0 + 2 * i + 1);
        assert_int_equal(pw_store_prune(fixture->store, T0 + 1000, 0, 30), 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM event"), 170);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 100);
        assert_int_equal(pw_store_prune(fixture->store, 0, 0, 30), 0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM event"), 170);
}

/* ---- size ---- */

/* In a realistic churn an event costs at most 400 bytes of file, indexes included. */
static void test_bytes_an_event(void **state)
{
        struct fixture *fixture = *state;
        struct pw_record *records[100];
        const uint64_t events = 20000;
        uint64_t bytes, wal;

        for (uint16_t i = 0; i < 100; i++) {
                char user[16];

                snprintf(user, sizeof user, "user%u", i);
                records[i] = make_record((uint16_t)(1000 + i), user);
                free(records[i]->owner->cmdline);
                records[i]->owner->cmdline = malloc(PW_CMDLINE_MAX);
                memset(records[i]->owner->cmdline, 'x', PW_CMDLINE_MAX - 1);
                records[i]->owner->cmdline[PW_CMDLINE_MAX - 1] = '\0';
        }
        for (uint64_t i = 0; i < events / 2; i++) {
                struct pw_record *record = records[i * 7 % 100];

                record->opened_usec = T0 + i * PW_USEC_PER_SEC;
                record->closed_usec = record->opened_usec + i % 977 * 1000;
                record->cookie = i;
                add(fixture, PW_WRITE_OPEN, record, record->opened_usec);
                add(fixture, PW_WRITE_CLOSE, record, record->closed_usec);
                if (i % 1000 == 999)
                        apply(fixture, record->closed_usec);
        }
        assert_int_equal(pw_store_checkpoint(fixture->store), 0);
        bytes = pw_store_bytes(fixture->store, &wal);
        assert_int_equal(wal, 0);
        print_message("%.1f bytes an event\n", (double)bytes / (double)events);
        assert_true(bytes / events <= 400);
        for (size_t i = 0; i < PW_ELEMENTS(records); i++)
                pw_record_unref(records[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            STORE_TEST(test_prune_by_age),       STORE_TEST(test_prune_keeps_open_alerts),
            STORE_TEST(test_prune_by_size),      STORE_TEST(test_prune_many_programs),
            STORE_TEST(test_prune_noisy_events), STORE_TEST(test_prune_step),
            STORE_TEST(test_bytes_an_event),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
