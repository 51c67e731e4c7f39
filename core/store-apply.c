/* SPDX-License-Identifier: MIT */
/* Writes become rows.
 *
 * Every write may be applied again after a failure, on another file, or after the thing it speaks
 * of has gone: it looks for its listener's open interval first, and does nothing where that makes
 * no sense. Only an opening, a new owner and an alert make listeners. */

#include "core/store-internal.h"

/* 1 and *ret: the listener has an open interval; 0: it has not; -errno. */
static int find_open(struct pw_store *store, int64_t listener, struct pw_open_interval *ret)
{
        struct pw_call call = pw_call(store, PW_SQL_INTERVAL_FIND);
        int r;

        pw_call_int(&call, listener);
        r = pw_call_row(&call);
        if (r > 0)
                *ret = (struct pw_open_interval){
                    .id = pw_call_column(&call, 0),
                    .listener = listener,
                    .owner = pw_call_column(&call, 1),
                    .opened_usec = (uint64_t)pw_call_column(&call, 2),
                    .alert = pw_call_column(&call, 3),
                };
        pw_call_done(&call);
        return r;
}

static int find_open_of(struct pw_store *store, const struct pw_record *record,
                        struct pw_open_interval *ret)
{
        struct pw_listener_row listener;
        int r = pw_store_listener_find(store, record, &listener);

        return r > 0 ? find_open(store, listener.id, ret) : r;
}

/* ---- events ---- */

int pw_store_event(struct pw_store *store, const struct pw_event_row *event)
{
        struct pw_call call = pw_call(store, PW_SQL_EVENT_ADD);

        pw_call_time(&call, event->time_usec);
        pw_call_int(&call, event->kind);
        pw_call_int(&call, event->owner);
        pw_call_id(&call, event->listener);
        pw_call_id(&call, event->interval);
        pw_call_id(&call, event->alert);
        pw_call_text(&call, event->detail);
        return pw_call_run(&call, NULL);
}

static int add_interval_event(struct pw_store *store, const struct pw_write *write,
                              enum pw_event kind, const struct pw_open_interval *interval)
{
        return pw_store_event(store, &(struct pw_event_row){.time_usec = write->time_usec,
                                                            .kind = kind,
                                                            .owner = interval->owner,
                                                            .listener = interval->listener,
                                                            .interval = interval->id,
                                                            .detail = write->detail});
}

/* ---- intervals ---- */

int pw_store_detail(struct pw_store *store, const struct pw_record *record, struct pw_detail *ret)
{
        int r = pw_store_holder(store, record->owner, &ret->holder);

        if (r == 0)
                r = pw_store_word(store, record->rule, &ret->rule);
        if (r == 0)
                pw_pids_format(ret->pids, sizeof ret->pids, record->owner);
        return r;
}

void pw_call_detail(struct pw_call *call, const struct pw_record *record,
                    const struct pw_detail *detail)
{
        pw_call_int(call, detail->holder);
        pw_call_text(call, detail->pids);
        pw_call_int(call, record->owner->n_holders);
        pw_call_int(call, record->verdict);
        pw_call_id(call, detail->rule);
}

static int set_detail(struct pw_store *store, const struct pw_record *record, int64_t interval)
{
        struct pw_detail detail;
        struct pw_call call;
        int r = pw_store_detail(store, record, &detail);

        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_INTERVAL_DETAIL);
        pw_call_int(&call, interval);
        pw_call_detail(&call, record, &detail);
        pw_call_int(&call, record->sockets);
        pw_call_int(&call, (int64_t)record->cookie);
        return pw_call_run(&call, NULL);
}

static int add_interval(struct pw_store *store, const struct pw_write *write,
                        const struct pw_listener_row *listener, struct pw_open_interval *ret)
{
        const struct pw_record *record = write->record;
        uint64_t opened = record->opened_usec ? record->opened_usec : write->time_usec;
        struct pw_detail detail;
        struct pw_call call;
        int r = pw_store_detail(store, record, &detail);

        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_INTERVAL_ADD);
        pw_call_int(&call, listener->id);
        pw_call_int(&call, listener->owner);
        pw_call_int(&call, record->port);
        pw_call_time(&call, opened);
        pw_call_int(&call, record->opened_how);
        pw_call_time(&call, record->last_seen_usec);
        pw_call_id(&call, store->boot);
        pw_call_detail(&call, record, &detail);
        pw_call_int(&call, record->sockets);
        pw_call_int(&call, (int64_t)record->cookie);
        *ret = (struct pw_open_interval){
            .listener = listener->id, .owner = listener->owner, .opened_usec = opened};
        return pw_call_insert(&call, &ret->id);
}

