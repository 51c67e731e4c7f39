/* SPDX-License-Identifier: MIT */
/* status.json: what is written is read back, hostile text and hostile files are survived, memory
 * does not grow; and the lock: who holds it, who only seems to. */

#include "daemon/status.h"

#include <portwatch/paths.h>
#include <portwatch/text.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
        char dir[64];
        int fd;
        struct pw_status status, read;
};

static int make(void **state)
{
        static struct fixture f;

        memset(&f, 0, sizeof f);
        strcpy(f.dir, "/tmp/portwatch-test-status.XXXXXX");
        assert_non_null(mkdtemp(f.dir));
        f.fd = open(f.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(f.fd >= 0);
        *state = &f;
        return 0;
}

static int remove_entry(const char *path, const struct stat *status _unused_, int type _unused_,
                        struct FTW *place _unused_)
{
        return remove(path);
}

static int drop(void **state)
{
        struct fixture *f = *state;

        close(f->fd);
        return nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Every field has another value, so that two swapped ones are noticed. */
static void fill(struct pw_status *status)
{
        uint64_t n = 1000000;
        uint64_t *const numbers[] = {
            &status->interval_usec,   &status->polls,
            &status->unchanged_polls, &status->incomplete_polls,
            &status->poll_cpu_usec,   &status->poll_wall_usec,
            &status->others_cpu_nsec, &status->unchanged_cpu_nsec,
            &status->proc_reads,      &status->db_writes,
            &status->rss_bytes,       &status->sockets,
            &status->listeners,       &status->unexpected,
            &status->alerts_open,     &status->events_missed,
            &status->events_lost,     &status->alerts_suppressed,
            &status->rows_folded,     &status->rules,
            &status->store_bytes,     &status->store_wal_bytes,
            &status->writes_waiting,  &status->journal_waiting,
        };

        for (size_t i = 0; i < PW_ELEMENTS(numbers); i++)
                *numbers[i] = n++;
        strcpy(status->version, "0.1.0");
        strcpy(status->engine, "polling");
        strcpy(status->rules_error, "a.rules:1:7: expected a port");
        strcpy(status->store_path, "/var/lib/portwatch/history.db");
        strcpy(status->store_state, "ok");
        status->pid = 4711;
        status->started_usec = 1795000000123456;
        status->written_usec = 1795000001000001;
        status->last_poll_usec = 1795000000999999;
        status->n_blind_spots = 2;
        strcpy(status->blind_spots[0].what, "other network namespaces are not looked into");
        strcpy(status->blind_spots[0].lift, "needs CAP_SYS_ADMIN");
        strcpy(status->blind_spots[1].what, "UDP \"clients\" / servers");
        strcpy(status->blind_spots[1].lift, "a later version");
}

static void what_is_written_is_read_back(void **state)
{
        struct fixture *f = *state;
        bool alive = true;

        fill(&f->status);
        f->status.polls = UINT64_MAX;
        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        assert_int_equal(pw_status_read(f->dir, &f->read, &alive), 0);
        assert_memory_equal(&f->read, &f->status, sizeof f->status);
        assert_false(alive);
}

/* Times that are not known must not be read back as 1970. */
static void an_empty_status_is_read_back(void **state)
{
        struct fixture *f = *state;
        bool alive;

        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        assert_int_equal(pw_status_read(f->dir, &f->read, &alive), 0);
        assert_memory_equal(&f->read, &f->status, sizeof f->status);
}

/* portwatchctl, monitoring and people read this file: its keys are an interface. */
static void the_keys_are_as_documented(void **state)
{
        static const char *const expected[] = {
            "\"version\":\"0.1.0\"",
            "\"pid\":4711",
            "\"started\":\"2026-11-18T11:06:40.123456Z\"",
            "\"engine\":\"polling\"",
            "\"interval_usec\":",
            "\"polls\":",
            "\"unchanged_polls\":",
            "\"poll_cpu_usec\":",
            "\"poll_wall_usec\":",
            "\"proc_reads\":",
            "\"db_writes\":",
            "\"rss_bytes\":",
            "\"listeners\":",
            "\"blind_spots\":[",
            "\"events_lost\":",
            "\"alerts_suppressed\":",
            "\"store\":{",
            "\"path\":\"/var/lib/portwatch/history.db\"",
            "\"bytes\":",
            "\"state\":\"ok\"",
        };
        struct fixture *f = *state;
        char text[65536];

        fill(&f->status);
        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        assert_true(pw_read_file(f->fd, PW_STATUS_FILE, text, sizeof text) > 0);
        for (size_t i = 0; i < PW_ELEMENTS(expected); i++)
                if (!strstr(text, expected[i]))
                        fail_msg("%s is not in %s", expected[i], text);
}

static void anybody_may_read_the_files(void **state)
{
        struct fixture *f = *state;
        mode_t umask_before = umask(0077);
        struct stat status;
        int lock = pw_status_lock(f->fd);

        assert_true(lock >= 0);
        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        umask(umask_before);
        assert_int_equal(fstatat(f->fd, PW_STATUS_FILE, &status, 0), 0);
        assert_int_equal(status.st_mode & 07777, 0644);
        assert_int_equal(fstatat(f->fd, PW_LOCK_FILE, &status, 0), 0);
        assert_int_equal(status.st_mode & 07777, 0644);
        close(lock);
}

/* The path of the state directory is typed by a person: bytes that are no text reach no reader. */
static void hostile_text_is_cleaned(void **state)
{
        struct fixture *f = *state;
        char text[65536];
        bool alive;

        strcpy(f->status.store_path, "/tmp/\xff\x1b[2J\n\"}");
        memset(f->status.store_state, 'x', sizeof f->status.store_state); /* no NUL */
        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        assert_true(pw_read_file(f->fd, PW_STATUS_FILE, text, sizeof text) > 0);
        assert_null(strchr(text, '\x1b'));
        assert_null(strchr(text, '\xff'));
        assert_int_equal(pw_status_read(f->dir, &f->read, &alive), 0);
        assert_string_equal(f->read.store_path, "/tmp/\\xff\\x1b[2J\\x0a\"}");
        assert_true(pw_text_is_clean(f->read.store_state));
        assert_int_equal(strlen(f->read.store_state), sizeof f->read.store_state - 1);
}

/* All texts at their longest, each byte escaped in JSON, must still be read back. */
static void the_largest_status_fits(void **state)
{
        struct fixture *f = *state;
        bool alive;

        fill(&f->status);
        memset(f->status.store_path, '"', sizeof f->status.store_path - 1);
        memset(f->status.store_state, '\\', sizeof f->status.store_state - 1);
        memset(f->status.rules_error, '"', sizeof f->status.rules_error - 1);
        f->status.n_blind_spots = PW_BLIND_SPOTS_MAX;
        for (size_t i = 0; i < PW_BLIND_SPOTS_MAX; i++) {
                memset(f->status.blind_spots[i].what, '"', PW_BLIND_TEXT_MAX - 1);
                memset(f->status.blind_spots[i].lift, '"', PW_BLIND_TEXT_MAX - 1);
        }
        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        assert_int_equal(pw_status_read(f->dir, &f->read, &alive), 0);
        assert_memory_equal(&f->read, &f->status, sizeof f->status);
}

/* The file is written for months: what a thousand writes leave behind must be less than one small
 * object each. (The allocator's own lists fill up during the first ones.) */
static void writing_takes_no_more_and_more_memory(void **state)
{
        struct fixture *f = *state;
        size_t before = 0;

        fill(&f->status);
        for (int i = 0; i < 1200; i++) {
                if (i == 200)
                        before = mallinfo2().uordblks;
                assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        }
        assert_true(mallinfo2().uordblks < before + 16 * 1024);
}

static void writing_fails_where_the_directory_is_gone(void **state)
{
        struct fixture *f = *state;
        int file = openat(f->fd, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);

        assert_int_equal(pw_status_write(file, &f->status), -ENOTDIR);
        close(file);
}

static void put(struct fixture *f, const char *text, size_t length)
{
        assert_int_equal(pw_write_file_atomic(f->fd, PW_STATUS_FILE, text, length, 0644, false), 0);
}

static void assert_unreadable(struct fixture *f, const char *text, size_t length)
{
        struct pw_status before;
        bool alive = true;

        put(f, text, length);
        memset(&f->read, 7, sizeof f->read);
        before = f->read;
        assert_int_equal(pw_status_read(f->dir, &f->read, &alive), -EBADMSG);
        assert_memory_equal(&f->read, &before, sizeof before);
        assert_true(alive);
}

static void files_that_are_no_status_are_told_apart(void **state)
{
        struct fixture *f = *state;
        static char huge[256 * 1024];
        bool alive;

        assert_int_equal(pw_status_read("/nonexistent", &f->read, &alive), -ENOENT);
        assert_int_equal(pw_status_read(f->dir, &f->read, &alive), -ENOENT);
        assert_unreadable(f, "", 0);
        assert_unreadable(f, "{\"pid\":", 7);
        assert_unreadable(f, "[1]", 3);
        assert_unreadable(f, "null", 4);
        assert_unreadable(f, "{\"a\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}", 36);
        memset(huge, '[', sizeof huge);
        assert_unreadable(f, huge, sizeof huge);
        memset(huge, ' ', sizeof huge);
        assert_unreadable(f, huge, sizeof huge);
}

/* A file of another version, or of somebody's making: wrong types count as not there. */
static void wrong_types_and_unknown_keys_are_skipped(void **state)
{
        static const char text[] =
            "{\"new\":{},\"pid\":\"x\",\"polls\":-5,\"version\":17,\"started\":\"yesterday\","
            "\"written\":\"2026-11-18T11:06:40.1Z\",\"last_poll\":\"1969-01-01T00:00:00.000000Z\","
            "\"store\":[],\"engine\":\"pol\\u001bling\",\"blind_spots\":[1,{\"what\":[]},"
            "{\"what\":\"w\\n\",\"lift\":\"l\"}]}";
        struct fixture *f = *state;
        bool alive;

        put(f, text, sizeof text - 1);
        assert_int_equal(pw_status_read(f->dir, &f->read, &alive), 0);
        assert_int_equal(f->read.pid, 0);
        assert_int_equal(f->read.polls, 0);
        assert_string_equal(f->read.version, "");
        assert_int_equal(f->read.started_usec, 0);
        assert_int_equal(f->read.written_usec, 0);
        assert_int_equal(f->read.last_poll_usec, 0);
        assert_string_equal(f->read.engine, "pol\\x1bling");
        assert_int_equal(f->read.n_blind_spots, 3);
        assert_string_equal(f->read.blind_spots[2].what, "w\\x0a");
        assert_string_equal(f->read.blind_spots[2].lift, "l");
}

static void too_many_blind_spots_are_cut(void **state)
{
        struct fixture *f = *state;
        char text[4096] = "{\"blind_spots\":[{}";
        bool alive;

        for (int i = 0; i < 40; i++)
                strcat(text, ",{\"what\":\"x\"}");
        strcat(text, "]}");
        put(f, text, strlen(text));
        assert_int_equal(pw_status_read(f->dir, &f->read, &alive), 0);
        assert_int_equal(f->read.n_blind_spots, PW_BLIND_SPOTS_MAX);
}

/* ---- the lock ---- */

static bool is_alive(struct fixture *f)
{
        bool alive;

        assert_int_equal(pw_status_read(f->dir, &f->read, &alive), 0);
        return alive;
}

static void the_lock_says_whether_the_daemon_lives(void **state)
{
        struct fixture *f = *state;
        int lock, second;

        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        assert_false(is_alive(f));
        lock = pw_status_lock(f->fd);
        assert_true(lock >= 0);
        assert_true(is_alive(f));
        assert_int_equal(pw_status_lock(f->fd), -EBUSY);
        assert_true(is_alive(f)); /* the refused attempt has not broken the first */
        close(lock);
        assert_false(is_alive(f));
        second = pw_status_lock(f->fd);
        assert_true(second >= 0);
        close(second);
}

/* The lock is the descriptor's: that somebody else in this process reads the file and closes it
 * must not release it, as it would with a POSIX lock. */
static void the_lock_outlives_other_descriptors(void **state)
{
        struct fixture *f = *state;
        int lock = pw_status_lock(f->fd);

        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        close(openat(f->fd, PW_LOCK_FILE, O_RDONLY | O_CLOEXEC));
        assert_true(is_alive(f));
        close(lock);
}

static void a_dead_daemon_leaves_no_lock(void **state)
{
        struct fixture *f = *state;
        int status;
        pid_t child = fork();

        if (child == 0)
                _exit(pw_status_lock(f->fd) >= 0 ? 0 : 1);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        assert_false(is_alive(f));
}

/* Anybody may open the file for reading, and lock it so. That must look like nothing at all. */
static void a_reader_cannot_pose_as_the_daemon(void **state)
{
        struct fixture *f = *state;
        struct flock read_lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
        int lock = pw_status_lock(f->fd), reader;

        close(lock);
        assert_int_equal(pw_status_write(f->fd, &f->status), 0);
        reader = openat(f->fd, PW_LOCK_FILE, O_RDONLY | O_CLOEXEC);
        assert_int_equal(fcntl(reader, F_OFD_SETLK, &read_lock), 0);
        assert_false(is_alive(f));
        lock = pw_status_lock(f->fd);
        assert_true(lock >= 0);
        assert_true(is_alive(f));
        assert_int_equal(pw_status_lock(f->fd), -EBUSY);
        close(reader);
        close(lock);
}

static void a_link_in_place_of_the_lock_is_not_followed(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(symlinkat("elsewhere", f->fd, PW_LOCK_FILE), 0);
        assert_int_equal(pw_status_lock(f->fd), -ELOOP);
        assert_int_equal(faccessat(f->fd, "elsewhere", F_OK, 0), -1);
}

#define in_directory(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void)
{
        const struct CMUnitTest tests[] = {
            in_directory(what_is_written_is_read_back),
            in_directory(an_empty_status_is_read_back),
            in_directory(the_keys_are_as_documented),
            in_directory(anybody_may_read_the_files),
            in_directory(hostile_text_is_cleaned),
            in_directory(the_largest_status_fits),
            in_directory(writing_takes_no_more_and_more_memory),
            in_directory(writing_fails_where_the_directory_is_gone),
            in_directory(files_that_are_no_status_are_told_apart),
            in_directory(wrong_types_and_unknown_keys_are_skipped),
            in_directory(too_many_blind_spots_are_cut),
            in_directory(the_lock_says_whether_the_daemon_lives),
            in_directory(the_lock_outlives_other_descriptors),
            in_directory(a_dead_daemon_leaves_no_lock),
            in_directory(a_reader_cannot_pose_as_the_daemon),
            in_directory(a_link_in_place_of_the_lock_is_not_followed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
