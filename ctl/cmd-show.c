/* SPDX-License-Identifier: MIT */
/* show: one port, and all that is known of it: every listener with owner, rule and alert, what was
 * there before, and what to do. Where no daemon ever ran, the live answer takes history's place. */

#include "ctl/advice.h"
#include "ctl/ctl.h"
#include "ctl/listing.h"
#include "ctl/live.h"
#include "ctl/terminal.h"

#include <portwatch/text.h>

#include <json-c/json.h>
#include <stdarg.h>

#define PAST_LIMIT 5

struct answer {
        const char *word; /* as typed */
        int64_t alert_id; /* 0: a port was asked for */
        struct pw_records open, past, alerts;
        struct pw_policy *policy; /* NULL where the rules cannot be read */
        bool stale, judged, colour;
};

static void answer_done(struct answer *answer)
{
        pw_records_done(&answer->open);
        pw_records_done(&answer->past);
        pw_records_done(&answer->alerts);
        pw_policy_free(answer->policy);
}

/* ---- the question ---- */

static int ask_port(const struct pw_ctl *ctl, const char *word, struct pw_filter **ret)
{
        const struct pw_ports *ports;
        int code = pw_ctl_filter(ctl, 0, ret);

        if (code == 0 && pw_filter_ports(*ret, &ports) == 0)
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "'%s' is not a port; expected one like 80, tcp/80 or http, or "
                                   "an alert like @17",
                                   word);
        return code;
}

static int parse_alert(const char *word, int64_t *ret)
{
        uint64_t number;

        if (pw_parse_number(word + 1, 1, INT64_MAX, &number) < 0)
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "'%s' is not an alert; expected @ and its number, as "
                                   "portwatchctl alerts lists them",
                                   word);
        *ret = (int64_t)number;
        return 0;
}

/* The alert's record, and a filter for the port that it is about. */
static int ask_alert(const struct pw_ctl *ctl, struct pw_query *query, struct answer *answer,
                     struct pw_filter **ret)
{
        char word[32], port[PW_PORT_MAX], error[256];
        const struct pw_record *record;
        int r = pw_query_alert(query, answer->alert_id, &answer->alerts);

        if (r < 0)
                return pw_ctl_query_failed(ctl, r);
        if (answer->alerts.n == 0)
                return pw_ctl_fail(PW_EXIT_NOTHING, "there is no alert %s", answer->word);
        record = answer->alerts.items[0];
        snprintf(word, sizeof word, "%s/%s", pw_protocol_name(record->protocol),
                 pw_port_format(port, sizeof port, record->port));
        r = pw_filter_new(ret);
        if (r == 0)
                r = pw_filter_add(*ret, word, error, sizeof error);
        return r < 0 ? pw_ctl_no_memory() : 0;
}

static bool keep_closed(const struct pw_record *record, _unused_ const void *userdata)
{
        return record->closed_usec != 0;
}

static bool keep_same(const struct pw_record *record, const void *userdata)
{
        const struct pw_record *alert = userdata;

        return strcmp(record->listener_id, alert->listener_id) == 0;
}

/* An alert is looked at with all that has its port; folded listeners have none in common. */
static void narrow_to_folded(struct answer *answer)
{
        const struct pw_record *alert = answer->alert_id ? answer->alerts.items[0] : NULL;

        if (!alert || !pw_record_is_folded(alert))
                return;
        pw_ctl_keep(&answer->open, keep_same, alert);
        pw_ctl_keep(&answer->past, keep_same, alert);
}

static int ask_history(struct pw_ctl *ctl, struct pw_query *query, struct pw_filter *filter,
                       struct answer *answer)
{
        uint64_t as_of_usec;
        int r = pw_listing_as_of(ctl, query, &answer->stale, &as_of_usec);

