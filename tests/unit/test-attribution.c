/* SPDX-License-Identifier: MIT */
/* Attribution over made-up /proc, /etc and cgroup trees: would catch the wrong principal, a holder
 * left out, sockets of one owner that get several, and a guess where nothing is known. What needs
 * the kernel's own links is in check-attribution.c. */

#include "tests/unit/attribution-tree.h"

#include <portwatch/text.h>

/* Returns the id of the cgroup: the inode of its directory. */
static uint64_t cgroup(const char *path, int pid)
{
        struct stat st;
        char name[512];

        snprintf(name, sizeof name, "cgroup%s/cgroup.procs", path);
        put(name, 0, pid ? "%d\n" : "\n", pid);
        snprintf(name, sizeof name, "cgroup%s", path);
        assert_int_equal(fstatat(top_fd, name, &st, 0), 0);
        return st.st_ino;
}

/* ---- who it is ---- */

static void one_holder(void **state)
{
        const struct pw_owner *owner;

        (void)state;
        process(70, 700, "/system.slice/ssh.service");
        put("proc/70/cmdline", 12, "sshd%c-D%cx\n%c", 0, 0, 0);
        holds(70, 3, 4711);
        want(4711, 0);
        find(true);
        owner = owners[0];
        assert_int_equal(owner->unknown, PW_KNOWN);
        assert_string_equal(owner->user, "first"); /* the first line of passwd wins */
        assert_int_equal(owner->uid, geteuid());
        assert_string_equal(owner->unit, "ssh.service");
        assert_null(owner->user_unit);
        assert_null(owner->container);
        assert_string_equal(owner->comm, "p70");
        assert_string_equal(owner->cmdline, "sshd -D x\\x0a");
        assert_int_equal(owner->n_pids, 1);
        assert_int_equal(owner->n_holders, 1);
        assert_int_equal(owner->pids[0], 70);
        assert_int_equal(owner->started[0], 700);
        assert_int_equal(owner->traits, 0);
        assert_false(pw_attribution_is_partial(attribution));
}

/* The master of a pool is who started first, not who has the lowest pid. */
static void principal_and_workers(void **state)
{
        (void)state;
        process(50, 900, "/system.slice/web.service/worker");
        process(60, 800, "/system.slice/web.service");
        process(70, 900, "/system.slice/web.service/worker");
        for (int pid = 50; pid <= 70; pid += 10) {
                holds(pid, 3, 1);
                holds(pid, 4, 1); /* the same once more */
                holds(pid, 5, 2);
        }
        holds(60, 6, 3);
        want(1, 0);
        want(2, 0);
        want(3, 0);
        want(2, 0); /* another row of the same socket */
        find(true);
        assert_ptr_equal(owners[0], owners[1]);
        assert_ptr_equal(owners[0], owners[3]);
        assert_ptr_not_equal(owners[0], owners[2]);
        assert_true(pw_owner_same(owners[0], owners[2]));
        assert_int_equal(owners[0]->n_holders, 3);
        assert_int_equal(owners[0]->pids[0], 60);
        assert_int_equal(owners[0]->pids[1], 50);
        assert_int_equal(owners[0]->pids[2], 70);
        assert_int_equal(owners[2]->n_holders, 1);
}

/* More holders than are listed, in descending order of their start: the first must survive. */
static void many_holders(void **state)
{
        (void)state;
        for (int i = 0; i < 40; i++) {
                process(100 + i, (unsigned)(1000 - i), "/");
                holds(100 + i, 3, 1);
                holds(100 + i, 4, 2);
                if (i > 0) /* differs only in a holder that is not listed */
                        holds(100 + i, 5, 3);
        }
        want(1, 0);
        want(2, 0);
        want(3, 0);
        find(true);
        assert_int_equal(owners[0]->n_holders, 40);
        assert_int_equal(owners[0]->n_pids, PW_OWNER_PIDS_MAX);
        for (int i = 0; i < PW_OWNER_PIDS_MAX; i++)
                assert_int_equal(owners[0]->pids[i], 139 - i);
        assert_ptr_equal(owners[0], owners[1]);
        assert_int_equal(owners[2]->n_holders, 39);
}

/* A socket unit's name is the same whether or not its service runs. */
static void socket_activation(void **state)
{
        uint64_t unit = cgroup("/system.slice/x.socket", 0);

        (void)state;
        holds(1, 3, 1);
        holds(1, 4, 2);
        want(1, unit);
        want(2, 0);
        for (int everyone = 0; everyone <= 1; everyone++) {
                find(everyone);
                assert_string_equal(owners[0]->unit, "x.socket");
                assert_int_equal(owners[0]->pids[0], 1);
                assert_string_equal(owners[1]->unit, "init.scope");
        }
        process(70, 700, "/system.slice/x.service");
        holds(70, 3, 1);
        find(false);
        assert_string_equal(owners[0]->unit, "x.socket");
        assert_int_equal(owners[0]->pids[0], 1);
        assert_int_equal(owners[0]->pids[1], 70);
        assert_int_equal(owners[0]->n_holders, 2);
}

