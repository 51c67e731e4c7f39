/* SPDX-License-Identifier: MIT */
/* The reader: what was written comes back, and answers are compared with a plain search through all
 * intervals. */

#include "tests/unit/store-fixture.h"

#define DAY PW_USEC_PER_DAY

/* ---- what comes back is what was written ---- */

static void test_record_comes_back(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *in = make_record(443, "a");
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        struct pw_records records = {0};
        const struct pw_record *out;

        strcpy(in->device, "eth0");
        assert_int_equal(pw_shared_set(&in->netns, "docker:web"), 0);
        in->ephemeral = true;
        in->owner->user_unit = strdup("x.service");
        in->owner->container = strdup("docker:web");
        in->owner->traits = PW_TRAIT_MEMFD | PW_TRAIT_FOREIGN_ROOT;
        in->owner->unknown = PW_UNKNOWN_HIDDEN;
        in->opened_how = PW_HOW_FIRST_LOOK;
        pw_record_identify(in);
        in->alert_id = 17;
        in->reasons = PW_REASON_SUSPICIOUS | PW_REASON_UNEXPECTED;
        in->raised_usec = T0 + 1;
        in->alert_count = 2;
        add(fixture, PW_WRITE_OPEN, in, T0);
        add(fixture, PW_WRITE_ALERT, in, T0 + 1);
        add(fixture, PW_WRITE_DELIVERED, in, T0 + 2);
        apply(fixture, T0 + 100);

        query = open_query(fixture);
        assert_int_equal(pw_query_open_at(query, NULL, 0, &records), 0);
        assert_int_equal(records.n, 1);
        out = records.items[0];
        assert_string_equal(out->listener_id, in->listener_id);
        assert_string_equal(out->netns, "docker:web");
        assert_int_equal(out->protocol, PW_TCP);
        assert_int_equal(out->port, 443);
        assert_string_equal(out->address_text, "0.0.0.0");
        assert_string_equal(out->device, "eth0");
        assert_int_equal(out->scope, PW_SCOPE_ANY);
        assert_int_equal(out->range, PW_RANGE_WELL_KNOWN);
        assert_true(out->ephemeral);
        assert_string_equal(out->service, "https");
        assert_int_equal(out->sockets, 2);
        assert_int_equal(out->cookie, in->cookie);
        assert_int_equal(out->verdict, PW_UNEXPECTED);
        assert_string_equal(out->rule, in->rule);
        assert_int_equal(out->opened_usec, T0);
        assert_int_equal(out->opened_how, PW_HOW_FIRST_LOOK);
        assert_int_equal(out->last_seen_usec, T0 + 100);
        assert_int_equal(out->closed_usec, 0);
        assert_int_equal(out->closed_how, PW_HOW_NONE);
        assert_int_equal(out->alert_id, 17);
        assert_int_equal(out->reasons, in->reasons);
        assert_int_equal(out->raised_usec, T0 + 1);
        assert_int_equal(out->delivered_usec, T0 + 2);
        assert_int_equal(out->resolved_usec, 0);
        assert_int_equal(out->alert_count, 2);
        assert_int_equal(out->owner->uid, 1000);
        assert_string_equal(out->owner->user, "a");
        assert_string_equal(out->owner->exe, "/usr/bin/server");
        assert_string_equal(out->owner->unit, "server.service");
        assert_string_equal(out->owner->user_unit, "x.service");
        assert_string_equal(out->owner->container, "docker:web");
        assert_int_equal(out->owner->traits, in->owner->traits);
        assert_int_equal(out->owner->unknown, PW_UNKNOWN_HIDDEN);
        assert_string_equal(out->owner->comm, "server");
        assert_string_equal(out->owner->cmdline, "server --port");
        assert_int_equal(out->owner->n_pids, 2);
        assert_int_equal(out->owner->n_holders, 5);
        assert_int_equal(out->owner->pids[0], 4711);
        assert_int_equal(out->owner->started[0], 123456789012345);
        assert_int_equal(out->owner->pids[1], INT32_MAX);
        assert_int_equal(out->owner->started[1], 0);
        pw_records_done(&records);
}

