/* SPDX-License-Identifier: MIT */
#pragma once

/* Control groups: from the ids that sockets carry to the paths of their directories. What a path
 * means is pw_cgroup_names_parse() in attribution.h. */

#include <portwatch/base.h>

/* Paths by id (the inode of the cgroup's directory): want ids, resolve once, then ask. */
struct pw_cgroups {
        uint64_t *ids; /* after resolving: sorted, each once */
        char **paths;  /* parallel; NULL: removed, never there, or the root itself */
        size_t n, capacity;
};

/* Wants the path of a cgroup; 0 and 1 (no cgroup, the root) are passed over. 0 or -ENOMEM. */
int pw_cgroups_want(struct pw_cgroups *cgroups, uint64_t id);

/* Finds the paths of all that were wanted, below `root_fd`, the root of cgroup2 (-1: there is
 * none, and nothing is found). Once only. 0 or -ENOMEM. */
int pw_cgroups_resolve(struct pw_cgroups *cgroups, int root_fd);

/* The path, raw bytes that begin with '/'; NULL where it is not known. */
const char *pw_cgroups_path(const struct pw_cgroups *cgroups, uint64_t id);

void pw_cgroups_done(struct pw_cgroups *cgroups);
