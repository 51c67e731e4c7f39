/* SPDX-License-Identifier: MIT */
#pragma once

/* Attribution finds who holds a socket, by /proc: first among the processes of the socket's cgroup,
 * then everywhere, one pass for all the sockets asked for. It is asked only about sockets that were
 * not seen before; a quiet host costs it nothing.
 *
 * /proc, /etc and the root of the host's files are directory descriptors, so that tests hand it a
 * made-up tree. Every process may end between two reads: that is an expected outcome, never an
 * error. All text is cleaned where it is read. */

#include <portwatch/opener.h>
#include <portwatch/owner.h>
#include <portwatch/snapshot.h>

struct pw_attribution;

/* `proc_fd`, `root_fd`, `etc_fd` and `cgroup_fd` stay the caller's and must outlive the object.
 * `cgroup_fd` is the root of cgroup2, -1 where there is none. 0 or -ENOMEM. */
struct pw_attribution_roots {
        int proc_fd;   /* "/proc" */
        int root_fd;   /* "/": where executables' paths are looked up on the host */
        int etc_fd;    /* "/etc": passwd; users not in it are asked of getpwuid(3) */
        int cgroup_fd; /* "/sys/fs/cgroup/unified" or "/sys/fs/cgroup" */
};
int pw_attribution_new(struct pw_attribution_roots roots, struct pw_attribution **ret);
void pw_attribution_free(struct pw_attribution *attribution);
PW_DEFINE_CLEANUP(struct pw_attribution *, pw_attribution_free)

/* A list that the kernel makes of all descriptors of sockets, in one pass: what the event engine
 * has where the kernel allows it. `list` tells each descriptor of a TCP or UDP socket, those of one
 * process together, to `found` and returns 0, what `found` returned if that was negative, or
 * -errno. A process that we do not see has pid 0. */
typedef int (*pw_descriptor_found)(void *userdata, uint32_t inode, pid_t pid, uint64_t started,
                                   const char *comm);
struct pw_descriptors {
        int (*list)(void *userdata, pw_descriptor_found found, void *found_userdata);
        void *userdata;
};
/* From now on, all processes are searched by this list first. What it does not tell of (the
 * kernel's own sockets, descriptors in flight or in a ring of io_uring) is looked for in /proc. */
void pw_attribution_list_by(struct pw_attribution *attribution, struct pw_descriptors descriptors);

/* Opens the root of cgroup2 where this host has it mounted; -ENOENT where it has none. */
int pw_cgroup2_open(void);

/* Finds the owners of `n` sockets: ret_owners[i] receives one reference to the owner of sockets[i],
 * never NULL; an owner that could not be found has `unknown` set, the user of the socket's uid and
 * the unit of the socket's cgroup. Sockets with the same holders share one owner. With `everyone`
 * false the search ends where the socket's cgroup has given a holder; with true (scan, seeding) it
 * is one pass over all processes. The time for reading descriptor tables is bounded (2 s; 10 s for
 * everyone), and so is how much of one process is read: the rest counts as hidden. Returns 0 or
 * -ENOMEM. */
int pw_attribution_find(struct pw_attribution *attribution, const struct pw_socket *const *sockets,
                        size_t n, bool everyone, struct pw_owner **ret_owners);

/* The owner that an event names: as the process is now or, where it has ended, as the event told.
 * Only that process is looked at, and not its descriptors: it has just opened the socket. Others
 * may hold it, too, or it may go on to be another (by dropping privileges, or by execve(2)):
 * pw_attribution_find() tells a moment later. Units and containers are named by the process's
 * control group, for PID 1 by the socket's (0: none). 0 and one reference, or -ENOMEM. */
int pw_attribution_opener(struct pw_attribution *attribution, const struct pw_opener *opener,
                          uint64_t socket_cgroup_id, struct pw_owner **ret);

/* The owner of a socket that is proven to be the kernel's own. 0 and one reference, or -ENOMEM. */
int pw_attribution_kernel(struct pw_attribution *attribution, uint32_t uid, struct pw_owner **ret);

/* For sockets that a lookup can neither prove nor deny: whether one of the known holders
 * (owners[i]->pids, guarded by their start times) still has the socket open. Reads each distinct
 * process once. held[i] is false only where every holder is known, was looked into, and has it no
 * more. Takes at most 2 s: those not looked into by then count as holders. Returns 0 or -ENOMEM. */
int pw_attribution_held(struct pw_attribution *attribution, const struct pw_socket *const *sockets,
                        struct pw_owner *const *owners, size_t n, bool *ret_held);

/* Files and directories read below /proc so far: a counter for `status`. */
uint64_t pw_attribution_reads(const struct pw_attribution *attribution);

/* Whether the last search met processes that it was not permitted to look into, or had no time to.
 */
bool pw_attribution_is_partial(const struct pw_attribution *attribution);

/* ---- pure parsers, also for tests and fuzzing ---- */

struct pw_proc_stat {
        int ppid;
        uint64_t started; /* clock ticks since boot */
        bool kernel_thread;
};
/* /proc/PID/stat; the comm ends at the last ')'. 0 or -EBADMSG. */
int pw_proc_stat_parse(const char *text, size_t length, struct pw_proc_stat *ret);

/* /proc/PID/cgroup: the path of the cgroup2 line ("0::"), else of systemd's named hierarchy
 * ("N:name=systemd:"). Writes raw bytes. 0, 1 (no such line), -EBADMSG, -E2BIG. */
int pw_proc_cgroup_parse(const char *text, size_t length, char *ret_path, size_t size);

/* Units and container of a cgroup path, as systemd lays them out (systemd.slice(5)): the system
 * unit is the last one before user@UID.service's own tree; below that, the user unit. Containers of
 * docker, podman, containerd, CRI-O (with their ids cut to 12), LXC, nspawn (machine name). Clean
 * text; empty where there is none. */
struct pw_cgroup_names {
        char unit[PW_UNIT_MAX];
        char user_unit[PW_UNIT_MAX];
        char container[PW_UNIT_MAX];
};
void pw_cgroup_names_parse(const char *path, struct pw_cgroup_names *ret);

/* The link's text "socket:[4711]". 0 and the inode, or -EINVAL. */
int pw_proc_socket_parse(const char *link, uint32_t *ret_inode);
