/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of the policy share, and nobody else sees: one rule, its parser, what it matches,
 * and the files that rules come from.
 *
 * policy.c holds the rules and judges; rule-parse.c turns a line into a rule; rule-match.c compares
 * a rule with a record or another rule; rule-files.c finds and reads files; rule-edit.c adds a
 * line; rule-format.c makes a rule, baseline.c many of them. */

#include "daemon/policy.h"

#define PW_RULE_FILE_MAX (1024 * 1024) /* bytes of a file */
#define PW_RULE_LINE_MAX 4096          /* bytes of a line */
#define PW_RULE_SUFFIX ".rules"
#define PW_RULES_MAX 100000
#define PW_RULE_GRACE_USEC (5 * PW_USEC_PER_SEC) /* of `require` without grace=: a restart */
#define PW_RULE_PATH_MAX 4096

enum pw_rule_kind {
        PW_RULE_ALLOW,
        PW_RULE_DENY,
        PW_RULE_REQUIRE,
        PW_RULE_IGNORE,
        PW_RULE_KIND_COUNT,
};

/* Protocols as a set, so that `any` is one rule. UDP-Lite counts as UDP. */
enum {
        PW_RULE_TCP = 1 << 0,
        PW_RULE_UDP = 1 << 1,
};

struct pw_span {
        uint8_t protocols; /* a service name may stand for other ports on TCP than on UDP */
        uint16_t first, last;
};

/* The value of a key that takes globs. A pattern without wildcards is kept as the text that it
 * stands for, `[*]` and the like resolved, and compared by strcmp(). */
struct pw_pattern {
        char *text; /* NULL: the key is not given */
        bool literal;
};

struct pw_rule {
        char *place; /* FILE:LINE */
        char *text;
        char *comment;
        size_t line;
        enum pw_rule_kind kind;
        uint8_t protocols;
        bool ephemeral;        /* also every port of the host's ephemeral range */
        struct pw_span *spans; /* sorted, merged where they touch */
        size_t n_spans, spans_capacity;
        uint16_t *ports; /* require: the single ports, ascending */
        size_t n_ports;
        bool has_address, has_uid, kernel;
        bool temporary; /* exe= names a path below /tmp or the like, not merely by a wildcard */
        struct pw_cidr address;
        uint32_t uid;    /* user= was a number */
        unsigned scopes; /* a bit each; all where the key is not given */
        struct pw_pattern device, user, exe, unit, user_unit, container;
        struct pw_pattern netns; /* always set: the host's where the key is not given */
        uint64_t grace_usec, until_usec;
};

/* Where a line is wrong (in characters, from 1) and how. */
struct pw_rule_fault {
        size_t column;
        char text[PW_REFUSAL_MAX];
};

/* Reads one line (no newline). Returns 0; 1: blank or only a comment; -EINVAL and the fault;
 * -ENOMEM. `place` and `line` of the rule are left to the caller. */
int pw_rule_parse(const char *line, size_t length, const struct pw_services *services,
                  struct pw_rule *ret, struct pw_rule_fault *ret_fault);
void pw_rule_done(struct pw_rule *rule);

enum pw_verdict pw_rule_verdict(const struct pw_rule *rule);
/* PW_RULE_TCP or PW_RULE_UDP. */
uint8_t pw_rule_protocol(uint8_t protocol);
bool pw_rule_matches(const struct pw_rule *rule, const struct pw_record *record, uint64_t now_usec);
/* Whether the rule would match but for user and program, and the owner may come to have these: root
 * can become any user, and everybody can execute another program. */
bool pw_rule_may_come_to_match(const struct pw_rule *rule, const struct pw_record *record,
                               uint64_t now_usec);
/* Whether `wide` provably matches whatever `narrow` does, at any time. */
bool pw_rule_covers(const struct pw_rule *wide, const struct pw_rule *narrow);
/* The same, for as long as `wide` has not ended. */
bool pw_rule_covers_until_end(const struct pw_rule *wide, const struct pw_rule *narrow);

/* Appends one sentence, cleaned and cut. 0 or -ENOMEM. */
int pw_refusals_add(struct pw_refusals *refusals, const char *format, ...) _printf_(2, 3);

/* The keys of the rule that pw_rule_format() makes, each with a space in front. Returns as that. */
int pw_rule_format_keys(const struct pw_record *record, char *buffer, size_t size);

/* ---- files ---- */

struct pw_rule_file {
        char *path;
        const char *name; /* in path */
        size_t rank;      /* of its directory */
        bool masked;      /* a link to /dev/null: hides later ones, has no rules */
        bool replaced;    /* its text is given, not read */
};
struct pw_rule_files {
        struct pw_rule_file *items;
        size_t n, capacity;
};

/* One file whose text is given instead of read, whether it is there or not. Loading notes which
 * rules came from it: first <= i < end; none where its path is not among the files that count. */
struct pw_rule_source {
        const char *path, *text;
        size_t length;
        size_t first, end;
};

/* The files in the order in which they count. What is no file is told to `refusals`. `instead` may
 * be NULL; where its path lies in none of the directories, no item is `replaced`. 0 or -errno. */
int pw_rule_files_list(const struct pw_policy_paths *paths, const struct pw_rule_source *instead,
                       struct pw_rule_files *ret, struct pw_refusals *refusals);
void pw_rule_files_done(struct pw_rule_files *files);

/* Reads a whole file. 0 and a new string; 1: cannot be used, told to `refusals`; -ENOENT; -ENOMEM.
 */
int pw_rule_file_read(const char *path, char **ret, size_t *ret_length,
                      struct pw_refusals *refusals);

/* Opens the directory that a path is in; `*ret_name` is the rest of the path. The descriptor, or
 * -errno. */
int pw_rule_directory(const char *path, const char **ret_name);

/* pw_policy_load() with one file's text replaced; `instead` may be NULL. */
int pw_policy_load_instead(const struct pw_policy_paths *paths, struct pw_rule_source *instead,
                           const struct pw_services *services, struct pw_policy **ret,
                           struct pw_refusals *refusals);
const struct pw_rule *pw_policy_get(const struct pw_policy *policy, size_t i);
