/* SPDX-License-Identifier: MIT */
/* The tables of verbs and options, and how they are read: getopt_long(3) gets its own two tables
 * from ours, so that an option is written down once. */

#include "ctl/options.h"

#include <portwatch/paths.h>
#include <portwatch/text.h>

#include <getopt.h>

const struct pw_verb pw_verbs[] = {
    {"list", pw_ctl_list, PW_OPTION_ALL | PW_OPTION_UNEXPECTED | PW_OPTION_AT | PW_OPTION_COLUMNS,
     0, SIZE_MAX, "[FILTER...]", "What is open now",
     "portwatchctl list tcp scope=any    TCP ports open on all addresses\n"
     "portwatchctl list --unexpected     what no rule expects\n"
     "portwatchctl list --at yesterday   what was open then\n"},
    {"history", pw_ctl_history, PW_OPTION_SPAN | PW_OPTION_COLUMNS, 0, SIZE_MAX, "[FILTER...]",
     "What was open, newest first",
     "portwatchctl history 8080 --since -2d   who had the port in two days\n"
     "portwatchctl history user=dev -n 20     the last 20 of a user\n"},
    {"alerts", pw_ctl_alerts, PW_OPTION_ALL | PW_OPTION_COLUMNS, 0, SIZE_MAX, "[FILTER...]",
     "Alerts that are open",
     "portwatchctl alerts --all               resolved ones, too\n"
     "portwatchctl alerts reason=suspicious   only those\n"},
    {"show", pw_ctl_show, 0, 1, 1, "PORT|@ALERT",
     "One port: who has it, since when, how to allow it, how to close it",
     "portwatchctl show 8080   the port\n"
     "portwatchctl show @17    the port of alert 17\n"},
    {"explain", pw_ctl_explain, 0, 1, 1, "PORT", "What a port number means, on this host",
     "portwatchctl explain 443      by number\n"
     "portwatchctl explain domain   by name\n"},
    {"scan", pw_ctl_scan, PW_OPTION_ALL | PW_OPTION_UNEXPECTED | PW_OPTION_LIVE | PW_OPTION_COLUMNS,
     0, SIZE_MAX, "[FILTER...]", "What is open now, asked of the kernel: needs no daemon",
     "portwatchctl scan tcp                TCP listeners\n"
     "portwatchctl scan --sockets          each socket by itself\n"
     "portwatchctl scan --replay=FILE      a recording, also one of ss -D\n"},
    {"allow", pw_ctl_add_rule, PW_OPTION_FOR, 1, SIZE_MAX, "RULE...|@ALERT", "Expect a port",
     "portwatchctl allow @17                               what alert 17 is about\n"
     "portwatchctl allow tcp 8080 user=dev --for 8h        until this evening\n"
     "portwatchctl allow tcp 80,443 exe=/usr/sbin/nginx    two ports of one program\n"},
    {"deny", pw_ctl_add_rule, PW_OPTION_FOR, 1, SIZE_MAX, "RULE...|@ALERT",
     "Alert at error level when a port is open", "portwatchctl deny tcp 23     no telnet here\n"},
    {"require", pw_ctl_add_rule, PW_OPTION_FOR, 1, SIZE_MAX, "RULE...|@ALERT",
     "Expect a port, and alert when it is not open",
     "portwatchctl require tcp 5432 user=postgres grace=30s   must be up\n"},
    {"baseline", pw_ctl_baseline, 0, 0, 0, "", "Print rules for what is open now",
     "portwatchctl baseline > mine.rules   to edit, check, and put with the rules\n"},
    {"rules", pw_ctl_rules, 0, 0, 0, "", "The rules in effective order, and what each matches",
     "portwatchctl rules\n"},
    {"check", pw_ctl_check, 0, 0, SIZE_MAX, "[FILE]|PORT [KEY=VALUE...]",
     "Verify rules and settings; or ask which rule would decide",
     "portwatchctl check                         all that is installed\n"
     "portwatchctl check new.rules               a file before it is put in place\n"
     "portwatchctl check tcp/8080 user=dev       what would be said of this\n"},
    {"verify", pw_ctl_verify, PW_OPTION_COLUMNS, 0, SIZE_MAX, "[FILTER...]",
     "For scripts: 0 nothing unexpected open, 1 a list, 5 cannot judge",
     "portwatchctl verify   the list, and exit status 1 if there is one\n"
     "report=$(portwatchctl verify 2>&1) || echo \"$report\" | mail root   from cron\n"},
    {"status", pw_ctl_status, 0, 0, 0, "", "Is the daemon alive, what it costs, what it cannot see",
     "portwatchctl status --json=pretty\n"},
};
const size_t pw_verbs_count = PW_ELEMENTS(pw_verbs);

