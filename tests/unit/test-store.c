/* SPDX-License-Identifier: MIT */
/* The writer: every kind of write, and what a second application does. After each test the books
 * must be right (assert_consistent). */

#include "tests/unit/store-fixture.h"

/* ---- writes in memory ---- */

static void test_writes(void **state _unused_)
{
        struct fixture fixture = {0};
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(80, "a");

        pw_writes_drop(&fixture.writes, 5);
        for (uint64_t i = 0; i < 100; i++)
                add(&fixture, PW_WRITE_OPEN, record, i);
        pw_writes_drop(&fixture.writes, 30);
        assert_int_equal(fixture.writes.n, 70);
        assert_int_equal(fixture.writes.items[0].time_usec, 30);
        assert_int_equal(fixture.writes.items[69].time_usec, 99);
        pw_writes_drop(&fixture.writes, 1000);
        assert_int_equal(fixture.writes.n, 0);
        pw_writes_done(&fixture.writes);
}

/* ---- intervals ---- */

static void test_open_close(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");

        put(fixture, PW_WRITE_OPEN, record, T0);
        assert_int_equal(n_open(fixture), 1);
        assert_int_equal(n_events(fixture, PW_EVENT_OPENED), 1);
        record->closed_usec = T0 + 5;
        record->last_seen_usec = T0 + 4;
        record->closed_how = PW_HOW_EVENT;
        put(fixture, PW_WRITE_CLOSE, record, T0 + 6);
        assert_int_equal(n_open(fixture), 0);
        assert_int_equal(n_events(fixture, PW_EVENT_CLOSED), 1);
        assert_true(number(fixture, "SELECT closed FROM interval") == (int64_t)(T0 + 5));
        assert_true(number(fixture, "SELECT last_seen FROM interval") == (int64_t)(T0 + 4));
        assert_int_equal(number(fixture, "SELECT closed_how FROM interval"), PW_HOW_EVENT);
        /* A restart is the same listener, with the same holder, once more. */
        put(fixture, PW_WRITE_OPEN, record, T0 + 7);
        assert_int_equal(number(fixture, "SELECT count(*) FROM listener"), 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM holder"), 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM owner"), 2);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 2);
}

/* An end without a time is when it was written, seen by a look. */
static void test_close_without_times(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");

        put(fixture, PW_WRITE_OPEN, record, T0);
        put(fixture, PW_WRITE_CLOSE, record, T0 + 9);
        assert_true(number(fixture, "SELECT closed FROM interval") == (int64_t)(T0 + 9));
        assert_true(number(fixture, "SELECT last_seen FROM interval") == (int64_t)(T0 + 9));
        assert_int_equal(number(fixture, "SELECT closed_how FROM interval"), PW_HOW_SEEN);
}

/* The clock was set back between opening and end: shown as logged, and nothing breaks. */
static void test_clock_set_back(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");

        put_interval(fixture, record, T0, T0 - PW_USEC_PER_DAY);
        assert_int_equal(number(fixture, "SELECT span FROM interval"), 0);
}

static void test_change_and_refresh(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *other = make_record(8081, "a");

        put(fixture, PW_WRITE_OPEN, record, T0);
        free(record->owner->cmdline);
        record->owner->cmdline = strdup("server --other");
        record->sockets = 9;
        record->verdict = PW_DENIED;
        assert_int_equal(pw_shared_set(&record->rule, NULL), 0);
        put(fixture, PW_WRITE_REFRESH, record, T0 + 1);
        assert_int_equal(n_events(fixture, PW_EVENT_CHANGED), 0);
        assert_int_equal(number(fixture, "SELECT sockets FROM interval"), 9);
        assert_int_equal(number(fixture, "SELECT verdict FROM interval"), PW_DENIED);
        assert_int_equal(number(fixture, "SELECT rule IS NULL FROM interval"), 1);
        assert_int_equal(number(fixture, "SELECT cmdline = 'server --other' FROM holder"), 1);

        record->cookie = 77;
        put(fixture, PW_WRITE_CHANGE, record, T0 + 2);
        assert_int_equal(n_events(fixture, PW_EVENT_CHANGED), 1);
        assert_int_equal(number(fixture, "SELECT cookie FROM interval"), 77);

        /* Nothing is open there: nothing is made. */
        put(fixture, PW_WRITE_CHANGE, other, T0 + 3);
        put(fixture, PW_WRITE_REFRESH, other, T0 + 3);
        assert_int_equal(number(fixture, "SELECT count(*) FROM listener"), 1);
        assert_int_equal(n_events(fixture, PW_EVENT_CHANGED), 1);
}

