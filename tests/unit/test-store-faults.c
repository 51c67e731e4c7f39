/* SPDX-License-Identifier: MIT */
/* The fault table: what the store does when the file or another program does not play along, or
 * when it is killed. Nothing is ever deleted, no batch is applied in part, and a later try
 * succeeds. */

#include "tests/unit/store-fixture.h"

#include <signal.h>
#include <sys/wait.h>

static int try_open(struct fixture *fixture, int *ret_schema)
{
        struct pw_store *store = NULL;
        char *moved = NULL;
        int r = pw_store_open(fixture->dir, &store, &moved, ret_schema);

        pw_store_close(store);
        free(moved);
        return r;
}

static void write_file(struct fixture *fixture, const char *name, off_t offset, const void *data,
                       size_t size)
{
        char path[128];
        int fd;

        path_in(fixture, name, path);
        fd = open(path, O_WRONLY | O_CREAT, 0640);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, data, size, offset), (ssize_t)size);
        close(fd);
}

static off_t size_of(struct fixture *fixture, const char *name)
{
        struct stat st;
        char path[128];

        path_in(fixture, name, path);
        return stat(path, &st) < 0 ? -1 : st.st_size;
}

static unsigned mode_of(struct fixture *fixture, const char *name)
{
        struct stat st;
        char path[128];

        path_in(fixture, name, path);
        assert_int_equal(stat(path, &st), 0);
        return st.st_mode & 07777;
}

/* ---- files ---- */

/* Group members must be able to read, others not, whatever the umask. */
static void test_modes(void **state)
{
        struct fixture *fixture = *state;
        mode_t before = umask(0);

        apply(fixture, T0);
        close_store(fixture);
        remove_tree(fixture->dir);
        assert_int_equal(mkdir(fixture->dir, 0750), 0);
        open_store(fixture, 0);
        apply(fixture, T0);
        assert_int_equal(mode_of(fixture, "history.db"), 0640);
        assert_int_equal(mode_of(fixture, "history.db-wal"), 0640);
        assert_int_equal(mode_of(fixture, "history.db-shm"), 0640);
        umask(before);
}

static void test_clean_stop_leaves_companions(void **state)
{
        struct fixture *fixture = *state;

        apply(fixture, T0);
        close_store(fixture);
        assert_int_equal(size_of(fixture, "history.db-wal"), 0);
        assert_true(has_file(fixture, "history.db-shm"));
}

/* Pages that are freed can be given back only if the file was made for it. */
static void test_settings(void **state)
{
        struct fixture *fixture = *state;

        close_store(fixture);
        open_store(fixture, 0);
        assert_int_equal(number(fixture, "PRAGMA auto_vacuum"), 2);
        assert_int_equal(number(fixture, "PRAGMA synchronous"), 2);
        assert_int_equal(number(fixture, "PRAGMA application_id"), PW_STORE_APPLICATION_ID);
        assert_int_equal(number(fixture, "PRAGMA user_version"), PW_STORE_SCHEMA);
        assert_int_equal(number(fixture, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"),
                         1);
}

static void test_empty_file(void **state)
{
        struct fixture *fixture = *state;

        close_store(fixture);
        remove_tree(fixture->dir);
        assert_int_equal(mkdir(fixture->dir, 0700), 0);
        write_file(fixture, "history.db", 0, "", 0);
        open_store(fixture, 0);
        put_many(fixture, 1);
}

/* Killed before the schema was complete: it has tables, but no version. */
static void test_half_made_file(void **state)
{
        struct fixture *fixture = *state;

        assert_int_equal(pw_sql_exec(fixture->store->db, "PRAGMA user_version = 0"), 0);
        close_store(fixture);
        open_store(fixture, PW_STORE_REPLACED); /* our tables, but no schema: not usable */
        put_many(fixture, 1);
}

static void test_directory_for_file(void **state)
{
        struct fixture *fixture = *state;
        char path[128];

        close_store(fixture);
        remove_tree(fixture->dir);
        assert_int_equal(mkdir(fixture->dir, 0700), 0);
        path_in(fixture, "history.db", path);
        assert_int_equal(mkdir(path, 0700), 0);
        open_store(fixture, PW_STORE_REPLACED);
        assert_true(has_file(fixture, "history.db.corrupt-"));
        put_many(fixture, 1);
}

static void test_corrupt_header(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_freep) char *moved = NULL;
        int schema;

        put_many(fixture, 10);
        close_store(fixture);
        write_file(fixture, "history.db", 0, "not a database at all", 21);
        assert_int_equal(pw_store_open(fixture->dir, &fixture->store, &moved, &schema),
                         PW_STORE_REPLACED);
        assert_non_null(strstr(moved, "/history.db.corrupt-2"));
        assert_int_equal(access(moved, F_OK), 0);
        put_many(fixture, 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 1);
        /* A second one in the same second gets a name of its own. */
        close_store(fixture);
        write_file(fixture, "history.db", 0, "not a database at all", 21);
        open_store(fixture, PW_STORE_REPLACED);
        close_store(fixture);
        write_file(fixture, "history.db", 0, "not a database at all", 21);
        open_store(fixture, PW_STORE_REPLACED);
        assert_int_equal(access(moved, F_OK), 0);
}

