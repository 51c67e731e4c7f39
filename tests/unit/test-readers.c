/* SPDX-License-Identifier: MIT */
/* Readers of the history: would catch another file's lock taken for one, the daemon naming itself,
 * a process named twice, and a reader missed where stat(2) has another device than the kernel's
 * list. */

#include "daemon/readers.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_parse(void **state)
{
        static const char text[] = "1: POSIX  ADVISORY  READ  4711 fe:00:393275 124 124\n"
                                   "2: POSIX  ADVISORY  READ  100 fe:00:393275 128 128\n"
                                   "3: POSIX  ADVISORY  READ  4711 fe:00:393275 120 120\n"
                                   "4: POSIX  ADVISORY  READ  5 fe:00:393276 124 124\n"
                                   "5: POSIX  ADVISORY  READ  6 fe:01:393275 124 124\n"
                                   "6: FLOCK  ADVISORY  WRITE 7 fe:00:393275 0 EOF\n"
                                   "7: OFDLCK ADVISORY  READ  -1 fe:00:393275 0 EOF\n"
                                   "8: -> POSIX ADVISORY READ 8 fe:00:393275 124 124\n"
                                   "nonsense\n\n"
                                   "9: POSIX  MANDATORY WRITE 9 fe:00:393275 124 124";
        pid_t pids[8];

        (void)state;
        assert_int_equal(pw_readers_parse(text, makedev(0xfe, 0), 393275, 100, pids, 8), 2);
        assert_int_equal(pids[0], 4711);
        assert_int_equal(pids[1], 9);
        assert_int_equal(pw_readers_parse(text, makedev(0xfe, 0), 393275, 100, pids, 1), 1);
        assert_int_equal(pw_readers_parse("", makedev(0xfe, 0), 393275, 100, pids, 8), 0);
}

/* stat(2) says 00:2b, the list 00:2a: our own lock tells, and another file with the same inode
 * number on the device of stat(2) is not ours. */
static void test_other_device(void **state)
{
        static const char text[] = "1: POSIX  ADVISORY  READ 4711 00:2a:25 124 124\n"
                                   "2: POSIX  ADVISORY  READ 5 00:2b:25 124 124\n"
                                   "3: POSIX  ADVISORY  WRITE 100 00:2a:26 120 120\n"
                                   "4: POSIX  ADVISORY  READ 100 00:2a:25 128 128\n";
        pid_t pids[8];

        (void)state;
        assert_int_equal(pw_readers_parse(text, makedev(0, 0x2b), 25, 100, pids, 8), 1);
        assert_int_equal(pids[0], 4711);
        assert_int_equal(pw_readers_parse(text, makedev(0, 0x2b), 25, 200, pids, 8), 1);
        assert_int_equal(pids[0], 5);
}

/* A child with a lock for reading on byte 124 of the file. */
static pid_t start_reader(const char *path)
{
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 124, .l_len = 1};
        int ready[2];
        pid_t child;
        char byte;

        assert_int_equal(pipe(ready), 0);
        child = fork();
        if (child == 0) {
                int fd = open(path, O_RDWR);

                if (fcntl(fd, F_SETLK, &lock) == 0 && write(ready[1], "", 1) == 1)
                        alarm(30), pause();
                _exit(1);
        }
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return child;
}

static void stop_reader(pid_t child)
{
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
}

/* A reader of `path`, on which this process has a lock of its own, is found while it is there. */
static bool finds_reader(const char *path)
{
        struct flock own = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 128, .l_len = 1};
        int fd = open(path, O_RDWR | O_CREAT, 0600), proc = open("/proc", O_RDONLY | O_DIRECTORY);
        size_t before, during;
        pid_t child, pids[4];

        if (fcntl(fd, F_SETLK, &own) < 0)
                return false;
        before = pw_readers_find(proc, AT_FDCWD, path, pids, 4);
        child = start_reader(path);
        during = pw_readers_find(proc, AT_FDCWD, path, pids, 4);
        stop_reader(child);
        close(fd);
        close(proc);
        return before == 0 && during == 1 && pids[0] == child;
}

/* The kernel's own words, so that a change of its format is noticed. */
static void test_live(void **state)
{
        char path[] = "/tmp/test-readers-XXXXXX";
        int proc = open("/proc", O_RDONLY | O_DIRECTORY);
        pid_t pids[4];

        (void)state;
        close(mkstemp(path));
        assert_true(finds_reader(path));
        assert_int_equal(pw_readers_find(proc, AT_FDCWD, "/nonexistent", pids, 4), 0);
        unlink(path);
        close(proc);
}

/* An overlay whose layers are on two file systems, in a mount namespace of its own. */
static bool mount_overlay(void)
{
        return unshare(CLONE_NEWNS) == 0 &&
               mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0 && mkdir("/mnt/lower", 0755) == 0 &&
               mount("tmpfs", "/mnt/lower", "tmpfs", 0, NULL) == 0 &&
               mkdir("/mnt/upper", 0755) == 0 && mkdir("/mnt/work", 0755) == 0 &&
               mkdir("/mnt/both", 0755) == 0 &&
               mount("overlay", "/mnt/both", "overlay", 0,
                     "lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work") == 0;
}

static void test_overlay(void **state)
{
        int status;
        pid_t child = fork();

        (void)state;
        if (child == 0) {
                if (!mount_overlay())
                        _exit(77);
                _exit(finds_reader("/mnt/both/file") ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip(); /* not permitted, or no overlayfs */
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_parse),
            cmocka_unit_test(test_other_device),
            cmocka_unit_test(test_live),
            cmocka_unit_test(test_overlay),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