static int apply_open(struct pw_store *store, const struct pw_write *write)
{
        struct pw_listener_row listener;
        struct pw_open_interval interval;
        int r = pw_store_listener_make(store, write->record, &listener);

        if (r < 0)
                return r;
        r = find_open(store, listener.id, &interval);
        if (r < 0)
                return r;
        if (r > 0) {
                r = set_detail(store, write->record, interval.id);
                return r < 0 ? r : add_interval_event(store, write, PW_EVENT_CHANGED, &interval);
        }
        r = add_interval(store, write, &listener, &interval);
        return r < 0 ? r : add_interval_event(store, write, PW_EVENT_OPENED, &interval);
}

static int apply_change(struct pw_store *store, const struct pw_write *write)
{
        struct pw_open_interval interval;
        int r = find_open_of(store, write->record, &interval);

        if (r <= 0)
                return r;
        r = set_detail(store, write->record, interval.id);
        if (r < 0 || write->kind == PW_WRITE_REFRESH)
                return r;
        return add_interval_event(store, write, PW_EVENT_CHANGED, &interval);
}

int pw_store_end_interval(struct pw_store *store, const struct pw_open_interval *interval,
                          struct pw_end end, const char *detail)
{
        struct pw_call call = pw_call(store, PW_SQL_INTERVAL_CLOSE);
        int r;

        pw_call_int(&call, interval->id);
        pw_call_time(&call, end.closed_usec);
        pw_call_int(&call, end.how);
        pw_call_time(&call, end.last_seen_usec);
        pw_call_int(&call, pw_span_class(interval->opened_usec, end.closed_usec));
        r = pw_call_run(&call, NULL);
        if (r < 0)
                return r;
        return pw_store_event(store, &(struct pw_event_row){.time_usec = end.closed_usec,
                                                            .kind = PW_EVENT_CLOSED,
                                                            .owner = interval->owner,
                                                            .listener = interval->listener,
                                                            .interval = interval->id,
                                                            .detail = detail});
}

static int apply_close(struct pw_store *store, const struct pw_write *write)
{
        const struct pw_record *record = write->record;
        struct pw_open_interval interval;
        struct pw_end end = {record->closed_usec, record->last_seen_usec, record->closed_how};
        int r = find_open_of(store, record, &interval);

        if (r <= 0)
                return r;
        if (end.closed_usec == 0)
                end.closed_usec = write->time_usec;
        if (end.last_seen_usec == 0)
                end.last_seen_usec = end.closed_usec;
        if (end.how == PW_HOW_NONE)
                end.how = PW_HOW_SEEN;
        return pw_store_end_interval(store, &interval, end, write->detail);
}

static int drop_interval(struct pw_store *store, int64_t interval)
{
        struct pw_call call = pw_call(store, PW_SQL_INTERVAL_DROP);

        pw_call_int(&call, interval);
        return pw_call_run(&call, NULL);
}

static int apply_drop(struct pw_store *store, const struct pw_write *write)
{
        struct pw_open_interval interval;
        int r = find_open_of(store, write->record, &interval);

        return r > 0 ? drop_interval(store, interval.id) : r;
}

/* ---- a new owner ---- */

/* Open alerts go along, and say from now on who it turned out to be. */
static int move_alerts(struct pw_store *store, const struct pw_record *record, int64_t from,
                       int64_t to)
{
        struct pw_detail detail;
        struct pw_call call;
        int r = pw_store_detail(store, record, &detail);

        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_ALERT_MOVE);
        pw_call_int(&call, from);
        pw_call_int(&call, to);
        pw_call_detail(&call, record, &detail);
        return pw_call_run(&call, NULL);
}

static int move_interval(struct pw_store *store, struct pw_open_interval *interval,
                         const struct pw_listener_row *to, uint16_t port)
{
        struct pw_call call = pw_call(store, PW_SQL_INTERVAL_MOVE);

        pw_call_int(&call, interval->id);
        pw_call_int(&call, to->id);
        pw_call_int(&call, to->owner);
        pw_call_int(&call, port);
        interval->listener = to->id;
        interval->owner = to->owner;
        return pw_call_run(&call, NULL);
}

/* `from` becomes a part of `into`: one interval, since the earlier of both openings. */
static int merge_interval(struct pw_store *store, const struct pw_open_interval *from,
                          const struct pw_open_interval *into)
{
        struct pw_call call = pw_call(store, PW_SQL_EVENT_MOVE);
        int r;

        pw_call_int(&call, from->id);
        pw_call_int(&call, into->id);
        pw_call_int(&call, into->listener);
        r = pw_call_run(&call, NULL);
        if (r < 0)
                return r;
        r = drop_interval(store, from->id);
        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_INTERVAL_MERGE);
        pw_call_int(&call, into->id);
        pw_call_time(&call, PW_MIN(from->opened_usec, into->opened_usec));
        pw_call_id(&call, into->alert ? into->alert : from->alert);
        return pw_call_run(&call, NULL);
}

