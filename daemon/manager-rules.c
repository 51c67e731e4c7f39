/* SPDX-License-Identifier: MIT */
/* The rules in force: read at start, again on SIGHUP and when a file changes; the baseline, written
 * once; the ports that rules require.
 *
 * Invariant: m->policy is always a whole, accepted set of rules. A set with a refused line changes
 * nothing but the message that says so. */

#include "daemon/manager-internal.h"

#include <portwatch/paths.h>

#include <sys/inotify.h>
#include <syslog.h>
#include <unistd.h>

#define RELOAD_DEBOUNCE_USEC (200 * PW_USEC_PER_MSEC)
#define WATCH_MASK                                                                                 \
        (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |   \
         IN_MOVE_SELF | IN_ONLYDIR)

/* ---- loading ---- */

/* The learned rules, where their file could not be written. */
static int add_unwritten_baseline(struct pw_manager *m, struct pw_policy *policy)
{
        struct pw_refusals refusals = {0};
        int r;

        if (!m->baseline_text || access(m->baseline_path, F_OK) == 0)
                return 0;
        r = pw_policy_parse(policy, "baseline", m->baseline_text, strlen(m->baseline_text),
                            m->services, &refusals);
        pw_refusals_done(&refusals);
        return r < 0 ? r : 0;
}

static void say_refused(struct pw_manager *m, const struct pw_refusals *refusals)
{
        const char *in_force = m->policy && pw_policy_count(m->policy) > 0
                                   ? ". The old rules stay in force."
                                   : ". No rule is in force until that is mended.";
        size_t told = PW_MIN(refusals->n, (size_t)10);

        for (size_t i = 0; i < told; i++)
                manager_log(m, PW_MESSAGE_RULES_REFUSED, LOG_ERR, "%s%s", refusals->items[i],
                            i == 0 ? in_force : "");
        if (refusals->total > told)
                manager_log(m, PW_MESSAGE_RULES_REFUSED, LOG_ERR,
                            "%zu more lines were refused. All of them: portwatchctl check",
                            refusals->total - told);
        snprintf(m->rules_error, sizeof m->rules_error, "%s",
                 refusals->n > 0 ? refusals->items[0] : "rules refused");
}

/* 0: `*ret` is a new policy. 1: refused, and said so. */
static int load(struct pw_manager *m, struct pw_policy **ret)
{
        const struct pw_policy_paths paths = {m->options.rules_dirs, m->baseline_path};
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        struct pw_refusals refusals = {0};
        int r = pw_policy_load(&paths, m->services, &policy, &refusals);

        if (r > 0)
                say_refused(m, &refusals);
        pw_refusals_done(&refusals);
        if (r == 0)
                r = add_unwritten_baseline(m, policy);
        if (r != 0)
                return r;
        m->rules_error[0] = '\0';
        *ret = PW_TAKE_PTR(policy);
        return 0;
}

static int require_ports(struct pw_manager *m);

/* `until=` is wall-clock time, chores go by the boot clock; looking again each hour follows a clock
 * that was set. */
static void schedule_next_end(struct pw_manager *m)
{
        uint64_t now_usec = pw_now_realtime();
        uint64_t end_usec = pw_policy_next_end(m->policy, now_usec);

        m->due[CHORE_RULE_ENDS] = PW_USEC_INFINITY;
        if (end_usec != PW_USEC_INFINITY)
                manager_schedule(m, CHORE_RULE_ENDS,
                                 pw_now_boottime() + PW_MIN(end_usec - now_usec, PW_USEC_PER_HOUR));
}

static int adopt(struct pw_manager *m, struct pw_policy *policy)
{
        pw_policy_free(m->policy);
        m->policy = policy;
        m->status.rules = pw_policy_count(policy);
        schedule_next_end(m);
        return require_ports(m);
}

int manager_rules_init(struct pw_manager *m)
{
        struct pw_policy *policy = NULL;
        int r;

        m->baseline_path = manager_path(m->options.state_dir, PW_BASELINE_FILE);
        if (!m->baseline_path)
                return -ENOMEM;
        m->learning = access(m->baseline_path, F_OK) < 0 && errno == ENOENT;
        r = load(m, &policy);
        if (r >
            0) /* at a start there are no old rules: nothing is expected until they are mended */
                r = pw_policy_new(&policy);
        return r < 0 ? r : adopt(m, policy);
}

/* A rule with `until=` has ended: what it allowed is judged anew. */
int manager_rule_ended(struct pw_manager *m)
{
        int r;

        schedule_next_end(m);
        r = require_ports(m);
        if (r == 0 && m->ready)
                r = manager_rejudge(m);
        return r < 0 ? r : manager_commit(m);
}

int manager_reload(struct pw_manager *m)
{
        struct pw_policy *policy = NULL;
        int r = manager_watch_rules(m);

        if (r == 0)
                r = load(m, &policy);
        manager_schedule(m, CHORE_STATUS, pw_now_boottime());
        if (r != 0)
                return r < 0 ? r : 0;
        r = adopt(m, policy);
        if (r < 0)
                return r;
        manager_log(m, PW_MESSAGE_RULES_LOADED, LOG_NOTICE, "Rules were read again: %zu in force.",
                    pw_policy_count(m->policy));
        if (!m->ready)
                return 0;
        r = manager_rejudge(m);
        return r < 0 ? r : manager_commit(m);
}

