/* SPDX-License-Identifier: MIT */
/* One poll: look at the kernel, and where the look differs from the one before, prove what has
 * gone, find out who owns what has come, and hand both to the listeners.
 *
 * Invariant: an unchanged look ends after one comparison. Nothing is allocated, no file is read, no
 * row is written. Where events have told of sockets since the look before, it is compared with what
 * they told, too. */

#include "daemon/manager-internal.h"

#define SELDOM_USEC (30 * PW_USEC_PER_SEC)
#define OTHERS_LAST_USEC (10 * PW_USEC_PER_MINUTE)
#define FIRST_LOOKS_MAX 3
#define MANY_CHANGES 4096
#define CLOCK_SLACK_USEC 500

/* ---- owners ---- */

struct pw_record *manager_make_record(struct pw_manager *m, const struct pw_socket *socket,
                                      struct pw_owner *owner)
{
        char device[PW_DEVICE_MAX], name[PW_NETNS_NAME_MAX];
        struct pw_record *record = pw_record_make(
            socket, owner, manager_netns_name(m, socket->endpoint.netns, name),
            manager_device_name(m, device, &socket->endpoint), m->ephemeral, m->services);

        if (record)
                pw_record_identify(record);
        return record;
}

/* The difference between the clocks is kept until one of them is set, so that a duration is the
 * same by both; and it is not taken from two moments that are far apart. */
uint64_t manager_wall_clock(struct pw_manager *m, uint64_t boot_usec)
{
        for (int tries = 0; tries < 3; tries++) {
                uint64_t before = pw_now_boottime(), wall = pw_now_realtime();
                uint64_t difference = wall - before;

                if (pw_now_boottime() - before > CLOCK_SLACK_USEC)
                        continue;
                if (difference - m->wall_difference + CLOCK_SLACK_USEC > 2 * CLOCK_SLACK_USEC)
                        m->wall_difference = difference;
                break;
        }
        return boot_usec + m->wall_difference;
}

static enum pw_how how_opened(const struct pw_change *change)
{
        if (change->by_event)
                return PW_HOW_EVENT;
        return change->first_look ? PW_HOW_FIRST_LOOK : PW_HOW_SEEN;
}

int manager_attach(struct pw_manager *m, const struct pw_change *change, struct pw_owner *owner,
                   struct pw_listener **ret)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record =
            manager_make_record(m, &change->socket, owner);
        struct pw_listener *listener = record ? pw_listeners_get(m->listeners, record) : NULL;
        int r;

        if (!listener)
                return -ENOMEM;
        record->opened_usec = manager_wall_clock(m, change->since_usec);
        record->opened_how = how_opened(change);
        if (ret)
                *ret = listener;
        r = pw_listener_attach(m->listeners, listener, record);
        if (r < 0)
                return r;
        if (listener->past && listener->record->cookie == change->socket.cookie)
                listener->proven = true;
        if (pw_tracker_knows(m->tracker, &change->socket, change->since_usec))
                pw_tracker_tag(m->tracker, &change->socket, listener);
        return 0;
}

/* The owner of an open listener at the same endpoint, of the same user. */
static struct pw_owner *sibling_owner(struct pw_manager *m, const struct pw_socket *socket)
{
        const struct pw_endpoint *endpoint = &socket->endpoint;
        struct pw_listener *listener = pw_listeners_on_port(m->listeners, endpoint->port);
        char device[PW_DEVICE_MAX];

        pw_device_name(device, endpoint->ifindex);
        for (size_t i = 0; listener && i < NEIGHBOURS_MAX; i++, listener = listener->next_on_port) {
                const struct pw_record *record = listener->record;

                if (listener->open && record->protocol == endpoint->protocol &&
                    record->owner->uid == socket->uid && record->owner->unknown == PW_KNOWN &&
                    strcmp(record->device, device) == 0 &&
                    memcmp(&record->address, &endpoint->address, sizeof record->address) == 0)
                        return record->owner;
        }
        return NULL;
}

/* A socket that nothing holds is not yet believed to be there; in a group whose members come and go
 * (SO_REUSEPORT) it is one of them until the second asking. */
static int meet(struct pw_manager *m, const struct pw_change *opened, struct pw_owner *owner)
{
        struct pw_owner *believed = owner;
        int r = manager_name_socket(m, opened, owner);

        if (r != 0)
                return r < 0 ? r : 0;
        if (owner->unknown == PW_UNKNOWN_NO_HOLDER)
                believed = sibling_owner(m, &opened->socket);
        if (believed)
                r = manager_attach(m, opened, believed, NULL);
        if (r < 0 || owner->unknown == PW_KNOWN)
                return r;
        return manager_ask_later(m, opened, believed != NULL);
}

static int attribute(struct pw_manager *m, const struct pw_changes *opened, bool everyone)
{
        _cleanup_(manager_owners_done) struct manager_owners found = {0};
        int r;

        if (opened->n == 0)
                return 0;
        r = manager_owners_reserve(&found, opened->n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < opened->n; i++)
                found.sockets[i] = &opened->items[i].socket;
        r = pw_attribution_find(m->attribution, found.sockets, opened->n, everyone, found.owners);
        if (r < 0)
                return r;
        found.n = opened->n;
        /* Later, most of those that nobody holds have just closed: then it is asked at the second
         * asking only. */
        if (everyone)
                r = manager_find_kernels(m, found.sockets, found.owners, found.n);
        for (size_t i = 0; i < opened->n && r == 0; i++)
                r = meet(m, &opened->items[i], found.owners[i]);
        return r;
}

