/* SPDX-License-Identifier: MIT */
/* The parser of sock_diag replies: messages made by hand, and broken ones. */

#include "daemon/sockdiag-parse.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NETNS 4026531840ULL

struct reply {
        char bytes[512];
        size_t length;
};

static void put(struct reply *reply, const void *data, size_t length)
{
        assert_true(reply->length + length <= sizeof reply->bytes);
        memcpy(reply->bytes + reply->length, data, length);
        reply->length += length;
}

static void put_attribute(struct reply *reply, uint16_t type, const void *data, size_t length)
{
        static const char padding[NLA_ALIGNTO];
        struct nlattr header = {.nla_len = (uint16_t)(sizeof header + length), .nla_type = type};

        put(reply, &header, sizeof header);
        put(reply, data, length);
        put(reply, padding, (size_t)-length % NLA_ALIGNTO);
}

static struct inet_diag_msg message(uint8_t family, uint8_t state, const char *address,
                                    uint16_t port)
{
        struct inet_diag_msg message = {
            .idiag_family = family,
            .idiag_state = state,
            .id.idiag_sport = htons(port),
            .id.idiag_cookie = {0x55667788, 0x11223344},
            .idiag_uid = 1000,
            .idiag_inode = 4711,
            .idiag_rqueue = 7,
            .idiag_wqueue = 8,
            .idiag_timer = 9,
            .idiag_retrans = 10,
            .idiag_expires = 11,
        };

        assert_int_equal(inet_pton(family, address, message.id.idiag_src), 1);
        return message;
}

static struct reply listener(uint8_t family, const char *address, uint16_t port)
{
        struct inet_diag_msg head = message(family, TCP_LISTEN, address, port);
        struct reply reply = {0};

        put(&reply, &head, sizeof head);
        return reply;
}

static int parse(const struct reply *reply, uint8_t protocol, struct pw_socket *ret)
{
        return pw_sockdiag_parse(reply->bytes, reply->length, protocol, NETNS, ret);
}

/* Every field of a row, and no byte that is not one: rows are compared as bytes. */
static void test_whole_row(void **state)
{
        struct reply reply = listener(AF_INET6, "::", 443);
        uint64_t cgroup_id = 0x1234567890abcdef;
        uint8_t v6only = 1;
        struct pw_socket row;
        struct pw_socket wanted = {
            .cookie = 0x1122334455667788,
            .cgroup_id = cgroup_id,
            .endpoint =
                {
                    .netns = NETNS,
                    .port = 443,
                    .protocol = PW_TCP,
                    .address = {.family = AF_INET6, .v6only = true},
                },
            .inode = 4711,
            .uid = 1000,
        };

        (void)state;
        put_attribute(&reply, INET_DIAG_SHUTDOWN, "", 1);
        put_attribute(&reply, INET_DIAG_SKV6ONLY, &v6only, sizeof v6only);
        put_attribute(&reply, INET_DIAG_CGROUP_ID, &cgroup_id, sizeof cgroup_id);
        put_attribute(&reply, 4095, "of a later kernel", 17);
        memset(&row, 0xff, sizeof row);
        assert_int_equal(parse(&reply, PW_TCP, &row), 0);
        assert_memory_equal(&row, &wanted, sizeof row);
}

/* IPv4 uses the first 4 bytes; what a kernel might leave behind them is not part of the address. */
static void test_ipv4_address(void **state)
{
        static const uint8_t wanted[16] = {192, 0, 2, 7};
        struct inet_diag_msg head = message(AF_INET, TCP_CLOSE, "192.0.2.7", 53);
        struct reply reply = {0};
        struct pw_socket row;

        (void)state;
        head.id.idiag_src[1] = head.id.idiag_src[3] = 0xffffffff;
        head.id.idiag_if = 3;
        put(&reply, &head, sizeof head);
        put_attribute(&reply, INET_DIAG_SKV6ONLY, "\1", 1);
        assert_int_equal(parse(&reply, PW_UDP, &row), 0);
        assert_memory_equal(row.endpoint.address.bytes, wanted, sizeof wanted);
        assert_int_equal(row.endpoint.address.family, AF_INET);
        assert_false(row.endpoint.address.v6only);
        assert_int_equal(row.endpoint.ifindex, 3);
        assert_int_equal(row.endpoint.protocol, PW_UDP);
        assert_int_equal(row.cgroup_id, 0);
}

