/* SPDX-License-Identifier: MIT */
/* check: are the rules and settings right (those in force, or those of one file); and the dry run:
 * which rule would decide about a listener that is described in words, and exit 1 where it should
 * not be open. */

#include "ctl/ctl.h"
#include "ctl/doubts.h"
#include "ctl/view.h"

#include "daemon/config.h"

#include <portwatch/paths.h>
#include <portwatch/text.h>

#include <fcntl.h>
#include <json-c/json.h>
#include <pwd.h>
#include <unistd.h>

/* ---- sentences: what is wrong ---- */

struct sentences {
        char **items;
        size_t n, capacity;
        bool failed; /* out of memory */
};

static void sentences_done(struct sentences *sentences)
{
        for (size_t i = 0; i < sentences->n; i++)
                free(sentences->items[i]);
        free(sentences->items);
}

static void collect(void *userdata, const char *sentence)
{
        struct sentences *sentences = userdata;
        char *copy = strdup(sentence);

        if (!copy || pw_array_reserve(&sentences->items, &sentences->capacity, sentences->n + 1,
                                      sizeof *sentences->items) < 0) {
                free(copy);
                sentences->failed = true;
                return;
        }
        sentences->items[sentences->n++] = copy;
}

static void collect_refusals(struct sentences *sentences, const struct pw_refusals *refusals)
{
        char more[64];

        for (size_t i = 0; i < refusals->n; i++)
                collect(sentences, refusals->items[i]);
        if (refusals->total > refusals->n) {
                snprintf(more, sizeof more, "… and %zu more", refusals->total - refusals->n);
                collect(sentences, more);
        }
}

/* Where a doubt is from, and where it goes to. */
struct doubts {
        const char *place; /* FILE:LINE */
        struct sentences *sentences;
};

static void collect_doubt(void *userdata, const char *sentence)
{
        struct doubts *doubts = userdata;
        _cleanup_(pw_freep) char *text = NULL;
        char clean[PW_REFUSAL_MAX];

        if (asprintf(&text, "%s: warning: %s", doubts->place, sentence) < 0)
                text = NULL;
        if (!text) {
                doubts->sentences->failed = true;
                return;
        }
        pw_text_clean(clean, sizeof clean, text, strlen(text));
        collect(doubts->sentences, clean);
}

static void collect_doubts(struct sentences *warnings, const struct pw_policy *policy)
{
        for (size_t i = 0; policy && i < pw_policy_count(policy); i++) {
                struct pw_rule_info rule = pw_policy_rule(policy, i);
                struct doubts doubts = {rule.place, warnings};

                pw_doubt(rule.exe, rule.user, collect_doubt, &doubts);
        }
}

static struct json_object *sentences_json(const struct sentences *sentences)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; array && i < sentences->n; i++)
                json_object_array_add(array, json_object_new_string(sentences->items[i]));
        return array;
}

/* Warnings are no failure. */
static int print_findings(const struct pw_ctl *ctl, const struct sentences *sentences,
                          const struct sentences *warnings, const char *fine)
{
        struct json_object *object, *refused, *doubted;

        if (sentences->failed || warnings->failed)
                return pw_ctl_no_memory();
        for (size_t i = 0; i < sentences->n; i++)
                if (pw_ctl_not_permitted(sentences->items[i]))
                        return pw_ctl_rules_refused(
                            &(struct pw_refusals){.items = &sentences->items[i], .n = 1});
        if (ctl->json == PW_JSON_OFF) {
                for (size_t i = 0; i < sentences->n; i++)
                        puts(sentences->items[i]);
                for (size_t i = 0; i < warnings->n; i++)
                        puts(warnings->items[i]);
                if (sentences->n == 0 && !ctl->quiet)
                        puts(fine);
                return sentences->n > 0 ? PW_EXIT_FAILED : PW_EXIT_DONE;
        }
        object = pw_json_new();
        refused = sentences_json(sentences);
        doubted = sentences_json(warnings);
        if (!object || !refused || !doubted) {
                json_object_put(object);
                json_object_put(refused);
                json_object_put(doubted);
                return pw_ctl_no_memory();
        }
        json_object_object_add(object, "refusals", refused);
        json_object_object_add(object, "warnings", doubted);
        pw_json_print(stdout, object, ctl->json == PW_JSON_PRETTY);
        return sentences->n > 0 ? PW_EXIT_FAILED : PW_EXIT_DONE;
}

/* ---- files ---- */

static int check_settings(const char *path, struct sentences *sentences)
{
        struct pw_config config = pw_config_default;
        char text[PATH_MAX + 64];
        int r = pw_config_load(path, &config, collect, sentences);

        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                snprintf(text, sizeof text, "%s: %s", path, strerror(-r));
                collect(sentences, text);
        }
        return 0;
}

