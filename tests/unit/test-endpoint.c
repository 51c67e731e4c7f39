/* SPDX-License-Identifier: MIT */
/* Addresses as text and as numbers, scopes, address blocks, ranges of ports. */

#include <portwatch/endpoint.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct pw_address address_of(const char *text)
{
        struct pw_address address;

        assert_int_equal(pw_address_parse(text, &address), 0);
        return address;
}

static void test_protocols(void **state _unused_)
{
        uint8_t protocol = 99;

        assert_string_equal(pw_protocol_name(PW_TCP), "tcp");
        assert_string_equal(pw_protocol_name(PW_UDP), "udp");
        assert_string_equal(pw_protocol_name(PW_UDPLITE), "udplite");
        assert_string_equal(pw_protocol_name(1), "");
        assert_int_equal(pw_protocol_from_name("udplite", &protocol), 0);
        assert_int_equal(protocol, PW_UDPLITE);
        assert_int_equal(pw_protocol_from_name("TCP", &protocol), -EINVAL);
        assert_int_equal(pw_protocol_from_name("", &protocol), -EINVAL);
        assert_int_equal(pw_protocol_from_name(NULL, &protocol), -EINVAL);
        assert_int_equal(protocol, PW_UDPLITE);
}

/* Would catch a field that the order forgets: two endpoints taken for one. */
static void test_compare(void **state _unused_)
{
        struct pw_endpoint base = {.netns = 2, .protocol = PW_TCP, .port = 80, .ifindex = 5};
        struct pw_endpoint greater[7];

        base.address = address_of("*");
        for (size_t i = 0; i < PW_ELEMENTS(greater); i++)
                greater[i] = base;
        greater[0].netns = 1ULL << 40;
        greater[1].protocol = PW_UDP;
        greater[2].port = 60000;
        greater[3].address.bytes[15] = 1;
        greater[4].address.v6only = true;
        greater[5].ifindex = 6;
        greater[6].address.family = AF_INET6 + 1;
        assert_int_equal(pw_endpoint_compare(&base, &base), 0);
        for (size_t i = 0; i < PW_ELEMENTS(greater); i++) {
                assert_true(pw_endpoint_compare(&base, &greater[i]) < 0);
                assert_true(pw_endpoint_compare(&greater[i], &base) > 0);
        }
}

/* Would catch text that does not lead back to the same address. */
static void test_address_text(void **state _unused_)
{
        static const char *const texts[] = {
            "*",
            "::",
            "0.0.0.0",
            "127.0.0.1",
            "255.255.255.255",
            "::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "2001:db8:1111:2222:3333:4444:5555:6666",
            "::ffff:255.255.255.255",
        };

        for (size_t i = 0; i < PW_ELEMENTS(texts); i++) {
                struct pw_address address = address_of(texts[i]);
                char buffer[PW_ADDRESS_MAX];

                assert_string_equal(pw_address_format(buffer, sizeof buffer, &address), texts[i]);
        }
        assert_false(address_of("*").v6only);
        assert_true(address_of("::").v6only);
        assert_int_equal(address_of("*").family, AF_INET6);
}

static void test_address_refused(void **state _unused_)
{
        static const char *const texts[] = {
            "",         "1.2.3",     "1.2.3.4.5",  "256.1.1.1",    " 1.2.3.4",
            "1.2.3.4 ", "localhost", "[::1]",      "fe80::1%eth0", "::g",
            "**",       "127.1",     "1.2.3.4/24", "0x7f.0.0.1",   ":::",
        };
        struct pw_address address = {.family = 99};

        for (size_t i = 0; i < PW_ELEMENTS(texts); i++)
                assert_int_equal(pw_address_parse(texts[i], &address), -EINVAL);
        assert_int_equal(address.family, 99);
}

/* Would catch a buffer overrun or missing NUL where the room is short. */
static void test_address_short_buffer(void **state _unused_)
{
        struct pw_address any = address_of("*"), long_one = address_of("192.168.100.200");
        struct pw_address strange = {.family = 99};
        char buffer[8] = "#######";

        assert_string_equal(pw_address_format(buffer, 1, &any), "");
        assert_string_equal(pw_address_format(buffer, 2, &any), "*");
        assert_string_equal(pw_address_format(buffer, sizeof buffer, &long_one), "");
        assert_string_equal(pw_address_format(buffer, sizeof buffer, &strange), "");
}

