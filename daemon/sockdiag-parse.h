/* SPDX-License-Identifier: MIT */
#pragma once

/* Pure parser of sock_diag replies: bytes in, rows out. No kernel, no clock, no memory of its own.
 */

#include <portwatch/snapshot.h>

struct nlmsghdr;

/* Reads one inet_diag message (payload of a SOCK_DIAG_BY_FAMILY or TCPDIAG_GETSOCK reply) into a
 * row. `length` bytes at `payload`; `protocol` comes from the request (the message does not carry
 * it). Attributes used: INET_DIAG_SKV6ONLY, INET_DIAG_CGROUP_ID. Unknown ones are skipped. Returns
 * 0; 1: a row of no interest (neither LISTEN nor unconnected UDP, or port 0); -EBADMSG. */
int pw_sockdiag_parse(const void *payload, size_t length, uint8_t protocol, uint64_t netns,
                      struct pw_socket *ret);
