/* SPDX-License-Identifier: MIT */
/* Owners that an event names, over made-up trees: would catch one that is guessed from a process
 * with the same pid, an executable that passes for the host's or that is called suspicious though a
 * package was upgraded, a unit taken from the wrong control group, and text that is not cleaned. */

#include "daemon/proc.h"

#include "tests/unit/made-up-tree.h"

#include <sys/sysmacros.h>

#define NOBODY 4000000001u /* a uid that no name service knows */
#define PID 20
#define STARTED 500

static struct pw_attribution_roots roots;
static struct pw_attribution *attribution;
static struct pw_owner *owner;
static struct pw_proc *proc;
static uint64_t host_mounts;

/* ---- the made-up trees ---- */

/* As the kernel has it: a link that leads to the namespace's file. Returns its inode. */
static uint64_t mounts_of(int pid, const char *namespace)
{
        char path[64], target[600];
        struct stat st;

        snprintf(path, sizeof path, "ns/%s", namespace);
        put(path, 1, "x");
        assert_int_equal(fstatat(top_fd, path, &st, 0), 0);
        snprintf(target, sizeof target, "%s/ns/%s", top, namespace);
        snprintf(path, sizeof path, "proc/%d/ns/mnt", pid);
        put_link(path, target);
        return st.st_ino;
}

static void process(int pid, unsigned started, const char *cgroup)
{
        char path[64];

        snprintf(path, sizeof path, "proc/%d/stat", pid);
        put(path, 0, "%d (now) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 %u 0\n", pid, started);
        snprintf(path, sizeof path, "proc/%d/cgroup", pid);
        put(path, 0, "0::%s\n", cgroup);
        snprintf(path, sizeof path, "proc/%d/cmdline", pid);
        put(path, 0, "now -x");
        snprintf(path, sizeof path, "proc/%d/exe", pid);
        put_link(path, "/bin/now");
}

/* Returns the id of the cgroup: the inode of its directory. */
static uint64_t cgroup(const char *path)
{
        struct stat st;
        char name[512];

        snprintf(name, sizeof name, "cgroup%s/cgroup.procs", path);
        put(name, 0, "\n");
        snprintf(name, sizeof name, "cgroup%s", path);
        assert_int_equal(fstatat(top_fd, name, &st, 0), 0);
        return st.st_ino;
}

/* A file of the host, whose inode and device the opener gets. */
static void host_file(const char *path, struct pw_opener *opener)
{
        struct stat st;
        char name[512];

        snprintf(name, sizeof name, "host%s", path);
        put(name, 1, "x");
        assert_int_equal(fstatat(top_fd, name, &st, 0), 0);
        opener->exe = path;
        opener->exe_inode = st.st_ino;
        opener->exe_device = st.st_dev;
}

static struct pw_opener opener_of(const char *exe)
{
        return (struct pw_opener){.pid = PID,
                                  .cgroup = "",
                                  .started = STARTED,
                                  .uid = NOBODY,
                                  .mount_ns = host_mounts,
                                  .comm = "then",
                                  .exe = exe,
                                  .exe_inode = 1,
                                  .exe_device = makedev(77, 77)};
}

static int set_up(void **state _unused_)
{
        put("etc/passwd", 0, "me:x:%u:0::/:/bin/sh\n", geteuid());
        make_dirs("host/");
        host_mounts = mounts_of(1, "host");
        roots.proc_fd = open_dir("proc");
        roots.root_fd = open_dir("host");
        roots.etc_fd = open_dir("etc");
        roots.cgroup_fd = open_dir("cgroup");
        proc = calloc(1, sizeof *proc);
        proc->fd = roots.proc_fd;
        proc->root_fd = roots.root_fd;
        return pw_attribution_new(roots, &attribution);
}

static int tear_down(void **state _unused_)
{
        static const char *const trees[] = {"proc", "host", "etc", "cgroup", "ns"};

        pw_owner_unref(owner);
        owner = NULL;
        pw_attribution_free(attribution);
        free(proc);
        close(roots.proc_fd);
        close(roots.root_fd);
        close(roots.etc_fd);
        close(roots.cgroup_fd);
        for (size_t i = 0; i < PW_ELEMENTS(trees); i++)
                remove_tree(trees[i]);
        return 0;
}

static void find(const struct pw_opener *opener, uint64_t socket_cgroup)
{
        pw_owner_unref(owner);
        owner = NULL;
        assert_int_equal(pw_attribution_opener(attribution, opener, socket_cgroup, &owner), 0);
        assert_int_equal(owner->references, 1);
        assert_int_equal(owner->unknown, PW_KNOWN);
        assert_int_equal(owner->n_holders, 1);
}

static unsigned traits(const struct pw_opener *opener)
{
        return pw_proc_opener_traits(proc, opener);
}

/* ---- who it is ---- */