/* Unknown stays unknown: NULL, not "". */
static void test_unknown_comes_back(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *in = make_record(6000, "0");
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        struct pw_records records = {0};
        struct pw_owner *owner = in->owner;

        free(owner->exe);
        free(owner->unit);
        free(owner->comm);
        free(owner->cmdline);
        owner->exe = owner->unit = owner->comm = owner->cmdline = NULL;
        owner->n_pids = owner->n_holders = 0;
        owner->unknown = PW_UNKNOWN_NO_HOLDER;
        assert_int_equal(pw_shared_set(&in->rule, NULL), 0);
        pw_record_identify(in);
        put(fixture, PW_WRITE_OPEN, in, T0);

        query = open_query(fixture);
        assert_int_equal(pw_query_history(query, NULL, 0, PW_USEC_INFINITY, 0, &records), 0);
        assert_int_equal(records.n, 1);
        owner = records.items[0]->owner;
        assert_null(owner->exe);
        assert_null(owner->unit);
        assert_null(owner->comm);
        assert_null(owner->cmdline);
        assert_null(owner->container);
        assert_int_equal(owner->n_pids, 0);
        assert_int_equal(owner->n_holders, 0);
        assert_null(records.items[0]->rule);
        pw_records_done(&records);
}

static void test_pids_text(void **state _unused_)
{
        static const struct {
                const char *text;
                unsigned n;
        } cases[] = {{"1/2", 1},
                     {"1/2,3/4", 2},
                     {"", 0},
                     {"1", 0},
                     {"1/", 0},
                     {"0/1", 0},
                     {"-1/2", 0},
                     {"1/2,", 1},
                     {"1/2,x", 1},
                     {"2147483648/1", 0},
                     {"1/2;3/4", 1},
                     {"1/99999999999999999999", 0},
                     {"1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1", 16}};

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                _cleanup_(pw_owner_unrefp) struct pw_owner *owner = pw_owner_new();

                pw_pids_parse(owner, cases[i].text);
                if (owner->n_pids != cases[i].n)
                        fail_msg("'%s': %u pids", cases[i].text, owner->n_pids);
        }
}

/* The longest text must fit its buffer, and come back. */
static void test_pids_longest(void **state _unused_)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *in = pw_owner_new();
        _cleanup_(pw_owner_unrefp) struct pw_owner *out = pw_owner_new();
        char text[PW_PIDS_MAX];

        in->n_pids = PW_OWNER_PIDS_MAX;
        for (unsigned i = 0; i < PW_OWNER_PIDS_MAX; i++) {
                in->pids[i] = INT32_MAX;
                in->started[i] = UINT64_MAX;
        }
        pw_pids_parse(out, pw_pids_format(text, sizeof text, in));
        assert_int_equal(out->n_pids, PW_OWNER_PIDS_MAX);
        assert_memory_equal(out->pids, in->pids, sizeof in->pids);
        assert_memory_equal(out->started, in->started, sizeof in->started);
}

/* ---- answers against a plain search ---- */

struct interval {
        uint16_t port;
        uint64_t from, to; /* to == 0: open */
};
#define INTERVALS 3000

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t bound)
{
        random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
        return (random_state >> 20) % bound;
}

/* Lengths from microseconds to months, on 150 ports, the last ones of some still open. */
static void fill(struct fixture *fixture, struct interval *intervals)
{
        uint64_t free_at[150] = {0};

        for (size_t i = 0; i < INTERVALS; i++) {
                const size_t n = random_below(PW_ELEMENTS(free_at));
                const uint64_t length = random_below(1ULL << random_below(44));
                _cleanup_(pw_record_unrefp) struct pw_record *record =
                    make_record((uint16_t)(1000 + n), n % 2 ? "odd" : "even");

                intervals[i].from = UINT64_MAX; /* no interval */
                if (free_at[n] == UINT64_MAX)
                        continue; /* that port is open for good */
                intervals[i].port = record->port;
                intervals[i].from = PW_MAX(free_at[n], T0) + random_below(DAY);
                intervals[i].to = intervals[i].from + length;
                free_at[n] = intervals[i].to + 1;
                record->opened_usec = intervals[i].from;
                add(fixture, PW_WRITE_OPEN, record, intervals[i].from);
                if (length > (1ULL << 42)) {
                        intervals[i].to = 0;
                        free_at[n] = UINT64_MAX;
                        continue;
                }
                record->closed_usec = intervals[i].to;
                add(fixture, PW_WRITE_CLOSE, record, intervals[i].to);
        }
        apply(fixture, T0 + 300 * DAY);
}

