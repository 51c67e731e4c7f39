/* SPDX-License-Identifier: MIT */
/* What an event tells is not always believed at once:
 *   - an owner that the rules do not expect, on a port that they expect with another user or
 *     program, may be about to become that one (it drops its privileges, it executes the server);
 *   - a UDP port above the well-known ones may be one of many that its process takes;
 *   - one that listens without bind(2) has no port yet.
 * Such sockets wait for a moment. Nothing is lost by it: what has closed by then is told with its
 * true times. The ports of a process that takes many become one folded listener. */

#include "daemon/manager-internal.h"

#define WAITING_MAX 20000 /* beyond it, what waits the longest is told at once */
#define FOLD_LINGER_USEC (5 * PW_USEC_PER_MINUTE)

/* Whether root's process is at its beginning what the expected listener is later: the same program,
 * for the same unit, at the same place. */
static bool begins_as(const struct pw_record *record, const struct pw_record *begun)
{
        const struct pw_owner *a = record->owner, *b = begun->owner;

        return record->verdict == PW_EXPECTED && b->uid == 0 &&
               record->protocol == begun->protocol && pw_text_equal(record->netns, begun->netns) &&
               pw_text_equal(record->address_text, begun->address_text) && a->exe &&
               pw_text_equal(a->exe, b->exe) && a->traits == b->traits &&
               pw_text_equal(a->unit, b->unit) && pw_text_equal(a->user_unit, b->user_unit) &&
               pw_text_equal(a->container, b->container);
}

/* One that has closed before it was looked at again had no time to become the one that the rules
 * expect: where such a one is known, it is that. A new reference, NULL when out of memory. */
static struct pw_owner *grown_up(struct pw_manager *m, const struct pw_waiting_socket *socket)
{
        _cleanup_(pw_record_unrefp) struct pw_record *begun =
            manager_make_record(m, &socket->socket, socket->owner);
        struct pw_listener *listener =
            pw_listeners_on_port(m->listeners, socket->socket.endpoint.port);
        struct pw_owner *owner;

        if (!begun)
                return NULL;
        for (size_t i = 0; listener && i < NEIGHBOURS_MAX; i++, listener = listener->next_on_port) {
                if (listener->required || !begins_as(listener->record, begun))
                        continue;
                owner = pw_owner_copy(listener->record->owner);
                if (owner) {
                        memcpy(owner->pids, socket->owner->pids, sizeof owner->pids);
                        memcpy(owner->started, socket->owner->started, sizeof owner->started);
                        owner->n_pids = socket->owner->n_pids;
                        owner->n_holders = socket->owner->n_holders;
                }
                return owner;
        }
        return pw_owner_ref(socket->owner);
}

/* One that has come and gone. */
static int tell_both(struct pw_manager *m, const struct pw_waiting_socket *socket)
{
        struct pw_change change = manager_opened(&socket->socket, socket->opened_usec);
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = grown_up(m, socket);
        struct pw_listener *listener;
        int r = owner ? manager_attach(m, &change, owner, &listener) : -ENOMEM;

        return r < 0 ? r : manager_tell_closed(m, listener, socket->closed_usec);
}

/* Whether the rules expect somebody else on this port, who this owner may be about to become. */
int manager_may_become_expected(struct pw_manager *m, const struct pw_socket *socket,
                                struct pw_owner *owner)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record =
            manager_make_record(m, socket, owner);
        uint64_t now_usec = pw_now_realtime();

        if (!record)
                return -ENOMEM;
        return pw_policy_judge(m->policy, record, now_usec).verdict == PW_UNEXPECTED &&
               pw_policy_may_come_to_expect(m->policy, record, now_usec);
}

bool manager_may_be_one_of_many(const struct pw_socket *socket)
{
        return socket->endpoint.protocol != PW_TCP &&
               pw_port_range(socket->endpoint.port) != PW_RANGE_WELL_KNOWN;
}

int manager_wait(struct pw_manager *m, struct pw_waiting *waiting, const struct pw_socket *socket,
                 struct pw_owner *owner, uint64_t opened_usec)
{
        int r = pw_waiting_add(waiting, socket, owner, opened_usec, pw_now_boottime());

        manager_schedule(m, CHORE_WAITING, pw_waiting_due(waiting));
        return r;
}

