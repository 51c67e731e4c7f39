/* SPDX-License-Identifier: MIT */
/* A store without room, because the disk is full or the history is as large as it may be: would
 * catch a batch that is applied in part, a file or a log that grows past the bound, writes that are
 * lost or out of order, and a store that does not go on once there is room. */

#include "tests/unit/store-fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- full ---- */

static void set_max_pages(struct fixture *fixture, int64_t pages)
{
        char sql[64];

        snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)pages);
        assert_int_equal(pw_sql_exec(fixture->store->db, sql), 0);
}

/* Full in the middle of a batch: none of it is there, and all of it after room was made. */
static void test_full(void **state)
{
        struct fixture *fixture = *state;

        put_many(fixture, 10);
        set_max_pages(fixture, number(fixture, "PRAGMA page_count") + 3);
        for (uint16_t port = 100; port < 2000; port++) {
                _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(port, "b");

                add(fixture, PW_WRITE_OPEN, record, T0 + port);
        }
        assert_int_equal(pw_store_apply(fixture->store, &fixture->writes, T0 + 5000), -ENOSPC);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 10);
        assert_true(number(fixture, "SELECT value FROM meta WHERE name = 'heartbeat'") ==
                    (int64_t)T0 + 10);
        set_max_pages(fixture, 100000);
        apply(fixture, T0 + 5000);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 1910);
        assert_consistent(fixture);
}

/* A batch of 5000 openings fails, and not as damage of the file. */
static bool apply_too_much(struct fixture *fixture)
{
        int r;

        for (uint16_t port = 100; port < 5100; port++) {
                _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(port, "b");

                add(fixture, PW_WRITE_OPEN, record, T0 + port);
        }
        r = pw_store_apply(fixture->store, &fixture->writes, T0 + 5000);
        return r < 0 && r != -EBADMSG;
}

/* A write that the system refuses half-way, in a process that may write 256 KiB a file. */
static void test_write_error(void **state)
{
        struct fixture *fixture = *state;
        int status;
        pid_t pid;

        put_many(fixture, 10);
        close_store(fixture);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                const struct rlimit limit = {256 << 10, 256 << 10};
                bool good;

                signal(SIGXFSZ, SIG_IGN);
                setrlimit(RLIMIT_FSIZE, &limit);
                open_store(fixture, 0);
                good = apply_too_much(fixture) && pw_store_error(fixture->store)[0];
                close_store(fixture);
                pw_writes_done(&fixture->writes);
                free(fixture);
                _exit(good ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        open_store(fixture, 0);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 10);
        assert_consistent(fixture);
        put_many(fixture, 20);
}

/* ---- as large as it may be ---- */

#define BOUND (12ULL << 20)

static void assert_bounded(struct fixture *fixture)
{
        assert_in_range(pw_store_bytes(fixture->store, NULL), 0, BOUND + PW_STORE_SLACK);
}

/* Opens and closes 500 listeners, as far as there is room: what apply returned. */
static int write_round(struct fixture *fixture, unsigned round)
{
        for (uint16_t i = 0; i < 500; i++) {
                _cleanup_(pw_record_unrefp) struct pw_record *record =
                    make_record((uint16_t)(1 + (round * 7919 + i * 101) % 60000), "a");

                record->opened_usec = T0 + round;
                add(fixture, PW_WRITE_OPEN, record, T0 + round);
                record->closed_usec = record->last_seen_usec = T0 + round + 1;
                record->closed_how = PW_HOW_SEEN;
                add(fixture, PW_WRITE_CLOSE, record, T0 + round + 1);
        }
        return pw_store_apply(fixture->store, &fixture->writes, T0 + round);
}

static int write_rounds(struct fixture *fixture, unsigned rounds)
{
        int r = 0;

        for (unsigned round = 0; r == 0 && round < rounds; round++) {
                r = write_round(fixture, round);
                assert_bounded(fixture);
        }
        return r;
}

/* A reader that hangs: the log ends at the bound, pruning does not lengthen it, nothing is lost,
 * and it goes on when the reader ends. */
static void test_bound_with_reader(void **state)
{
        struct fixture *fixture = *state;
        struct fixture other = *fixture;
        int64_t seen;
        size_t waiting;
        uint64_t wal;

        put_many(fixture, 10);
        open_store(&other, 0);
        assert_int_equal(pw_sql_exec(other.store->db, "BEGIN; SELECT count(*) FROM interval"), 0);
        pw_store_limit(fixture->store, BOUND);
        assert_int_equal(write_rounds(fixture, 1000), PW_STORE_FULL);
        assert_true(pw_store_log_bytes(fixture->store) > PW_STORE_LOG_BYTES);
        waiting = fixture->writes.n;
        assert_true(waiting > 0 && waiting <= 1000);
        seen = number(fixture, "SELECT count(*) FROM interval");
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(pw_store_prune(fixture->store, T0 + 5000, 0, 500), PW_STORE_FULL);
                assert_int_equal(pw_store_apply(fixture->store, &fixture->writes, T0),
                                 PW_STORE_FULL);
                assert_bounded(fixture);
        }
        assert_int_equal(fixture->writes.n, waiting);
        assert_int_equal(pw_sql_exec(other.store->db, "COMMIT"), 0);
        close_store(&other);

        apply(fixture, T0 + 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"),
                         seen + (int64_t)(waiting + 1) / 2);
        pw_store_bytes(fixture->store, &wal);
        assert_in_range(wal, 0, PW_STORE_LOG_BYTES);
        assert_consistent(fixture);
}

/* No reader, but too much history: writes wait until pruning has made room. */
static void test_bound_of_file(void **state)
{
        struct fixture *fixture = *state;
        unsigned steps = 0;

        pw_store_limit(fixture->store, BOUND);
        assert_int_equal(write_rounds(fixture, 1000), PW_STORE_FULL);
        assert_in_range(pw_store_log_bytes(fixture->store), 0, PW_STORE_LOG_BYTES);
        for (int r = 1; r == 1; steps++) {
                r = pw_store_prune(fixture->store, 0, BOUND * 3 / 4, 500);
                assert_in_range(r, 0, 1);
                assert_bounded(fixture);
                assert_true(steps < 1000);
        }
        apply(fixture, T0 + 1);
        assert_bounded(fixture);
        assert_consistent(fixture);
}

/* One batch larger than the bound: it is in the store in its order as far as there is room, and the
 * log never holds all of it at once. */
static void test_large_batch(void **state)
{
        struct fixture *fixture = *state;
        uint64_t wal;
        int64_t stored;

        pw_store_limit(fixture->store, BOUND / 3);
        for (uint16_t port = 1; port <= 40000; port++) {
                _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(port, "a");

                add(fixture, PW_WRITE_OPEN, record, T0 + port);
        }
        assert_int_equal(pw_store_apply(fixture->store, &fixture->writes, T0), PW_STORE_FULL);
        assert_in_range(pw_store_bytes(fixture->store, &wal), 0, BOUND / 3 + PW_STORE_SLACK);
        assert_in_range(wal, 0, PW_STORE_LOG_BYTES);
        stored = number(fixture, "SELECT count(*) FROM interval");
        assert_int_equal(stored + (int64_t)fixture->writes.n, 40000);
        assert_int_equal(number(fixture, "SELECT max(port) FROM interval"), stored);
        pw_store_limit(fixture->store, 0);
        apply(fixture, T0 + 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 40000);
        assert_consistent(fixture);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_full),          TEST(test_write_error), TEST(test_bound_with_reader),
            TEST(test_bound_of_file), TEST(test_large_batch),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
