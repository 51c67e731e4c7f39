/* SPDX-License-Identifier: MIT */
/* Filters: words that people type become conditions on records.
 *
 * Each kind of condition is a set; an empty set asks for nothing, a filled one must contain the
 * record's value. Adding to a set is "or", having several sets is "and". */

#include <portwatch/iana.h>
#include <portwatch/query.h>
#include <portwatch/text.h>

/* Keys whose values are patterns come first: they index pw_filter.patterns. The next ones are sets
 * of named values, and index pw_filter.sets from KEY_RANGE on. */
enum key {
        KEY_SERVICE,
        KEY_USER,
        KEY_UNIT,
        KEY_USER_UNIT,
        KEY_EXE,
        KEY_NETNS,
        KEY_CONTAINER,
        KEY_RANGE,
        KEY_SCOPE,
        KEY_VERDICT,
        KEY_REASON,
        KEY_ADDRESS,
        KEY_COUNT,
};
#define PATTERN_KEYS KEY_RANGE
#define SET_KEYS (KEY_ADDRESS - KEY_RANGE)

const char *const pw_filter_keys[] = {
    [KEY_SERVICE] = "service",
    [KEY_USER] = "user",
    [KEY_UNIT] = "unit",
    [KEY_USER_UNIT] = "user_unit",
    [KEY_EXE] = "exe",
    [KEY_NETNS] = "netns",
    [KEY_CONTAINER] = "container",
    [KEY_RANGE] = "range",
    [KEY_SCOPE] = "scope",
    [KEY_VERDICT] = "verdict",
    [KEY_REASON] = "reason",
    [KEY_ADDRESS] = "address",
    [KEY_COUNT] = NULL,
};

struct patterns {
        char **items;
        size_t n, capacity;
};

struct pw_filter {
        const struct pw_services *services;
        unsigned protocols; /* set of protocol_bit() */
        struct pw_ports *ports;
        uint8_t *port_protocols; /* of each span; 0: any */
        size_t n_ports, ports_capacity, protocols_capacity;
        struct patterns patterns[PATTERN_KEYS];
        unsigned sets[SET_KEYS];
        struct pw_cidr *blocks;
        size_t n_blocks, blocks_capacity;
};

int pw_filter_new(struct pw_filter **ret)
{
        struct pw_filter *filter = calloc(1, sizeof *filter);

        if (!filter)
                return -ENOMEM;
        *ret = filter;
        return 0;
}

void pw_filter_free(struct pw_filter *filter)
{
        if (!filter)
                return;
        for (size_t i = 0; i < PATTERN_KEYS; i++) {
                for (size_t j = 0; j < filter->patterns[i].n; j++)
                        free(filter->patterns[i].items[j]);
                free(filter->patterns[i].items);
        }
        free(filter->ports);
        free(filter->port_protocols);
        free(filter->blocks);
        free(filter);
}

void pw_filter_set_services(struct pw_filter *filter, const struct pw_services *services)
{
        filter->services = services;
}

/* ---- refusals ---- */

/* The word being added, and where to say why it is refused. */
struct refusal {
        const char *word;
        char *text;
        size_t size;
};

/* Says "'WORD': 'PART' REST", or "'WORD' REST" where the part is all of it; returns -EINVAL. */
static int refuse(const struct refusal *refusal, const char *quoted, const char *rest)
{
        char word[96], part[96];

        pw_text_clean(word, sizeof word, refusal->word, strlen(refusal->word));
        pw_text_clean(part, sizeof part, quoted, strlen(quoted));
        if (refusal->size > 0 && strcmp(word, part) == 0)
                snprintf(refusal->text, refusal->size, "'%s' %s", word, rest);
        else if (refusal->size > 0)
                snprintf(refusal->text, refusal->size, "'%s': '%s' %s", word, part, rest);
        return -EINVAL;
}

/* ---- ports ---- */

static unsigned protocol_bit(uint8_t protocol)
{
        return protocol == PW_TCP ? 1u : protocol == PW_UDP ? 2u : 4u;
}