static void cgroup_first(void **state)
{
        uint64_t unit = cgroup("/system.slice/web.service", 70), before, near;

        (void)state;
        process(70, 700, "/system.slice/web.service");
        process(80, 600, "/system.slice/other.service");
        holds(70, 3, 1);
        holds(80, 3, 1);
        holds(80, 4, 2);
        want(1, unit);
        before = pw_attribution_reads(attribution);
        find(false);
        near = pw_attribution_reads(attribution) - before;
        assert_int_equal(owners[0]->n_holders, 1);
        assert_int_equal(owners[0]->pids[0], 70);
        before = pw_attribution_reads(attribution);
        find(true);
        assert_true(pw_attribution_reads(attribution) - before > near);
        assert_int_equal(owners[0]->n_holders, 2);
        assert_int_equal(owners[0]->pids[0], 80);
        /* What is not in its cgroup is elsewhere; what is, is not looked for again. */
        want(2, unit);
        find(false);
        assert_int_equal(owners[0]->n_holders, 1);
        assert_int_equal(owners[0]->pids[0], 70);
        assert_int_equal(owners[1]->pids[0], 80);
        assert_string_equal(owners[1]->unit, "other.service");
}

static void no_cgroup(void **state)
{
        static const uint64_t ids[] = {0, 1, 0xdeadbeefdead};

        (void)state;
        process(70, 700, "/system.slice/web.service");
        holds(70, 3, 1);
        for (size_t i = 0; i < PW_ELEMENTS(ids); i++) {
                want(1, ids[i]);
                find(false);
                assert_int_equal(owners[0]->pids[0], 70);
                forget();
        }
}

/* ---- what is not known ---- */

static void no_holder(void **state)
{
        uint64_t unit =
            cgroup("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", 0);

        (void)state;
        want(1, unit);
        want(0, unit);
        want(2, 0);
        for (int everyone = 0; everyone <= 1; everyone++) {
                find(everyone);
                assert_int_equal(owners[0]->unknown, PW_UNKNOWN_NO_HOLDER);
                assert_string_equal(owners[0]->user, "4000000001");
                assert_int_equal(owners[0]->uid, NOBODY);
                assert_string_equal(owners[0]->unit, "user@1000.service");
                assert_string_equal(owners[0]->user_unit, "foo.service");
                assert_null(owners[0]->exe);
                assert_int_equal(owners[0]->n_pids, 0);
                assert_ptr_equal(owners[0], owners[1]);
                assert_ptr_not_equal(owners[0], owners[2]);
                assert_null(owners[2]->unit);
        }
}

/* hidepid= shows no processes of others, PID 1 included. */
static void hidden_processes(void **state)
{
        (void)state;
        remove_tree("proc/1");
        want(1, 0);
        find(false);
        assert_int_equal(owners[0]->unknown, PW_UNKNOWN_HIDDEN);
        assert_true(pw_attribution_is_partial(attribution));
}

static void unreadable_process(void **state)
{
        (void)state;
        process(70, 700, "/");
        holds(70, 3, 1);
        assert_int_equal(fchmodat(top_fd, "proc/70/fd", 0, 0), 0);
        want(1, 0);
        if (geteuid() == 0)
                assert_int_equal(seteuid(65534), 0);
        find(true);
        if (getuid() == 0)
                assert_int_equal(seteuid(0), 0);
        assert_int_equal(fchmodat(top_fd, "proc/70/fd", 0755, 0), 0);
        assert_int_equal(owners[0]->unknown, PW_UNKNOWN_HIDDEN);
        assert_true(pw_attribution_is_partial(attribution));
        find(true);
        assert_int_equal(owners[0]->unknown, PW_KNOWN);
        assert_false(pw_attribution_is_partial(attribution));
}

/* A kernel thread has nothing to hide. */
static void unreadable_kernel_thread(void **state)
{
        (void)state;
        process(2, 1, "/");
        put("proc/2/stat", 0, "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0\n");
        assert_int_equal(fchmodat(top_fd, "proc/2/fd", 0, 0), 0);
        want(1, 0);
        if (geteuid() == 0)
                assert_int_equal(seteuid(65534), 0);
        find(true);
        if (getuid() == 0)
                assert_int_equal(seteuid(0), 0);
        assert_int_equal(owners[0]->unknown, PW_UNKNOWN_NO_HOLDER);
        assert_int_equal(fchmodat(top_fd, "proc/2/fd", 0755, 0), 0);
}

