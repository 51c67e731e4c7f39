/* SPDX-License-Identifier: MIT */
#pragma once

/* Who opened a socket, as the kernel told it at that moment: what attribution goes by where the
 * process has ended since. */

#include <portwatch/base.h>

#include <sys/types.h>

enum {
        PW_EXE_TRUNCATED = 1 << 0, /* longer than what is kept: only its end, without a slash */
        PW_EXE_DELETED = 1 << 1,   /* the file has no name any more */
        PW_EXE_UNNAMED = 1 << 2,   /* never had one: "/memfd:NAME" */
};
#define PW_OPENER_EXE_MAX 512 /* never longer; up to half of it, never truncated */

/* The process that did it, as it was at that moment; raw bytes from outside. */
struct pw_opener {
        pid_t pid;          /* in our process namespace; 0: not visible there */
        uint64_t started;   /* clock ticks since boot: as in /proc/PID/stat and pw_owner.started */
        uint32_t uid;       /* effective */
        uint64_t cgroup_id; /* of the process; that of the socket may be another */
        const char *cgroup; /* its path from the root of all; "": not told, as it is too long */
        uint64_t mount_ns;  /* inode of its mount namespace */
        char comm[16];      /* of the process, not the thread; NUL-terminated */
        /* The path as /proc/PID/exe shows it, but without " (deleted)"; "" for the kernel's own
         * threads. */
        const char *exe;
        unsigned exe_flags;
        uint64_t exe_inode;
        dev_t exe_device; /* of the file system, as in /proc/PID/mountinfo: on btrfs and overlayfs
                           * stat(2) may say another */
};