/* Not among those that help and completion list: it is for shells, not for people. */
static const struct pw_verb complete_verb = {
    "complete",
    pw_ctl_complete,
    0,
    1,
    SIZE_MAX,
    "-- WORD...",
    "For shells: what the last word may become",
    "portwatchctl complete -- list --un   one candidate a line, a tab, what it is\n"};

#define FIELD(name) offsetof(struct pw_ctl, name)

const struct pw_option pw_options[] = {
    {"all", 0, PW_OPTION_FLAG, FIELD(all), PW_OPTION_ALL, NULL, "Also what is ignored or resolved"},
    {"unexpected", 0, PW_OPTION_FLAG, FIELD(unexpected), PW_OPTION_UNEXPECTED, NULL,
     "Only what is unexpected or denied"},
    {"at", 0, PW_OPTION_TEXT, FIELD(at), PW_OPTION_AT, "TIME", "As it was then"},
    {"since", 0, PW_OPTION_TEXT, FIELD(since), PW_OPTION_SPAN, "TIME", "Only what was open after"},
    {"until", 0, PW_OPTION_TEXT, FIELD(until), PW_OPTION_SPAN, "TIME", "Only what was open before"},
    {"lines", 'n', PW_OPTION_TEXT, FIELD(count), PW_OPTION_SPAN, "N|all",
     "So many at most (1000 by default)"},
    {"for", 0, PW_OPTION_TEXT, FIELD(lasting), PW_OPTION_FOR, "SPAN",
     "The rule ends after 8h, 30d and so on"},
    {"sockets", 0, PW_OPTION_FLAG, FIELD(sockets), PW_OPTION_LIVE, NULL,
     "Each socket by itself, not merged into listeners"},
    {"record", 0, PW_OPTION_TEXT, FIELD(record), PW_OPTION_LIVE, "FILE",
     "Also write what the kernel said"},
    {"replay", 0, PW_OPTION_TEXT, FIELD(replay), PW_OPTION_LIVE, "FILE",
     "Read a recording instead of the kernel"},
    {"columns", 'o', PW_OPTION_TEXT, FIELD(columns), PW_OPTION_COLUMNS, "COLUMNS",
     "These columns of the table; see VERB --help"},
    {"json", 0, PW_OPTION_JSON, 0, 0, "MODE", "JSON: short (default), pretty, off"},
    {"quiet", 'q', PW_OPTION_FLAG, FIELD(quiet), 0, NULL, "No footer, no hints"},
    {"no-legend", 0, PW_OPTION_FLAG, FIELD(no_legend), 0, NULL, "No headings, no footer"},
    {"no-pager", 0, PW_OPTION_FLAG, FIELD(no_pager), 0, NULL, "Do not page long output"},
    {"state", 0, PW_OPTION_TEXT, FIELD(state_dir), 0, "DIR", "Where the history is"},
    {"run", 0, PW_OPTION_TEXT, FIELD(run_dir), 0, "DIR", "Where the daemon's status is"},
    {"rules", 0, PW_OPTION_RULES, 0, 0, "DIR", "Where rules are; may be given again"},
    {"help", 'h', PW_OPTION_FLAG, FIELD(help), 0, NULL, "This help; behind a verb, the verb's"},
    {"version", 0, PW_OPTION_FLAG, FIELD(version), 0, NULL, "The version"},
};
const size_t pw_options_count = PW_ELEMENTS(pw_options);

/* getopt_long() values: options without a letter get numbers behind all letters. */
#define VALUE_BASE 256
#define SHORT_MAX (2 * PW_ELEMENTS(pw_options) + 2)

static void make_tables(struct option *longs, char *shorts)
{
        *shorts++ = ':'; /* tell a missing argument from an unknown option */
        for (size_t i = 0; i < PW_ELEMENTS(pw_options); i++) {
                const struct pw_option *option = &pw_options[i];
                int argument = option->argument ? required_argument : no_argument;

                if (option->kind == PW_OPTION_JSON)
                        argument = optional_argument;
                longs[i] = (struct option){option->name, argument, NULL, VALUE_BASE + (int)i};
                if (option->letter) {
                        *shorts++ = option->letter;
                        if (option->argument)
                                *shorts++ = ':';
                }
        }
        *shorts = '\0';
}