static bool open_at(const struct interval *interval, uint64_t at)
{
        return interval->from != UINT64_MAX && interval->from <= at &&
               (interval->to == 0 || interval->to > at);
}

static void test_open_at_any_time(void **state)
{
        struct fixture *fixture = *state;
        static struct interval intervals[INTERVALS];
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;

        fill(fixture, intervals);
        query = open_query(fixture);
        for (int i = 0; i < 400; i++) {
                const struct interval *some = &intervals[random_below(INTERVALS)];
                /* Also exactly at an opening, exactly at an end, and right beside these. */
                const uint64_t at = i % 5 == 0   ? some->from
                                    : i % 5 == 1 ? some->to
                                    : i % 5 == 2 ? some->to - 1
                                    : i % 5 == 3 ? some->from - 1
                                                 : T0 + random_below(400 * DAY);
                struct pw_records records = {0};
                size_t expected = 0;

                if (some->from == UINT64_MAX || at == 0 || at == UINT64_MAX)
                        continue;
                for (size_t j = 0; j < INTERVALS; j++)
                        expected += open_at(&intervals[j], at);
                assert_int_equal(pw_query_open_at(query, NULL, at, &records), 0);
                assert_int_equal(records.n, expected);
                for (size_t j = 1; j < records.n; j++)
                        assert_true(pw_record_compare(records.items[j - 1], records.items[j]) < 0);
                pw_records_done(&records);
        }
}

static struct pw_filter *make_filter(const char *word)
{
        struct pw_filter *filter;
        char error[512];

        assert_int_equal(pw_filter_new(&filter), 0);
        if (word && pw_filter_add(filter, word, error, sizeof error) < 0)
                fail_msg("%s", error);
        return filter;
}

static size_t count_overlapping(const struct interval *intervals, struct pw_ports ports,
                                const char *user, uint64_t since, uint64_t until)
{
        size_t n = 0;

        for (size_t i = 0; i < INTERVALS; i++)
                n += intervals[i].from != UINT64_MAX &&
                     pw_ports_contain(ports, intervals[i].port) &&
                     (!user || (intervals[i].port % 2 != 0) == (strcmp(user, "odd") == 0)) &&
                     intervals[i].from <= until &&
                     (intervals[i].to == 0 || intervals[i].to >= since);
        return n;
}

/* Filters that go through the port index, through all of them, and through none. */
static void test_history_any_time(void **state)
{
        struct fixture *fixture = *state;
        static struct interval intervals[INTERVALS];
        static const struct {
                const char *word, *user;
                struct pw_ports ports;
        } filters[] = {
            {NULL, NULL, {0, 65535}},
            {"1007", NULL, {1007, 1007}},
            {"1007,1003-1007", NULL, {1003, 1007}},
            {"1000-1200", NULL, {1000, 1200}},
            {"user=odd", "odd", {0, 65535}},
            {"2000", NULL, {2000, 2000}},
            {"user=nobody", NULL, {1, 0}},
        };
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;

        fill(fixture, intervals);
        query = open_query(fixture);
        for (size_t i = 0; i < 40 * PW_ELEMENTS(filters); i++) {
                const size_t f = i % PW_ELEMENTS(filters);
                _cleanup_(pw_filter_freep) struct pw_filter *filter = make_filter(filters[f].word);
                const uint64_t since = i % 3 ? T0 + random_below(200 * DAY) : 0;
                const uint64_t until = i % 2 ? since + random_below(30 * DAY) : PW_USEC_INFINITY;
                struct pw_records all = {0}, some = {0};
                size_t expected =
                    count_overlapping(intervals, filters[f].ports, filters[f].user, since, until);

                assert_int_equal(pw_query_history(query, filter, since, until, 0, &all), 0);
                if (all.n != expected)
                        fail_msg("%s: %zu, expected %zu", filters[f].word, all.n, expected);
                for (size_t j = 1; j < all.n; j++)
                        assert_true(all.items[j - 1]->opened_usec >= all.items[j]->opened_usec);
                /* With a limit: the first ones of these. */
                assert_int_equal(pw_query_history(query, filter, since, until, 7, &some), 0);
                assert_int_equal(some.n, PW_MIN(expected, (size_t)7));
                for (size_t j = 0; j < some.n; j++)
                        assert_int_equal(some.items[j]->opened_usec, all.items[j]->opened_usec);
                pw_records_done(&all);
                pw_records_done(&some);
        }
}

