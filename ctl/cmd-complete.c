/* SPDX-License-Identifier: MIT */
/* complete: what may stand at the end of a command line; asked by the shells' completions, so that
 * these know no verb, option or column of their own.
 *
 *     portwatchctl complete -- WORD…    the words behind "portwatchctl", the last as far as typed
 *
 * One candidate a line, a tab, what it is. A line that begins with a tab orders the shell to
 * complete `files` or `directories`. Nothing is ever said on standard error.
 *
 * Names that any user may choose (a unit, a path) are candidates only where a shell reads them as
 * just themselves: what a completion has put on the command line may be run at the next key. */

#include "ctl/columns.h"
#include "ctl/ctl.h"
#include "ctl/live.h"
#include "ctl/options.h"

#include <portwatch/text.h>

/* ---- candidates ---- */

struct candidate {
        char *text, *about;
};

/* What is being typed, and what it may become. */
struct completion {
        const char *word;    /* the last word */
        const char *current; /* in it: all of it, or the argument behind an option's `=` */
        char stem[256];      /* how it begins, whatever is chosen: `user=`, `tcp/` */
        struct candidate *items;
        size_t n, capacity;
        bool failed; /* out of memory */
};

static void completion_done(struct completion *completion)
{
        for (size_t i = 0; i < completion->n; i++) {
                free(completion->items[i].text);
                free(completion->items[i].about);
        }
        free(completion->items);
}

/* The first `length` bytes of the current word stay as they are. */
static void set_stem(struct completion *completion, size_t length)
{
        snprintf(completion->stem, sizeof completion->stem, "%.*s", (int)length,
                 completion->current);
}

/* Offers stem + text, where it goes on with what has been typed. */
static void offer(struct completion *completion, const char *text, const char *about)
{
        struct candidate candidate = {0};

        if (asprintf(&candidate.text, "%s%s", completion->stem, text) < 0)
                candidate.text = NULL;
        if (candidate.text &&
            strncmp(candidate.text, completion->current, strlen(completion->current)) != 0) {
                free(candidate.text);
                return;
        }
        candidate.about = strdup(about);
        if (!candidate.text || !candidate.about ||
            pw_array_reserve(&completion->items, &completion->capacity, completion->n + 1,
                             sizeof *completion->items) < 0) {
                free(candidate.text);
                free(candidate.about);
                completion->failed = true;
                return;
        }
        completion->items[completion->n++] = candidate;
}

/* The same for text that somebody else may have chosen. */
static void offer_foreign(struct completion *completion, const char *text, const char *about)
{
        char quoted[PW_SHELL_MAX];

        if (strcmp(pw_shell_quote(quoted, sizeof quoted, text), text) == 0)
                offer(completion, text, about);
}

/* Words with a space between them. */
static void offer_words(struct completion *completion, const char *words)
{
        char word[32];

        for (size_t length; *words; words += length + (words[length] == ' ')) {
                length = strcspn(words, " ");
                snprintf(word, sizeof word, "%.*s", (int)length, words);
                offer(completion, word, "");
        }
}

static void order(const struct completion *completion, const char *what)
{
        if (completion->current[0] != '-')
                printf("\t%s\n", what);
}

/* Numbers by their value. */
static int compare(const void *a, const void *b)
{
        const struct candidate *x = a, *y = b;

        return strverscmp(x->text, y->text);
}

static void print(const struct completion *completion)
{
        int lead = (int)(completion->current - completion->word);

        if (completion->n > 1)
                qsort(completion->items, completion->n, sizeof *completion->items, compare);
        for (size_t i = 0; i < completion->n; i++) {
                const struct candidate *item = &completion->items[i];

                if (i == 0 || strcmp(item->text, item[-1].text) != 0)
                        printf("%.*s%s\t%s\n", lead, completion->word, item->text, item->about);
        }
}

/* ---- what is open ---- */

/* The daemon's view where it may be read, else the kernel's. */
static void add_open(const struct pw_ctl *ctl, struct pw_records *records)
{
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_live_done) struct pw_live live = {0};
        struct pw_live_request request = {.services = ctl->services};
        int schema;

        if (pw_query_open(ctl->state_dir, &query, &schema) == 0 &&
            pw_query_open_at(query, NULL, 0, records) == 0)
                return;
        if (pw_live_look(&request, &live) < 0)
                return;
        pw_records_done(records);
        *records = live.records;
        live.records = (struct pw_records){0};
}