static int add_span(struct pw_filter *filter, uint8_t protocol, struct pw_ports span)
{
        if (pw_array_reserve(&filter->ports, &filter->ports_capacity, filter->n_ports + 1,
                             sizeof *filter->ports) < 0 ||
            pw_array_reserve(&filter->port_protocols, &filter->protocols_capacity,
                             filter->n_ports + 1, sizeof *filter->port_protocols) < 0)
                return -ENOMEM;
        filter->port_protocols[filter->n_ports] = protocol;
        filter->ports[filter->n_ports++] = span;
        return 0;
}

static int add_numbers(struct pw_filter *filter, uint8_t protocol, char *item,
                       const struct refusal *refusal)
{
        char whole[32];
        char *dash;
        uint64_t first, last;

        snprintf(whole, sizeof whole, "%s", item);
        dash = strchr(item, '-');
        if (dash)
                *dash = '\0';
        if (pw_parse_number(item, 1, UINT16_MAX, &first) < 0 ||
            pw_parse_number(dash ? dash + 1 : item, 1, UINT16_MAX, &last) < 0)
                return refuse(refusal, whole,
                              "is no port: expected 1 to 65535, or a range FIRST-LAST of these");
        if (first > last)
                return refuse(refusal, whole, "is a reversed range: expected the lower port first");
        return add_span(filter, protocol, (struct pw_ports){(uint16_t)first, (uint16_t)last});
}

/* Adds what the name stands for on one protocol. Returns how many ports, or -ENOMEM. */
static int add_service_ports(struct pw_filter *filter, uint8_t protocol, const char *name)
{
        uint16_t ports[64];
        size_t n = pw_services_ports(filter->services, protocol, name, ports, PW_ELEMENTS(ports));

        n = PW_MIN(n, PW_ELEMENTS(ports));
        for (size_t i = 0; i < n; i++)
                if (add_span(filter, protocol, (struct pw_ports){ports[i], ports[i]}) < 0)
                        return -ENOMEM;
        return (int)n;
}

static int add_service_name(struct pw_filter *filter, uint8_t protocol, const char *name,
                            const struct refusal *refusal)
{
        int tcp = 0, udp = 0;

        if (protocol != PW_UDP && protocol != PW_UDPLITE)
                tcp = add_service_ports(filter, PW_TCP, name);
        if (protocol != PW_TCP && tcp >= 0)
                udp = add_service_ports(filter, protocol ? protocol : PW_UDP, name);
        if (tcp < 0 || udp < 0)
                return -ENOMEM;
        if (tcp + udp > 0)
                return 0;
        return refuse(refusal, name,
                      protocol ? "is no port and no service of that protocol: expected a number, a "
                                 "range FIRST-LAST, or a name such as http"
                               : "is no port, service, protocol or KEY=VALUE: expected for example "
                                 "80, tcp/80, 80-90, http, tcp, udp, user=NAME");
}

/* One of the list: `80`, `:80`, `tcp/80-90`, `http`, `ephemeral`. A protocol named once holds for
 * the rest. */
static int add_port_item(struct pw_filter *filter, uint8_t *protocol, char *item,
                         const struct refusal *refusal)
{
        char *slash = strchr(item, '/');

        if (slash) {
                *slash = '\0';
                if (pw_protocol_from_name(item, protocol) < 0)
                        return refuse(refusal, item,
                                      "is no protocol: expected tcp, udp or udplite");
                item = slash + 1;
        }
        if (item[0] == ':')
                item++;
        if (item[0] == '\0')
                return refuse(refusal, item, "is no port: expected a number, a range or a service");
        if (item[strspn(item, "0123456789-")] == '\0')
                return add_numbers(filter, *protocol, item, refusal);
        if (strcmp(item, "ephemeral") == 0) /* as a folded listener's port is shown */
                return add_span(filter, *protocol, (struct pw_ports){0, 0});
        return add_service_name(filter, *protocol, item, refusal);
}

static int add_ports(struct pw_filter *filter, char *list, const struct refusal *refusal)
{
        uint8_t protocol = 0;
        int r = 0;

        for (char *item; r == 0 && (item = strsep(&list, ","));)
                r = add_port_item(filter, &protocol, item, refusal);
        return r;
}

/* ---- KEY=VALUE ---- */

static int add_pattern(struct patterns *patterns, const char *value)
{
        char *copy = strdup(value);

        if (!copy || pw_array_reserve(&patterns->items, &patterns->capacity, patterns->n + 1,
                                      sizeof *patterns->items) < 0) {
                free(copy);
                return -ENOMEM;
        }
        patterns->items[patterns->n++] = copy;
        return 0;
}

