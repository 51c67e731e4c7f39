/* SPDX-License-Identifier: MIT */
/* From what was touched to what is said: each touched listener gets its verdict, its new record,
 * the writes that the store needs, and the step of its alert.
 *
 * Invariant: a listener's record is what the store has (or will have, once the waiting writes are
 * applied), so that the difference to it is all that is ever written. */

#include "daemon/manager-internal.h"

int manager_write(struct pw_manager *m, struct pw_write write)
{
        if (m->writes.n >= WRITES_MAX) {
                /* The store has been away for long. What memory knows is brought in line with it
                 * when it is back; what is lost is the order of events in between, and that is
                 * counted. */
                m->events_lost += m->writes.n;
                m->resync = true;
                pw_writes_done(&m->writes);
                manager_store_close(m);
                manager_schedule(m, CHORE_STORE, 0);
        }
        return pw_writes_add(&m->writes, write);
}

static int write_record(struct pw_manager *m, const struct pw_listener *listener,
                        enum pw_write_kind kind, const char *detail)
{
        char *copy = NULL;

        if (listener->folded)
                return 0;
        if (detail) {
                copy = strdup(detail);
                if (!copy)
                        return -ENOMEM;
        }
        return manager_write(m, (struct pw_write){.kind = kind,
                                                  .time_usec = pw_now_realtime(),
                                                  .record = pw_record_ref(listener->record),
                                                  .detail = copy});
}

/* ---- verdict and reasons ---- */

static int judge(struct pw_manager *m, struct pw_record *record)
{
        struct pw_ruling ruling;

        ruling = pw_policy_judge(m->policy, record, pw_now_realtime());
        if (m->learning && ruling.verdict == PW_UNEXPECTED) /* about to be written down */
                ruling.verdict = PW_EXPECTED;
        return pw_record_judge(record, ruling.verdict, ruling.rule);
}

static unsigned reasons_of(struct pw_manager *m, const struct pw_listener *self,
                           const struct pw_record *record)
{
        struct pw_surroundings around = {0};
        struct pw_listener *other = pw_listeners_on_port(m->listeners, record->port);

        if (record->verdict == PW_EXPECTED || record->verdict == PW_IGNORED)
                return 0;
        for (size_t i = 0; other && i < NEIGHBOURS_MAX; i++, other = other->next_on_port) {
                if (other == self || other->required)
                        continue;
                around.scope_widened |= pw_alert_widens(record, other->record);
                around.second_owner |= other->sockets > 0 && pw_alert_rivals(record, other->record);
        }
        return pw_alert_reasons(record, around, pw_record_may_be_client(record));
}

/* ---- alerts ---- */

/* Tells the journal after the next commit; beyond the owner's limit, the sum of the minute does. */
static int tell_alert(struct pw_manager *m, struct pw_record *record, unsigned reasons,
                      uint64_t now_usec)
{
        bool within = pw_limit_take(m->alert_limit, record, pw_now_boottime());

        manager_schedule(m, CHORE_LIMITS, pw_limit_due(m->alert_limit));
        record->reasons = reasons;
        record->delivered_usec = within ? 0 : now_usec;
        m->status.alerts_suppressed += !within;
        return within ? manager_tell(m, pw_entry_alert(record)) : 0;
}

/* `how` NULL: it was closed. */
static int say_resolved(struct pw_manager *m, const struct pw_record *record, const char *how)
{
        char closed[PW_SPAN_MAX + 32], span[PW_SPAN_MAX];

        /* One that a sum stood for is over without a word of its own, and a service that is
         * restarted again and again says it once. */
        if (record->delivered_usec == record->raised_usec || (!how && record->alert_count > 1))
                return 0;
        strcpy(closed, "it was closed");
        if (record->closed_usec > record->opened_usec)
                snprintf(
                    closed, sizeof closed, "it was closed after %s",
                    pw_format_span(span, sizeof span, record->closed_usec - record->opened_usec));
        return manager_tell(m, pw_entry_resolved(record, how ? how : closed));
}

/* While the store has never been read, its numbers are not known: then they go on from the time of
 * day, far beyond any that it has. */
static int64_t next_alert_id(struct pw_manager *m)
{
        if (!m->store_read && m->last_alert_id == 0)
                m->last_alert_id = (int64_t)(pw_now_realtime() / PW_USEC_PER_SEC);
        return ++m->last_alert_id;
}

/* Takes the alert of `record`, a copy that is not yet published, one step on. 1: `*ret_kind` is to
 * be written, after the listener itself. */
