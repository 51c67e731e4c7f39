/* SPDX-License-Identifier: MIT */
/* What the event engine tells, between two looks: sockets that come and go, each with its owner,
 * straight to tracker and listeners. Looks go on, seldom, and set right what events could not tell.
 *
 * Not everything is believed at once, since an event tells of a moment:
 *   - an owner that the rules do not expect, on a port that they expect with another user or
 *     program, may be about to become that one (it drops its privileges, it executes the server);
 *   - a UDP port above the well-known ones may be one of many that its process takes;
 *   - one that listens without bind(2) has no port yet.
 * Such sockets wait for SETTLE_USEC. Nothing is lost by it: what has closed by then is told with
 * its true times. All others are looked at again after a while, too, for what else holds them. */

#include "daemon/manager-internal.h"

#include <sys/epoll.h>

#define SETTLE_USEC (1 * PW_USEC_PER_SEC)
#define WAITING_MAX 20000 /* beyond it, what waits the longest is told at once */
#define FOLD_LINGER_USEC (5 * PW_USEC_PER_MINUTE)
#define RING_BYTES (1u << 20)

static bool works(const struct pw_manager *m, enum pw_engine_part part)
{
        return m->engine && pw_engine_works(m->engine, part);
}

bool manager_hears_all(const struct pw_manager *m)
{
        return works(m, PW_ENGINE_TCP) && works(m, PW_ENGINE_UDP);
}

/* ---- closings ---- */

int manager_tell_closed(struct pw_manager *m, struct pw_listener *listener, uint64_t closed_usec)
{
        int r = 0;

        if (m->ready && !listener->open && listener->sockets == 1)
                r = manager_publish_one(m, listener, pw_now_boottime());
        pw_listener_detach(m->listeners, listener, closed_usec);
        return r;
}

static int on_closed(struct pw_manager *m, const struct pw_socket *socket, uint64_t closed_usec)
{
        struct pw_socket closed = *socket;
        void *tag;

        pw_tracker_close(m->tracker, socket, &tag);
        if (tag) /* what waits for its port is told already: a look has shown it */
                closed.endpoint.port = 0;
        if (!pw_waiting_close(m->settling, &closed, closed_usec))
                pw_waiting_close(m->dwelling, &closed, closed_usec);
        return tag ? manager_tell_closed(m, tag, closed_usec) : 0;
}

/* ---- telling ---- */

static struct pw_change opened_change(const struct pw_socket *socket, uint64_t opened_usec)
{
        return (struct pw_change){.by_event = true, .since_usec = opened_usec, .socket = *socket};
}

/* Hands a socket to its listener. Who holds it besides the one who opened it shows later. */
static int tell_opened(struct pw_manager *m, const struct pw_socket *socket, struct pw_owner *owner,
                       uint64_t opened_usec)
{
        struct pw_change change = opened_change(socket, opened_usec);
        int r = manager_attach(m, &change, owner, NULL);

        return r < 0 || owner->traits & PW_TRAIT_KERNEL ? r : manager_ask_later(m, &change);
}

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
        struct pw_listener *listener = pw_listeners_on_port(m->listeners, socket->socket.endpoint.port);
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
        struct pw_change change = opened_change(&socket->socket, socket->opened_usec);
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = grown_up(m, socket);
        struct pw_listener *listener;
        int r = owner ? manager_attach(m, &change, owner, &listener) : -ENOMEM;

        return r < 0 ? r : manager_tell_closed(m, listener, socket->closed_usec);
}

/* ---- waiting ---- */

