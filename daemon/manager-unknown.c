/* SPDX-License-Identifier: MIT */
/* Sockets whose owner is not known, or not all of whose holders are: asked for again, seldom and
 * seldom, in passes that many share. A socket without a holder is believed to be there at the
 * second asking only, for most of them have just closed. */

#include "daemon/manager-internal.h"

#define UNKNOWN_FIRST_USEC (1 * PW_USEC_PER_SEC)
#define UNKNOWN_LAST_USEC (60 * PW_USEC_PER_SEC)
#define ASK_LEAST_USEC (30 * PW_USEC_PER_SEC) /* so often also when CPUBudget= is overdrawn */

void manager_owners_done(struct manager_owners *owners)
{
        for (size_t i = 0; owners->owners && i < owners->n; i++)
                pw_owner_unref(owners->owners[i]);
        free(owners->owners);
        free(owners->sockets);
}

int manager_owners_reserve(struct manager_owners *owners, size_t n)
{
        owners->sockets = calloc(PW_MAX(n, (size_t)1), sizeof *owners->sockets);
        owners->owners = calloc(PW_MAX(n, (size_t)1), sizeof(struct pw_owner *));
        return owners->sockets && owners->owners ? 0 : -ENOMEM;
}

static int remember_unknown(struct pw_manager *m, const struct pw_change *opened, bool attached,
                            uint64_t now_usec, uint64_t delay_usec)
{
        uint64_t due_usec;
        int r = pw_array_reserve(&m->unknown, &m->unknown_capacity, m->n_unknown + 1,
                                 sizeof *m->unknown);

        if (r < 0)
                return r;
        /* Later askings fall on common moments, so that many share one pass over /proc. */
        due_usec = delay_usec == UNKNOWN_FIRST_USEC ? now_usec + delay_usec
                                                    : (now_usec / delay_usec + 1) * delay_usec;
        m->unknown[m->n_unknown++] = (struct unknown_socket){
            .opened = *opened,
            .attached = attached,
            .due_usec = due_usec,
            .delay_usec = delay_usec,
        };
        manager_schedule(m, CHORE_UNKNOWN, due_usec);
        return 0;
}

int manager_ask_later(struct pw_manager *m, const struct pw_change *opened, bool attached)
{
        return remember_unknown(m, opened, attached, pw_now_boottime(), UNKNOWN_FIRST_USEC);
}

static int move_socket(struct pw_manager *m, const struct pw_socket *socket, struct pw_owner *owner)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = NULL;
        struct pw_listener *from = pw_tracker_tagged(m->tracker, socket), *to;
        int r;

        record = manager_make_record(m, socket, owner);
        to = record ? pw_listeners_get(m->listeners, record) : NULL;
        if (!to)
                return -ENOMEM;
        if (to == from && owner->unknown != PW_KNOWN)
                return 0;
        record->opened_usec = pw_now_realtime();
        record->opened_how = from ? from->record->opened_how : PW_HOW_SEEN;
        r = pw_listener_attach(m->listeners, to, record);
        if (r < 0)
                return r;
        pw_tracker_tag(m->tracker, socket, to);
        pw_listener_detach(m->listeners, from, 0);
        if (to == from) /* its processes have become known */
                return 0;
        /* An interval whose owner has become known goes along; one that was somebody's stays his.
         */
        if (from->sockets > 0 || !from->open || to->open || owner->unknown != PW_KNOWN)
                return 0;
        return manager_reassign(m, from, to);
}

/* Takes those that are gone off the list. */
static void drop_gone(struct pw_manager *m)
{
        size_t kept = 0;

        for (size_t i = 0; i < m->n_unknown; i++) {
                const struct pw_change *opened = &m->unknown[i].opened;

                if (pw_tracker_knows(m->tracker, &opened->socket, opened->since_usec))
                        m->unknown[kept++] = m->unknown[i];
        }
        m->n_unknown = kept;
}

