/* SPDX-License-Identifier: MIT */
#pragma once

/* An endpoint is where a socket can be reached: (network namespace, protocol, address, port, bound
 * device). Here it is in the kernel's numbers; the names that people see are in record.h.
 * Ports are in host byte order everywhere but in the netlink messages themselves. */

#include <portwatch/base.h>

#include <netinet/in.h>

/* As IPPROTO_*; what a port belongs to. MPTCP listeners have a TCP row of their own. */
enum pw_protocol {
        PW_TCP = IPPROTO_TCP,
        PW_UDP = IPPROTO_UDP,
        PW_UDPLITE = IPPROTO_UDPLITE,
};

/* "tcp", "udp", "udplite". */
const char *pw_protocol_name(uint8_t protocol);
/* 0 or -EINVAL. */
int pw_protocol_from_name(const char *name, uint8_t *ret);

struct pw_address {
        uint8_t family;    /* AF_INET or AF_INET6 */
        bool v6only;       /* AF_INET6 only: does not take IPv4 */
        uint8_t bytes[16]; /* AF_INET uses the first 4, the rest is 0 */
};

struct pw_endpoint {
        uint64_t netns;   /* inode of the network namespace; 0: not known (a replayed recording) */
        uint32_t ifindex; /* bound device (SO_BINDTODEVICE) or the zone of a link-local address; 0:
                             none */
        uint16_t port;
        uint8_t protocol; /* enum pw_protocol */
        struct pw_address address;
        uint8_t reserved[7]; /* 0: snapshots are compared with memcmp */
};

/* Total order over all fields; <0, 0, >0. */
int pw_endpoint_compare(const struct pw_endpoint *a, const struct pw_endpoint *b);

/* The address as it is written everywhere: `*` for :: that takes IPv4 too, else inet_ntop's form
 * without brackets (`0.0.0.0`, `::`, `::1`, `::ffff:127.0.0.1`). Returns `buffer`. */
#define PW_ADDRESS_MAX 48
char *pw_address_format(char *buffer, size_t size, const struct pw_address *address);

/* Reads what pw_address_format() writes (`*`: AF_INET6 any, v6only false; `::`: v6only true).
 * 0 or -EINVAL. */
int pw_address_parse(const char *text, struct pw_address *ret);

/* The port as it is written everywhere: its number, or `ephemeral` for 0, which stands for any of
 * the host's ephemeral range (pw_record_is_folded()). Returns `buffer`. */
#define PW_PORT_MAX 10
char *pw_port_format(char *buffer, size_t size, uint16_t port);

/* `ADDRESS:PORT` for tables and messages: `*:80`, `127.0.0.1:80`, `[::1]:80`, `0.0.0.0%eth0:67`
 * when `device` is a non-empty name. `address` is text as from pw_address_format(), the port as
 * from pw_port_format(). */
#define PW_ADDRESS_PORT_MAX (PW_ADDRESS_MAX + 32)
char *pw_address_port_format(char *buffer, size_t size, const char *address, const char *device,
                             uint16_t port);

/* ---- how far an address reaches ---- */

/* Ordered from narrow to wide: a greater value reaches further. Multicast stands apart. */
enum pw_scope {
        PW_SCOPE_LOOPBACK,   /* 127/8, ::1 */
        PW_SCOPE_LINK_LOCAL, /* 169.254/16, fe80::/10 */
        PW_SCOPE_PRIVATE,    /* RFC 1918, RFC 6598 (CGNAT), RFC 4193 (ULA) */
        PW_SCOPE_GLOBAL,
        PW_SCOPE_ANY,       /* 0.0.0.0, :: */
        PW_SCOPE_MULTICAST, /* 224/4, ff00::/8, limited broadcast */
        PW_SCOPE_COUNT,
};
/* IPv4-mapped IPv6 addresses have the scope of their IPv4 address. */
enum pw_scope pw_address_scope(const struct pw_address *address);
const char *pw_scope_name(enum pw_scope scope); /* "loopback", "link-local", … */
int pw_scope_from_name(const char *name, enum pw_scope *ret);

/* An address block, `192.0.2.0/24`, `fe80::/10`, or a single address. */
struct pw_cidr {
        struct pw_address address;
        uint8_t bits;
};
/* 0; -EINVAL: not an address or length; -EEXIST: bits set behind the prefix. */
int pw_cidr_parse(const char *text, struct pw_cidr *ret);
/* IPv4 blocks also match IPv4-mapped addresses. 0.0.0.0/0 matches all of IPv4, ::/0 all of IPv6.
 * An unspecified address (0.0.0.0, ::) is matched as the address that it is; the single addresses
 * `*` and `::` are two. */
bool pw_cidr_contains(const struct pw_cidr *cidr, const struct pw_address *address);

/* ---- ranges of the port number (RFC 6335) ---- */

enum pw_range {
        PW_RANGE_WELL_KNOWN, /* 0-1023 */
        PW_RANGE_REGISTERED, /* 1024-49151 */
        PW_RANGE_DYNAMIC,    /* 49152-65535 */
        PW_RANGE_COUNT,
};
enum pw_range pw_port_range(uint16_t port);
const char *pw_range_name(enum pw_range range); /* "well-known", "registered", "dynamic" */
int pw_range_from_name(const char *name, enum pw_range *ret);

/* Inclusive span of ports; the host's ephemeral range is one. */
struct pw_ports {
        uint16_t first, last;
};
static inline bool pw_ports_contain(struct pw_ports ports, uint16_t port)
{
        return port >= ports.first && port <= ports.last;
}
/* Reads this host's `ip_local_port_range` below `proc_fd`. Returns 0 or -errno; the kernel's
 * default (32768-60999) is for callers to fall back on: PW_EPHEMERAL_DEFAULT. */
#define PW_EPHEMERAL_DEFAULT ((struct pw_ports){32768, 60999})
int pw_ephemeral_read(int proc_fd, struct pw_ports *ret);