static void test_truncated_file(void **state)
{
        struct fixture *fixture = *state;
        char path[128];

        put_many(fixture, 100);
        assert_int_equal(pw_store_checkpoint(fixture->store), 0);
        close_store(fixture);
        path_in(fixture, "history.db", path);
        assert_int_equal(truncate(path, 3 * 4096), 0);
        open_store(fixture, PW_STORE_REPLACED);
        put_many(fixture, 1);
}

static void test_foreign_database(void **state)
{
        struct fixture *fixture = *state;

        assert_int_equal(pw_sql_exec(fixture->store->db, "PRAGMA application_id = 1"), 0);
        close_store(fixture);
        open_store(fixture, PW_STORE_REPLACED);
        put_many(fixture, 1);
}

/* Right marks, but a table is missing, or an index, or a column. */
static void test_wrong_tables(void **state)
{
        struct fixture *fixture = *state;
        static const char *const damages[] = {
            "DROP TABLE alert",
            "DROP INDEX interval_span; DROP INDEX interval_ended",
            "ALTER TABLE interval RENAME COLUMN cookie TO biscuit",
            "DROP TABLE word; CREATE VIEW word AS SELECT 1 AS id, 'x' AS text",
        };

        for (size_t i = 0; i < PW_ELEMENTS(damages); i++) {
                if (pw_sql_exec(fixture->store->db, damages[i]) < 0)
                        fail_msg("%s", damages[i]);
                close_store(fixture);
                open_store(fixture, PW_STORE_REPLACED);
        }
}

/* Made by a newer program: refused, told, and left alone. */
static void test_newer_schema(void **state)
{
        struct fixture *fixture = *state;
        char sql[64];
        int schema = 0;

        snprintf(sql, sizeof sql, "PRAGMA user_version = %d", PW_STORE_SCHEMA + 1);
        assert_int_equal(pw_sql_exec(fixture->store->db, sql), 0);
        close_store(fixture);
        assert_int_equal(try_open(fixture, &schema), -EPROTO);
        assert_int_equal(schema, PW_STORE_SCHEMA + 1);
        assert_false(has_file(fixture, "corrupt"));
}

/* SQLite would delete the WAL of a file that is gone; we keep it. */
static void test_orphan_wal(void **state)
{
        struct fixture *fixture = *state;
        char path[128];

        close_store(fixture);
        path_in(fixture, "history.db", path);
        unlink(path);
        write_file(fixture, "history.db-wal", 0, "precious", 8);
        open_store(fixture, PW_STORE_REPLACED);
        assert_true(has_file(fixture, "-wal"));
        assert_true(has_file(fixture, "history.db.corrupt-"));
        put_many(fixture, 1);
}

/* Damage in the middle of the file is found when it is met: -EBADMSG, then set aside and begun
 * anew, with nothing lost from the old one. */
static void test_corrupt_middle(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(pw_freep) char *moved = NULL;
        static char garbage[4096];
        struct pw_past past;
        off_t size;
        int r = 0;

        put_many(fixture, 1000);
        assert_int_equal(pw_store_checkpoint(fixture->store), 0);
        close_store(fixture);
        size = size_of(fixture, "history.db");
        memset(garbage, 0xa5, sizeof garbage);
        for (off_t page = 40; page < size / 4096; page += 2)
                write_file(fixture, "history.db", page * 4096, garbage, sizeof garbage);

        open_store(fixture, 0);
        r = pw_store_resume(fixture->store, BOOT_A, 0, 10000, &past);
        if (r == 0)
                pw_past_done(&past);
        for (uint16_t port = 1; port <= 1000 && r == 0; port++) {
                _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(port, "a");

                add(fixture, PW_WRITE_CLOSE, record, T0 + 5000);
                r = pw_store_apply(fixture->store, &fixture->writes, T0 + 5000);
        }
        assert_int_equal(r, -EBADMSG);
        assert_true(strlen(pw_store_error(fixture->store)) > 0);
        pw_writes_drop(&fixture->writes, fixture->writes.n);
        close_store(fixture);
        assert_int_equal(pw_store_set_aside(fixture->dir, &moved), 0);
        assert_int_equal(size_of(fixture, strrchr(moved, '/') + 1), size);
        open_store(fixture, 0);
        put_many(fixture, 1);
        assert_int_equal(number(fixture, "SELECT count(*) FROM interval"), 1);
}

