/* SPDX-License-Identifier: MIT */
/* explain: what a port number means, for somebody who meets it for the first time, and on this very
 * host: who may open it, who gets it by itself, who has it now, what the rules say. Needs no daemon
 * and no privileges. */

#include "ctl/ctl.h"
#include "ctl/live.h"
#include "ctl/view.h"

#include <portwatch/text.h>

#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>

static const uint8_t protocols[] = {PW_TCP, PW_UDP};
#define PROTOCOLS PW_ELEMENTS(protocols)

struct facts {
        uint16_t port;
        const char *names[PROTOCOLS];
        uint64_t unprivileged; /* the first port that anybody may open */
        struct pw_live live;
        struct pw_policy *policy;            /* NULL: there is none to judge by … */
        char no_rules[PW_REFUSAL_MAX + 64];  /* … why */
        struct pw_ruling rulings[PROTOCOLS]; /* of a listener that no rule names */
        char url[64];                        /* "" for what does not speak HTTP */
        bool url_sure;                       /* the port is registered for it */
};

static void facts_done(struct facts *facts)
{
        pw_live_done(&facts->live);
        pw_policy_free(facts->policy);
}

/* ---- the question ---- */

static int read_port(const struct pw_ctl *ctl, uint16_t *ret)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        const struct pw_ports *ports;
        int code = pw_ctl_filter(ctl, 0, &filter);
        size_t n;

        if (code != 0)
                return code;
        n = pw_filter_ports(filter, &ports);
        for (size_t i = 0; i < n; i++)
                if (ports[i].first != ports[i].last || ports[i].first != ports[0].first)
                        n = 0;
        if (n == 0 || ports[0].first == 0)
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "'%s' is not one port; expected one like 80, tcp/80 or http",
                                   ctl->words[0]);
        *ret = ports[0].first;
        return 0;
}

/* ---- facts ---- */

static uint64_t read_unprivileged(void)
{
        _cleanup_(pw_closep) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char text[32];
        uint64_t port;

        if (proc < 0 ||
            pw_read_file(proc, "sys/net/ipv4/ip_unprivileged_port_start", text, sizeof text) < 0)
                return 1024;
        text[strcspn(text, "\n")] = '\0';
        return pw_parse_number(text, 0, 65536, &port) == 0 ? port : 1024;
}

/* Ports that nobody registered for the web, and that web servers are often put on. */
static bool is_web_by_habit(uint16_t port)
{
        static const uint16_t ports[] = {3000, 3001, 4200, 5000, 5173, 8000,
                                         8081, 8443, 8888, 9000, 9090};

        for (size_t i = 0; i < PW_ELEMENTS(ports); i++)
                if (ports[i] == port)
                        return true;
        return false;
}

static void find_url(struct facts *facts)
{
        const char *name = facts->names[0];
        bool secure = facts->port == 443 || facts->port == 8443 || (name && strstr(name, "https"));

        facts->url_sure = name && strstr(name, "http") != NULL;
        if (!facts->url_sure && !is_web_by_habit(facts->port))
                return;
        if (facts->port == 80 || facts->port == 443)
                snprintf(facts->url, sizeof facts->url, "http%s://HOST/", secure ? "s" : "");
        else
                snprintf(facts->url, sizeof facts->url, "http%s://HOST:%u/", secure ? "s" : "",
                         facts->port);
}

/* What the rules say of somebody whom they do not name. */
static int judge_stranger(const struct pw_ctl *ctl, struct facts *facts, size_t i)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = pw_record_new();

        if (!record || pw_shared_set(&record->netns, PW_NETNS_HOST) < 0)
                return -ENOMEM;
        record->owner = pw_owner_new();
        if (!record->owner)
                return -ENOMEM;
        record->owner->uid = UINT32_MAX;
        record->protocol = protocols[i];
        record->port = facts->port;
        record->address = (struct pw_address){.family = AF_INET6};
        if (pw_record_label(record, facts->live.ephemeral) < 0)
                return -ENOMEM;
        facts->rulings[i] = pw_policy_judge(facts->policy, record, ctl->now_usec);
        return 0;
}

static void say_no_rules(struct facts *facts, const struct pw_refusals *refusals)
{
        const char *refusal = refusals->n > 0 ? refusals->items[0] : "";

        if (facts->policy)
                snprintf(facts->no_rules, sizeof facts->no_rules, "there are none");
        else if (refusal[0] == '\0' || pw_ctl_not_permitted(refusal))
                snprintf(facts->no_rules, sizeof facts->no_rules, "they cannot be read from here");
        else
                snprintf(facts->no_rules, sizeof facts->no_rules,
                         "refused, see portwatchctl check: %s", refusal);
}

