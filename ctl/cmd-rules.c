/* SPDX-License-Identifier: MIT */
/* rules: the rules in effective order, and whether each does anything. */

#include "ctl/ctl.h"
#include "ctl/live.h"
#include "ctl/terminal.h"

#include <portwatch/text.h>

#include <json-c/json.h>

#define HISTORY_LIMIT 10000 /* newest intervals asked whether a rule ever matched */
#define RULE_INDENT 6       /* columns of HITS and the gap behind it */
#define RULE_WIDTH_MIN 40   /* a narrower column would break too many rules */
#define RULE_WIDTH_MAX 80   /* where there is no terminal, longer ones do not widen the column */

struct use {
        size_t hits; /* listeners open now */
        bool ever;   /* matched one of the past, too */
        bool expired;
        ssize_t shadowed_by; /* -1: none */
};

/* ---- counting ---- */

/* Counts, for each rule, the records that it decides. A ruling's place is the rule's own string. */
static void count(const struct pw_ctl *ctl, const struct pw_policy *policy,
                  const struct pw_records *records, bool open, struct use *uses)
{
        size_t n = pw_policy_count(policy);

        for (size_t i = 0; i < records->n; i++) {
                struct pw_ruling ruling = pw_policy_judge(policy, records->items[i], ctl->now_usec);

                for (size_t j = 0; ruling.rule && j < n; j++) {
                        if (strcmp(pw_policy_rule(policy, j).place, ruling.rule) != 0)
                                continue;
                        uses[j].hits += open;
                        uses[j].ever = true;
                        break;
                }
        }
}

/* The daemon's view where it lives and may be read, else the kernel's. */
static int count_open(const struct pw_ctl *ctl, const struct pw_policy *policy, struct use *uses)
{
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_records_done) struct pw_records records = {0}, past = {0};
        _cleanup_(pw_live_done) struct pw_live live = {0};
        struct pw_live_request request = {.services = ctl->services};
        struct pw_status status;
        int schema;

        if (pw_query_open(ctl->state_dir, &query, &schema) == 0 &&
            pw_query_history(query, NULL, 0, PW_USEC_INFINITY, HISTORY_LIMIT, &past) == 0)
                count(ctl, policy, &past, false, uses);
        if (query && pw_ctl_daemon(ctl, &status) &&
            pw_query_open_at(query, NULL, 0, &records) == 0) {
                count(ctl, policy, &records, true, uses);
                return 0;
        }
        if (pw_live_look(&request, &live) < 0)
                return pw_ctl_fail(PW_EXIT_FAILED, "%s", live.error);
        if (live.hidden)
                pw_ctl_note(ctl, "hits are too low: not all owners may be seen; use sudo");
        count(ctl, policy, &live.records, true, uses);
        return 0;
}

/* ---- printing ---- */

static char *describe(char *buffer, size_t size, const struct pw_policy *policy,
                      const struct use *use)
{
        buffer[0] = '\0';
        if (use->expired)
                snprintf(buffer, size, "expired");
        else if (use->shadowed_by >= 0)
                snprintf(buffer, size, "shadowed by %s",
                         pw_policy_rule(policy, (size_t)use->shadowed_by).place);
        else if (use->hits == 0)
                snprintf(buffer, size, "no match now");
        return buffer;
}

/* A rule and its place share a line where the terminal has room for both, else the rule (broken
 * between words) stands above its place: neither is ever cut. */
struct layout {
        unsigned terminal; /* 0: no limit */
        size_t rule;       /* the column's width; longer rules stand above; 0: all do */
};

static struct layout make_layout(const struct pw_policy *policy, const struct use *uses)
{
        struct layout layout = {.terminal = pw_terminal_width(), .rule = strlen("RULE")};
        size_t tail = strlen("PLACE"), room;
        char note[PW_REFUSAL_MAX];

        for (size_t i = 0; i < pw_policy_count(policy); i++) {
                struct pw_rule_info rule = pw_policy_rule(policy, i);
                size_t length = strlen(describe(note, sizeof note, policy, &uses[i]));

                layout.rule = PW_MAX(layout.rule, pw_text_width(rule.text));
                tail = PW_MAX(tail, pw_text_width(rule.place) + (length > 0 ? 2 + length : 0));
        }
        if (layout.terminal == 0) {
                layout.rule = PW_MIN(layout.rule, (size_t)RULE_WIDTH_MAX);
                return layout;
        }
        room =
            layout.terminal > RULE_INDENT + 2 + tail ? layout.terminal - RULE_INDENT - 2 - tail : 0;
        layout.rule = room < RULE_WIDTH_MIN && room < layout.rule ? 0 : PW_MIN(layout.rule, room);
        return layout;
}

