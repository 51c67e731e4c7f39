/* SPDX-License-Identifier: MIT */
/* status: how the daemon is. One line a fact, and of blind spots also what would lift them. */

#include "ctl/ctl.h"
#include "ctl/terminal.h"

#include <portwatch/paths.h>
#include <portwatch/text.h>

#include <json-c/json.h>

static double per(uint64_t sum, uint64_t n)
{
        return n > 0 ? (double)sum / (double)n : 0.0;
}

static char *format_ago(char *buffer, size_t size, uint64_t then_usec, uint64_t now_usec)
{
        char span[PW_SPAN_MAX];

        if (then_usec == 0)
                snprintf(buffer, size, "never");
        else
                snprintf(buffer, size, "%s ago",
                         pw_format_age(span, sizeof span,
                                       now_usec > then_usec ? now_usec - then_usec : 0));
        return buffer;
}

static void print_polls(const struct pw_ctl *ctl, const struct pw_status *status)
{
        const char *micro = ctl->ascii ? "us" : "µs";
        char interval[PW_SPAN_MAX], ago[PW_SPAN_MAX + 8];

        printf("Engine    %s; all sockets are looked at %s%s\n", status->engine,
               status->interval_usec > 0 ? "every " : "without a pause",
               status->interval_usec > 0
                   ? pw_format_span(interval, sizeof interval, status->interval_usec)
                   : "");
        if (status->events_missed > 0)
                printf("Missed    %llu event%s; all sockets were looked at instead\n",
                       (unsigned long long)status->events_missed, pw_plural(status->events_missed));
        printf("Last look %s; %llu look%s, %llu of them unchanged, %llu incomplete\n",
               format_ago(ago, sizeof ago, status->last_poll_usec, ctl->now_usec),
               (unsigned long long)status->polls, pw_plural(status->polls),
               (unsigned long long)status->unchanged_polls,
               (unsigned long long)status->incomplete_polls);
        printf("Cost      %.0f %s CPU a look", per(status->poll_cpu_usec, status->polls), micro);
        if (status->unchanged_polls > 0)
                printf(", %.1f %s an unchanged one",
                       per(status->unchanged_cpu_nsec, status->unchanged_polls) / 1000.0, micro);
        putchar('\n');
}

static void print_rules(const struct pw_status *status)
{
        char text[sizeof status->rules_error + 64];

        if (!status->rules_error[0]) {
                printf("Rules     %llu\n", (unsigned long long)status->rules);
                return;
        }
        if (status->rules > 0)
                snprintf(text, sizeof text, "%llu in force, new ones refused: %s",
                         (unsigned long long)status->rules, status->rules_error);
        else
                snprintf(text, sizeof text, "none in force, refused: %s", status->rules_error);
        pw_print_wrapped("Rules", 10, text);
        pw_print_wrapped("", 10, "see portwatchctl check");
}

static void print_store(const struct pw_status *status)
{
        char bytes[PW_SIZE_MAX];

        printf("History   %s; %s, %s\n", status->store_state, status->store_path,
               pw_format_size(bytes, sizeof bytes, status->store_bytes));
        if (status->writes_waiting > 0 || status->journal_waiting > 0)
                printf("Waiting   %llu write%s to the history, %llu message%s for the journal\n",
                       (unsigned long long)status->writes_waiting,
                       pw_plural(status->writes_waiting),
                       (unsigned long long)status->journal_waiting,
                       pw_plural(status->journal_waiting));
}

static void print_losses(const struct pw_status *status)
{
        if (status->events_lost + status->alerts_suppressed + status->rows_folded > 0)
                printf("Limits    %llu event%s lost, %llu alert%s summed up, %llu row%s folded\n",
                       (unsigned long long)status->events_lost, pw_plural(status->events_lost),
                       (unsigned long long)status->alerts_suppressed,
                       pw_plural(status->alerts_suppressed),
                       (unsigned long long)status->rows_folded, pw_plural(status->rows_folded));
        for (size_t i = 0; i < status->n_blind_spots; i++) {
                const struct pw_blind_spot *spot = &status->blind_spots[i];

                pw_print_wrapped(i == 0 ? "Blind to" : "", 10, spot->what);
                if (spot->lift[0])
                        pw_print_wrapped("", 12, spot->lift);
        }
}

static void print_next_steps(void)
{
        printf("Start it  %s\nIts log   %s\n", pw_ctl_start_command(), pw_ctl_log_command());
}

static void print_text(const struct pw_ctl *ctl, const struct pw_status *status, bool alive)
{
        char age[PW_SPAN_MAX + 8], rss[PW_SIZE_MAX];

        if (alive)
                printf("portwatchd %s is running (pid %d), started %s, %s of memory\n",
                       status->version, (int)status->pid,
                       format_ago(age, sizeof age, status->started_usec, ctl->now_usec),
                       pw_format_size(rss, sizeof rss, status->rss_bytes));
        else
                printf("portwatchd %s is not running; last sign %s\n", status->version,
                       format_ago(age, sizeof age, status->written_usec, ctl->now_usec));
        if (!alive)
                print_next_steps();
        else if (pw_ctl_daemon_is_silent(ctl, status))
                printf("Hangs     or its looks fail; its log: %s\n", pw_ctl_log_command());
        printf("Open      %llu listener%s on %llu socket%s, %llu unexpected, %llu open alert%s\n",
               (unsigned long long)status->listeners, pw_plural(status->listeners),
               (unsigned long long)status->sockets, pw_plural(status->sockets),
               (unsigned long long)status->unexpected, (unsigned long long)status->alerts_open,
               pw_plural(status->alerts_open));
        print_polls(ctl, status);
        print_rules(status);
        print_store(status);
        print_losses(status);
}

