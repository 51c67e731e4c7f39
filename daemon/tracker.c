/* SPDX-License-Identifier: MIT */
/* The sockets that are known, as one array sorted by cookie and endpoint: a socket can leave its
 * endpoint and listen at another one, with the same cookie. What events tell between two looks is
 * kept beside it, so that one event does not cost a walk over all sockets: arrivals in a second,
 * small array in the same order, departures as a mark. The next look brings both in.
 *
 * Invariants: (cookie, endpoint) are distinct; `told` is set once a socket has been handed out as
 * opened, and only such sockets are ever handed out as closed; `absent` marks those that the last
 * look lacked and that nothing has proven gone. A look builds the next array beside the old one and
 * publishes it at the end, so that running out of memory leaves everything as it was. */

#include "daemon/tracker.h"

#include "daemon/tracker-bursts.h"

struct tracked {
        struct pw_socket socket;
        uint64_t since_usec;
        void *tag;
        bool first_look, told, absent;
        bool gone; /* an event said so: to be left out from now on */
};
#define ARRIVED_MAX 2048 /* beside the array, before they are brought in */

struct pw_tracker {
        struct tracked *sockets;
        size_t n, n_gone;
        struct tracked *arrived;
        size_t n_arrived, arrived_capacity;
        struct pw_part *seen; /* parts that have been complete once: later arrivals are news */
        size_t n_seen, seen_capacity;
        struct pw_ports ephemeral;
        uint64_t dwell_usec, due_usec;
        size_t n_absent;
        struct pw_bursts bursts;
};

int pw_tracker_new(struct pw_ports ephemeral, uint64_t dwell_usec, struct pw_tracker **ret)
{
        struct pw_tracker *tracker = calloc(1, sizeof *tracker);

        if (!tracker)
                return -ENOMEM;
        tracker->ephemeral = ephemeral;
        tracker->dwell_usec = dwell_usec;
        tracker->due_usec = PW_USEC_INFINITY;
        *ret = tracker;
        return 0;
}

void pw_tracker_free(struct pw_tracker *tracker)
{
        if (!tracker)
                return;
        free(tracker->sockets);
        free(tracker->arrived);
        free(tracker->seen);
        free(tracker);
}

void pw_changes_done(struct pw_changes *changes)
{
        free(changes->items);
        *changes = (struct pw_changes){0};
}

static int reserve(struct pw_changes *changes, size_t more)
{
        return pw_array_reserve(&changes->items, &changes->capacity, changes->n + more,
                                sizeof *changes->items);
}

static int compare_sockets(const struct pw_socket *a, const struct pw_socket *b)
{
        if (a->cookie != b->cookie)
                return a->cookie < b->cookie ? -1 : 1;
        return pw_endpoint_compare(&a->endpoint, &b->endpoint);
}

/* There is room: callers reserve before they begin. */
static void tell(struct pw_changes *changes, const struct tracked *tracked, bool closed)
{
        changes->items[changes->n++] = (struct pw_change){
            .closed = closed,
            .first_look = tracked->first_look,
            .since_usec = tracked->since_usec,
            .tag = tracked->tag,
            .socket = tracked->socket,
        };
}

static bool part_seen(const struct pw_tracker *tracker, const struct pw_endpoint *endpoint)
{
        for (size_t i = 0; i < tracker->n_seen; i++)
                if (tracker->seen[i].netns == endpoint->netns &&
                    tracker->seen[i].protocol == endpoint->protocol)
                        return true;
        return false;
}

static void remember_parts(struct pw_tracker *tracker, const struct pw_snapshot *snapshot)
{
        for (size_t i = 0; i < snapshot->n_parts; i++) {
                const struct pw_part *part = &snapshot->parts[i];

                if (part->complete &&
                    !part_seen(tracker, &(struct pw_endpoint){.netns = part->netns,
                                                              .protocol = part->protocol}))
                        tracker->seen[tracker->n_seen++] = *part;
        }
}

/* UDP above the well-known ports may be a client. */
static bool is_held_back(const struct pw_socket *socket)
{
        return socket->endpoint.protocol != PW_TCP &&
               pw_port_range(socket->endpoint.port) != PW_RANGE_WELL_KNOWN;
}