int manager_held_back(struct pw_manager *m, uint64_t now_usec)
{
        struct pw_changes opened = {0};
        int r = pw_tracker_tick(m->tracker, now_usec, &opened);

        if (r == 0)
                r = attribute(m, &opened, false);
        pw_changes_done(&opened);
        manager_schedule(m, CHORE_HELD_BACK, pw_tracker_due(m->tracker));
        return r;
}

/* ---- proof of closing ---- */

/* Other namespaces cannot be asked about one socket. */
enum pw_proof manager_prove(struct pw_manager *m, const struct pw_socket *socket)
{
        uint64_t netns = socket->endpoint.netns;

        if (netns == 0 || netns == m->netns)
                return pw_sockdiag_prove(m->diag, socket);
        return manager_namespace_is_gone(m, netns) ? PW_PROOF_GONE : PW_PROOF_NEITHER;
}

/* How many sockets of each listener this look lacks. */
static void count_missing(const struct pw_changes *absent)
{
        for (size_t i = 0; i < absent->n; i++)
                if (absent->items[i].tag)
                        ((struct pw_listener *)absent->items[i].tag)->missing = 0;
        for (size_t i = 0; i < absent->n; i++)
                if (absent->items[i].tag)
                        ((struct pw_listener *)absent->items[i].tag)->missing++;
}

/* Sockets that a lookup can neither prove nor deny live while a holder has them. That is not asked
 * where it makes no difference: an endpoint lives while any of its sockets does, so one that others
 * of its listener outlive may go, as may one that was never told. If it lives, the next look shows
 * it. */
static int prove_by_holders(struct pw_manager *m, const struct pw_changes *absent,
                            const enum pw_proof *proofs, bool *gone)
{
        _cleanup_(manager_owners_done) struct manager_owners known = {0};
        _cleanup_(pw_freep) bool *held = NULL;
        size_t n = 0;
        int r = manager_owners_reserve(&known, absent->n);

        held = calloc(PW_MAX(absent->n, (size_t)1), sizeof *held);
        if (r < 0 || !held)
                return -ENOMEM;
        count_missing(absent);
        for (size_t i = 0; i < absent->n; i++) {
                struct pw_listener *listener = absent->items[i].tag;

                if (proofs[i] != PW_PROOF_NEITHER)
                        continue;
                gone[i] = !listener || listener->sockets > listener->missing;
                if (gone[i])
                        continue;
                known.sockets[n] = &absent->items[i].socket;
                known.owners[n++] = pw_owner_ref(listener->fresh ? listener->fresh->owner
                                                                 : listener->record->owner);
                known.n = n;
        }
        if (n == 0)
                return 0;
        r = pw_attribution_held(m->attribution, known.sockets, known.owners, n, held);
        for (size_t i = 0, k = 0; r == 0 && i < absent->n; i++)
                if (proofs[i] == PW_PROOF_NEITHER && !gone[i])
                        gone[i] = !held[k++];
        return r;
}

/* Lets go those of `absent` that are proven to have gone, and leaves just these in it. */
static int prove(struct pw_manager *m, struct pw_changes *absent)
{
        _cleanup_(pw_freep) enum pw_proof *proofs = NULL;
        _cleanup_(pw_freep) bool *gone = NULL;
        int r;

        if (absent->n == 0)
                return 0;
        proofs = calloc(absent->n, sizeof *proofs);
        gone = calloc(absent->n, sizeof *gone);
        if (!proofs || !gone)
                return -ENOMEM;
        for (size_t i = 0; i < absent->n; i++) {
                proofs[i] = manager_prove(m, &absent->items[i].socket);
                gone[i] = proofs[i] == PW_PROOF_GONE;
        }
        r = prove_by_holders(m, absent, proofs, gone);
        if (r < 0)
                return r;
        pw_tracker_settle(m->tracker, absent, gone);
        return 0;
}

/* ---- one look ---- */

static int merge(struct pw_manager *m, struct look *look, uint64_t now_usec)
{
        struct pw_changes opened = {0}, absent = {0};
        struct pw_snapshot sorted = {0};
        int r = pw_snapshot_copy(&sorted, &look->now);

        if (r == 0) {
                pw_snapshot_sort(&sorted);
                r = pw_tracker_look(m->tracker, &sorted, now_usec, &opened, &absent);
        }
        pw_snapshot_done(&sorted);
        if (r == 0)
                r = prove(m, &absent);
        /* What went goes first, so that a restarted service's old processes are not joined with its
         * new ones. */
        for (size_t i = 0; r == 0 && i < absent.n; i++)
                if (absent.items[i].tag) /* else never believed to be there */
                        r = manager_tell_closed(m, absent.items[i].tag, 0);
        if (r == 0)
                r = attribute(m, &opened, !look->first_done);
        m->trim |= opened.n + absent.n > MANY_CHANGES;
        pw_changes_done(&opened);
        pw_changes_done(&absent);
        return r;
}