/* `ssh: sshd`, for a port or an alert. */
static char *describe(char *buffer, size_t size, const struct pw_record *record)
{
        const char *process = pw_record_process(record);

        snprintf(buffer, size, "%s%s%s", record->service ? record->service : "",
                 record->service && process ? ": " : "", process ? process : "");
        return buffer;
}

static void complete_alerts(const struct pw_ctl *ctl, struct completion *completion)
{
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_records_done) struct pw_records records = {0};
        char text[32], about[256], who[128], port[PW_PORT_MAX];
        int schema;

        if (pw_query_open(ctl->state_dir, &query, &schema) < 0 ||
            pw_query_alerts(query, NULL, false, &records) < 0)
                return;
        for (size_t i = 0; i < records.n; i++) {
                const struct pw_record *record = records.items[i];

                snprintf(text, sizeof text, "@%lld", (long long)record->alert_id);
                snprintf(about, sizeof about, "%s: %s/%s %s",
                         pw_reason_name(pw_reason_gravest(record->reasons)),
                         pw_protocol_name(record->protocol),
                         pw_port_format(port, sizeof port, record->port),
                         describe(who, sizeof who, record));
                offer(completion, text, about);
        }
}

/* Behind `80,`, `tcp/` or `:` another port. */
static void complete_ports(const struct pw_ctl *ctl, struct completion *completion)
{
        _cleanup_(pw_records_done) struct pw_records records = {0};
        const char *word = completion->current;
        size_t slash = strcspn(word, "/"), stem = strlen(word);
        char text[PW_PORT_MAX], about[128];
        uint8_t only = 0;

        while (stem > 0 && !strchr(",:/", word[stem - 1]))
                stem--;
        set_stem(completion, stem);
        snprintf(text, sizeof text, "%.*s", (int)slash, word);
        if (word[slash] && pw_protocol_from_name(text, &only) < 0)
                return;
        add_open(ctl, &records);
        for (size_t i = 0; i < records.n; i++) {
                const struct pw_record *record = records.items[i];

                if (only != 0 && record->protocol != only)
                        continue;
                pw_port_format(text, sizeof text, record->port);
                offer(completion, text, describe(about, sizeof about, record));
        }
        set_stem(completion, 0);
}

/* ---- KEY=VALUE ---- */

static const char *range_name(size_t i)
{
        return pw_range_name((enum pw_range)i);
}

static const char *scope_name(size_t i)
{
        return pw_scope_name((enum pw_scope)i);
}

static const char *verdict_name(size_t i)
{
        return pw_verdict_name((enum pw_verdict)i);
}

static const char *reason_name(size_t i)
{
        return pw_reason_name((enum pw_reason)(1u << i));
}

/* Keys with a fixed set of values. */
static const struct {
        const char *key;
        size_t n;
        const char *(*name)(size_t i);
        const char *more;
} fixed[] = {
    {"range", PW_RANGE_COUNT, range_name, "ephemeral"},
    {"scope", PW_SCOPE_COUNT, scope_name, ""},
    {"verdict", PW_VERDICT_COUNT, verdict_name, ""},
    {"reason", PW_REASON_COUNT, reason_name, ""},
};

/* Other keys are called as the column is that shows them: its values are taken from what is open.
 */
static void complete_value(const struct pw_ctl *ctl, struct completion *completion, const char *key)
{
        _cleanup_(pw_records_done) struct pw_records records = {0};
        struct pw_column_context context = {.now_usec = ctl->now_usec};
        struct pw_column_list list;
        char error[1024];

        for (size_t i = 0; i < PW_ELEMENTS(fixed); i++) {
                if (strcmp(fixed[i].key, key) != 0)
                        continue;
                for (size_t j = 0; j < fixed[i].n; j++)
                        offer(completion, fixed[i].name(j), "");
                offer_words(completion, fixed[i].more);
                return;
        }
        if (pw_column_list_parse(key, &list, error, sizeof error) < 0)
                return;
        add_open(ctl, &records);
        for (size_t i = 0; i < records.n; i++) {
                struct pw_value value;

                pw_column_value(list.items[0], records.items[i], &context, &value);
                if (value.kind == PW_VALUE_TEXT)
                        offer_foreign(completion, value.text, "");
        }
}