static void test_address_port(void **state _unused_)
{
        char buffer[PW_ADDRESS_PORT_MAX];

#define ASSERT_ADDRESS_PORT(address, device, port, expected)                                       \
        assert_string_equal(pw_address_port_format(buffer, sizeof buffer, address, device, port),  \
                            expected)
        ASSERT_ADDRESS_PORT("*", "", 80, "*:80");
        ASSERT_ADDRESS_PORT("127.0.0.1", NULL, 65535, "127.0.0.1:65535");
        ASSERT_ADDRESS_PORT("::1", "", 80, "[::1]:80");
        ASSERT_ADDRESS_PORT("0.0.0.0", "eth0", 67, "0.0.0.0%eth0:67");
        ASSERT_ADDRESS_PORT("*", "", 0, "*:ephemeral");
        ASSERT_ADDRESS_PORT("::", "eth0", 0, "[::%eth0]:ephemeral");
        ASSERT_ADDRESS_PORT("fe80::1", "eth0", 546, "[fe80::1%eth0]:546");
        ASSERT_ADDRESS_PORT("2001:db8:1111:2222:3333:4444:5555:6666", "a23456789012345", 65535,
                            "[2001:db8:1111:2222:3333:4444:5555:6666%a23456789012345]:65535");
#undef ASSERT_ADDRESS_PORT
}

/* Would catch a block that is one bit off: first and last of each, and their neighbours. */
static void test_scopes(void **state _unused_)
{
        static const struct {
                const char *address;
                enum pw_scope scope;
        } cases[] = {
            {"*", PW_SCOPE_ANY},
            {"::", PW_SCOPE_ANY},
            {"0.0.0.0", PW_SCOPE_ANY},
            {"::ffff:0.0.0.0", PW_SCOPE_ANY},
            {"0.0.0.1", PW_SCOPE_GLOBAL},
            {"127.0.0.0", PW_SCOPE_LOOPBACK},
            {"127.255.255.255", PW_SCOPE_LOOPBACK},
            {"126.255.255.255", PW_SCOPE_GLOBAL},
            {"128.0.0.0", PW_SCOPE_GLOBAL},
            {"::1", PW_SCOPE_LOOPBACK},
            {"::2", PW_SCOPE_GLOBAL},
            {"::ffff:127.0.0.53", PW_SCOPE_LOOPBACK},
            {"169.254.0.0", PW_SCOPE_LINK_LOCAL},
            {"169.255.0.0", PW_SCOPE_GLOBAL},
            {"fe80::", PW_SCOPE_LINK_LOCAL},
            {"febf::1", PW_SCOPE_LINK_LOCAL},
            {"fec0::1", PW_SCOPE_GLOBAL},
            {"10.255.255.255", PW_SCOPE_PRIVATE},
            {"11.0.0.0", PW_SCOPE_GLOBAL},
            {"172.15.255.255", PW_SCOPE_GLOBAL},
            {"172.16.0.0", PW_SCOPE_PRIVATE},
            {"172.31.255.255", PW_SCOPE_PRIVATE},
            {"172.32.0.0", PW_SCOPE_GLOBAL},
            {"192.168.1.1", PW_SCOPE_PRIVATE},
            {"192.169.0.0", PW_SCOPE_GLOBAL},
            {"100.63.255.255", PW_SCOPE_GLOBAL},
            {"100.64.0.0", PW_SCOPE_PRIVATE},
            {"100.127.255.255", PW_SCOPE_PRIVATE},
            {"100.128.0.0", PW_SCOPE_GLOBAL},
            {"fc00::1", PW_SCOPE_PRIVATE},
            {"fdff::1", PW_SCOPE_PRIVATE},
            {"fe00::1", PW_SCOPE_GLOBAL},
            {"::ffff:10.0.0.1", PW_SCOPE_PRIVATE},
            {"8.8.8.8", PW_SCOPE_GLOBAL},
            {"2001:db8::1", PW_SCOPE_GLOBAL},
            {"::127.0.0.1", PW_SCOPE_GLOBAL}, /* not an IPv4-mapped address */
            {"223.255.255.255", PW_SCOPE_GLOBAL},
            {"224.0.0.251", PW_SCOPE_MULTICAST},
            {"239.255.255.255", PW_SCOPE_MULTICAST},
            {"240.0.0.1", PW_SCOPE_GLOBAL},
            {"255.255.255.255", PW_SCOPE_MULTICAST},
            {"255.255.255.254", PW_SCOPE_GLOBAL},
            {"ff02::fb", PW_SCOPE_MULTICAST},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_address address = address_of(cases[i].address);

                if (pw_address_scope(&address) != cases[i].scope)
                        fail_msg("%s is %s", cases[i].address,
                                 pw_scope_name(pw_address_scope(&address)));
        }
}

