/* SPDX-License-Identifier: MIT */
#pragma once

/* A made-up /proc with processes in network namespaces, and what is known of these. */

#include "daemon/namespaces.h"

#include "tests/unit/made-up-tree.h"

#define OWN 4000

/* Of /proc/PID/net/tcp and its likes. */
#define HEADING "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"
#define LISTEN_80                                                                                  \
        "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000       " \
        " "                                                                                        \
        "0 4711 1 0000000000000000 100 0 0 10 0\n"

static int proc_fd;
static struct pw_namespaces *namespaces;
static struct pw_snapshot snapshot;

_unused_ static void enters(int pid, unsigned long inode)
{
        char path[64], link[64];

        snprintf(path, sizeof path, "proc/%d/ns/net", pid);
        snprintf(link, sizeof link, "net:[%lu]", inode);
        put_link(path, link);
}

_unused_ static void process(int pid, unsigned long inode, const char *cgroup)
{
        char path[64];

        enters(pid, inode);
        snprintf(path, sizeof path, "proc/%d/cgroup", pid);
        put(path, 0, "0::%s\n", cgroup);
}

_unused_ static void ends(int pid)
{
        char path[64];

        snprintf(path, sizeof path, "proc/%d", pid);
        remove_tree(path);
}

_unused_ static void table(int pid, const char *name, const char *text)
{
        char path[64];

        snprintf(path, sizeof path, "proc/%d/net/%s", pid, name);
        put(path, 0, "%s", text);
}

_unused_ static int set_up(void **state)
{
        (void)state;
        proc_fd = open_dir("proc");
        process(1, OWN, "/init.scope");
        make_dirs("proc/1/root/run/netns/");
        return pw_namespaces_new(proc_fd, OWN, &namespaces);
}

_unused_ static int tear_down(void **state)
{
        (void)state;
        pw_namespaces_free(namespaces);
        pw_snapshot_done(&snapshot);
        close(proc_fd);
        remove_tree("proc");
        return 0;
}

_unused_ static bool discover(void)
{
        bool hidden;

        assert_int_equal(pw_namespaces_discover(namespaces, &hidden), 0);
        return hidden;
}

/* One round, as the daemon makes it. */
_unused_ static void look_round(void)
{
        assert_false(discover());
        pw_namespaces_forget(namespaces);
}

_unused_ static const struct pw_namespace *known(unsigned long inode)
{
        const struct pw_namespace *namespace = pw_namespaces_find(namespaces, inode);

        assert_non_null(namespace);
        assert_int_equal(namespace->inode, inode);
        return namespace;
}

_unused_ static void assert_name(unsigned long inode, const char *name)
{
        assert_string_equal(known(inode)->name, name);
}
