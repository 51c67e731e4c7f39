/* SPDX-License-Identifier: MIT */
/* What the reader opens and what it refuses: files in every state that a writer may leave, as
 * somebody who may not write them, and what is not a history. */

#include "tests/unit/store-fixture.h"

#include <grp.h>
#include <signal.h>
#include <sys/wait.h>

/* ---- readers that may not write ---- */

#define READERS_GROUP 65534

/* Takes the right to write from everybody but root, or gives it back to us. */
static void permit_writing(struct fixture *fixture, bool permit)
{
        static const char *const names[] = {"history.db", "history.db-wal", "history.db-shm"};
        const bool root = geteuid() == 0;

        assert_int_equal(chmod(fixture->dir, permit ? 0700 : 0750 & (root ? 0777 : 0555)), 0);
        if (root)
                assert_int_equal(chown(fixture->dir, 0, READERS_GROUP), 0);
        for (size_t i = 0; i < PW_ELEMENTS(names); i++) {
                char path[128];

                path_in(fixture, names[i], path);
                if (access(path, F_OK) < 0)
                        continue;
                assert_int_equal(chmod(path, root || permit ? 0640 : 0440), 0);
                if (root)
                        assert_int_equal(chown(path, 0, READERS_GROUP), 0);
        }
}

static int count_open(struct fixture *fixture)
{
        struct pw_records records = {0};
        struct pw_query *query = NULL;
        int schema, r = pw_query_open(fixture->dir, &query, &schema);

        if (r == 0)
                r = pw_query_open_at(query, NULL, 0, &records);
        if (r == 0)
                r = (int)records.n;
        pw_records_done(&records);
        pw_query_close(query);
        return r;
}

/* Counts what is open, as somebody who may read the files (by their group, where we are root) but
 * change nothing. Returns the count or -errno. */
static int read_as_group_member(struct fixture *fixture)
{
        int status;
        pid_t pid;

        permit_writing(fixture, false);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                int n;

                if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(READERS_GROUP) < 0 ||
                                       setuid(READERS_GROUP) < 0))
                        _exit(255);
                n = count_open(fixture);
                _exit(n < 0 ? 128 - n : n);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        permit_writing(fixture, true);
        return WEXITSTATUS(status) >= 128 ? 128 - WEXITSTATUS(status) : WEXITSTATUS(status);
}

static void remove_file(struct fixture *fixture, const char *name)
{
        char path[128];

        path_in(fixture, name, path);
        assert_int_equal(unlink(path), 0);
}

/* A writer in a process of its own, which has opened a listener on `port` and stays. */
static pid_t start_writer(struct fixture *fixture, uint16_t port)
{
        int written[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe(written), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                open_store(fixture, 0);
                put_open(fixture, port, "a");
                if (write(written[1], "", 1) == 1)
                        pause();
                _exit(1);
        }
        close(written[1]);
        assert_int_equal(read(written[0], &byte, 1), 1);
        close(written[0]);
        return pid;
}

static void kill_writer(pid_t pid)
{
        int status;

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_group_member(void **state)
{
        struct fixture *fixture = *state;
        pid_t writer;

        close_store(fixture);
        writer = start_writer(fixture, 80);
        assert_int_equal(read_as_group_member(fixture), 1);
        kill_writer(writer);
        /* After a clean stop: -wal and -shm are still there, the WAL is empty. */
        open_store(fixture, 0);
        close_store(fixture);
        assert_true(has_file(fixture, "history.db-shm"));
        assert_int_equal(read_as_group_member(fixture), 1);
        /* A copy of the file alone. */
        remove_file(fixture, "history.db-wal");
        remove_file(fixture, "history.db-shm");
        assert_int_equal(read_as_group_member(fixture), 1);
}

static void test_group_member_after_crash(void **state)
{
        struct fixture *fixture = *state;

        put_open(fixture, 80, "a");
        close_store(fixture);
        kill_writer(start_writer(fixture, 81));
        assert_int_equal(read_as_group_member(fixture), 2);
        /* The index of the WAL got lost: only a private copy can be read, and leaves nothing. */
        remove_file(fixture, "history.db-shm");
        assert_int_equal(read_as_group_member(fixture), 2);
        assert_false(has_file(fixture, "history.db-shm"));
}

/* ---- what is not a history ---- */

static int try_query(struct fixture *fixture)
{
        struct pw_query *query = NULL;
        int schema = 0, r = pw_query_open(fixture->dir, &query, &schema);

        pw_query_close(query);
        return r;
}

static void test_no_history(void **state)
{
        struct fixture *fixture = *state;
        char path[128];
        struct pw_query *query = NULL;
        int schema = 0, fd;

        close_store(fixture);
        assert_int_equal(pw_query_open("/nonexistent/dir", &query, &schema), -ENOENT);
        path_in(fixture, "history.db", path);
        unlink(path);
        assert_int_equal(try_query(fixture), -ENOENT);
        fd = open(path, O_CREAT | O_WRONLY, 0600);
        assert_int_equal(try_query(fixture), -ENOENT); /* empty: nothing was ever written */
        for (int i = 0; i < 3000; i++)
                assert_int_equal(write(fd, "garbage", 7), 7);
        close(fd);
        assert_int_equal(try_query(fixture), -EBADMSG);
        unlink(path);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(try_query(fixture), -EBADMSG);
        rmdir(path);
        assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
        assert_int_equal(try_query(fixture), -EBADMSG);
}

static void test_other_schema(void **state)
{
        struct fixture *fixture = *state;
        struct pw_query *query = NULL;
        int schema = 0;

        assert_int_equal(pw_sql_exec(fixture->store->db, "PRAGMA user_version = 99"), 0);
        assert_int_equal(pw_query_open(fixture->dir, &query, &schema), -EPROTO);
        assert_int_equal(schema, 99);
        assert_null(query);
}

/* A writer that lets nobody in: waited for, but not for long. */
static void test_locked(void **state)
{
        struct fixture *fixture = *state;
        uint64_t before = pw_now_boottime();

        close_store(fixture);
        open_store(fixture, 0);
        assert_int_equal(pw_sql_exec(fixture->store->db,
                                     "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT"),
                         0);
        assert_int_equal(try_query(fixture), -EBUSY);
        assert_true(pw_now_boottime() - before < 4 * PW_USEC_PER_SEC);
}

/* A view of a table's name would run what somebody else wrote into it. */
static void test_views_for_tables(void **state)
{
        struct fixture *fixture = *state;

        assert_int_equal(pw_sql_exec(fixture->store->db, "ALTER TABLE word RENAME TO word2;"
                                                         "CREATE VIEW word AS SELECT * FROM word2"),
                         0);
        assert_int_equal(try_query(fixture), -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_group_member), TEST(test_group_member_after_crash),
            TEST(test_no_history),   TEST(test_other_schema),
            TEST(test_locked),       TEST(test_views_for_tables),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