static void test_names(void **state _unused_)
{
        for (enum pw_scope scope = 0; scope < PW_SCOPE_COUNT; scope++) {
                enum pw_scope back;

                assert_int_equal(pw_scope_from_name(pw_scope_name(scope), &back), 0);
                assert_int_equal(back, scope);
        }
        for (enum pw_range range = 0; range < PW_RANGE_COUNT; range++) {
                enum pw_range back;

                assert_int_equal(pw_range_from_name(pw_range_name(range), &back), 0);
                assert_int_equal(back, range);
        }
        assert_string_equal(pw_scope_name(PW_SCOPE_LINK_LOCAL), "link-local");
        assert_string_equal(pw_range_name(PW_RANGE_WELL_KNOWN), "well-known");
}

static void test_cidr_parse(void **state _unused_)
{
        static const struct {
                const char *text;
                int r;
        } cases[] = {
            {"192.0.2.0/24", 0},
            {"192.0.2.1", 0},
            {"0.0.0.0/0", 0},
            {"::/0", 0},
            {"fe80::/10", 0},
            {"*", 0},
            {"::1/128", 0},
            {"192.0.2.1/24", -EEXIST},
            {"0.0.0.1/0", -EEXIST},
            {"fe80::1/64", -EEXIST},
            {"128.0.0.0/0", -EEXIST},
            {"192.0.2.0/33", -EINVAL},
            {"::/129", -EINVAL},
            {"192.0.2.0/", -EINVAL},
            {"192.0.2.0/-1", -EINVAL},
            {"192.0.2.0/ 8", -EINVAL},
            {"192.0.2.0/24/8", -EINVAL},
            {"192.0.2/24", -EINVAL},
            {"*/0", -EINVAL},
            {"/8", -EINVAL},
            {"", -EINVAL},
            {"192.0.2.0/255.255.255.0", -EINVAL},
            {"00000000000000000000000000000000000000000000000000000000000000000000/8", -EINVAL},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_cidr cidr = {.bits = 77};

                if (pw_cidr_parse(cases[i].text, &cidr) != cases[i].r)
                        fail_msg("%s", cases[i].text);
                assert_true(cases[i].r == 0 || cidr.bits == 77);
        }
}

static void test_cidr_contains(void **state _unused_)
{
        static const struct {
                const char *cidr, *address;
                bool contains;
        } cases[] = {
            {"192.0.2.0/24", "192.0.2.255", true},
            {"192.0.2.0/24", "192.0.3.0", false},
            {"192.0.2.0/25", "192.0.2.128", false},
            {"192.0.2.1", "192.0.2.1", true},
            {"192.0.2.1", "192.0.2.0", false},
            {"192.0.2.0/24", "::ffff:192.0.2.9", true},
            {"0.0.0.0/0", "8.8.8.8", true},
            {"0.0.0.0/0", "0.0.0.0", true},
            {"0.0.0.0/0", "::ffff:8.8.8.8", true},
            {"0.0.0.0/0", "::1", false},
            {"0.0.0.0/0", "*", false},
            {"::/0", "8.8.8.8", false},
            {"::/0", "::1", true},
            {"::/0", "*", true},
            {"::/0", "::", true},
            {"10.0.0.0/8", "0.0.0.0", false}, /* covers it, but is another address */
            {"fe80::/10", "febf::1", true},
            {"fe80::/10", "fec0::1", false},
            {"0.0.0.0", "0.0.0.0", true},
            {"*", "*", true},
            {"*", "::", false}, /* `*` takes IPv4, too */
            {"::", "*", false},
            {"::", "::", true},
            {"::1", "::1", true},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_address address = address_of(cases[i].address);
                struct pw_cidr cidr;

                assert_int_equal(pw_cidr_parse(cases[i].cidr, &cidr), 0);
                if (pw_cidr_contains(&cidr, &address) != cases[i].contains)
                        fail_msg("%s, %s", cases[i].cidr, cases[i].address);
        }
}

