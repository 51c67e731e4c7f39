/* SPDX-License-Identifier: MIT */
/* What the daemon says of itself: status.json, the unit's STATUS= line, and its blind spots. */

#include "daemon/manager-internal.h"

#include <systemd/sd-daemon.h>

#include <unistd.h>

#define STATUS_INTERVAL_USEC PW_USEC_PER_MINUTE

static uint64_t rss_bytes(const struct pw_manager *m)
{
        char text[128];
        unsigned long long size, resident;

        if (pw_read_file(m->proc_fd, "self/statm", text, sizeof text) < 0 ||
            sscanf(text, "%llu %llu", &size, &resident) != 2)
                return 0;
        return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void count_listeners(struct pw_manager *m)
{
        struct pw_status *status = &m->status;

        status->sockets = pw_tracker_count(m->tracker);
        status->listeners = status->unexpected = status->alerts_open = 0;
        for (size_t i = 0; i < pw_listeners_count(m->listeners); i++) {
                const struct pw_listener *listener = pw_listeners_item(m->listeners, i);
                const struct pw_record *record = listener->record;

                status->alerts_open += record->alert_id != 0 && record->resolved_usec == 0;
                if (!listener->open)
                        continue;
                status->listeners++;
                status->unexpected += pw_record_is_unexpected(record);
        }
}

void manager_notify(struct pw_manager *m)
{
        const char *refused =
            m->status.rules > 0 ? "; rules refused at reload" : "; rules refused, none is in force";
        char span[PW_SPAN_MAX];

        sd_notifyf(false, "READY=1\nSTATUS=%llu open, %llu unexpected; %s, polling every %s%s%s",
                   (unsigned long long)m->status.listeners,
                   (unsigned long long)m->status.unexpected, m->status.engine,
                   pw_format_span(span, sizeof span, m->interval_usec),
                   m->rules_error[0] ? refused : "",
                   strcmp(m->store_state, "ok") == 0 ? "" : "; history cannot be written");
}

static const char *engine_name(const struct pw_manager *m)
{
        bool tcp = m->engine && pw_engine_works(m->engine, PW_ENGINE_TCP);
        bool udp = m->engine && pw_engine_works(m->engine, PW_ENGINE_UDP);

        if (tcp && udp)
                return "events";
        return tcp ? "TCP events" : udp ? "UDP events" : "no events";
}

void manager_status_write(struct pw_manager *m, uint64_t now_usec)
{
        struct pw_status *status = &m->status;

        manager_schedule(m, CHORE_STATUS, now_usec + STATUS_INTERVAL_USEC);
        count_listeners(m);
        strcpy(status->engine, engine_name(m));
        status->written_usec = pw_now_realtime();
        status->interval_usec = m->interval_usec;
        status->proc_reads = pw_attribution_reads(m->attribution);
        status->rss_bytes = rss_bytes(m);
        status->writes_waiting = m->writes.n;
        status->events_lost = m->events_lost + pw_journal_lost(m->journal);
        status->journal_waiting = pw_journal_waiting(m->journal);
        status->store_bytes = 0;
        if (m->store)
                status->store_bytes = pw_store_bytes(m->store, &status->store_wal_bytes);
        snprintf(status->store_state, sizeof status->store_state, "%s%s%s",
                 m->store_paused ? "paused" : m->store_state, m->reader_note[0] ? "; " : "",
                 m->reader_note);
        snprintf(status->rules_error, sizeof status->rules_error, "%s", m->rules_error);
        /* Failing costs only the readers' view of the daemon; they see its age. */
        (void)pw_status_write(m->run_fd, status);
        if (m->ready)
                manager_notify(m);
}

/* ---- blind spots ---- */

static void add_blind_spot(struct pw_status *status, const char *what, const char *lift)
{
        struct pw_blind_spot *spot;

        if (status->n_blind_spots == PW_BLIND_SPOTS_MAX)
                return;
        spot = &status->blind_spots[status->n_blind_spots++];
        snprintf(spot->what, sizeof spot->what, "%s", what);
        snprintf(spot->lift, sizeof spot->lift, "%s", lift);
}

static bool had_blind_spot(const struct pw_status *status, const char *what)
{
        for (size_t i = 0; i < status->n_blind_spots; i++)
                if (strcmp(status->blind_spots[i].what, what) == 0)
                        return true;
        return false;
}

/* What polling cannot see, and events could. */
static void find_unheard(struct pw_manager *m, struct pw_status *status)
{
        static const struct {
                enum pw_engine_part part;
                const char *what;
        } unheard[] = {
            {PW_ENGINE_TCP, "TCP sockets that open and close between two polls are not seen"},
            {PW_ENGINE_UDP, "UDP sockets that open and close between two polls are not seen"},
            {PW_ENGINE_UDP, "UDP ports in the ephemeral range are recorded after a while and not "
                            "alerted for: polling cannot tell servers from clients"},
            {PW_ENGINE_UDP, "UDP ports above 1023 are told after 3 s, longer where one user opens "
                            "many: polling cannot tell servers from clients"},
        };
        char lift[PW_BLIND_TEXT_MAX];

        for (size_t i = 0; i < PW_ELEMENTS(unheard); i++) {
                if (m->engine && pw_engine_works(m->engine, unheard[i].part))
                        continue;
                if (m->engine)
                        snprintf(lift, sizeof lift, "event engine: %s",
                                 pw_engine_missing(m->engine, unheard[i].part));
                else
                        strcpy(lift, "set Events=yes");
                add_blind_spot(status, unheard[i].what, lift);
        }
}

static void find_unseen_namespaces(struct pw_manager *m, struct pw_status *status)
{
        bool by_engine = m->engine && pw_engine_works(m->engine, PW_ENGINE_HOLDERS);

        if (!by_engine && m->namespaces_hidden)
                add_blind_spot(status,
                               "some processes may not be asked for their network namespace",
                               "start with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH");
        if (!by_engine && m->others_interval_usec > PW_USEC_PER_MINUTE)
                add_blind_spot(
                    status,
                    "other network namespaces are many, and looked at only every few minutes",
                    "Events=yes, or a larger CPUBudget=");
        if (pw_namespaces_left_out(m->namespaces))
                add_blind_spot(
                    status, "there are more network namespaces than can be looked at",
                    "not in this version; look with: nsenter -t PID -n portwatchctl scan");
}

static void find_blind_spots(struct pw_manager *m, struct pw_status *status)
{
        if (pw_sockdiag_error(m->diag, PW_TCP) != 0)
                add_blind_spot(status, "TCP sockets cannot be listed",
                               "load the kernel module tcp_diag");
        if (pw_sockdiag_error(m->diag, PW_UDP) != 0)
                add_blind_spot(status, "UDP sockets cannot be listed",
                               "load the kernel module udp_diag");
        if (pw_attribution_is_partial(m->attribution))
                add_blind_spot(
                    status,
                    "some processes may not be looked into: what they hold has no known owner",
                    "start with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH");
        find_unheard(m, status);
        find_unseen_namespaces(m, status);
        if (m->learning)
                add_blind_spot(status, "what is open is being learned: only denied ports alert",
                               "ends a minute after the host has finished booting");
}

int manager_blind_spots(struct pw_manager *m)
{
        _cleanup_(pw_freep) struct pw_status *now = calloc(1, sizeof *now);
        const struct pw_status *before = &m->status;
        int r = 0;

        if (!now)
                return -ENOMEM;
        find_blind_spots(m, now);
        for (size_t i = 0; r == 0 && i < now->n_blind_spots; i++)
                if (!had_blind_spot(before, now->blind_spots[i].what)) {
                        manager_log(m, PW_MESSAGE_BLIND_SPOT_BEGUN, 5, "Blind spot: %s (%s).",
                                    now->blind_spots[i].what, now->blind_spots[i].lift);
                        r = manager_event(m, PW_EVENT_BLIND, now->blind_spots[i].what);
                }
        for (size_t i = 0; r == 0 && i < before->n_blind_spots; i++)
                if (!had_blind_spot(now, before->blind_spots[i].what)) {
                        manager_log(m, PW_MESSAGE_BLIND_SPOT_ENDED, 5,
                                    "No longer a blind spot: %s.", before->blind_spots[i].what);
                        r = manager_event(m, PW_EVENT_SEEING, before->blind_spots[i].what);
                }
        memcpy(m->status.blind_spots, now->blind_spots, sizeof now->blind_spots);
        m->status.n_blind_spots = now->n_blind_spots;
        return r;
}
