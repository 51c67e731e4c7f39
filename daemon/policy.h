/* SPDX-License-Identifier: MIT */
#pragma once

/* The rules: what may be open. Parsing is pure (bytes in, rules out, refusals with file, line and
 * column); judging is pure (`now` is a parameter). First match wins; no match is unexpected. */

#include <portwatch/iana.h>
#include <portwatch/record.h>

struct pw_policy;

/* What a refused line says: `FILE:LINE:COLUMN: what was expected`, clean text. */
#define PW_REFUSAL_MAX 512
struct pw_refusals {
        char **items;
        size_t n, capacity; /* at most PW_REFUSALS_LIMIT are kept, the rest counted */
        size_t total;
};
#define PW_REFUSALS_LIMIT 100
void pw_refusals_done(struct pw_refusals *refusals);

/* Where rules come from: directories of *.rules files, an earlier directory hiding a later one's
 * file of the same name, all sorted by name; then one more file (the baseline), if not NULL. */
struct pw_policy_paths {
        const char *const *dirs; /* NULL-terminated */
        const char *baseline;    /* path, may be missing */
};

/* Reads all rules. `services` (may be NULL) gives names beyond IANA's. Returns 0; 1 where lines
 * were refused or a file could not be read: `*ret` then holds nothing new (NULL) and `refusals`
 * says what; a missing directory is no error. -ENOMEM. Limits: 1 MiB a file, 4096 bytes a line,
 * 100,000 rules. */
int pw_policy_load(const struct pw_policy_paths *paths, const struct pw_services *services,
                   struct pw_policy **ret, struct pw_refusals *refusals);

/* The same of one text, named `file` in refusals and rulings. Rules are added behind those there.
 */
int pw_policy_new(struct pw_policy **ret);
int pw_policy_parse(struct pw_policy *policy, const char *file, const char *text, size_t length,
                    const struct pw_services *services, struct pw_refusals *refusals);
void pw_policy_free(struct pw_policy *policy);
PW_DEFINE_CLEANUP(struct pw_policy *, pw_policy_free)

/* Judges a record (labels and owner filled in) at `now_usec` (since 1970: rules with `until=` end).
 * The ruling's `rule` lives as long as the policy. */
struct pw_ruling pw_policy_judge(const struct pw_policy *policy, const struct pw_record *record,
                                 uint64_t now_usec);

/* Whether a rule would expect the record if its owner, in a moment, were another user (root can
 * become any) or ran another program. */
bool pw_policy_may_come_to_expect(const struct pw_policy *policy, const struct pw_record *record,
                                  uint64_t now_usec);

/* When the next rule with `until=` ends (since 1970), PW_USEC_INFINITY: none. */
uint64_t pw_policy_next_end(const struct pw_policy *policy, uint64_t now_usec);

/* The rules in effective order, for `rules`, `check` and the daemon's `require`. */
struct pw_rule_info {
        const char *place; /* FILE:LINE */
        const char *text;  /* the line as written, clean, comment and margins cut */
        enum pw_verdict verdict;
        bool require;
        uint64_t grace_usec; /* require: how long the port may be missing */
        uint64_t until_usec; /* PW_USEC_INFINITY: no end */
        uint8_t protocol;    /* require: PW_TCP or PW_UDP; 0: any */
        const char *comment; /* may be NULL */
        const char *exe;     /* exe= as a plain path; NULL: none, or a pattern */
        const char *user;    /* user= as a plain name; NULL: none, a pattern or a uid */
};
size_t pw_policy_count(const struct pw_policy *policy);
struct pw_rule_info pw_policy_rule(const struct pw_policy *policy, size_t i);
/* The single ports of a require rule; returns how many. */
size_t pw_policy_rule_ports(const struct pw_policy *policy, size_t i, const uint16_t **ret);
/* Whether rule i alone matches the record at `now_usec`. */
bool pw_policy_rule_matches(const struct pw_policy *policy, size_t i,
                            const struct pw_record *record, uint64_t now_usec);
/* The earlier rule that takes everything rule i could match, or -1. Compares the keys one by one
 * and answers -1 where it cannot prove it. */
ssize_t pw_policy_shadowed_by(const struct pw_policy *policy, size_t i);

/* ---- writing rules ---- */

/* One readable rule that matches just this listener: `allow tcp 8080 exe=/usr/bin/x user=dev
 * scope=any`; ports in the ephemeral range become `ephemeral`; values with spaces or `#` are
 * quoted. Returns 0; 1: not to be learned, pw_owner_obstacle() says why; -E2BIG. */
int pw_rule_format(const struct pw_record *record, const char *verdict, char *buffer, size_t size);
#define PW_RULE_TEXT_MAX 2048

/* Writes the baseline: head comment (when, by what), one rule a listener with a comment; duplicates
 * once, sorted. `ret_learned` and `ret_left_out` count. Fails with -EEXIST where the file is there.
 */
int pw_baseline_write(const char *path, const struct pw_records *records, uint64_t now_usec,
                      size_t *ret_learned, size_t *ret_left_out);
/* The same rules, headed as a text to edit, for `portwatchctl baseline`; a new string, NULL when
 * out of memory. */
char *pw_baseline_text(const struct pw_records *records, uint64_t now_usec, size_t *ret_learned,
                       size_t *ret_left_out);

/* Adds a line (no newline) to the file `path` (made with mode 0644 where missing), before the first
 * rule there that would shadow it, else at the end; atomically. `paths` are the rules in force:
 * where a rule in another file shadows the new one at `now_usec` (since 1970), nothing is
 * written. Returns 0: written at `ret_place`; 1: shadowed, `ret_place` names the rule; 2: the very
 * same rule is there already (`ret_place`; comments do not count); 3: a rule with the same verdict
 * takes all of it already (`ret_place`); -EINVAL: the line is refused, `ret_place` says why; -errno
 * of the file. */
int pw_rule_add(const struct pw_policy_paths *paths, const char *path, const char *line,
                const struct pw_services *services, uint64_t now_usec, char *ret_place,
                size_t place_size);
