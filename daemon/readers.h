/* SPDX-License-Identifier: MIT */
#pragma once

/* Who holds the history open for reading. A reader that never ends its transaction keeps the
 * write-ahead log from shrinking; it cannot be stopped, but it can be named. */

#include <portwatch/base.h>

#include <sys/types.h>

/* The processes that have a lock on the file with this inode, from the text of /proc/locks
 * (proc(5)), without `self`, each once. `device` counts where `self` has no lock on it: stat(2) and
 * the kernel's list do not agree about it on every file system. Returns how many were written to
 * `ret_pids`. Pure. */
size_t pw_readers_parse(const char *text, dev_t device, ino_t inode, pid_t self, pid_t *ret_pids,
                        size_t max);

/* The same for `file` in `dir_fd`; 0 where it cannot be found out. */
size_t pw_readers_find(int proc_fd, int dir_fd, const char *file, pid_t *ret_pids, size_t max);
