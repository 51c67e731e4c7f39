/* SPDX-License-Identifier: MIT */
#pragma once

/* The listeners that are open now, and those closed a short while ago: the daemon's picture of
 * recent history. Sockets come and go between two publications; what is published is the
 * difference, so that a restart within one poll is one change and not a closing and an opening.
 * Pure. */

#include <portwatch/record.h>

struct pw_listener {
        struct pw_record *record; /* as last published; never NULL */
        struct pw_record *fresh;  /* what the newest sockets say, until it is published; or NULL */
        unsigned sockets;         /* sockets that it has now */
        unsigned missing;         /* of these, absent from the look that is being merged */
        bool open;                /* as last published */
        bool folded;              /* its owner is over the limit of rows: kept out of the store */
        bool required;            /* stands for a port that a rule requires, not for a socket */
        bool past;                /* open in the history of an earlier run, not yet settled */
        bool proven;              /* … and the very socket of that time is still there */
        bool recounted;           /* published with another number of sockets, not yet stored */
        unsigned ports;           /* folded: ports so far in this interval; else 0 */
        uint64_t linger_usec;     /* folded: stays open until then (boot clock, like the others) */
        uint64_t gone_usec;       /* when its last socket went; 0: between two looks */
        uint64_t closed_usec;

        /* the table's own */
        struct pw_listener *next_on_port, *previous_on_port;
        size_t index;
        bool touched;
};

struct pw_listeners;

int pw_listeners_new(struct pw_listeners **ret);
void pw_listeners_free(struct pw_listeners *listeners);
PW_DEFINE_CLEANUP(struct pw_listeners *, pw_listeners_free)

/* The listener of this id, or NULL. */
struct pw_listener *pw_listeners_find(struct pw_listeners *listeners, const char *listener_id);

/* The listener with the record's id; where there is none, a new one, closed, with this record
 * (which is referenced). NULL when out of memory. */
struct pw_listener *pw_listeners_get(struct pw_listeners *listeners, struct pw_record *record);

/* A socket came: `record` (referenced) is what it says of its listener. While other sockets are
 * there, its processes join theirs. 0 or -ENOMEM. */
int pw_listener_attach(struct pw_listeners *listeners, struct pw_listener *listener,
                       struct pw_record *record);
/* A socket went, at that moment (boot clock; 0: between two looks). */
void pw_listener_detach(struct pw_listeners *listeners, struct pw_listener *listener,
                        uint64_t gone_usec);
/* What is said to be the number of its sockets. */
static inline unsigned pw_listener_sockets(const struct pw_listener *listener)
{
        return listener->ports > 0 ? listener->ports : listener->sockets;
}

/* What is to be published of a listener that was touched. */
enum pw_listener_change {
        PW_LISTENER_SAME,
        PW_LISTENER_OPENED,
        PW_LISTENER_CLOSED,
        PW_LISTENER_CHANGED, /* held by other processes */
        PW_LISTENER_RECOUNT, /* only the number of sockets or the cookie changed */
};
enum pw_listener_change pw_listener_change(const struct pw_listener *listener);

/* Sets what is published from now on: takes over the reference to `record`. */
void pw_listener_publish(struct pw_listener *listener, struct pw_record *record, uint64_t now_usec);

/* Takes the listener that was touched first off the list; NULL when none is left. */
struct pw_listener *pw_listeners_next_touched(struct pw_listeners *listeners);
/* Puts it there, to be looked at again (a rule has changed). */
int pw_listeners_touch(struct pw_listeners *listeners, struct pw_listener *listener);

/* Listeners on one port, newest first; follow `next_on_port`. */
struct pw_listener *pw_listeners_on_port(const struct pw_listeners *listeners, uint16_t port);

/* All of them, in no order. */
size_t pw_listeners_count(const struct pw_listeners *listeners);
struct pw_listener *pw_listeners_item(const struct pw_listeners *listeners, size_t i);

/* Forgets listeners closed before `before_usec` (boot clock), and the longest closed ones beyond
 * `limit` closed ones. Listeners that a rule requires stay. */
void pw_listeners_forget(struct pw_listeners *listeners, uint64_t before_usec, size_t limit);
