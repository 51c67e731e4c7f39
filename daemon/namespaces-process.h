/* SPDX-License-Identifier: MIT */
#pragma once

/* Which network namespace a process is in, by its directory in /proc. Each call counts as one of
 * `proc`'s reads. */

#include "daemon/proc.h"

#define PW_NETNS_LINK "net:[" /* how the kernel writes one: net:[INODE] */

/* The inode of the namespace that the link `path` below `dir_fd` names. 0, -EBADMSG where it is no
 * such link, or -errno. */
int pw_netns_read_inode(struct pw_proc *proc, int dir_fd, const char *path, uint64_t *ret);

/* The id of the namespace of the process whose directory this is, which the kernel never uses again
 * (unlike the inode); 0 where that is not known. Opens the namespace for a moment. */
uint64_t pw_netns_read_id(struct pw_proc *proc, int dir_fd);