static int check_all(const struct pw_ctl *ctl)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        _cleanup_(sentences_done) struct sentences sentences = {0}, warnings = {0};
        char fine[64];
        size_t n;
        int code = pw_ctl_policy(ctl, &policy, &refusals);

        if (code != 0)
                return code;
        collect_refusals(&sentences, &refusals);
        collect_doubts(&warnings, policy);
        if (check_settings(PW_CONFIG_FILE, &sentences) < 0)
                return pw_ctl_no_memory();
        n = policy ? pw_policy_count(policy) : 0;
        snprintf(fine, sizeof fine, "%zu rule%s and the settings are fine.", n, pw_plural(n));
        return print_findings(ctl, &sentences, &warnings, fine);
}

/* A port without its protocol: `8080`, `ssh`. */
static bool is_port_word(const struct pw_ctl *ctl, const char *word)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        const struct pw_ports *ports;
        char error[512];

        if (pw_filter_new(&filter) < 0)
                return false;
        pw_filter_set_services(filter, ctl->services);
        return !strpbrk(word, "/=:,") && pw_filter_add(filter, word, error, sizeof error) == 0 &&
               pw_filter_ports(filter, &ports) > 0;
}

/* Any file is read as rules, but for one that is called like settings. */
static int check_file(const struct pw_ctl *ctl, const char *path)
{
        static const char *const no_dirs[] = {NULL};
        struct pw_policy_paths paths = {no_dirs, path};
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        _cleanup_(sentences_done) struct sentences sentences = {0}, warnings = {0};
        size_t length = strlen(path), n;
        char fine[64];

        if (path[0] == '\0' || (access(path, F_OK) < 0 && !strchr(path, '/') && errno == ENOENT))
                return pw_ctl_fail(path[0] ? PW_EXIT_NOTHING : PW_EXIT_USAGE,
                                   "'%s' is no file here; expected a FILE of rules or settings, or "
                                   "one port such as tcp/%s",
                                   path, is_port_word(ctl, path) ? path : "8080");
        if (access(path, F_OK) < 0)
                return pw_ctl_fail(PW_EXIT_NOTHING, "%s: %s", path, strerror(errno));
        if (length > 5 && strcmp(path + length - 5, ".conf") == 0) {
                if (check_settings(path, &sentences) < 0)
                        return pw_ctl_no_memory();
                return print_findings(ctl, &sentences, &warnings, "The settings are fine.");
        }
        if (pw_policy_load(&paths, ctl->services, &policy, &refusals) < 0)
                return pw_ctl_no_memory();
        collect_refusals(&sentences, &refusals);
        collect_doubts(&warnings, policy);
        n = policy ? pw_policy_count(policy) : 0;
        snprintf(fine, sizeof fine, "%zu rule%s, all fine.", n, pw_plural(n));
        return print_findings(ctl, &sentences, &warnings, fine);
}

/* ---- the dry run ---- */

/* A word like tcp/8080, udp/domain: what no file is likely to be called. */
static bool is_port(const char *word)
{
        return strncmp(word, "tcp/", 4) == 0 || strncmp(word, "udp/", 4) == 0;
}

static int read_port(const struct pw_ctl *ctl, struct pw_record *record)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        const struct pw_ports *ports;
        const char *word = ctl->words[0];
        char error[512];
        int r = pw_filter_new(&filter);

        if (r == 0) {
                pw_filter_set_services(filter, ctl->services);
                r = pw_filter_add(filter, word, error, sizeof error);
        }
        if (r == -EINVAL)
                return pw_ctl_fail(PW_EXIT_USAGE, "%s", error);
        if (r < 0)
                return pw_ctl_no_memory();
        if (pw_filter_ports(filter, &ports) != 1 || ports[0].first != ports[0].last)
                return pw_ctl_fail(PW_EXIT_USAGE, "'%s' is not one port; expected one like tcp/80",
                                   word);
        record->protocol = word[0] == 't' ? PW_TCP : PW_UDP;
        record->port = ports[0].first;
        return 0;
}

static int set_user(struct pw_owner *owner, const char *value)
{
        struct passwd *user = getpwnam(value);
        uint64_t uid;

        if (pw_parse_number(value, 0, UINT32_MAX, &uid) == 0) {
                owner->uid = (uint32_t)uid;
                user = getpwuid(owner->uid);
                value = user ? user->pw_name : value;
        } else {
                owner->uid = user ? user->pw_uid : UINT32_MAX;
        }
        return pw_text_set(&owner->user, value);
}