static int judge(const struct pw_ctl *ctl, struct facts *facts)
{
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        int r, code = pw_ctl_policy(ctl, &facts->policy, &refusals);

        say_no_rules(facts, &refusals);
        if (code != 0 || !facts->policy)
                return code;
        if (pw_policy_count(facts->policy) == 0) {
                pw_policy_free(facts->policy);
                facts->policy = NULL;
                return 0;
        }
        r = pw_ctl_judge(ctl, facts->policy, &facts->live.records);
        for (size_t i = 0; r == 0 && i < PROTOCOLS; i++)
                r = judge_stranger(ctl, facts, i);
        return r < 0 ? pw_ctl_no_memory() : 0;
}

static int gather(const struct pw_ctl *ctl, struct facts *facts)
{
        struct pw_live_request request = {
            .one_port = true,
            .port = facts->port,
            .identify = true,
            .services = ctl->services,
        };

        for (size_t i = 0; i < PROTOCOLS; i++)
                facts->names[i] = pw_services_name(ctl->services, protocols[i], facts->port);
        facts->unprivileged = read_unprivileged();
        find_url(facts);
        if (pw_live_look(&request, &facts->live) == -ENOMEM)
                return pw_ctl_no_memory();
        if (facts->live.error[0])
                pw_ctl_note(ctl, "%s", facts->live.error);
        return judge(ctl, facts);
}

/* ---- for people ---- */

static void line(const char *label, const char *format, ...) _printf_(2, 3);

static void line(const char *label, const char *format, ...)
{
        va_list arguments;

        printf("%-8s ", label);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        putchar('\n');
}

static void print_range(const struct facts *facts)
{
        switch (pw_port_range(facts->port)) {
        case PW_RANGE_WELL_KNOWN:
                line("Number", "well-known (system) range, 0-1023: standard services, each number");
                line("", "assigned by IANA after review");
                break;
        case PW_RANGE_REGISTERED:
                line("Number",
                     "registered (user) range, 1024-49151: IANA writes down who asked for");
                line("", "a number; nobody is held to it");
                break;
        default:
                line("Number",
                     "dynamic (private) range, 49152-65535: IANA assigns none of it; for");
                line("", "temporary and private use");
                break;
        }
        if (facts->port < facts->unprivileged)
                line("", "only root, or a program with CAP_NET_BIND_SERVICE, may open it here");
        else
                line("", "every user of this host may open it");
}

static void print_names(const struct facts *facts)
{
        line("Service", "TCP %s, UDP %s", facts->names[0] ? facts->names[0] : "none assigned",
             facts->names[1] ? facts->names[1] : "none assigned");
        line("", "a name says what should be there, not what is");
        line("TCP, UDP", "two separate sets of ports: one may be open and the other not");
        line("", "TCP  connects first; what is sent arrives whole and in order, or fails");
        line("", "UDP  single packets, no connection; some may be lost or change order");
}

static void print_use(const struct facts *facts)
{
        struct pw_ports ephemeral = facts->live.ephemeral;

        if (pw_ports_contain(ephemeral, facts->port)) {
                line("Use", "clients get it by themselves here (ip_local_port_range is %u-%u);",
                     ephemeral.first, ephemeral.last);
                line("", "a server that wants to keep it may find it taken");
        } else {
                line("Use", "servers keep it; clients here get %u-%u by themselves",
                     ephemeral.first, ephemeral.last);
        }
}

static void print_url(const struct facts *facts)
{
        bool standard = facts->port == 80 || facts->port == 443;

        if (!facts->url[0])
                return;
        if (standard)
                line("URL", "%s   (%u need not be written)", facts->url, facts->port);
        else
                line("URL", "%s%s", facts->url,
                     facts->url_sure ? "" : "   (if a web server has it)");
}