static int on_rules_changed(sd_event_source *source, const struct inotify_event *event,
                            void *userdata)
{
        struct pw_manager *m = userdata;
        bool gone = event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT);
        const char *dot = event->len > 0 ? strrchr(event->name, '.') : NULL;

        /* Another directory may take its place: the reload looks for it. */
        for (size_t i = 0; gone && i < m->n_watches; i++)
                if (m->watches[i] == source)
                        m->watches[i] = sd_event_source_disable_unref(source);
        if (m->wrote_baseline && event->len > 0 && strcmp(event->name, PW_BASELINE_FILE) == 0) {
                m->wrote_baseline = false; /* this file is in force already */
                return 0;
        }
        if (event->len == 0 || (dot && strcmp(dot, ".rules") == 0))
                return manager_schedule_now(m, CHORE_RELOAD,
                                            pw_now_boottime() + RELOAD_DEBOUNCE_USEC);
        return 0;
}

static int watch(struct pw_manager *m, const char *dir, sd_event_source **source)
{
        int r;

        if (*source)
                return 0;
        r = sd_event_add_inotify(m->event, source, dir, WATCH_MASK, on_rules_changed, m);
        if (r >= 0 && m->ready)
                manager_schedule(m, CHORE_RELOAD, pw_now_boottime());
        return r == -ENOMEM ? r : 0;
}

/* Watches the directories that are there, that of the baseline among them; called again once a
 * minute for those that are not. */
int manager_watch_rules(struct pw_manager *m)
{
        int r = watch(m, m->options.state_dir, &m->watches[m->n_watches - 1]);

        for (size_t i = 0; r == 0 && m->options.rules_dirs[i]; i++)
                r = watch(m, m->options.rules_dirs[i], &m->watches[i]);
        return r;
}

/* ---- the baseline ---- */

static int gather(struct pw_manager *m, struct pw_records *records)
{
        for (size_t i = 0; i < pw_listeners_count(m->listeners); i++) {
                struct pw_listener *listener = pw_listeners_item(m->listeners, i);
                struct pw_record *record = listener->fresh ? listener->fresh : listener->record;
                int r = 0;

                if (listener->sockets > 0)
                        r = pw_records_add(records, pw_record_ref(record));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int keep_unwritten(struct pw_manager *m, const struct pw_records *records, int error)
{
        size_t learned, left_out;

        m->baseline_text = pw_baseline_text(records, pw_now_realtime(), &learned, &left_out);
        if (!m->baseline_text)
                return -ENOMEM;
        manager_log(
            m, PW_MESSAGE_BASELINE_WRITTEN, LOG_WARNING,
            "Baseline of %zu listener%s is in force, but could not be written to %s: %s. It will "
            "be learned anew at the next start.",
            learned, pw_plural(learned), m->baseline_path, strerror(error));
        return 0;
}

int manager_learn(struct pw_manager *m)
{
        struct pw_records records = {0};
        struct pw_policy *policy = NULL;
        size_t learned = 0, left_out = 0;
        int r = gather(m, &records);

        if (r == 0) {
                r = pw_baseline_write(m->baseline_path, &records, pw_now_realtime(), &learned,
                                      &left_out);
                if (r < 0 && r != -ENOMEM && r != -EEXIST)
                        r = keep_unwritten(m, &records, -r);
                m->wrote_baseline = r == 0;
                if (r == 0)
                        manager_log(
                            m, PW_MESSAGE_BASELINE_WRITTEN, LOG_NOTICE,
                            "First start: %zu listener%s open now, written to %s as expected; %zu "
                            "left out. Check them: portwatchctl list",
                            learned, pw_plural(learned), m->baseline_path, left_out);
        }
        pw_records_done(&records);
        if (r == -ENOMEM)
                return r;
        m->learning = m->booting = false;
        r = load(m, &policy);
        if (r == 0)
                r = adopt(m, policy);
        if (r < 0)
                return r;
        return m->ready ? manager_rejudge(m) : 0;
}

/* ---- required ports ---- */

static struct pw_record *required_record(struct pw_manager *m, const struct pw_rule_info *rule,
                                         uint16_t port)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = pw_record_new();

        if (!record)
                return NULL;
        record->owner = pw_owner_new();
        if (!record->owner || pw_shared_set(&record->netns, PW_NETNS_HOST) < 0 ||
            pw_shared_set(&record->rule, rule->place) < 0)
                return NULL;
        record->owner->unknown = PW_UNKNOWN_NOT_ASKED;
        record->protocol = rule->protocol ? rule->protocol : PW_TCP;
        record->port = port;
        record->address.family = AF_INET6;
        record->verdict = PW_EXPECTED;
        record->service = pw_services_name(m->services, record->protocol, port);
        if (pw_record_label(record, m->ephemeral) < 0)
                return NULL;
        pw_record_identify(record);
        return PW_TAKE_PTR(record);
}

static int require_port(struct pw_manager *m, size_t rule, const struct pw_rule_info *info,
                        uint16_t port, uint64_t now_usec)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = required_record(m, info, port);
        struct pw_listener *listener = record ? pw_listeners_get(m->listeners, record) : NULL;

        if (!listener || pw_array_reserve(&m->required, &m->required_capacity, m->n_required + 1,
                                          sizeof *m->required) < 0)
                return -ENOMEM;
        listener->required = true;
        if (listener->record != record && !pw_text_equal(listener->record->rule, record->rule)) {
                pw_record_copy_alert(record, listener->record);
                pw_record_unref(listener->record);
                listener->record = PW_TAKE_PTR(record);
        }
        m->required[m->n_required++] = (struct required_port){
            .listener = listener,
            .rule = rule,
            .grace_usec = info->grace_usec,
            .missing_since_usec = now_usec,
        };
        return 0;
}

