/* SPDX-License-Identifier: MIT */
/* allow, deny, require: one more rule in 50-local.rules; and baseline, which only prints some. The
 * daemon sees the changed file by itself. */

#include "ctl/ctl.h"
#include "ctl/doubts.h"
#include "ctl/live.h"
#include "ctl/view.h"

#include <portwatch/paths.h>
#include <portwatch/text.h>

#include <json-c/json.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct rule_line {
        char text[PW_RULE_TEXT_MAX];
        size_t length;
        bool full;
};

static void put(struct rule_line *line, const char *text, size_t length)
{
        if (line->length + length >= sizeof line->text) {
                line->full = true;
                return;
        }
        memcpy(line->text + line->length, text, length);
        line->length += length;
        line->text[line->length] = '\0';
}

/* A value as the rules' syntax wants it: the shell has taken away the quotes around spaces, unless
 * they were quoted themselves. */
static void put_value(struct rule_line *line, const char *value)
{
        if (value[0] == '"' || !strpbrk(value, " \t#\"")) {
                put(line, value, strlen(value));
                return;
        }
        put(line, "\"", 1);
        for (; *value; value++) {
                if (*value == '"' || *value == '\\')
                        put(line, "\\", 1);
                put(line, value, 1);
        }
        put(line, "\"", 1);
}

/* A process is known by the file that it runs, never by a link to it. */
static void put_exe(const struct pw_ctl *ctl, struct rule_line *line, const char *path)
{
        _cleanup_(pw_freep) char *target = strpbrk(path, "*?[\"") ? NULL : pw_link_target(path);

        if (!target || strpbrk(target, "*?[")) {
                put_value(line, path);
                return;
        }
        pw_ctl_note(ctl, "%s is a symbolic link: written as exe=%s, the file that runs", path,
                    target);
        put_value(line, target);
}

/* Words with a space in them are a rule in one word, taken as it is. */
static void put_word(const struct pw_ctl *ctl, struct rule_line *line, const char *word, bool first)
{
        const char *equals = strchr(word, '=');
        const char *space = strpbrk(word, " \t");
        const char *slash = first ? strchr(word, '/') : NULL;

        put(line, " ", 1);
        if (slash) {
                /* tcp/8080, as ports are written everywhere else */
                put(line, word, (size_t)(slash - word));
                put(line, " ", 1);
                put(line, slash + 1, strlen(slash + 1));
        } else if (equals && (!space || space > equals)) {
                put(line, word, (size_t)(equals - word) + 1);
                if (strncmp(word, "exe=", 4) == 0)
                        put_exe(ctl, line, equals + 1);
                else
                        put_value(line, equals + 1);
        } else {
                put(line, word, strlen(word));
        }
}

/* ---- the line ---- */

static int line_of_words(const struct pw_ctl *ctl, struct rule_line *line)
{
        const char *verb = pw_ctl_verb_name(ctl), *first = ctl->words[0];

        if (first[0] >= '0' && first[0] <= '9')
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "'%s': which protocol? Expected: portwatchctl %s tcp %s", first,
                                   verb, first);
        put(line, verb, strlen(verb));
        for (size_t i = 0; i < ctl->n_words; i++)
                put_word(ctl, line, ctl->words[i], i == 0 && !strchr(first, ' '));
        return 0;
}

static int line_of_alert(const struct pw_ctl *ctl, struct rule_line *line)
{
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_records_done) struct pw_records records = {0};
        const char *word = ctl->words[0];
        uint64_t number;
        int r;

        if (pw_parse_number(word + 1, 1, INT64_MAX, &number) < 0)
                return pw_ctl_fail(PW_EXIT_USAGE, "'%s' is not an alert; expected @ and its number",
                                   word);
        if (ctl->n_words > 1)
                return pw_ctl_fail(PW_EXIT_USAGE, "'%s': an alert's rule takes no other words",
                                   ctl->words[1]);
        r = pw_ctl_query(ctl, &query);
        if (r != 0)
                return r;
        r = pw_query_alert(query, (int64_t)number, &records);
        if (r < 0)
                return pw_ctl_query_failed(ctl, r);
        if (records.n == 0)
                return pw_ctl_fail(PW_EXIT_NOTHING, "there is no alert %s", word);
        r = pw_rule_format(records.items[0], pw_ctl_verb_name(ctl), line->text, sizeof line->text);
        if (r == -E2BIG)
                return pw_ctl_fail(PW_EXIT_FAILED,
                                   "no rule is made of %s: its names are too long for one", word);
        if (r != 0)
                return pw_ctl_fail(PW_EXIT_FAILED,
                                   "no rule is made of %s: %s; see portwatchctl show %s, and write "
                                   "the rule out if you are sure",
                                   word, pw_owner_obstacle(records.items[0]->owner), word);
        line->length = strlen(line->text);
        return 0;
}

