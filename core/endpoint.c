/* SPDX-License-Identifier: MIT */
/* Endpoints: protocols, addresses, scopes, address blocks, ranges of ports. Pure but for
 * pw_ephemeral_read(), which reads one file. */

#include "core/names.h"

#include <portwatch/endpoint.h>
#include <portwatch/text.h>

#include <arpa/inet.h>

/* ---- protocols and endpoints ---- */

static const struct {
        uint8_t protocol;
        const char *name;
} protocols[] = {{PW_TCP, "tcp"}, {PW_UDP, "udp"}, {PW_UDPLITE, "udplite"}};

const char *pw_protocol_name(uint8_t protocol)
{
        for (size_t i = 0; i < PW_ELEMENTS(protocols); i++)
                if (protocols[i].protocol == protocol)
                        return protocols[i].name;
        return "";
}

int pw_protocol_from_name(const char *name, uint8_t *ret)
{
        for (size_t i = 0; i < PW_ELEMENTS(protocols); i++)
                if (pw_text_equal(protocols[i].name, name)) {
                        *ret = protocols[i].protocol;
                        return 0;
                }
        return -EINVAL;
}

static int order(uint64_t a, uint64_t b)
{
        return (a > b) - (a < b);
}

int pw_endpoint_compare(const struct pw_endpoint *a, const struct pw_endpoint *b)
{
        int r = order(a->netns, b->netns);

        if (r == 0)
                r = order(a->protocol, b->protocol);
        if (r == 0)
                r = order(a->port, b->port);
        if (r == 0)
                r = order(a->address.family, b->address.family);
        if (r == 0)
                r = memcmp(a->address.bytes, b->address.bytes, sizeof a->address.bytes);
        if (r == 0)
                r = order(a->address.v6only, b->address.v6only);
        return r != 0 ? r : order(a->ifindex, b->ifindex);
}

/* ---- addresses ---- */

static unsigned family_bits(uint8_t family)
{
        return family == AF_INET ? 32 : 128;
}

static bool is_unspecified(const struct pw_address *address)
{
        static const uint8_t zero[sizeof address->bytes];

        return memcmp(address->bytes, zero, sizeof zero) == 0;
}

/* The IPv4 address of ::ffff:0:0/96 (RFC 4291, 2.5.5.2); any other as it is. */
static struct pw_address unmapped(const struct pw_address *address)
{
        static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
        struct pw_address v4 = {.family = AF_INET};

        if (address->family != AF_INET6 || memcmp(address->bytes, prefix, sizeof prefix) != 0)
                return *address;
        memcpy(v4.bytes, address->bytes + sizeof prefix, 4);
        return v4;
}

char *pw_address_format(char *buffer, size_t size, const struct pw_address *address)
{
        if (address->family == AF_INET6 && !address->v6only && is_unspecified(address))
                snprintf(buffer, size, "*");
        else if (!inet_ntop(address->family, address->bytes, buffer, (socklen_t)size) && size > 0)
                buffer[0] = '\0';
        return buffer;
}

int pw_address_parse(const char *text, struct pw_address *ret)
{
        struct pw_address address = {.family = AF_INET6};

        if (strcmp(text, "*") == 0) {
                *ret = address;
                return 0;
        }
        if (inet_pton(AF_INET6, text, address.bytes) == 1) {
                address.v6only = is_unspecified(&address);
                *ret = address;
                return 0;
        }
        address.family = AF_INET;
        if (inet_pton(AF_INET, text, address.bytes) != 1)
                return -EINVAL;
        *ret = address;
        return 0;
}

char *pw_port_format(char *buffer, size_t size, uint16_t port)
{
        if (port == 0)
                snprintf(buffer, size, "ephemeral");
        else
                snprintf(buffer, size, "%u", port);
        return buffer;
}

char *pw_address_port_format(char *buffer, size_t size, const char *address, const char *device,
                             uint16_t port)
{
        bool brackets = strchr(address, ':') != NULL;
        bool bound = device && device[0];
        char number[PW_PORT_MAX];

        snprintf(buffer, size, "%s%s%s%s%s:%s", brackets ? "[" : "", address, bound ? "%" : "",
                 bound ? device : "", brackets ? "]" : "",
                 pw_port_format(number, sizeof number, port));
        return buffer;
}

/* ---- address blocks ---- */

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
        unsigned whole = bits / 8, rest = bits % 8;

        return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

int pw_cidr_parse(const char *text, struct pw_cidr *ret)
{
        const char *slash = strchr(text, '/');
        char address[PW_ADDRESS_MAX];
        struct pw_cidr cidr;
        uint64_t bits;
        size_t length = slash ? (size_t)(slash - text) : strlen(text);

        if (length >= sizeof address)
                return -EINVAL;
        memcpy(address, text, length);
        address[length] = '\0';
        if (pw_address_parse(address, &cidr.address) < 0)
                return -EINVAL;
        bits = family_bits(cidr.address.family);
        if (slash) {
                /* `*` is one address; a block of it would have no clear meaning. */
                if (text[0] == '*' || pw_parse_number(slash + 1, 0, bits, &bits) < 0)
                        return -EINVAL;
        }
        cidr.bits = (uint8_t)bits;
        for (unsigned i = cidr.bits; i < family_bits(cidr.address.family); i++)
                if (cidr.address.bytes[i / 8] & 0x80u >> i % 8)
                        return -EEXIST;
        *ret = cidr;
        return 0;
}