/* Whether the rules expect somebody else on this port, who this owner may be about to become. */
static int may_become_expected(struct pw_manager *m, const struct pw_socket *socket,
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

static bool may_be_one_of_many(const struct pw_socket *socket)
{
        return socket->endpoint.protocol != PW_TCP &&
               pw_port_range(socket->endpoint.port) != PW_RANGE_WELL_KNOWN;
}

static int wait_in(struct pw_manager *m, struct pw_waiting *waiting, const struct pw_socket *socket,
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

        if (!may_be_one_of_many(&socket->socket))
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

/* What cannot be found out now stays as the event told it, and is asked for again. */
static int tell_still_open(struct pw_manager *m, struct still_open *open)
{
        int r;

        if (open->n == 0)
                return 0;
        open->sockets = calloc(open->n, sizeof *open->sockets);
        open->owners = calloc(open->n, sizeof(struct pw_owner *));
        if (!open->sockets || !open->owners)
                return -ENOMEM;
        for (size_t i = 0; i < open->n; i++)
                open->sockets[i] = &open->items[i]->socket;
        r = pw_attribution_find(m->attribution, open->sockets, open->n, false, open->owners);
        for (size_t i = 0; r == 0 && i < open->n; i++) {
                struct pw_change change =
                    opened_change(open->sockets[i], open->items[i]->opened_usec);

                if (open->owners[i]->unknown == PW_KNOWN)
                        r = manager_attach(m, &change, open->owners[i], NULL);
                else
                        r = tell_opened(m, open->sockets[i], open->items[i]->owner,
                                        open->items[i]->opened_usec);
        }
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
                return wait_in(m, m->dwelling, &socket->socket, socket->owner, socket->opened_usec);
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

/* ---- events ---- */

/* Many sockets that one process opens at once have one owner, looked at once. */
static bool is_last_opener(const struct pw_manager *m, const struct pw_engine_event *event)
{
        const struct pw_opener *last = &m->last_opener, *opener = &event->opener;

        return m->last_owner && opener->pid > 1 && last->pid == opener->pid &&
               last->started == opener->started && last->uid == opener->uid &&
               last->cgroup_id == opener->cgroup_id && last->exe_inode == opener->exe_inode &&
               last->exe_device == opener->exe_device;
}

static void forget_opener(struct pw_manager *m)
{
        pw_owner_unref(m->last_owner);
        m->last_owner = NULL;
}

static int find_opener(struct pw_manager *m, const struct pw_engine_event *event,
                       struct pw_owner **ret)
{
        int r;

        if (event->flags & PW_SOCKET_KERNEL)
                return pw_attribution_kernel(m->attribution, event->socket.uid, ret);
        if (!is_last_opener(m, event)) {
                forget_opener(m);
                r = pw_attribution_opener(m->attribution, &event->opener, event->socket.cgroup_id,
                                          &m->last_owner);
                if (r < 0)
                        return r;
                m->last_opener = event->opener;
                m->last_opener.exe = NULL; /* lives no longer than the event */
        }
        *ret = pw_owner_ref(m->last_owner);
        return 0;
}

/* listen(2) without bind(2): it gets a port in a moment. A look shows it, or else its closing. */
static int await_port(struct pw_manager *m, const struct pw_engine_event *event,
                      const struct pw_socket *socket)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = NULL;
        int r = find_opener(m, event, &owner);

        if (socket->endpoint.netns != m->netns)
                m->others_due_usec = 0;
        manager_look_soon(m);
        return r < 0 ? r : wait_in(m, m->settling, socket, owner, event->time_usec);
}

/* A look may come before the event of what it shows. Where it found nobody who holds the socket (it
 * has closed by then), the event tells who opened it. Returns as pw_tracker_open(). */
static int open_tracked(struct pw_manager *m, const struct pw_socket *socket, uint64_t opened_usec)
{
        int r = pw_tracker_open(m->tracker, socket, opened_usec);
        void *tag;

        if (r != 0 || !manager_forget_unbelieved(m, socket))
                return r;
        pw_tracker_close(m->tracker, socket, &tag);
        return pw_tracker_open(m->tracker, socket, opened_usec);
}

static int on_opened(struct pw_manager *m, const struct pw_engine_event *event,
                     const struct pw_socket *socket)
{
        struct pw_change change = opened_change(socket, event->time_usec);
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = NULL;
        const struct pw_opener *opener = &event->opener;
        bool wait;
        int r;

        if (socket->endpoint.port == 0)
                return await_port(m, event, socket);
        r = open_tracked(m, socket, event->time_usec);
        if (r <= 0)
                return r;
        r = find_opener(m, event, &owner);
        if (r == 0)
                r = manager_name_socket(m, &change, owner);
        if (r != 0)
                return PW_MIN(r, 0);
        wait = may_be_one_of_many(socket);
        if (wait)
                pw_fold_count(m->fold, opener->pid, opener->started, socket->endpoint.port);
        else
                r = may_become_expected(m, socket, owner);
        if (r < 0)
                return r;
        return wait || r > 0 ? wait_in(m, m->settling, socket, owner, event->time_usec)
                             : tell_opened(m, socket, owner, event->time_usec);
}

/* A process that we do not see is of a machine of its own, like those who ask for it there. */
static bool is_seen(const struct pw_manager *m, const struct pw_engine_event *event)
{
        return event->closed || event->socket.endpoint.netns == m->netns || event->opener.pid != 0;
}

static int on_event(void *userdata, const struct pw_engine_event *event)
{
        struct pw_manager *m = userdata;
        struct pw_socket socket = event->socket;
        int r = 0;

        if (!is_seen(m, event))
                return 0;
        r = manager_meet_namespace(m, &socket, event->netns_id, event->opener.pid);
        if (r < 0)
                return r;
        return event->closed ? on_closed(m, &socket, event->time_usec)
                             : on_opened(m, event, &socket);
}

int manager_hear(struct pw_manager *m)
{
        uint64_t lost;
        int r = 0;

        if (!m->engine_source)
                return 0;
        r = pw_engine_read(m->engine, on_event, m);
        forget_opener(m);
        lost = pw_engine_lost(m->engine);
        if (r == -ENOMEM)
                return r;
        /* Everything is looked at anew: what is open is found all the same. */
        if (r < 0 || lost != m->status.events_missed) {
                m->status.events_missed = lost;
                m->seldom_due_usec = m->others_due_usec = 0;
                manager_look_soon(m);
        }
        return 0;
}

static int on_engine(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                     void *userdata)
{
        struct pw_manager *m = userdata;
        int r = manager_hear(m);

        if (r == 0)
                r = manager_publish(m, pw_now_boottime());
        if (r == 0)
                r = manager_commit(m);
        return r < 0 ? r : manager_arm(m);
}

int manager_events_start(struct pw_manager *m)
{
        int fd;

        if (!m->engine || m->engine_source)
                return 0;
        fd = pw_engine_fd(m->engine);
        return fd < 0
                   ? 0
                   : PW_MIN(sd_event_add_io(m->event, &m->engine_source, fd, EPOLLIN, on_engine, m),
                            0);
}

/* One call of on_row(). */
struct descriptors {
        pw_descriptor_found found;
        void *userdata;
};

static int on_row(void *userdata, const struct pw_engine_row *row)
{
        const struct descriptors *descriptors = userdata;

        return descriptors->found(descriptors->userdata, row->socket.inode, row->pid, row->started,
                                  row->comm);
}

static int list_descriptors(void *userdata, pw_descriptor_found found, void *found_userdata)
{
        struct pw_manager *m = userdata;
        struct descriptors descriptors = {found, found_userdata};

        return pw_engine_holders(m->engine, 0, on_row, &descriptors);
}

/* ---- the kernel's own ---- */

/* Owners of sockets that no process holds, while the engine lists all sockets. */
struct ownerless {
        struct pw_manager *m;
        const struct pw_socket *const *sockets;
        struct pw_owner **owners;
        size_t n;
};

static int on_socket(void *userdata, const struct pw_engine_row *row)
{
        const struct ownerless *ownerless = userdata;
        struct pw_owner *kernel = NULL;
        int r = 0;

        if (!(row->flags & PW_SOCKET_KERNEL))
                return 0;
        for (size_t i = 0; r == 0 && i < ownerless->n; i++) {
                struct pw_owner **owner = &ownerless->owners[i];

                if ((*owner)->unknown != PW_UNKNOWN_NO_HOLDER ||
                    ownerless->sockets[i]->cookie != row->socket.cookie)
                        continue;
                r = pw_attribution_kernel(ownerless->m->attribution, row->socket.uid, &kernel);
                if (r < 0)
                        return r;
                pw_owner_unref(*owner);
                *owner = kernel;
        }
        return r;
}

int manager_find_kernels(struct pw_manager *m, const struct pw_socket *const *sockets,
                         struct pw_owner **owners, size_t n)
{
        struct ownerless ownerless = {m, sockets, owners, n};
        bool wanted[2] = {false, false};
        int r = 0;

        if (!works(m, PW_ENGINE_SOCKETS))
                return 0;
        for (size_t i = 0; i < n; i++)
                if (owners[i]->unknown == PW_UNKNOWN_NO_HOLDER)
                        wanted[sockets[i]->endpoint.protocol == PW_TCP] = true;
        for (size_t i = 0; r != -ENOMEM && i < PW_ELEMENTS(wanted); i++)
                if (wanted[i])
                        r = pw_engine_sockets(m->engine, i == 1 ? PW_TCP : PW_UDP, on_socket,
                                              &ownerless);
        return r == -ENOMEM ? r : 0; /* else nothing is proven */
}

void manager_list_by_engine(struct pw_manager *m)
{
        if (works(m, PW_ENGINE_HOLDERS))
                pw_attribution_list_by(m->attribution,
                                       (struct pw_descriptors){list_descriptors, m});
}

int manager_events_init(struct pw_manager *m)
{
        struct pw_engine_options options = {
            .parts = PW_ENGINE_EVENTS | PW_ENGINE_LISTS,
            .cgroup_fd = m->cgroup_fd,
            .ring_size = RING_BYTES,
            .refuse = getenv("PORTWATCH_REFUSE"),
        };
        int r = pw_fold_new(&m->fold);

        if (r == 0)
                r = pw_waiting_new(SETTLE_USEC, &m->settling);
        if (r == 0)
                r = pw_waiting_new(m->config.ephemeral_dwell_usec, &m->dwelling);
        if (r == 0 && m->config.events)
                r = pw_engine_open(&options, &m->engine);
        return r;
}

void manager_events_done(struct pw_manager *m)
{
        forget_opener(m);
        sd_event_source_disable_unref(m->engine_source);
        pw_engine_close(m->engine);
        pw_waiting_free(m->settling);
        pw_waiting_free(m->dwelling);
        pw_fold_free(m->fold);
}