static int forget_listener(struct pw_store *store, int64_t listener)
{
        struct pw_call call = pw_call(store, PW_SQL_LISTENER_FORGET);

        pw_call_int(&call, listener);
        return pw_call_run(&call, NULL);
}

/* Moves the open interval *old, or makes it a part of the one that `to` has; *ret is what stays. */
static int hand_over(struct pw_store *store, const struct pw_open_interval *old,
                     const struct pw_listener_row *to, uint16_t port, struct pw_open_interval *ret)
{
        int r = find_open(store, to->id, ret);

        if (r < 0)
                return r;
        if (r > 0) {
                r = merge_interval(store, old, ret);
        } else {
                *ret = *old;
                r = move_interval(store, ret, to, port);
        }
        return r < 0 ? r : forget_listener(store, old->listener);
}

static int apply_reassign(struct pw_store *store, const struct pw_write *write)
{
        const struct pw_record *record = write->record;
        struct pw_open_interval old, interval;
        struct pw_listener_row listener;
        int r = find_open_of(store, write->previous, &old);

        if (r <= 0)
                return r;
        r = pw_store_listener_make(store, record, &listener);
        if (r == 0)
                r = set_detail(store, record, old.id);
        if (r == 0)
                r = move_alerts(store, record, old.listener, listener.id);
        interval = old;
        if (r == 0 && listener.id != old.listener)
                r = hand_over(store, &old, &listener, record->port, &interval);
        if (r == 0 && interval.id != old.id)
                r = set_detail(store, record, interval.id);
        return r < 0 ? r : add_interval_event(store, write, PW_EVENT_CHANGED, &interval);
}

/* ---- events alone ---- */

static int apply_event(struct pw_store *store, const struct pw_write *write)
{
        struct pw_listener_row listener = {0};
        int r = 0;

        if (write->record)
                r = pw_store_listener_find(store, write->record, &listener);
        if (r >= 0)
                r = pw_store_event(store, &(struct pw_event_row){.time_usec = write->time_usec,
                                                                 .kind = write->event,
                                                                 .owner = listener.owner,
                                                                 .listener = listener.id,
                                                                 .detail = write->detail});
        if (r == 0 && (write->event == PW_EVENT_STARTED || write->event == PW_EVENT_STOPPED))
                r = pw_store_meta_set(store, PW_META_STOPPED, write->event == PW_EVENT_STOPPED);
        return r;
}

/* ---- a batch ---- */

static int (*const appliers[])(struct pw_store *, const struct pw_write *) = {
    [PW_WRITE_OPEN] = apply_open,
    [PW_WRITE_CHANGE] = apply_change,
    [PW_WRITE_REFRESH] = apply_change,
    [PW_WRITE_REASSIGN] = apply_reassign,
    [PW_WRITE_CLOSE] = apply_close,
    [PW_WRITE_DROP] = apply_drop,
    [PW_WRITE_ALERT] = pw_store_apply_alert,
    [PW_WRITE_ALERT_UPDATE] = pw_store_apply_update,
    [PW_WRITE_DELIVERED] = pw_store_apply_delivered,
    [PW_WRITE_RESOLVED] = pw_store_apply_resolved,
    [PW_WRITE_EVENT] = apply_event,
};

static int apply_some(struct pw_store *store, const struct pw_writes *writes, uint64_t now_usec,
                      size_t *ret_n)
{
        struct pw_call call = pw_call(store, PW_SQL_META_ADD);
        size_t n = 0;
        int r;

        pw_store_count_from_here(store);
        pw_call_text(&call, PW_META_CREATED);
        pw_call_time(&call, now_usec);
        r = pw_call_run(&call, NULL);
        while (writes && r == 0 && n < writes->n && !pw_store_is_long(store)) {
                r = appliers[writes->items[n].kind](store, &writes->items[n]);
                n++;
        }
        if (r == 0)
                r = pw_store_meta_set(store, PW_META_HEARTBEAT, (int64_t)now_usec);
        if (r == 0)
                *ret_n = n;
        return r;
}

/* One transaction. */
static int apply_batch(struct pw_store *store, struct pw_writes *writes, uint64_t now_usec)
{
        size_t n = 0;
        int r = pw_store_make_room(store);

        if (r != 0)
                return r;
        r = pw_store_begin(store);
        if (r == 0)
                r = apply_some(store, writes, now_usec, &n);
        r = pw_store_end(store, r);
        if (r == 0 && writes)
                pw_writes_drop(writes, n);
        return r;
}

int pw_store_apply(struct pw_store *store, struct pw_writes *writes, uint64_t now_usec)
{
        int r = apply_batch(store, writes, now_usec);

        while (r == 0 && writes && writes->n > 0)
                r = apply_batch(store, writes, now_usec);
        return r;
}