/* When a socket is old enough to be told. */
static uint64_t ripe_usec(const struct pw_tracker *tracker, const struct tracked *tracked)
{
        const struct pw_socket *socket = &tracked->socket;

        if (!is_held_back(socket))
                return 0;
        if (pw_ports_contain(tracker->ephemeral, socket->endpoint.port))
                return tracked->since_usec + tracker->dwell_usec;
        /* What was there at the first look has been there for longer than a look can tell. */
        if (tracked->first_look)
                return 0;
        return tracked->since_usec +
               (pw_bursts_has(&tracker->bursts, socket) ? tracker->dwell_usec : PW_UDP_SETTLE_USEC);
}

static void tell_if_ripe(struct pw_tracker *tracker, struct tracked *tracked, uint64_t now_usec,
                         struct pw_changes *opened)
{
        uint64_t ripe;

        if (tracked->told)
                return;
        ripe = ripe_usec(tracker, tracked);
        if (ripe > now_usec) {
                tracker->due_usec = PW_MIN(tracker->due_usec, ripe);
                return;
        }
        tracked->told = true;
        tell(opened, tracked, false);
}

/* One linear merge; `next` has room for both sides. Returns how many sockets are known now. */
static size_t merge(struct pw_tracker *tracker, const struct pw_snapshot *snapshot,
                    uint64_t now_usec, struct tracked *next, struct pw_changes *opened,
                    struct pw_changes *absent)
{
        size_t i = 0, j = 0, n = 0;

        while (i < tracker->n || j < snapshot->n_sockets) {
                const struct tracked *old = i < tracker->n ? &tracker->sockets[i] : NULL;
                const struct pw_socket *row =
                    j < snapshot->n_sockets ? &snapshot->sockets[j] : NULL;
                struct tracked *kept = &next[n];
                int order;

                if (row && row->cookie == 0) { /* cannot be told from another */
                        j++;
                        continue;
                }
                n++;
                order = !row ? -1 : !old ? 1 : compare_sockets(&old->socket, row);
                if (order < 0) {
                        *kept = *old;
                        if (pw_snapshot_is_complete(snapshot, old->socket.endpoint.netns,
                                                    old->socket.endpoint.protocol)) {
                                kept->absent = true;
                                tell(absent, kept, true);
                        }
                        tracker->n_absent += kept->absent;
                        if (!kept->told && !kept->absent)
                                tracker->due_usec =
                                    PW_MIN(tracker->due_usec, ripe_usec(tracker, kept));
                        i++;
                        continue;
                }
                if (order == 0) {
                        *kept = *old;
                        kept->absent = false;
                        i++;
                } else {
                        *kept = (struct tracked){
                            .socket = *row,
                            .since_usec = now_usec,
                            .first_look = !part_seen(tracker, &row->endpoint),
                        };
                        if (is_held_back(row) && !kept->first_look)
                                pw_bursts_count(&tracker->bursts, row, now_usec);
                }
                j++;
                tell_if_ripe(tracker, kept, now_usec, opened);
        }
        return n;
}

/* Brings in what events told since the last look. 0 or -ENOMEM (everything is then as before). */
static int bring_in(struct pw_tracker *tracker)
{
        size_t i = 0, j = 0, n = 0;
        struct tracked *next;

        if (tracker->n_arrived == 0 && tracker->n_gone == 0)
                return 0;
        next = reallocarray(NULL, tracker->n + tracker->n_arrived, sizeof *next);
        if (!next)
                return -ENOMEM;
        while (i < tracker->n || j < tracker->n_arrived) {
                const struct tracked *old = i < tracker->n ? &tracker->sockets[i] : NULL;
                const struct tracked *new = j < tracker->n_arrived ? &tracker->arrived[j] : NULL;

                if (old && old->gone) {
                        tracker->n_absent -= old->absent;
                        i++;
                } else if (old && (!new || compare_sockets(&old->socket, &new->socket) < 0)) {
                        next[n++] = *old;
                        i++;
                } else {
                        next[n++] = *new;
                        j++;
                }
        }
        free(tracker->sockets);
        tracker->sockets = next;
        tracker->n = n;
        tracker->n_arrived = tracker->n_gone = 0;
        return 0;
}

