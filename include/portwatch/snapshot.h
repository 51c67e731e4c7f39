/* SPDX-License-Identifier: MIT */
#pragma once

/* A snapshot is what one look at the kernel showed: rows in the order in which the kernel gave
 * them, and, for each (namespace, protocol), whether that part of the look is complete. Only
 * complete parts may be compared: a socket absent from an incomplete part says nothing.
 *
 * An unchanged host gives the same rows in the same order, so that "nothing changed" is one
 * memcmp; rows therefore have no padding with stray bytes and no counters (queues, timers). */

#include <portwatch/endpoint.h>

struct pw_socket {
        uint64_t cookie;    /* identity within a boot (SO_COOKIE); 0 only in foreign recordings */
        uint64_t cgroup_id; /* inode of the cgroup2 directory at creation; 0: not told */
        struct pw_endpoint endpoint;
        uint32_t inode; /* of the socket file; 0: no process can hold it */
        uint32_t uid;
};

/* One (namespace, protocol) of a snapshot. */
struct pw_part {
        uint64_t netns;
        uint8_t protocol;
        bool complete;
        uint8_t reserved[6];
};

struct pw_snapshot {
        struct pw_socket *sockets;
        size_t n_sockets, sockets_capacity;
        struct pw_part *parts;
        size_t n_parts, parts_capacity;
};

/* Empties the snapshot and keeps its memory for the next look. */
void pw_snapshot_clear(struct pw_snapshot *snapshot);
/* Frees the memory (not the struct); accepts an empty one. */
void pw_snapshot_done(struct pw_snapshot *snapshot);

/* Appends a cleared row and returns it (valid until the next append), NULL when out of memory. */
struct pw_socket *pw_snapshot_add(struct pw_snapshot *snapshot);

/* Notes the completeness of one part. 0 or -ENOMEM. */
int pw_snapshot_add_part(struct pw_snapshot *snapshot, uint64_t netns, uint8_t protocol,
                         bool complete);

/* Whether the part was looked at and is complete. */
bool pw_snapshot_is_complete(const struct pw_snapshot *snapshot, uint64_t netns, uint8_t protocol);

/* Same rows in the same order with the same parts. */
bool pw_snapshot_equal(const struct pw_snapshot *a, const struct pw_snapshot *b);

/* Orders rows by cookie and endpoint, and drops repeated ones (dumps under churn repeat rows); rows
 * without a cookie are all kept. */
void pw_snapshot_sort(struct pw_snapshot *snapshot);

/* Makes *copy equal to *source, reusing its memory. 0 or -ENOMEM. */
int pw_snapshot_copy(struct pw_snapshot *copy, const struct pw_snapshot *source);