/* What it is now says more than what it was: it may have become another user. */
static void lives(void **state _unused_)
{
        struct pw_opener opener = opener_of("/bin/then");

        process(PID, STARTED, "/system.slice/now.service");
        opener.cgroup_id = cgroup("/system.slice/then.service");
        find(&opener, cgroup("/system.slice/socket.service"));
        assert_int_equal(owner->uid, geteuid());
        assert_string_equal(owner->user, "me");
        assert_string_equal(owner->exe, "/bin/now");
        assert_string_equal(owner->cmdline, "now -x");
        assert_string_equal(owner->unit, "now.service");
        assert_int_equal(owner->n_pids, 1);
        assert_int_equal(owner->pids[0], PID);
        assert_int_equal(owner->started[0], STARTED);
}

static void assert_then(void)
{
        assert_int_equal(owner->uid, NOBODY);
        assert_string_equal(owner->user, "4000000001");
        assert_string_equal(owner->exe, "/bin/then");
        assert_string_equal(owner->comm, "then");
        assert_null(owner->cmdline);
        assert_string_equal(owner->unit, "then.service");
        assert_int_equal(owner->n_pids, 1);
        assert_int_equal(owner->pids[0], PID);
        assert_int_equal(owner->started[0], STARTED);
        assert_int_equal(owner->traits, 0);
}

static void has_ended(void **state _unused_)
{
        struct pw_opener opener = opener_of(NULL);

        host_file("/bin/then", &opener);
        opener.cgroup_id = cgroup("/system.slice/then.service");
        find(&opener, cgroup("/system.slice/socket.service"));
        assert_then();
        process(PID, STARTED + 1, "/system.slice/other.service"); /* another with its pid */
        find(&opener, 0);
        assert_then();
        process(PID, STARTED, "/system.slice/now.service"); /* ending: no executable any more */
        assert_int_equal(unlinkat(top_fd, "proc/20/exe", 0), 0);
        find(&opener, 0);
        assert_then();
}

/* systemd removes the group of a service that has ended: the event has told its path. */
static void its_group_has_gone(void **state _unused_)
{
        struct pw_opener opener = opener_of(NULL);

        host_file("/bin/then", &opener);
        opener.cgroup_id = 987654321;
        opener.cgroup = "/system.slice/then.service";
        find(&opener, 0);
        assert_then();
        opener.cgroup = ""; /* too long to be told */
        find(&opener, 0);
        assert_null(owner->unit);
}

/* Of another process namespace: no pid, but what it runs is told. */
static void not_visible(void **state _unused_)
{
        struct pw_opener opener = opener_of(NULL);

        host_file("/bin/then", &opener);
        opener.pid = 0;
        process(0, STARTED, "/");
        find(&opener, 0);
        assert_int_equal(owner->n_pids, 0);
        assert_string_equal(owner->exe, "/bin/then");
        assert_null(owner->unit);
}

/* systemd opens for .socket units, which the socket's own group names. */
static void by_systemd(void **state _unused_)
{
        struct pw_opener opener = opener_of("/bin/systemd");

        opener.pid = 1;
        process(1, STARTED, "/init.scope");
        opener.cgroup_id = cgroup("/init.scope");
        find(&opener, cgroup("/system.slice/web.socket"));
        assert_string_equal(owner->unit, "web.socket");
        find(&opener, 0);
        assert_string_equal(owner->unit, "init.scope");
        find(&opener, 4000000000); /* the group has gone */
        assert_string_equal(owner->unit, "init.scope");
        opener.pid = PID;
        process(PID, STARTED, "/system.slice/now.service");
        find(&opener, cgroup("/system.slice/web.socket"));
        assert_string_equal(owner->unit, "now.service");
}

static void in_a_container(void **state _unused_)
{
        struct pw_opener opener = opener_of("/bin/then");

        opener.cgroup_id = cgroup("/lxc/box");
        opener.mount_ns = host_mounts + 1000;
        find(&opener, 0);
        assert_string_equal(owner->container, "lxc:box");
        assert_true(owner->traits & PW_TRAIT_FOREIGN_ROOT);
}

static void hostile_text(void **state _unused_)
{
        struct pw_opener opener = opener_of("/bin/a\nb\x1b[31m\xff");

        memcpy(opener.comm, "a\nb\x1b[3\xff\x01 efghijk", 16);
        opener.comm[15] = '\0';
        find(&opener, 0);
        for (const char *text = owner->exe; *text; text++)
                assert_in_range(*text, ' ', '~');
        for (const char *text = owner->comm; *text; text++)
                assert_in_range(*text, ' ', '~');
        assert_non_null(strstr(owner->exe, "/bin/a"));
}

static void the_kernels(void **state _unused_)
{
        struct pw_opener opener = opener_of(""); /* a thread of its own */

        find(&opener, 0);
        assert_null(owner->exe);
        assert_int_equal(owner->traits, 0);
        pw_owner_unref(owner);
        owner = NULL;
        assert_int_equal(pw_attribution_kernel(attribution, NOBODY, &owner), 0);
        assert_int_equal(owner->traits, PW_TRAIT_KERNEL);
        assert_int_equal(owner->unknown, PW_KNOWN);
        assert_int_equal(owner->uid, NOBODY);
        assert_string_equal(owner->user, "4000000001");
        assert_int_equal(owner->n_pids + owner->n_holders, 0);
        assert_null(owner->exe);
}