/* Any batch may come a second time, since its first answer may have been lost. */
static void test_second_application(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");

        record->alert_id = 3;
        record->reasons = PW_REASON_UNEXPECTED;
        for (int i = 0; i < 2; i++) {
                put(fixture, PW_WRITE_OPEN, record, T0);
                put(fixture, PW_WRITE_ALERT, record, T0);
                put(fixture, PW_WRITE_DELIVERED, record, T0 + 1);
        }
        assert_int_equal(n_open(fixture), 1);
        assert_int_equal(n_events(fixture, PW_EVENT_OPENED), 1);
        assert_int_equal(n_events(fixture, PW_EVENT_CHANGED), 1);
        assert_int_equal(n_events(fixture, PW_EVENT_ALERT), 1);
        for (int i = 0; i < 2; i++) {
                put(fixture, PW_WRITE_CLOSE, record, T0 + 2);
                put(fixture, PW_WRITE_RESOLVED, record, T0 + 2);
                put(fixture, PW_WRITE_DROP, record, T0 + 2);
        }
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 1);
        assert_int_equal(n_events(fixture, PW_EVENT_CLOSED), 1);
        assert_int_equal(n_events(fixture, PW_EVENT_RESOLVED), 1);
}

/* An ignored listener leaves no history: no interval, no event, no listener. */
static void test_drop(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");

        put(fixture, PW_WRITE_OPEN, record, T0);
        put(fixture, PW_WRITE_DROP, record, T0 + 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM event"), 0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM listener"), 0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM holder"), 0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM owner"), 1);
}

/* A record that nobody has identified is a mistake of the caller, not a row. */
static void test_no_listener_id(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");

        record->listener_id[0] = '\0';
        add(fixture, PW_WRITE_OPEN, record, T0);
        assert_int_equal(pw_store_apply(fixture->store, &fixture->writes, T0), -EINVAL);
        assert_int_equal(number(fixture, "SELECT count(*) FROM listener"), 0);
}

/* ---- a new owner ---- */

static void reassign(struct fixture *fixture, const struct pw_record *previous,
                     const struct pw_record *record, uint64_t time_usec)
{
        struct pw_write write = {.kind = PW_WRITE_REASSIGN, .time_usec = time_usec};

        write.record = pw_record_copy(record);
        write.previous = pw_record_copy(previous);
        assert_int_equal(pw_writes_add(&fixture->writes, write), 0);
        apply(fixture, time_usec);
}

static void test_reassign(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *unknown = make_record(8080, "0");
        _cleanup_(pw_record_unrefp) struct pw_record *known = make_record(8080, "a");

        unknown->alert_id = 1;
        unknown->reasons = PW_REASON_NO_OWNER;
        free(unknown->owner->comm);
        unknown->owner->comm = NULL;
        put(fixture, PW_WRITE_OPEN, unknown, T0);
        put(fixture, PW_WRITE_ALERT, unknown, T0);
        reassign(fixture, unknown, known, T0 + 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM listener"), 1);
        assert_int_equal(number(fixture, "SELECT user = 'a' FROM listener l JOIN owner o"
                                         " ON o.id = l.owner"),
                         1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert a JOIN listener l"
                                         " ON l.id = a.listener"),
                         1);
        assert_int_equal(number(fixture, "SELECT comm = 'server' FROM alert a JOIN holder h"
                                         " ON h.id = a.holder"),
                         1);
        assert_int_equal(n_events(fixture, PW_EVENT_CHANGED), 1);
        /* Again: the previous is not open any more. */
        reassign(fixture, unknown, known, T0 + 1);
        assert_int_equal(n_open(fixture), 1);
}