/* A reversed time range has nothing in it; records are appended to what the caller has. */
static void test_history_edges(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(80, "a");
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        struct pw_records records = {0};

        put_interval(fixture, record, T0, T0 + 10);
        query = open_query(fixture);
        assert_int_equal(pw_query_history(query, NULL, T0 + 5, T0 + 4, 0, &records), 0);
        assert_int_equal(records.n, 0);
        assert_int_equal(pw_query_history(query, NULL, T0 + 10, T0 + 10, 0, &records), 0);
        assert_int_equal(records.n, 1);
        assert_int_equal(pw_query_history(query, NULL, T0 + 11, PW_USEC_INFINITY, 0, &records), 0);
        assert_int_equal(records.n, 1);
        assert_int_equal(pw_query_history(query, NULL, 0, PW_USEC_INFINITY, 0, &records), 0);
        assert_int_equal(records.n, 2);
        pw_records_done(&records);
}

static size_t count_history(struct pw_query *query, const char *word)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        _cleanup_(pw_records_done) struct pw_records records = {0};
        char error[256];

        assert_int_equal(pw_filter_new(&filter), 0);
        assert_int_equal(pw_filter_add(filter, word, error, sizeof error), 0);
        assert_int_equal(pw_query_history(query, filter, 0, PW_USEC_INFINITY, 0, &records), 0);
        return records.n;
}

/* What has no port comes back, is found by `ephemeral`, and does not hide what has one. */
static void test_folded(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *folded = make_record(0, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *other = make_record(53, "a");
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_records_done) struct pw_records records = {0};

        folded->protocol = PW_UDP;
        folded->opened_how = PW_HOW_EVENT;
        pw_record_identify(folded);
        put(fixture, PW_WRITE_OPEN, folded, T0);
        put(fixture, PW_WRITE_OPEN, other, T0);
        query = open_query(fixture);
        assert_int_equal(pw_query_open_at(query, NULL, 0, &records), 0);
        assert_int_equal(records.n, 2);
        assert_string_equal(records.items[1]->listener_id, folded->listener_id);
        assert_true(pw_record_is_folded(records.items[1]));
        assert_true(records.items[1]->ephemeral);
        assert_int_equal(records.items[1]->range, PW_RANGE_DYNAMIC);
        assert_int_equal(records.items[1]->sockets, 2);
        assert_null(records.items[1]->service);
        assert_true(pw_record_is_unexpected(records.items[1]));
        assert_int_equal(count_history(query, "ephemeral"), 1);
        assert_int_equal(count_history(query, "ephemeral,53"), 2);
        assert_int_equal(count_history(query, "range=dynamic"), 1);
        assert_int_equal(count_history(query, "1-65535"), 1);
        assert_int_equal(count_history(query, "54"), 0);
}

/* ---- alerts ---- */

