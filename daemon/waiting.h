/* SPDX-License-Identifier: MIT */
#pragma once

/* Sockets that events told of and that are looked at again a while later, each for the same time:
 * what is to be thought of them shows only then. They may close meanwhile. Pure. */

#include <portwatch/owner.h>
#include <portwatch/snapshot.h>

struct pw_waiting;

struct pw_waiting_socket {
        struct pw_socket socket;
        struct pw_owner *owner; /* one reference */
        uint64_t opened_usec;   /* boot clock, likewise the others */
        uint64_t closed_usec;   /* 0: it is still open */
        uint64_t due_usec;

        struct pw_waiting_socket *next; /* the queue's own */
};

int pw_waiting_new(uint64_t delay_usec, struct pw_waiting **ret); /* 0 or -ENOMEM */
void pw_waiting_free(struct pw_waiting *waiting);
PW_DEFINE_CLEANUP(struct pw_waiting *, pw_waiting_free)

/* Lets an open socket wait from `now_usec` (which never goes back) on; the owner is referenced. 0
 * or -ENOMEM. */
int pw_waiting_add(struct pw_waiting *waiting, const struct pw_socket *socket,
                   struct pw_owner *owner, uint64_t opened_usec, uint64_t now_usec);

/* Notes that a socket has closed; one that had no port when it opened gets the endpoint that it has
 * now. False where none with this cookie waits open. */
bool pw_waiting_close(struct pw_waiting *waiting, const struct pw_socket *socket,
                      uint64_t closed_usec);

/* Takes the first one out that is due at `now_usec`, or any where more than `limit` wait; NULL:
 * none. It is the caller's: release it with pw_waiting_socket_free(). */
struct pw_waiting_socket *pw_waiting_take(struct pw_waiting *waiting, uint64_t now_usec,
                                          size_t limit);
void pw_waiting_socket_free(struct pw_waiting_socket *socket);
PW_DEFINE_CLEANUP(struct pw_waiting_socket *, pw_waiting_socket_free)

/* When the next one is due; PW_USEC_INFINITY: none waits. */
uint64_t pw_waiting_due(const struct pw_waiting *waiting);