/* The kernel says V6ONLY of every specific address; text has no form for that. */
static void test_v6only_at_unspecified_only(void **state)
{
        struct reply reply = listener(AF_INET6, "::1", 443);
        struct pw_socket row;

        (void)state;
        put_attribute(&reply, INET_DIAG_SKV6ONLY, "\1", 1);
        assert_int_equal(parse(&reply, PW_TCP, &row), 0);
        assert_false(row.endpoint.address.v6only);
        reply = listener(AF_INET6, "::", 443);
        put_attribute(&reply, INET_DIAG_SKV6ONLY, "\0", 1);
        assert_int_equal(parse(&reply, PW_TCP, &row), 0);
        assert_false(row.endpoint.address.v6only);
}

/* A connection or a client taken for a listener, or the reverse. */
static void test_states(void **state)
{
        static const uint8_t protocols[] = {PW_TCP, PW_UDP, PW_UDPLITE, IPPROTO_SCTP};

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(protocols); i++)
                for (unsigned s = 0; s < 256; s++) {
                        struct inet_diag_msg head = message(AF_INET, (uint8_t)s, "127.0.0.1", 80);
                        struct reply reply = {0};
                        struct pw_socket row = {.inode = 1};
                        bool wanted = (protocols[i] == PW_TCP && s == TCP_LISTEN) ||
                                      (protocols[i] == PW_UDP && s == TCP_CLOSE) ||
                                      (protocols[i] == PW_UDPLITE && s == TCP_CLOSE);

                        put(&reply, &head, sizeof head);
                        assert_int_equal(parse(&reply, protocols[i], &row), wanted ? 0 : 1);
                        if (!wanted)
                                assert_int_equal(row.inode, 1);
                }
}

static void test_port_0_is_nobody(void **state)
{
        struct reply reply = listener(AF_INET, "127.0.0.1", 0);
        struct pw_socket row;

        (void)state;
        assert_int_equal(parse(&reply, PW_TCP, &row), 1);
}

static void test_other_family(void **state)
{
        struct inet_diag_msg head = message(AF_INET, TCP_LISTEN, "127.0.0.1", 80);
        struct reply reply = {0};
        struct pw_socket row;

        (void)state;
        head.idiag_family = AF_UNIX;
        put(&reply, &head, sizeof head);
        assert_int_equal(parse(&reply, PW_TCP, &row), -EBADMSG);
}

/* Cut at every byte: only cuts between attributes can be read, and none reads past the end (the
 * copy has the exact size, so that sanitizers and valgrind see it). */
static void test_cut_anywhere(void **state)
{
        struct reply reply = listener(AF_INET6, "::", 80);
        size_t head = reply.length, first;
        uint64_t cgroup_id = 1;
        struct pw_socket row;

        (void)state;
        put_attribute(&reply, INET_DIAG_SKV6ONLY, "\1", 1);
        first = reply.length;
        put_attribute(&reply, INET_DIAG_CGROUP_ID, &cgroup_id, sizeof cgroup_id);
        for (size_t length = 0; length <= reply.length; length++) {
                /* Behind the attribute's one byte of value there is only padding. */
                bool whole = length == head || (length >= first - 3 && length <= first) ||
                             length == reply.length;
                char *copy = malloc(length ? length : 1);

                assert_non_null(copy);
                memcpy(copy, reply.bytes, length);
                assert_int_equal(pw_sockdiag_parse(copy, length, PW_TCP, NETNS, &row),
                                 whole ? 0 : -EBADMSG);
                free(copy);
        }
}

