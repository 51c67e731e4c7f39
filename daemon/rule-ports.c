/* SPDX-License-Identifier: MIT */
/* Reads the ports of a rule into spans: numbers, ranges, names of ranges and of services. The spans
 * are sorted and merged, so that comparing two rules needs no sums. The ephemeral range is this
 * host's and may change: it stays a name. */

#include "daemon/rule-parser.h"

#include <portwatch/text.h>

#define SERVICE_PORTS_MAX 256
#define PORTS_EXPECTED                                                                             \
        "expected a port from 0 to 65535, a range such as 8000-8099, a service name, any, "        \
        "well-known, registered, dynamic or ephemeral"

static const struct pw_ports range_ports[PW_RANGE_COUNT] = {
    [PW_RANGE_WELL_KNOWN] = {0, 1023},
    [PW_RANGE_REGISTERED] = {1024, 49151},
    [PW_RANGE_DYNAMIC] = {49152, 65535},
};

static int add_span(struct pw_rule *rule, uint8_t protocols, struct pw_ports ports)
{
        int r = pw_array_reserve(&rule->spans, &rule->spans_capacity, rule->n_spans + 1,
                                 sizeof *rule->spans);

        if (r < 0)
                return r;
        rule->spans[rule->n_spans++] = (struct pw_span){protocols, ports.first, ports.last};
        return 0;
}

static int refuse_item(struct pw_rule_parser *p, const char *item, size_t at, const char *what)
{
        char shown[PW_RULE_ECHO_MAX];

        return pw_rule_refuse(p, at, "%s \"%s\"; " PORTS_EXPECTED, what, pw_rule_echo(shown, item));
}

/* A span that has to be watched for as a whole makes no sense: each port of `require` counts. */
static int check_wide(struct pw_rule_parser *p, const char *item, size_t at)
{
        char shown[PW_RULE_ECHO_MAX];

        if (p->rule->kind != PW_RULE_REQUIRE)
                return 0;
        return pw_rule_refuse(p, at,
                              "\"%s\" is not a single port; expected single ports after require",
                              pw_rule_echo(shown, item));
}

static int add_wide(struct pw_rule_parser *p, const char *item, size_t at, struct pw_ports ports)
{
        int r = check_wide(p, item, at);

        return r < 0 ? r : add_span(p->rule, p->rule->protocols, ports);
}

static int read_port(struct pw_rule_parser *p, const char *item, const char *digits, size_t at,
                     uint16_t *ret)
{
        uint64_t port;
        int r = pw_parse_number(digits, 0, UINT16_MAX, &port);

        if (r == -ERANGE)
                return refuse_item(p, item, at, "no such port");
        if (r < 0)
                return refuse_item(p, item, at, "not a port");
        *ret = (uint16_t)port;
        return 0;
}

/* N or N-M. */
static int read_numbers(struct pw_rule_parser *p, const char *item, size_t at)
{
        const char *dash = strchr(item, '-');
        char first[PW_RULE_LINE_MAX + 1];
        struct pw_ports ports;
        int r;

        snprintf(first, sizeof first, "%.*s", dash ? (int)(dash - item) : -1, item);
        r = read_port(p, item, first, at, &ports.first);
        if (r < 0)
                return r;
        if (ports.first == 0 && !dash && p->rule->kind == PW_RULE_REQUIRE)
                return pw_rule_refuse(p, at, "nothing can be open on port 0; expected 1 to 65535");
        if (!dash)
                return add_span(p->rule, p->rule->protocols,
                                (struct pw_ports){ports.first, ports.first});
        r = read_port(p, item, dash + 1, at, &ports.last);
        if (r < 0)
                return r;
        if (ports.first > ports.last)
                return pw_rule_refuse(p, at, "the range is reversed; expected %u-%u", ports.last,
                                      ports.first);
        return add_wide(p, item, at, ports);
}

/* Adds the ports that the name has on one protocol. Returns how many, or -errno. */
static int add_service(struct pw_rule_parser *p, const char *name, size_t at, uint8_t bit,
                       uint8_t protocol)
{
        uint16_t ports[SERVICE_PORTS_MAX];
        size_t n;

        if (!(p->rule->protocols & bit))
                return 0;
        n = pw_services_ports(p->services, protocol, name, ports, SERVICE_PORTS_MAX);
        if (n > SERVICE_PORTS_MAX)
                return refuse_item(p, name, at, "too many ports are named");
        for (size_t i = 0; i < n; i++) {
                int r = add_span(p->rule, bit, (struct pw_ports){ports[i], ports[i]});

                if (r < 0)
                        return r;
        }
        return (int)n;
}

