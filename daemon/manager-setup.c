/* SPDX-License-Identifier: MIT */
/* Opens everything that watching needs, and frees it. What is missing and can be lived without is
 * told and left out; the rest ends the start with a sentence that says what to do. */

#include "daemon/manager-internal.h"

#include <portwatch/paths.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

char *manager_path(const char *dir, const char *name)
{
        char *path;

        return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static void on_config_warning(void *userdata, const char *sentence)
{
        manager_log(userdata, PW_MESSAGE_SETTINGS_REFUSED, LOG_WARNING, "%s", sentence);
}

/* systemd names the stream's device and inode (systemd.exec(5)); an inherited variable may be of
 * another stream. */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat stat;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &stat) == 0 && stat.st_dev == device && stat.st_ino == inode;
}

static int open_journal(struct pw_manager *m)
{
        bool journal = m->options.log == PW_LOG_JOURNAL;

        if (m->options.log == PW_LOG_AUTO)
                journal = stderr_is_journal();
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
        if (r == 0)
                m->cgroup_fd = pw_cgroup2_open();
        return r;
}

static int take_lock(struct pw_manager *m)
{
        m->lock_fd = pw_status_lock(m->run_fd);
        if (m->lock_fd == -EBUSY)
                manager_log(m, PW_MESSAGE_STOPPED, LOG_ERR,
                            "Another portwatchd runs already: it holds %s/%s.", m->options.run_dir,
                            PW_LOCK_FILE);
        else if (m->lock_fd < 0)
                manager_log(m, PW_MESSAGE_STOPPED, LOG_ERR, "Cannot take the lock %s/%s: %s.",
                            m->options.run_dir, PW_LOCK_FILE, strerror(-m->lock_fd));
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
                manager_list_by_engine(m);
        if (r == 0)
                r = pw_tracker_new(m->ephemeral, m->config.ephemeral_dwell_usec, &m->tracker);
        if (r == 0)
                r = pw_listeners_new(&m->listeners);
        if (r == 0)
                r = pw_limit_new(JOURNAL_ALERTS_PER_MINUTE, PW_USEC_PER_MINUTE, &m->alert_limit);
        if (r == 0)
                r = pw_limit_new(ROWS_PER_HOUR, PW_USEC_PER_HOUR, &m->row_limit);
        if (r == 0)
                r = manager_spaces_init(m);
        (void)pw_services_load(m->etc_fd, &m->services); /* only adds names */
        return r;
}

static int new_watches(struct pw_manager *m)
{
        m->n_watches = 1; /* the state directory, with the baseline */
        for (size_t i = 0; m->options.rules_dirs[i]; i++)
                m->n_watches++;
        m->watches = calloc(m->n_watches, sizeof(sd_event_source *));
        return m->watches ? 0 : -ENOMEM;
}

static void say_status(struct pw_manager *m)
{
        struct pw_status *status = &m->status;

        snprintf(status->version, sizeof status->version, "%s", PORTWATCH_VERSION);
        status->pid = getpid();
        status->started_usec = pw_now_realtime();
        snprintf(status->store_path, sizeof status->store_path, "%s/%s", m->options.state_dir,
                 PW_STORE_FILE);
}

/* The engine is open: nothing from here on takes what it took. */
static int drop_privileges(struct pw_manager *m)
{
        int r = pw_privileges_drop(m->engine && pw_engine_needs_cap_bpf(m->engine));

        if (r < 0)
                manager_log(m, PW_MESSAGE_STOPPED, LOG_ERR, "Cannot drop capabilities: %s.",
                            strerror(-r));
        return r;
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
        read_host(m);
        say_status(m);
        r = manager_engine_init(m);
        if (r == 0)
                r = drop_privileges(m);
        if (r == 0)
                r = new_stages(m);
        if (r == 0)
                r = new_watches(m);
        if (r == 0)
                r = manager_timers_init(m);
        if (r == 0)
                r = manager_rules_init(m);
        if (r == 0)
                r = manager_bus_init(m);
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
        m->soon_usec = PW_USEC_INFINITY;
        for (size_t i = 0; i < CHORE_COUNT; i++)
                m->due[i] = PW_USEC_INFINITY;
        r = manager_event_init(m);
        if (r >= 0)
                r = set_up(m);
        if (r < 0)
                return r;
        *ret = PW_TAKE_PTR(m);
        return 0;
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
        manager_engine_done(m);
        sd_event_unref(m->event);
        pw_journal_free(m->journal);
        pw_writes_done(&m->writes);
        for (size_t i = 0; i < m->n_entries; i++)
                pw_entry_free(m->entries[i]);
        free(m->entries);
        pw_store_close(m->store);
        for (size_t i = 0; i < LOOK_COUNT; i++) {
                pw_snapshot_done(&m->looks[i].now);
                pw_snapshot_done(&m->looks[i].before);
        }
        free(m->unknown);
        for (size_t i = 0; i < m->n_nameless; i++)
                pw_owner_unref(m->nameless[i].owner);
        free(m->nameless);
        free(m->required);
        free(m->baseline_path);
        free(m->baseline_text);
        pw_limit_free(m->alert_limit);
        pw_limit_free(m->row_limit);
        pw_policy_free(m->policy);
        pw_listeners_free(m->listeners);
        pw_services_free(m->services);
        pw_tracker_free(m->tracker);
        pw_namespaces_free(m->namespaces);
        pw_attribution_free(m->attribution);
        pw_sockdiag_close(m->diag);
        free_dirs(m);
        free(m);
}