/* The owner that became known is open there already: one interval, since the earlier opening. */
static void test_reassign_merges(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *unknown = make_record(8080, "0");
        _cleanup_(pw_record_unrefp) struct pw_record *known = make_record(8080, "a");

        unknown->alert_id = 1;
        unknown->reasons = PW_REASON_NO_OWNER;
        put(fixture, PW_WRITE_OPEN, unknown, T0);
        put(fixture, PW_WRITE_ALERT, unknown, T0);
        known->opened_usec = T0 + 1;
        put(fixture, PW_WRITE_OPEN, known, T0 + 1);
        known->sockets = 3;
        reassign(fixture, unknown, known, T0 + 2);
        assert_int_equal(n_open(fixture), 1);
        assert_true(number(fixture, "SELECT opened FROM interval") == (int64_t)(T0));
        assert_int_equal(number(fixture, "SELECT sockets FROM interval"), 3);
        assert_int_equal(number(fixture, "SELECT alert FROM interval"), 1);
        assert_int_equal(n_events(fixture, PW_EVENT_OPENED), 2);
        assert_int_equal(number(fixture, "SELECT count(*) FROM listener"), 1);
}

/* Only the reason changed why the owner is unknown: same listener, new detail. */
static void test_reassign_to_itself(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");

        put(fixture, PW_WRITE_OPEN, record, T0);
        record->owner->unknown = PW_UNKNOWN_HIDDEN;
        reassign(fixture, record, record, T0 + 1);
        assert_int_equal(n_open(fixture), 1);
        assert_int_equal(number(fixture, "SELECT unknown FROM holder"), PW_UNKNOWN_HIDDEN);
}

/* ---- alerts ---- */

static void test_alert_life(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");

        put(fixture, PW_WRITE_OPEN, record, T0);
        record->alert_id = 17;
        record->reasons = PW_REASON_UNEXPECTED;
        record->raised_usec = T0 + 1;
        record->alert_count = 1;
        put(fixture, PW_WRITE_ALERT, record, T0 + 1);
        assert_int_equal(number(fixture, "SELECT alert FROM interval"), 17);
        assert_int_equal(number(fixture, "SELECT delivered IS NULL FROM alert"), 1);
        put(fixture, PW_WRITE_DELIVERED, record, T0 + 2);
        assert_true(number(fixture, "SELECT delivered FROM alert") == (int64_t)(T0 + 2));
        put(fixture, PW_WRITE_RESOLVED, record, T0 + 3);
        assert_true(number(fixture, "SELECT resolved FROM alert") == (int64_t)(T0 + 3));
        /* Opened again within a day: the same alert, once more. */
        record->delivered_usec = T0 + 2;
        record->alert_count = 2;
        record->reasons |= PW_REASON_SECOND_OWNER;
        put(fixture, PW_WRITE_ALERT_UPDATE, record, T0 + 4);
        assert_int_equal(number(fixture, "SELECT count FROM alert"), 2);
        assert_int_equal(number(fixture, "SELECT resolved IS NULL FROM alert"), 1);
        assert_int_equal(number(fixture, "SELECT reasons FROM alert"),
                         PW_REASON_UNEXPECTED | PW_REASON_SECOND_OWNER);
        assert_true(number(fixture, "SELECT raised FROM alert") == (int64_t)(T0 + 1));
}

/* A required port that is not open: an alert without an interval. */
static void test_alert_without_interval(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(5432, "postgres");

        record->alert_id = 1;
        record->reasons = PW_REASON_REQUIRED_MISSING;
        put(fixture, PW_WRITE_ALERT, record, T0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert"), 1);
        /* Nothing to mark as delivered; and alerts without a number. */
        record->alert_id = 99;
        put(fixture, PW_WRITE_DELIVERED, record, T0);
        record->alert_id = 0;
        put(fixture, PW_WRITE_ALERT, record, T0);
        put(fixture, PW_WRITE_ALERT_UPDATE, record, T0);
        put(fixture, PW_WRITE_RESOLVED, record, T0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert"), 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM event"), 1);
}

/* A number that another listener's alert has: that one stays as it is, and all that is said of the
 * new alert goes to the new one, also when it is said twice. */
