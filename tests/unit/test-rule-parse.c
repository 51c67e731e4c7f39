/* SPDX-License-Identifier: MIT */
/* Catches: a line that is accepted though wrong, refused though right, refused at another place or
 * without saying what was expected, and values that are read other than written. */

#include "daemon/rule.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static int parse(const char *line, struct pw_rule *rule, struct pw_rule_fault *fault)
{
        return pw_rule_parse(line, strlen(line), NULL, rule, fault);
}

static struct pw_rule accepted(const char *line)
{
        struct pw_rule_fault fault;
        struct pw_rule rule;
        int r = parse(line, &rule, &fault);

        if (r == -EINVAL)
                fail_msg("%s: %zu: %s", line, fault.column, fault.text);
        assert_int_equal(r, 0);
        return rule;
}

static void refused_bytes(const char *line, size_t length, size_t column, const char *words)
{
        struct pw_rule_fault fault;
        struct pw_rule rule;

        if (pw_rule_parse(line, length, NULL, &rule, &fault) != -EINVAL)
                fail_msg("accepted: %s", line);
        if (fault.column != column || !strstr(fault.text, words))
                fail_msg("%s: %zu: %s (wanted %zu: %s)", line, fault.column, fault.text, column,
                         words);
        if (!strstr(fault.text, "expected"))
                fail_msg("%s: says not what was expected: %s", line, fault.text);
}

static void refused(const char *line, size_t column, const char *words)
{
        refused_bytes(line, strlen(line), column, words);
}

static void test_whole_rule(void **state _unused_)
{
        struct pw_rule rule =
            accepted("  allow\ttcp  80,443   exe=/usr/sbin/nginx scope=any,private "
                     "address=10.0.0.0/8 comment=\"a \\\"b\\\" \\\\ # c\"  # no ");

        assert_int_equal(rule.kind, PW_RULE_ALLOW);
        assert_int_equal(rule.protocols, PW_RULE_TCP);
        assert_int_equal(rule.n_spans, 2);
        assert_int_equal(rule.spans[1].first, 443);
        assert_string_equal(rule.exe.text, "/usr/sbin/nginx");
        assert_true(rule.exe.literal);
        assert_int_equal(rule.scopes, 1u << PW_SCOPE_ANY | 1u << PW_SCOPE_PRIVATE);
        assert_true(rule.has_address);
        assert_int_equal(rule.address.bits, 8);
        assert_string_equal(rule.comment, "a \"b\" \\ # c");
        assert_string_equal(rule.netns.text, "host");
        assert_string_equal(rule.text, "allow tcp  80,443   exe=/usr/sbin/nginx scope=any,private "
                                       "address=10.0.0.0/8 comment=\"a \\\"b\\\" \\\\ # c\"");
        pw_rule_done(&rule);
}

static void test_no_rule(void **state _unused_)
{
        static const char *const lines[] = {"", "   ", "\t", "# allow tcp 80", "  #", "#"};
        struct pw_rule_fault fault;
        struct pw_rule rule;

        for (size_t i = 0; i < PW_ELEMENTS(lines); i++)
                assert_int_equal(parse(lines[i], &rule, &fault), 1);
}

static void test_verdicts_and_protocols(void **state _unused_)
{
        static const struct {
                const char *line;
                enum pw_rule_kind kind;
                uint8_t protocols;
        } cases[] = {
            {"allow tcp 1", PW_RULE_ALLOW, PW_RULE_TCP},
            {"deny udp 1", PW_RULE_DENY, PW_RULE_UDP},
            {"require any 1", PW_RULE_REQUIRE, PW_RULE_TCP | PW_RULE_UDP},
            {"ignore udplite 1", PW_RULE_IGNORE, PW_RULE_UDP},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_rule rule = accepted(cases[i].line);

                assert_int_equal(rule.kind, cases[i].kind);
                assert_int_equal(rule.protocols, cases[i].protocols);
                pw_rule_done(&rule);
        }
        refused("alow tcp 80", 1, "unknown verdict \"alow\"; expected allow, deny, require");
        refused("  Allow tcp 80", 3, "unknown verdict");
        refused("allow tpc 80", 7, "unknown protocol \"tpc\"; expected tcp, udp or any");
        refused("allow", 6, "expected tcp, udp or any");
        refused("allow tcp", 10, "expected ports");
        refused("allow tcp # 80", 11, "expected ports");
}