int pw_tracker_look(struct pw_tracker *tracker, const struct pw_snapshot *snapshot,
                    uint64_t now_usec, struct pw_changes *opened, struct pw_changes *absent)
{
        struct tracked *next;

        if (bring_in(tracker) < 0)
                return -ENOMEM;
        if (pw_array_reserve(&tracker->seen, &tracker->seen_capacity,
                             tracker->n_seen + snapshot->n_parts, sizeof *tracker->seen) < 0 ||
            reserve(opened, tracker->n + snapshot->n_sockets) < 0 ||
            reserve(absent, tracker->n) < 0)
                return -ENOMEM;
        next =
            reallocarray(NULL, PW_MAX(tracker->n + snapshot->n_sockets, (size_t)1), sizeof *next);
        if (!next)
                return -ENOMEM;

        tracker->due_usec = PW_USEC_INFINITY;
        tracker->n_absent = 0;
        tracker->n = merge(tracker, snapshot, now_usec, next, opened, absent);
        free(tracker->sockets);
        tracker->sockets = next;
        remember_parts(tracker, snapshot);
        return 0;
}

void pw_tracker_settle(struct pw_tracker *tracker, struct pw_changes *absent, const bool *gone)
{
        size_t kept = 0, settled = 0, a = 0;

        /* `absent` came out of the merge in the array's own order. */
        for (size_t i = 0; i < tracker->n; i++) {
                struct tracked *tracked = &tracker->sockets[i];

                if (a < absent->n &&
                    compare_sockets(&absent->items[a].socket, &tracked->socket) == 0) {
                        if (gone[a]) {
                                tracker->n_absent--;
                                if (tracked->told)
                                        absent->items[settled++] = absent->items[a];
                                a++;
                                continue;
                        }
                        a++;
                }
                tracker->sockets[kept++] = *tracked;
        }
        tracker->n = kept;
        absent->n = settled;
        if (kept > 0) { /* after a large change, give the room of both sides back */
                struct tracked *smaller =
                    reallocarray(tracker->sockets, kept, sizeof *tracker->sockets);

                if (smaller)
                        tracker->sockets = smaller;
        }
}

int pw_tracker_tick(struct pw_tracker *tracker, uint64_t now_usec, struct pw_changes *opened)
{
        if (now_usec < tracker->due_usec)
                return 0;
        if (reserve(opened, tracker->n) < 0)
                return -ENOMEM;
        tracker->due_usec = PW_USEC_INFINITY;
        for (size_t i = 0; i < tracker->n; i++)
                if (!tracker->sockets[i].absent && !tracker->sockets[i].gone)
                        tell_if_ripe(tracker, &tracker->sockets[i], now_usec, opened);
        return 0;
}

/* The first of the sockets that does not come before this one: there, or where it would be. */
static size_t place_of(const struct tracked *sockets, size_t n, const struct pw_socket *socket)
{
        size_t low = 0;

        while (low < n) {
                size_t middle = low + (n - low) / 2;

                if (compare_sockets(&sockets[middle].socket, socket) < 0)
                        low = middle + 1;
                else
                        n = middle;
        }
        return low;
}

static struct tracked *find_among(struct tracked *sockets, size_t n, const struct pw_socket *socket)
{
        size_t place = place_of(sockets, n, socket);

        return place < n && compare_sockets(&sockets[place].socket, socket) == 0 ? &sockets[place]
                                                                                 : NULL;
}

static struct tracked *find(const struct pw_tracker *tracker, const struct pw_socket *socket)
{
        struct tracked *found = find_among(tracker->sockets, tracker->n, socket);

        if (found && !found->gone)
                return found;
        return find_among(tracker->arrived, tracker->n_arrived, socket);
}