static void test_alert_of_another(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *one = make_record(8080, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *two = make_record(8081, "b");

        one->alert_id = two->alert_id = 4;
        one->reasons = two->reasons = PW_REASON_UNEXPECTED;
        one->raised_usec = T0 + 1;
        two->raised_usec = T0 + 2;
        put(fixture, PW_WRITE_OPEN, two, T0);
        put(fixture, PW_WRITE_ALERT, one, T0 + 1);
        for (int i = 0; i < 2; i++) {
                two->alert_count = 1;
                put(fixture, PW_WRITE_ALERT, two, T0 + 2);
                two->alert_count = 3;
                put(fixture, PW_WRITE_ALERT_UPDATE, two, T0 + 3);
                put(fixture, PW_WRITE_DELIVERED, two, T0 + 4);
                put(fixture, PW_WRITE_RESOLVED, two, T0 + 5);
        }
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert"), 2);
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert WHERE id = 4 AND count = 1"
                                         " AND delivered IS NULL AND resolved IS NULL"),
                         1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert a JOIN listener l"
                                         " ON l.id = a.listener WHERE a.id = 5 AND l.port = 8081"
                                         " AND count = 3 AND resolved IS NOT NULL"),
                         1);
        assert_int_equal(number(fixture, "SELECT alert FROM interval"), 5);
        assert_int_equal(n_events(fixture, PW_EVENT_ALERT), 2);
        assert_int_equal(number(fixture, "SELECT count(*) FROM event WHERE alert = 5"), 3);
}

