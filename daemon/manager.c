/* SPDX-License-Identifier: MIT */
/* The event loop: a poll timer, and one timer for all chores, each of which has a time in `due`.
 *
 * What is recoverable is told and lived with where it happens; an error that comes up to this file
 * means that memory has run out or the event loop is broken, and ends the daemon (the service
 * manager starts it again, and the store has kept what is needed to go on). */

#include "daemon/manager-internal.h"

#include <portwatch/paths.h>

#include <systemd/sd-daemon.h>

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

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

char *manager_path(const char *dir, const char *name)
{
        char *path;

        return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
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

        if (next == m->armed_usec)
                return 0;
        m->armed_usec = next;
        return arm(m->chore_timer, next);
}

void manager_schedule(struct pw_manager *m, enum chore chore, uint64_t usec)
{
        m->due[chore] = PW_MIN(m->due[chore], usec);
}

/* From outside a poll or a chore: these arm the timer when they end. */
int manager_schedule_now(struct pw_manager *m, enum chore chore, uint64_t usec)
{
        manager_schedule(m, chore, usec);
        return arm_chores(m);
}

static int chore_reload(struct pw_manager *m, uint64_t now_usec _unused_)
{
        return manager_reload(m, false);
}

static int chore_rule_ends(struct pw_manager *m, uint64_t now_usec _unused_)
{
        return manager_rule_ended(m);
}

static int chore_boot(struct pw_manager *m, uint64_t now_usec _unused_)
{
        m->boot_asked++;
        pw_bus_ask_boot(m->bus);
        return 0;
}

