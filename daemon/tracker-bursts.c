/* SPDX-License-Identifier: MIT */

#include "daemon/tracker-bursts.h"

#define PORTS_MAX 8 /* who opens more is a client */

static bool same_source(const struct pw_burst *burst, const struct pw_socket *socket)
{
        return burst->ports > 0 && burst->uid == socket->uid &&
               burst->cgroup_id == socket->cgroup_id;
}

bool pw_bursts_has(const struct pw_bursts *bursts, const struct pw_socket *socket)
{
        for (size_t i = 0; i < PW_ELEMENTS(bursts->items); i++)
                if (same_source(&bursts->items[i], socket))
                        return bursts->items[i].ports > PORTS_MAX;
        return false;
}

void pw_bursts_count(struct pw_bursts *bursts, const struct pw_socket *socket, uint64_t now_usec)
{
        struct pw_burst *burst = &bursts->items[0];

        for (size_t i = 0; i < PW_ELEMENTS(bursts->items); i++) {
                if (same_source(&bursts->items[i], socket)) {
                        burst = &bursts->items[i];
                        break;
                }
                if (bursts->items[i].began_usec < burst->began_usec)
                        burst = &bursts->items[i];
        }
        if (!same_source(burst, socket) || now_usec - burst->began_usec >= PW_USEC_PER_MINUTE)
                *burst = (struct pw_burst){
                    .uid = socket->uid, .cgroup_id = socket->cgroup_id, .began_usec = now_usec};
        burst->ports++;
}