/* Besides the ranges of RFC 6335 there is `ephemeral`: what this host gives to clients. */
#define EPHEMERAL_BIT (1u << PW_RANGE_COUNT)

static int range_bit(const char *name, unsigned *ret)
{
        enum pw_range range;
        int r = 0;

        if (strcmp(name, "ephemeral") == 0)
                *ret = EPHEMERAL_BIT;
        else if ((r = pw_range_from_name(name, &range)) == 0)
                *ret = 1u << range;
        return r;
}

static int scope_bit(const char *name, unsigned *ret)
{
        enum pw_scope scope;
        int r = pw_scope_from_name(name, &scope);

        if (r == 0)
                *ret = 1u << scope;
        return r;
}

static int verdict_bit(const char *name, unsigned *ret)
{
        enum pw_verdict verdict;
        int r = pw_verdict_from_name(name, &verdict);

        if (r == 0)
                *ret = 1u << verdict;
        return r;
}

static int reason_bit(const char *name, unsigned *ret)
{
        enum pw_reason reason;
        int r = pw_reason_from_name(name, &reason);

        if (r == 0)
                *ret = reason;
        return r;
}

static int add_names(unsigned *set, enum key key, char *list, const struct refusal *refusal)
{
        static const struct {
                int (*bit)(const char *name, unsigned *ret);
                const char *expected;
        } kinds[SET_KEYS] = {
            [KEY_RANGE - KEY_RANGE] = {range_bit, "is no range: expected well-known, registered, "
                                                  "dynamic or ephemeral"},
            [KEY_SCOPE - KEY_RANGE] = {scope_bit, "is no scope: expected loopback, link-local, "
                                                  "private, global, any or multicast"},
            [KEY_VERDICT - KEY_RANGE] = {verdict_bit, "is no verdict: expected expected, "
                                                      "unexpected, denied or ignored"},
            [KEY_REASON - KEY_RANGE] = {reason_bit,
                                        "is no reason: expected denied, suspicious, scope-widened, "
                                        "second-owner, required-missing, no-owner or unexpected"},
        };

        for (char *name; (name = strsep(&list, ","));) {
                unsigned bit;

                if (kinds[key - KEY_RANGE].bit(name, &bit) < 0)
                        return refuse(refusal, name, kinds[key - KEY_RANGE].expected);
                *set |= bit;
        }
        return 0;
}

static int add_blocks(struct pw_filter *filter, char *list, const struct refusal *refusal)
{
        for (char *text; (text = strsep(&list, ","));) {
                struct pw_cidr block;
                int r = pw_cidr_parse(text, &block);

                if (r == -EEXIST)
                        return refuse(refusal, text,
                                      "has bits set behind its prefix: expected the block's first "
                                      "address, such as 192.0.2.0/24");
                if (r < 0)
                        return refuse(refusal, text,
                                      "is no address or block: expected for example 127.0.0.1, "
                                      "192.0.2.0/24, fe80::/10 or *");
                if (pw_array_reserve(&filter->blocks, &filter->blocks_capacity,
                                     filter->n_blocks + 1, sizeof *filter->blocks) < 0)
                        return -ENOMEM;
                filter->blocks[filter->n_blocks++] = block;
        }
        return 0;
}

static int refuse_key(const struct refusal *refusal, const char *key)
{
        char rest[256] = "is no key: expected ";
        size_t length = strlen(rest);

        for (size_t i = 0; i < KEY_COUNT; i++) {
                const char *before = i == 0 ? "" : i + 1 < KEY_COUNT ? ", " : " or ";
                int r = snprintf(rest + length, sizeof rest - length, "%s%s", before,
                                 pw_filter_keys[i]);

                if (r < 0 || (size_t)r >= sizeof rest - length)
                        break;
                length += (size_t)r;
        }
        return refuse(refusal, key, rest);
}

