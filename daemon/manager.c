/* SPDX-License-Identifier: MIT */
/* The event loop: a poll timer, and one timer for all chores, each of which has a time in `due`.
 *
 * What is recoverable is told and lived with where it happens; an error that comes up to this file
 * means that memory has run out or the event loop is broken, and ends the daemon (the service
 * manager starts it again, and the store has kept what is needed to go on). */

#include "daemon/manager-internal.h"

#include <systemd/sd-daemon.h>

#include <signal.h>
#include <stdarg.h>
#include <syslog.h>

#define INTERVAL_MAX_USEC (30 * PW_USEC_PER_SEC)
#define CREDIT_SPAN_USEC PW_USEC_PER_MINUTE /* how much unused budget a burst may spend */

void manager_log(struct pw_manager *m, enum pw_message message, int priority, const char *format,
                 ...)
{
        char raw[2048], text[2048];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(raw, sizeof raw, format, arguments);
        va_end(arguments);
        pw_text_clean(text, sizeof text, raw, strlen(raw));
        pw_journal_send(m->journal, pw_entry_new(message, priority, text));
        if (pw_journal_waiting(m->journal) > 0)
                manager_schedule(m, CHORE_JOURNAL, pw_now_boottime() + PW_USEC_PER_SEC / 2);
}

/* ---- chores ---- */

static uint64_t next_chore(const struct pw_manager *m)
{
        uint64_t next = PW_USEC_INFINITY;

        for (size_t i = 0; i < CHORE_COUNT; i++)
                next = PW_MIN(next, m->due[i]);
        return next;
}

static int arm(sd_event_source *timer, uint64_t usec)
{
        int r = sd_event_source_set_time(timer, usec);

        if (r < 0)
                return r;
        return sd_event_source_set_enabled(timer, usec == PW_USEC_INFINITY ? SD_EVENT_OFF
                                                                           : SD_EVENT_ONESHOT);
}

/* Most turns of the loop change nothing about the next chore; then nothing is done here. */
static int arm_chores(struct pw_manager *m)
{
        uint64_t next = next_chore(m);

        if (next == m->armed_usec && next > 0) /* 0: at once, and also: not armed */
                return 0;
        m->armed_usec = next;
        return arm(m->chore_timer, next);
}

void manager_schedule(struct pw_manager *m, enum chore chore, uint64_t usec)
{
        m->due[chore] = PW_MIN(m->due[chore], usec);
}

int manager_arm(struct pw_manager *m)
{
        return arm_chores(m);
}

/* From outside a poll or a chore: these arm the timer when they end. */
int manager_schedule_now(struct pw_manager *m, enum chore chore, uint64_t usec)
{
        manager_schedule(m, chore, usec);
        return arm_chores(m);
}

static int chore_reload(struct pw_manager *m, uint64_t now_usec _unused_)
{
        return manager_reload(m);
}

static int chore_rule_ends(struct pw_manager *m, uint64_t now_usec _unused_)
{
        return manager_rule_ended(m);
}

static int chore_boot(struct pw_manager *m, uint64_t now_usec _unused_)
{
        return manager_ask_boot(m);
}

static int chore_units(struct pw_manager *m, uint64_t now_usec _unused_)
{
        return manager_ask_units(m);
}

static int chore_learned(struct pw_manager *m, uint64_t now_usec)
{
        int r = manager_learn(m);

        if (r == 0)
                r = manager_blind_spots(m);
        manager_schedule(m, CHORE_STATUS, now_usec);
        return r;
}

static int chore_past(struct pw_manager *m, uint64_t now_usec)
{
        return manager_settle_past(m, true, now_usec);
}

static int chore_store(struct pw_manager *m, uint64_t now_usec _unused_)
{
        return manager_store_retry(m);
}

static int chore_journal(struct pw_manager *m, uint64_t now_usec)
{
        if (pw_journal_flush(m->journal) > 0)
                manager_schedule(m, CHORE_JOURNAL, now_usec + PW_USEC_PER_SEC / 2);
        return manager_tell_lost(m);
}

static int chore_refresh(struct pw_manager *m, uint64_t now_usec _unused_)
{
        return manager_recount(m);
}

static int chore_heartbeat(struct pw_manager *m, uint64_t now_usec _unused_)
{
        int r = manager_watch_rules(m);

        if (r == 0)
                r = manager_blind_spots(m);
        return r < 0 ? r : manager_heartbeat(m);
}