/* Breaks between words, where there is one in reach. */
static void print_broken(const char *text, size_t width)
{
        while (strlen(text) > width) {
                size_t length = width;

                while (length > 0 && text[length] != ' ')
                        length--;
                if (length == 0)
                        length = strcspn(text, " ");
                printf("%.*s\n%*s", (int)length, text, text[length] ? RULE_INDENT : 0, "");
                text += length + (text[length] == ' ');
        }
        fputs(text, stdout);
}

static void print_row(const struct pw_rule_info *rule, size_t hits, const char *note,
                      const struct layout *layout)
{
        size_t used = pw_text_width(rule->text);

        printf("%4zu  ", hits);
        if (used <= layout->rule || layout->terminal == 0) {
                printf("%s%*s  ", rule->text, (int)(used < layout->rule ? layout->rule - used : 0),
                       "");
        } else {
                print_broken(rule->text,
                             PW_MAX((size_t)layout->terminal, 2u * RULE_INDENT) - RULE_INDENT);
                printf("\n%*s", RULE_INDENT, "");
        }
        printf("%s%s%s\n", rule->place, note[0] ? "  " : "", note);
}

static void print_text(struct pw_ctl *ctl, const struct pw_policy *policy, const struct use *uses)
{
        struct layout layout = make_layout(policy, uses); /* before a pager stands in between */
        size_t n = pw_policy_count(policy);
        char note[PW_REFUSAL_MAX];

        pw_pager_open(ctl);
        if (!ctl->no_legend && layout.rule > 0)
                printf("HITS  %-*s  PLACE\n", (int)layout.rule, "RULE");
        else if (!ctl->no_legend)
                puts("HITS  RULE, PLACE");
        for (size_t i = 0; i < n; i++) {
                struct pw_rule_info rule = pw_policy_rule(policy, i);

                print_row(&rule, uses[i].hits, describe(note, sizeof note, policy, &uses[i]),
                          &layout);
        }
        if (!ctl->no_legend && !ctl->quiet)
                printf("%sFirst match wins; what no rule matches is unexpected.\n", n ? "\n" : "");
}

static struct json_object *rule_json(const struct pw_policy *policy, size_t i,
                                     const struct use *use)
{
        struct pw_rule_info rule = pw_policy_rule(policy, i);
        struct json_object *item = json_object_new_object();

        if (!item)
                return NULL;
        json_object_object_add(item, "place", json_object_new_string(rule.place));
        json_object_object_add(item, "rule", json_object_new_string(rule.text));
        json_object_object_add(item, "verdict",
                               json_object_new_string(pw_verdict_name(rule.verdict)));
        json_object_object_add(item, "require", json_object_new_boolean(rule.require));
        json_object_object_add(item, "comment",
                               rule.comment ? json_object_new_string(rule.comment) : NULL);
        json_object_object_add(item, "until",
                               rule.until_usec == PW_USEC_INFINITY ? NULL
                                                                   : pw_time_json(rule.until_usec));
        json_object_object_add(item, "hits", json_object_new_uint64(use->hits));
        json_object_object_add(item, "never_matched", json_object_new_boolean(!use->ever));
        json_object_object_add(item, "expired", json_object_new_boolean(use->expired));
        json_object_object_add(
            item, "shadowed_by",
            use->shadowed_by < 0
                ? NULL
                : json_object_new_string(pw_policy_rule(policy, (size_t)use->shadowed_by).place));
        return item;
}

static int print_json(const struct pw_ctl *ctl, const struct pw_policy *policy,
                      const struct use *uses)
{
        struct json_object *object = pw_json_new(), *array = json_object_new_array();

        if (!object || !array) {
                json_object_put(object);
                json_object_put(array);
                return pw_ctl_no_memory();
        }
        for (size_t i = 0; i < pw_policy_count(policy); i++)
                json_object_array_add(array, rule_json(policy, i, &uses[i]));
        json_object_object_add(object, "rules", array);
        pw_json_print(stdout, object, ctl->json == PW_JSON_PRETTY);
        return 0;
}

int pw_ctl_rules(struct pw_ctl *ctl)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        _cleanup_(pw_freep) struct use *uses = NULL;
        int code = pw_ctl_policy(ctl, &policy, &refusals);

        if (code != 0)
                return code;
        if (!policy)
                return pw_ctl_rules_refused(&refusals);
        uses = calloc(pw_policy_count(policy) + 1, sizeof *uses);
        if (!uses)
                return pw_ctl_no_memory();
        for (size_t i = 0; i < pw_policy_count(policy); i++) {
                uses[i].shadowed_by = pw_policy_shadowed_by(policy, i);
                uses[i].expired = pw_policy_rule(policy, i).until_usec <= ctl->now_usec;
        }
        code = count_open(ctl, policy, uses);
        if (code != 0)
                return code;
        if (ctl->json != PW_JSON_OFF)
                return print_json(ctl, policy, uses);
        print_text(ctl, policy, uses);
        return 0;
}