static void complete_keys(const struct pw_ctl *ctl, struct completion *completion,
                          const char *const *keys)
{
        const char *equals = strchr(completion->current, '=');
        char text[64];

        for (; *keys; keys++) {
                size_t length = strlen(*keys);

                if (!equals) {
                        snprintf(text, sizeof text, "%s=", *keys);
                        offer(completion, text, "");
                } else if (length == (size_t)(equals - completion->current) &&
                           strncmp(*keys, completion->current, length) == 0) {
                        set_stem(completion, length + 1);
                        complete_value(ctl, completion, *keys);
                }
        }
        set_stem(completion, 0);
}

/* ---- words of a verb ---- */

static void complete_filter(const struct pw_ctl *ctl, struct completion *completion)
{
        complete_keys(ctl, completion, pw_filter_keys);
        if (strchr(completion->current, '='))
                return;
        offer_words(completion, "tcp udp");
        complete_ports(ctl, completion);
}

/* A rule: protocol, ports, keys; or an alert, and no more. */
static void complete_rule(const struct pw_ctl *ctl, struct completion *completion, size_t n,
                          const char *first)
{
        static const char *const keys[] = {"address", "scope",     "device",    "user",  "exe",
                                           "unit",    "user_unit", "container", "netns", "owner",
                                           "grace",   "until",     "comment",   NULL};

        if (n == 0) {
                complete_alerts(ctl, completion);
                offer_words(completion, "tcp udp any");
        } else if (n == 1 && first[0] != '@') {
                offer_words(completion, "any well-known registered dynamic ephemeral");
                complete_ports(ctl, completion);
        } else if (first[0] != '@') {
                offer_words(completion, "owner=kernel");
                complete_keys(ctl, completion, keys);
        }
}

/* A file of rules, or a listener in words. */
static void complete_check(const struct pw_ctl *ctl, struct completion *completion, size_t n)
{
        static const char *const keys[] = {"address",   "device",    "user",  "exe", "unit",
                                           "user_unit", "container", "netns", NULL};

        if (n > 0) {
                complete_keys(ctl, completion, keys);
        } else if (strncmp(completion->current, "tcp/", 4) == 0 ||
                   strncmp(completion->current, "udp/", 4) == 0) {
                complete_ports(ctl, completion);
        } else {
                offer_words(completion, "tcp/ udp/");
                order(completion, "files");
        }
}

/* `n` words stand between the verb and the current one, `first` is the first of them. */
static void complete_word(const struct pw_ctl *ctl, struct completion *completion,
                          const struct pw_verb *verb, size_t n, const char *first)
{
        if (n >= verb->most_words)
                return;
        if (verb->run == pw_ctl_add_rule) {
                complete_rule(ctl, completion, n, first);
        } else if (verb->run == pw_ctl_check) {
                complete_check(ctl, completion, n);
        } else if (verb->run == pw_ctl_show) {
                complete_alerts(ctl, completion);
                complete_ports(ctl, completion);
        } else if (verb->run == pw_ctl_explain) {
                complete_ports(ctl, completion);
        } else {
                complete_filter(ctl, completion);
        }
}

static void complete_verb(struct completion *completion)
{
        for (size_t i = 0; i < pw_verbs_count; i++)
                offer(completion, pw_verbs[i].name, pw_verbs[i].summary);
}

/* ---- options ---- */

static void complete_columns(struct completion *completion)
{
        const char *comma = strrchr(completion->current, ',');

        if (comma)
                set_stem(completion, (size_t)(comma - completion->current) + 1);
        for (size_t i = 0; i < pw_columns_count; i++)
                offer(completion, pw_columns[i].name, pw_columns[i].heading);
}

