/* SPDX-License-Identifier: MIT */
/* Catches: a rule written where it has no effect, one written twice, a file that loses its comments
 * or its last line, a write into a set of rules that is refused as a whole, and a refusal without a
 * place. */

#include "daemon/rule.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define LOCAL "etc/50-local.rules"
#define NOW (1795000000 * PW_USEC_PER_SEC) /* 2026-11-18 */

static char root[] = "/tmp/portwatch-edit-XXXXXX";
static char place[PW_REFUSAL_MAX + 4096];

static const char *path_of(const char *name)
{
        static char path[256];

        snprintf(path, sizeof path, "%s/%s", root, name);
        return path;
}

static int make_root(void **state _unused_)
{
        return mkdtemp(root) ? 0 : -1;
}

static int run(const char *command)
{
        char text[256];

        snprintf(text, sizeof text, "cd '%s' && %s", root, command);
        return system(text);
}

static int make_dirs(void **state _unused_)
{
        return run("rm -rf etc lib && mkdir etc lib");
}

static int remove_root(void **state _unused_)
{
        return run("rm -rf etc lib other && rmdir \"$PWD\"");
}

static void put(const char *name, const char *text)
{
        assert_int_equal(
            pw_write_file_atomic(AT_FDCWD, path_of(name), text, strlen(text), 0600, false), 0);
}

static void assert_file(const char *name, const char *expected)
{
        char text[8192];

        assert_true(pw_read_file(AT_FDCWD, path_of(name), text, sizeof text) >= 0);
        assert_string_equal(text, expected);
}

static int add_to(const char *name, const char *line)
{
        char etc[256], lib[256], path[256];
        const char *dirs[] = {etc, lib, NULL};
        struct pw_policy_paths paths = {dirs, NULL};

        snprintf(etc, sizeof etc, "%s/etc", root);
        snprintf(lib, sizeof lib, "%s/lib/", root);
        snprintf(path, sizeof path, "%s/%s", root, name);
        return pw_rule_add(&paths, path, line, NULL, NOW, place, sizeof place);
}

static int add(const char *line)
{
        return add_to(LOCAL, line);
}

static void assert_place(const char *expected)
{
        if (!strstr(place, expected))
                fail_msg("%s (wanted %s)", place, expected);
}

static void test_new_file(void **state _unused_)
{
        struct stat status;
        mode_t before = umask(0077);

        assert_int_equal(add("allow tcp 80"), 0);
        umask(before);
        assert_place("50-local.rules:1");
        assert_file(LOCAL, "allow tcp 80\n");
        assert_int_equal(stat(path_of(LOCAL), &status), 0);
        assert_int_equal(status.st_mode & 07777, 0644);
        assert_int_equal(add("allow tcp 81"), 0);
        assert_file(LOCAL, "allow tcp 80\nallow tcp 81\n");
        assert_int_equal(run("test \"$(ls -A etc)\" = 50-local.rules"), 0);
}

static void test_last_line_without_newline(void **state _unused_)
{
        put(LOCAL, "# mine\r\nallow tcp 22");
        assert_int_equal(add("allow tcp 80"), 0);
        assert_file(LOCAL, "# mine\r\nallow tcp 22\nallow tcp 80\n");
}

/* The comment right above a rule belongs to it. */
static void test_before_the_shadow(void **state _unused_)
{
        put(LOCAL, "# head\n\nallow tcp 22\n  # never\n# telnet\ndeny tcp 1-100  # really\n\n"
                   "# tail");
        assert_int_equal(add("allow tcp 23 user=dev"), 0);
        assert_file(LOCAL, "# head\n\nallow tcp 22\nallow tcp 23 user=dev\n  # never\n# telnet\n"
                           "deny tcp 1-100  # really\n\n# tail");
        /* What is not shadowed goes to the end. */
        assert_int_equal(add("allow tcp 101"), 0);
        assert_true(run("tail -n 1 " LOCAL " | grep -qx 'allow tcp 101'") == 0);
}

static void test_before_the_first_line(void **state _unused_)
{
        put(LOCAL, "deny any any");
        assert_int_equal(add("allow tcp 80"), 0);
        assert_file(LOCAL, "allow tcp 80\ndeny any any");
}