static void assert_ports(const char *ports, size_t n, const struct pw_ports *expected)
{
        char line[256];
        struct pw_rule rule;

        snprintf(line, sizeof line, "allow tcp %s", ports);
        rule = accepted(line);
        assert_int_equal(rule.n_spans, n);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(rule.spans[i].first, expected[i].first);
                assert_int_equal(rule.spans[i].last, expected[i].last);
        }
        pw_rule_done(&rule);
}

static void test_ports(void **state _unused_)
{
        struct pw_rule rule;

        assert_ports("any", 1, &(struct pw_ports){0, 65535});
        assert_ports("65535", 1, &(struct pw_ports){65535, 65535});
        assert_ports("8000-8099", 1, &(struct pw_ports){8000, 8099});
        assert_ports("7-7", 1, &(struct pw_ports){7, 7});
        assert_ports("well-known", 1, &(struct pw_ports){0, 1023});
        assert_ports("registered,dynamic", 1, &(struct pw_ports){1024, 65535});
        assert_ports("ssh", 1, &(struct pw_ports){22, 22});
        /* Unsorted, overlapping and touching ones become one. */
        assert_ports("9,1-3,4,3,65535,5-7", 3, (struct pw_ports[]){{1, 7}, {9, 9}, {65535, 65535}});
        rule = accepted("ignore udp ephemeral,53");
        assert_true(rule.ephemeral);
        assert_int_equal(rule.n_spans, 1);
        pw_rule_done(&rule);
}

static void test_bad_ports(void **state _unused_)
{
        refused("allow tcp 65536", 11, "no such port \"65536\"; expected a port from 0 to 65535");
        refused("allow tcp 99999999999999999999", 11, "no such port");
        refused("allow tcp -1", 11, "not a port \"-1\"");
        refused("allow tcp 80-", 11, "not a port \"80-\"");
        refused("require udp 53,0", 16, "nothing can be open on port 0; expected 1 to 65535");
        refused("require udp ephemeral", 13, "is not a single port");
        refused("allow tcp 1-2-3", 11, "not a port");
        refused("allow tcp -", 11, "not a port");
        refused("allow tcp 80x", 11, "unknown tcp service \"80x\"");
        refused("allow any no-such-name", 11, "unknown service \"no-such-name\"");
        refused("allow tcp 90-80", 11, "the range is reversed; expected 80-90");
        refused("allow tcp 80,", 14, "a port is missing");
        refused("allow tcp ,80", 11, "a port is missing");
        refused("allow tcp 80,,90", 14, "a port is missing");
        refused("allow tcp 80, 90", 14, "a port is missing");
        refused("allow tcp 80 90", 14, "ports with commas and without spaces");
        refused("allow tcp \"80\"", 11, "unknown tcp service");
}

static void test_require_ports(void **state _unused_)
{
        struct pw_rule rule = accepted("require tcp 443,80,81,80,ssh grace=1min");

        assert_int_equal(rule.n_ports, 4);
        assert_int_equal(rule.ports[0], 22);
        assert_int_equal(rule.ports[1], 80);
        assert_int_equal(rule.ports[2], 81);
        assert_int_equal(rule.ports[3], 443);
        assert_int_equal(rule.grace_usec, 60 * PW_USEC_PER_SEC);
        pw_rule_done(&rule);
        rule = accepted("require tcp 443"); /* a restart of the service is no alert */
        assert_int_equal(rule.grace_usec, 5 * PW_USEC_PER_SEC);
        pw_rule_done(&rule);
        rule = accepted("require tcp 443 grace=0");
        assert_int_equal(rule.grace_usec, 0);
        pw_rule_done(&rule);
        rule = accepted("allow tcp 443");
        assert_int_equal(rule.grace_usec, 0);
        pw_rule_done(&rule);
        refused("require tcp 80-90", 13, "not a single port");
        refused("require tcp 22,any", 16, "not a single port");
        refused("require udp ephemeral", 13, "not a single port");
        refused("require udp well-known", 13, "not a single port");
}