static int step_alert(struct pw_manager *m, struct pw_record *record, unsigned reasons,
                      const char *over, enum pw_write_kind *ret_kind)
{
        uint64_t now_usec = pw_now_realtime();
        int r = 0;

        *ret_kind = PW_WRITE_ALERT_UPDATE;
        switch (pw_alert_step(record, reasons, now_usec, m->config.realert_usec)) {
        case PW_ALERT_NOTHING:
                return 0;
        case PW_ALERT_RAISE:
                *ret_kind = PW_WRITE_ALERT;
                record->alert_id = next_alert_id(m);
                record->alert_count = 1;
                record->raised_usec = now_usec;
                r = tell_alert(m, record, reasons, now_usec);
                break;
        case PW_ALERT_ESCALATE:
                record->alert_count += record->resolved_usec != 0;
                r = tell_alert(m, record, reasons, now_usec);
                break;
        case PW_ALERT_REOPEN:
                record->alert_count++;
                break;
        case PW_ALERT_UPDATE:
                break;
        case PW_ALERT_RESOLVE:
                *ret_kind = PW_WRITE_RESOLVED;
                record->resolved_usec = now_usec;
                r = say_resolved(m, record, over);
                return r < 0 ? r : 1;
        }
        record->reasons = reasons;
        record->resolved_usec = 0;
        return r < 0 ? r : 1;
}

static int write_alert(struct pw_manager *m, struct pw_record *record, enum pw_write_kind kind)
{
        return manager_write(m, (struct pw_write){.kind = kind,
                                                  .time_usec = pw_now_realtime(),
                                                  .record = pw_record_ref(record)});
}

int manager_settle_alert(struct pw_manager *m, struct pw_record *record, unsigned reasons,
                         const char *over)
{
        enum pw_write_kind kind;
        int r = step_alert(m, record, reasons, over, &kind);

        return r > 0 ? write_alert(m, record, kind) : r;
}

/* ---- records ---- */

static void copy_interval(struct pw_record *to, const struct pw_record *from)
{
        to->opened_usec = from->opened_usec;
        to->opened_how = from->opened_how;
        to->last_seen_usec = from->last_seen_usec;
        to->closed_usec = from->closed_usec;
        to->closed_how = from->closed_how;
}

/* The record that is to be published: what the newest sockets say, the interval and the alert as
 * they were. */
static struct pw_record *next_record(struct pw_manager *m, const struct pw_listener *listener,
                                     enum pw_listener_change change)
{
        const struct pw_record *old = listener->record;
        struct pw_record *record = pw_record_copy(listener->fresh ? listener->fresh : old);

        if (!record)
                return NULL;
        pw_record_copy_alert(record, old);
        if (change != PW_LISTENER_OPENED)
                copy_interval(record, old);
        if (pw_record_copy_ruling(record, old) < 0) {
                pw_record_unref(record);
                return NULL;
        }
        record->sockets = pw_listener_sockets(listener);
        record->last_seen_usec = pw_now_realtime();
        if (change == PW_LISTENER_OPENED) {
                record->closed_usec = 0;
                record->closed_how = PW_HOW_NONE;
        } else if (change == PW_LISTENER_CLOSED) {
                record->closed_usec = record->last_seen_usec;
                record->closed_how = PW_HOW_SEEN;
                if (listener->gone_usec > 0) {
                        record->closed_usec = manager_wall_clock(m, listener->gone_usec);
                        record->closed_how = PW_HOW_EVENT;
                }
                record->sockets = old->sockets;
        }
        return record;
}

static enum pw_write_kind write_kind(enum pw_listener_change change, const struct pw_record *record,
                                     bool other_verdict)
{
        switch (change) {
        case PW_LISTENER_OPENED:
                return PW_WRITE_OPEN;
        case PW_LISTENER_CLOSED:
                return record->verdict == PW_IGNORED ? PW_WRITE_DROP : PW_WRITE_CLOSE;
        case PW_LISTENER_CHANGED:
                return record->verdict == PW_IGNORED ? PW_WRITE_REFRESH : PW_WRITE_CHANGE;
        default:
                return other_verdict ? PW_WRITE_CHANGE : PW_WRITE_REFRESH;
        }
}

/* Why an alert would be over; NULL: the listener was closed. */
static const char *over_text(enum pw_listener_change change, const struct pw_record *record,
                             char *buffer, size_t size)
{
        if (change == PW_LISTENER_CLOSED)
                return NULL;
        if (record->rule)
                snprintf(buffer, size, "%s by %s", pw_verdict_name(record->verdict), record->rule);
        else
                snprintf(buffer, size, "the reason is gone");
        return buffer;
}

