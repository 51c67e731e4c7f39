/* SPDX-License-Identifier: MIT */
#pragma once

/* What the rules say of a listener, and why a person should look at it. */

#include <portwatch/base.h>

enum pw_verdict {
        PW_EXPECTED,
        PW_UNEXPECTED,
        PW_DENIED,
        PW_IGNORED,
        PW_VERDICT_COUNT,
        /* No verdict: a live look could not see the owner that the rules ask for. Has no name, is
         * never stored. */
        PW_UNJUDGED = PW_VERDICT_COUNT,
};
const char *pw_verdict_name(enum pw_verdict verdict); /* "expected", …; "" for PW_UNJUDGED */
int pw_verdict_from_name(const char *name, enum pw_verdict *ret);

/* Reasons for an alert, a set of bits; the lowest bit set is the gravest. */
enum pw_reason {
        PW_REASON_DENIED = 1 << 0,
        PW_REASON_SUSPICIOUS = 1 << 1,
        PW_REASON_SCOPE_WIDENED = 1 << 2,
        PW_REASON_SECOND_OWNER = 1 << 3,
        PW_REASON_REQUIRED_MISSING = 1 << 4,
        PW_REASON_NO_OWNER = 1 << 5,
        PW_REASON_UNEXPECTED = 1 << 6,
};
#define PW_REASON_COUNT 7

/* The gravest of a non-empty set. */
enum pw_reason pw_reason_gravest(unsigned reasons);
const char *pw_reason_name(enum pw_reason reason); /* "denied", "scope-widened", … */
int pw_reason_from_name(const char *name, enum pw_reason *ret);
/* Writes the set as a comma list, gravest first; returns `buffer`. */
char *pw_reasons_format(char *buffer, size_t size, unsigned reasons);
int pw_reasons_parse(const char *text, unsigned *ret);
#define PW_REASONS_MAX 128
/* syslog(3) level: LOG_ERR for denied and suspicious, else LOG_WARNING. */
int pw_reasons_priority(unsigned reasons);

/* `rule` is the place of the rule that decided, "FILE:LINE" in clean text, or NULL where none
 * matched. It belongs to whoever made the ruling and lives as long as that. */
struct pw_ruling {
        enum pw_verdict verdict;
        const char *rule;
};
