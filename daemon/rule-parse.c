/* SPDX-License-Identifier: MIT */
/* One line of a rules file: `verdict protocol ports [key=value …]`.
 *
 * Every refusal names the column of what is wrong and what was expected. Only the first fault of a
 * line is told: what follows it may be a consequence. */

#include "daemon/rule-parser.h"

#include <portwatch/text.h>

#include <ctype.h>

#define KEYS_EXPECTED                                                                              \
        "expected address, scope, device, user, exe, unit, user_unit, container, netns, owner, "   \
        "grace, until or comment"

/* ---- keys ---- */

/* Resolves `[*]`, `[?]` and `[[]` in place. False, and nothing changed, where other wildcards are
 * left. */
static bool resolve_literal(char *text)
{
        size_t n = 0;

        for (const char *c = text; *c; c++)
                if (*c == '[' && c[1] && strchr("*?[", c[1]) && c[2] == ']')
                        c += 2;
                else if (strchr("*?[", *c))
                        return false;
        for (const char *c = text; *c; c++) {
                bool bracket = *c == '[';

                text[n++] = bracket ? c[1] : *c;
                c += bracket ? 2 : 0;
        }
        text[n] = '\0';
        return true;
}

static int set_pattern(struct pw_pattern *pattern, const char *text)
{
        free(pattern->text);
        pattern->text = strdup(text);
        if (!pattern->text)
                return -ENOMEM;
        pattern->literal = resolve_literal(pattern->text);
        return 0;
}

static int read_address(struct pw_rule_parser *p)
{
        int r = pw_cidr_parse(p->value, &p->rule->address);

        if (r == -EEXIST)
                return pw_rule_refuse_value(p, "bits are set behind the prefix of",
                                            "the network's first address, such as 192.0.2.0/24");
        if (r < 0)
                return pw_rule_refuse_value(
                    p, "not an address", "an address or a block such as 192.0.2.0/24 or fe80::/10");
        p->rule->has_address = true;
        return 0;
}

static int read_scope(struct pw_rule_parser *p)
{
        char copy[PW_RULE_LINE_MAX + 1], *word, *next;

        strcpy(copy, p->value);
        p->rule->scopes = 0;
        for (word = copy; word; word = next) {
                enum pw_scope scope;

                next = strchr(word, ',');
                if (next)
                        *next++ = '\0';
                if (pw_scope_from_name(word, &scope) < 0)
                        return pw_rule_refuse_value(p, "unknown scope in",
                                                    "loopback, link-local, private, global, any or "
                                                    "multicast, or several with commas");
                p->rule->scopes |= 1u << scope;
        }
        return 0;
}

static int read_device(struct pw_rule_parser *p)
{
        return set_pattern(&p->rule->device, p->value);
}

static int read_user(struct pw_rule_parser *p)
{
        struct pw_rule *rule = p->rule;
        uint64_t uid;
        int r = set_pattern(&rule->user, p->value);

        if (r < 0 || rule->user.text[strspn(rule->user.text, "0123456789")])
                return r;
        if (pw_parse_number(rule->user.text, 0, UINT32_MAX - 1, &uid) < 0)
                return pw_rule_refuse_value(p, "no such uid",
                                            "a user's name or a uid up to 4294967294");
        rule->has_uid = true;
        rule->uid = (uint32_t)uid;
        return 0;
}

/* Whether the pattern itself says that the executable lies where anyone may write. */
static bool names_temporary(const char *pattern)
{
        static const char *const places[] = {"/tmp/", "/var/tmp/", "/dev/shm/"};

        for (size_t i = 0; i < PW_ELEMENTS(places); i++)
                if (strncmp(pattern, places[i], strlen(places[i])) == 0)
                        return true;
        return false;
}

static int read_exe(struct pw_rule_parser *p)
{
        if (p->value[0] != '/' && p->value[0] != '*')
                return pw_rule_refuse_value(p, "not an absolute path",
                                            "a path that begins with /, or a pattern with / or *");
        p->rule->temporary = names_temporary(p->value);
        return set_pattern(&p->rule->exe, p->value);
}