static void test_set_aside_nothing(void **state)
{
        struct fixture *fixture = *state;
        char *moved = (char *)fixture;

        close_store(fixture);
        remove_tree(fixture->dir);
        assert_int_equal(mkdir(fixture->dir, 0700), 0);
        assert_int_equal(pw_store_set_aside(fixture->dir, &moved), 0);
        assert_null(moved);
}

static void test_no_directory(void **state)
{
        struct fixture *fixture = *state;
        int schema;

        close_store(fixture);
        remove_tree(fixture->dir);
        assert_int_equal(try_open(fixture, &schema), -ENOENT);
        assert_int_equal(mkdir(fixture->dir, 0700), 0);
}

/* Somebody deleted the file under the running daemon: what it would write, nobody would find. */
static void test_deleted_while_open(void **state)
{
        struct fixture *fixture = *state;
        char path[128];

        put_many(fixture, 1);
        path_in(fixture, "history.db", path);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(pw_store_apply(fixture->store, &fixture->writes, T0 + 2), -ESTALE);
        assert_true(strlen(pw_store_error(fixture->store)) > 0);
}

/* ---- not permitted ---- */

static int open_unprivileged(struct fixture *fixture)
{
        int status, schema;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
                        _exit(255);
                _exit(-try_open(fixture, &schema));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return -WEXITSTATUS(status);
}

/* A directory or a file that may not be written: an error, and everything stays where it is. */
static void test_not_permitted(void **state)
{
        struct fixture *fixture = *state;
        char path[128];

        put_many(fixture, 1);
        close_store(fixture);
        path_in(fixture, "history.db", path);
        assert_int_equal(chmod(fixture->dir, 0555), 0);
        assert_int_equal(chmod(path, 0444), 0);
        assert_int_equal(open_unprivileged(fixture), -EACCES);
        assert_int_equal(chmod(fixture->dir, 0700), 0);
        assert_int_equal(chmod(path, 0640), 0);
        assert_false(has_file(fixture, "corrupt"));

        remove_tree(fixture->dir);
        assert_int_equal(mkdir(fixture->dir, 0555), 0);
        assert_int_equal(open_unprivileged(fixture), -EACCES);
        assert_int_equal(chmod(fixture->dir, 0700), 0);
        assert_false(has_file(fixture, "history.db"));
}

/* The file may be written, but -wal and -shm cannot be made. */
static void test_directory_not_writable(void **state)
{
        struct fixture *fixture = *state;
        static const char *const companions[] = {"history.db-wal", "history.db-shm"};
        char path[128];

        close_store(fixture);
        for (size_t i = 0; i < PW_ELEMENTS(companions); i++) {
                path_in(fixture, companions[i], path);
                assert_int_equal(unlink(path), 0);
        }
        path_in(fixture, "history.db", path);
        assert_int_equal(chmod(path, 0666), 0);
        assert_int_equal(chmod(fixture->dir, 0555), 0);
        assert_int_equal(open_unprivileged(fixture), -EACCES);
        assert_int_equal(chmod(fixture->dir, 0700), 0);
        assert_false(has_file(fixture, "corrupt"));
}

/* ---- locked ---- */

/* Another program writes: the daemon's loop is held up shortly, and a later try succeeds. */
static void test_locked(void **state)
{
        struct fixture *fixture = *state;
        struct fixture other = *fixture;
        struct pw_past past;
        uint64_t before;
        int schema;

        open_store(&other, 0);
        assert_int_equal(pw_sql_exec(other.store->db, "BEGIN IMMEDIATE"), 0);
        before = pw_now_boottime();
        assert_int_equal(pw_store_apply(fixture->store, &fixture->writes, T0), PW_STORE_BUSY);
        assert_true(pw_now_boottime() - before < 2 * PW_USEC_PER_SEC);
        assert_non_null(strstr(pw_store_error(fixture->store), "locked"));
        assert_int_equal(pw_store_resume(fixture->store, BOOT_A, 0, 1, &past), PW_STORE_BUSY);
        assert_int_equal(pw_store_prune(fixture->store, T0, 0, 1), PW_STORE_BUSY);
        assert_int_equal(try_open(fixture, &schema), -EBUSY);
        assert_int_equal(pw_sql_exec(other.store->db, "COMMIT"), 0);
        apply(fixture, T0);
        assert_false(has_file(fixture, "corrupt"));
        close_store(&other);
}