        if (r == 0)
                r = pw_query_open_at(query, filter, 0, &answer->open);
        /* Those open now are newest openings, too, so that they come on top of the limit. */
        if (r == 0)
                r = pw_query_history(query, filter, 0, PW_USEC_INFINITY,
                                     answer->open.n + PAST_LIMIT, &answer->past);
        if (r == 0 && answer->alert_id == 0)
                r = pw_query_alerts(query, filter, false, &answer->alerts);
        if (r < 0)
                return pw_ctl_query_failed(ctl, r);
        pw_ctl_keep(&answer->past, keep_closed, NULL);
        narrow_to_folded(answer);
        while (answer->past.n > PAST_LIMIT)
                pw_record_unref(answer->past.items[--answer->past.n]);
        answer->judged = true;
        return 0;
}

static int ask_kernel(struct pw_ctl *ctl, struct pw_filter *filter, struct answer *answer)
{
        _cleanup_(pw_live_done) struct pw_live live = {0};
        struct pw_live_request request = {.services = ctl->services, .identify = true};
        int r = pw_live_look(&request, &live);

        if (r < 0)
                return pw_ctl_fail(PW_EXIT_FAILED, "%s", live.error);
        pw_ctl_note(ctl, "no history here: this is what the kernel says now");
        answer->judged = answer->policy && pw_policy_count(answer->policy) > 0;
        if (answer->judged && pw_ctl_judge(ctl, answer->policy, &live.records) < 0)
                return pw_ctl_no_memory();
        pw_ctl_keep(&live.records, pw_ctl_matches, filter);
        answer->open = live.records;
        live.records = (struct pw_records){0};
        return 0;
}

static int ask(struct pw_ctl *ctl, struct answer *answer)
{
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        int schema, code = pw_ctl_policy(ctl, &answer->policy, &refusals);

        if (code != 0)
                return code;

        if (answer->word[0] == '@')
                code = parse_alert(answer->word, &answer->alert_id);
        else
                code = ask_port(ctl, answer->word, &filter);
        if (code != 0)
                return code;
        if (answer->alert_id == 0 && pw_query_open(ctl->state_dir, &query, &schema) == -ENOENT)
                return ask_kernel(ctl, filter, answer);
        if (!query)
                code = pw_ctl_query(ctl, &query);
        if (code == 0 && answer->alert_id != 0)
                code = ask_alert(ctl, query, answer, &filter);
        return code == 0 ? ask_history(ctl, query, filter, answer) : code;
}

/* ---- the answer for people ---- */

static void line(const char *label, const char *format, ...) _printf_(2, 3);

static void line(const char *label, const char *format, ...)
{
        va_list arguments;

        printf("  %-11s ", label);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        putchar('\n');
}

static void print_owner(const struct pw_record *record)
{
        const struct pw_owner *owner = record->owner;
        const char *process = pw_record_process(record);
        struct pw_column_context context = {0};
        struct pw_value value = {.kind = PW_VALUE_PIDS};
        char traits[PW_TRAITS_MAX], uid[16];

        if (owner->n_pids > 0)
                line("process", "%s (pid %s)", process ? process : "-",
                     pw_value_text(&value, record, &context));
        else if (process && owner->unknown == PW_KNOWN)
                line("process", "%s", process);
        else
                line("process", "not known: %s", pw_unknown_reason(owner->unknown));
        if (owner->cmdline && owner->cmdline[0])
                line("command", "%s", owner->cmdline);
        if (owner->exe)
                line("executable", "%s", owner->exe);
        if (owner->traits)
                line("notable", "%s", pw_traits_format(traits, sizeof traits, owner->traits));
        snprintf(uid, sizeof uid, "%u", owner->uid);
        if (owner->user && strcmp(owner->user, uid) != 0)
                line("user", "%s (%s)", owner->user, uid);
        else
                line("user", "%s", uid);
        if (owner->unit)
                line("unit", "%s", owner->unit);
        if (owner->user_unit)
                line("user unit", "%s", owner->user_unit);
        if (owner->container)
                line("container", "%s", owner->container);
        if (strcmp(record->netns, PW_NETNS_HOST) != 0)
                line("namespace", "%s", record->netns);
        if (pw_record_is_folded(record))
                line("ports", "one after another, %u so far", record->sockets);
        else if (record->sockets > 1)
                line("sockets", "%u", record->sockets);
}