static const struct pw_option *option_of(int value)
{
        if (value >= VALUE_BASE)
                return &pw_options[value - VALUE_BASE];
        for (size_t i = 0; i < PW_ELEMENTS(pw_options); i++)
                if (pw_options[i].letter == value)
                        return &pw_options[i];
        return NULL;
}

static int set_json(struct pw_ctl *ctl, const char *mode)
{
        if (!mode || strcmp(mode, "short") == 0)
                ctl->json = PW_JSON_SHORT;
        else if (strcmp(mode, "pretty") == 0)
                ctl->json = PW_JSON_PRETTY;
        else if (strcmp(mode, "off") == 0)
                ctl->json = PW_JSON_OFF;
        else
                return pw_ctl_fail(PW_EXIT_USAGE, "--json: '%s' is not short, pretty or off", mode);
        return 0;
}

static int set_option(struct pw_ctl *ctl, const struct pw_option *option, const char *argument)
{
        void *field = (char *)ctl + option->offset;

        switch (option->kind) {
        case PW_OPTION_FLAG:
                *(bool *)field = true;
                return 0;
        case PW_OPTION_TEXT:
                if (argument[0] == '\0')
                        return pw_ctl_fail(PW_EXIT_USAGE, "--%s: empty; expected %s", option->name,
                                           option->argument);
                *(const char **)field = argument;
                return 0;
        case PW_OPTION_JSON:
                return set_json(ctl, argument);
        case PW_OPTION_RULES:
                if (ctl->n_rules_dirs == PW_RULES_DIRS_MAX)
                        return pw_ctl_fail(PW_EXIT_USAGE, "--rules: more than %d directories",
                                           PW_RULES_DIRS_MAX);
                ctl->rules_dirs[ctl->n_rules_dirs++] = argument;
                return 0;
        }
        return 0;
}

static int refuse_option(int kind, char **argv)
{
        const char *word = argv[optind - 1];

        if (kind == ':')
                return pw_ctl_fail(PW_EXIT_USAGE, "'%s' needs an argument behind it", word);
        if (optopt >= VALUE_BASE)
                return pw_ctl_fail(PW_EXIT_USAGE, "'%s' takes no argument", word);
        if (optopt == 0)
                return pw_ctl_fail(PW_EXIT_USAGE, "'%s' is not an option; see portwatchctl --help",
                                   word);
        if (optopt == 'V')
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "'-V' is not an option; did you mean: portwatchctl --version");
        if (optopt >= '0' && optopt <= '9')
                return pw_ctl_fail(PW_EXIT_USAGE, "'-%c...' is not a port; expected 1 to 65535",
                                   optopt);
        return pw_ctl_fail(PW_EXIT_USAGE, "'-%c' is not an option; see portwatchctl --help",
                           optopt);
}

static int check_options(const struct pw_ctl *ctl, const bool *given)
{
        for (size_t i = 0; i < PW_ELEMENTS(pw_options); i++)
                if (given[i] && pw_options[i].set && !(pw_options[i].set & ctl->verb->options))
                        return pw_ctl_fail(PW_EXIT_USAGE,
                                           "--%s does not go with '%s'; see portwatchctl %s --help",
                                           pw_options[i].name, ctl->verb->name, ctl->verb->name);
        return -1;
}

/* What `show` takes: an alert, or something with digits that is no range and no list. */
static bool is_one_port(const char *word)
{
        return word[0] == '@' || (strpbrk(word, "0123456789/") && !strpbrk(word, "-,="));
}

/* What somebody meant who typed a word that is no verb. */
static int refuse_verb(const char *word)
{
        const struct pw_verb *nearest = pw_verb_nearest(word);

        if (strcmp(word, "help") == 0 || strcmp(word, "version") == 0)
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "'%s' is not a verb; did you mean: portwatchctl --%s", word,
                                   word);
        if (word[0] == ':' || word[0] == '@' || (word[0] >= '0' && word[0] <= '9') ||
            strncmp(word, "tcp", 3) == 0 || strncmp(word, "udp", 3) == 0 || strchr(word, '='))
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "'%s' is not a verb; did you mean: portwatchctl %s %s", word,
                                   is_one_port(word) ? "show" : "list", word);
        if (nearest)
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "'%s' is not a verb; did you mean: portwatchctl %s", word,
                                   nearest->name);
        return pw_ctl_fail(PW_EXIT_USAGE, "'%s' is not a verb; see portwatchctl --help", word);
}

