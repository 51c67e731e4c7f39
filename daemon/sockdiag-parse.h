/* SPDX-License-Identifier: MIT */
#pragma once

/* Pure parser of sock_diag replies: bytes in, rows out. No kernel, no clock, no memory of its own.
 * Nothing needs to be aligned. */

#include <portwatch/snapshot.h>

struct nlmsghdr;

/* Reads one inet_diag message (payload of a SOCK_DIAG_BY_FAMILY or TCPDIAG_GETSOCK reply) into a
 * row. `length` bytes at `payload`; `protocol` comes from the request (the message does not carry
 * it). Attributes used: INET_DIAG_SKV6ONLY (for :: only), INET_DIAG_CGROUP_ID. Unknown ones are
 * skipped. Returns 0; 1: a row of no interest (neither LISTEN nor unconnected UDP, or port 0);
 * -EBADMSG. */
int pw_sockdiag_parse(const void *payload, size_t length, uint8_t protocol, uint64_t netns,
                      struct pw_socket *ret);

/* Reads how a dump ended: the payload of a message of type NLMSG_DONE (where the kernel puts the
 * error of a dump that failed) or NLMSG_ERROR. Returns 0, the kernel's -errno, or -EBADMSG. */
int pw_sockdiag_parse_end(unsigned type, const void *payload, size_t length);

/* The states (as bits) in which a socket of the protocol waits for what comes: LISTEN for TCP,
 * unconnected for UDP. 0: not a protocol that is watched. */
uint32_t pw_sockdiag_states(uint8_t protocol);

/* pw_sockdiag_replay() of a recording that is in memory. */
int pw_sockdiag_replay_bytes(const void *data, size_t size, struct pw_snapshot *snapshot,
                             uint64_t *ret_offset);
