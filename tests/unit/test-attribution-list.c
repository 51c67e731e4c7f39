/* SPDX-License-Identifier: MIT */
/* Attribution of much at once, and by the kernel's list, which spares most of its reads: would
 * catch reads that a quiet host should not pay for, a part of a long search that is lost, a search
 * without an end, and a list that failed but passes for complete. */

#include "daemon/holders.h"

#include "tests/unit/attribution-tree.h"

/* ---- cost ---- */

static void nothing_asked(void **state)
{
        (void)state;
        assert_int_equal(pw_attribution_find(attribution, NULL, 0, false, NULL), 0);
        assert_int_equal(pw_attribution_find(attribution, NULL, 0, true, NULL), 0);
        assert_int_equal(pw_attribution_held(attribution, NULL, NULL, 0, NULL), 0);
        assert_int_equal(pw_attribution_reads(attribution), 0);
}

/* A table larger than what is read at first sight is read to its end, and makes one holder. */
static void large_table(void **state)
{
        (void)state;
        process(10, 100, "/");
        for (unsigned i = 1; i <= SOCKETS_MAX; i++) {
                holds(10, (int)i, i);
                want(i, 0);
        }
        for (int everyone = 0; everyone < 2; everyone++) {
                find(everyone);
                for (size_t i = 0; i < n_sockets; i++) {
                        assert_ptr_equal(owners[i], owners[0]);
                        assert_int_equal(owners[i]->n_holders, 1);
                }
        }
        assert_int_equal(pw_attribution_held(attribution, asked, owners, 1, held), 0);
        assert_true(held[0]);
}

/* When it is too late, nothing is read, and that shows. */
static void late(void **state)
{
        struct pw_proc *proc = calloc(1, sizeof *proc);
        struct pw_holders holders;

        (void)state;
        assert_non_null(proc);
        proc->fd = roots.proc_fd;
        process(1, 1, "/");
        process(10, 100, "/");
        holds(10, 3, 1);
        want(1, 0);
        for (uint64_t deadline = 0; deadline < 2; deadline++) {
                proc->deadline_usec = deadline;
                assert_int_equal(pw_holders_begin(&holders, proc, asked, 1), 0);
                assert_int_equal(pw_holders_visit(&holders, 10), deadline);
                assert_int_equal(holders.n_missing, deadline);
                assert_int_equal(holders.hidden, deadline);
                pw_holders_done(&holders);
                assert_int_equal(pw_holders_begin(&holders, proc, asked, 1), 0);
                assert_int_equal(pw_holders_visit_all(&holders, true), 0);
                assert_int_equal(holders.n_missing, deadline);
                assert_int_equal(holders.hidden, deadline);
                pw_holders_done(&holders);
        }
        free(proc);
}

/* Each descriptor is read once, each process once more; one owner for all. */
static void many_sockets(void **state)
{
        uint64_t before;

        (void)state;
        process(70, 700, "/");
        for (unsigned i = 0; i < SOCKETS_MAX; i++) {
                holds(70, (int)i + 10, i + 1);
                want(SOCKETS_MAX - i, 0);
        }
        before = pw_attribution_reads(attribution);
        find(true);
        assert_true(pw_attribution_reads(attribution) - before < SOCKETS_MAX + 30);
        for (size_t i = 0; i < SOCKETS_MAX; i++)
                assert_ptr_equal(owners[i], owners[0]);
        assert_int_equal(owners[0]->references, SOCKETS_MAX);
}

/* So many that several threads share them: would catch a part of the search that is lost or counted
 * twice when the parts are put together. */
static void many_processes(void **state)
{
        enum { N = 400 };

        (void)state;
        for (int i = 0; i < N; i++) {
                process(1000 + i, (unsigned)(5000 - i), "/");
                holds(1000 + i, 3, 1);
                holds(1000 + i, 4, (unsigned)(10 + i));
                if (i % 2)
                        holds(1000 + i, 5, 2);
        }
        want(1, 0);
        want(2, 0);
        for (unsigned i = 0; i < N; i++)
                want(10 + i, 0);
        want(3, 0);
        find(true);
        assert_int_equal(owners[0]->n_holders, N);
        assert_int_equal(owners[1]->n_holders, N / 2);
        for (int i = 0; i < PW_OWNER_PIDS_MAX; i++) {
                assert_int_equal(owners[0]->pids[i], 1000 + N - 1 - i);
                assert_int_equal(owners[1]->pids[i], 1000 + N - 1 - 2 * i);
        }
        for (int i = 0; i < N; i++) {
                assert_int_equal(owners[2 + i]->n_holders, 1);
                assert_int_equal(owners[2 + i]->pids[0], 1000 + i);
        }
        assert_int_equal(owners[2 + N]->unknown, PW_UNKNOWN_NO_HOLDER);
}

/* ---- by the kernel's list ---- */

/* Tells of one holder only, and returns what it is given. */
static int list_one(void *result, pw_descriptor_found found, void *userdata)
{
        int r = found(userdata, 4711, 70, 700, "p70");

        if (r == 0)
                r = found(userdata, 1, 72, 720, "p72");
        if (r == 0)
                r = found(userdata, 4711, 70, 700, "p70"); /* the rest of a large table */
        return r < 0 ? r : *(int *)result;
}

static void find_by_list(int result)
{
        share(70, 71, 4711, 4712, 1);
        pw_attribution_list_by(attribution, (struct pw_descriptors){list_one, &result});
        find(true);
        assert_int_equal(owners[1]->n_holders, 1); /* the list did not tell of it */
        assert_int_equal(owners[1]->pids[0], 71);
}

static void complete_list(void **state)
{
        (void)state;
        find_by_list(0);
        assert_int_equal(owners[0]->n_holders, 1);
}

/* What it told before it failed is not all. */
static void failed_list(void **state)
{
        (void)state;
        find_by_list(-EIO);
        assert_int_equal(owners[0]->n_holders, 2);
        assert_int_equal(owners[0]->pids[0], 70);
        assert_int_equal(owners[0]->pids[1], 71);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(nothing_asked), TEST(many_sockets),  TEST(many_processes), TEST(large_table),
            TEST(late),          TEST(complete_list), TEST(failed_list),
        };

        return cmocka_run_group_tests(tests, make_top, remove_top);
}