static int read_unit_name(struct pw_rule_parser *p, struct pw_pattern *pattern)
{
        if (!strpbrk(p->value, ".*?["))
                return pw_rule_refuse_value(p, "a unit's name without its suffix",
                                            "the whole name, such as ssh.service");
        return set_pattern(pattern, p->value);
}

static int read_unit(struct pw_rule_parser *p)
{
        return read_unit_name(p, &p->rule->unit);
}

static int read_user_unit(struct pw_rule_parser *p)
{
        return read_unit_name(p, &p->rule->user_unit);
}

static int read_container(struct pw_rule_parser *p)
{
        return set_pattern(&p->rule->container, p->value);
}

static int read_netns(struct pw_rule_parser *p)
{
        return set_pattern(&p->rule->netns, p->value);
}

static int read_owner(struct pw_rule_parser *p)
{
        if (strcmp(p->value, "kernel") != 0)
                return pw_rule_refuse_value(p, "unknown owner", "kernel");
        p->rule->kernel = true;
        return 0;
}

static int read_grace(struct pw_rule_parser *p)
{
        uint64_t grace;

        if (p->rule->kind != PW_RULE_REQUIRE)
                return pw_rule_refuse_value(p, "a grace of", "grace only after require");
        if (pw_parse_span(p->value, &grace) < 0 || grace == PW_USEC_INFINITY)
                return pw_rule_refuse_value(p, "not a time span", "one such as 30s or 5min");
        p->rule->grace_usec = grace;
        return 0;
}

/* Only a fixed moment means the same at every reload. */
static int read_until(struct pw_rule_parser *p)
{
        bool date = strspn(p->value, "0123456789") == 4 && p->value[4] == '-';
        uint64_t until;

        if ((!date && p->value[0] != '@') || pw_parse_time(p->value, 0, &until) < 0)
                return pw_rule_refuse_value(p, "not a fixed time",
                                            "one such as 2026-12-24 or \"2026-12-24 18:00\"");
        p->rule->until_usec = until;
        return 0;
}

static int read_comment(struct pw_rule_parser *p)
{
        p->rule->comment = strdup(p->value);
        return p->rule->comment ? 0 : -ENOMEM;
}

static const struct key {
        const char *name;
        int (*read)(struct pw_rule_parser *p);
} keys[] = {
    {"address", read_address},
    {"scope", read_scope},
    {"device", read_device},
    {"user", read_user},
    {"exe", read_exe},
    {"unit", read_unit},
    {"netns", read_netns},
    {"user_unit", read_user_unit},
    {"container", read_container},
    {"owner", read_owner},
    {"grace", read_grace},
    {"until", read_until},
    {"comment", read_comment},
};

/* Looks the key up that begins at `start`; each may be there once. */
static const struct key *find_key(struct pw_rule_parser *p, size_t start, size_t length)
{
        char name[PW_RULE_LINE_MAX + 1], shown[PW_RULE_ECHO_MAX];

        snprintf(name, sizeof name, "%.*s", (int)length, p->line + start);
        for (size_t i = 0; i < PW_ELEMENTS(keys); i++) {
                if (strcmp(keys[i].name, name) != 0)
                        continue;
                if (p->seen & 1u << i) {
                        pw_rule_refuse(p, start, "the key \"%s\" is there twice; expected it once",
                                       name);
                        return NULL;
                }
                p->seen |= 1u << i;
                return &keys[i];
        }
        pw_rule_refuse(p, start, "unknown key \"%s\"; " KEYS_EXPECTED, pw_rule_echo(shown, name));
        return NULL;
}

static int refuse_no_pair(struct pw_rule_parser *p)
{
        bool port = p->seen == 0 && isdigit((unsigned char)p->line[p->at]);
        char shown[PW_RULE_ECHO_MAX];

        pw_rule_read_bare(p);
        return pw_rule_refuse(p, p->value_at, "\"%s\" has no value; expected key=value%s",
                              pw_rule_echo(shown, p->value),
                              port ? ", or ports with commas and without spaces" : "");
}

