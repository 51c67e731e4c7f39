/* SPDX-License-Identifier: MIT */
#pragma once

/* The network namespaces other than the daemon's own: which there are, how each is called, and one
 * process in each, by which it can be looked at. A namespace is never kept alive: no descriptor of
 * it or of anything in it stays open between two calls.
 *
 * Names, the first that exists: the container whose process is in it, as pw_cgroup_names_parse()
 * gives it; the name under which `ip netns` knows it; the system service whose process is in it
 * (PrivateNetwork=); "net:[INODE]". A name that another living
 * namespace has already (a pod's second one) is followed by the inode: "NAME net:[INODE]". It stays
 * the same as long as the namespace lives, for records are identified by it. */

#include <portwatch/snapshot.h>

#include <sys/types.h>

struct pw_namespaces;

struct pw_namespace {
        uint64_t inode;
        uint64_t id; /* SO_NETNS_COOKIE: used for no other until the next boot, unlike the inode,
                      * which the next namespace may get at once; 0: not told */
        pid_t pid;   /* one process in it; 0: none is known */
        const char *name; /* clean text; valid until the namespace is forgotten */
        bool partial;     /* its sockets could not be read at the last pw_namespaces_dump() */
};

/* No more than these are known at a time. */
#define PW_NAMESPACES_MAX 4096

/* `proc_fd` stays the caller's. `own` (inode) is left out everywhere below. 0 or -ENOMEM. */
int pw_namespaces_new(int proc_fd, uint64_t own, struct pw_namespaces **ret);
void pw_namespaces_free(struct pw_namespaces *namespaces);
PW_DEFINE_CLEANUP(struct pw_namespaces *, pw_namespaces_free)

/* Notes that the namespace lives, and, where it has no process yet, that this one is in it, if it
 * is (it may only hold a socket of it: then it gives no name, either). One that is new is named
 * now. Costs a binary search where the namespace has a process already. 0 or -ENOMEM. */
int pw_namespaces_meet(struct pw_namespaces *namespaces, uint64_t inode, uint64_t id, pid_t pid);

/* Looks for them: reads one link for each process (5 us), for at most 2 s. Those that are met
 * neither by it nor by pw_namespaces_meet() since the last pw_namespaces_forget() lose their
 * process. `*ret_hidden` says whether some process may not, or could not in time, be looked into:
 * none is forgotten for that. Where another namespace has got the inode of one that is known, `id`
 * changes and it is named anew. 0 or -ENOMEM. */
int pw_namespaces_discover(struct pw_namespaces *namespaces, bool *ret_hidden);

/* Forgets those that nobody met since the last call and whose process has left: nobody is known to
 * be in them any more. */
void pw_namespaces_forget(struct pw_namespaces *namespaces);

/* Whether there are more than PW_NAMESPACES_MAX: the last pw_namespaces_discover() or a call of
 * pw_namespaces_meet() after it met one that is not known. */
bool pw_namespaces_left_out(const struct pw_namespaces *namespaces);

/* Sorted by inode; valid until the next call that may change them. */
size_t pw_namespaces_count(const struct pw_namespaces *namespaces);
const struct pw_namespace *pw_namespaces_item(const struct pw_namespaces *namespaces, size_t i);
/* NULL where it is not known. */
const struct pw_namespace *pw_namespaces_find(const struct pw_namespaces *namespaces,
                                              uint64_t inode);

/* Appends TCP listeners and unconnected UDP and UDP-Lite sockets of every known namespace to
 * `snapshot`, with its parts, by the text tables /proc/PID/net/{tcp,tcp6,udp,udp6,udplite,udplite6}
 * of its process, which need no capability but that of looking into the process. They lack what
 * sock_diag tells: cookie (here PW_COOKIE_BY_INODE | inode), cgroup and device are 0, and an IPv6
 * any-address counts as one that takes IPv4, too. A part is complete where its tables were read to
 * their end, or where nobody is in the namespace any more; but the kernel reads them page by page,
 * so that under churn a complete part may lack a socket that lives: prove each close. Takes at most
 * 2 s, and reads at most 4 MiB of a table and 64 MiB in all; those that were left out come first
 * the next time. Costs 0.1 ms a namespace, and, for each of TCP over IPv4 and over IPv6 that has a
 * socket there, a walk over the host's table of connections, used or not: 2 ms where that has
 * 262,144 buckets. 0 or -ENOMEM. */
#define PW_COOKIE_BY_INODE (1ULL << 63)
int pw_namespaces_dump(struct pw_namespaces *namespaces, struct pw_snapshot *snapshot);

/* ---- pure, also for tests and fuzzing ---- */

/* One line of such a table behind its heading; `protocol` and the family tell which. 0 (fills in
 * address, port, protocol, inode, uid; netns and cookie are left to the caller), 1 (a connected
 * socket), or -EBADMSG. */
int pw_proc_net_parse(const char *line, uint8_t protocol, uint8_t family, struct pw_socket *ret);