static void test_shadowed_elsewhere(void **state _unused_)
{
        put("lib/10-site.rules", "\ndeny tcp 1-100\n");
        put("etc/90-late.rules", "deny tcp 200\n");
        assert_int_equal(add("allow tcp 23"), 1);
        assert_string_equal(place, path_of("lib/10-site.rules:2"));
        assert_int_equal(access(path_of(LOCAL), F_OK), -1);
        /* A later file shadows nothing. */
        assert_int_equal(add("allow tcp 200"), 0);
}

static void test_there_already(void **state _unused_)
{
        put("lib/10-site.rules", "allow tcp 443 # why\n");
        put(LOCAL, "allow tcp 80 user=dev\n");
        assert_int_equal(add("allow tcp 80 user=dev  # again"), 2);
        assert_place("50-local.rules:1");
        assert_int_equal(add("allow tcp 443"), 2);
        assert_place("10-site.rules:1");
        /* Another text that would change nothing. */
        assert_int_equal(add("allow tcp 80 user=dev scope=any"), 3);
        assert_place("50-local.rules:1");
        assert_file(LOCAL, "allow tcp 80 user=dev\n");
}

/* A rule that ends some day decides until then: behind it, a new one would do nothing for hours. */
static void test_before_what_has_not_ended(void **state _unused_)
{
        put(LOCAL, "allow tcp 80 until=2036-01-01\n");
        assert_int_equal(add("deny tcp 80 user=dev  # 2026-11-18, @1"), 0);
        assert_place("50-local.rules:1");
        assert_file(LOCAL,
                    "deny tcp 80 user=dev  # 2026-11-18, @1\nallow tcp 80 until=2036-01-01\n");
        assert_int_equal(add("deny tcp 80 user=dev  # later"), 2);
        /* The same verdict for longer: it goes on when the other ends. */
        assert_int_equal(add("allow tcp 80"), 0);
        assert_place("50-local.rules:3");
        /* One that has ended is in nobody's way. */
        put(LOCAL, "allow tcp 81 until=2020-01-01\n");
        assert_int_equal(add("deny tcp 81"), 0);
        assert_file(LOCAL, "allow tcp 81 until=2020-01-01\ndeny tcp 81\n");
        /* In another file nothing can be done but to name it. */
        put("lib/10-site.rules", "allow tcp 82 until=2036-01-01\n");
        assert_int_equal(add("deny tcp 82"), 1);
        assert_place("10-site.rules:1");
}

/* The same text below a rule that takes it all has no effect: it is not "there already". */
static void test_there_but_shadowed(void **state _unused_)
{
        put(LOCAL, "deny tcp 80\nallow tcp 80 user=dev\n");
        assert_int_equal(add("allow tcp 80 user=dev"), 0);
        assert_file(LOCAL, "allow tcp 80 user=dev\ndeny tcp 80\nallow tcp 80 user=dev\n");
}

/* A missing port is reported whatever other rules say: an allow does not make it superfluous. */
static void test_require_beside_allow(void **state _unused_)
{
        put("lib/10-site.rules", "allow tcp 5432\ndeny tcp 23\n");
        assert_int_equal(add("require tcp 5432 user=postgres"), 0);
        assert_file(LOCAL, "require tcp 5432 user=postgres\n");
        assert_int_equal(add("require tcp 5432 user=postgres"), 2);
        assert_int_equal(add("require tcp 23"), 1);
}

static void test_refused_lines(void **state _unused_)
{
        put(LOCAL, "# one\nallow tcp 1\n");
        assert_int_equal(add("allow tcp 65536"), -EINVAL);
        assert_place("etc/50-local.rules:3:11: no such port \"65536\"; expected");
        assert_int_equal(add("allow tcp 80 usr=a"), -EINVAL);
        assert_int_equal(add(""), -EINVAL);
        assert_place("expected verdict, protocol and ports");
        assert_int_equal(add("# allow tcp 80"), -EINVAL);
        assert_int_equal(add("allow tcp 80\nallow any any"), -EINVAL);
        assert_place("expected one line");
        assert_int_equal(add("allow tcp 80\r"), -EINVAL);
        assert_file(LOCAL, "# one\nallow tcp 1\n");
}