static void print_now(const struct facts *facts)
{
        for (size_t i = 0; i < facts->live.records.n; i++) {
                const struct pw_record *record = facts->live.records.items[i];
                const struct pw_owner *owner = record->owner;
                char endpoint[PW_ADDRESS_PORT_MAX];
                const char *process = pw_record_process(record);

                pw_address_port_format(endpoint, sizeof endpoint, record->address_text,
                                       record->device, record->port);
                line(i == 0 ? "Now" : "", "%s %s  %s (%s)%s%s", pw_protocol_name(record->protocol),
                     endpoint, process ? process : "owner not visible",
                     owner->user ? owner->user : "-", facts->policy ? "  " : "",
                     facts->policy ? pw_verdict_text(record->verdict) : "");
                if (facts->policy && record->rule)
                        line("", "    by the rule at %s", record->rule);
        }
        if (facts->live.records.n == 0)
                line("Now", "nobody has it open");
}

static void print_rules(const struct facts *facts)
{
        if (!facts->policy) {
                line("Rules", "%s", facts->no_rules);
                return;
        }
        for (size_t i = 0; i < PROTOCOLS; i++) {
                const struct pw_ruling *ruling = &facts->rulings[i];

                line(i == 0 ? "Rules" : "", "%s opened by a stranger: %s%s%s",
                     i == 0 ? "TCP" : "UDP", pw_verdict_name(ruling->verdict),
                     ruling->rule ? ", by the rule at " : ", no rule matches",
                     ruling->rule ? ruling->rule : "");
        }
}

static void print_text(const struct pw_ctl *ctl, const struct facts *facts)
{
        printf("Port %u\n\n", facts->port);
        print_range(facts);
        print_names(facts);
        print_use(facts);
        print_url(facts);
        print_now(facts);
        print_rules(facts);
        if (!ctl->quiet && facts->live.records.n > 0)
                printf("\nHow to close it: %s %u\n", pw_ctl_show_command(ctl), facts->port);
}

/* ---- for programs ---- */

static struct json_object *text_json(const char *text)
{
        return text && text[0] ? json_object_new_string(text) : NULL;
}

static struct json_object *rulings_json(const struct facts *facts)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; array && facts->policy && i < PROTOCOLS; i++) {
                struct json_object *item = json_object_new_object();

                if (!item)
                        break;
                json_object_object_add(item, "protocol", text_json(pw_protocol_name(protocols[i])));
                json_object_object_add(item, "verdict",
                                       text_json(pw_verdict_name(facts->rulings[i].verdict)));
                json_object_object_add(item, "rule", text_json(facts->rulings[i].rule));
                json_object_array_add(array, item);
        }
        return array;
}

static int print_json(const struct pw_ctl *ctl, const struct facts *facts)
{
        struct pw_column_context context = {
            .now_usec = ctl->now_usec,
            .judged = facts->policy != NULL,
        };
        struct json_object *object = pw_json_new(), *array = json_object_new_array();
        struct pw_ports ephemeral = facts->live.ephemeral;

        if (!object || !array) {
                json_object_put(object);
                json_object_put(array);
                return pw_ctl_no_memory();
        }
        for (size_t i = 0; i < facts->live.records.n; i++)
                json_object_array_add(array,
                                      pw_record_json(facts->live.records.items[i], &context));
        json_object_object_add(object, "port", json_object_new_int(facts->port));
        json_object_object_add(object, "range",
                               text_json(pw_range_name(pw_port_range(facts->port))));
        json_object_object_add(object, "privileged",
                               json_object_new_boolean(facts->port < facts->unprivileged));
        json_object_object_add(object, "ephemeral",
                               json_object_new_boolean(pw_ports_contain(ephemeral, facts->port)));
        json_object_object_add(object, "ephemeral_first", json_object_new_int(ephemeral.first));
        json_object_object_add(object, "ephemeral_last", json_object_new_int(ephemeral.last));
        json_object_object_add(object, "tcp_service", text_json(facts->names[0]));
        json_object_object_add(object, "udp_service", text_json(facts->names[1]));
        json_object_object_add(object, "url", text_json(facts->url));
        json_object_object_add(object, "listeners", array);
        json_object_object_add(object, "stranger", rulings_json(facts));
        pw_json_print(stdout, object, ctl->json == PW_JSON_PRETTY);
        return 0;
}

int pw_ctl_explain(struct pw_ctl *ctl)
{
        _cleanup_(facts_done) struct facts facts = {0};
        int code = read_port(ctl, &facts.port);

        if (code == 0)
                code = gather(ctl, &facts);
        if (code != 0)
                return code;
        if (ctl->json != PW_JSON_OFF)
                return print_json(ctl, &facts);
        print_text(ctl, &facts);
        return 0;
}