static int chore_status(struct pw_manager *m, uint64_t now_usec)
{
        manager_status_write(m, now_usec);
        return 0;
}

/* In the order of enum chore: what a chore finds out, later ones of the same turn tell. */
static int (*const chores[CHORE_COUNT])(struct pw_manager *m, uint64_t now_usec) = {
    [CHORE_WAITING] = manager_waited,
    [CHORE_LINGER] = manager_end_lingering,
    [CHORE_HELD_BACK] = manager_held_back,
    [CHORE_UNKNOWN] = manager_ask_again,
    [CHORE_RELOAD] = chore_reload,
    [CHORE_RULE_ENDS] = chore_rule_ends,
    [CHORE_REQUIRED] = manager_check_required,
    [CHORE_BOOT] = chore_boot,
    [CHORE_LEARNED] = chore_learned,
    [CHORE_UNITS] = chore_units,
    [CHORE_PAST] = chore_past,
    [CHORE_LIMITS] = manager_sum_up,
    [CHORE_STORE] = chore_store,
    [CHORE_JOURNAL] = chore_journal,
    [CHORE_REFRESH] = chore_refresh,
    [CHORE_HEARTBEAT] = chore_heartbeat,
    [CHORE_PRUNE] = manager_prune,
    [CHORE_STATUS] = chore_status,
};

/* Does what is due, then publishes and commits what came of it. */
static int do_chores(struct pw_manager *m)
{
        uint64_t now_usec = pw_now_boottime();
        bool done = false;
        int r = 0;

        if (next_chore(m) > now_usec)
                return 0;
        for (size_t i = 0; r == 0 && i < CHORE_COUNT; i++) {
                if (m->due[i] > now_usec)
                        continue;
                m->due[i] = PW_USEC_INFINITY;
                r = chores[i](m, now_usec);
                done = true;
        }
        if (r == 0 && done && m->ready)
                r = manager_publish(m, now_usec);
        return r < 0 ? r : manager_commit(m);
}

/* ---- what polls may cost ---- */

/* Unused budget is saved up (a minute's worth at most), so that a burst is dealt with at once; what
 * is overdrawn is waited for. In the long run polling and attribution stay under CPUBudget=. */
static int64_t most_credit(const struct pw_manager *m)
{
        return (int64_t)(CREDIT_SPAN_USEC * m->config.cpu_budget_ppm / 1000);
}

static uint64_t next_interval(struct pw_manager *m, uint64_t cost_nsec, uint64_t now_usec)
{
        uint64_t ppm = m->config.cpu_budget_ppm;
        uint64_t elapsed_usec = PW_MIN(now_usec - m->credit_since_usec, CREDIT_SPAN_USEC);
        uint64_t wait_usec;

        if (m->config.poll_interval_usec == 0 || ppm == 0)
                return m->config.poll_interval_usec;
        m->credit_since_usec = now_usec;
        /* What was overdrawn by more is not waited for: a storm of a minute is over after it. */
        m->credit_nsec = PW_MAX(m->credit_nsec, -most_credit(m));
        m->credit_nsec += (int64_t)(elapsed_usec * ppm / 1000);
        m->credit_nsec = PW_MIN(m->credit_nsec, most_credit(m));
        m->credit_nsec -= (int64_t)cost_nsec;
        if (m->credit_nsec >= 0)
                return m->config.poll_interval_usec;
        wait_usec = (uint64_t)-m->credit_nsec * 1000 / ppm;
        return PW_MAX(m->config.poll_interval_usec, PW_MIN(wait_usec, INTERVAL_MAX_USEC));
}

static int on_chores(sd_event_source *timer _unused_, uint64_t usec _unused_, void *userdata)
{
        struct pw_manager *m = userdata;
        uint64_t cpu_nsec = pw_now_cpu_nsec();
        int r = do_chores(m);

        m->credit_nsec -= (int64_t)(pw_now_cpu_nsec() - cpu_nsec);
        m->armed_usec = 0;
        return r < 0 ? r : arm_chores(m);
}

/* At most so often, and seldom for him who has this done again and again. */
#define SOON_USEC (200 * PW_USEC_PER_MSEC)
#define SOON_OVERDRAWN_USEC (2 * PW_USEC_PER_SEC)