static int check_words(const struct pw_ctl *ctl)
{
        const struct pw_verb *verb = ctl->verb;

        if (ctl->n_words < verb->least_words)
                return pw_ctl_fail(PW_EXIT_USAGE, "%s what? Expected: portwatchctl %s %s",
                                   verb->name, verb->name, verb->words);
        if (ctl->n_words > verb->most_words)
                return pw_ctl_fail(PW_EXIT_USAGE, "'%s' is too much; expected: portwatchctl %s %s",
                                   ctl->words[verb->most_words], verb->name, verb->words);
        return -1;
}

static void set_defaults(struct pw_ctl *ctl)
{
        if (!ctl->run_dir)
                ctl->run_dir = ctl->state_dir ? ctl->state_dir : PW_RUN_DIR;
        if (!ctl->state_dir)
                ctl->state_dir = PW_STATE_DIR;
        if (ctl->n_rules_dirs == 0) {
                ctl->rules_dirs[ctl->n_rules_dirs++] = PW_RULES_DIR_ETC;
                ctl->rules_dirs[ctl->n_rules_dirs++] = PW_RULES_DIR_LIB;
        }
}

static int find_verb(struct pw_ctl *ctl)
{
        const char *word = ctl->n_words > 0 ? ctl->words[0] : NULL;

        ctl->verb = pw_verb_find(word ? word : "list");
        if (!ctl->verb)
                return refuse_verb(word);
        if (word) {
                ctl->words++;
                ctl->n_words--;
        }
        return 0;
}

int pw_ctl_parse(struct pw_ctl *ctl, int argc, char **argv)
{
        struct option longs[PW_ELEMENTS(pw_options) + 1] = {0};
        bool given[PW_ELEMENTS(pw_options)] = {0};
        char shorts[SHORT_MAX];
        int value, r;

        make_tables(longs, shorts);
        optind = 0; /* GNU: begin anew */
        opterr = 0;
        while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
                const struct pw_option *option = option_of(value);

                if (!option)
                        return refuse_option(value, argv);
                given[option - pw_options] = true;
                r = set_option(ctl, option, optarg);
                if (r > 0)
                        return r;
        }
        ctl->words = argv + optind;
        ctl->n_words = (size_t)(argc - optind);
        if (ctl->version) {
                printf("portwatchctl %s\n", PORTWATCH_VERSION);
                return PW_EXIT_DONE;
        }
        if (ctl->help && ctl->n_words == 0) {
                pw_ctl_help(NULL);
                return PW_EXIT_DONE;
        }
        r = find_verb(ctl);
        if (r > 0)
                return r;
        if (ctl->help) {
                pw_ctl_help(ctl->verb);
                return PW_EXIT_DONE;
        }
        set_defaults(ctl);
        r = check_options(ctl, given);
        return r < 0 ? check_words(ctl) : r;
}

const struct pw_verb *pw_verb_find(const char *name)
{
        for (size_t i = 0; i < PW_ELEMENTS(pw_verbs); i++)
                if (strcmp(pw_verbs[i].name, name) == 0)
                        return &pw_verbs[i];
        return strcmp(complete_verb.name, name) == 0 ? &complete_verb : NULL;
}

/* How many letters to add, take away or change (Levenshtein); words are short. */
static size_t distance(const char *a, const char *b)
{
        size_t row[16];
        size_t n = strlen(b);

        if (n + 1 > PW_ELEMENTS(row))
                return SIZE_MAX;
        for (size_t j = 0; j <= n; j++)
                row[j] = j;
        for (size_t i = 0; a[i]; i++) {
                size_t diagonal = row[0];

                row[0] = i + 1;
                for (size_t j = 1; j <= n; j++) {
                        size_t changed = diagonal + (a[i] != b[j - 1]);

                        diagonal = row[j];
                        row[j] = PW_MIN(changed, PW_MIN(row[j], row[j - 1]) + 1);
                }
        }
        return row[n];
}

const struct pw_verb *pw_verb_nearest(const char *word)
{
        const struct pw_verb *nearest = NULL;
        size_t least = 3;

        for (size_t i = 0; i < PW_ELEMENTS(pw_verbs); i++) {
                size_t d = distance(word, pw_verbs[i].name);

                if (d < least && d < strlen(pw_verbs[i].name) - 1) {
                        least = d;
                        nearest = &pw_verbs[i];
                }
        }
        return nearest;
}