static int add_key(struct pw_filter *filter, char *name, char *value, const struct refusal *refusal)
{
        enum key key = 0;

        while (key < KEY_COUNT && strcmp(name, pw_filter_keys[key]) != 0)
                key++;
        if (key == KEY_COUNT)
                return refuse_key(refusal, name);
        if (value[0] == '\0')
                return refuse(refusal, name, "has no value: expected KEY=VALUE");
        if (key < PATTERN_KEYS)
                return add_pattern(&filter->patterns[key], value);
        if (key == KEY_ADDRESS)
                return add_blocks(filter, value, refusal);
        return add_names(&filter->sets[key - KEY_RANGE], key, value, refusal);
}

int pw_filter_add(struct pw_filter *filter, const char *word, char *error, size_t error_size)
{
        const struct refusal refusal = {word, error, error_size};
        _cleanup_(pw_freep) char *copy = strdup(word);
        uint8_t protocol;
        char *equals;

        if (!copy)
                return -ENOMEM;
        equals = strchr(copy, '=');
        if (equals) {
                *equals = '\0';
                return add_key(filter, copy, equals + 1, &refusal);
        }
        if (pw_protocol_from_name(copy, &protocol) == 0) {
                filter->protocols |= protocol_bit(protocol);
                return 0;
        }
        return add_ports(filter, copy, &refusal);
}

/* ---- matching ---- */

static bool match_ports(const struct pw_filter *filter, const struct pw_record *record)
{
        for (size_t i = 0; i < filter->n_ports; i++) {
                uint8_t protocol = filter->port_protocols[i];

                if ((protocol == 0 || protocol == record->protocol) &&
                    pw_ports_contain(filter->ports[i], record->port))
                        return true;
        }
        return filter->n_ports == 0;
}

static const char *text_of(const struct pw_filter *filter, const struct pw_record *record,
                           enum key key)
{
        const struct pw_owner *owner = record->owner;

        switch (key) {
        case KEY_SERVICE:
                return record->service
                           ? record->service
                           : pw_services_name(filter->services, record->protocol, record->port);
        case KEY_USER:
                return owner->user;
        case KEY_UNIT:
                return owner->unit;
        case KEY_USER_UNIT:
                return owner->user_unit;
        case KEY_EXE:
                return owner->exe;
        case KEY_NETNS:
                return record->netns;
        default:
                return owner->container;
        }
}

static bool match_pattern(const struct pw_filter *filter, const struct pw_record *record,
                          enum key key)
{
        const struct patterns *patterns = &filter->patterns[key];
        const char *text;
        char uid[16];

        if (patterns->n == 0)
                return true;
        text = text_of(filter, record, key);
        snprintf(uid, sizeof uid, "%u", record->owner->uid);
        for (size_t i = 0; i < patterns->n; i++)
                if (pw_text_glob(patterns->items[i], text) ||
                    (key == KEY_USER && strcmp(patterns->items[i], uid) == 0))
                        return true;
        return false;
}

static bool match_sets(const struct pw_filter *filter, const struct pw_record *record)
{
        const unsigned values[SET_KEYS] = {
            [KEY_RANGE - KEY_RANGE] = 1u << record->range | (record->ephemeral ? EPHEMERAL_BIT : 0),
            [KEY_SCOPE - KEY_RANGE] = 1u << record->scope,
            [KEY_VERDICT - KEY_RANGE] = 1u << record->verdict,
            [KEY_REASON - KEY_RANGE] = record->reasons,
        };

        for (size_t i = 0; i < SET_KEYS; i++)
                if (filter->sets[i] != 0 && !(filter->sets[i] & values[i]))
                        return false;
        return true;
}

static bool match_blocks(const struct pw_filter *filter, const struct pw_record *record)
{
        for (size_t i = 0; i < filter->n_blocks; i++)
                if (pw_cidr_contains(&filter->blocks[i], &record->address))
                        return true;
        return filter->n_blocks == 0;
}

bool pw_filter_match(const struct pw_filter *filter, const struct pw_record *record)
{
        if (filter->protocols != 0 && !(filter->protocols & protocol_bit(record->protocol)))
                return false;
        if (!match_ports(filter, record) || !match_sets(filter, record) ||
            !match_blocks(filter, record))
                return false;
        for (enum key key = 0; key < PATTERN_KEYS; key++)
                if (!match_pattern(filter, record, key))
                        return false;
        return true;
}

size_t pw_filter_ports(const struct pw_filter *filter, const struct pw_ports **ret)
{
        *ret = filter->ports;
        return filter->n_ports;
}
