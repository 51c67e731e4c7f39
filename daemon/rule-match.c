/* SPDX-License-Identifier: MIT */
/* What a rule matches, and whether one rule takes all that another could.
 *
 * pw_rule_covers() is a proof: each key of the wide rule must be shown to hold wherever the narrow
 * rule matches. Its answer "no" only means "not shown". A key that is not given holds always. */

#include "daemon/rule.h"

#include <portwatch/text.h>

enum pw_verdict pw_rule_verdict(const struct pw_rule *rule)
{
        static const enum pw_verdict verdicts[PW_RULE_KIND_COUNT] = {
            [PW_RULE_ALLOW] = PW_EXPECTED,
            [PW_RULE_DENY] = PW_DENIED,
            [PW_RULE_REQUIRE] = PW_EXPECTED,
            [PW_RULE_IGNORE] = PW_IGNORED,
        };

        return verdicts[rule->kind];
}

uint8_t pw_rule_protocol(uint8_t protocol)
{
        return protocol == PW_TCP ? PW_RULE_TCP : PW_RULE_UDP;
}

/* ---- rule and record ---- */

/* What is folded may have any port of the ephemeral range: numbers take it only where they are all
 * that there are. */
static bool span_matches(const struct pw_span *span, const struct pw_record *record)
{
        if (pw_record_is_folded(record))
                return span->first == 0 && span->last == UINT16_MAX;
        return record->port >= span->first && record->port <= span->last;
}

static bool ports_match(const struct pw_rule *rule, const struct pw_record *record)
{
        uint8_t protocol = pw_rule_protocol(record->protocol);

        if (!(rule->protocols & protocol))
                return false;
        if (rule->ephemeral && record->ephemeral)
                return true;
        for (size_t i = 0; i < rule->n_spans; i++) {
                const struct pw_span *span = &rule->spans[i];

                if (span->protocols & protocol && span_matches(span, record))
                        return true;
        }
        return false;
}

/* A name that is not there (NULL, or no device) is matched by no pattern, not even by `*`. */
static bool pattern_matches(const struct pw_pattern *pattern, const char *text)
{
        if (!pattern->text)
                return true;
        if (!text || text[0] == '\0')
                return false;
        return pattern->literal ? strcmp(pattern->text, text) == 0
                                : pw_text_glob(pattern->text, text);
}

static bool user_matches(const struct pw_rule *rule, const struct pw_owner *owner)
{
        return rule->has_uid ? owner->uid == rule->uid : pattern_matches(&rule->user, owner->user);
}

/* A path says who it is only where it leads to the very file that runs. A temporary place is fine
 * where the rule names it; a wildcard such as `*python3` does not. */
static bool exe_matches(const struct pw_rule *rule, const struct pw_owner *owner)
{
        if (!rule->exe.text)
                return true;
        if (owner->unknown != PW_KNOWN ||
            owner->traits & (PW_TRAIT_FOREIGN_ROOT | PW_TRAIT_DELETED | PW_TRAIT_MEMFD))
                return false;
        if (owner->traits & PW_TRAIT_TEMPORARY && !rule->temporary)
                return false;
        return pattern_matches(&rule->exe, owner->exe);
}

/* Where the owner is, as against who it is. */
static bool groups_match(const struct pw_rule *rule, const struct pw_owner *owner)
{
        return pattern_matches(&rule->unit, owner->unit) &&
               pattern_matches(&rule->user_unit, owner->user_unit) &&
               pattern_matches(&rule->container, owner->container);
}

static bool endpoint_matches(const struct pw_rule *rule, const struct pw_record *record,
                             uint64_t now_usec)
{
        return now_usec < rule->until_usec && ports_match(rule, record) &&
               rule->scopes & 1u << record->scope &&
               (!rule->has_address || pw_cidr_contains(&rule->address, &record->address)) &&
               pattern_matches(&rule->netns, record->netns) &&
               pattern_matches(&rule->device, record->device);
}