void manager_look_soon(struct pw_manager *m)
{
        uint64_t pause_usec = m->credit_nsec < 0 ? SOON_OVERDRAWN_USEC : SOON_USEC;

        m->soon_usec = PW_MIN(m->soon_usec, PW_MAX(m->polled_usec + pause_usec, pw_now_boottime()));
        if (m->next_poll_usec > m->soon_usec) {
                m->next_poll_usec = m->soon_usec;
                (void)arm(m->poll_timer, m->soon_usec);
        }
}

static int on_poll(sd_event_source *timer, uint64_t usec _unused_, void *userdata)
{
        struct pw_manager *m = userdata;
        uint64_t cpu_nsec = pw_now_cpu_nsec(), wall_usec = pw_now_boottime(), now_usec;
        int r;

        m->soon_usec = PW_USEC_INFINITY; /* what is wanted from here on is another one */
        r = manager_poll(m);
        if (r < 0)
                return r;
        cpu_nsec = pw_now_cpu_nsec() - cpu_nsec;
        now_usec = pw_now_boottime();
        m->status.poll_cpu_usec += cpu_nsec / 1000;
        m->status.poll_wall_usec += now_usec - wall_usec;
        if (r == 1) {
                m->status.unchanged_polls++;
                m->status.unchanged_cpu_nsec += cpu_nsec;
        }
        m->interval_usec = next_interval(m, cpu_nsec, now_usec);
        if (manager_hears_all(m) && m->interval_usec > 0) /* only to set right what they missed */
                m->interval_usec = PW_MAX(m->interval_usec, INTERVAL_MAX_USEC);
        m->polled_usec = now_usec;
        m->next_poll_usec =
            m->interval_usec > 0 ? PW_MIN(now_usec + m->interval_usec, m->soon_usec) : 0;
        r = arm(timer, m->next_poll_usec);
        if (r < 0)
                return r;
        if (m->options.polls > 0 && m->status.polls >= m->options.polls)
                return sd_event_exit(m->event, 0);
        /* With no pause between polls the chores would wait for ever. */
        if (next_chore(m) <= now_usec)
                return on_chores(m->chore_timer, now_usec, m);
        return arm_chores(m);
}

/* ---- signals ---- */

static int on_hangup(sd_event_source *source _unused_, const struct signalfd_siginfo *info _unused_,
                     void *userdata)
{
        struct pw_manager *m = userdata;

        return manager_schedule_now(m, CHORE_RELOAD, 0);
}

/* The loop, its watchdog and signals: from here on SIGTERM ends it cleanly. */
int manager_event_init(struct pw_manager *m)
{
        sigset_t set;
        int r = sd_event_default(&m->event);

        if (r >= 0)
                r = sd_event_set_watchdog(m->event, true);
        if (r < 0)
                return r;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        signal(SIGPIPE, SIG_IGN);
        r = sd_event_add_signal(m->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGHUP, on_hangup, m);
        return r;
}

/* Both timers; the first poll is due at once. */
int manager_timers_init(struct pw_manager *m)
{
        int r;

        m->interval_usec = m->config.poll_interval_usec;
        m->credit_since_usec = pw_now_boottime();
        m->credit_nsec = most_credit(m); /* the first look costs more than the others */
        r = sd_event_add_time(m->event, &m->poll_timer, CLOCK_BOOTTIME, 0, PW_USEC_PER_MSEC,
                              on_poll, m);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->chore_timer, CLOCK_BOOTTIME, 0,
                                      PW_USEC_PER_MSEC, on_chores, m);
        return r < 0 ? r : 0;
}

int pw_manager_run(struct pw_manager *m)
{
        size_t rules = pw_policy_count(m->policy);
        int r;

        manager_log(m, PW_MESSAGE_STARTED, LOG_INFO,
                    "portwatchd %s watches, %zu rule%s in force.%s", PORTWATCH_VERSION, rules,
                    pw_plural(rules),
                    m->engine && pw_engine_needs_cap_bpf(m->engine)
                        ? " CAP_BPF is kept: this kernel asks for it at every list of sockets."
                        : "");
        r = sd_event_loop(m->event);
        sd_notify(false, "STOPPING=1");
        if (r < 0)
                manager_log(m, PW_MESSAGE_STOPPED, LOG_ERR, "Cannot go on: %s.", strerror(-r));
        else
                manager_log(m, PW_MESSAGE_STOPPED, LOG_INFO, "portwatchd stopped watching.");
        if (manager_event(m, PW_EVENT_STOPPED, NULL) == 0)
                (void)manager_commit(m);
        manager_status_write(m, pw_now_boottime());
        return r < 0 ? r : 0;
}
