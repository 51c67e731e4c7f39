/* SPDX-License-Identifier: MIT */
#pragma once

/* The kernel's open sockets, through NETLINK_SOCK_DIAG (Linux include/uapi/linux/inet_diag.h,
 * net/ipv4/inet_diag.c). Two requests dump everything: TCPDIAG_GETSOCK with LISTEN walks TCP over
 * IPv4 and IPv6, the same message with INET_DIAG_REQ_PROTOCOL walks UDP. Where a kernel refuses
 * that form, the four SOCK_DIAG_BY_FAMILY dumps are used instead.
 *
 * A failed, interrupted or truncated dump is an incomplete part, never an empty one. */

#include <portwatch/snapshot.h>

struct pw_sockdiag;

/* Opens a diag socket in the caller's network namespace, `netns` being that namespace's inode (the
 * caller knows it; it is only copied into the rows). 0 or -errno. Needs no capability. */
int pw_sockdiag_open(uint64_t netns, struct pw_sockdiag **ret);
void pw_sockdiag_close(struct pw_sockdiag *diag);
PW_DEFINE_CLEANUP(struct pw_sockdiag *, pw_sockdiag_close)

enum {
        PW_DUMP_TCP = 1 << 0,
        PW_DUMP_UDP = 1 << 1,
        PW_DUMP_UDPLITE = 1 << 2,
};

/* Dumps TCP listeners and unconnected UDP sockets into `snapshot` (appended, with one part for each
 * protocol in `what`). Returns 0 when all parts are complete; 1 when a part is not: it is marked
 * so, `pw_sockdiag_error()` says why; -ENOMEM; -errno of writing the recording that was asked for.
 * Allocates nothing where the snapshot has room. */
int pw_sockdiag_dump(struct pw_sockdiag *diag, unsigned what, struct pw_snapshot *snapshot);

/* Why the last dump of the protocol was not complete: a positive errno, 0 when it was (ENOENT: the
 * kernel has no such protocol or its diag module is missing; ENOBUFS: overrun; EINTR: interrupted
 * by changes; EBADMSG: not understood; ENODATA: none was made). */
int pw_sockdiag_error(const struct pw_sockdiag *diag, uint8_t protocol);

/* What an exact lookup proves about one socket. */
enum pw_proof {
        PW_PROOF_ALIVE, /* it is there */
        PW_PROOF_GONE,  /* nothing is left at its endpoint, or an exact list of its port lacks it */
        PW_PROOF_NEITHER, /* its port is held by so many others (SO_REUSEPORT, SO_REUSEADDR) that no
                           * exact list could be had, or the kernel gave no answer */
};
/* Asks by id and cookie; if that is denied, by the endpoint without a cookie; if another socket is
 * there, lists the port. About 3 µs a lookup, 15 µs and up a list. A socket that has left its state
 * (a UDP socket that connected) counts as gone. */
enum pw_proof pw_sockdiag_prove(struct pw_sockdiag *diag, const struct pw_socket *socket);

/* ---- recordings ---- */

/* A recording is a file of raw netlink messages, as `ss -D FILE` writes it (TCP only, no requests).
 * Ours put each request before its reply, so that the protocol is known. */

/* From now on, requests and replies of dumps are also written to `fd` (-1 ends it; not closed). */
void pw_sockdiag_record(struct pw_sockdiag *diag, int fd);

/* Reads a recording into `snapshot`; rows get `netns` 0. Returns 0; 1: a part is not complete;
 * -EBADMSG: not a recording (`ret_offset`: the byte where it stops making sense); -errno. */
int pw_sockdiag_replay(int fd, struct pw_snapshot *snapshot, uint64_t *ret_offset);