static void test_ranges(void **state _unused_)
{
        assert_int_equal(pw_port_range(0), PW_RANGE_WELL_KNOWN);
        assert_int_equal(pw_port_range(1023), PW_RANGE_WELL_KNOWN);
        assert_int_equal(pw_port_range(1024), PW_RANGE_REGISTERED);
        assert_int_equal(pw_port_range(49151), PW_RANGE_REGISTERED);
        assert_int_equal(pw_port_range(49152), PW_RANGE_DYNAMIC);
        assert_int_equal(pw_port_range(65535), PW_RANGE_DYNAMIC);
        assert_true(pw_ports_contain(PW_EPHEMERAL_DEFAULT, 32768));
        assert_true(pw_ports_contain(PW_EPHEMERAL_DEFAULT, 60999));
        assert_false(pw_ports_contain(PW_EPHEMERAL_DEFAULT, 61000));
}

/* A made-up /proc; would catch a file that is believed though it makes no sense. */
static void test_ephemeral(void **state _unused_)
{
        static const struct {
                const char *content;
                int r;
                struct pw_ports ports;
        } cases[] = {
            {"32768\t60999\n", 0, {32768, 60999}},
            {"1024 65535", 0, {1024, 65535}},
            {"5\t5\n", 0, {5, 5}},
            {"60999\t32768\n", -EBADMSG, {0, 0}},
            {"1024\t65536\n", -EBADMSG, {0, 0}},
            {"1024\n", -EBADMSG, {0, 0}},
            {"-1 7\n", -EBADMSG, {0, 0}},
            {"", -EBADMSG, {0, 0}},
            {"11111111111111111111111111111111 2222222222222222222222222222222222222222",
             -EBADMSG,
             {0, 0}},
        };
        static const char *const dirs[] = {"sys", "sys/net", "sys/net/ipv4"};
        static const char file[] = "sys/net/ipv4/ip_local_port_range";
        char path[] = "/tmp/portwatch-test-XXXXXX";
        struct pw_ports ports = {7, 7};
        int fd;

        assert_non_null(mkdtemp(path));
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pw_ephemeral_read(fd, &ports), -ENOENT);
        assert_int_equal(ports.first, 7);
        for (size_t i = 0; i < PW_ELEMENTS(dirs); i++)
                assert_int_equal(mkdirat(fd, dirs[i], 0700), 0);
        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                assert_int_equal(pw_write_file_atomic(fd, file, cases[i].content,
                                                      strlen(cases[i].content), 0600, false),
                                 0);
                ports = (struct pw_ports){0, 0};
                assert_int_equal(pw_ephemeral_read(fd, &ports), cases[i].r);
                assert_int_equal(ports.first, cases[i].ports.first);
                assert_int_equal(ports.last, cases[i].ports.last);
        }
        unlinkat(fd, file, 0);
        for (size_t i = PW_ELEMENTS(dirs); i > 0; i--)
                unlinkat(fd, dirs[i - 1], AT_REMOVEDIR);
        close(fd);
        rmdir(path);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_protocols),
            cmocka_unit_test(test_compare),
            cmocka_unit_test(test_address_text),
            cmocka_unit_test(test_address_refused),
            cmocka_unit_test(test_address_short_buffer),
            cmocka_unit_test(test_address_port),
            cmocka_unit_test(test_scopes),
            cmocka_unit_test(test_names),
            cmocka_unit_test(test_cidr_parse),
            cmocka_unit_test(test_cidr_contains),
            cmocka_unit_test(test_ranges),
            cmocka_unit_test(test_ephemeral),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