/* The rule at `place`, unless the file has changed since and something else stands there. */
static bool find_rule(const struct pw_ctl *ctl, const struct answer *answer,
                      const struct pw_record *record, struct pw_rule_info *ret)
{
        for (size_t i = 0; record->rule && answer->policy && i < pw_policy_count(answer->policy);
             i++) {
                *ret = pw_policy_rule(answer->policy, i);
                if (strcmp(ret->place, record->rule) == 0)
                        return pw_record_is_missing(record)
                                   ? ret->require
                                   : pw_policy_rule_matches(answer->policy, i, record,
                                                            ctl->now_usec);
        }
        return false;
}

static void print_rule(const struct pw_ctl *ctl, const struct answer *answer,
                       const struct pw_record *record)
{
        char until[PW_WHEN_MAX], span[PW_SPAN_MAX];
        const char *none =
            record->verdict == PW_UNJUDGED ? "none matches what can be seen of it" : "none matches";
        struct pw_rule_info rule;

        line("rule", "%s", record->rule ? record->rule : none);
        if (!find_rule(ctl, answer, record, &rule))
                return;
        line("", "%s", rule.text);
        if (rule.until_usec != PW_USEC_INFINITY && rule.until_usec > ctl->now_usec)
                line("until", "%s (in %s)",
                     pw_format_timestamp(until, sizeof until, rule.until_usec),
                     pw_format_age(span, sizeof span, rule.until_usec - ctl->now_usec));
}

static void print_times(const struct pw_ctl *ctl, const struct pw_record *record)
{
        char opened[PW_WHEN_MAX], closed[PW_WHEN_MAX], span[PW_SPAN_MAX];
        uint64_t end = record->closed_usec ? record->closed_usec : ctl->now_usec;

        if (record->opened_usec == 0)
                return;
        pw_format_timestamp(opened, sizeof opened, record->opened_usec);
        pw_format_age(span, sizeof span, end > record->opened_usec ? end - record->opened_usec : 0);
        if (record->closed_usec)
                line("open", "%s to %s (%s)", opened,
                     pw_format_timestamp(closed, sizeof closed, record->closed_usec), span);
        else
                line("open", "since %s%s (%s)",
                     record->opened_how == PW_HOW_FIRST_LOOK ? "before " : "", opened, span);
}

static void print_alert(const struct pw_record *alert)
{
        char reasons[PW_REASONS_MAX], when[PW_WHEN_MAX];

        pw_reasons_format(reasons, sizeof reasons, alert->reasons);
        pw_format_timestamp(when, sizeof when, alert->raised_usec);
        if (alert->alert_count > 1)
                line("alert", "@%lld %s, %s, %u times", (long long)alert->alert_id, reasons, when,
                     alert->alert_count);
        else
                line("alert", "@%lld %s, %s", (long long)alert->alert_id, reasons, when);
        if (alert->resolved_usec)
                line("resolved", "%s",
                     pw_format_timestamp(when, sizeof when, alert->resolved_usec));
}

static const struct pw_record *find_alert(const struct answer *answer,
                                          const struct pw_record *record)
{
        for (size_t i = 0; i < answer->alerts.n; i++)
                if (strcmp(answer->alerts.items[i]->listener_id, record->listener_id) == 0)
                        return answer->alerts.items[i];
        return NULL;
}

static void print_advice(const struct pw_advice *advice)
{
        for (size_t i = 0; i < advice->n; i++)
                line(advice->items[i].label, "%s", advice->items[i].text);
}

static void print_head(const struct pw_ctl *ctl, const struct answer *answer,
                       const struct pw_record *record, const char *state)
{
        /* What comes from the history has IANA's names only. */
        const char *service = pw_services_name(ctl->services, record->protocol, record->port);
        char endpoint[PW_ADDRESS_PORT_MAX];
        bool missing = pw_record_is_missing(record);

        pw_address_port_format(endpoint, sizeof endpoint, record->address_text, record->device,
                               record->port);
        if (missing) /* at whatever address */
                snprintf(endpoint, sizeof endpoint, "%u", record->port);
        printf("%s%s %s%s%s%s%s%s%s%s\n", answer->colour ? "\033[1m" : "",
               pw_protocol_name(record->protocol), endpoint, answer->colour ? "\033[0m" : "",
               service ? "  " : "", service ? service : "", missing ? "" : "  scope ",
               missing ? "" : pw_scope_name(record->scope), state[0] ? "  " : "", state);
}

