/* SPDX-License-Identifier: MIT */
/* What an earlier run left: recalled when the store is opened, and settled after the first look. A
 * listener whose very socket is still there goes on; another one ended, as far as anybody knows,
 * when it was last seen. */

#include "daemon/manager-internal.h"

#define PAST_RETRY_USEC (30 * PW_USEC_PER_SEC)

/* ---- recalling ---- */

static int recall_open(struct pw_manager *m, struct pw_record *record)
{
        struct pw_listener *listener = pw_listeners_get(m->listeners, record);

        if (!listener)
                return -ENOMEM;
        /* On a resync memory already knows better. */
        if (listener->sockets == 0 && !listener->open)
                listener->open = listener->past = true;
        return 0;
}

static int recall_closed(struct pw_manager *m, struct pw_record *record)
{
        struct pw_listener *listener = pw_listeners_get(m->listeners, record);

        if (!listener)
                return -ENOMEM;
        if (listener->closed_usec == 0) /* by the boot clock nothing better is known */
                listener->closed_usec = pw_now_boottime();
        return 0;
}

static int recall_alert(struct pw_manager *m, struct pw_record *alert)
{
        struct pw_listener *listener = pw_listeners_get(m->listeners, alert);

        if (!listener)
                return -ENOMEM;
        if (listener->closed_usec == 0)
                listener->closed_usec = pw_now_boottime();
        if (listener->record->alert_id < alert->alert_id) {
                struct pw_record *record = pw_record_copy(listener->record);

                if (!record)
                        return -ENOMEM;
                pw_record_copy_alert(record, alert);
                pw_record_unref(listener->record);
                listener->record = record;
        }
        if (alert->resolved_usec == 0 && alert->delivered_usec == 0)
                return manager_tell(m, pw_entry_alert(listener->record));
        return 0;
}

int manager_recall(struct pw_manager *m, const struct pw_past *past)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < past->open.n; i++)
                r = recall_open(m, past->open.items[i]);
        for (size_t i = 0; r == 0 && i < past->recent.n; i++)
                r = recall_closed(m, past->recent.items[i]);
        for (size_t i = 0; r == 0 && i < past->alerts.n; i++)
                r = recall_alert(m, past->alerts.items[i]);
        m->last_alert_id = PW_MAX(m->last_alert_id, past->last_alert_id);
        m->store_read = true;
        return r;
}

/* ---- settling ---- */

/* The end of an interval that nobody saw end. */
static int end_past(struct pw_manager *m, struct pw_listener *listener)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = pw_record_copy(listener->record);

        if (!record)
                return -ENOMEM;
        record->closed_usec = record->last_seen_usec;
        record->closed_how = PW_HOW_HEARTBEAT;
        pw_record_unref(listener->record);
        listener->record = pw_record_ref(record);
        listener->open = false;
        listener->closed_usec = pw_now_boottime();
        return manager_write(m, (struct pw_write){.kind = record->verdict == PW_IGNORED
                                                              ? PW_WRITE_DROP
                                                              : PW_WRITE_CLOSE,
                                                  .time_usec = pw_now_realtime(),
                                                  .record = PW_TAKE_PTR(record)});
}

/* Whether a listener that has no socket yet can be said to have gone. Held-back UDP, sockets
 * without a holder and those whose unit is being asked for are believed later than the first look;
 * and of a protocol that could not be listed nothing is known. */
static bool may_be_missed(const struct pw_manager *m, const struct pw_record *record, bool late)
{
        if (pw_sockdiag_error(m->diag, record->protocol) != 0)
                return false;
        return late || (!pw_record_may_be_client(record) && record->owner->unknown == PW_KNOWN &&
                        (m->n_nameless == 0 || !pw_text_glob("*.socket", record->owner->unit)));
}

int manager_settle_past(struct pw_manager *m, bool late, uint64_t now_usec)
{
        for (size_t i = 0; i < pw_listeners_count(m->listeners); i++) {
                struct pw_listener *listener = pw_listeners_item(m->listeners, i);
                bool alert =
                    listener->record->alert_id != 0 && listener->record->resolved_usec == 0;
                int r = 0;

                if (listener->past && listener->sockets == 0 &&
                    !may_be_missed(m, listener->record, late)) {
                        manager_schedule(m, CHORE_PAST, now_usec + PAST_RETRY_USEC);
                        continue;
                }
                if (listener->past && !listener->proven)
                        r = end_past(m, listener);
                if (r == 0 && (listener->past || alert) && !listener->required)
                        r = pw_listeners_touch(m->listeners, listener);
                listener->past = false;
                if (r < 0)
                        return r;
        }
        return manager_publish(m, now_usec);
}
