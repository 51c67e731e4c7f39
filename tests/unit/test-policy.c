/* SPDX-License-Identifier: MIT */
/* Catches: a listener that a rule takes by a name it may not claim; first match, expiry or the
 * host's namespace forgotten; an alert that waits for a rule that can never come to take its
 * listener; and refused text that changes the rules in force. */

#include "tests/unit/rule-policy.h"

/* Whether the one rule takes the listener. */
static bool takes(const char *rule, struct sample sample)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = policy_of(rule);

        return judge(policy, sample).rule;
}

/* ---- judging ---- */

static void test_verdicts(void **state _unused_)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy =
            policy_of("allow tcp 1\n\n# two\ndeny tcp 1-2\r\nrequire tcp 3\nignore tcp 1-4");
        static const struct {
                uint16_t port;
                enum pw_verdict verdict;
                const char *rule;
        } cases[] = {
            {1, PW_EXPECTED, "test.rules:1"}, {2, PW_DENIED, "test.rules:4"},
            {3, PW_EXPECTED, "test.rules:5"}, {4, PW_IGNORED, "test.rules:6"},
            {5, PW_UNEXPECTED, NULL},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_ruling ruling = judge(policy, (struct sample){.port = cases[i].port});

                assert_int_equal(ruling.verdict, cases[i].verdict);
                if (cases[i].rule)
                        assert_string_equal(ruling.rule, cases[i].rule);
                else
                        assert_null(ruling.rule);
        }
}

static void test_protocols_and_ports(void **state _unused_)
{
        assert_false(takes("allow udp any", (struct sample){0}));
        assert_true(takes("allow any any", (struct sample){.protocol = PW_UDP}));
        assert_true(takes("allow udp 53", (struct sample){.protocol = PW_UDPLITE, .port = 53}));
        assert_false(takes("allow tcp 53", (struct sample){.protocol = PW_UDPLITE, .port = 53}));
        assert_true(takes("allow tcp ssh", (struct sample){.port = 22}));
        assert_true(takes("allow tcp ephemeral", (struct sample){.port = 32768}));
        assert_false(takes("allow tcp ephemeral", (struct sample){.port = 32767}));
        assert_false(takes("allow tcp ephemeral", (struct sample){.port = 61000}));
        assert_true(takes("allow tcp dynamic", (struct sample){.port = 61000}));
        assert_true(takes("allow tcp ephemeral,80", (struct sample){.port = 80}));
}

/* What is folded may have any ephemeral port: only rules that take them all take it. */
static void test_folded(void **state _unused_)
{
        struct sample folded = {.protocol = PW_UDP, .folded = true};
        static const char *const yes[] = {
            "allow udp ephemeral",
            "allow any ephemeral,53",
            "allow udp any",
            "allow any 0-65535",
            "allow udp well-known,registered,dynamic",
            "allow udp ephemeral exe=/usr/bin/server user=dev scope=any",
        };
        static const char *const no[] = {
            "allow tcp ephemeral",  "allow udp 0",
            "allow udp 0-1023",     "allow udp dynamic",
            "allow udp well-known", "allow udp 1-65535",
            "allow udp 0-65534",    "allow udp ephemeral user=eve",
        };

        for (size_t i = 0; i < PW_ELEMENTS(yes); i++)
                if (!takes(yes[i], folded))
                        fail_msg("%s does not take it", yes[i]);
        for (size_t i = 0; i < PW_ELEMENTS(no); i++)
                if (takes(no[i], folded))
                        fail_msg("%s takes it", no[i]);
        assert_true(
            takes("allow udp ephemeral", (struct sample){.protocol = PW_UDPLITE, .folded = true}));
}

static void test_addresses(void **state _unused_)
{
        assert_true(takes("allow any any scope=loopback,any", (struct sample){0}));
        assert_false(takes("allow any any scope=loopback", (struct sample){0}));
        assert_true(
            takes("allow any any address=10.0.0.0/8", (struct sample){.address = "10.1.2.3"}));
        assert_true(takes("allow any any address=10.0.0.0/8",
                          (struct sample){.address = "::ffff:10.1.2.3"}));
        assert_false(
            takes("allow any any address=10.0.0.0/8", (struct sample){.address = "0.0.0.0"}));
        assert_true(takes("allow any any address=::/0", (struct sample){.address = "*"}));
        assert_false(takes("allow any any address=0.0.0.0/0", (struct sample){.address = "*"}));
        assert_true(takes("allow any any device=eth*", (struct sample){.device = "eth0"}));
        assert_false(takes("allow any any device=*", (struct sample){0}));
}