static void test_alerts(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *one = make_record(81, "a");
        _cleanup_(pw_record_unrefp) struct pw_record *two = make_record(80, "b");
        _cleanup_(pw_record_unrefp) struct pw_record *missing = make_record(5432, "postgres");
        _cleanup_(pw_filter_freep) struct pw_filter *filter = make_filter("reason=unexpected");
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        struct pw_records records = {0};

        one->alert_id = 1;
        two->alert_id = 2;
        missing->alert_id = 3;
        one->reasons = two->reasons = PW_REASON_UNEXPECTED;
        missing->reasons = PW_REASON_REQUIRED_MISSING;
        put(fixture, PW_WRITE_OPEN, one, T0);
        put(fixture, PW_WRITE_ALERT, one, T0);
        put(fixture, PW_WRITE_OPEN, two, T0);
        put(fixture, PW_WRITE_ALERT, two, T0);
        put(fixture, PW_WRITE_CLOSE, one, T0 + 5);
        put(fixture, PW_WRITE_RESOLVED, one, T0 + 5);
        put(fixture, PW_WRITE_ALERT, missing, T0 + 6);

        query = open_query(fixture);
        assert_int_equal(pw_query_alerts(query, NULL, false, &records), 0);
        assert_int_equal(records.n, 2);
        assert_int_equal(records.items[0]->alert_id, 3);
        assert_int_equal(records.items[0]->opened_usec, 0);
        assert_int_equal(records.items[1]->alert_id, 2);
        pw_records_done(&records);
        assert_int_equal(pw_query_alerts(query, NULL, true, &records), 0);
        assert_int_equal(records.n, 3);
        assert_int_equal(records.items[2]->alert_id, 1);
        assert_int_equal(records.items[2]->resolved_usec, T0 + 5);
        assert_int_equal(records.items[2]->closed_usec, T0 + 5);
        pw_records_done(&records);
        assert_int_equal(pw_query_alerts(query, filter, true, &records), 0);
        assert_int_equal(records.n, 2);
        pw_records_done(&records);

        assert_int_equal(pw_query_alert(query, 1, &records), 0);
        assert_int_equal(records.n, 1);
        pw_records_done(&records);
        assert_int_equal(pw_query_alert(query, 4, &records), 0);
        assert_int_equal(pw_query_alert(query, 0, &records), 0);
        assert_int_equal(pw_query_alert(query, -1, &records), 0);
        assert_int_equal(records.n, 0);

        /* A resolved alert is no longer on the listener; an open one is. */
        assert_int_equal(pw_query_history(query, NULL, 0, PW_USEC_INFINITY, 0, &records), 0);
        assert_int_equal(records.n, 2);
        assert_int_equal(records.items[0]->alert_id + records.items[1]->alert_id, 2);
        pw_records_done(&records);
}

/* What was over before the alert was raised has nothing to do with it. */
static void test_alert_not_on_earlier_intervals(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(81, "a");
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        struct pw_records records = {0};

        put_interval(fixture, record, T0, T0 + 5);
        record->opened_usec = T0 + 10;
        put(fixture, PW_WRITE_OPEN, record, T0 + 10);
        record->alert_id = 4;
        record->reasons = PW_REASON_UNEXPECTED;
        record->raised_usec = T0 + 10;
        put(fixture, PW_WRITE_ALERT, record, T0 + 10);
        query = open_query(fixture);
        assert_int_equal(pw_query_history(query, NULL, 0, PW_USEC_INFINITY, 0, &records), 0);
        assert_int_equal(records.n, 2);
        assert_int_equal(records.items[0]->alert_id, 4);
        assert_int_equal(records.items[1]->alert_id, 0);
        pw_records_done(&records);
}

static void test_info(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(81, "a");
        struct pw_query_info info;
        struct pw_query *query = open_query(fixture);

        assert_int_equal(pw_query_info(query, &info), 0);
        assert_int_equal(info.heartbeat_usec, 0);
        pw_query_close(query);

        apply(fixture, T0);
        put_interval(fixture, record, T0 + 1, T0 + 2);
        apply(fixture, T0 + 50);
        query = open_query(fixture);
        assert_int_equal(pw_query_info(query, &info), 0);
        assert_int_equal(info.schema, PW_STORE_SCHEMA);
        assert_int_equal(info.heartbeat_usec, T0 + 50);
        assert_int_equal(info.watching_since_usec, T0);
        assert_int_equal(info.bytes, pw_store_bytes(fixture->store, NULL));
        /* What was forgotten is no longer watched; a reader sees that without opening again. */
        assert_true(pw_store_prune(fixture->store, T0 + 40, 0, 100) >= 0);
        assert_int_equal(pw_query_info(query, &info), 0);
        assert_int_equal(info.watching_since_usec, T0 + 40);
        pw_query_close(query);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_pids_text),
            cmocka_unit_test(test_pids_longest),
            TEST(test_record_comes_back),
            TEST(test_unknown_comes_back),
            TEST(test_open_at_any_time),
            TEST(test_history_any_time),
            TEST(test_history_edges),
            TEST(test_folded),
            TEST(test_alerts),
            TEST(test_alert_not_on_earlier_intervals),
            TEST(test_info),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