/* Attributes that lie about their length: loops without end, or reads past it. */
static void test_attribute_lengths(void **state)
{
        static const uint16_t lengths[] = {0, 1, 3, 9, 12, 1000, UINT16_MAX};

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(lengths); i++) {
                struct reply reply = listener(AF_INET, "127.0.0.1", 80);
                struct nlattr header = {.nla_len = lengths[i], .nla_type = 4095};
                struct pw_socket row;

                put(&reply, &header, sizeof header);
                put(&reply, "\0\0\0\0", 4);
                assert_int_equal(parse(&reply, PW_TCP, &row), -EBADMSG);
        }
}

/* Known attributes with too little in them. */
static void test_short_values(void **state)
{
        struct reply reply = listener(AF_INET6, "::", 80);
        struct pw_socket row;

        (void)state;
        put_attribute(&reply, INET_DIAG_SKV6ONLY, "", 0);
        assert_int_equal(parse(&reply, PW_TCP, &row), -EBADMSG);
        reply = listener(AF_INET6, "::", 80);
        put_attribute(&reply, INET_DIAG_CGROUP_ID, "1234567", 7);
        assert_int_equal(parse(&reply, PW_TCP, &row), -EBADMSG);
}

/* Messages lie where they lie in a file. */
static void test_unaligned(void **state)
{
        struct reply reply = listener(AF_INET, "127.0.0.1", 80);
        struct pw_socket row;
        char shifted[sizeof reply.bytes + 1];

        (void)state;
        put_attribute(&reply, INET_DIAG_CGROUP_ID, "12345678", 8);
        memcpy(shifted + 1, reply.bytes, reply.length);
        assert_int_equal(pw_sockdiag_parse(shifted + 1, reply.length, PW_TCP, NETNS, &row), 0);
        assert_int_equal(row.endpoint.port, 80);
}

/* A dump that failed must not look like an empty one: the error is in NLMSG_DONE's payload. */
static void test_end(void **state)
{
        static const int enoent = -ENOENT, zero, positive = 1, huge = -100000;

        (void)state;
        assert_int_equal(pw_sockdiag_parse_end(NLMSG_DONE, &zero, sizeof zero), 0);
        assert_int_equal(pw_sockdiag_parse_end(NLMSG_DONE, NULL, 0), 0);
        assert_int_equal(pw_sockdiag_parse_end(NLMSG_DONE, &enoent, sizeof enoent), -ENOENT);
        assert_int_equal(pw_sockdiag_parse_end(NLMSG_DONE, &enoent, 3), -EBADMSG);
        assert_int_equal(pw_sockdiag_parse_end(NLMSG_DONE, &positive, sizeof positive), -EBADMSG);
        assert_int_equal(pw_sockdiag_parse_end(NLMSG_DONE, &huge, sizeof huge), -EBADMSG);
        assert_int_equal(pw_sockdiag_parse_end(NLMSG_ERROR, &enoent, sizeof enoent), -ENOENT);
        assert_int_equal(pw_sockdiag_parse_end(NLMSG_ERROR, &zero, sizeof zero), -EBADMSG);
        assert_int_equal(pw_sockdiag_parse_end(NLMSG_ERROR, NULL, 0), -EBADMSG);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_whole_row),
            cmocka_unit_test(test_ipv4_address),
            cmocka_unit_test(test_v6only_at_unspecified_only),
            cmocka_unit_test(test_states),
            cmocka_unit_test(test_port_0_is_nobody),
            cmocka_unit_test(test_other_family),
            cmocka_unit_test(test_cut_anywhere),
            cmocka_unit_test(test_attribute_lengths),
            cmocka_unit_test(test_short_values),
            cmocka_unit_test(test_unaligned),
            cmocka_unit_test(test_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
