/* SPDX-License-Identifier: MIT */
#pragma once

/* Which processes take one UDP port after another: resolvers, which ask each question from a port
 * at random, and media servers. What such a process binds is one listener and not thousands. Pure.
 *
 * It is the process that counts and not its user or program: ten services of one program on ten
 * ports are ten listeners. */

#include <portwatch/base.h>

#include <sys/types.h>

#define PW_FOLD_PORTS 8 /* distinct ports of one process that are still told one by one */

struct pw_fold;

int pw_fold_new(struct pw_fold **ret); /* 0 or -ENOMEM */
void pw_fold_free(struct pw_fold *fold);
PW_DEFINE_CLEANUP(struct pw_fold *, pw_fold_free)

/* Notes that a process (its start time guards its pid) has bound a port. Whether it takes many: one
 * that does so once does so as long as it lives, or until other processes push it out of memory. */
bool pw_fold_count(struct pw_fold *fold, pid_t pid, uint64_t started, uint16_t port);
/* The same without noting anything. */
bool pw_fold_takes_many(const struct pw_fold *fold, pid_t pid, uint64_t started);