/* A process that ends between two looks is no holder, and no error. */
static void ended_process(void **state)
{
        (void)state;
        process(70, 700, "/");
        holds(70, 3, 1);
        unlinkat(top_fd, "proc/70/stat", 0);
        want(1, 0);
        find(true);
        assert_int_equal(owners[0]->unknown, PW_UNKNOWN_NO_HOLDER);
        /* One that cannot be understood is not known to be none. */
        put("proc/70/stat", 0, "nonsense");
        find(true);
        assert_int_equal(owners[0]->unknown, PW_UNKNOWN_HIDDEN);
        assert_int_equal(owners[0]->n_pids, 0);
}

/* ---- executables ---- */

static unsigned traits_of(const char *exe)
{
        process(70, 700, "/");
        holds(70, 3, 1);
        put_link("proc/70/exe", exe);
        if (n_sockets == 0)
                want(1, 0);
        find(true);
        return owners[0]->traits;
}

static void executables(void **state)
{
        char path[512];

        (void)state;
        assert_int_equal(traits_of("/bin/sh"), 0);
        assert_string_equal(owners[0]->exe, "/bin/sh");
        assert_int_equal(traits_of("/memfd:a\nb (deleted)"), PW_TRAIT_MEMFD);
        assert_string_equal(owners[0]->exe, "/memfd:a\\x0ab");
        put("proc/70/program", 0, "x");
        snprintf(path, sizeof path, "%s/proc/70/program", top);
        assert_int_equal(traits_of(path), PW_TRAIT_TEMPORARY);
        /* A living file may have such a name. */
        put("proc/70/program (deleted)", 0, "x");
        snprintf(path, sizeof path, "%s/proc/70/program (deleted)", top);
        assert_int_equal(traits_of(path), PW_TRAIT_TEMPORARY);
        assert_string_equal(owners[0]->exe, path);
        /* What cannot be proven is not the host's. */
        assert_int_equal(traits_of("/nonexistent"), PW_TRAIT_FOREIGN_ROOT);
        assert_int_equal(traits_of("/bin/sh (deleted)"), PW_TRAIT_FOREIGN_ROOT | PW_TRAIT_DELETED);
        assert_string_equal(owners[0]->exe, "/bin/sh");
        unlinkat(top_fd, "proc/70/exe", 0);
        find(true);
        assert_null(owners[0]->exe);
        assert_int_equal(owners[0]->traits, 0);
        /* It is ending: a listener without its executable would be another one. */
        assert_int_not_equal(owners[0]->unknown, PW_KNOWN);
}

/* The same path on the host is another file. */
static void foreign_root(void **state)
{
        (void)state;
        pw_attribution_free(attribution);
        put("etc/bin/sh", 0, "x");
        close(roots.root_fd);
        roots.root_fd = open_dir("etc");
        assert_int_equal(pw_attribution_new(roots, &attribution), 0);
        assert_int_equal(traits_of("/bin/sh"), PW_TRAIT_FOREIGN_ROOT);
}

/* No byte that a process chose reaches anybody as it is. */
static void hostile_names(void **state)
{
        char text[4 * PW_CMDLINE_MAX];

        (void)state;
        process(70, 700, "/lxc/\033[2J\xff");
        put("proc/70/stat", 0,
            "70 (\n\033]0;x\a) S 9 (\xff\xfe) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 "
            "1 0 700 0\n");
        memset(text, 0x1b, sizeof text);
        put("proc/70/cmdline", 0, "%.*s", (int)sizeof text, text);
        put_link("proc/70/exe", "/\n\xe2\x80\xae/x");
        holds(70, 3, 1);
        want(1, 0);
        find(true);
        assert_true(pw_text_is_clean(owners[0]->comm));
        assert_true(pw_text_is_clean(owners[0]->exe));
        assert_true(pw_text_is_clean(owners[0]->cmdline));
        assert_true(pw_text_is_clean(owners[0]->container));
        assert_true(strlen(owners[0]->cmdline) <= PW_CMDLINE_MAX);
        assert_true(strlen(owners[0]->cmdline) > PW_CMDLINE_MAX / 2);
        assert_int_equal(owners[0]->started[0], 700);
}

static void users_change(void **state)
{
        (void)state;
        process(70, 700, "/");
        holds(70, 3, 1);
        want(1, 0);
        want(2, 0);
        find(true);
        assert_string_equal(owners[0]->user, "first");
        put("etc/passwd", 0, "renamed\t:x:%u:0::/:/bin/sh\nnew:x:%u:0::/:/bin/sh\n", geteuid(),
            NOBODY);
        find(true);
        assert_string_equal(owners[0]->user, "renamed\\x09");
        assert_string_equal(owners[1]->user, "new");
}

/* ---- what the descriptor table does not show ---- */