static int read_key(struct pw_record *record, const char *word)
{
        struct pw_owner *owner = record->owner;
        const struct {
                const char *key;
                char **field;
        } texts[] = {
            {"exe=", &owner->exe},
            {"unit=", &owner->unit},
            {"user_unit=", &owner->user_unit},
            {"container=", &owner->container},
        };

        for (size_t i = 0; i < PW_ELEMENTS(texts); i++)
                if (strncmp(word, texts[i].key, strlen(texts[i].key)) == 0)
                        return pw_text_set(texts[i].field, word + strlen(texts[i].key));
        if (strncmp(word, "netns=", 6) == 0)
                return pw_shared_set(&record->netns, word + 6);
        if (strncmp(word, "user=", 5) == 0)
                return set_user(owner, word + 5);
        if (strncmp(word, "address=", 8) == 0)
                return pw_address_parse(word + 8, &record->address);
        if (strncmp(word, "device=", 7) == 0 && strlen(word + 7) < sizeof record->device) {
                strcpy(record->device, word + 7);
                return 0;
        }
        return -EINVAL;
}

static int read_record(const struct pw_ctl *ctl, struct pw_record *record)
{
        _cleanup_(pw_closep) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct pw_ports ephemeral = PW_EPHEMERAL_DEFAULT;
        int code = read_port(ctl, record);

        for (size_t i = 1; code == 0 && i < ctl->n_words; i++) {
                int r = read_key(record, ctl->words[i]);

                if (r == -ENOMEM)
                        return pw_ctl_no_memory();
                if (r < 0)
                        code = pw_ctl_fail(
                            PW_EXIT_USAGE,
                            "'%s' is not understood; expected exe= user= unit= user_unit= "
                            "container= netns= device= or address= (an IP address or *)",
                            ctl->words[i]);
        }
        if (proc >= 0)
                pw_ephemeral_read(proc, &ephemeral);
        if (pw_record_label(record, ephemeral) < 0)
                return pw_ctl_no_memory();
        record->service = pw_services_name(ctl->services, record->protocol, record->port);
        return code;
}

static int print_ruling(const struct pw_ctl *ctl, const struct pw_policy *policy,
                        struct pw_ruling ruling)
{
        const char *text = NULL;

        for (size_t i = 0; ruling.rule && i < pw_policy_count(policy); i++)
                if (strcmp(pw_policy_rule(policy, i).place, ruling.rule) == 0)
                        text = pw_policy_rule(policy, i).text;
        if (ctl->json != PW_JSON_OFF) {
                struct json_object *object = pw_json_new();

                if (!object)
                        return pw_ctl_no_memory();
                json_object_object_add(object, "verdict",
                                       json_object_new_string(pw_verdict_name(ruling.verdict)));
                json_object_object_add(object, "rule",
                                       ruling.rule ? json_object_new_string(ruling.rule) : NULL);
                json_object_object_add(object, "text", text ? json_object_new_string(text) : NULL);
                pw_json_print(stdout, object, ctl->json == PW_JSON_PRETTY);
        } else if (ruling.rule) {
                printf("%s\n  %s\n  %s\n", pw_verdict_name(ruling.verdict), text ? text : "",
                       ruling.rule);
        } else {
                printf("%s: no rule matches\n", pw_verdict_name(ruling.verdict));
        }
        return ruling.verdict == PW_EXPECTED || ruling.verdict == PW_IGNORED ? PW_EXIT_DONE
                                                                             : PW_EXIT_FAILED;
}

static void note_doubt(void *userdata, const char *sentence)
{
        pw_ctl_note(userdata, "%s", sentence);
}

static int dry_run(struct pw_ctl *ctl)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        _cleanup_(pw_record_unrefp) struct pw_record *record = pw_record_new();
        int code;

        if (!record || pw_shared_set(&record->netns, PW_NETNS_HOST) < 0)
                return pw_ctl_no_memory();
        record->owner = pw_owner_new();
        if (!record->owner)
                return pw_ctl_no_memory();
        record->owner->uid = UINT32_MAX;
        record->address = (struct pw_address){.family = AF_INET6}; /* `*` unless address= says */
        code = read_record(ctl, record);
        if (code == 0)
                pw_doubt(record->owner->exe,
                         record->owner->uid == UINT32_MAX ? record->owner->user : NULL, note_doubt,
                         ctl);
        if (code == 0)
                code = pw_ctl_policy(ctl, &policy, &refusals);
        if (code != 0)
                return code;
        if (!policy)
                return pw_ctl_rules_refused(&refusals);
        return print_ruling(ctl, policy, pw_policy_judge(policy, record, ctl->now_usec));
}

int pw_ctl_check(struct pw_ctl *ctl)
{
        if (ctl->n_words == 0)
                return check_all(ctl);
        if (is_port(ctl->words[0]))
                return dry_run(ctl);
        if (ctl->n_words == 1)
                return check_file(ctl, ctl->words[0]);
        return pw_ctl_fail(PW_EXIT_USAGE,
                           "'%s' is not a port; expected tcp/N or udp/N in front of KEY=VALUE",
                           ctl->words[0]);
}
