/* SPDX-License-Identifier: MIT */
/* What verbs share: messages, filters, the way to history, rules and daemon. */

#include "ctl/ctl.h"

#include <portwatch/paths.h>
#include <portwatch/store.h>
#include <portwatch/text.h>

#include <pwd.h>
#include <stdarg.h>
#include <unistd.h>

/* ---- messages ---- */

static void _printf_(1, 0) say(const char *format, va_list arguments)
{
        _cleanup_(pw_freep) char *raw = NULL;
        char clean[4096];

        if (vasprintf(&raw, format, arguments) < 0)
                return;
        pw_text_clean(clean, sizeof clean, raw, strlen(raw));
        fprintf(stderr, "portwatchctl: %s\n", clean);
}

int pw_ctl_fail(int code, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        say(format, arguments);
        va_end(arguments);
        return code;
}

void pw_ctl_note(const struct pw_ctl *ctl, const char *format, ...)
{
        va_list arguments;

        if (ctl->quiet)
                return;
        va_start(arguments, format);
        say(format, arguments);
        va_end(arguments);
}

int pw_ctl_no_memory(void)
{
        return pw_ctl_fail(PW_EXIT_FAILED, "out of memory");
}

/* ---- words ---- */

int pw_ctl_filter(const struct pw_ctl *ctl, size_t first, struct pw_filter **ret)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        char error[512];
        int r = pw_filter_new(&filter);

        if (r == 0)
                pw_filter_set_services(filter, ctl->services);
        for (size_t i = first; r == 0 && i < ctl->n_words; i++)
                r = pw_filter_add(filter, ctl->words[i], error, sizeof error);
        if (r == -EINVAL)
                return pw_ctl_fail(PW_EXIT_USAGE, "%s", error);
        if (r < 0)
                return pw_ctl_no_memory();
        *ret = PW_TAKE_PTR(filter);
        return 0;
}

int pw_ctl_time(const struct pw_ctl *ctl, const char *option, const char *text, uint64_t *ret)
{
        if (pw_parse_time(text, ctl->now_usec, ret) < 0)
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "%s: '%s' is not a time; expected one like 2026-11-24, "
                                   "\"2026-11-24 10:00\", yesterday or -1h",
                                   option, text);
        return 0;
}

int pw_ctl_past_time(const struct pw_ctl *ctl, const char *option, const char *text, uint64_t *ret)
{
        int code = pw_ctl_time(ctl, option, text, ret);

        if (code == 0 && *ret > ctl->now_usec)
                return pw_ctl_fail(PW_EXIT_USAGE, "%s: '%s' is in the future", option, text);
        return code;
}

void pw_ctl_note_words(const struct pw_ctl *ctl)
{
        uint64_t uid;

        for (size_t i = 0; i < ctl->n_words; i++) {
                const char *word = ctl->words[i], *value = strchr(word, '=');

                if (!value || strpbrk(++value, "*?["))
                        continue;
                if (strncmp(word, "unit=", 5) == 0 && !strchr(value, '.'))
                        pw_ctl_note(ctl, "no unit is called '%s'; did you mean: unit=%s.service",
                                    value, value);
                else if (strncmp(word, "user=", 5) == 0 && !getpwnam(value) &&
                         pw_parse_number(value, 0, UINT32_MAX, &uid) < 0)
                        pw_ctl_note(ctl, "this host has no user '%s'", value);
        }
}

static bool is_harmless(const char *word)
{
        return word[0] != '\0' && word[0] != '-' &&
               word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "@%+=:,./_-")] == '\0';
}

char *pw_shell_quote(char *buffer, size_t size, const char *word)
{
        size_t used = 0;

        if (is_harmless(word)) {
                snprintf(buffer, size, "%s", word);
                return buffer;
        }
        buffer[used++] = '\'';
        for (; *word && used + 6 < size; word++) {
                if (*word == '\'') {
                        memcpy(buffer + used, "'\\''", 4);
                        used += 4;
                } else {
                        buffer[used++] = *word;
                }
        }
        buffer[used++] = '\'';
        buffer[used] = '\0';
        return buffer;
}

/* ---- the history ---- */

int pw_ctl_query_failed(const struct pw_ctl *ctl, int error)
{
        if (error == -ENOMEM)
                return pw_ctl_no_memory();
        if (error == -EBUSY)
                return pw_ctl_fail(PW_EXIT_FAILED, "the history is locked; try again");
        if (error == -EBADMSG)
                return pw_ctl_fail(PW_EXIT_FAILED,
                                   "%s/%s is damaged, or no history of portwatch: portwatchd moves "
                                   "it aside and begins a new one when it starts again",
                                   ctl->state_dir, PW_STORE_FILE);
        return pw_ctl_fail(PW_EXIT_FAILED, "%s/%s cannot be read: %s", ctl->state_dir,
                           PW_STORE_FILE, strerror(-error));
}

int pw_ctl_query(const struct pw_ctl *ctl, struct pw_query **ret)
{
        int schema = 0, r = pw_query_open(ctl->state_dir, ret, &schema);

        if (r == -ENOENT || r == -ENOTDIR)
                return pw_ctl_fail(PW_EXIT_FAILED,
                                   "no history in %s: start the daemon (%s), or look without it: "
                                   "portwatchctl scan",
                                   ctl->state_dir, pw_ctl_start_command());
        if (r == -EACCES || r == -EPERM)
                return pw_ctl_fail(PW_EXIT_NOT_PERMITTED,
                                   "may not read the history in %s; join its readers: sudo usermod "
                                   "-aG portwatch USER, and log in again; or use sudo; "
                                   "portwatchctl scan works without",
                                   ctl->state_dir);
        if (r == -EPROTO && schema < PW_STORE_SCHEMA)
                return pw_ctl_fail(
                    PW_EXIT_FAILED,
                    "the history in %s is of an earlier version (schema %d); the "
                    "daemon of this version (%s) brings it up to date: start it (%s)",
                    ctl->state_dir, schema, PORTWATCH_VERSION, pw_ctl_start_command());
        if (r == -EPROTO)
                return pw_ctl_fail(
                    PW_EXIT_FAILED,
                    "the history in %s has schema %d, this portwatchctl (version %s) "
                    "reads another; install the daemon's version",
                    ctl->state_dir, schema, PORTWATCH_VERSION);
        return r < 0 ? pw_ctl_query_failed(ctl, r) : 0;
}