/* A reader in the middle of a question holds the WAL, not the writer. */
static void test_reader_in_the_way(void **state)
{
        struct fixture *fixture = *state;
        struct fixture other = *fixture;
        uint64_t wal;

        open_store(&other, 0);
        put_many(fixture, 10);
        assert_int_equal(pw_sql_exec(other.store->db, "BEGIN; SELECT count(*) FROM interval"), 0);
        put_many(fixture, 20);
        assert_int_equal(pw_store_checkpoint(fixture->store), PW_STORE_BUSY);
        pw_store_bytes(fixture->store, &wal);
        assert_true(wal > 0);
        assert_int_equal(pw_sql_exec(other.store->db, "COMMIT"), 0);
        assert_int_equal(pw_store_checkpoint(fixture->store), 0);
        pw_store_bytes(fixture->store, &wal);
        assert_int_equal(wal, 0);
        close_store(&other);
}

/* ---- killed ---- */

/* Opens, closes, alerts, forgets, without end; batch by batch. Tells `started_fd` of the first. */
static void churn(struct fixture *fixture, unsigned seed, int started_fd)
{
        struct pw_past past;

        open_store(fixture, 0);
        if (pw_store_resume(fixture->store, seed % 3 ? BOOT_A : BOOT_B, 0, 100, &past) != 0)
                _exit(1);
        for (uint64_t round = 0;; round++) {
                for (uint16_t i = 0; i < 20; i++) {
                        uint16_t port = (uint16_t)(1 + (seed + round * 7 + i * 3) % 40);
                        struct pw_record *record = make_record(port, port % 2 ? "a" : "b");
                        uint64_t now = T0 + round * 1000 + i;

                        record->opened_usec = now;
                        record->alert_id = port;
                        record->reasons = PW_REASON_UNEXPECTED;
                        add(fixture, round % 2 ? PW_WRITE_CLOSE : PW_WRITE_OPEN, record, now);
                        if (i % 5 == 0)
                                add(fixture, round % 2 ? PW_WRITE_RESOLVED : PW_WRITE_ALERT, record,
                                    now);
                        pw_record_unref(record);
                }
                apply(fixture, T0 + round * 1000);
                if (round == 0 && write(started_fd, "", 1) != 1)
                        _exit(1);
                if (round % 10 == 9)
                        pw_store_prune(fixture->store, T0 + round * 500, 0, 50);
                if (round % 25 == 24)
                        pw_store_checkpoint(fixture->store);
        }
}

/* Killed at any moment: the file is whole, the books are right, no interval is open twice. */
static void test_killed(void **state)
{
        struct fixture *fixture = *state;
        int64_t intervals = 0;

        close_store(fixture);
        for (unsigned i = 0; i < 30; i++) {
                int status, started[2];
                char byte;
                pid_t pid;

                assert_int_equal(pipe(started), 0);
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0)
                        churn(fixture, i, started[1]);
                close(started[1]);
                if (i % 3 != 0) /* else also while it opens the file */
                        assert_int_equal(read(started[0], &byte, 1), 1);
                close(started[0]);
                usleep(3000 + i * 7919 % 40 * 1000);
                kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                open_store(fixture, 0);
                assert_consistent(fixture);
                intervals += number(fixture, "SELECT count(*) FROM interval");
                close_store(fixture);
        }
        assert_true(intervals > 0); /* the children got to write */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_modes),
            TEST(test_clean_stop_leaves_companions),
            TEST(test_settings),
            TEST(test_empty_file),
            TEST(test_half_made_file),
            TEST(test_directory_for_file),
            TEST(test_corrupt_header),
            TEST(test_truncated_file),
            TEST(test_foreign_database),
            TEST(test_wrong_tables),
            TEST(test_newer_schema),
            TEST(test_orphan_wal),
            TEST(test_corrupt_middle),
            TEST(test_set_aside_nothing),
            TEST(test_no_directory),
            TEST(test_deleted_while_open),
            TEST(test_not_permitted),
            TEST(test_directory_not_writable),
            TEST(test_locked),
            TEST(test_reader_in_the_way),
            TEST(test_killed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