static void print_listener(const struct pw_ctl *ctl, const struct answer *answer,
                           const struct pw_record *record)
{
        const struct pw_record *alert = find_alert(answer, record);
        bool bad = record->verdict == PW_UNEXPECTED || record->verdict == PW_DENIED;
        struct pw_advice advice;

        print_head(ctl, answer, record, answer->judged ? pw_verdict_text(record->verdict) : "");
        print_owner(record);
        print_times(ctl, record);
        if (answer->judged)
                print_rule(ctl, answer, record);
        if (alert)
                print_alert(alert);
        if (!answer->judged || bad) {
                pw_advice_allow(record, alert ? alert->alert_id : 0, &advice);
                print_advice(&advice);
        }
        pw_advice_close(record, &advice);
        print_advice(&advice);
        pw_advice_prevent(record, &advice);
        print_advice(&advice);
}

/* A port that should be open: who had it, as far as anybody knows, is who should have it. */
static void print_missing(const struct pw_ctl *ctl, const struct answer *answer,
                          const struct pw_record *alert)
{
        const struct pw_record *last = answer->past.n > 0 ? answer->past.items[0] : NULL;
        char when[PW_WHEN_MAX], span[PW_SPAN_MAX];
        struct pw_advice advice;

        print_head(ctl, answer, alert, alert->resolved_usec ? "was missing" : "missing");
        print_rule(ctl, answer, alert);
        if (!alert->resolved_usec && alert->raised_usec <= ctl->now_usec)
                line("missing", "since %s (%s)",
                     pw_format_timestamp(when, sizeof when, alert->raised_usec),
                     pw_format_age(span, sizeof span, ctl->now_usec - alert->raised_usec));
        print_alert(alert);
        if (!last) {
                line("last had by", "nobody that was seen");
                return;
        }
        line("last had by", "%s (user %s%s%s), until %s",
             pw_record_process(last) ? pw_record_process(last) : "an unknown process",
             last->owner->user ? last->owner->user : "-", last->owner->unit ? ", unit " : "",
             last->owner->unit ? last->owner->unit : "",
             pw_format_timestamp(when, sizeof when, last->closed_usec));
        if (alert->resolved_usec)
                return;
        pw_advice_start(last, &advice);
        print_advice(&advice);
}

/* An alert whose listener is closed. */
static void print_closed_alert(const struct pw_ctl *ctl, const struct answer *answer,
                               const struct pw_record *alert)
{
        print_head(ctl, answer, alert, "not open now");
        print_owner(alert);
        print_times(ctl, alert);
        print_alert(alert);
}

static void print_past(const struct answer *answer, uint64_t now_usec)
{
        for (size_t i = 0; i < answer->past.n; i++) {
                const struct pw_record *record = answer->past.items[i];
                const char *process = pw_record_process(record);
                char opened[PW_WHEN_MAX], closed[PW_WHEN_MAX], endpoint[PW_ADDRESS_PORT_MAX];

                printf("%-7s %s to %s  %s %s  %s (%s)\n", i == 0 ? "Before:" : "",
                       pw_format_when(opened, sizeof opened, record->opened_usec, now_usec),
                       pw_format_when(closed, sizeof closed, record->closed_usec, now_usec),
                       pw_protocol_name(record->protocol),
                       pw_address_port_format(endpoint, sizeof endpoint, record->address_text,
                                              record->device, record->port),
                       process ? process : "-", record->owner->user ? record->owner->user : "-");
        }
}