bool pw_rule_matches(const struct pw_rule *rule, const struct pw_record *record, uint64_t now_usec)
{
        const struct pw_owner *owner = record->owner;

        return endpoint_matches(rule, record, now_usec) && groups_match(rule, owner) &&
               (!rule->kernel || owner->traits & PW_TRAIT_KERNEL) && user_matches(rule, owner) &&
               exe_matches(rule, owner);
}

bool pw_rule_may_come_to_match(const struct pw_rule *rule, const struct pw_record *record,
                               uint64_t now_usec)
{
        return !rule->kernel && endpoint_matches(rule, record, now_usec) &&
               groups_match(rule, record->owner) &&
               (record->owner->uid == 0 || user_matches(rule, record->owner));
}

/* ---- rule and rule ---- */

static bool spans_cover(const struct pw_rule *wide, struct pw_span span, uint8_t protocol)
{
        for (size_t i = 0; i < wide->n_spans; i++)
                if (wide->spans[i].protocols & protocol && wide->spans[i].first <= span.first &&
                    wide->spans[i].last >= span.last)
                        return true;
        return false;
}

/* The ephemeral range is this host's and may change: only itself and all ports cover it. */
static bool ports_cover(const struct pw_rule *wide, const struct pw_rule *narrow)
{
        const struct pw_span all = {.first = 0, .last = UINT16_MAX};

        for (unsigned protocol = PW_RULE_TCP; protocol <= PW_RULE_UDP; protocol <<= 1) {
                uint8_t bit = (uint8_t)protocol;

                if (!(narrow->protocols & bit))
                        continue;
                if (!(wide->protocols & bit))
                        return false;
                if (narrow->ephemeral && !wide->ephemeral && !spans_cover(wide, all, bit))
                        return false;
                for (size_t i = 0; i < narrow->n_spans; i++)
                        if (narrow->spans[i].protocols & bit &&
                            !spans_cover(wide, narrow->spans[i], bit))
                                return false;
        }
        return true;
}

static bool address_covers(const struct pw_rule *wide, const struct pw_rule *narrow)
{
        const struct pw_cidr *a = &wide->address, *b = &narrow->address;

        if (!wide->has_address)
                return true;
        return narrow->has_address && a->address.family == b->address.family &&
               a->bits <= b->bits && pw_cidr_contains(a, &b->address);
}

static bool pattern_covers(const struct pw_pattern *wide, const struct pw_pattern *narrow)
{
        if (!wide->text)
                return true;
        if (!narrow->text)
                return false;
        if (narrow->literal)
                return pattern_matches(wide, narrow->text);
        return !wide->literal && (strcmp(wide->text, narrow->text) == 0 ||
                                  wide->text[strspn(wide->text, "*")] == '\0');
}

/* A uid is not a name: a user of that uid may have any name, and a name any uid. */
static bool user_covers(const struct pw_rule *wide, const struct pw_rule *narrow)
{
        if (wide->has_uid)
                return narrow->has_uid && narrow->uid == wide->uid;
        if (narrow->has_uid)
                return !wide->user.text;
        return pattern_covers(&wide->user, &narrow->user);
}

static bool exe_covers(const struct pw_rule *wide, const struct pw_rule *narrow)
{
        if (!wide->exe.text)
                return true;
        return pattern_covers(&wide->exe, &narrow->exe) && (wide->temporary || !narrow->temporary);
}

bool pw_rule_covers(const struct pw_rule *wide, const struct pw_rule *narrow)
{
        return wide->until_usec >= narrow->until_usec && pw_rule_covers_until_end(wide, narrow);
}

bool pw_rule_covers_until_end(const struct pw_rule *wide, const struct pw_rule *narrow)
{
        return ports_cover(wide, narrow) && (narrow->scopes & ~wide->scopes) == 0 &&
               address_covers(wide, narrow) && (!wide->kernel || narrow->kernel) &&
               user_covers(wide, narrow) && exe_covers(wide, narrow) &&
               pattern_covers(&wide->netns, &narrow->netns) &&
               pattern_covers(&wide->device, &narrow->device) &&
               pattern_covers(&wide->unit, &narrow->unit) &&
               pattern_covers(&wide->user_unit, &narrow->user_unit) &&
               pattern_covers(&wide->container, &narrow->container);
}