static void test_bad_keys(void **state _unused_)
{
        refused("allow tcp 80 usr=dev", 14, "unknown key \"usr\"; expected address, scope");
        refused("allow tcp 80 =dev", 14, "unknown key \"\"");
        refused("allow tcp 80 user", 14, "\"user\" has no value; expected key=value");
        refused("allow tcp 80 user=", 19, "the key \"user\" has no value");
        refused("allow tcp 80 user=\"\"", 19, "the key \"user\" has no value");
        refused("allow tcp 80 user= dev", 19, "the key \"user\" has no value");
        refused("allow tcp 80 user=a unit=b.service user=c", 36, "is there twice");
        refused("allow tcp 80 scope=lokal", 20, "unknown scope in \"lokal\"; expected loopback");
        refused("allow tcp 80 scope=any,", 20, "unknown scope");
        refused("allow tcp 80 owner=root", 20, "unknown owner \"root\"; expected kernel");
        refused("allow tcp 80 exe=nginx", 18, "not an absolute path");
        refused("allow tcp 80 exe=./nginx", 18, "not an absolute path");
        refused("allow tcp 80 unit=ssh", 19, "without its suffix");
        refused("allow tcp 80 user_unit=ssh", 24, "without its suffix");
        refused("allow tcp 80 user=4294967295", 19, "no such uid");
        refused("allow tcp 80 user=99999999999999999999", 19, "no such uid");
}

static void test_addresses(void **state _unused_)
{
        struct pw_rule rule = accepted("allow tcp 80 address=fe80::/10");

        pw_rule_done(&rule);
        rule = accepted("allow tcp 80 address=*");
        pw_rule_done(&rule);
        refused("allow tcp 80 address=10.0.0.1/8", 22, "bits are set behind the prefix");
        refused("allow tcp 80 address=10.0.0.0/33", 22, "not an address");
        refused("allow tcp 80 address=10.0.0", 22, "not an address");
        refused("allow tcp 80 address=localhost", 22, "not an address");
        refused("allow tcp 80 address=10.0.0.0/", 22, "not an address");
}

static void test_times(void **state _unused_)
{
        struct pw_rule rule = accepted("allow tcp 80 until=@1800000000");

        assert_int_equal(rule.until_usec, 1800000000 * PW_USEC_PER_SEC);
        pw_rule_done(&rule);
        rule = accepted("allow tcp 80 until=\"2026-12-24 18:00 UTC\"");
        assert_int_equal(rule.until_usec, 1798135200 * PW_USEC_PER_SEC);
        pw_rule_done(&rule);
        rule = accepted("allow tcp 80 until=2026-12-24T19:00:00+01:00"); /* as `--for` writes it */
        assert_int_equal(rule.until_usec, 1798135200 * PW_USEC_PER_SEC);
        pw_rule_done(&rule);
        /* These would mean something else at every reload. */
        refused("allow tcp 80 until=+8h", 20, "not a fixed time");
        refused("allow tcp 80 until=tomorrow", 20, "not a fixed time");
        refused("allow tcp 80 until=18:00", 20, "not a fixed time");
        refused("allow tcp 80 until=\"2h ago\"", 20, "not a fixed time");
        refused("allow tcp 80 until=2026-13-01", 20, "not a fixed time");
        refused("allow tcp 80 grace=30s", 20, "only after require");
        refused("require tcp 80 grace=soon", 22, "not a time span");
        refused("require tcp 80 grace=infinity", 22, "not a time span");
}

