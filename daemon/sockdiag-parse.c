/* SPDX-License-Identifier: MIT */
/* The parser of sock_diag replies runs once for every socket of the host at every look, so it reads
 * each message in one pass and keeps nothing. Everything is copied out of the message before use:
 * lengths are never trusted, alignment is not needed. */

#include "daemon/sockdiag-parse.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>

#define MAX_ERRNO 4095

struct attributes {
        uint64_t cgroup_id;
        uint8_t v6only;
};

static int read_attribute(unsigned type, const char *value, size_t length,
                          struct attributes *attributes)
{
        switch (type) {
        case INET_DIAG_SKV6ONLY:
                if (length < sizeof attributes->v6only)
                        return -EBADMSG;
                memcpy(&attributes->v6only, value, sizeof attributes->v6only);
                return 0;
        case INET_DIAG_CGROUP_ID:
                if (length < sizeof attributes->cgroup_id)
                        return -EBADMSG;
                memcpy(&attributes->cgroup_id, value, sizeof attributes->cgroup_id);
                return 0;
        default:
                return 0;
        }
}

static int read_attributes(const char *data, size_t length, struct attributes *attributes)
{
        struct nlattr header;
        size_t step;
        int r;

        while (length > 0) {
                if (length < sizeof header)
                        return -EBADMSG;
                memcpy(&header, data, sizeof header);
                if (header.nla_len < sizeof header || header.nla_len > length)
                        return -EBADMSG;
                r = read_attribute(header.nla_type & (unsigned)NLA_TYPE_MASK, data + sizeof header,
                                   header.nla_len - sizeof header, attributes);
                if (r < 0)
                        return r;
                /* The padding behind the last attribute may be left out. */
                step = PW_MIN(length, (size_t)NLA_ALIGN(header.nla_len));
                data += step;
                length -= step;
        }
        return 0;
}

uint32_t pw_sockdiag_states(uint8_t protocol)
{
        switch (protocol) {
        case PW_TCP:
                return 1u << TCP_LISTEN;
        case PW_UDP:
        case PW_UDPLITE:
                return 1u << TCP_CLOSE;
        default:
                return 0;
        }
}

static bool is_listener(const struct inet_diag_msg *message, uint8_t protocol)
{
        return message->idiag_state < 32 &&
               (pw_sockdiag_states(protocol) & 1u << message->idiag_state) != 0 &&
               message->id.idiag_sport != 0;
}

/* The kernel calls every socket at a specific IPv6 address V6ONLY. Only at :: does that tell two
 * endpoints apart, so only there is it kept: an address equals itself after being written and read
 * as text. */
static struct pw_address read_address(const struct inet_diag_msg *message, bool v6only)
{
        static const __be32 unspecified[4];
        struct pw_address address = {.family = message->idiag_family};

        if (address.family == AF_INET) {
                memcpy(address.bytes, message->id.idiag_src, 4);
                return address;
        }
        memcpy(address.bytes, message->id.idiag_src, 16);
        address.v6only = v6only && memcmp(address.bytes, unspecified, 16) == 0;
        return address;
}

int pw_sockdiag_parse(const void *payload, size_t length, uint8_t protocol, uint64_t netns,
                      struct pw_socket *ret)
{
        struct attributes attributes = {0};
        struct inet_diag_msg message;
        int r;

        if (length < sizeof message)
                return -EBADMSG;
        memcpy(&message, payload, sizeof message);
        if (message.idiag_family != AF_INET && message.idiag_family != AF_INET6)
                return -EBADMSG;
        r = read_attributes((const char *)payload + sizeof message, length - sizeof message,
                            &attributes);
        if (r < 0)
                return r;
        if (!is_listener(&message, protocol))
                return 1;
        *ret = (struct pw_socket){
            .cookie =
                (uint64_t)message.id.idiag_cookie[1] << 32 | (uint64_t)message.id.idiag_cookie[0],
            .cgroup_id = attributes.cgroup_id,
            .endpoint =
                {
                    .netns = netns,
                    .ifindex = message.id.idiag_if,
                    .port = ntohs(message.id.idiag_sport),
                    .protocol = protocol,
                    .address = read_address(&message, attributes.v6only != 0),
                },
            .inode = message.idiag_inode,
            .uid = message.idiag_uid,
        };
        return 0;
}

int pw_sockdiag_parse_end(unsigned type, const void *payload, size_t length)
{
        int32_t error = 0;

        if (length >= sizeof error)
                memcpy(&error, payload, sizeof error);
        else if (length > 0 || type == NLMSG_ERROR)
                return -EBADMSG;
        if (error > 0 || error < -MAX_ERRNO)
                return -EBADMSG;
        /* An error of 0 acknowledges a request, which no dump asks for. */
        if (type == NLMSG_ERROR && error == 0)
                return -EBADMSG;
        return error;
}
