/* SPDX-License-Identifier: MIT */
#pragma once

/* portwatchctl answers questions: one verb, one file. A verb gets the parsed options and its words,
 * says what is wrong on standard error in one line, and returns the exit code. What several verbs
 * need (history, rules, filters, views) is below; the command line itself is ctl.c. */

#include <portwatch/iana.h>
#include <portwatch/query.h>

#include "daemon/policy.h"
#include "daemon/status.h"

#include <limits.h>

enum pw_exit {
        PW_EXIT_DONE = 0,
        PW_EXIT_FAILED = 1, /* or found something that should not be */
        PW_EXIT_USAGE = 2,
        PW_EXIT_NOTHING = 3, /* one thing was named, and it is not there */
        PW_EXIT_NOT_PERMITTED = 4,
        PW_EXIT_CANNOT_JUDGE = 5,
};

enum pw_json {
        PW_JSON_OFF,
        PW_JSON_SHORT,
        PW_JSON_PRETTY,
};

#define PW_RULES_DIRS_MAX 16

struct pw_verb;

struct pw_ctl {
        /* options; NULL or false where not given */
        enum pw_json json;
        bool no_pager, no_legend, quiet, help, version;
        bool all, unexpected, sockets;
        const char *columns, *at, *since, *until, *count, *lasting, *record, *replay;
        const char *state_dir, *run_dir;
        const char *rules_dirs[PW_RULES_DIRS_MAX + 1];
        size_t n_rules_dirs;

        /* the verb and the words behind it */
        const struct pw_verb *verb;
        char **words;
        size_t n_words;

        /* surroundings */
        char baseline[PATH_MAX];
        uint64_t now_usec;
        struct pw_services *services; /* NULL where /etc/services cannot be read */
        bool ascii;                   /* the locale's characters are not UTF-8 */
};

/* The whole program: parses, runs the verb, returns the exit code. */
int pw_ctl_main(int argc, char **argv);

/* Reads the command line into a cleared *ctl. Returns -1 to go on, else the exit code; prints what
 * is wrong. The words stay the caller's (argv is permuted). */
int pw_ctl_parse(struct pw_ctl *ctl, int argc, char **argv);

/* The verbs. Each returns an exit code. */
int pw_ctl_list(struct pw_ctl *ctl);
int pw_ctl_history(struct pw_ctl *ctl);
int pw_ctl_alerts(struct pw_ctl *ctl);
int pw_ctl_show(struct pw_ctl *ctl);
int pw_ctl_explain(struct pw_ctl *ctl);
int pw_ctl_scan(struct pw_ctl *ctl);
int pw_ctl_add_rule(struct pw_ctl *ctl); /* allow, deny, require */
int pw_ctl_baseline(struct pw_ctl *ctl);
int pw_ctl_rules(struct pw_ctl *ctl);
int pw_ctl_check(struct pw_ctl *ctl);
int pw_ctl_verify(struct pw_ctl *ctl);
int pw_ctl_status(struct pw_ctl *ctl);
int pw_ctl_complete(struct pw_ctl *ctl);

/* The verb's name, for `allow`, `deny` and `require`, which share a function. */
const char *pw_ctl_verb_name(const struct pw_ctl *ctl);

/* ---- what verbs share (common.c) ---- */

/* Prints one line on standard error, made clean, with the program's name in front, and returns
 * `code`. */
int pw_ctl_fail(int code, const char *format, ...) _printf_(2, 3);
/* The same for something that was left out or should be known; silent with -q. */
void pw_ctl_note(const struct pw_ctl *ctl, const char *format, ...) _printf_(2, 3);
int pw_ctl_no_memory(void);

/* The verdict in a sentence, where none must be told, too. */
static inline const char *pw_verdict_text(enum pw_verdict verdict)
{
        return verdict == PW_UNJUDGED ? "not judged" : pw_verdict_name(verdict);
}

/* A filter of the words from `first` on. 0 or an exit code. */
int pw_ctl_filter(const struct pw_ctl *ctl, size_t first, struct pw_filter **ret);

/* Where nothing matched: says which of the words hardly can (a unit without its type, a user whom
 * this host does not know). */
void pw_ctl_note_words(const struct pw_ctl *ctl);

/* A point in time as typed after `option`. 0 or an exit code. The
 * second refuses one that has not come yet. */
int pw_ctl_time(const struct pw_ctl *ctl, const char *option, const char *text, uint64_t *ret);
int pw_ctl_past_time(const struct pw_ctl *ctl, const char *option, const char *text, uint64_t *ret);

/* Opens the history; says what to do where that fails. 0 or an exit code. */
int pw_ctl_query(const struct pw_ctl *ctl, struct pw_query **ret);
/* Says why a question to the history failed; returns the exit code. */
int pw_ctl_query_failed(const struct pw_ctl *ctl, int error);

/* Whether the daemon lives; reads what it left (cleared where there is nothing). */
bool pw_ctl_daemon(const struct pw_ctl *ctl, struct pw_status *ret);

/* Whether a living daemon has completed no look for longer than it can take: it hangs, or its looks
 * fail. */
bool pw_ctl_daemon_is_silent(const struct pw_ctl *ctl, const struct pw_status *status);
/* Says that the daemon refused rules, where it did. */
void pw_ctl_note_refused(const struct pw_ctl *ctl, const struct pw_status *status);

/* The command that starts the daemon on this host, and the one that shows its log. */
const char *pw_ctl_start_command(void);
const char *pw_ctl_log_command(void);
/* `portwatchctl show`, with sudo in front where this user may not read the history. */
const char *pw_ctl_show_command(const struct pw_ctl *ctl);

/* The rules in force. `*ret` is NULL where they cannot be read, and `refusals` says why. 0 or an
 * exit code. */
struct pw_policy_paths pw_ctl_policy_paths(const struct pw_ctl *ctl);
int pw_ctl_policy(const struct pw_ctl *ctl, struct pw_policy **ret, struct pw_refusals *refusals);

/* Whether a refusal says that a file may not be read: nobody's mistake, and worth a sudo. */
bool pw_ctl_not_permitted(const char *refusal);
/* Says why there are no rules to work with, and what to do; returns the exit code. */
int pw_ctl_rules_refused(const struct pw_refusals *refusals);

/* Judges every record; PW_UNJUDGED where it would be unexpected, and the owner could not be seen. 0
 * or -ENOMEM. */
int pw_ctl_judge(const struct pw_ctl *ctl, const struct pw_policy *policy,
                 struct pw_records *records);

/* Removes the records for which keep() is false. */
void pw_ctl_keep(struct pw_records *records,
                 bool (*keep)(const struct pw_record *record, const void *userdata),
                 const void *userdata);

/* Whether the filter at `userdata` matches: for pw_ctl_keep(). */
bool pw_ctl_matches(const struct pw_record *record, const void *userdata);

/* `WORD` as one shell word: as it is where harmless, else in single quotes. Returns `buffer`. */
char *pw_shell_quote(char *buffer, size_t size, const char *word);
#define PW_SHELL_MAX (4 * PW_UNIT_MAX + 3) /* of a unit */