static int read_pair(struct pw_rule_parser *p)
{
        size_t start = p->at, end = start;
        const struct key *key;
        int r;

        while (end < p->length && !pw_rule_is_space(p->line[end]) && p->line[end] != '=')
                end++;
        if (end == p->length || p->line[end] != '=')
                return refuse_no_pair(p);
        key = find_key(p, start, end - start);
        if (!key)
                return -EINVAL;
        p->at = end + 1;
        r = pw_rule_read_value(p);
        if (r < 0)
                return r;
        if (p->value[0] == '\0')
                return pw_rule_refuse(
                    p, p->value_at,
                    "the key \"%s\" has no value; expected one behind =", key->name);
        return key->read(p);
}

/* ---- the line ---- */

static int read_verdict(struct pw_rule_parser *p)
{
        static const char *const kinds[PW_RULE_KIND_COUNT] = {
            [PW_RULE_ALLOW] = "allow",
            [PW_RULE_DENY] = "deny",
            [PW_RULE_REQUIRE] = "require",
            [PW_RULE_IGNORE] = "ignore",
        };

        pw_rule_read_bare(p);
        for (size_t i = 0; i < PW_RULE_KIND_COUNT; i++)
                if (strcmp(kinds[i], p->value) == 0) {
                        p->rule->kind = (enum pw_rule_kind)i;
                        return 0;
                }
        return pw_rule_refuse_value(p, "unknown verdict", "allow, deny, require or ignore");
}

static int read_protocol(struct pw_rule_parser *p)
{
        uint8_t protocol;
        int r = pw_rule_read_word(p, "tcp, udp or any");

        if (r < 0)
                return r;
        if (strcmp(p->value, "any") == 0)
                p->rule->protocols = PW_RULE_TCP | PW_RULE_UDP;
        else if (pw_protocol_from_name(p->value, &protocol) == 0)
                p->rule->protocols = pw_rule_protocol(protocol);
        else
                return pw_rule_refuse_value(p, "unknown protocol", "tcp, udp or any");
        return 0;
}

/* The rule as written, without margins and comment; tabs, which are not clean, become spaces. */
static int keep_text(struct pw_rule_parser *p, size_t start)
{
        p->rule->text = strndup(p->line + start, p->at - start);
        if (!p->rule->text)
                return -ENOMEM;
        for (char *c = p->rule->text; *c; c++)
                if (*c == '\t')
                        *c = ' ';
        return 0;
}

static int read_rule(struct pw_rule_parser *p)
{
        size_t start, end;
        int r = pw_rule_check_line(p);

        if (r < 0)
                return r;
        if (!pw_rule_skip_to_word(p))
                return 1;
        start = p->at;
        r = read_verdict(p);
        if (r < 0)
                return r;
        if (p->rule->kind == PW_RULE_REQUIRE)
                p->rule->grace_usec = PW_RULE_GRACE_USEC; /* grace= may say otherwise */
        r = read_protocol(p);
        if (r < 0)
                return r;
        r = pw_rule_read_ports(p);
        if (r < 0)
                return r;
        for (end = p->at; pw_rule_skip_to_word(p); end = p->at) {
                r = read_pair(p);
                if (r < 0)
                        return r;
        }
        p->at = end;
        return keep_text(p, start);
}

int pw_rule_parse(const char *line, size_t length, const struct pw_services *services,
                  struct pw_rule *ret, struct pw_rule_fault *ret_fault)
{
        struct pw_rule rule = {.scopes = ~0u, .until_usec = PW_USEC_INFINITY};
        struct pw_rule_parser p = {
            .line = line,
            .length = length,
            .services = services,
            .rule = &rule,
            .fault = ret_fault,
        };
        int r = read_rule(&p);

        if (r == 0 && !rule.netns.text)
                r = set_pattern(&rule.netns, PW_NETNS_HOST);
        if (r != 0) {
                pw_rule_done(&rule);
                return r;
        }
        *ret = rule;
        return 0;
}

void pw_rule_done(struct pw_rule *rule)
{
        struct pw_pattern *patterns[] = {
            &rule->device,    &rule->user,      &rule->exe,   &rule->unit,
            &rule->user_unit, &rule->container, &rule->netns,
        };

        for (size_t i = 0; i < PW_ELEMENTS(patterns); i++)
                free(patterns[i]->text);
        free(rule->place);
        free(rule->text);
        free(rule->comment);
        free(rule->spans);
        free(rule->ports);
        *rule = (struct pw_rule){0};
}
