/* SPDX-License-Identifier: MIT */
/* The rules in effective order, and what they say of a record.
 *
 * Judging walks the rules from the first, and may do so for tens of thousands of listeners after a
 * reload. So each rule has a hull, the span of all its ports, in an array of its own: nearly every
 * rule is passed over by comparing a few numbers that lie next to each other in memory.
 *
 * A text is taken as a whole or not at all: where a line is refused, the policy is as before. */

#include "daemon/rule.h"

#include <portwatch/text.h>

#include <stdarg.h>

struct hull {
        uint16_t first, last; /* first > last: no fixed ports */
        uint8_t protocols;
        bool ephemeral;
};

struct pw_policy {
        struct pw_rule *rules;
        size_t n, rules_capacity;
        struct hull *hulls; /* one a rule */
        size_t hulls_capacity;
};

/* ---- refusals ---- */

int pw_refusals_add(struct pw_refusals *refusals, const char *format, ...)
{
        _cleanup_(pw_freep) char *sentence = NULL;
        va_list arguments;
        char *clean;
        int length;

        refusals->total++;
        if (refusals->n >= PW_REFUSALS_LIMIT)
                return 0;
        va_start(arguments, format);
        length = vasprintf(&sentence, format, arguments);
        va_end(arguments);
        if (length < 0) {
                sentence = NULL;
                return -ENOMEM;
        }
        clean = pw_text_clean_dup(sentence, (size_t)length, PW_REFUSAL_MAX - 1);
        if (!clean || pw_array_reserve(&refusals->items, &refusals->capacity, refusals->n + 1,
                                       sizeof *refusals->items) < 0) {
                free(clean);
                return -ENOMEM;
        }
        refusals->items[refusals->n++] = clean;
        return 0;
}

void pw_refusals_done(struct pw_refusals *refusals)
{
        for (size_t i = 0; i < refusals->n; i++)
                free(refusals->items[i]);
        free(refusals->items);
        *refusals = (struct pw_refusals){0};
}

/* ---- the policy ---- */

int pw_policy_new(struct pw_policy **ret)
{
        struct pw_policy *policy = calloc(1, sizeof *policy);

        if (!policy)
                return -ENOMEM;
        *ret = policy;
        return 0;
}

static void truncate_policy(struct pw_policy *policy, size_t n)
{
        while (policy->n > n)
                pw_rule_done(&policy->rules[--policy->n]);
}

void pw_policy_free(struct pw_policy *policy)
{
        if (!policy)
                return;
        truncate_policy(policy, 0);
        free(policy->rules);
        free(policy->hulls);
        free(policy);
}

static struct hull hull_of(const struct pw_rule *rule)
{
        struct hull hull = {UINT16_MAX, 0, rule->protocols, rule->ephemeral};

        for (size_t i = 0; i < rule->n_spans; i++) {
                hull.first = PW_MIN(hull.first, rule->spans[i].first);
                hull.last = PW_MAX(hull.last, rule->spans[i].last);
        }
        return hull;
}

/* Takes over the rule, on failure too. */
static int add_rule(struct pw_policy *policy, struct pw_rule *rule, const char *file, size_t line)
{
        if (asprintf(&rule->place, "%s:%zu", file, line) < 0)
                rule->place = NULL;
        if (!rule->place ||
            pw_array_reserve(&policy->rules, &policy->rules_capacity, policy->n + 1,
                             sizeof *policy->rules) < 0 ||
            pw_array_reserve(&policy->hulls, &policy->hulls_capacity, policy->n + 1,
                             sizeof *policy->hulls) < 0) {
                pw_rule_done(rule);
                return -ENOMEM;
        }
        rule->line = line;
        policy->hulls[policy->n] = hull_of(rule);
        policy->rules[policy->n++] = *rule;
        return 0;
}

static int parse_line(struct pw_policy *policy, const char *file, size_t line, const char *text,
                      size_t length, const struct pw_services *services,
                      struct pw_refusals *refusals)
{
        struct pw_rule_fault fault;
        struct pw_rule rule;
        int r;

        if (length > 0 && text[length - 1] == '\r')
                length--;
        r = pw_rule_parse(text, length, services, &rule, &fault);
        if (r == -EINVAL)
                return pw_refusals_add(refusals, "%s:%zu:%zu: %s", file, line, fault.column,
                                       fault.text);
        if (r != 0)
                return PW_MIN(r, 0);
        if (policy->n >= PW_RULES_MAX) {
                pw_rule_done(&rule);
                return pw_refusals_add(refusals, "%s:%zu:1: too many rules; expected at most %d",
                                       file, line, PW_RULES_MAX);
        }
        return add_rule(policy, &rule, file, line);
}

int pw_policy_parse(struct pw_policy *policy, const char *file, const char *text, size_t length,
                    const struct pw_services *services, struct pw_refusals *refusals)
{
        const char *end = text + length;
        size_t n = policy->n, refused = refusals->total;
        char name[PW_RULE_PATH_MAX];
        int r = 0;

        pw_text_clean(name, sizeof name, file, strlen(file));
        if (length > PW_RULE_FILE_MAX)
                r = pw_refusals_add(refusals, "%s: more than 1 MiB; expected less", name);
        else
                for (size_t line = 1; r >= 0 && text < end; line++) {
                        const char *newline = memchr(text, '\n', (size_t)(end - text));
                        const char *stop = newline ? newline : end;

                        r = parse_line(policy, name, line, text, (size_t)(stop - text), services,
                                       refusals);
                        text = newline ? newline + 1 : end;
                }
        if (r < 0 || refusals->total > refused)
                truncate_policy(policy, n);
        return r < 0 ? r : refusals->total > refused;
}

