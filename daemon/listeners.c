/* SPDX-License-Identifier: MIT */
/* Listeners by id (a tree), by port (chains) and as one array.
 *
 * Invariants: every listener is in all three; `touched` listeners stand once on the touched list;
 * `fresh` is set only on touched ones. A hostile user can have any number of listeners on one port,
 * so callers bound how far they follow a chain. */

#include "daemon/listeners.h"

#include <search.h>

struct pw_listeners {
        void *by_id;
        struct pw_listener **on_port; /* 65536 heads; pages that are not used cost nothing */
        struct pw_listener **items;
        size_t n, capacity;
        struct pw_listener **touched;
        size_t n_touched, n_taken, touched_capacity;
};

int pw_listeners_new(struct pw_listeners **ret)
{
        _cleanup_(pw_listeners_freep) struct pw_listeners *listeners = calloc(1, sizeof *listeners);

        if (!listeners)
                return -ENOMEM;
        listeners->on_port = calloc(UINT16_MAX + 1, sizeof(struct pw_listener *));
        if (!listeners->on_port)
                return -ENOMEM;
        *ret = PW_TAKE_PTR(listeners);
        return 0;
}

static int compare_ids(const void *a, const void *b)
{
        const struct pw_listener *x = a, *y = b;

        return strcmp(x->record->listener_id, y->record->listener_id);
}

static void listener_free(struct pw_listener *listener)
{
        pw_record_unref(listener->record);
        pw_record_unref(listener->fresh);
        free(listener);
}

static void ignore_node(void *node _unused_)
{
}

void pw_listeners_free(struct pw_listeners *listeners)
{
        if (!listeners)
                return;
        tdestroy(listeners->by_id, ignore_node);
        for (size_t i = 0; i < listeners->n; i++)
                listener_free(listeners->items[i]);
        free(listeners->items);
        free(listeners->touched);
        free(listeners->on_port);
        free(listeners);
}

static struct pw_listener *find(struct pw_listeners *listeners, struct pw_record *record)
{
        struct pw_listener key = {.record = record};
        struct pw_listener **node = tfind(&key, &listeners->by_id, compare_ids);

        return node ? *node : NULL;
}

struct pw_listener *pw_listeners_find(struct pw_listeners *listeners, const char *listener_id)
{
        struct pw_record record = {0};

        if (strlen(listener_id) >= sizeof record.listener_id)
                return NULL;
        strcpy(record.listener_id, listener_id);
        return find(listeners, &record);
}

static void chain(struct pw_listeners *listeners, struct pw_listener *listener)
{
        struct pw_listener **head = &listeners->on_port[listener->record->port];

        listener->next_on_port = *head;
        if (*head)
                (*head)->previous_on_port = listener;
        *head = listener;
}

static void unchain(struct pw_listeners *listeners, struct pw_listener *listener)
{
        if (listener->previous_on_port)
                listener->previous_on_port->next_on_port = listener->next_on_port;
        else
                listeners->on_port[listener->record->port] = listener->next_on_port;
        if (listener->next_on_port)
                listener->next_on_port->previous_on_port = listener->previous_on_port;
}

struct pw_listener *pw_listeners_get(struct pw_listeners *listeners, struct pw_record *record)
{
        struct pw_listener *listener = find(listeners, record);

        if (listener)
                return listener;
        if (pw_array_reserve(&listeners->items, &listeners->capacity, listeners->n + 1,
                             sizeof(struct pw_listener *)) < 0)
                return NULL;
        listener = calloc(1, sizeof *listener);
        if (!listener)
                return NULL;
        listener->record = pw_record_ref(record);
        if (!tsearch(listener, &listeners->by_id, compare_ids)) {
                listener_free(listener);
                return NULL;
        }
        listener->index = listeners->n;
        listeners->items[listeners->n++] = listener;
        chain(listeners, listener);
        return listener;
}

int pw_listeners_touch(struct pw_listeners *listeners, struct pw_listener *listener)
{
        int r;

        if (listener->touched)
                return 0;
        r = pw_array_reserve(&listeners->touched, &listeners->touched_capacity,
                             listeners->n_touched + 1, sizeof(struct pw_listener *));
        if (r < 0)
                return r;
        listeners->touched[listeners->n_touched++] = listener;
        listener->touched = true;
        return 0;
}

struct pw_listener *pw_listeners_next_touched(struct pw_listeners *listeners)
{
        struct pw_listener *listener;

        if (listeners->n_taken == listeners->n_touched) {
                listeners->n_touched = listeners->n_taken = 0;
                return NULL;
        }
        listener = listeners->touched[listeners->n_taken++];
        listener->touched = false;
        return listener;
}

static bool same_processes(const struct pw_owner *a, const struct pw_owner *b)
{
        return a->n_holders == b->n_holders && a->n_pids == b->n_pids &&
               pw_owner_has_processes(a, b);
}

/* What `base` says, its owner with the processes of `more` as well. */
static struct pw_record *joined(struct pw_record *base, const struct pw_record *more)
{
        struct pw_owner *owner = pw_owner_join(base->owner, more->owner);
        struct pw_record *record;

