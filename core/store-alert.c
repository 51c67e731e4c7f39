/* SPDX-License-Identifier: MIT */
/* Writes about alerts become rows.
 *
 * An alert goes by its number and by the moment at which it was raised: its listener changes when
 * its owner becomes known, and its number may have been given to another one, by a daemon that
 * could not read the file. A row is changed only where it is that alert's. What is said of an alert
 * that has no row, since a new file was begun, makes it. */

#include "core/store-internal.h"

/* The row of an alert; `id` 0: it has none. */
struct alert_row {
        int64_t id;
        unsigned reasons;
        bool taken; /* another alert has the number that the record gives */
};

static uint64_t raised_usec(const struct pw_write *write)
{
        return write->record->raised_usec ? write->record->raised_usec : write->time_usec;
}

/* Looks for the row in a listener (0: not known) by the number, then by the moment. */
static int find_row(struct pw_store *store, const struct pw_write *write, int64_t listener,
                    struct alert_row *ret)
{
        struct pw_call call = pw_call(store, PW_SQL_ALERT_FIND);
        int r;

        *ret = (struct alert_row){0};
        pw_call_int(&call, write->record->alert_id);
        pw_call_int(&call, listener);
        pw_call_time(&call, raised_usec(write));
        while ((r = pw_call_row(&call)) > 0) {
                if (pw_call_column(&call, 2) == 0) {
                        ret->taken = true;
                        continue;
                }
                ret->id = pw_call_column(&call, 0);
                ret->reasons = (unsigned)pw_call_column(&call, 1);
                break;
        }
        pw_call_done(&call);
        return PW_MIN(r, 0);
}

static int find(struct pw_store *store, const struct pw_write *write, struct alert_row *ret)
{
        struct pw_listener_row listener = {0};
        int r = pw_store_listener_find(store, write->record, &listener);

        return r < 0 ? r : find_row(store, write, listener.id, ret);
}

static int add_event(struct pw_store *store, const struct pw_write *write, enum pw_event kind,
                     const struct pw_listener_row *listener, int64_t alert)
{
        return pw_store_event(store, &(struct pw_event_row){.time_usec = write->time_usec,
                                                            .kind = kind,
                                                            .owner = listener->owner,
                                                            .listener = listener->id,
                                                            .alert = alert,
                                                            .detail = write->detail});
}

/* Whether there is something to tell that is graver than what was told. */
static bool is_graver(unsigned reasons, unsigned before)
{
        return reasons && before && pw_reason_gravest(reasons) < pw_reason_gravest(before);
}

/* Sets the row to what the record says. */
static int update(struct pw_store *store, const struct pw_record *record,
                  const struct alert_row *row)
{
        struct pw_call call;
        int64_t former;
        int r = pw_store_word(store, record->former_rule, &former);

        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_ALERT_UPDATE);
        pw_call_int(&call, row->id);
        pw_call_int(&call, record->reasons);
        pw_call_id(&call, (int64_t)record->delivered_usec);
        pw_call_id(&call, (int64_t)record->resolved_usec);
        pw_call_int(&call, record->alert_count);
        pw_call_int(&call, is_graver(record->reasons, row->reasons));
        pw_call_id(&call, former);
        return pw_call_run(&call, NULL);
}

static int insert(struct pw_store *store, const struct pw_write *write, int64_t listener,
                  struct alert_row *row)
{
        const struct pw_record *record = write->record;
        uint64_t resolved = record->resolved_usec;
        struct pw_detail detail;
        struct pw_call call;
        int64_t former = 0;
        int r = pw_store_detail(store, record, &detail);

        if (r == 0)
                r = pw_store_word(store, record->former_rule, &former);
        if (r < 0)
                return r;
        if (write->kind == PW_WRITE_RESOLVED && resolved == 0)
                resolved = write->time_usec;
        call = pw_call(store, PW_SQL_ALERT_ADD);
        pw_call_id(&call, row->taken ? 0 : record->alert_id); /* else the next that is free */
        pw_call_int(&call, listener);
        pw_call_int(&call, record->reasons);
        pw_call_time(&call, raised_usec(write));
        pw_call_id(&call, (int64_t)record->delivered_usec);
        pw_call_id(&call, (int64_t)resolved);
        pw_call_int(&call, PW_MAX(record->alert_count, 1u));
        pw_call_detail(&call, record, &detail);
        pw_call_id(&call, former);
        r = pw_call_insert(&call, &row->id);
        if (r < 0)
                return r;

        call = pw_call(store, PW_SQL_INTERVAL_MARK);
        pw_call_int(&call, listener);
        pw_call_int(&call, row->id);
        return pw_call_run(&call, NULL);
}

/* Makes the row where the alert has none. 1: it has been made; 0: it was there; -errno. */
static int find_or_make(struct pw_store *store, const struct pw_write *write,
                        struct pw_listener_row *ret_listener, struct alert_row *ret)
{
        int r = find(store, write, ret);

        if (r < 0 || ret->id > 0)
                return r < 0
                           ? r
                           : PW_MIN(pw_store_listener_find(store, write->record, ret_listener), 0);
        r = pw_store_listener_make(store, write->record, ret_listener);
        if (r == 0)
                r = insert(store, write, ret_listener->id, ret);
        return r < 0 ? r : 1;
}

int pw_store_apply_alert(struct pw_store *store, const struct pw_write *write)
{
        struct pw_listener_row listener = {0};
        struct alert_row row;
        int r;

        if (write->record->alert_id <= 0)
                return 0; /* nothing could name it */
        r = find_or_make(store, write, &listener, &row);
        if (r < 0)
                return r;
        if (r == 0)
                return update(store, write->record, &row); /* was applied before */
        return add_event(store, write, PW_EVENT_ALERT, &listener, row.id);
}

int pw_store_apply_update(struct pw_store *store, const struct pw_write *write)
{
        struct pw_listener_row listener = {0};
        struct alert_row row;
        int r;

        if (write->record->alert_id <= 0)
                return 0;
        r = find_or_make(store, write, &listener, &row);
        return r == 0 ? update(store, write->record, &row) : PW_MIN(r, 0);
}

int pw_store_apply_delivered(struct pw_store *store, const struct pw_write *write)
{
        const struct pw_record *record = write->record;
        struct alert_row row;
        struct pw_call call;
        int r = find(store, write, &row);

        if (r < 0 || row.id == 0)
                return r;
        call = pw_call(store, PW_SQL_ALERT_DELIVERED);
        pw_call_int(&call, row.id);
        pw_call_time(&call, record->delivered_usec ? record->delivered_usec : write->time_usec);
        return pw_call_run(&call, NULL);
}

int pw_store_apply_resolved(struct pw_store *store, const struct pw_write *write)
{
        const struct pw_record *record = write->record;
        struct pw_listener_row listener = {0};
        struct alert_row row;
        struct pw_call call;
        int r, changes = 1;

        if (record->alert_id <= 0)
                return 0;
        r = find_or_make(store, write, &listener, &row);
        if (r == 0) {
                call = pw_call(store, PW_SQL_ALERT_RESOLVED);
                pw_call_int(&call, row.id);
                pw_call_time(&call,
                             record->resolved_usec ? record->resolved_usec : write->time_usec);
                r = pw_call_run(&call, &changes);
        }
        if (r < 0 || changes == 0)
                return PW_MIN(r, 0);
        return add_event(store, write, PW_EVENT_RESOLVED, &listener, row.id);
}