static void test_names(void **state _unused_)
{
        assert_true(takes("allow any any user=dev", (struct sample){0}));
        assert_true(takes("allow any any user=d*", (struct sample){0}));
        assert_false(takes("allow any any user=de", (struct sample){0}));
        /* A number is a uid, whatever that user is called, and never a name. */
        assert_true(takes("allow any any user=1000", (struct sample){0}));
        assert_false(takes("allow any any user=1000", (struct sample){.user = "1000", .uid = 7}));
        assert_true(takes("allow any any user=0", (struct sample){.uid = UINT32_MAX}));
        assert_true(
            takes("allow any any container=docker:*", (struct sample){.container = "docker:web"}));
        assert_false(takes("allow any any container=*", (struct sample){0}));
        assert_true(takes("allow any any unit=a\\x2db.service",
                          (struct sample){.unit = "a\\x2db.service"}));
        /* A name that cleaning escaped is matched as the clean text. */
        assert_true(
            takes("allow any any exe=/opt/a\\x0ab", (struct sample){.exe = "/opt/a\\x0ab"}));
}

/* Anyone may call a unit of his own manager ssh.service. */
static void test_user_unit(void **state _unused_)
{
        assert_true(
            takes("allow any any unit=ssh.service", (struct sample){.unit = "ssh.service"}));
        assert_false(
            takes("allow any any unit=ssh.service",
                  (struct sample){.unit = "user@1000.service", .user_unit = "ssh.service"}));
        assert_true(takes("allow any any user_unit=ssh.service",
                          (struct sample){.user_unit = "ssh.service"}));
}

static void test_executables(void **state _unused_)
{
        const char *rule = "allow any any exe=/usr/bin/server";

        assert_true(takes(rule, (struct sample){0}));
        assert_true(takes("allow any any exe=/usr/*/server", (struct sample){0}));
        assert_false(takes(rule, (struct sample){.exe = "/usr/bin/server2"}));
        assert_false(takes(rule, (struct sample){.exe = ""}));
        assert_false(takes("allow any any exe=*", (struct sample){.exe = ""}));
        /* The path is claimed only: another mount namespace, no file any more, memory. */
        assert_false(takes(rule, (struct sample){.traits = PW_TRAIT_FOREIGN_ROOT}));
        assert_false(takes(rule, (struct sample){.traits = PW_TRAIT_DELETED}));
        assert_false(takes(rule, (struct sample){.traits = PW_TRAIT_MEMFD}));
        assert_false(takes(rule, (struct sample){.unknown = PW_UNKNOWN_HIDDEN}));
        /* The socket's user is known even where its process is not. */
        assert_true(takes("allow any any user=dev",
                          (struct sample){.exe = "", .unknown = PW_UNKNOWN_HIDDEN}));
}

/* Where anyone may put a file, a wildcard that happens to match is not enough. */
static void test_temporary(void **state _unused_)
{
        struct sample sample = {.exe = "/tmp/python3", .traits = PW_TRAIT_TEMPORARY};

        assert_true(takes("allow any any exe=/tmp/python3", sample));
        assert_true(takes("allow any any exe=/tmp/*", sample));
        assert_false(takes("allow any any exe=*/python3", sample));
        assert_false(takes("allow any any exe=/t*", sample));
        assert_true(takes("allow any any user=dev", sample));
}

static void test_kernel(void **state _unused_)
{
        struct sample kernel = {.exe = "", .traits = PW_TRAIT_KERNEL};

        assert_true(
            takes("allow udp any owner=kernel",
                  (struct sample){.protocol = PW_UDP, .exe = "", .traits = PW_TRAIT_KERNEL}));
        assert_true(takes("allow any any owner=kernel", kernel));
        assert_false(takes("allow any any owner=kernel", (struct sample){.exe = ""}));
}

static void test_namespaces(void **state _unused_)
{
        struct sample elsewhere = {.netns = "blue"};

        assert_true(takes("allow any any", (struct sample){0}));
        assert_false(takes("allow any any", elsewhere));
        assert_true(takes("allow any any netns=blue", elsewhere));
        assert_true(takes("allow any any netns=*", elsewhere));
        assert_true(takes("allow any any netns=*", (struct sample){0}));
        assert_false(takes("allow any any netns=blue", (struct sample){0}));
}