/* A bare number would be seconds, which nobody means. */
static bool has_unit(const char *span)
{
        size_t length = strlen(span);

        while (length > 0 && span[length - 1] == ' ')
                length--;
        return length > 0 && (span[length - 1] < '0' || span[length - 1] > '9');
}

/* ` until=2026-11-24T18:00:00+01:00`: local time, with the zone, so that it means one moment. */
static int put_until(const struct pw_ctl *ctl, struct rule_line *line)
{
        char date[32], zone[8], text[64];
        uint64_t span, end;
        struct tm broken;
        time_t seconds;

        if (!ctl->lasting)
                return 0;
        if (!has_unit(ctl->lasting) || pw_parse_span(ctl->lasting, &span) < 0 ||
            span < PW_USEC_PER_SEC || span > 36500 * PW_USEC_PER_DAY)
                return pw_ctl_fail(
                    PW_EXIT_USAGE,
                    "--for: '%s': expected a time span with a unit, such as 8h or 30d",
                    ctl->lasting);
        end = ctl->now_usec + span;
        seconds = (time_t)(end / PW_USEC_PER_SEC);
        localtime_r(&seconds, &broken);
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &broken);
        strftime(zone, sizeof zone, "%z", &broken); /* +0100 */
        snprintf(text, sizeof text, " until=%s%.3s:%s", date, zone, zone + 3);
        put(line, text, strlen(text));
        return 0;
}

static void tell_doubt(void *userdata, const char *sentence)
{
        pw_ctl_note(userdata, "warning: %s", sentence);
}

/* The line by itself first: what is wrong with it is a matter of usage, what is wrong with other
 * rules is not. */
static int check_line(struct pw_ctl *ctl, const struct rule_line *line)
{
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        struct pw_rule_info info;
        int r;

        if (line->full)
                return pw_ctl_fail(PW_EXIT_USAGE, "the rule is too long; expected %d bytes at most",
                                   PW_RULE_TEXT_MAX - 1);
        r = pw_policy_new(&policy);
        if (r == 0)
                r = pw_policy_parse(policy, "rule", line->text, line->length, ctl->services,
                                    &refusals);
        if (r < 0)
                return pw_ctl_no_memory();
        if (refusals.n > 0)
                return pw_ctl_fail(PW_EXIT_USAGE, "'%s': column %s", line->text,
                                   refusals.items[0] + strlen("rule:1:"));
        if (pw_policy_count(policy) == 1) {
                info = pw_policy_rule(policy, 0);
                pw_doubt(info.exe, info.user, tell_doubt, ctl);
        }
        return 0;
}

/* ---- writing ---- */

static int print_answer_json(const struct pw_ctl *ctl, const struct rule_line *line,
                             const char *place, bool added)
{
        struct json_object *object = pw_json_new();
        const char *colon = strrchr(place, ':');
        size_t length = colon ? (size_t)(colon - place) : strlen(place);

        if (!object)
                return pw_ctl_no_memory();
        json_object_object_add(object, "rule", json_object_new_string(line->text));
        json_object_object_add(object, "file", json_object_new_string_len(place, (int)length));
        json_object_object_add(object, "place", json_object_new_string(place));
        json_object_object_add(object, "added", json_object_new_boolean(added));
        pw_json_print(stdout, object, ctl->json == PW_JSON_PRETTY);
        return 0;
}

/* `place` is the new rule's, or (not added) that of the rule which does the same. */
static int tell(const struct pw_ctl *ctl, const struct rule_line *line, const char *place,
                const char *head, bool added)
{
        const char *colon = strrchr(place, ':');
        int length = (int)(colon ? (size_t)(colon - place) : strlen(place));
        char clean[PW_RULE_TEXT_MAX];
        struct pw_status status;
        int code = 0;

        pw_text_clean(clean, sizeof clean, line->text, line->length);
        if (ctl->json != PW_JSON_OFF)
                code = print_answer_json(ctl, line, place, added);
        else if (!ctl->quiet && added)
                printf("%s %.*s:\n  %s\nTo undo: delete line %s of that file.\n", head, length,
                       place, clean, colon ? colon + 1 : "");
        else if (!ctl->quiet)
                printf("%s %s\n", head, place);
        if (!pw_ctl_daemon(ctl, &status))
                pw_ctl_note(ctl, "portwatchd is not running; it reads this when it starts");
        return code;
}

/* `RULE  # 2026-11-27, @1`: when it was written, and what for. */
static void add_comment(const struct pw_ctl *ctl, const struct rule_line *line, char *buffer,
                        size_t size)
{
        bool alert = ctl->words[0][0] == '@';
        time_t seconds = (time_t)(ctl->now_usec / PW_USEC_PER_SEC);
        struct tm broken;
        char date[16];

        localtime_r(&seconds, &broken);
        strftime(date, sizeof date, "%Y-%m-%d", &broken);
        snprintf(buffer, size, "%s  # %s%s%s", line->text, date, alert ? ", " : "",
                 alert ? ctl->words[0] : "");
}