static void rings(void **state)
{
        (void)state;
        process(70, 700, "/");
        put_link("proc/70/fd/9", "anon_inode:[io_uring]");
        put("proc/70/fdinfo/9", 0,
            "pos:\t0\nUserFiles:\t2\n    0: socket:[1]\n    1: /tmp/socket:[2]\nUserBufs:\t0\n");
        want(1, 0);
        want(2, 0);
        find(false);
        assert_int_equal(owners[0]->pids[0], 70);
        assert_int_equal(owners[1]->unknown, PW_UNKNOWN_NO_HOLDER);
        assert_int_equal(pw_attribution_held(attribution, asked, owners, 2, held), 0);
        assert_true(held[0]);
        assert_true(held[1]);
}

/* More rings than are looked into: what is missing then may be in one of the others. */
static void many_rings(void **state)
{
        char path[64];

        (void)state;
        process(1, 1, "/");
        process(70, 700, "/");
        for (int fd = 1; fd <= 65; fd++) {
                snprintf(path, sizeof path, "proc/70/fd/%d", fd);
                put_link(path, "anon_inode:[io_uring]");
                snprintf(path, sizeof path, "proc/70/fdinfo/%d", fd);
                put(path, 0, "    0: socket:[1]\n");
        }
        want(1, 0);
        want(2, 0);
        find(false);
        assert_int_equal(owners[0]->n_holders, 1);
        assert_int_equal(owners[1]->unknown, PW_UNKNOWN_HIDDEN);
        unlinkat(top_fd, "proc/70/fd/65", 0);
        find(false);
        assert_int_equal(owners[1]->unknown, PW_UNKNOWN_NO_HOLDER);
}

/* A ring whose list of what it holds does not end. */
static void large_ring(void **state)
{
        FILE *file;

        (void)state;
        process(1, 1, "/");
        process(70, 700, "/");
        put_link("proc/70/fd/9", "anon_inode:[io_uring]");
        put("proc/70/fdinfo/9", 0, "UserFiles:\t1048576\n");
        file = fdopen(openat(top_fd, "proc/70/fdinfo/9", O_WRONLY | O_APPEND), "a");
        assert_non_null(file);
        for (int i = 0; i < 100000; i++)
                fprintf(file, "%5d: /x\n", i);
        fclose(file);
        want(1, 0);
        find(false);
        assert_int_equal(owners[0]->unknown, PW_UNKNOWN_HIDDEN);
}

/* ---- whether it still holds ---- */

static void still_held(void **state)
{
        (void)state;
        share(80, 70, 1, 2, 3);
        find(true);
        assert_int_equal(pw_attribution_held(attribution, asked, owners, 3, held), 0);
        assert_true(held[0] && held[1] && held[2]); /* the third has no known holder */
        unlinkat(top_fd, "proc/70/fd/3", 0);
        assert_int_equal(pw_attribution_held(attribution, asked, owners, 3, held), 0);
        assert_true(held[0]);
        remove_tree("proc/80");
        assert_int_equal(pw_attribution_held(attribution, asked, owners, 3, held), 0);
        assert_false(held[0]);
        assert_true(held[1]);
        /* More holders than are listed prove nothing by their absence. */
        owners[0]->n_holders = PW_OWNER_PIDS_MAX + 1;
        assert_int_equal(pw_attribution_held(attribution, asked, owners, 3, held), 0);
        assert_true(held[0]);
}

static void held_unreadable(void **state)
{
        (void)state;
        process(70, 700, "/");
        holds(70, 3, 1);
        want(1, 0);
        find(true);
        unlinkat(top_fd, "proc/70/fd/3", 0);
        assert_int_equal(fchmodat(top_fd, "proc/70/fd", 0, 0), 0);
        if (geteuid() == 0)
                assert_int_equal(seteuid(65534), 0);
        assert_int_equal(pw_attribution_held(attribution, asked, owners, 1, held), 0);
        if (getuid() == 0)
                assert_int_equal(seteuid(0), 0);
        assert_int_equal(fchmodat(top_fd, "proc/70/fd", 0755, 0), 0);
        assert_true(held[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(one_holder),         TEST(principal_and_workers),
            TEST(many_holders),       TEST(socket_activation),
            TEST(cgroup_first),       TEST(no_cgroup),
            TEST(no_holder),          TEST(hidden_processes),
            TEST(unreadable_process), TEST(unreadable_kernel_thread),
            TEST(ended_process),      TEST(executables),
            TEST(foreign_root),       TEST(hostile_names),
            TEST(users_change),       TEST(rings),
            TEST(still_held),         TEST(held_unreadable),
            TEST(many_rings),         TEST(large_ring),
        };

        return cmocka_run_group_tests(tests, make_top, remove_top);
}
