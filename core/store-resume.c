/* SPDX-License-Identifier: MIT */
/* Going on from what an earlier run left. */

#include "core/store-internal.h"

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

/* Appends the records of a call that has been given its parameters, and ends it. */
static int read_records(struct pw_call *call, uint64_t heartbeat_usec, struct pw_records *records)
{
        int r;

        while ((r = pw_call_row(call)) > 0) {
                struct pw_record *record;

                r = pw_row_record(call->statement, heartbeat_usec, &record);
                if (r == 0)
                        r = pw_records_add(records, record);
                if (r < 0)
                        break;
        }
        pw_call_done(call);
        return r;
}

static int read_past(struct pw_store *store, uint64_t since_usec, size_t limit,
                     struct pw_past *past)
{
        const int64_t rows = (int64_t)PW_MIN(limit, (size_t)INT32_MAX);
        struct pw_call call = pw_call(store, PW_SQL_RESUME_OPEN);
        int r;

        pw_call_int(&call, rows);
        r = read_records(&call, past->heartbeat_usec, &past->open);
        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_RESUME_RECENT);
        pw_call_time(&call, since_usec);
        pw_call_int(&call, rows);
        r = read_records(&call, past->heartbeat_usec, &past->recent);
        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_RESUME_ALERTS);
        pw_call_time(&call, since_usec);
        pw_call_int(&call, rows);
        r = read_records(&call, past->heartbeat_usec, &past->alerts);
        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_RESUME_LAST_ALERT);
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