/* ---- what is notable about its executable ---- */

static void the_hosts(void **state _unused_)
{
        struct pw_opener opener = opener_of(NULL);

        host_file("/usr/bin/server", &opener);
        assert_int_equal(traits(&opener), 0);
        opener.mount_ns += 1000; /* a sandbox with the very same file */
        assert_int_equal(traits(&opener), 0);
        host_file("/tmp/server", &opener);
        assert_int_equal(traits(&opener), PW_TRAIT_TEMPORARY);
        host_file("/dev/shm/x", &opener);
        assert_int_equal(traits(&opener), PW_TRAIT_TEMPORARY);
        opener.exe_device = makedev(77, 77); /* btrfs: stat(2) tells another one */
        opener.mount_ns = host_mounts;
        assert_int_equal(traits(&opener), PW_TRAIT_TEMPORARY);
}

/* Any path can be shown in mounts of one's own. */
static void shows_a_path(void **state _unused_)
{
        struct pw_opener opener = opener_of(NULL);
        uint64_t inode;

        host_file("/usr/bin/server", &opener);
        inode = opener.exe_inode;
        opener.mount_ns = mounts_of(PID, "own");
        opener.exe_inode = inode + 1000;
        assert_true(traits(&opener) & PW_TRAIT_FOREIGN_ROOT);
        opener.exe_inode = inode; /* the same number in another file system */
        opener.exe_device = makedev(77, 77);
        assert_true(traits(&opener) & PW_TRAIT_FOREIGN_ROOT);
        opener.exe = "/nowhere/server";
        assert_true(traits(&opener) & PW_TRAIT_FOREIGN_ROOT);
        opener.exe = "server"; /* no path at all */
        assert_true(traits(&opener) & PW_TRAIT_FOREIGN_ROOT);
        assert_int_equal(unlinkat(top_fd, "proc/1/ns/mnt", 0), 0); /* not to be found out */
        opener.mount_ns = host_mounts;
        assert_true(traits(&opener) & PW_TRAIT_FOREIGN_ROOT);
}

/* After an upgrade root's new file is there; otherwise it has been removed. */
static void deleted(void **state _unused_)
{
        struct pw_opener opener = opener_of(NULL);

        host_file("/usr/bin/server", &opener);
        opener.exe_inode += 1000;
        opener.exe_flags = PW_EXE_DELETED;
        if (geteuid() == 0) {
                assert_int_equal(traits(&opener), 0);
                opener.exe_flags = 0; /* replaced since */
                assert_int_equal(traits(&opener), 0);
                assert_int_equal(fchownat(top_fd, "host/usr/bin/server", 1000, (gid_t)-1, 0), 0);
        }
        assert_int_equal(traits(&opener), PW_TRAIT_DELETED);
        opener.exe_flags = PW_EXE_DELETED;
        assert_int_equal(traits(&opener), PW_TRAIT_DELETED);
        opener.exe = "/usr/bin/gone";
        assert_int_equal(traits(&opener), PW_TRAIT_DELETED);
        opener.exe_flags = 0;
        assert_int_equal(traits(&opener), PW_TRAIT_DELETED);
        opener.exe = "/tmp/gone";
        assert_int_equal(traits(&opener), PW_TRAIT_DELETED | PW_TRAIT_TEMPORARY);
        opener.mount_ns = mounts_of(PID, "own");
        opener.exe_flags = PW_EXE_DELETED;
        assert_int_equal(traits(&opener),
                         PW_TRAIT_DELETED | PW_TRAIT_TEMPORARY | PW_TRAIT_FOREIGN_ROOT);
        make_dirs("host/usr/bin/directory/");
        opener = opener_of("/usr/bin/directory");
        assert_int_equal(traits(&opener), PW_TRAIT_DELETED);
}

static void without_a_path(void **state _unused_)
{
        struct pw_opener opener = opener_of("/memfd:/usr/bin/server");

        opener.exe_flags = PW_EXE_UNNAMED | PW_EXE_DELETED;
        assert_int_equal(traits(&opener), PW_TRAIT_MEMFD);
        host_file("/server", &opener); /* its end could be anybody's */
        opener.exe = "server";
        opener.exe_flags = PW_EXE_TRUNCATED;
        assert_true(traits(&opener) & PW_TRAIT_FOREIGN_ROOT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(lives),        TEST(has_ended),   TEST(its_group_has_gone),
            TEST(not_visible),  TEST(by_systemd),  TEST(in_a_container),
            TEST(hostile_text), TEST(the_kernels), TEST(the_hosts),
            TEST(shows_a_path), TEST(deleted),     TEST(without_a_path),
        };

        return cmocka_run_group_tests(tests, make_top, remove_top);
}