/* Namespaces without a name, and those that are named by their container. */
static void test_containers(void **state _unused_)
{
        struct sample web = {.exe = "/usr/sbin/nginx",
                             .traits = PW_TRAIT_FOREIGN_ROOT,
                             .container = "docker:0123456789ab",
                             .netns = "docker:0123456789ab"};
        struct sample nameless = {.netns = "net:[4026532001]"};
        struct sample second = {.netns = "docker:web net:[4026532001]"};

        /* A path inside a container says nothing, the container does; and without netns= a rule
         * is about the host's namespace. */
        assert_false(takes("allow any any exe=/usr/sbin/nginx netns=*", web));
        assert_false(takes("allow any any container=docker:*", web));
        assert_true(takes("allow any any container=docker:* netns=docker:*", web));
        assert_true(takes("allow any any container=docker:0123456789ab netns=*", web));
        assert_false(takes("allow any any container=docker:0123456789ac netns=*", web));
        assert_false(takes("allow any any container=podman:* netns=*", web));
        web.netns = NULL; /* with the host's network */
        assert_true(takes("allow any any container=docker:*", web));

        assert_true(takes("allow any any netns=net:[[]*]", nameless));
        assert_true(takes("allow any any netns=net:[[]4026532001]", nameless));
        assert_false(takes("allow any any netns=net:[[]*]", second));
        assert_true(takes("allow any any netns=\"docker:web net:[[]*]\"", second));
        assert_true(takes("allow any any netns=docker:web*", second));
        assert_false(takes("allow any any netns=docker:web", second));
        assert_false(takes("allow any any netns=net:[[]*]", (struct sample){0}));
}

static void test_until(void **state _unused_)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy =
            policy_of("allow tcp 1 until=@1800000000\nallow tcp 2 until=@1800000001\n"
                      "allow tcp 3 until=@1900000000\nallow tcp 4");

        assert_int_equal(judge(policy, (struct sample){.port = 1}).verdict, PW_UNEXPECTED);
        assert_int_equal(judge(policy, (struct sample){.port = 2}).verdict, PW_EXPECTED);
        assert_int_equal(judge(policy, (struct sample){.port = 4}).verdict, PW_EXPECTED);
        assert_int_equal(pw_policy_next_end(policy, NOW), NOW + PW_USEC_PER_SEC);
        assert_int_equal(pw_policy_next_end(policy, NOW + PW_USEC_PER_SEC),
                         1900000000 * PW_USEC_PER_SEC);
        assert_true(pw_policy_next_end(policy, 1900000000 * PW_USEC_PER_SEC) == PW_USEC_INFINITY);
}

/* ---- looking at rules ---- */

static void test_info(void **state _unused_)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy =
            policy_of("require any 53,5353 grace=30s comment=x  # y\nallow tcp 1");
        struct pw_rule_info info = pw_policy_rule(policy, 0);
        const uint16_t *ports;

        assert_int_equal(pw_policy_count(policy), 2);
        assert_string_equal(info.place, "test.rules:1");
        assert_string_equal(info.text, "require any 53,5353 grace=30s comment=x");
        assert_string_equal(info.comment, "x");
        assert_true(info.require);
        assert_int_equal(info.protocol, 0);
        assert_int_equal(info.grace_usec, 30 * PW_USEC_PER_SEC);
        assert_true(info.until_usec == PW_USEC_INFINITY);
        assert_int_equal(pw_policy_rule_ports(policy, 0, &ports), 2);
        assert_int_equal(ports[1], 5353);
        assert_int_equal(pw_policy_rule_ports(policy, 1, &ports), 0);
        info = pw_policy_rule(policy, 1);
        assert_int_equal(info.protocol, PW_TCP);
        assert_false(info.require);
        assert_null(info.comment);
}

/* ---- who an owner may become ---- */

static bool may_come(const char *rules, struct sample sample)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = policy_of(rules);
        _cleanup_(pw_record_unrefp) struct pw_record *record = sample_record(&sample);

        return pw_policy_may_come_to_expect(policy, record, NOW);
}

/* Would catch an alert for a server that starts as root, and, the other way round, an alert that
 * waits for what can never come. */