/* All rules stand or fall together: a rule beside a refused one would not come into force. */
static void test_refused_files(void **state _unused_)
{
        put(LOCAL, "allow tcp 1\nalow tcp 2\n");
        assert_int_equal(add("allow tcp 80"), -EINVAL);
        assert_place("etc/50-local.rules:2:1: unknown verdict");
        put(LOCAL, "allow tcp 1\n");
        put("lib/99-last.rules", "nonsense\n");
        assert_int_equal(add("allow tcp 80"), -EINVAL);
        assert_place("lib/99-last.rules:1:1: ");
        assert_file(LOCAL, "allow tcp 1\n");
}

static void test_bytes_are_kept_or_refused(void **state _unused_)
{
        static const char text[] = "allow tcp 1\n# a\0b\n";

        assert_int_equal(
            pw_write_file_atomic(AT_FDCWD, path_of(LOCAL), text, sizeof text - 1, 0644, false), 0);
        assert_int_equal(add("allow tcp 80"), -EINVAL);
        assert_place(":2:4: \\x00 is not text");
        assert_int_equal(run("test \"$(wc -c < " LOCAL ")\" -eq 18"), 0);
}

static void test_bad_targets(void **state _unused_)
{
        assert_int_equal(mkdir(path_of(LOCAL), 0755), 0);
        assert_int_equal(add("allow tcp 80"), -EINVAL);
        assert_place("is not a plain file");
        assert_int_equal(rmdir(path_of(LOCAL)), 0);
        assert_int_equal(symlink("/dev/null", path_of(LOCAL)), 0);
        assert_int_equal(add("allow tcp 80"), -EINVAL);
        assert_int_equal(unlink(path_of(LOCAL)), 0);
        assert_int_equal(add_to("nowhere/50-local.rules", "allow tcp 80"), -ENOENT);
        assert_int_equal(add_to("etc/50-local.conf", "allow tcp 80"), -EINVAL);
        assert_place("would not be read");
        put(LOCAL, "allow tcp 1\n");
        assert_int_equal(add_to("lib/50-local.rules", "allow tcp 80"), -EINVAL);
        assert_place("would not be read");
}

/* The administrator keeps his rules elsewhere, and links to them. */
static void test_link_is_kept(void **state _unused_)
{
        assert_int_equal(run("mkdir other && echo 'allow tcp 1' > other/mine && "
                             "ln -s ../other/mine " LOCAL),
                         0);
        assert_int_equal(add("allow tcp 80"), 0);
        assert_file("other/mine", "allow tcp 1\nallow tcp 80\n");
        assert_int_equal(run("test -L " LOCAL), 0);
}

/* Whoever may read a directory may lock it: that must not stop the administrator for long. */
static void test_lock_is_not_waited_for_forever(void **state _unused_)
{
        _cleanup_(pw_closep) int fd = open(path_of("etc"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        uint64_t start = pw_now_boottime();

        assert_int_equal(flock(fd, LOCK_EX), 0);
        assert_int_equal(add("allow tcp 80"), 0);
        assert_true(pw_now_boottime() - start < 10 * PW_USEC_PER_SEC);
        assert_file(LOCAL, "allow tcp 80\n");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, make_dirs)
        const struct CMUnitTest tests[] = {
            TEST(test_new_file),
            TEST(test_last_line_without_newline),
            TEST(test_before_the_shadow),
            TEST(test_before_the_first_line),
            TEST(test_shadowed_elsewhere),
            TEST(test_there_already),
            TEST(test_before_what_has_not_ended),
            TEST(test_there_but_shadowed),
            TEST(test_require_beside_allow),
            TEST(test_refused_lines),
            TEST(test_refused_files),
            TEST(test_bytes_are_kept_or_refused),
            TEST(test_bad_targets),
            TEST(test_link_is_kept),
            TEST(test_lock_is_not_waited_for_forever),
        };

        return cmocka_run_group_tests(tests, make_root, remove_root);
}