/* A replay after the owner became known: the alert has moved, and is no other one's. */
static void test_alert_moved(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *unknown = make_record(8080, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *known = make_record(8080, "b");
        struct pw_write write = {.kind = PW_WRITE_REASSIGN, .time_usec = T0 + 2};

        unknown->alert_id = known->alert_id = 4;
        unknown->reasons = known->reasons = PW_REASON_UNEXPECTED;
        unknown->raised_usec = known->raised_usec = T0 + 1;
        for (int i = 0; i < 2; i++) {
                put(fixture, PW_WRITE_OPEN, unknown, T0);
                put(fixture, PW_WRITE_ALERT, unknown, T0 + 1);
                write.record = pw_record_ref(known);
                write.previous = pw_record_ref(unknown);
                assert_int_equal(pw_writes_add(&fixture->writes, write), 0);
                apply(fixture, T0 + 2);
        }
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert"), 1);
        assert_int_equal(n_events(fixture, PW_EVENT_ALERT), 1);
}

/* A new file was begun: what is said of an alert brings it back. */
static void test_alert_in_new_file(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *one = make_record(8080, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *two = make_record(8081, "a");

        one->alert_id = 7;
        two->alert_id = 9;
        one->reasons = two->reasons = PW_REASON_DENIED;
        one->raised_usec = two->raised_usec = T0 + 1;
        one->delivered_usec = T0 + 2;
        one->alert_count = 2;
        put(fixture, PW_WRITE_OPEN, one, T0);
        for (int i = 0; i < 2; i++) {
                put(fixture, PW_WRITE_ALERT_UPDATE, one, T0 + 3);
                put(fixture, PW_WRITE_RESOLVED, two, T0 + 4);
        }
        assert_int_equal(number(fixture, "SELECT count(*) FROM alert"), 2);
        assert_true(number(fixture, "SELECT raised FROM alert WHERE id = 7") == (int64_t)T0 + 1);
        assert_true(number(fixture, "SELECT delivered FROM alert WHERE id = 7") == (int64_t)T0 + 2);
        assert_int_equal(number(fixture, "SELECT count FROM alert WHERE id = 7"), 2);
        assert_int_equal(number(fixture, "SELECT alert FROM interval"), 7);
        assert_true(number(fixture, "SELECT resolved FROM alert WHERE id = 9") == (int64_t)T0 + 4);
        assert_int_equal(n_events(fixture, PW_EVENT_RESOLVED), 1);
}

/* What the journal has, it has, until there is something graver to tell. */
static void test_alert_stays_delivered(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(8080, "a");

        record->alert_id = 1;
        record->reasons = PW_REASON_UNEXPECTED;
        record->raised_usec = T0;
        put(fixture, PW_WRITE_ALERT, record, T0);
        put(fixture, PW_WRITE_DELIVERED, record, T0 + 1);
        put(fixture, PW_WRITE_ALERT_UPDATE, record, T0 + 2); /* made before it was delivered */
        assert_true(number(fixture, "SELECT delivered FROM alert") == (int64_t)T0 + 1);
        record->reasons |= PW_REASON_DENIED;
        put(fixture, PW_WRITE_ALERT_UPDATE, record, T0 + 3);
        assert_int_equal(number(fixture, "SELECT delivered IS NULL FROM alert"), 1);
        put(fixture, PW_WRITE_DELIVERED, record, T0 + 4);
        put(fixture, PW_WRITE_ALERT_UPDATE, record, T0 + 3); /* a second time */
        assert_true(number(fixture, "SELECT delivered FROM alert") == (int64_t)T0 + 4);
        record->reasons = PW_REASON_UNEXPECTED;
        put(fixture, PW_WRITE_ALERT_UPDATE, record, T0 + 5);
        assert_true(number(fixture, "SELECT delivered FROM alert") == (int64_t)T0 + 4);
}

/* ---- events ---- */

static void test_events(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(80, "a");

        add_event(fixture, PW_EVENT_BLIND, T0, "other network namespaces are not looked into");
        add(fixture, PW_WRITE_OPEN, record, T0 + 1);
        apply(fixture, T0 + 2);
        assert_int_equal(number(fixture, "SELECT owner FROM event WHERE kind = 7"), 0);
        assert_int_equal(number(fixture, "SELECT detail LIKE 'other%' FROM event WHERE kind = 7"),
                         1);
        assert_true(number(fixture, "SELECT value FROM meta WHERE name = 'heartbeat'") ==
                    (int64_t)(T0 + 2));
}

/* Event ids are what `watch` follows: they never come again, not even after forgetting. */
static void test_event_ids_never_repeat(void **state)
{
        struct fixture *fixture = *state;

        add_event(fixture, PW_EVENT_BLIND, T0, NULL);
        apply(fixture, T0);
        assert_true(pw_store_prune(fixture->store, T0 + 1, 0, 100) >= 0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM event"), 0);
        add_event(fixture, PW_EVENT_BLIND, T0 + 2, NULL);
        apply(fixture, T0 + 2);
        assert_int_equal(number(fixture, "SELECT id FROM event"), 2);
}

/* A batch is applied as a whole or not at all. */
static void test_batch_is_atomic(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *good = make_record(80, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *bad = make_record(81, "a");

        apply(fixture, T0);
        strcpy(bad->listener_id, "not hex");
        add(fixture, PW_WRITE_OPEN, good, T0 + 1);
        add(fixture, PW_WRITE_OPEN, bad, T0 + 1);
        assert_int_equal(pw_store_apply(fixture->store, &fixture->writes, T0 + 1), -EINVAL);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 0);
        assert_true(number(fixture, "SELECT value FROM meta WHERE name = 'heartbeat'") ==
                    (int64_t)(T0));
        pw_writes_drop(&fixture->writes, 2);
        put(fixture, PW_WRITE_OPEN, good, T0 + 2);
        assert_int_equal(n_open(fixture), 1);
}

/* ---- classes of durations ---- */

static void test_span_classes(void **state _unused_)
{
        assert_int_equal(pw_span_class(T0, T0), 0);
        assert_int_equal(pw_span_class(T0, T0 - 1), 0);
        assert_int_equal(pw_span_class(T0, T0 + (1 << 20) - 1), 0);
        assert_int_equal(pw_span_class(T0, T0 + (1 << 20)), 1);
        assert_int_equal(pw_span_class(T0, T0 + (1 << 21) - 1), 1);
        assert_int_equal(pw_span_class(T0, T0 + (1 << 21)), 2);
        assert_int_equal(pw_span_class(0, UINT64_MAX), PW_SPAN_CLASS_MAX);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_writes),
            cmocka_unit_test(test_span_classes),
            STORE_TEST(test_open_close),
            STORE_TEST(test_close_without_times),
            STORE_TEST(test_clock_set_back),
            STORE_TEST(test_change_and_refresh),
            STORE_TEST(test_second_application),
            STORE_TEST(test_drop),
            STORE_TEST(test_no_listener_id),
            STORE_TEST(test_reassign),
            STORE_TEST(test_reassign_merges),
            STORE_TEST(test_reassign_to_itself),
            STORE_TEST(test_alert_life),
            STORE_TEST(test_alert_without_interval),
            STORE_TEST(test_alert_of_another),
            STORE_TEST(test_alert_moved),
            STORE_TEST(test_alert_in_new_file),
            STORE_TEST(test_alert_stays_delivered),
            STORE_TEST(test_events),
            STORE_TEST(test_event_ids_never_repeat),
            STORE_TEST(test_batch_is_atomic),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
