/* SPDX-License-Identifier: MIT */
#pragma once

/* What the programs in the kernel write and the loader reads: records of fixed layout, without
 * padding. */

#include <linux/types.h>

/* As PW_OPENER_EXE_MAX. The second half is only there so that any name has room. */
#define RECORD_EXE_MAX 512
#define RECORD_COMM_MAX 16

enum record_socket_flags {
        RECORD_EXPLICIT = 1 << 0,
        RECORD_KERNEL = 1 << 1,
        RECORD_V6ONLY = 1 << 2,
};

struct record_socket {
        __u64 cookie, cgroup_id, inode, netns_id;
        __u32 netns, uid, ifindex;
        __u16 port; /* host byte order */
        __u8 family, protocol;
        __u8 flags; /* enum record_socket_flags */
        __u8 reserved[7];
        __u8 address[16];
};

struct record_holder {
        __u64 started_nsec; /* since boot */
        __u32 pid;
        __u32 uid;
        char comm[RECORD_COMM_MAX];
};

/* The second half is only there so that any name has room. */
#define RECORD_CGROUP_MAX 256

/* Names from the last to the first, each with its NUL; length 0: longer than what is kept. */
struct record_cgroup {
        __u64 id;
        __u16 length;
        __u16 reserved[3];
        char path[RECORD_CGROUP_MAX];
};

enum record_exe_flags {
        RECORD_EXE_TRUNCATED = 1 << 0,
        RECORD_EXE_DELETED = 1 << 1,
        RECORD_EXE_UNNAMED = 1 << 2,
};

struct record_exe {
        __u64 inode;
        __u32 device; /* as in the kernel: 12 bits major, 20 bits minor */
        __u16 length;
        __u16 flags;
        char path[RECORD_EXE_MAX]; /* its names from the last to the first, each with its NUL */
};

/* In the ring. A closed event ends before `holder`. */
struct record_event {
        __u64 time_nsec; /* since boot */
        __u32 closed;
        __u32 mount_ns;
        struct record_socket socket;
        struct record_holder holder;
        struct record_cgroup cgroup;
        struct record_exe exe;
};

/* In a list. */
struct record_row {
        struct record_socket socket;
        struct record_holder holder; /* pid 0 where the list has none */
};

#define RECORD_ROWS_MAX 1024

/* The list of holders as far as it has come. The reader empties it, and it goes on. */
struct record_list {
        __u32 rows_used;
        __u32 work; /* done for them, in descriptors */
        struct record_row rows[RECORD_ROWS_MAX];
};

/* Settings, fixed when the programs are loaded. */
struct record_settings {
        __u32 pid_ns;     /* inode of the loader's process namespace */
        __u32 root_mount; /* id of the mount that is the loader's root; 0: not known */
};