bool pw_cidr_contains(const struct pw_cidr *cidr, const struct pw_address *address)
{
        struct pw_address candidate = *address;

        if (cidr->address.family == AF_INET)
                candidate = unmapped(address);
        if (candidate.family != cidr->address.family)
                return false;
        /* `*` also takes IPv4, `::` does not: as single addresses they are two. */
        if (cidr->bits == 128 && is_unspecified(&candidate) &&
            candidate.v6only != cidr->address.v6only)
                return false;
        return prefix_equal(cidr->address.bytes, candidate.bytes, cidr->bits);
}

/* ---- scopes ---- */

static const char *const scope_names[] = {
    [PW_SCOPE_LOOPBACK] = "loopback", [PW_SCOPE_LINK_LOCAL] = "link-local",
    [PW_SCOPE_PRIVATE] = "private",   [PW_SCOPE_GLOBAL] = "global",
    [PW_SCOPE_ANY] = "any",           [PW_SCOPE_MULTICAST] = "multicast",
};
PW_DEFINE_NAMES(enum pw_scope, pw_scope, scope_names, PW_SCOPE_COUNT)

static const struct scope_block {
        uint8_t family;
        uint8_t bits;
        uint8_t prefix[16];
        enum pw_scope scope;
} scope_blocks[] = {
    {AF_INET, 32, {0}, PW_SCOPE_ANY},
    {AF_INET, 8, {127}, PW_SCOPE_LOOPBACK},
    {AF_INET, 16, {169, 254}, PW_SCOPE_LINK_LOCAL},
    {AF_INET, 8, {10}, PW_SCOPE_PRIVATE},
    {AF_INET, 12, {172, 16}, PW_SCOPE_PRIVATE},
    {AF_INET, 16, {192, 168}, PW_SCOPE_PRIVATE},
    {AF_INET, 10, {100, 64}, PW_SCOPE_PRIVATE},
    {AF_INET, 4, {224}, PW_SCOPE_MULTICAST},
    {AF_INET, 32, {255, 255, 255, 255}, PW_SCOPE_MULTICAST},
    {AF_INET6, 128, {0}, PW_SCOPE_ANY},
    {AF_INET6, 128, {[15] = 1}, PW_SCOPE_LOOPBACK},
    {AF_INET6, 10, {0xfe, 0x80}, PW_SCOPE_LINK_LOCAL},
    {AF_INET6, 7, {0xfc}, PW_SCOPE_PRIVATE},
    {AF_INET6, 8, {0xff}, PW_SCOPE_MULTICAST},
};

enum pw_scope pw_address_scope(const struct pw_address *address)
{
        struct pw_address plain = unmapped(address);

        for (size_t i = 0; i < PW_ELEMENTS(scope_blocks); i++) {
                const struct scope_block *block = &scope_blocks[i];

                if (block->family == plain.family &&
                    prefix_equal(block->prefix, plain.bytes, block->bits))
                        return block->scope;
        }
        return PW_SCOPE_GLOBAL;
}

/* ---- ranges of ports ---- */

static const char *const range_names[] = {
    [PW_RANGE_WELL_KNOWN] = "well-known",
    [PW_RANGE_REGISTERED] = "registered",
    [PW_RANGE_DYNAMIC] = "dynamic",
};
PW_DEFINE_NAMES(enum pw_range, pw_range, range_names, PW_RANGE_COUNT)

enum pw_range pw_port_range(uint16_t port)
{
        if (port < 1024)
                return PW_RANGE_WELL_KNOWN;
        return port < 49152 ? PW_RANGE_REGISTERED : PW_RANGE_DYNAMIC;
}

int pw_ephemeral_read(int proc_fd, struct pw_ports *ret)
{
        char text[64], *state = NULL, *first_text, *last_text;
        uint64_t first, last;
        ssize_t n = pw_read_file(proc_fd, "sys/net/ipv4/ip_local_port_range", text, sizeof text);

        if (n < 0)
                return n == -E2BIG ? -EBADMSG : (int)n;
        first_text = strtok_r(text, " \t\n", &state);
        last_text = strtok_r(NULL, " \t\n", &state);
        if (!first_text || !last_text || pw_parse_number(first_text, 0, UINT16_MAX, &first) < 0 ||
            pw_parse_number(last_text, first, UINT16_MAX, &last) < 0)
                return -EBADMSG;
        *ret = (struct pw_ports){(uint16_t)first, (uint16_t)last};
        return 0;
}
