/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading one process below /proc: thin readers around the parsers that attribution.h declares.
 *
 * A process is read through a descriptor of one of its directories: that one never leads to
 * another process that got the same pid later. Every function returns -ESRCH where the process has
 * ended meanwhile, and -EACCES where looking into it is not permitted. */

#include "daemon/attribution.h"

/* A walk over the numbers in a directory (pids, descriptors), without an allocation. */
struct pw_numbers {
        int fd, error;
        size_t at, length;
        _Alignas(8) char buffer[32768];
};
/* `fd` stays the caller's. */
void pw_numbers_start(struct pw_numbers *numbers, int fd);
/* The next entry that begins with a digit, valid until the next call; NULL at the end, with `error`
 * where it was not reached. A process that ends meanwhile ends the walk over its directory. */
const char *pw_numbers_next(struct pw_numbers *numbers);

/* What the readers share. Large: keep it. */
struct pw_proc {
        int fd;                 /* "/proc" */
        int root_fd;            /* "/" of the host */
        uint64_t reads;         /* files and directories opened, links read */
        uint64_t deadline_usec; /* by the boot clock: then no more tables are read; 0: none */
        struct pw_descriptors descriptors_list; /* .list NULL: there is none */
        struct pw_numbers pids, descriptors;
};

/* Opens the directory PID/`name`. A descriptor or -errno. */
int pw_proc_open(struct pw_proc *proc, pid_t pid, const char *name);

/* Tells the sockets that a process holds. */
enum pw_link {
        PW_LINK_SOCKET, /* `number` is its inode */
        PW_LINK_RING,   /* an io_uring, which may hold sockets itself; `number` is its descriptor */
};
typedef int (*pw_link_found)(void *userdata, enum pw_link kind, uint32_t number);

/* A part of a descriptor table, in its own order: from this entry to the one before that. */
struct pw_stretch {
        unsigned from, to;
};
/* Reads a part of the descriptor table at `fds_fd`, a descriptor of /proc/PID/fd. 0; 1: there are
 * more behind it; -ETIME: it became too late; -EACCES or another -errno where not all could be
 * read; or the first negative value that `found` returned. */
int pw_proc_read_links(struct pw_proc *proc, int fds_fd, struct pw_stretch range,
                       pw_link_found found, void *userdata);

/* Whether the deadline has passed. */
bool pw_proc_is_late(const struct pw_proc *proc);

/* Reads the sockets that the io_uring with that descriptor holds. Returns likewise; -EOVERFLOW
 * where it holds too much. */
int pw_proc_read_ring(struct pw_proc *proc, pid_t pid, uint32_t fd, pw_link_found found,
                      void *userdata);

/* All of these take a descriptor of /proc/PID. */

/* Start time and, where `comm` is not NULL, the name (clean, PW_COMM_MAX bytes); `path` is "stat"
 * as seen from `dir_fd`: "../stat" for one of PID/fd. 0 or -errno. */
int pw_proc_read_stat(struct pw_proc *proc, int dir_fd, const char *path, struct pw_proc_stat *ret,
                      char *comm);

/* The executable's path (clean, without " (deleted)"; NULL where it may not be known) and what is
 * notable about it (enum pw_trait). 0; 1: it has none any more (it is ending); -ENOMEM. */
int pw_proc_read_exe(struct pw_proc *proc, int dir_fd, char **ret_path, unsigned *ret_traits);

/* What is notable about the executable of a process that can no longer be looked at. */
unsigned pw_proc_opener_traits(struct pw_proc *proc, const struct pw_opener *opener);

/* The command line, its arguments one blank apart; NULL where it has none. 0 or -ENOMEM. */
int pw_proc_read_cmdline(struct pw_proc *proc, int dir_fd, char **ret);

/* Unit and container; empty where they are not known. */
void pw_proc_read_cgroup(struct pw_proc *proc, int dir_fd, struct pw_cgroup_names *ret);

/* The effective uid: the owner of the directory, whatever the process lets others see. 0 or
 * -errno. */
int pw_proc_read_uid(int dir_fd, uint32_t *ret);

/* Whether two files are at the same place of one file system: the process's at `path` of the mount
 * `own_mount` in its own mounts, and the host's at `path` of the mount `host_mount`. What is
 * mounted over something else is not. False where that cannot be proven. */
bool pw_proc_is_same_place(struct pw_proc *proc, int dir_fd, const char *path, uint64_t own_mount,
                           uint64_t host_mount);

/* Whether that mount of ours is of the file system with that device: the kernel's own number, which
 * stat(2) may not tell (struct pw_opener). */
bool pw_proc_is_on_device(struct pw_proc *proc, uint64_t host_mount, dev_t device);

/* ---- parsers beyond those of attribution.h ---- */

/* A line of /proc/PID/mountinfo, which is changed: id, the file system's device, what of it is
 * mounted, and where. 0 or -EBADMSG. */
struct pw_mount {
        uint64_t id;
        dev_t device;
        const char *root, *point;
};
int pw_proc_mount_parse(char *line, struct pw_mount *ret);

/* Where `path`, which is below the mount, is in the file system: two parts that make up the whole,
 * "" both for the top. False where the path is not below it. */
struct pw_place {
        const char *root, *rest;
};
bool pw_proc_place(const struct pw_mount *mount, const char *path, struct pw_place *ret);

/* The name in /proc/PID/stat, clean. 0 or -EBADMSG. */
int pw_proc_comm_parse(const char *text, size_t length, char *buffer, size_t size);

/* A line of a ring's fdinfo, "    0: socket:[4711]" (a newline may follow). 0 and the inode, or
 * -EINVAL: another line. */
int pw_proc_ring_line_parse(const char *line, size_t length, uint32_t *ret_inode);