static void complete_argument(struct completion *completion, const struct pw_option *option)
{
        static const struct {
                const char *option, *words;
        } examples[] = {
            {"json", "short pretty off"},     {"at", "today yesterday -1h"},
            {"since", "today yesterday -1h"}, {"until", "now today yesterday -1h"},
            {"for", "1h 8h 1d 7d 30d"},       {"lines", "20 100 all"},
        };

        if (strcmp(option->name, "columns") == 0)
                complete_columns(completion);
        else if (strcmp(option->argument, "DIR") == 0)
                order(completion, "directories");
        else if (strcmp(option->argument, "FILE") == 0)
                order(completion, "files");
        for (size_t i = 0; i < PW_ELEMENTS(examples); i++)
                if (strcmp(examples[i].option, option->name) == 0)
                        offer_words(completion, examples[i].words);
}

static void complete_option(struct completion *completion, const struct pw_verb *verb)
{
        for (size_t i = 0; i < pw_options_count; i++) {
                const struct pw_option *option = &pw_options[i];
                bool must = option->argument && option->kind != PW_OPTION_JSON;
                char text[32];

                if (option->set && !(verb && option->set & verb->options))
                        continue;
                snprintf(text, sizeof text, "--%s%s", option->name, must ? "=" : "");
                offer(completion, text, option->summary);
        }
}

/* `--name`, `--name=…` or `-o`. */
static const struct pw_option *option_of(const char *word)
{
        size_t length = strcspn(word, "=");

        for (size_t i = 0; i < pw_options_count; i++) {
                const struct pw_option *option = &pw_options[i];

                if (option->letter && word[0] == '-' && word[1] == option->letter && !word[2])
                        return option;
                if (length == strlen(option->name) + 2 && strncmp(word, "--", 2) == 0 &&
                    strncmp(word + 2, option->name, length - 2) == 0)
                        return option;
        }
        return NULL;
}

/* ---- the command line ---- */

/* What stands before the current word. */
struct before {
        const struct pw_verb *verb;
        const struct pw_option *option; /* the current word is its argument */
        const char *first;              /* of the words behind the verb */
        size_t n;                       /* of them */
        bool unknown;                   /* the verb is none: nothing is known of what follows */
};

/* Where things are counts for the candidates, too. */
static void apply(struct pw_ctl *ctl, const struct pw_option *option, const char *argument)
{
        if (strcmp(option->name, "state") == 0)
                ctl->state_dir = argument;
}

static void read_word(struct pw_ctl *ctl, struct before *before, const char *word)
{
        const struct pw_option *option = word[0] == '-' ? option_of(word) : NULL;
        const char *equals = strchr(word, '=');

        if (before->option) {
                apply(ctl, before->option, word);
                before->option = NULL;
        } else if (option && equals) {
                apply(ctl, option, equals + 1);
        } else if (option && option->argument && option->kind != PW_OPTION_JSON) {
                before->option = option;
        } else if (word[0] == '-') {
                return;
        } else if (!before->verb) {
                before->verb = pw_verb_find(word);
                before->unknown = !before->verb;
        } else if (before->n++ == 0) {
                before->first = word;
        }
}

static void complete(struct pw_ctl *ctl, struct completion *completion)
{
        const char *word = completion->current, *equals = strchr(word, '=');
        struct before before = {0};

        for (size_t i = 0; i + 1 < ctl->n_words && !before.unknown; i++)
                read_word(ctl, &before, ctl->words[i]);
        if (before.unknown)
                return;
        if (before.option) {
                complete_argument(completion, before.option);
        } else if (word[0] == '-' && equals && option_of(word)) {
                const struct pw_option *option = option_of(word);

                completion->current = equals + 1;
                if (option->argument)
                        complete_argument(completion, option);
        } else if (word[0] == '-') {
                complete_option(completion, before.verb);
        } else if (!before.verb) {
                complete_verb(completion);
        } else {
                complete_word(ctl, completion, before.verb, before.n, before.first);
        }
}

int pw_ctl_complete(struct pw_ctl *ctl)
{
        const char *word = ctl->words[ctl->n_words - 1];
        _cleanup_(completion_done) struct completion completion = {.word = word, .current = word};

        complete(ctl, &completion);
        if (completion.failed)
                return PW_EXIT_FAILED;
        print(&completion);
        return PW_EXIT_DONE;
}