/* Whether the store may be told of a listener that opens now. */
static bool within_rows(struct pw_manager *m, const struct pw_record *record, uint64_t now_usec)
{
        bool within = pw_limit_take(m->row_limit, record, now_usec);

        manager_schedule(m, CHORE_LIMITS, pw_limit_due(m->row_limit));
        if (!within)
                m->status.rows_folded++;
        return within;
}

/* A listener that is no longer expected because a rule went says which. */
static const char *verdict_detail(const struct pw_record *record, const char *former_rule,
                                  char *buffer, size_t size)
{
        if (!former_rule || record->verdict == PW_EXPECTED)
                return pw_verdict_name(record->verdict);
        snprintf(buffer, size, "%s, before by %s", pw_verdict_name(record->verdict), former_rule);
        return buffer;
}

static int write_change(struct pw_manager *m, struct pw_listener *listener,
                        enum pw_listener_change change, bool other_verdict, bool other_rule,
                        const char *former_rule)
{
        const char *detail = NULL;
        char text[PW_REFUSAL_MAX];

        if (change == PW_LISTENER_RECOUNT && !other_verdict && !other_rule) {
                /* A busy REUSEPORT group changes at every poll: stored now and then. */
                manager_schedule(m, CHORE_REFRESH, pw_now_boottime() + 5 * PW_USEC_PER_SEC);
                listener->recounted = true;
                return 0;
        }
        if (change == PW_LISTENER_SAME && !other_verdict && !other_rule)
                return 0;
        if (other_verdict)
                detail = verdict_detail(listener->record, former_rule, text, sizeof text);
        return write_record(m, listener, write_kind(change, listener->record, other_verdict),
                            detail);
}

/* Verdict and alert of a record that is about to be published. 1: `*ret_alert` is to be written. */
static int settle(struct pw_manager *m, struct pw_listener *listener, struct pw_record *record,
                  enum pw_listener_change change, enum pw_write_kind *ret_alert)
{
        char over[PW_REFUSAL_MAX];
        unsigned reasons = 0;

        if (listener->sockets > 0) {
                int r = judge(m, record);

                if (r < 0)
                        return r;
                reasons = reasons_of(m, listener, record);
        }
        if (listener->folded)
                return 0;
        return step_alert(m, record, reasons, over_text(change, record, over, sizeof over),
                          ret_alert);
}

int manager_publish_one(struct pw_manager *m, struct pw_listener *listener, uint64_t now_usec)
{
        enum pw_listener_change change = pw_listener_change(listener);
        _cleanup_(pw_record_unrefp) struct pw_record *record = next_record(m, listener, change);
        _cleanup_(pw_shared_unset) const char *former_rule = NULL;
        enum pw_write_kind alert = PW_WRITE_ALERT;
        bool other_verdict, other_rule;
        int r, step;

        if (!record || pw_shared_set(&former_rule, listener->record->rule) < 0)
                return -ENOMEM;
        if (change == PW_LISTENER_OPENED)
                listener->folded = !within_rows(m, record, now_usec);
        step = settle(m, listener, record, change, &alert);
        if (step < 0)
                return step;
        other_verdict =
            change != PW_LISTENER_OPENED && record->verdict != listener->record->verdict;
        other_rule = !pw_text_equal(record->rule, listener->record->rule);
        pw_listener_publish(listener, PW_TAKE_PTR(record), now_usec);
        r = write_change(m, listener, change, other_verdict, other_rule, former_rule);
        if (r == 0 && step > 0)
                r = write_alert(m, listener->record, alert);
        return r;
}

int manager_publish(struct pw_manager *m, uint64_t now_usec)
{
        struct pw_listener *listener;
        int r = 0;

        while (r == 0 && (listener = pw_listeners_next_touched(m->listeners))) {
                if (!listener->required)
                        r = manager_publish_one(m, listener, now_usec);
                manager_schedule(m, CHORE_STATUS, now_usec + PW_USEC_PER_SEC);
        }
        /* Whoever opens one after the other, each at another address, fills no memory. */
        if (r == 0 && pw_listeners_count(m->listeners) > m->n_kept + CLOSED_KEPT_MAX) {
                manager_forget(m, now_usec);
                m->trim = true;
        }
        return r < 0 ? r : manager_check_required(m, now_usec);
}