static void test_quotes(void **state _unused_)
{
        struct pw_rule rule = accepted("allow tcp 80 unit=a\\x2db.service exe=/a#b user=\"a b\"");

        /* Outside of quotes a backslash is itself, and a # within a word begins no comment. */
        assert_string_equal(rule.unit.text, "a\\x2db.service");
        assert_string_equal(rule.exe.text, "/a#b");
        assert_string_equal(rule.user.text, "a b");
        pw_rule_done(&rule);
        refused("allow tcp 80 user=\"a", 19, "the quote is not closed");
        refused("allow tcp 80 user=\"a\\\"", 19, "the quote is not closed");
        refused("allow tcp 80 user=\"a\\", 21, "unknown escape");
        refused("allow tcp 80 user=\"a\\n\"", 21, "unknown escape");
        refused("allow tcp 80 user=\"a\"b", 22, "behind the closing quote");
        refused("allow tcp 80 user=a\"b\"", 20, "a quote within a value");
        refused("allow tcp 80 user=\"a\tb\"", 21, "a tab in a value");
}

static void test_literals(void **state _unused_)
{
        struct pw_rule rule = accepted("allow tcp 80 exe=/a[*]b[?][[] user=a* container=[ab]");

        assert_true(rule.exe.literal);
        assert_string_equal(rule.exe.text, "/a*b?[");
        assert_false(rule.user.literal);
        assert_false(rule.container.literal);
        pw_rule_done(&rule);
        rule = accepted("allow tcp 80 exe=/a[*]* user=1000");
        assert_false(rule.exe.literal);
        assert_string_equal(rule.exe.text, "/a[*]*"); /* untouched where a wildcard is left */
        assert_true(rule.has_uid);
        assert_int_equal(rule.uid, 1000);
        pw_rule_done(&rule);
}

static void test_hostile_bytes(void **state _unused_)
{
        refused_bytes("allow tcp 80\0user=a", 19, 13, "\\x00 is not text");
        refused("allow tcp 80 user=\xff", 19, "\\xff is not text; expected printable UTF-8");
        refused("allow tcp 80 # \xc3(", 16, "\\xc3 is not text");
        refused("allow tcp 80 user=\x1b[31m", 19, "\\x1b is not text");
        refused("allow tcp 80 \r", 14, "\\x0d is not text");
        refused("\xef\xbb\xbf"
                "allow tcp 80",
                1, "\\xef is not text");
        /* Columns count characters, not bytes. */
        refused("allow tcp 80 comment=\xc3\xa4\xc3\xb6 usr=a", 25, "unknown key");
        /* What an attacker wrote comes back harmless and short. */
        refused("allow tcp 80 u\xe2\x80\xaer=a", 15, "\\xe2 is not text");
}

static void test_long_lines(void **state _unused_)
{
        char line[PW_RULE_LINE_MAX + 2];
        struct pw_rule_fault fault;
        struct pw_rule rule;

        memset(line, 'a', sizeof line);
        memcpy(line, "allow tcp 80 user=", 18);
        assert_int_equal(pw_rule_parse(line, PW_RULE_LINE_MAX, NULL, &rule, &fault), 0);
        assert_int_equal(strlen(rule.user.text), PW_RULE_LINE_MAX - 18);
        pw_rule_done(&rule);
        refused_bytes(line, PW_RULE_LINE_MAX + 1, PW_RULE_LINE_MAX + 1,
                      "too long; expected at most 4096 bytes");
        /* A long wrong word is cut in the message. */
        memset(line, 'x', PW_RULE_LINE_MAX);
        refused_bytes(line, PW_RULE_LINE_MAX, 1, "unknown verdict \"xxx");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_whole_rule), cmocka_unit_test(test_no_rule),
            cmocka_unit_test(test_ports),      cmocka_unit_test(test_verdicts_and_protocols),
            cmocka_unit_test(test_bad_ports),  cmocka_unit_test(test_require_ports),
            cmocka_unit_test(test_bad_keys),   cmocka_unit_test(test_addresses),
            cmocka_unit_test(test_times),      cmocka_unit_test(test_quotes),
            cmocka_unit_test(test_literals),   cmocka_unit_test(test_hostile_bytes),
            cmocka_unit_test(test_long_lines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
