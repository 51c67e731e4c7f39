/* SPDX-License-Identifier: MIT */
/* Who takes many UDP ports: would catch a server with a few ports that is folded, a resolver that
 * is not, a process that is taken for another one with the same pid, and a table that grows or
 * forgets those who are busy. */

#include "daemon/fold.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PROCESSES 128 /* that are remembered */

static struct pw_fold *fold;

static int set_up(void **state _unused_)
{
        return pw_fold_new(&fold);
}

static int tear_down(void **state _unused_)
{
        pw_fold_free(fold);
        return 0;
}

/* Ports from `first` on. Whether the process takes many after the last one. */
static bool takes(pid_t pid, uint64_t started, unsigned first, unsigned n)
{
        bool many = false;

        for (unsigned i = 0; i < n; i++)
                many = pw_fold_count(fold, pid, started, (uint16_t)(first + i));
        assert_int_equal(pw_fold_takes_many(fold, pid, started), many);
        return many;
}

static void test_the_limit(void **state _unused_)
{
        assert_false(pw_fold_takes_many(fold, 10, 1));
        assert_false(takes(10, 1, 1000, PW_FOLD_PORTS));
        assert_true(takes(10, 1, 5000, 1));
        /* From then on any port, also one that was told by itself. */
        assert_true(takes(10, 1, 1000, 1));
}

/* A server that is bound to its ports again and again. */
static void test_the_same_ports(void **state _unused_)
{
        for (unsigned i = 0; i < 1000; i++)
                assert_false(takes(10, 1, 1000, PW_FOLD_PORTS));
}

/* The highest port and port 0 are ports like others. */
static void test_extreme_ports(void **state _unused_)
{
        assert_false(takes(10, 1, UINT16_MAX, 2));
        assert_false(takes(10, 1, UINT16_MAX - 1, 3));
        assert_false(takes(10, 1, 1000, PW_FOLD_PORTS - 3));
        assert_true(takes(10, 1, 2000, 1));
}

static void test_processes_are_apart(void **state _unused_)
{
        assert_true(takes(10, 1, 1000, PW_FOLD_PORTS + 1));
        assert_false(pw_fold_takes_many(fold, 11, 1));
        assert_false(takes(11, 1, 1000, PW_FOLD_PORTS));
        /* Another process with the pid. */
        assert_false(pw_fold_takes_many(fold, 10, 2));
        assert_false(takes(10, 2, 1000, PW_FOLD_PORTS));
        assert_true(pw_fold_takes_many(fold, 10, 1));
}

/* An empty place is not the process whose pid and start time are 0. */
static void test_no_process(void **state _unused_)
{
        assert_false(pw_fold_takes_many(fold, 0, 0));
        assert_true(takes(0, 0, 1000, PW_FOLD_PORTS + 1));
        assert_false(pw_fold_takes_many(fold, 1, 0));
}

/* The one that has been quiet the longest goes, and who comes in its place begins anew. */
static void test_the_quiet_one_goes(void **state _unused_)
{
        assert_true(takes(1, 1, 1000, PW_FOLD_PORTS + 1));
        assert_true(takes(2, 1, 1000, PW_FOLD_PORTS + 1));
        for (pid_t pid = 3; pid <= PROCESSES; pid++)
                assert_false(takes(pid, 1, 1000, 1));
        assert_true(takes(1, 1, 1000, 1));
        assert_false(takes(1000, 1, 1000, PW_FOLD_PORTS));
        assert_true(pw_fold_takes_many(fold, 1, 1));
        assert_false(pw_fold_takes_many(fold, 2, 1));
        assert_false(takes(2, 1, 1000, 1)); /* in the place of another quiet one */
        assert_true(pw_fold_takes_many(fold, 1, 1));
}

/* Asking is not noting: it keeps nobody in the table. */
static void test_asking_notes_nothing(void **state _unused_)
{
        assert_true(takes(1, 1, 1000, PW_FOLD_PORTS + 1));
        for (pid_t pid = 2; pid <= PROCESSES; pid++)
                takes(pid, 1, 1000, 1);
        for (unsigned i = 0; i < 1000; i++)
                assert_true(pw_fold_takes_many(fold, 1, 1));
        takes(1000, 1, 1000, 1);
        assert_false(pw_fold_takes_many(fold, 1, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_the_limit),
            TEST(test_the_same_ports),
            TEST(test_extreme_ports),
            TEST(test_processes_are_apart),
            TEST(test_no_process),
            TEST(test_the_quiet_one_goes),
            TEST(test_asking_notes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