static int read_service(struct pw_rule_parser *p, const char *name, size_t at)
{
        static const char *const words[] = {"", "tcp ", "udp ", ""};
        size_t before = p->rule->n_spans;
        int tcp, udp;

        tcp = add_service(p, name, at, PW_RULE_TCP, PW_TCP);
        if (tcp < 0)
                return tcp;
        udp = add_service(p, name, at, PW_RULE_UDP, PW_UDP);
        if (udp < 0)
                return udp;
        if (tcp + udp == 0) {
                char shown[PW_RULE_ECHO_MAX];

                return pw_rule_refuse(p, at, "unknown %sservice \"%s\"; " PORTS_EXPECTED,
                                      words[p->rule->protocols], pw_rule_echo(shown, name));
        }
        for (size_t i = before + 1; i < p->rule->n_spans; i++)
                if (p->rule->spans[i].first != p->rule->spans[before].first)
                        return check_wide(p, name, at);
        return 0;
}

static int read_item(struct pw_rule_parser *p, const char *item, size_t at)
{
        enum pw_range range;

        if (item[0] == '\0')
                return pw_rule_refuse(p, at, "a port is missing; " PORTS_EXPECTED);
        if (strcmp(item, "any") == 0)
                return add_wide(p, item, at, (struct pw_ports){0, UINT16_MAX});
        if (strcmp(item, "ephemeral") == 0) {
                p->rule->ephemeral = true;
                return check_wide(p, item, at);
        }
        if (pw_range_from_name(item, &range) == 0)
                return add_wide(p, item, at, range_ports[range]);
        if (item[strspn(item, "0123456789-")] == '\0')
                return read_numbers(p, item, at);
        return read_service(p, item, at);
}

static int compare_spans(const void *a, const void *b)
{
        const struct pw_span *x = a, *y = b;

        if (x->protocols != y->protocols)
                return x->protocols < y->protocols ? -1 : 1;
        return (int)x->first - (int)y->first;
}

static void merge_spans(struct pw_rule *rule)
{
        size_t n = 0;

        if (rule->n_spans == 0)
                return;
        qsort(rule->spans, rule->n_spans, sizeof *rule->spans, compare_spans);
        for (size_t i = 1; i < rule->n_spans; i++) {
                struct pw_span *last = &rule->spans[n], next = rule->spans[i];

                if (next.protocols == last->protocols && next.first <= last->last + 1)
                        last->last = PW_MAX(last->last, next.last);
                else
                        rule->spans[++n] = next;
        }
        rule->n_spans = n + 1;
}

static int compare_ports(const void *a, const void *b)
{
        return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* Lists the ports of a require rule, each once. Spans are single ports here, before merging. */
static int list_ports(struct pw_rule *rule)
{
        size_t n = 0;

        rule->ports = calloc(rule->n_spans, sizeof *rule->ports);
        if (!rule->ports)
                return -ENOMEM;
        for (size_t i = 0; i < rule->n_spans; i++)
                rule->ports[i] = rule->spans[i].first;
        qsort(rule->ports, rule->n_spans, sizeof *rule->ports, compare_ports);
        for (size_t i = 0; i < rule->n_spans; i++)
                if (n == 0 || rule->ports[i] != rule->ports[n - 1])
                        rule->ports[n++] = rule->ports[i];
        rule->n_ports = n;
        return 0;
}

int pw_rule_read_ports(struct pw_rule_parser *p)
{
        char *item, *next;
        int r = pw_rule_read_word(p, "ports");

        if (r < 0)
                return r;
        for (item = p->value; item; item = next) {
                next = strchr(item, ',');
                if (next)
                        *next++ = '\0';
                r = read_item(p, item, p->value_at + (size_t)(item - p->value));
                if (r < 0)
                        return r;
        }
        if (p->rule->kind == PW_RULE_REQUIRE) {
                r = list_ports(p->rule);
                if (r < 0)
                        return r;
        }
        merge_spans(p->rule);
        return 0;
}
