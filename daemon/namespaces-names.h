/* SPDX-License-Identifier: MIT */
#pragma once

/* The names that `ip netns` gives to network namespaces: files in /run/netns onto which they are
 * mounted. The names' own state is small; refreshing costs one stat(2) while nothing changes. */

#include <portwatch/base.h>

#include <sys/types.h>

struct pw_netns_name {
        uint64_t inode;
        char *text; /* clean */
};

/* What was in the directory, sorted by inode. */
struct pw_netns_names {
        struct pw_netns_name *items;
        size_t n, capacity;
        dev_t device; /* of the directory, and how it was */
        ino_t inode;
        uint64_t changed_nsec, read_usec;
};

/* Reads the directory where it has changed: that of PID 1, whose mounts are the host's, or else the
 * one of that name here. No directory is none with names. 0 or -ENOMEM. */
int pw_netns_names_refresh(struct pw_netns_names *names, int proc_fd);
/* The name, of several the first in the alphabet; NULL where it has none. */
const char *pw_netns_names_find(const struct pw_netns_names *names, uint64_t inode);
void pw_netns_names_done(struct pw_netns_names *names);