static void print_text(struct pw_ctl *ctl, struct answer *answer)
{
        const struct pw_record *alert = answer->alert_id ? answer->alerts.items[0] : NULL;
        bool shown = false;

        answer->colour = pw_terminal_colour(); /* asked before a pager stands in between */
        pw_pager_open(ctl);
        for (size_t i = 0; i < answer->open.n; i++) {
                const struct pw_record *record = answer->open.items[i];

                if (i > 0)
                        putchar('\n');
                print_listener(ctl, answer, record);
                shown = shown || (alert && !strcmp(alert->listener_id, record->listener_id));
        }
        if (alert && !shown && !pw_record_is_missing(alert)) {
                if (answer->open.n > 0)
                        putchar('\n');
                print_closed_alert(ctl, answer, alert);
        }
        for (size_t i = 0; i < answer->alerts.n; i++) {
                if (!pw_record_is_missing(answer->alerts.items[i]))
                        continue;
                if (answer->open.n > 0 || i > 0)
                        putchar('\n');
                print_missing(ctl, answer, answer->alerts.items[i]);
        }
        if (answer->past.n > 0 && (answer->open.n > 0 || answer->alerts.n > 0))
                putchar('\n');
        print_past(answer, ctl->now_usec);
}

/* ---- the answer for programs ---- */

static int add_advice_json(struct json_object *array, const struct pw_record *record,
                           const struct pw_advice *advice)
{
        for (size_t i = 0; i < advice->n; i++) {
                struct json_object *item = json_object_new_object();

                if (!item)
                        return -ENOMEM;
                json_object_object_add(item, "listener_id",
                                       json_object_new_string(record->listener_id));
                json_object_object_add(item, "what",
                                       json_object_new_string(advice->items[i].label));
                json_object_object_add(item, "text", json_object_new_string(advice->items[i].text));
                json_object_object_add(item, "command",
                                       json_object_new_boolean(advice->items[i].command));
                json_object_array_add(array, item);
        }
        return 0;
}

static struct json_object *advice_json(const struct answer *answer)
{
        struct json_object *array = json_object_new_array();
        struct pw_advice advice;
        int r = array ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < answer->open.n; i++) {
                const struct pw_record *record = answer->open.items[i];
                const struct pw_record *alert = find_alert(answer, record);

                pw_advice_allow(record, alert ? alert->alert_id : 0, &advice);
                r = add_advice_json(array, record, &advice);
                pw_advice_close(record, &advice);
                if (r == 0)
                        r = add_advice_json(array, record, &advice);
                pw_advice_prevent(record, &advice);
                if (r == 0)
                        r = add_advice_json(array, record, &advice);
        }
        return array;
}

static int print_json(struct pw_ctl *ctl, const struct answer *answer)
{
        _cleanup_(pw_view_freep) struct pw_view *view = NULL;
        int code = pw_ctl_view(ctl, "endpoint", answer->judged, &view);

        if (code != 0)
                return code;
        if (view->field(view, "stale", json_object_new_boolean(answer->stale)) < 0 ||
            pw_view_list(view, "listeners", &answer->open) < 0 ||
            pw_view_list(view, "intervals", &answer->past) < 0 ||
            pw_view_list(view, "alerts", &answer->alerts) < 0 ||
            view->field(view, "advice", advice_json(answer)) < 0 || view->footer(view, NULL) < 0)
                return pw_ctl_no_memory();
        return 0;
}

int pw_ctl_show(struct pw_ctl *ctl)
{
        _cleanup_(answer_done) struct answer answer = {.word = ctl->words[0]};
        int code = ask(ctl, &answer);

        if (code != 0)
                return code;
        if (ctl->json != PW_JSON_OFF)
                code = print_json(ctl, &answer);
        else
                print_text(ctl, &answer);
        if (code != 0 || answer.open.n > 0 || answer.alert_id != 0)
                return code;
        for (size_t i = 0; i < answer.alerts.n; i++)
                if (pw_record_is_missing(answer.alerts.items[i]))
                        return pw_ctl_fail(PW_EXIT_NOTHING,
                                           "nothing has %s open, and a rule requires it: alert "
                                           "@%lld",
                                           answer.word,
                                           (long long)answer.alerts.items[i]->alert_id);
        return pw_ctl_fail(PW_EXIT_NOTHING, "nothing has %s open%s", answer.word,
                           answer.past.n > 0 ? " now" : "");
}
