/* SPDX-License-Identifier: MIT */
/* Readers of the history: would catch another file's lock taken for one, the daemon naming itself, and
 * a process named twice. */

#include "daemon/readers.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
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

/* The kernel's own words, so that a change of its format is noticed. */
static void test_live(void **state)
{
        char path[] = "/tmp/test-readers-XXXXXX", byte;
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 124, .l_len = 1};
        int fd = mkstemp(path), proc = open("/proc", O_RDONLY | O_DIRECTORY), ready[2];
        pid_t child, pids[4];

        (void)state;
        assert_int_equal(pipe(ready), 0);
        child = fork();
        if (child == 0) {
                int locked = fcntl(fd, F_SETLK, &lock);

                if (write(ready[1], "", 1) == 1 && locked == 0)
                        alarm(30), pause();
                _exit(1);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(pw_readers_find(proc, AT_FDCWD, path, pids, 4), 1);
        assert_int_equal(pids[0], child);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        assert_int_equal(pw_readers_find(proc, AT_FDCWD, path, pids, 4), 0);
        assert_int_equal(pw_readers_find(proc, AT_FDCWD, "/nonexistent", pids, 4), 0);
        unlink(path);
        close(fd);
        close(proc);
        close(ready[0]);
        close(ready[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_parse),
            cmocka_unit_test(test_live),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
