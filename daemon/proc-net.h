/* SPDX-License-Identifier: MIT */
#pragma once

/* The tables of /proc/PID/net: which sockets are open in the network namespace of a process. One
 * line of them is parsed by pw_proc_net_parse(), see namespaces.h. */

#include <portwatch/snapshot.h>

/* What may still be read; shared by many calls. */
struct pw_proc_net_limits {
        uint64_t deadline_usec; /* by the boot clock */
        size_t bytes;           /* counts down */
};
bool pw_proc_net_is_exhausted(const struct pw_proc_net_limits *limits);

/* The protocols that are told; parts are in this order. */
#define PW_PROC_NET_PROTOCOLS 3
extern const uint8_t pw_proc_net_protocols[PW_PROC_NET_PROTOCOLS];

/* Appends what the tables of the process whose directory is `dir_fd` show; rows get `netns`. Tells
 * for each protocol whether its tables were read to their end; one that the kernel does not have
 * counts as empty, and so do those of a process that has ended: look after it. 0 or -ENOMEM. */
int pw_proc_net_read(int dir_fd, uint64_t netns, struct pw_proc_net_limits *limits,
                     struct pw_snapshot *snapshot, bool ret_complete[PW_PROC_NET_PROTOCOLS]);