static int dump(struct pw_manager *m, enum look_kind kind, struct pw_snapshot *snapshot)
{
        switch (kind) {
        case LOOK_UDPLITE:
                return pw_sockdiag_dump(m->diag, PW_DUMP_UDPLITE, snapshot);
        case LOOK_OTHERS:
                return manager_spaces_dump(m, snapshot);
        default:
                return pw_sockdiag_dump(m->diag, PW_DUMP_TCP | PW_DUMP_UDP, snapshot);
        }
}

/* 1: nothing has changed since the look before. 0: merged. */
static int look_at(struct pw_manager *m, enum look_kind kind, uint64_t now_usec)
{
        struct look *look = &m->looks[kind];
        struct pw_snapshot before = look->before;
        int r;

        pw_snapshot_clear(&look->now);
        r = dump(m, kind, &look->now);
        if (r < 0)
                return r;
        if (r > 0)
                m->status.incomplete_polls++;
        if (look->first_done && !look->outdated && !pw_tracker_has_unproven(m->tracker) &&
            pw_snapshot_equal(&look->now, &look->before))
                return 1;
        r = merge(m, look, now_usec);
        if (r < 0)
                return r;
        look->first_done = true;
        look->outdated = false;
        look->before = look->now;
        look->now = before;
        return 0;
}

/* A part that stays incomplete (its diag module is missing) is a blind spot, and not waited for. */
static bool is_trustworthy(const struct pw_manager *m, const struct pw_snapshot *snapshot)
{
        for (size_t i = 0; i < snapshot->n_parts; i++)
                if (!snapshot->parts[i].complete)
                        return m->status.polls >= FIRST_LOOKS_MAX;
        return true;
}

static int first_look_done(struct pw_manager *m, uint64_t now_usec)
{
        int r;

        if (m->ready || !is_trustworthy(m, &m->looks[LOOK_MAIN].before))
                return 0;
        m->ready = true;
        r = manager_events_start(m);
        if (r < 0)
                return r;
        if (m->learning && !m->booting) {
                r = manager_learn(m);
                if (r < 0)
                        return r;
        }
        r = manager_settle_past(m, false, now_usec);
        if (r < 0)
                return r;
        manager_schedule(m, CHORE_PAST,
                         now_usec + m->config.ephemeral_dwell_usec + PW_USEC_PER_SEC);
        manager_schedule(m, CHORE_STATUS, now_usec);
        return manager_blind_spots(m);
}

static int look_also(struct pw_manager *m, enum look_kind kind, uint64_t now_usec, bool *changed)
{
        int r = look_at(m, kind, now_usec);

        *changed |= r == 0;
        return PW_MIN(r, 0);
}

/* Reading other namespaces as text is dear where there are many: then seldom enough for CPUBudget=.
 */
static uint64_t others_interval(const struct pw_manager *m, uint64_t cost_nsec)
{
        uint64_t ppm = PW_MAX(m->config.cpu_budget_ppm, (uint64_t)1);

        return PW_MAX(SELDOM_USEC, PW_MIN(cost_nsec * 1000 / ppm, OTHERS_LAST_USEC));
}

static int look_at_others(struct pw_manager *m, uint64_t now_usec, bool *changed)
{
        uint64_t cpu_nsec = pw_now_cpu_nsec();
        int r = look_also(m, LOOK_OTHERS, now_usec, changed);

        m->status.others_cpu_nsec = pw_now_cpu_nsec() - cpu_nsec;
        m->others_interval_usec = others_interval(m, m->status.others_cpu_nsec);
        m->others_due_usec = now_usec + m->others_interval_usec;
        return r;
}

int manager_poll(struct pw_manager *m)
{
        uint64_t now_usec = pw_now_boottime();
        bool changed = false;
        /* First what is told: what a look shows to be gone may be news there. */
        int r = manager_hear(m);

        if (r == 0 && now_usec >= m->seldom_due_usec) {
                m->seldom_due_usec = now_usec + SELDOM_USEC;
                r = look_also(m, LOOK_UDPLITE, now_usec, &changed);
        }
        if (r == 0 && now_usec >= m->others_due_usec)
                r = look_at_others(m, now_usec, &changed);
        if (r == 0)
                r = look_also(m, LOOK_MAIN, now_usec, &changed);
        if (r < 0)
                return r;
        m->status.polls++;
        if (pw_sockdiag_error(m->diag, PW_TCP) == 0 && pw_sockdiag_error(m->diag, PW_UDP) == 0)
                m->status.last_poll_usec = pw_now_realtime();
        r = first_look_done(m, now_usec);
        if (r < 0)
                return r;
        if (!changed)
                return 1;
        if (!m->ready) /* what was touched waits for a look that can be trusted */
                return 0;
        manager_schedule(m, CHORE_HELD_BACK, pw_tracker_due(m->tracker));
        r = manager_publish(m, now_usec);
        return r < 0 ? r : manager_commit(m);
}