static void test_may_come_to_expect(void **state _unused_)
{
        const struct sample root = {.uid = UINT32_MAX, .user = "root"}, dev = {0};

        /* Root may become any user, others none. */
        assert_true(may_come("allow tcp 8080 user=www", root));
        assert_true(may_come("allow tcp 8080 user=77", root));
        assert_true(may_come("require tcp 8080 user=www", root));
        assert_false(may_come("allow tcp 8080 user=www", dev));
        assert_false(may_come("allow tcp 8080 user=77", dev));
        /* Anybody may execute another program. */
        assert_true(may_come("allow tcp 8080 exe=/usr/sbin/other", dev));
        assert_true(may_come("allow tcp 8080 exe=/usr/sbin/other user=dev", dev));
        assert_false(may_come("allow tcp 8080 exe=/usr/sbin/other user=www", dev));
        assert_true(may_come("allow tcp 8080 exe=/usr/sbin/other user=www", root));
        /* Port, address, unit, container and namespace stay. */
        assert_false(may_come("allow tcp 8081 user=www", root));
        assert_false(may_come("allow udp 8080 user=www", root));
        assert_false(may_come("allow tcp 8080 user=www address=10.0.0.0/8", root));
        assert_false(may_come("allow tcp 8080 user=www scope=loopback", root));
        assert_false(may_come("allow tcp 8080 user=www unit=x.service", root));
        assert_false(may_come("allow tcp 8080 user=www container=docker:x", root));
        assert_false(may_come("allow tcp 8080 user=www netns=x", root));
        assert_true(may_come("allow tcp 8080 user=www unit=x.service",
                             (struct sample){.uid = UINT32_MAX, .unit = "x.service"}));
        /* A process is never the kernel. */
        assert_false(may_come("allow tcp 8080 owner=kernel", root));
        /* Only what expects counts. */
        assert_false(may_come("deny tcp 8080 user=www", root));
        assert_false(may_come("ignore tcp 8080 user=www", root));
        assert_true(may_come("deny tcp 8080 user=x\nallow tcp 8080 user=www", root));
        assert_false(may_come("", root));
        assert_false(may_come("allow tcp 8080 user=www until=@1799999999", root));
        assert_true(may_come("allow tcp 8080 user=www until=@1800000001", root));
}

/* ---- refusals ---- */

static void test_refused_as_a_whole(void **state _unused_)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = policy_of("allow tcp 1");
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        const char *text = "allow tcp 2\nallow tcp 80x\n\nalow tcp 3\nallow tcp 4";

        assert_int_equal(
            pw_policy_parse(policy, "b\x1b.rules", text, strlen(text), NULL, &refusals), 1);
        assert_int_equal(refusals.n, 2);
        assert_string_equal(refusals.items[1], "b\\x1b.rules:4:1: unknown verdict \"alow\"; "
                                               "expected allow, deny, require or ignore");
        assert_int_equal(strncmp(refusals.items[0], "b\\x1b.rules:2:11: ", 17), 0);
        assert_int_equal(pw_policy_count(policy), 1);
        assert_int_equal(judge(policy, (struct sample){.port = 2}).verdict, PW_UNEXPECTED);
}

static void test_refusals_are_bounded(void **state _unused_)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        _cleanup_(pw_freep) char *text = malloc(PW_RULE_FILE_MAX + 1);

        assert_int_equal(pw_policy_new(&policy), 0);
        memset(text, '\n', PW_RULE_FILE_MAX + 1);
        for (size_t i = 0; i < 1000; i++)
                memcpy(text + 2 * i, "x\n", 2);
        assert_int_equal(pw_policy_parse(policy, "f", text, 2000, NULL, &refusals), 1);
        assert_int_equal(refusals.n, PW_REFUSALS_LIMIT);
        assert_int_equal(refusals.total, 1000);
        pw_refusals_done(&refusals);
        assert_int_equal(pw_policy_parse(policy, "f", text, PW_RULE_FILE_MAX + 1, NULL, &refusals),
                         1);
        assert_string_equal(refusals.items[0], "f: more than 1 MiB; expected less");
}

static void test_too_many_rules(void **state _unused_)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        _cleanup_(pw_freep) char *text = malloc(PW_RULE_FILE_MAX);
        const size_t each = strlen("deny tcp 1\n"), n = PW_RULE_FILE_MAX / each;
        size_t count = 0;

        assert_int_equal(pw_policy_new(&policy), 0);
        for (size_t i = 0; i < n; i++)
                memcpy(text + i * each, "deny tcp 1\n", each);
        assert_int_equal(pw_policy_parse(policy, "a", text, n * each, NULL, &refusals), 0);
        count = pw_policy_count(policy);
        assert_int_equal(count, n);
        assert_int_equal(pw_policy_parse(policy, "b", text, n * each, NULL, &refusals), 1);
        assert_non_null(strstr(refusals.items[0], "too many rules; expected at most 100000"));
        assert_int_equal(pw_policy_count(policy), count);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_verdicts),
            cmocka_unit_test(test_protocols_and_ports),
            cmocka_unit_test(test_folded),
            cmocka_unit_test(test_addresses),
            cmocka_unit_test(test_names),
            cmocka_unit_test(test_user_unit),
            cmocka_unit_test(test_executables),
            cmocka_unit_test(test_temporary),
            cmocka_unit_test(test_kernel),
            cmocka_unit_test(test_namespaces),
            cmocka_unit_test(test_containers),
            cmocka_unit_test(test_until),
            cmocka_unit_test(test_info),
            cmocka_unit_test(test_may_come_to_expect),
            cmocka_unit_test(test_refused_as_a_whole),
            cmocka_unit_test(test_refusals_are_bounded),
            cmocka_unit_test(test_too_many_rules),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