/* Numbers of sockets that changed without anything else. */
int manager_recount(struct pw_manager *m)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < pw_listeners_count(m->listeners); i++) {
                struct pw_listener *listener = pw_listeners_item(m->listeners, i);

                if (!listener->recounted)
                        continue;
                listener->recounted = false;
                if (listener->open)
                        r = write_record(m, listener, PW_WRITE_REFRESH, NULL);
        }
        return r;
}

int manager_rejudge(struct pw_manager *m)
{
        for (size_t i = 0; i < pw_listeners_count(m->listeners); i++) {
                struct pw_listener *listener = pw_listeners_item(m->listeners, i);
                int r = 0;

                if (listener->sockets > 0)
                        r = pw_listeners_touch(m->listeners, listener);
                if (r < 0)
                        return r;
        }
        return manager_publish(m, pw_now_boottime());
}

int manager_reassign(struct pw_manager *m, struct pw_listener *from, struct pw_listener *to)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = pw_record_copy(to->fresh);
        _cleanup_(pw_record_unrefp) struct pw_record *left = pw_record_copy(from->record);
        bool had_alert = to->record->alert_id != 0 && to->record->resolved_usec == 0;

        if (!record || !left)
                return -ENOMEM;
        copy_interval(record, from->record);
        pw_record_copy_alert(record, had_alert ? to->record : from->record);
        if (pw_record_copy_ruling(record, from->record) < 0)
                return -ENOMEM;
        left->alert_id = 0;
        left->resolved_usec = 0;
        to->folded = from->folded;
        if (!to->folded) {
                int r =
                    manager_write(m, (struct pw_write){.kind = PW_WRITE_REASSIGN,
                                                       .time_usec = pw_now_realtime(),
                                                       .record = pw_record_ref(record),
                                                       .previous = pw_record_ref(from->record)});

                if (r < 0)
                        return r;
        }
        pw_listener_publish(from, PW_TAKE_PTR(left), pw_now_boottime());
        pw_listener_publish(to, PW_TAKE_PTR(record), pw_now_boottime());
        return 0; /* both are touched: the new owner is judged when they are published */
}

/* ---- what was over a limit ---- */

static void say_suppressed(struct pw_manager *m, uint64_t over, const struct pw_record *last)
{
        char text[PW_DESCRIPTION_MAX + 256], what[PW_DESCRIPTION_MAX];
        struct pw_entry *entry;

        snprintf(text, sizeof text,
                 "%llu more alerts of one owner in the last minute, the last: %s. Look: "
                 "portwatchctl alerts",
                 (unsigned long long)over, pw_describe(what, sizeof what, last));
        entry =
            pw_entry_new(PW_MESSAGE_ALERTS_SUPPRESSED, pw_reasons_priority(last->reasons), text);
        if (entry) {
                pw_entry_add(entry, "PORTWATCH_ALERT", "1");
                pw_entry_addf(entry, "PORTWATCH_SUPPRESSED", "%llu", (unsigned long long)over);
                pw_entry_add_record(entry, last);
        }
        pw_journal_send(m->journal, entry);
}

/* Listeners kept out of the store that are still open get their row now. */
static int unfold(struct pw_manager *m)
{
        for (size_t i = 0; i < pw_listeners_count(m->listeners); i++) {
                struct pw_listener *listener = pw_listeners_item(m->listeners, i);
                int r;

                if (!listener->folded)
                        continue;
                listener->folded = listener->open = false;
                r = pw_listeners_touch(m->listeners, listener);
                if (r < 0)
                        return r;
        }
        return manager_publish(m, pw_now_boottime());
}

int manager_sum_up(struct pw_manager *m, uint64_t now_usec)
{
        struct pw_record *last;
        bool folded = false;
        uint64_t over;
        int r = 0;

        while (pw_limit_summary(m->alert_limit, now_usec, &over, &last) > 0) {
                say_suppressed(m, over, last);
                pw_record_unref(last);
        }
        while (r == 0 && pw_limit_summary(m->row_limit, now_usec, &over, &last) > 0) {
                char text[PW_DESCRIPTION_MAX + 64], what[PW_DESCRIPTION_MAX];

                snprintf(text, sizeof text, "%llu more openings, the last: %s",
                         (unsigned long long)over, pw_describe(what, sizeof what, last));
                r = manager_event(m, PW_EVENT_FOLDED, text);
                pw_record_unref(last);
                folded = true;
        }
        if (r == 0 && folded)
                r = unfold(m);
        manager_schedule(m, CHORE_LIMITS,
                         PW_MIN(pw_limit_due(m->alert_limit), pw_limit_due(m->row_limit)));
        return r;
}