/* Takes the due ones off the list (those that are gone, too), into `due`. */
static size_t take_due(struct pw_manager *m, uint64_t now_usec, struct unknown_socket *due)
{
        size_t kept = 0, n = 0;

        drop_gone(m);
        for (size_t i = 0; i < m->n_unknown; i++) {
                if (m->unknown[i].due_usec <= now_usec)
                        due[n++] = m->unknown[i];
                else
                        m->unknown[kept++] = m->unknown[i];
        }
        m->n_unknown = kept;
        for (size_t i = 0; i < kept; i++)
                manager_schedule(m, CHORE_UNKNOWN, m->unknown[i].due_usec);
        return n;
}

bool manager_forget_unbelieved(struct pw_manager *m, const struct pw_socket *socket)
{
        for (size_t i = m->n_unknown; i-- > 0;) {
                const struct unknown_socket *unknown = &m->unknown[i];

                if (unknown->attached || unknown->opened.socket.cookie != socket->cookie ||
                    pw_endpoint_compare(&unknown->opened.socket.endpoint, &socket->endpoint) != 0)
                        continue;
                m->unknown[i] = m->unknown[--m->n_unknown];
                return true;
        }
        return false;
}

/* Whether the listener that the socket is attached to is known to be of the one who opened it: an
 * event or an earlier run said so. It stays his while nobody holds it. */
static bool is_its_opener(const struct pw_manager *m, const struct pw_change *opened)
{
        const struct pw_listener *listener = pw_tracker_tagged(m->tracker, &opened->socket);

        return listener && listener->record->owner->unknown == PW_KNOWN &&
               (opened->by_event || listener->record->cookie == opened->socket.cookie);
}

/* The answer to the second or a later asking. */
static int meet_again(struct pw_manager *m, const struct unknown_socket *unknown,
                      struct pw_owner *owner, uint64_t now_usec)
{
        uint64_t delay_usec = PW_MIN(2 * unknown->delay_usec, UNKNOWN_LAST_USEC);
        int r = 0;

        /* It may have gone since the last look, which the next one will show. */
        if (owner->unknown != PW_KNOWN &&
            manager_prove(m, &unknown->opened.socket) == PW_PROOF_GONE)
                return 0;
        if (!unknown->attached)
                r = manager_attach(m, &unknown->opened, owner, NULL);
        else if (owner->unknown == PW_KNOWN || !is_its_opener(m, &unknown->opened))
                r = move_socket(m, &unknown->opened.socket, owner);
        if (r < 0 || owner->unknown == PW_KNOWN)
                return r;
        return remember_unknown(m, &unknown->opened, true, now_usec, delay_usec);
}

int manager_ask_again(struct pw_manager *m, uint64_t now_usec)
{
        _cleanup_(manager_owners_done) struct manager_owners found = {0};
        _cleanup_(pw_freep) struct unknown_socket *due = NULL;
        size_t n;
        int r;

        /* CPUBudget= is for this, too; but nobody hides by overdrawing it. */
        if (m->credit_nsec < 0 && m->config.poll_interval_usec > 0 &&
            now_usec - m->asked_usec < ASK_LEAST_USEC) {
                drop_gone(m);
                manager_schedule(m, CHORE_UNKNOWN, now_usec + PW_USEC_PER_SEC);
                return 0;
        }
        m->asked_usec = now_usec;
        due = calloc(PW_MAX(m->n_unknown, (size_t)1), sizeof *due);
        if (!due)
                return -ENOMEM;
        /* Those due within the next half second share this pass over /proc. */
        n = take_due(m, now_usec + PW_USEC_PER_SEC / 2, due);
        r = manager_owners_reserve(&found, n);
        if (r < 0 || n == 0)
                return r;
        for (size_t i = 0; i < n; i++)
                found.sockets[i] = &due[i].opened.socket;
        r = pw_attribution_find(m->attribution, found.sockets, n, false, found.owners);
        if (r < 0)
                return r;
        found.n = n;
        r = manager_find_kernels(m, found.sockets, found.owners, n);
        for (size_t i = 0; i < n && r == 0; i++)
                r = meet_again(m, &due[i], found.owners[i], now_usec);
        return r;
}