static int chore_learned(struct pw_manager *m, uint64_t now_usec _unused_)
{
        return manager_learn(m);
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
        return 0;
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
    [CHORE_HELD_BACK] = manager_held_back,
    [CHORE_UNKNOWN] = manager_ask_again,
    [CHORE_RELOAD] = chore_reload,
    [CHORE_RULE_ENDS] = chore_rule_ends,
    [CHORE_REQUIRED] = manager_check_required,
    [CHORE_BOOT] = chore_boot,
    [CHORE_LEARNED] = chore_learned,
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

static int on_poll(sd_event_source *timer, uint64_t usec _unused_, void *userdata)
{
        struct pw_manager *m = userdata;
        uint64_t cpu_nsec = pw_now_cpu_nsec(), wall_usec = pw_now_boottime(), now_usec;
        int r = manager_poll(m);

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
        r = arm(timer, m->interval_usec > 0 ? now_usec + m->interval_usec : 0);
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

static int add_signals(struct pw_manager *m)
{
        sigset_t set;
        int r;

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

/* ---- set-up ---- */

static void on_config_warning(void *userdata, const char *sentence)
{
        manager_log(userdata, PW_MESSAGE_SETTINGS_REFUSED, LOG_WARNING, "%s", sentence);
}

static int open_journal(struct pw_manager *m)
{
        bool journal = m->options.log == PW_LOG_JOURNAL;

        if (m->options.log == PW_LOG_AUTO)
                journal = getenv("JOURNAL_STREAM") != NULL;
        return pw_journal_new(journal ? PW_JOURNAL_SOCKET : NULL, manager_on_sent, m, &m->journal);
}

static int open_dir(struct pw_manager *m, const char *path, const char *what, unsigned mode,
                    int *ret_fd)
{
        if (mode != 0 && mkdir(path, mode) < 0 && errno != EEXIST) {
                int r = -errno;

                manager_log(m, PW_MESSAGE_STOPPED, LOG_ERR, "Cannot make the %s directory %s: %s.",
                            what, path, strerror(-r));
                return r;
        }
        *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*ret_fd < 0) {
                int r = -errno;

                manager_log(m, PW_MESSAGE_STOPPED, LOG_ERR, "Cannot open the %s directory %s: %s.",
                            what, path, strerror(-r));
                return r;
        }
        return 0;
}

static int open_dirs(struct pw_manager *m)
{
        static const char *const cgroups[] = {PW_CGROUP2_DIRS};
        int r = open_dir(m, m->options.state_dir, "state", 0750, &m->state_fd);

        if (r == 0)
                r = open_dir(m, m->options.run_dir, "run", 0755, &m->run_fd);
        if (r == 0)
                r = open_dir(m, "/proc", "process", 0, &m->proc_fd);
        /* The unit's own view of / hides /home and /tmp, where executables may be. */
        if (r == 0)
                m->root_fd = open("/proc/1/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (r == 0 && m->root_fd < 0)
                r = open_dir(m, "/", "root", 0, &m->root_fd);
        if (r == 0)
                r = open_dir(m, "/etc", "settings", 0, &m->etc_fd);
        for (size_t i = 0; r == 0 && m->cgroup_fd < 0 && i < PW_ELEMENTS(cgroups); i++) {
                m->cgroup_fd = open(cgroups[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (m->cgroup_fd >= 0 && faccessat(m->cgroup_fd, "cgroup.procs", F_OK, 0) < 0) {
                        close(m->cgroup_fd);
                        m->cgroup_fd = -EBADF;
                }
        }
        return r;
}

static int take_lock(struct pw_manager *m)
{
        m->lock_fd = pw_status_lock(m->run_fd);
        if (m->lock_fd < 0)
                manager_log(m, PW_MESSAGE_STOPPED, LOG_ERR,
                            m->lock_fd == -EBUSY
                                ? "Another portwatchd runs already: it holds %s/%s."
                                : "Cannot take the lock %s/%s.",
                            m->options.run_dir, PW_LOCK_FILE);
        return m->lock_fd < 0 ? m->lock_fd : 0;
}

static void read_host(struct pw_manager *m)
{
        struct stat netns;
        ssize_t n;

        if (fstatat(m->proc_fd, "self/ns/net", &netns, 0) == 0)
                m->netns = netns.st_ino;
        m->ephemeral = PW_EPHEMERAL_DEFAULT;
        (void)pw_ephemeral_read(m->proc_fd, &m->ephemeral);
        n = pw_read_file(m->proc_fd, "sys/kernel/random/boot_id", m->boot_id, sizeof m->boot_id);
        if (n <= 0)
                strcpy(m->boot_id, "unknown");
        m->boot_id[strcspn(m->boot_id, "\n")] = '\0';
}

static int new_stages(struct pw_manager *m)
{
        struct pw_attribution_roots roots = {m->proc_fd, m->root_fd, m->etc_fd, m->cgroup_fd};
        int r = pw_sockdiag_open(m->netns, &m->diag);

        if (r < 0) {
                manager_log(
                    m, PW_MESSAGE_STOPPED, LOG_ERR,
                    "Cannot ask the kernel for sockets (NETLINK_SOCK_DIAG): %s. Load the kernel "
                    "module inet_diag.",
                    strerror(-r));
                return r;
        }
        r = pw_attribution_new(roots, &m->attribution);
        if (r == 0)
                r = pw_tracker_new(m->ephemeral, m->config.ephemeral_dwell_usec, &m->tracker);
        if (r == 0)
                r = pw_listeners_new(&m->listeners);
        if (r == 0)
                r = pw_limit_new(JOURNAL_ALERTS_PER_MINUTE, PW_USEC_PER_MINUTE, &m->alert_limit);
        if (r == 0)
                r = pw_limit_new(ROWS_PER_HOUR, PW_USEC_PER_HOUR, &m->row_limit);
        (void)pw_services_load(m->etc_fd, &m->services); /* only adds names */
        return r;
}

static int new_timers(struct pw_manager *m)
{
        size_t n = 1; /* the state directory, with the baseline */
        int r;

        while (m->options.rules_dirs[n - 1])
                n++;
        m->watches = calloc(n, sizeof(sd_event_source *));
        if (!m->watches)
                return -ENOMEM;
        m->n_watches = n;
        r = sd_event_add_time(m->event, &m->poll_timer, CLOCK_BOOTTIME, 0, PW_USEC_PER_MSEC,
                              on_poll, m);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->chore_timer, CLOCK_BOOTTIME, 0,
                                      PW_USEC_PER_MSEC, on_chores, m);
        return r < 0 ? r : 0;
}

static void say_status(struct pw_manager *m)
{
        struct pw_status *status = &m->status;

        snprintf(status->version, sizeof status->version, "%s", PORTWATCH_VERSION);
        strcpy(status->engine, "polling");
        status->pid = getpid();
        status->started_usec = pw_now_realtime();
        snprintf(status->store_path, sizeof status->store_path, "%s/%s", m->options.state_dir,
                 PW_STORE_FILE);
}

static int set_up(struct pw_manager *m)
{
        int r = open_journal(m);

        if (r == 0)
                r = open_dirs(m);
        if (r == 0)
                r = take_lock(m);
        if (r < 0)
                return r;
        r = pw_config_load(m->options.config_path, &m->config, on_config_warning, m);
        if (r < 0)
                manager_log(m, PW_MESSAGE_SETTINGS_REFUSED, LOG_WARNING,
                            "Cannot read %s: %s. The defaults are used.", m->options.config_path,
                            strerror(-r));
        m->interval_usec = m->config.poll_interval_usec;
        m->credit_since_usec = pw_now_boottime();
        m->credit_nsec = most_credit(m); /* the first look costs more than the others */
        read_host(m);
        say_status(m);
        r = new_stages(m);
        if (r == 0)
                r = new_timers(m);
        if (r == 0)
                r = manager_rules_init(m);
        if (r == 0)
                r = manager_learn_init(m);
        if (r == 0)
                r = manager_store_open(m);
        if (r == 0)
                r = manager_watch_rules(m);
        return r;
}

int pw_manager_new(const struct pw_options *options, struct pw_manager **ret)
{
        _cleanup_(pw_manager_freep) struct pw_manager *m = calloc(1, sizeof *m);
        int r;

        if (!m)
                return -ENOMEM;
        m->options = *options;
        m->config = pw_config_default;
        m->state_fd = m->run_fd = m->lock_fd = -EBADF;
        m->proc_fd = m->root_fd = m->etc_fd = m->cgroup_fd = -EBADF;
        for (size_t i = 0; i < CHORE_COUNT; i++)
                m->due[i] = PW_USEC_INFINITY;
        r = sd_event_default(&m->event);
        if (r >= 0)
                r = sd_event_set_watchdog(m->event, true);
        if (r >= 0)
                r = add_signals(m);
        if (r >= 0)
                r = set_up(m);
        if (r < 0)
                return r;
        *ret = PW_TAKE_PTR(m);
        return 0;
}

int pw_manager_run(struct pw_manager *m)
{
        int r;

        manager_log(m, PW_MESSAGE_STARTED, LOG_INFO, "portwatchd %s watches, %zu rules in force.",
                    PORTWATCH_VERSION, pw_policy_count(m->policy));
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

static void free_dirs(struct pw_manager *m)
{
        int *fds[] = {&m->state_fd, &m->run_fd, &m->lock_fd,  &m->proc_fd,
                      &m->root_fd,  &m->etc_fd, &m->cgroup_fd};

        for (size_t i = 0; i < PW_ELEMENTS(fds); i++)
                pw_closep(fds[i]);
}

void pw_manager_free(struct pw_manager *m)
{
        if (!m)
                return;
        for (size_t i = 0; i < m->n_watches; i++)
                sd_event_source_disable_unref(m->watches[i]);
        free(m->watches);
        sd_event_source_disable_unref(m->poll_timer);
        sd_event_source_disable_unref(m->chore_timer);
        pw_bus_free(m->bus);
        sd_event_unref(m->event);
        pw_journal_free(m->journal);
        pw_writes_done(&m->writes);
        pw_records_done(&m->alerts);
        pw_records_done(&m->recounts);
        pw_store_close(m->store);
        for (size_t i = 0; i < LOOK_COUNT; i++) {
                pw_snapshot_done(&m->looks[i].now);
                pw_snapshot_done(&m->looks[i].before);
        }
        free(m->unknown);
        free(m->required);
        free(m->baseline_path);
        free(m->baseline_text);
        pw_limit_free(m->alert_limit);
        pw_limit_free(m->row_limit);
        pw_policy_free(m->policy);
        pw_listeners_free(m->listeners);
        pw_services_free(m->services);
        pw_tracker_free(m->tracker);
        pw_attribution_free(m->attribution);
        pw_sockdiag_close(m->diag);
        free_dirs(m);
        free(m);
}