const char *pw_ctl_show_command(const struct pw_ctl *ctl)
{
        char path[PATH_MAX];
        int r = snprintf(path, sizeof path, "%s/%s", ctl->state_dir, PW_STORE_FILE);

        if (r > 0 && (size_t)r < sizeof path && access(path, R_OK) < 0 && errno == EACCES)
                return "sudo portwatchctl show";
        return "portwatchctl show";
}

/* ---- the daemon ---- */

bool pw_ctl_daemon(const struct pw_ctl *ctl, struct pw_status *ret)
{
        bool alive = false;

        if (pw_status_read(ctl->run_dir, ret, &alive) < 0) {
                *ret = (struct pw_status){0};
                return false;
        }
        return alive;
}

/* The status is rewritten once a minute while nothing changes; half a minute is for a busy host. */
#define PATIENCE_USEC (90 * PW_USEC_PER_SEC)

bool pw_ctl_daemon_is_silent(const struct pw_ctl *ctl, const struct pw_status *status)
{
        uint64_t seen = status->last_poll_usec;

        if (seen == 0 || status->written_usec < seen)
                seen = status->written_usec;
        return ctl->now_usec > seen && ctl->now_usec - seen > PATIENCE_USEC + status->interval_usec;
}

void pw_ctl_note_refused(const struct pw_ctl *ctl, const struct pw_status *status)
{
        if (status->rules_error[0])
                pw_ctl_note(ctl, "portwatchd refused the rules, %s: %s; see portwatchctl check",
                            status->rules > 0 ? "those from before are in force"
                                              : "none is in force",
                            status->rules_error);
}

static bool under_systemd(void)
{
        return access("/run/systemd/system", F_OK) == 0;
}

const char *pw_ctl_start_command(void)
{
        return under_systemd() ? "systemctl start portwatchd"
                               : "setsid portwatchd --log=stderr 2>>/var/log/portwatchd.log &";
}

const char *pw_ctl_log_command(void)
{
        return under_systemd() ? "journalctl -u portwatchd" : "tail /var/log/portwatchd.log";
}

/* ---- the rules ---- */

struct pw_policy_paths pw_ctl_policy_paths(const struct pw_ctl *ctl)
{
        return (struct pw_policy_paths){ctl->rules_dirs, ctl->baseline};
}

int pw_ctl_policy(const struct pw_ctl *ctl, struct pw_policy **ret, struct pw_refusals *refusals)
{
        struct pw_policy_paths paths = pw_ctl_policy_paths(ctl);
        int r = pw_policy_load(&paths, ctl->services, ret, refusals);

        if (r < 0)
                return pw_ctl_no_memory();
        if (r > 0)
                *ret = NULL;
        return 0;
}

bool pw_ctl_not_permitted(const char *refusal)
{
        const char *end = strerror(EACCES);
        size_t length = strlen(refusal);

        return length > strlen(end) && strcmp(refusal + length - strlen(end), end) == 0;
}

int pw_ctl_rules_refused(const struct pw_refusals *refusals)
{
        const char *first = refusals->n > 0 ? refusals->items[0] : "no rules";

        if (pw_ctl_not_permitted(first))
                return pw_ctl_fail(PW_EXIT_NOT_PERMITTED,
                                   "%s; join the readers: sudo usermod -aG portwatch USER, and log "
                                   "in again; or use sudo",
                                   first);
        return pw_ctl_fail(PW_EXIT_FAILED, "%s", first);
}

/* Whether a verdict rests on an owner whom nobody looked for, or nobody may see. */
static bool is_guess(const struct pw_record *record)
{
        return record->verdict == PW_UNEXPECTED && (record->owner->unknown == PW_UNKNOWN_HIDDEN ||
                                                    record->owner->unknown == PW_UNKNOWN_NOT_ASKED);
}

int pw_ctl_judge(const struct pw_ctl *ctl, const struct pw_policy *policy,
                 struct pw_records *records)
{
        for (size_t i = 0; i < records->n; i++) {
                struct pw_record *record = records->items[i];
                struct pw_ruling ruling = pw_policy_judge(policy, record, ctl->now_usec);

                record->verdict = ruling.verdict;
                if (is_guess(record))
                        record->verdict = PW_UNJUDGED;
                if (pw_shared_set(&record->rule, ruling.rule) < 0)
                        return -ENOMEM;
        }
        return 0;
}

void pw_ctl_keep(struct pw_records *records,
                 bool (*keep)(const struct pw_record *record, const void *userdata),
                 const void *userdata)
{
        size_t kept = 0;

        for (size_t i = 0; i < records->n; i++) {
                if (keep(records->items[i], userdata))
                        records->items[kept++] = records->items[i];
                else
                        pw_record_unref(records->items[i]);
        }
        records->n = kept;
}

bool pw_ctl_matches(const struct pw_record *record, const void *userdata)
{
        return pw_filter_match(userdata, record);
}
