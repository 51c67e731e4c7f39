/* SPDX-License-Identifier: MIT */
#pragma once

/* The tracker turns looks into changes: which sockets came, which are proven to have gone. It keeps
 * what it knows as one array sorted by cookie and endpoint, and merges each look into it. Pure: no
 * kernel, no clock, no root.
 *
 * A look goes in two steps, since absence from a dump proves nothing:
 *   pw_tracker_look()   merges a snapshot; `absent` lists the sockets that a complete part lacks;
 *   pw_tracker_settle() takes a proof for each of these and lets the gone ones go.
 *
 * UDP sockets in the ephemeral range are held back until they have lived `dwell_usec`: clients come
 * and go there all the time, and a poll cannot tell them from servers. Resolvers use other ports,
 * too, for a moment each: above the well-known ports UDP is held back for PW_UDP_SETTLE_USEC, and
 * as long as in the ephemeral range where its user and cgroup open many ports a minute. One that
 * goes before that leaves no trace. */

#include <portwatch/snapshot.h>

#define PW_UDP_SETTLE_USEC (3 * PW_USEC_PER_SEC)

struct pw_tracker;

struct pw_change {
        bool closed;         /* else opened */
        bool by_event;       /* opened: the kernel told of it at that moment */
        bool first_look;     /* opened: was there at the first complete look at its part */
        uint64_t since_usec; /* boot clock: first look that showed it */
        void *tag; /* closed: what pw_tracker_tag() attached; NULL: never told as opened */
        struct pw_socket socket;
};

struct pw_changes {
        struct pw_change *items;
        size_t n, capacity;
};
void pw_changes_done(struct pw_changes *changes);

int pw_tracker_new(struct pw_ports ephemeral, uint64_t dwell_usec, struct pw_tracker **ret);
void pw_tracker_free(struct pw_tracker *tracker);
PW_DEFINE_CLEANUP(struct pw_tracker *, pw_tracker_free)

/* Merges a sorted snapshot (pw_snapshot_sort()) at `now_usec` (boot clock). Appends sockets that
 * have come (and are old enough to be told) to `opened`, and those absent from a complete part to
 * `absent` (as closed changes, not yet believed). 0 or -ENOMEM (the tracker is then as before). */
int pw_tracker_look(struct pw_tracker *tracker, const struct pw_snapshot *snapshot,
                    uint64_t now_usec, struct pw_changes *opened, struct pw_changes *absent);

/* Removes the sockets in absent->items[i] for which gone[i] is true, and leaves in `absent` those
 * of them that had been told as opened. The others stay, and are looked for again. */
void pw_tracker_settle(struct pw_tracker *tracker, struct pw_changes *absent, const bool *gone);

/* Between looks, events tell of single sockets; these cost no walk over all of them.
 *
 * A socket has come: it counts as told, whatever its port. 1: news; 0: it had been told before, or
 * has no cookie; -ENOMEM. */
int pw_tracker_open(struct pw_tracker *tracker, const struct pw_socket *socket, uint64_t now_usec);
/* A socket has gone: the one with this cookie at this endpoint or, where it has left that
 * (connect(2) changes a UDP socket's address), wherever it was. True where it had been told;
 * `*ret_tag` is then what pw_tracker_tag() attached, or NULL. */
bool pw_tracker_close(struct pw_tracker *tracker, const struct pw_socket *socket, void **ret_tag);

/* The look is as the one before: only held-back sockets may have become old enough. Appends them to
 * `opened`. 0 or -ENOMEM. Costs nothing before pw_tracker_due(). */
int pw_tracker_tick(struct pw_tracker *tracker, uint64_t now_usec, struct pw_changes *opened);

/* Attaches the caller's value to a socket that has been told as opened; it comes back with the
 * closing. Nothing where no such socket is known. */
void pw_tracker_tag(struct pw_tracker *tracker, const struct pw_socket *socket, void *tag);

/* Whether the socket is known, by this very opening (`since_usec` as it was told, or as
 * pw_tracker_open() was given it): one that stops listening may listen again, with the same cookie.
 */
bool pw_tracker_knows(const struct pw_tracker *tracker, const struct pw_socket *socket,
                      uint64_t since_usec);

/* Where a socket with this cookie, protocol and port is known, makes *socket that one: another
 * source may say less of it. */
void pw_tracker_recall(const struct pw_tracker *tracker, struct pw_socket *socket);

/* The attached value; NULL where no such socket is known, or it was never told. */
void *pw_tracker_tagged(const struct pw_tracker *tracker, const struct pw_socket *socket);

/* When the next held-back socket will be old enough (boot clock), PW_USEC_INFINITY: none. */
uint64_t pw_tracker_due(const struct pw_tracker *tracker);

/* Whether sockets absent at the last look were kept for want of proof: then an unchanged look must
 * be merged again, too. */
bool pw_tracker_has_unproven(const struct pw_tracker *tracker);

/* Sockets known now. */
size_t pw_tracker_count(const struct pw_tracker *tracker);
