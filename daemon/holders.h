/* SPDX-License-Identifier: MIT */
#pragma once

/* Which processes hold certain sockets: the search that attribution is built on. */

#include "daemon/proc.h"

/* A process that holds at least one of the sockets. */
struct pw_holder {
        pid_t pid;
        uint64_t started;
        char comm[PW_COMM_MAX];
};

/* The holders of one inode, which several sockets may have (a TCP row and its MPTCP row). */
struct pw_held {
        uint32_t n_holders;
        uint32_t last_holder; /* + 1: one process may have several descriptors of a socket */
        bool settled;         /* no more holders are noted */
        uint32_t holders[PW_OWNER_PIDS_MAX]; /* the first ones to start, in that order */
        uint64_t fingerprint;                /* of the set of all holders */
};

static inline uint32_t pw_held_listed(const struct pw_held *held)
{
        return PW_MIN(held->n_holders, (uint32_t)PW_OWNER_PIDS_MAX);
}

/* A search. Make it with pw_holders_begin(), release it with pw_holders_done(). */
struct pw_holders {
        struct pw_proc *proc;
        bool hidden; /* a process was met that may not, or was not, be looked into */
        bool looked_everywhere;

        uint32_t *inodes; /* sorted, each once; `held` is parallel to it */
        struct pw_held *held;
        size_t n_inodes, n_missing; /* missing: without a holder so far */
        unsigned glance;            /* descriptors of a process that are read at first sight */

        struct pw_holder *items;
        size_t n_items, items_capacity;
        struct pw_ring {
                pid_t pid;
                uint32_t fd;
        } * rings; /* met on the way; looked into only for what nothing else holds */
        size_t n_rings, rings_capacity;
        bool rings_left_out; /* there were more */
        pid_t *large;        /* processes whose tables are too large to be read at first sight */
        size_t n_large, large_capacity;
};

/* 0 or -ENOMEM. */
int pw_holders_begin(struct pw_holders *holders, struct pw_proc *proc,
                     const struct pw_socket *const *sockets, size_t n);
void pw_holders_done(struct pw_holders *holders);

/* Looks into one process. 0 (also where it has ended); 1: not permitted, too large, or too late;
 * -ENOMEM. */
int pw_holders_visit(struct pw_holders *holders, pid_t pid);
/* Looks into the begin of its table, and notes where that was not all. Returns likewise. */
int pw_holders_glance(struct pw_holders *holders, pid_t pid);
/* Looks into all processes, then into large tables and rings; in a hurry, with several threads,
 * which costs the same CPU time in less time. 0 or -ENOMEM. */
int pw_holders_visit_all(struct pw_holders *holders, bool hurry);
/* Looks into the rings that were met, if sockets are missing. 0 or -ENOMEM. */
int pw_holders_visit_rings(struct pw_holders *holders);
/* Looks into all processes by the kernel's list of descriptors. 0: all sockets have a holder; 1:
 * not all have; 2: there is no such list, or it failed and nothing is noted of it; -ENOMEM. */
int pw_holders_list(struct pw_holders *holders);
/* From now on, holders are noted only for sockets that have none yet. */
void pw_holders_settle(struct pw_holders *holders);

/* ---- for those that search ---- */

/* The holders of an inode that is searched for, or NULL. */
struct pw_held *pw_holders_find(const struct pw_holders *holders, uint32_t inode);
/* Adds a process. 0 and its index, or -ENOMEM. */
int pw_holders_add(struct pw_holders *holders, const struct pw_holder *holder, uint32_t *ret);
/* Notes that the process of that index holds it. */
void pw_held_add(struct pw_holders *holders, struct pw_held *held, uint32_t holder);

/* The holders of a socket; NULL where it has no inode. */
const struct pw_held *pw_holders_of(const struct pw_holders *holders,
                                    const struct pw_socket *socket);