/* ---- loading ---- */

static int load_file(struct pw_policy *policy, const struct pw_rule_file *file,
                     struct pw_rule_source *instead, const struct pw_services *services,
                     struct pw_refusals *refusals)
{
        _cleanup_(pw_freep) char *text = NULL;
        size_t length;
        int r;

        if (file->replaced) {
                instead->first = policy->n;
                r = pw_policy_parse(policy, file->path, instead->text, instead->length, services,
                                    refusals);
                instead->end = policy->n;
                return r;
        }
        if (file->masked)
                return 0;
        r = pw_rule_file_read(file->path, &text, &length, refusals);
        if (r == -ENOENT)
                return 0; /* removed since it was found */
        if (r != 0)
                return r;
        return pw_policy_parse(policy, file->path, text, length, services, refusals);
}

int pw_policy_load_instead(const struct pw_policy_paths *paths, struct pw_rule_source *instead,
                           const struct pw_services *services, struct pw_policy **ret,
                           struct pw_refusals *refusals)
{
        _cleanup_(pw_rule_files_done) struct pw_rule_files files = {0};
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        size_t refused = refusals->total;
        int r = pw_policy_new(&policy);

        if (r < 0)
                return r;
        r = pw_rule_files_list(paths, instead, &files, refusals);
        for (size_t i = 0; r >= 0 && i < files.n; i++)
                r = load_file(policy, &files.items[i], instead, services, refusals);
        if (r < 0)
                return r;
        if (refusals->total > refused) {
                *ret = NULL;
                return 1;
        }
        *ret = PW_TAKE_PTR(policy);
        return 0;
}

int pw_policy_load(const struct pw_policy_paths *paths, const struct pw_services *services,
                   struct pw_policy **ret, struct pw_refusals *refusals)
{
        return pw_policy_load_instead(paths, NULL, services, ret, refusals);
}

/* ---- judging ---- */

struct pw_ruling pw_policy_judge(const struct pw_policy *policy, const struct pw_record *record,
                                 uint64_t now_usec)
{
        uint8_t protocol = pw_rule_protocol(record->protocol);

        for (size_t i = 0; i < policy->n; i++) {
                struct hull hull = policy->hulls[i];

                if (!(hull.protocols & protocol))
                        continue;
                if ((record->port < hull.first || record->port > hull.last) &&
                    !(hull.ephemeral && record->ephemeral))
                        continue;
                if (pw_rule_matches(&policy->rules[i], record, now_usec))
                        return (struct pw_ruling){pw_rule_verdict(&policy->rules[i]),
                                                  policy->rules[i].place};
        }
        return (struct pw_ruling){PW_UNEXPECTED, NULL};
}

bool pw_policy_may_come_to_expect(const struct pw_policy *policy, const struct pw_record *record,
                                  uint64_t now_usec)
{
        for (size_t i = 0; i < policy->n; i++)
                if (pw_rule_verdict(&policy->rules[i]) == PW_EXPECTED &&
                    pw_rule_may_come_to_match(&policy->rules[i], record, now_usec))
                        return true;
        return false;
}

uint64_t pw_policy_next_end(const struct pw_policy *policy, uint64_t now_usec)
{
        uint64_t next = PW_USEC_INFINITY;

        for (size_t i = 0; i < policy->n; i++)
                if (policy->rules[i].until_usec > now_usec)
                        next = PW_MIN(next, policy->rules[i].until_usec);
        return next;
}

/* ---- looking at the rules ---- */

size_t pw_policy_count(const struct pw_policy *policy)
{
        return policy->n;
}

const struct pw_rule *pw_policy_get(const struct pw_policy *policy, size_t i)
{
        return &policy->rules[i];
}

struct pw_rule_info pw_policy_rule(const struct pw_policy *policy, size_t i)
{
        const struct pw_rule *rule = &policy->rules[i];

        return (struct pw_rule_info){
            .place = rule->place,
            .text = rule->text,
            .verdict = pw_rule_verdict(rule),
            .require = rule->kind == PW_RULE_REQUIRE,
            .grace_usec = rule->grace_usec,
            .until_usec = rule->until_usec,
            .protocol = rule->protocols == PW_RULE_TCP   ? PW_TCP
                        : rule->protocols == PW_RULE_UDP ? PW_UDP
                                                         : 0,
            .comment = rule->comment,
            .exe = rule->exe.literal ? rule->exe.text : NULL,
            .user = rule->user.literal && !rule->has_uid ? rule->user.text : NULL,
        };
}

size_t pw_policy_rule_ports(const struct pw_policy *policy, size_t i, const uint16_t **ret)
{
        *ret = policy->rules[i].ports;
        return policy->rules[i].n_ports;
}

bool pw_policy_rule_matches(const struct pw_policy *policy, size_t i,
                            const struct pw_record *record, uint64_t now_usec)
{
        return pw_rule_matches(&policy->rules[i], record, now_usec);
}

ssize_t pw_policy_shadowed_by(const struct pw_policy *policy, size_t i)
{
        for (size_t j = 0; j < i; j++)
                if (pw_rule_covers(&policy->rules[j], &policy->rules[i]))
                        return (ssize_t)j;
        return -1;
}