/* ---- owners that take many ports ---- */

/* The one listener that stands for all such ports of the owner. */
static struct pw_record *folded_record(struct pw_manager *m, const struct pw_socket *socket,
                                       struct pw_owner *owner)
{
        struct pw_socket any = *socket;

        any.endpoint.port = 0;
        any.endpoint.ifindex = 0;
        any.endpoint.address = (struct pw_address){.family = AF_INET6};
        any.cookie = 0;
        return manager_make_record(m, &any, owner);
}

/* Whether the socket is to be folded: its process takes many, or others of its owner did, or the
 * rules expect its owner to (a port that is still open may then be a server's all the same). */
static bool is_folded(struct pw_manager *m, const struct pw_waiting_socket *socket,
                      struct pw_record *folded)
{
        const struct pw_owner *owner = socket->owner;

        if (!manager_may_be_one_of_many(&socket->socket))
                return false;
        if (pw_fold_takes_many(m->fold, owner->pids[0], owner->started[0]) ||
            pw_listeners_find(m->listeners, folded->listener_id))
                return true;
        return socket->closed_usec > 0 &&
               pw_policy_judge(m->policy, folded, pw_now_realtime()).verdict == PW_EXPECTED;
}

/* Counts one more port. The listener stays open for a while after the last one. */
static int fold(struct pw_manager *m, struct pw_record *folded, uint64_t opened_usec,
                uint64_t now_usec)
{
        struct pw_listener *listener = pw_listeners_get(m->listeners, folded);
        int r;

        if (!listener)
                return -ENOMEM;
        if (listener->sockets == 0) {
                folded->opened_usec = manager_wall_clock(m, opened_usec);
                folded->opened_how = PW_HOW_EVENT;
                listener->ports = 0;
                r = pw_listener_attach(m->listeners, listener, folded);
        } else {
                r = pw_listeners_touch(m->listeners, listener);
        }
        listener->ports++;
        listener->gone_usec = now_usec; /* so far: its last port */
        listener->linger_usec = now_usec + FOLD_LINGER_USEC;
        manager_schedule(m, CHORE_LINGER, listener->linger_usec);
        return r;
}

int manager_end_lingering(struct pw_manager *m, uint64_t now_usec)
{
        for (size_t i = 0; i < pw_listeners_count(m->listeners); i++) {
                struct pw_listener *listener = pw_listeners_item(m->listeners, i);

                if (listener->ports == 0 || listener->sockets == 0)
                        continue;
                if (listener->linger_usec <= now_usec)
                        pw_listener_detach(m->listeners, listener, listener->gone_usec);
                else
                        manager_schedule(m, CHORE_LINGER, listener->linger_usec);
        }
        return 0;
}

/* ---- after the wait ---- */

/* Those that are still open, whose owners are asked for once more, all together. */
struct still_open {
        struct pw_waiting_socket **items;
        const struct pw_socket **sockets;
        struct pw_owner **owners;
        size_t n, capacity;
};

static void still_open_done(struct still_open *open)
{
        for (size_t i = 0; i < open->n; i++) {
                pw_waiting_socket_free(open->items[i]);
                if (open->owners)
                        pw_owner_unref(open->owners[i]);
        }
        free(open->items);
        free(open->sockets);
        free(open->owners);
}

/* Takes over the socket, on failure too. */
static int keep_open(struct still_open *open, struct pw_waiting_socket *socket)
{
        if (pw_array_reserve(&open->items, &open->capacity, open->n + 1,
                             sizeof(struct pw_waiting_socket *)) < 0) {
                pw_waiting_socket_free(socket);
                return -ENOMEM;
        }
        open->items[open->n++] = socket;
        return 0;
}

/* The process that opened the socket, as it is now; as it was where it has ended. */
static int look_again(struct pw_manager *m, const struct pw_waiting_socket *socket,
                      struct pw_owner **ret)
{
        const struct pw_owner *known = socket->owner;
        struct pw_opener opener = {.uid = known->uid, .exe = "", .cgroup = ""};
        int r;

        if (known->n_pids > 0) {
                opener.pid = known->pids[0];
                opener.started = known->started[0];
        }
        snprintf(opener.comm, sizeof opener.comm, "%s", known->comm ? known->comm : "");
        r = pw_attribution_opener(m->attribution, &opener, socket->socket.cgroup_id, ret);
        if (r == 0 && !(*ret)->exe) {
                pw_owner_unref(*ret);
                *ret = pw_owner_ref(socket->owner);
        }
        return r;
}