/* ---- JSON ---- */

static struct json_object *blind_spots_json(const struct pw_status *status)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; array && i < status->n_blind_spots; i++) {
                struct json_object *item = json_object_new_object();

                if (!item)
                        break;
                json_object_object_add(item, "what",
                                       json_object_new_string(status->blind_spots[i].what));
                json_object_object_add(item, "lift",
                                       json_object_new_string(status->blind_spots[i].lift));
                json_object_array_add(array, item);
        }
        return array;
}

static struct json_object *store_json(const struct pw_status *status)
{
        struct json_object *store = json_object_new_object();

        if (!store)
                return NULL;
        json_object_object_add(store, "path", json_object_new_string(status->store_path));
        json_object_object_add(store, "bytes", json_object_new_uint64(status->store_bytes));
        json_object_object_add(store, "wal_bytes", json_object_new_uint64(status->store_wal_bytes));
        json_object_object_add(store, "state", json_object_new_string(status->store_state));
        return store;
}

static int print_json(const struct pw_ctl *ctl, const struct pw_status *status, bool alive)
{
        const struct {
                const char *key;
                uint64_t number;
        } numbers[] = {
            {"interval_usec", status->interval_usec},
            {"polls", status->polls},
            {"unchanged_polls", status->unchanged_polls},
            {"incomplete_polls", status->incomplete_polls},
            {"poll_cpu_usec", status->poll_cpu_usec},
            {"poll_wall_usec", status->poll_wall_usec},
            {"others_cpu_nsec", status->others_cpu_nsec},
            {"unchanged_cpu_nsec", status->unchanged_cpu_nsec},
            {"proc_reads", status->proc_reads},
            {"db_writes", status->db_writes},
            {"rss_bytes", status->rss_bytes},
            {"sockets", status->sockets},
            {"listeners", status->listeners},
            {"unexpected", status->unexpected},
            {"alerts_open", status->alerts_open},
            {"events_missed", status->events_missed},
            {"events_lost", status->events_lost},
            {"alerts_suppressed", status->alerts_suppressed},
            {"rows_folded", status->rows_folded},
            {"writes_waiting", status->writes_waiting},
            {"journal_waiting", status->journal_waiting},
            {"rules", status->rules},
        };
        struct json_object *object = pw_json_new();

        if (!object)
                return pw_ctl_no_memory();
        json_object_object_add(object, "alive", json_object_new_boolean(alive));
        json_object_object_add(object, "version", json_object_new_string(status->version));
        json_object_object_add(object, "pid", json_object_new_int(status->pid));
        json_object_object_add(object, "started", pw_time_json(status->started_usec));
        json_object_object_add(object, "written", pw_time_json(status->written_usec));
        json_object_object_add(object, "last_poll", pw_time_json(status->last_poll_usec));
        json_object_object_add(object, "engine", json_object_new_string(status->engine));
        for (size_t i = 0; i < PW_ELEMENTS(numbers); i++)
                json_object_object_add(object, numbers[i].key,
                                       json_object_new_uint64(numbers[i].number));
        json_object_object_add(object, "rules_error",
                               status->rules_error[0] ? json_object_new_string(status->rules_error)
                                                      : NULL);
        json_object_object_add(object, "store", store_json(status));
        json_object_object_add(object, "blind_spots", blind_spots_json(status));
        pw_json_print(stdout, object, ctl->json == PW_JSON_PRETTY);
        return 0;
}

int pw_ctl_status(struct pw_ctl *ctl)
{
        struct pw_status status;
        bool alive = false;
        int code = 0, r = pw_status_read(ctl->run_dir, &status, &alive);

        if (r == -EACCES)
                return pw_ctl_fail(PW_EXIT_NOT_PERMITTED, "may not read %s/%s", ctl->run_dir,
                                   PW_STATUS_FILE);
        if (r < 0 && r != -ENOENT && !alive)
                return pw_ctl_fail(PW_EXIT_FAILED, "%s/%s cannot be read: %s", ctl->run_dir,
                                   PW_STATUS_FILE, strerror(-r));
        if (r < 0)
                status = (struct pw_status){0};
        if (ctl->json != PW_JSON_OFF)
                code = print_json(ctl, &status, alive);
        else if (r == -ENOENT)
                printf("portwatchd has never run here. Start it: %s\n", pw_ctl_start_command());
        else
                print_text(ctl, &status, alive);
        if (code != 0)
                return code;
        return alive && !pw_ctl_daemon_is_silent(ctl, &status) ? PW_EXIT_DONE : PW_EXIT_FAILED;
}
