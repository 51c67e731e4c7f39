/* SPDX-License-Identifier: MIT */
/* Going on from what an earlier run left.
 *
 * A program that opens thousands of ports leaves thousands of rows with one and the same owner:
 * they share one object, found in a tree of all owners that were read. */

#include "core/store-internal.h"

#include <search.h>

/* Intervals of other boots cannot be open any more. When they ended is not known: the earlier
 * heartbeat is the last time that they were seen. */
static int end_other_boots(struct pw_store *store, uint64_t heartbeat_usec)
{
        for (;;) {
                struct pw_call call = pw_call(store, PW_SQL_RESUME_OTHER_BOOT);
                struct pw_open_interval interval;
                uint64_t end_usec;
                int r;

                pw_call_int(&call, store->boot);
                r = pw_call_row(&call);
                if (r > 0)
                        interval = (struct pw_open_interval){
                            .id = pw_call_column(&call, 0),
                            .listener = pw_call_column(&call, 1),
                            .owner = pw_call_column(&call, 2),
                            .opened_usec = (uint64_t)pw_call_column(&call, 3),
                        };
                pw_call_done(&call);
                if (r <= 0)
                        return r;
                end_usec = PW_MAX(heartbeat_usec, interval.opened_usec);
                r = pw_store_end_interval(store, &interval,
                                          (struct pw_end){end_usec, end_usec, PW_HOW_REBOOT}, NULL);
                if (r < 0)
                        return r;
        }
}

/* ---- owners ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
        return (a > b) - (a < b);
}

static int compare_texts(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) : !b - !a;
}

/* In all that they say. */
static int compare_owners(const void *one, const void *other)
{
        const struct pw_owner *a = one, *b = other;
        const uint64_t numbers[][2] = {
            {a->n_pids, b->n_pids}, {a->n_holders, b->n_holders}, {a->uid, b->uid},
            {a->traits, b->traits}, {a->unknown, b->unknown},
        };
        const char *const texts[][2] = {
            {a->comm, b->comm},       {a->user, b->user},           {a->exe, b->exe},
            {a->unit, b->unit},       {a->user_unit, b->user_unit}, {a->container, b->container},
            {a->cmdline, b->cmdline},
        };
        int r = 0;

        for (size_t i = 0; r == 0 && i < PW_ELEMENTS(numbers); i++)
                r = compare_numbers(numbers[i][0], numbers[i][1]);
        if (r == 0)
                r = memcmp(a->pids, b->pids, a->n_pids * sizeof *a->pids);
        if (r == 0)
                r = memcmp(a->started, b->started, a->n_pids * sizeof *a->started);
        for (size_t i = 0; r == 0 && i < PW_ELEMENTS(texts); i++)
                r = compare_texts(texts[i][0], texts[i][1]);
        return r;
}

/* Gives the record the equal owner of an earlier one. `owners` has no references: those of the
 * records outlive it. */
static int share_owner(void **owners, struct pw_record *record)
{
        struct pw_owner **found = tsearch(record->owner, owners, compare_owners);

        if (!found)
                return -ENOMEM;
        if (*found != record->owner) {
                pw_owner_unref(record->owner);
                record->owner = pw_owner_ref(*found);
        }
        return 0;
}

static void keep_owner(void *owner _unused_)
{
}

/* ---- records ---- */

struct reading {
        struct pw_past *past;
        void *owners; /* a tree */
};

/* Appends the records of a call that has been given its parameters, and ends it. */
static int read_records(struct reading *reading, struct pw_call *call, struct pw_records *records)
{
        int r;

        while ((r = pw_call_row(call)) > 0) {
                _cleanup_(pw_record_unrefp) struct pw_record *record = NULL;

                r = pw_row_record(call->statement, reading->past->heartbeat_usec, &record);
                if (r == 0)
                        r = share_owner(&reading->owners, record);
                if (r == 0)
                        r = pw_records_add(records, PW_TAKE_PTR(record));
                if (r < 0)
                        break;
        }
        pw_call_done(call);
        return r;
}

static int read_lists(struct pw_store *store, uint64_t since_usec, size_t limit,
                      struct reading *reading)
{
        const int64_t open = (int64_t)PW_MIN(limit, (size_t)INT32_MAX);
        const int64_t closed = PW_MIN(open, (int64_t)PW_PAST_CLOSED_MAX);
        struct pw_past *past = reading->past;
        struct pw_call call = pw_call(store, PW_SQL_RESUME_OPEN);
        int r;

        pw_call_int(&call, open);
        r = read_records(reading, &call, &past->open);
        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_RESUME_RECENT);
        pw_call_time(&call, since_usec);
        pw_call_int(&call, closed);
        r = read_records(reading, &call, &past->recent);
        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_RESUME_ALERTS);
        pw_call_time(&call, since_usec);
        pw_call_int(&call, open);
        pw_call_int(&call, closed);
        return read_records(reading, &call, &past->alerts);
}

static int read_past(struct pw_store *store, uint64_t since_usec, size_t limit,
                     struct pw_past *past)
{
        struct reading reading = {.past = past};
        struct pw_call call = pw_call(store, PW_SQL_RESUME_LAST_ALERT);
        int r = read_lists(store, since_usec, limit, &reading);

        tdestroy(reading.owners, keep_owner);
        if (r == 0)
                r = pw_call_number(&call, &past->last_alert_id);
        return PW_MIN(r, 0);
}

static int resume(struct pw_store *store, const char *boot_id, uint64_t since_usec, size_t limit,
                  struct pw_past *past)
{
        int64_t boot, heartbeat, stopped;
        int r = pw_store_word(store, boot_id, &boot);

        if (r == 0)
                r = pw_store_meta_get(store, PW_META_HEARTBEAT, &heartbeat);
        if (r == 0)
                r = pw_store_meta_get(store, PW_META_STOPPED, &stopped);
        if (r < 0)
                return r;
        store->boot = boot;
        past->heartbeat_usec = (uint64_t)PW_MAX(heartbeat, (int64_t)0);
        past->clean_stop = stopped != 0;
        r = end_other_boots(store, past->heartbeat_usec);
        return r < 0 ? r : read_past(store, since_usec, limit, past);
}

int pw_store_resume(struct pw_store *store, const char *boot_id, uint64_t since_usec, size_t limit,
                    struct pw_past *ret)
{
        struct pw_past past = {0};
        int r = pw_store_begin(store);

        if (r == 0)
                r = resume(store, boot_id, since_usec, limit, &past);
        r = pw_store_end(store, r);
        if (r != 0) {
                store->boot = 0; /* its word may have been rolled back */
                pw_past_done(&past);
                return r;
        }
        *ret = past;
        return 0;
}

void pw_past_done(struct pw_past *past)
{
        pw_records_done(&past->open);
        pw_records_done(&past->recent);
        pw_records_done(&past->alerts);
        *past = (struct pw_past){0};
}