/* What cannot be found out now stays as the event told it, and is asked for again. */
static int tell_with(struct pw_manager *m, const struct pw_waiting_socket *socket,
                     struct pw_owner *found)
{
        struct pw_change change = manager_opened(&socket->socket, socket->opened_usec);

        if (found->unknown == PW_KNOWN)
                return manager_attach(m, &change, found, NULL);
        return manager_tell_opened(m, &socket->socket, socket->owner, socket->opened_usec);
}

/* CPUBudget= is for this, too: overdrawn, only those who opened the sockets are looked at. */
static int tell_seldom(struct pw_manager *m, struct still_open *open)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < open->n; i++) {
                const struct pw_waiting_socket *socket = open->items[i];

                r = look_again(m, socket, &open->owners[i]);
                if (r == 0)
                        r = manager_tell_opened(m, &socket->socket, open->owners[i],
                                                socket->opened_usec);
        }
        return r;
}

static int tell_still_open(struct pw_manager *m, struct still_open *open)
{
        int r;

        if (open->n == 0)
                return 0;
        open->sockets = calloc(open->n, sizeof *open->sockets);
        open->owners = calloc(open->n, sizeof(struct pw_owner *));
        if (!open->sockets || !open->owners)
                return -ENOMEM;
        if (m->credit_nsec < 0 && m->config.poll_interval_usec > 0)
                return tell_seldom(m, open);
        for (size_t i = 0; i < open->n; i++)
                open->sockets[i] = &open->items[i]->socket;
        r = pw_attribution_find(m->attribution, open->sockets, open->n, false, open->owners);
        for (size_t i = 0; r == 0 && i < open->n; i++)
                r = tell_with(m, open->items[i], open->owners[i]);
        return r;
}

static int settle(struct pw_manager *m, struct pw_waiting_socket *taken, uint64_t now_usec,
                  struct still_open *open)
{
        _cleanup_(pw_waiting_socket_freep) struct pw_waiting_socket *socket = taken;
        _cleanup_(pw_record_unrefp) struct pw_record *folded = NULL;
        int r;

        if (socket->socket.endpoint.port == 0) /* a look has told it */
                return 0;
        folded = folded_record(m, &socket->socket, socket->owner);
        if (!folded)
                return -ENOMEM;
        if (socket->closed_usec == 0 &&
            !pw_tracker_knows(m->tracker, &socket->socket, socket->opened_usec))
                socket->closed_usec = now_usec; /* a look has proven it gone */
        if (is_folded(m, socket, folded)) {
                r = fold(m, folded, socket->opened_usec, now_usec);
                if (r < 0 || socket->closed_usec > 0)
                        return r;
                return manager_wait(m, m->dwelling, &socket->socket, socket->owner,
                                    socket->opened_usec);
        }
        if (socket->closed_usec > 0)
                return tell_both(m, socket);
        return keep_open(open, PW_TAKE_PTR(socket));
}

/* Folded ports that are open for so long are servers, or hide among clients: told one by one. */
static int dwelled(struct pw_manager *m, struct pw_waiting_socket *taken, struct still_open *open)
{
        if (taken->closed_usec == 0 &&
            pw_tracker_knows(m->tracker, &taken->socket, taken->opened_usec))
                return keep_open(open, taken);
        pw_waiting_socket_free(taken);
        return 0;
}

int manager_waited(struct pw_manager *m, uint64_t now_usec)
{
        _cleanup_(still_open_done) struct still_open open = {0};
        struct pw_waiting_socket *socket;
        int r = 0;

        while (r == 0 && (socket = pw_waiting_take(m->settling, now_usec, WAITING_MAX)))
                r = settle(m, socket, now_usec, &open);
        while (r == 0 && (socket = pw_waiting_take(m->dwelling, now_usec, WAITING_MAX)))
                r = dwelled(m, socket, &open);
        if (r == 0)
                r = tell_still_open(m, &open);
        manager_schedule(m, CHORE_WAITING,
                         PW_MIN(pw_waiting_due(m->settling), pw_waiting_due(m->dwelling)));
        return r;
}