/* What was missing before stays missing since then. */
static void inherit_missing(struct pw_manager *m, const struct required_port *before, size_t n)
{
        for (size_t i = 0; i < m->n_required; i++)
                for (size_t k = 0; k < n; k++)
                        if (m->required[i].listener == before[k].listener &&
                            before[k].missing_since_usec != PW_USEC_INFINITY)
                                m->required[i].missing_since_usec = before[k].missing_since_usec;
}

static int set_missing(struct pw_manager *m, struct pw_listener *listener, bool missing,
                       const char *over)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = pw_record_copy(listener->record);
        int r;

        if (!record)
                return -ENOMEM;
        r = manager_settle_alert(m, record, missing ? PW_REASON_REQUIRED_MISSING : 0, over);
        if (r < 0)
                return r;
        pw_record_unref(listener->record);
        listener->record = PW_TAKE_PTR(record);
        return 0;
}

static bool still_required(const struct pw_manager *m, const struct pw_listener *listener)
{
        for (size_t i = 0; i < m->n_required; i++)
                if (m->required[i].listener == listener)
                        return true;
        return false;
}

/* Rebuilds the list from the rules; alerts for ports that no rule requires any more are over. */
static int require_ports(struct pw_manager *m)
{
        _cleanup_(pw_freep) struct required_port *before = m->required;
        size_t n_before = m->n_required;
        int r = 0;

        m->required = NULL;
        m->n_required = m->required_capacity = 0;
        for (size_t i = 0; r == 0 && i < pw_policy_count(m->policy); i++) {
                struct pw_rule_info info = pw_policy_rule(m->policy, i);
                const uint16_t *ports = NULL;
                bool holds = info.require && info.until_usec > pw_now_realtime();
                size_t n = holds ? pw_policy_rule_ports(m->policy, i, &ports) : 0;

                for (size_t k = 0; r == 0 && k < n; k++)
                        r = require_port(m, i, &info, ports[k], pw_now_boottime());
        }
        if (r < 0)
                return r;
        inherit_missing(m, before, n_before);
        for (size_t i = 0; r == 0 && i < n_before; i++) {
                if (still_required(m, before[i].listener))
                        continue;
                before[i].listener->required = false;
                r = set_missing(m, before[i].listener, false, "no rule requires it any more");
        }
        return r;
}

static bool is_open(struct pw_manager *m, const struct required_port *required)
{
        struct pw_listener *listener =
            pw_listeners_on_port(m->listeners, required->listener->record->port);

        for (; listener; listener = listener->next_on_port) {
                const struct pw_record *record =
                    listener->fresh ? listener->fresh : listener->record;

                if (listener->sockets > 0 && !listener->required &&
                    pw_policy_rule_matches(m->policy, required->rule, record, pw_now_realtime()))
                        return true;
        }
        return false;
}

/* Whether the port of this rule has been missing for longer than its grace. */
static bool is_overdue(struct pw_manager *m, struct required_port *required, uint64_t now_usec)
{
        if (is_open(m, required)) {
                required->missing_since_usec = PW_USEC_INFINITY;
                return false;
        }
        if (required->missing_since_usec == PW_USEC_INFINITY)
                required->missing_since_usec = now_usec;
        /* A rule may have been read after this turn of the loop began. */
        if (now_usec >= required->missing_since_usec &&
            now_usec - required->missing_since_usec >= required->grace_usec)
                return true;
        manager_schedule(m, CHORE_REQUIRED, required->missing_since_usec + required->grace_usec);
        return false;
}

/* Several rules may require one port: it is missing while one of them misses it. */
int manager_check_required(struct pw_manager *m, uint64_t now_usec)
{
        int r = 0;

        if (!m->ready)
                return 0;
        for (size_t i = 0; i < m->n_required; i++)
                m->required[i].listener->missing = 0;
        for (size_t i = 0; i < m->n_required; i++)
                m->required[i].listener->missing += is_overdue(m, &m->required[i], now_usec);
        for (size_t i = 0; r == 0 && i < m->n_required; i++)
                r = set_missing(m, m->required[i].listener, m->required[i].listener->missing > 0,
                                "it is open");
        return r;
}
