/* SPDX-License-Identifier: MIT */
#pragma once

/* Private to daemon/sockdiag*.c: one request to the kernel and its replies. */

#include "daemon/sockdiag.h"

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

/* Larger buffers gain nothing: the kernel fills at most this much at a time. */
#define PW_SOCKDIAG_BUFFER (32 * 1024)

/* All sockets of one port, listed anew: what pw_sockdiag_prove() falls back on. */
struct port_listing {
        struct pw_snapshot rows; /* sorted */
        uint8_t protocol, family;
        uint16_t port;
        bool crowded; /* too long to be exact; kept until the next look */
};

struct pw_sockdiag {
        struct mnl_socket *netlink;
        unsigned portid;
        unsigned sequence; /* of the last request */
        uint64_t netns;
        enum {
                FORM_UNKNOWN,
                FORM_ONE_PASS,  /* TCPDIAG_GETSOCK */
                FORM_BY_FAMILY, /* SOCK_DIAG_BY_FAMILY */
        } form;
        bool dirty;       /* replies to a request that was given up may be waiting */
        int record_fd;    /* -1: no recording */
        int record_error; /* -errno of writing it */
        int errors[3];    /* of the last dump, by protocol, positive */
        struct port_listing listing;
        _Alignas(struct nlmsghdr) char buffer[PW_SOCKDIAG_BUFFER];
};

/* A message being built. Large enough for every request here. */
union pw_sockdiag_request {
        struct nlmsghdr header;
        char bytes[192];
};

/* Begins a SOCK_DIAG_BY_FAMILY request; the caller fills in the rest of the returned body. */
struct inet_diag_req_v2 *pw_sockdiag_request_begin(union pw_sockdiag_request *request,
                                                   unsigned flags, uint8_t family,
                                                   uint8_t protocol);

/* What a request asks for and what came back. */
struct pw_sockdiag_reply {
        uint8_t protocol;             /* in: of the rows */
        uint64_t netns;               /* in: of the rows */
        bool recorded;                /* in: belongs into a recording */
        bool single;                  /* in: one row ends the reply, there is no NLMSG_DONE */
        struct pw_snapshot *snapshot; /* in: where rows are appended */
        size_t largest;               /* out: bytes of the largest batch of messages */
        int error;                    /* out: how the kernel ended it */
};

/* Sends a request and takes in all of its replies. Returns 0, or why they are not complete: the
 * kernel's -errno, -EINTR (interrupted by changes: try again), -ENOBUFS, -ETIMEDOUT, -EMSGSIZE,
 * -EBADMSG, -ENOMEM. Rows that came before that stay in the snapshot. */
int pw_sockdiag_exchange(struct pw_sockdiag *diag, union pw_sockdiag_request *request,
                         struct pw_sockdiag_reply *reply);
