/* SPDX-License-Identifier: MIT */
#pragma once

/* New UDP ports of one user and control group within a minute. Who opens many is a client:
 * resolvers take a port at random for each question. Pure; all 0 is none. */

#include <portwatch/snapshot.h>

struct pw_burst {
        uint32_t uid;
        uint64_t cgroup_id, began_usec;
        unsigned ports; /* 0: not used */
};

struct pw_bursts {
        struct pw_burst items[64]; /* when all are used, the oldest makes room */
};

/* One more port of the socket's user and control group, at this moment (boot clock). */
void pw_bursts_count(struct pw_bursts *bursts, const struct pw_socket *socket, uint64_t now_usec);
/* Whether the socket is one of many. */
bool pw_bursts_has(const struct pw_bursts *bursts, const struct pw_socket *socket);