static int refuse_write(const char *path, int error)
{
        if (error == -EACCES || error == -EPERM)
                return pw_ctl_fail(PW_EXIT_NOT_PERMITTED, "may not write %s; use sudo", path);
        return pw_ctl_fail(PW_EXIT_FAILED, "cannot write %s: %s", path, strerror(-error));
}

static int write_line(struct pw_ctl *ctl, const struct rule_line *line)
{
        struct pw_policy_paths paths = pw_ctl_policy_paths(ctl);
        bool denies = strcmp(pw_ctl_verb_name(ctl), "deny") == 0;
        char path[PATH_MAX], place[PATH_MAX + 32], text[PW_RULE_TEXT_MAX + 64];
        int r = snprintf(path, sizeof path, "%s/%s", ctl->rules_dirs[0], PW_LOCAL_RULES_FILE);

        if (r < 0 || (size_t)r >= sizeof path)
                return pw_ctl_fail(PW_EXIT_USAGE, "--rules: the path is too long");
        if (mkdir(ctl->rules_dirs[0], 0755) < 0 && errno != EEXIST)
                return refuse_write(ctl->rules_dirs[0], -errno);
        add_comment(ctl, line, text, sizeof text);
        r = pw_rule_add(&paths, path, text, ctl->services, ctl->now_usec, place, sizeof place);
        switch (r) {
        case 0:
                return tell(ctl, line, place, "Added to", true);
        case 1:
                return pw_ctl_fail(PW_EXIT_FAILED,
                                   "nothing written: the rule at %s comes first and takes all that "
                                   "this one could match",
                                   place);
        case 2:
                return tell(ctl, line, place, "Already there:", false);
        case 3:
                return tell(ctl, line, place, denies ? "Already denied by" : "Already expected by",
                            false);
        case -EINVAL:
                if (pw_ctl_not_permitted(place))
                        return pw_ctl_fail(PW_EXIT_NOT_PERMITTED, "%s; use sudo", place);
                return pw_ctl_fail(PW_EXIT_FAILED, "nothing written: %s", place);
        case -ENOMEM:
                return pw_ctl_no_memory();
        default:
                return refuse_write(path, r);
        }
}

int pw_ctl_add_rule(struct pw_ctl *ctl)
{
        struct rule_line line = {0};
        int code;

        code = ctl->words[0][0] == '@' ? line_of_alert(ctl, &line) : line_of_words(ctl, &line);
        if (code == 0)
                code = put_until(ctl, &line);
        if (code == 0)
                code = check_line(ctl, &line);
        return code == 0 ? write_line(ctl, &line) : code;
}

/* ---- baseline ---- */

static bool has_lived(const struct pw_record *record, _unused_ const void *userdata)
{
        /* A client's port today is another one's tomorrow: one look cannot tell them from servers.
         */
        return !pw_record_may_be_client(record);
}

/* The rules among the lines of the text. */
static int print_rules_json(const char *text, bool pretty)
{
        struct json_object *object = pw_json_new(), *array = json_object_new_array();

        if (!object || !array) {
                json_object_put(object);
                json_object_put(array);
                return -ENOMEM;
        }
        while (*text) {
                size_t length = strcspn(text, "\n");

                if (length > 0 && text[0] != '#')
                        json_object_array_add(array, json_object_new_string_len(text, (int)length));
                text += length + (text[length] == '\n');
        }
        json_object_object_add(object, "rules", array);
        pw_json_print(stdout, object, pretty);
        return 0;
}

int pw_ctl_baseline(struct pw_ctl *ctl)
{
        _cleanup_(pw_live_done) struct pw_live live = {0};
        _cleanup_(pw_freep) char *text = NULL;
        struct pw_live_request request = {.services = ctl->services};
        size_t learned, left_out, unsure;

        if (pw_live_look(&request, &live) < 0)
                return pw_ctl_fail(PW_EXIT_FAILED, "%s", live.error);
        unsure = live.records.n;
        pw_ctl_keep(&live.records, has_lived, NULL);
        unsure -= live.records.n;
        text = pw_baseline_text(&live.records, ctl->now_usec, &learned, &left_out);
        if (!text)
                return pw_ctl_no_memory();
        if (ctl->json == PW_JSON_OFF)
                fputs(text, stdout);
        else if (print_rules_json(text, ctl->json == PW_JSON_PRETTY) < 0)
                return pw_ctl_no_memory();
        if (left_out > 0)
                pw_ctl_note(ctl, "%zu left out: owner unknown or not to be trusted%s", left_out,
                            live.hidden && geteuid() != 0 ? "; sudo sees more" : "");
        if (unsure > 0)
                pw_ctl_note(ctl, "%zu UDP port%s left out: in the range that clients get", unsure,
                            pw_plural(unsure));
        return 0;
}