int pw_tracker_open(struct pw_tracker *tracker, const struct pw_socket *socket, uint64_t now_usec)
{
        struct tracked *known = find(tracker, socket), new = {.socket = *socket};
        bool was_told = known && known->told;
        size_t place;

        if (socket->cookie == 0)
                return 0;
        if (known) {
                if (!was_told)
                        known->since_usec = now_usec;
                known->told = true;
                return !was_told;
        }
        new.since_usec = now_usec;
        new.told = true;
        known = find_among(tracker->sockets, tracker->n, socket);
        if (known) { /* gone, and there again before the next look */
                *known = new;
                tracker->n_gone--;
                return 1;
        }
        if (tracker->n_arrived >= ARRIVED_MAX && bring_in(tracker) < 0)
                return -ENOMEM;
        if (pw_array_reserve(&tracker->arrived, &tracker->arrived_capacity, tracker->n_arrived + 1,
                             sizeof *tracker->arrived) < 0)
                return -ENOMEM;
        place = place_of(tracker->arrived, tracker->n_arrived, socket);
        memmove(&tracker->arrived[place + 1], &tracker->arrived[place],
                (tracker->n_arrived - place) * sizeof *tracker->arrived);
        tracker->arrived[place] = new;
        tracker->n_arrived++;
        return 1;
}

/* A socket with this cookie: all that have it are side by side. NULL: there is none. */
static struct tracked *find_cookie(struct tracked *sockets, size_t n, uint64_t cookie)
{
        struct pw_socket first = {.cookie = cookie}; /* no endpoint comes before this one */
        size_t i = place_of(sockets, n, &first);

        for (; i < n && sockets[i].socket.cookie == cookie; i++)
                if (!sockets[i].gone)
                        return &sockets[i];
        return NULL;
}

static bool close_arrived(struct pw_tracker *tracker, const struct pw_socket *socket, bool anywhere,
                          struct tracked *ret)
{
        struct tracked *known = find_among(tracker->arrived, tracker->n_arrived, socket);

        if (!known && anywhere)
                known = find_cookie(tracker->arrived, tracker->n_arrived, socket->cookie);
        if (!known)
                return false;
        *ret = *known;
        tracker->n_arrived--;
        memmove(known, known + 1,
                (size_t)(tracker->arrived + tracker->n_arrived - known) * sizeof *known);
        return true;
}

static bool close_old(struct pw_tracker *tracker, const struct pw_socket *socket, bool anywhere,
                      struct tracked *ret)
{
        struct tracked *known = find_among(tracker->sockets, tracker->n, socket);

        if ((!known || known->gone) && anywhere)
                known = find_cookie(tracker->sockets, tracker->n, socket->cookie);
        if (!known || known->gone)
                return false;
        *ret = *known;
        known->gone = true;
        tracker->n_gone++;
        return true;
}

bool pw_tracker_close(struct pw_tracker *tracker, const struct pw_socket *socket, void **ret_tag)
{
        struct tracked closed = {0};

        *ret_tag = NULL;
        if (close_old(tracker, socket, false, &closed) ||
            close_arrived(tracker, socket, false, &closed) ||
            close_old(tracker, socket, true, &closed) ||
            close_arrived(tracker, socket, true, &closed))
                *ret_tag = closed.tag;
        return closed.told;
}

void pw_tracker_tag(struct pw_tracker *tracker, const struct pw_socket *socket, void *tag)
{
        struct tracked *tracked = find(tracker, socket);

        if (tracked)
                tracked->tag = tag;
}

bool pw_tracker_knows(const struct pw_tracker *tracker, const struct pw_socket *socket,
                      uint64_t since_usec)
{
        const struct tracked *tracked = find(tracker, socket);

        return tracked && tracked->since_usec == since_usec;
}

void pw_tracker_recall(const struct pw_tracker *tracker, struct pw_socket *socket)
{
        const struct tracked *known = find_cookie(tracker->sockets, tracker->n, socket->cookie);

        if (!known)
                known = find_cookie(tracker->arrived, tracker->n_arrived, socket->cookie);
        if (known && known->socket.endpoint.protocol == socket->endpoint.protocol &&
            known->socket.endpoint.port == socket->endpoint.port)
                *socket = known->socket;
}

void *pw_tracker_tagged(const struct pw_tracker *tracker, const struct pw_socket *socket)
{
        const struct tracked *tracked = find(tracker, socket);

        return tracked ? tracked->tag : NULL;
}

uint64_t pw_tracker_due(const struct pw_tracker *tracker)
{
        return tracker->due_usec;
}

bool pw_tracker_has_unproven(const struct pw_tracker *tracker)
{
        return tracker->n_absent > 0;
}

size_t pw_tracker_count(const struct pw_tracker *tracker)
{
        return tracker->n - tracker->n_gone + tracker->n_arrived;
}
