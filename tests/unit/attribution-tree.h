/* SPDX-License-Identifier: MIT */
#pragma once

/* Made-up /proc, /etc and cgroup trees with processes that hold sockets, and the sockets whose
 * owners are asked for. */

#include "daemon/attribution.h"

#include "tests/unit/made-up-tree.h"

#define SOCKETS_MAX 5000
#define NOBODY 4000000001u /* a uid that no name service knows */

static struct pw_attribution_roots roots;
static struct pw_attribution *attribution;

static struct pw_socket sockets[SOCKETS_MAX];
static const struct pw_socket *asked[SOCKETS_MAX];
static struct pw_owner *owners[SOCKETS_MAX];
static bool held[SOCKETS_MAX];
static size_t n_sockets;

_unused_ static void process(int pid, unsigned started, const char *cgroup)
{
        char path[64];

        snprintf(path, sizeof path, "proc/%d/fd/0", pid);
        put_link(path, "/dev/null");
        snprintf(path, sizeof path, "proc/%d/stat", pid);
        put(path, 0, "%d (p%d) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 %u 0\n", pid, pid, started);
        snprintf(path, sizeof path, "proc/%d/cgroup", pid);
        put(path, 0, "0::%s\n", cgroup);
        snprintf(path, sizeof path, "proc/%d/exe", pid);
        put_link(path, "/bin/sh");
}

_unused_ static void holds(int pid, int fd, unsigned inode)
{
        char path[64], link[64];

        snprintf(path, sizeof path, "proc/%d/fd/%d", pid, fd);
        snprintf(link, sizeof link, "socket:[%u]", inode);
        put_link(path, link);
}

_unused_ static void want(uint32_t inode, uint64_t cgroup_id)
{
        sockets[n_sockets] =
            (struct pw_socket){.inode = inode, .cgroup_id = cgroup_id, .uid = NOBODY};
        asked[n_sockets] = &sockets[n_sockets];
        n_sockets++;
}

/* Two processes that hold `both`, of which the second one holds `one`, too; nobody holds `none`.
 * All three are asked about. */
_unused_ static void share(int first, int second, uint32_t both, uint32_t one, uint32_t none)
{
        process(first, 10 * (unsigned)first, "/");
        process(second, 10 * (unsigned)second, "/");
        holds(first, 3, both);
        holds(second, 3, both);
        holds(second, 4, one);
        want(both, 0);
        want(one, 0);
        want(none, 0);
}

_unused_ static void forget(void)
{
        for (size_t i = 0; i < n_sockets; i++) {
                pw_owner_unref(owners[i]);
                owners[i] = NULL;
        }
        n_sockets = 0;
}

_unused_ static void find(bool everyone)
{
        for (size_t i = 0; i < n_sockets; i++)
                pw_owner_unref(owners[i]);
        assert_int_equal(pw_attribution_find(attribution, asked, n_sockets, everyone, owners), 0);
        for (size_t i = 0; i < n_sockets; i++)
                assert_non_null(owners[i]);
}

_unused_ static int set_up(void **state)
{
        (void)state;
        put("etc/passwd", 0, "first:x:%u:0::/:/bin/sh\nsecond:x:%u:0::/:/bin/sh\n", geteuid(),
            geteuid());
        roots.proc_fd = open_dir("proc");
        roots.root_fd = open("/", O_RDONLY | O_DIRECTORY);
        roots.etc_fd = open_dir("etc");
        roots.cgroup_fd = open_dir("cgroup");
        process(1, 1, "/init.scope");
        return pw_attribution_new(roots, &attribution);
}

_unused_ static int tear_down(void **state)
{
        (void)state;
        forget();
        pw_attribution_free(attribution);
        close(roots.proc_fd);
        close(roots.root_fd);
        close(roots.etc_fd);
        close(roots.cgroup_fd);
        remove_tree("proc");
        remove_tree("etc");
        remove_tree("cgroup");
        return 0;
}