        if (!owner)
                return NULL;
        record = owner == base->owner ? pw_record_ref(base) : pw_record_copy(base);
        if (record && record != base) {
                pw_owner_unref(record->owner);
                record->owner = pw_owner_ref(owner);
        }
        pw_owner_unref(owner);
        return record;
}

int pw_listener_attach(struct pw_listeners *listeners, struct pw_listener *listener,
                       struct pw_record *record)
{
        struct pw_record *known = listener->fresh ? listener->fresh : listener->record;
        struct pw_record *fresh;
        int r = pw_listeners_touch(listeners, listener);

        if (r < 0)
                return r;
        fresh = listener->sockets > 0 ? joined(known, record) : pw_record_ref(record);
        if (!fresh)
                return -ENOMEM;
        pw_record_unref(listener->fresh);
        listener->fresh = fresh;
        listener->sockets++;
        return 0;
}

void pw_listener_detach(struct pw_listeners *listeners, struct pw_listener *listener,
                        uint64_t gone_usec)
{
        /* Out of memory here only delays the news: the next touch publishes it. */
        (void)pw_listeners_touch(listeners, listener);
        listener->gone_usec = gone_usec;
        if (listener->sockets > 0)
                listener->sockets--;
}

enum pw_listener_change pw_listener_change(const struct pw_listener *listener)
{
        const struct pw_record *record = listener->record, *fresh = listener->fresh;

        if (!listener->open)
                return listener->sockets > 0 ? PW_LISTENER_OPENED : PW_LISTENER_SAME;
        if (listener->sockets == 0)
                return PW_LISTENER_CLOSED;
        if (fresh && fresh != record && !same_processes(record->owner, fresh->owner))
                return PW_LISTENER_CHANGED;
        if (record->sockets != pw_listener_sockets(listener) ||
            (fresh && fresh->cookie != record->cookie))
                return PW_LISTENER_RECOUNT;
        return PW_LISTENER_SAME;
}

void pw_listener_publish(struct pw_listener *listener, struct pw_record *record, uint64_t now_usec)
{
        if (listener->record != record)
                pw_record_unref(listener->record);
        else
                pw_record_unref(record);
        listener->record = record;
        pw_record_unref(listener->fresh);
        listener->fresh = NULL;
        if (listener->open && listener->sockets == 0)
                listener->closed_usec = now_usec;
        listener->open = listener->sockets > 0;
}

struct pw_listener *pw_listeners_on_port(const struct pw_listeners *listeners, uint16_t port)
{
        return listeners->on_port[port];
}

size_t pw_listeners_count(const struct pw_listeners *listeners)
{
        return listeners->n;
}

struct pw_listener *pw_listeners_item(const struct pw_listeners *listeners, size_t i)
{
        return listeners->items[i];
}

static void drop(struct pw_listeners *listeners, struct pw_listener *listener)
{
        struct pw_listener *last = listeners->items[--listeners->n];

        tdelete(listener, &listeners->by_id, compare_ids);
        unchain(listeners, listener);
        listeners->items[listener->index] = last;
        last->index = listener->index;
        listener_free(listener);
}

static bool is_idle(const struct pw_listener *listener)
{
        return !listener->open && !listener->touched && !listener->required &&
               listener->sockets == 0;
}

static int compare_times(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static bool drop_if_idle(struct pw_listeners *listeners, size_t i, uint64_t before_usec)
{
        struct pw_listener *listener = listeners->items[i];

        if (!is_idle(listener) || listener->closed_usec >= before_usec)
                return false;
        drop(listeners, listener);
        return true;
}

/* The closing time before which the longest closed ones beyond `limit` have closed; `*ret_excess`
 * is how many there are, fewer than close to that moment when many closed at once. */
static uint64_t cutoff(const struct pw_listeners *listeners, size_t limit, size_t *ret_excess)
{
        _cleanup_(pw_freep) uint64_t *times = NULL;
        size_t n = 0;

        *ret_excess = 0;
        times = reallocarray(NULL, PW_MAX(listeners->n, (size_t)1), sizeof *times);
        if (!times)
                return 0;
        for (size_t i = 0; i < listeners->n; i++)
                if (is_idle(listeners->items[i]))
                        times[n++] = listeners->items[i]->closed_usec;
        if (n <= limit)
                return 0;
        qsort(times, n, sizeof *times, compare_times);
        *ret_excess = n - limit;
        return times[n - limit - 1] + 1;
}

void pw_listeners_forget(struct pw_listeners *listeners, uint64_t before_usec, size_t limit)
{
        uint64_t before;
        size_t excess;

        for (size_t i = listeners->n; i-- > 0;)
                drop_if_idle(listeners, i, before_usec);
        before = cutoff(listeners, limit, &excess);
        for (size_t i = listeners->n; excess > 0 && i-- > 0;)
                excess -= drop_if_idle(listeners, i, before);
}
