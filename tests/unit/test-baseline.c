/* SPDX-License-Identifier: MIT */
/* Catches: a rule that does not match the listener it was made from, one that matches more than it
 * should (wildcards in names, another user or scope, all of PID 1), suspicious or unknown owners
 * that are learned, and a baseline that its own parser refuses or that is written over. */

#include "tests/unit/rule-policy.h"

#include <portwatch/text.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_rule(struct sample sample, const char *verdict, const char *expected)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = sample_record(&sample);
        char rule[PW_RULE_TEXT_MAX];

        assert_int_equal(pw_rule_format(record, verdict, rule, sizeof rule), 0);
        assert_string_equal(rule, expected);
}

static void assert_not_learned(struct sample sample)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = sample_record(&sample);
        char rule[PW_RULE_TEXT_MAX] = "as before";

        assert_int_equal(pw_rule_format(record, "allow", rule, sizeof rule), 1);
        assert_string_equal(rule, "as before");
}

static void add(struct pw_records *records, struct sample sample)
{
        assert_int_equal(pw_records_add(records, sample_record(&sample)), 0);
}

/* ---- one rule ---- */

static void test_format(void **state _unused_)
{
        assert_rule((struct sample){0}, "allow",
                    "allow tcp 8080 exe=/usr/bin/server user=dev scope=any");
        assert_rule((struct sample){.protocol = PW_UDPLITE, .address = "127.0.0.1"}, "deny",
                    "deny udp 8080 exe=/usr/bin/server user=dev scope=loopback");
        assert_rule((struct sample){.protocol = PW_UDP, .port = 40000}, "allow",
                    "allow udp ephemeral exe=/usr/bin/server user=dev scope=any");
        assert_rule((struct sample){.protocol = PW_UDP, .folded = true}, "allow",
                    "allow udp ephemeral exe=/usr/bin/server user=dev scope=any");
        assert_rule((struct sample){.port = 40000}, "require",
                    "require tcp 40000 exe=/usr/bin/server user=dev scope=any");
        assert_rule((struct sample){.device = "eth0", .container = "docker:web", .netns = "blue"},
                    "allow",
                    "allow tcp 8080 exe=/usr/bin/server user=dev scope=any device=eth0 "
                    "container=docker:web netns=blue");
        assert_rule((struct sample){.protocol = PW_UDP,
                                    .port = 4789,
                                    .exe = "",
                                    .traits = PW_TRAIT_KERNEL,
                                    .unknown = PW_UNKNOWN_NO_HOLDER},
                    "allow", "allow udp 4789 owner=kernel scope=any");
}

static void test_format_names(void **state _unused_)
{
        assert_rule((struct sample){.exe = "/opt/my app/a\"b\\c#"}, "allow",
                    "allow tcp 8080 exe=\"/opt/my app/a\\\"b\\\\c#\" user=dev scope=any");
        assert_rule((struct sample){.exe = "/opt/*/[x]?", .netns = "net:[4026531840]"}, "allow",
                    "allow tcp 8080 exe=/opt/[*]/[[]x][?] user=dev scope=any "
                    "netns=net:[[]*]");
        /* A user called by a number would be read as that uid. */
        assert_rule((struct sample){.user = "0", .uid = 1000}, "allow",
                    "allow tcp 8080 exe=/usr/bin/server user=1000 scope=any");
}

/* The executable of PID 1's sockets says nothing: it is the unit that does. */
static void test_format_socket_units(void **state _unused_)
{
        assert_rule((struct sample){.exe = "/usr/lib/systemd/systemd",
                                    .user = "root",
                                    .uid = UINT32_MAX,
                                    .unit = "ssh.socket",
                                    .pid = 1},
                    "allow",
                    "allow tcp 8080 exe=/usr/lib/systemd/systemd user=root unit=ssh.socket "
                    "scope=any");
        assert_rule((struct sample){.unit = "ssh.service"}, "allow",
                    "allow tcp 8080 exe=/usr/bin/server user=dev scope=any");
}

#define CONTAINED                                                                                  \
        .exe = "/usr/sbin/nginx", .user = "root", .uid = UINT32_MAX, .traits = PW_TRAIT_FOREIGN_ROOT

/* What lasts names a container's listener: its own name, a service that runs it, or its id for as
 * long as there is nothing better. Its paths never do. */
static void test_format_containers(void **state _unused_)
{
        assert_rule((struct sample){CONTAINED, .container = "machine:web", .netns = "machine:web"},
                    "allow",
                    "allow tcp 8080 user=root scope=any container=machine:web netns=machine:web");
        assert_rule((struct sample){CONTAINED, .container = "machine:web"}, "allow",
                    "allow tcp 8080 user=root scope=any container=machine:web");
        assert_rule((struct sample){CONTAINED, .container = "docker:0123456789ab",
                                    .netns = "docker:0123456789ab",
                                    .unit = "docker-0123456789abcdef0123456789abcdef.scope"},
                    "allow",
                    "allow tcp 8080 user=root scope=any container=docker:0123456789ab "
                    "netns=docker:0123456789ab");
        assert_rule((struct sample){CONTAINED, .container = "podman:0123456789ab",
                                    .netns = "podman:0123456789ab net:[4026532001]",
                                    .unit = "web.service"},
                    "allow",
                    "allow tcp 8080 user=root unit=web.service scope=any container=podman:* "
                    "netns=\"podman:* net:[[]*]\"");
        /* The engine's own service may run other containers, too, and a user's manager does. */
        assert_rule((struct sample){CONTAINED, .container = "kubernetes:0123456789ab",
                                    .unit = "k3s.service"},
                    "allow",
                    "allow tcp 8080 user=root scope=any container=kubernetes:0123456789ab");
        assert_rule((struct sample){CONTAINED, .container = "podman@1000:0123456789ab",
                                    .netns = "net:[4026532001]", .unit = "user@1000.service"},
                    "allow",
                    "allow tcp 8080 user=root scope=any container=podman@1000:0123456789ab "
                    "netns=net:[[]*]");
        /* The host's own executable says who it is, in whatever container. */
        assert_rule(
            (struct sample){.container = "docker:0123456789ab", .netns = "docker:0123456789ab"},
            "allow",
            "allow tcp 8080 exe=/usr/bin/server user=dev scope=any container=docker:* "
            "netns=docker:*");
}

/* Names that only look as if they had an id. */
static void test_format_odd_namespaces(void **state _unused_)
{
        static const struct {
                const char *netns, *written;
        } cases[] = {
            {"net:[]", "net:[[]]"},
            {"net:[1", "net:[[]1"},
            {"xnet:[1]", "xnet:[[]1]"},
            {"net:[1]x", "net:[[]1]x"},
            {"[1]", "[[]1]"},
            {"docker:*", "docker:[*]"},
            {"run-1.service", "run-1.service"},
            {"]", "]"},
            {"a net:[1] net:[2]", "\"a net:[[]1] net:[[]*]\""},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct sample sample = {.netns = cases[i].netns};
                _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
                char rule[256];

                snprintf(rule, sizeof rule,
                         "allow tcp 8080 exe=/usr/bin/server user=dev scope=any netns=%s",
                         cases[i].written);
                assert_rule(sample, "allow", rule);
                policy = policy_of(rule);
                assert_int_equal(judge(policy, sample).verdict, PW_EXPECTED);
        }
}

/* The rule takes the listener after the container was started again, and no other container's. */
static void test_container_restart(void **state _unused_)
{
        const struct sample before[] = {
            {CONTAINED, .container = "docker:0123456789ab", .netns = "docker:0123456789ab"},
            {CONTAINED, .container = "podman:0123456789ab", .netns = "podman:0123456789ab",
             .unit = "web.service"},
            {.netns = "net:[4026532001]"},
            {.protocol = PW_UDP, .folded = true, .netns = "blue"},
        };
        const struct sample after[PW_ELEMENTS(before)] = {
            {CONTAINED, .container = "docker:0123456789ab", .netns = "docker:0123456789ab",
             .pid = 2},
            {CONTAINED, .container = "podman:ba9876543210", .netns = "podman:ba9876543210",
             .unit = "web.service"},
            {.netns = "net:[4026539999]"},
            {.protocol = PW_UDP, .folded = true, .netns = "blue"},
        };
        const struct sample other[PW_ELEMENTS(before)] = {
            {CONTAINED, .container = "docker:ba9876543210", .netns = "docker:ba9876543210"},
            {CONTAINED, .container = "podman:ba9876543210", .netns = "podman:ba9876543210",
             .unit = "evil.service"},
            {.netns = "net:[4026539999]", .exe = "/usr/bin/other"},
            {.protocol = PW_UDP, .folded = true, .netns = "red"},
        };

        for (size_t i = 0; i < PW_ELEMENTS(before); i++) {
                struct pw_records records = {0};
                size_t learned, left_out;
                _cleanup_(pw_freep) char *text = NULL;
                _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;

                add(&records, before[i]);
                text = pw_baseline_text(&records, NOW, &learned, &left_out);
                pw_records_done(&records);
                policy = policy_of(text);
                if (judge(policy, before[i]).verdict != PW_EXPECTED ||
                    judge(policy, after[i]).verdict != PW_EXPECTED ||
                    judge(policy, other[i]).verdict != PW_UNEXPECTED)
                        fail_msg("%zu: %s", i, text);
        }
}

static void test_not_learned(void **state _unused_)
{
        assert_not_learned((struct sample){.traits = PW_TRAIT_FOREIGN_ROOT});
        assert_not_learned((struct sample){.traits = PW_TRAIT_FOREIGN_ROOT, .unit = "x.service"});
        assert_not_learned((struct sample){.traits = PW_TRAIT_FOREIGN_ROOT, .netns = "docker:web"});
        assert_not_learned((struct sample){.traits = PW_TRAIT_FOREIGN_ROOT | PW_TRAIT_DELETED,
                                           .container = "docker:web"});
        assert_not_learned((struct sample){.traits = PW_TRAIT_FOREIGN_ROOT | PW_TRAIT_TEMPORARY,
                                           .container = "docker:web"});
        assert_not_learned((struct sample){.traits = PW_TRAIT_DELETED});
        assert_not_learned((struct sample){.traits = PW_TRAIT_MEMFD});
        assert_not_learned((struct sample){.traits = PW_TRAIT_TEMPORARY});
        assert_not_learned((struct sample){.exe = "", .unknown = PW_UNKNOWN_NO_HOLDER});
        assert_not_learned((struct sample){.unknown = PW_UNKNOWN_HIDDEN});
        assert_not_learned((struct sample){.exe = ""});
        assert_not_learned((struct sample){.exe = "memfd:x"});
        assert_not_learned((struct sample){.traits = PW_TRAIT_KERNEL | PW_TRAIT_MEMFD});
}

static void test_too_long(void **state _unused_)
{
        char exe[PW_RULE_TEXT_MAX + 1], rule[PW_RULE_TEXT_MAX];
        _cleanup_(pw_record_unrefp) struct pw_record *record = NULL;
        size_t learned, left_out;
        struct pw_records records = {0};
        _cleanup_(pw_freep) char *text = NULL;

        memset(exe, 'a', sizeof exe);
        exe[0] = '/';
        exe[sizeof exe - 1] = '\0';
        record = sample_record(&(struct sample){.exe = exe});
        assert_int_equal(pw_rule_format(record, "allow", rule, sizeof rule), -E2BIG);
        pw_records_add(&records, pw_record_ref(record));
        text = pw_baseline_text(&records, NOW, &learned, &left_out);
        assert_int_equal(learned, 0);
        assert_int_equal(left_out, 1);
        pw_records_done(&records);
        pw_record_unref(PW_TAKE_PTR(record));
        record = sample_record(&(struct sample){0});
        assert_int_equal(pw_rule_format(record, "allow", rule, 20), -E2BIG);
}

/* ---- the baseline ---- */

static void test_text(void **state _unused_)
{
        struct pw_records records = {0};
        size_t learned = 0, left_out = 0;
        _cleanup_(pw_freep) char *text = NULL;
        const char *rules;

        setenv("TZ", "UTC", 1);
        add(&records, (struct sample){.protocol = PW_UDP, .port = 40000});
        add(&records, (struct sample){.protocol = PW_UDP, .port = 40001});
        add(&records, (struct sample){.port = 80, .service = "http", .unit = "nginx.service"});
        add(&records, (struct sample){.port = 22, .service = "ssh", .unit = "ssh.service"});
        add(&records,
            (struct sample){.port = 22, .service = "ssh", .unit = "ssh.service", .address = "::"});
        add(&records, (struct sample){.port = 23, .traits = PW_TRAIT_MEMFD});
        text = pw_baseline_text(&records, NOW, &learned, &left_out);
        pw_records_done(&records);
        assert_int_equal(learned, 5);
        assert_int_equal(left_out, 1);
        assert_non_null(strstr(text, "# What was open on 2027-01-15 08:00:00 UTC,\n"));
        assert_null(strstr(text, "never overwritten")); /* that is true of the file only */
        rules = strstr(text, "\n\n");
        assert_string_equal(
            rules + 2,
            "allow tcp 22 exe=/usr/bin/server user=dev scope=any  # ssh, ssh.service, 2027-01-15\n"
            "allow tcp 80 exe=/usr/bin/server user=dev scope=any  # http, nginx.service, "
            "2027-01-15\n"
            "allow udp ephemeral exe=/usr/bin/server user=dev scope=any  # server, 2027-01-15\n");
}

static void test_empty(void **state _unused_)
{
        struct pw_records records = {0};
        size_t learned = 7, left_out = 7;
        _cleanup_(pw_freep) char *text = pw_baseline_text(&records, NOW, &learned, &left_out);
        _cleanup_(pw_policy_freep) struct pw_policy *policy = policy_of(text);

        assert_int_equal(learned + left_out, 0);
        assert_int_equal(pw_policy_count(policy), 0);
}

/* Hostile and awkward names, all of them clean as everything in a record is. */
static const char *const names[] = {
    "/usr/bin/server",
    "/a b",
    "/a*",
    "/a[b]",
    "/a?c",
    "/a\"b",
    "/a\\x0ab",
    "/#x",
    "/a #b",
    "/\xc3\xa4\xe2\x82\xac",
    "/a]",
    "/[!a]",
    "/[*]",
    "/a=b user=root",
    "/a\\",
};
static const char *const users[] = {"root", "dev", "1000", "0", "a b", "DOM\\user", "*", "a\"b"};
static const char *const addresses[] = {"*",   "0.0.0.0", "::",       "127.0.0.1",
                                        "::1", "8.8.8.8", "10.0.0.1", "fe80::1"};

#define PICK(array) ((array)[next_random(seed) % PW_ELEMENTS(array)])

static struct sample random_sample(uint64_t *seed)
{
        static const char *const units[] = {NULL, "a\\x2db.socket", "x@1.service", "a b.socket"};
        static const char *const containers[] = {NULL, NULL, "docker:*", "docker:a b"};
        static const char *const spaces[] = {NULL, NULL, "net:[4026531840]", "blue"};
        static const char *const devices[] = {NULL, NULL, "eth0", "e?"};
        static const uint8_t protocols[] = {PW_TCP, PW_UDP, PW_UDPLITE};
        static const unsigned traits[] = {0, 0, 0, PW_TRAIT_KERNEL, PW_TRAIT_TEMPORARY};

        return (struct sample){
            .protocol = PICK(protocols),
            .port = (uint16_t)(1 + next_random(seed) % 65535),
            .address = PICK(addresses),
            .user = PICK(users),
            .uid = next_random(seed) % 2 ? 1000 : 7,
            .exe = PICK(names),
            .unit = PICK(units),
            .container = PICK(containers),
            .netns = PICK(spaces),
            .device = PICK(devices),
            .traits = PICK(traits),
            .service = "some service",
        };
}

/* The same listener in all that its rule has to tell apart. */
static bool alike(const struct pw_record *a, const struct pw_record *b)
{
        const struct pw_owner *x = a->owner, *y = b->owner;

        if (pw_rule_protocol(a->protocol) != pw_rule_protocol(b->protocol) ||
            a->scope != b->scope || a->ephemeral != b->ephemeral ||
            (!a->ephemeral && a->port != b->port) || !pw_text_equal(a->netns, b->netns))
                return false;
        if (x->traits & PW_TRAIT_KERNEL && y->traits & PW_TRAIT_KERNEL)
                return true;
        return pw_text_equal(x->exe, y->exe) &&
               (pw_text_equal(x->user, y->user) || x->uid == y->uid);
}

/* Each learned listener is expected, and nothing else but what is like one of them. */
static void test_learned_and_only_that(void **state _unused_)
{
        uint64_t seed_value = 3, *seed = &seed_value;

        for (int round = 0; round < 20; round++) {
                struct pw_records records = {0}, others = {0};
                size_t learned = 0, left_out = 0, found = 0;
                _cleanup_(pw_freep) char *text = NULL;
                _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;

                for (int i = 0; i < 60; i++) {
                        add(&records, random_sample(seed));
                        add(&others, random_sample(seed));
                        others.items[i]->port = records.items[next_random(seed) % records.n]->port;
                        assert_int_equal(pw_record_label(others.items[i], PW_EPHEMERAL_DEFAULT), 0);
                }
                text = pw_baseline_text(&records, NOW, &learned, &left_out);
                policy = policy_of(text);
                for (size_t i = 0; i < records.n; i++)
                        found +=
                            pw_policy_judge(policy, records.items[i], NOW).verdict == PW_EXPECTED;
                assert_int_equal(found, learned);
                assert_int_equal(learned + left_out, records.n);
                for (size_t i = 0; i < others.n; i++) {
                        bool like = false;

                        for (size_t j = 0; j < records.n; j++)
                                like |= alike(others.items[i], records.items[j]);
                        if (!like)
                                assert_int_equal(
                                    pw_policy_judge(policy, others.items[i], NOW).verdict,
                                    PW_UNEXPECTED);
                }
                pw_records_done(&records);
                pw_records_done(&others);
        }
}

static void test_nothing_wider(void **state _unused_)
{
        struct pw_records records = {0};
        size_t learned, left_out;
        _cleanup_(pw_freep) char *text = NULL;
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;

        add(&records, (struct sample){.exe = "/opt/*", .address = "127.0.0.1"});
        add(&records,
            (struct sample){
                .port = 22, .exe = "/usr/lib/systemd/systemd", .pid = 1, .unit = "ssh.socket"});
        text = pw_baseline_text(&records, NOW, &learned, &left_out);
        pw_records_done(&records);
        policy = policy_of(text);
        assert_int_equal(
            judge(policy, (struct sample){.exe = "/opt/*", .address = "127.0.0.2"}).verdict,
            PW_EXPECTED);
        assert_int_equal(judge(policy, (struct sample){.exe = "/opt/*"}).verdict, PW_UNEXPECTED);
        assert_int_equal(
            judge(policy, (struct sample){.exe = "/opt/x", .address = "127.0.0.1"}).verdict,
            PW_UNEXPECTED);
        assert_int_equal(judge(policy, (struct sample){.exe = "/opt/*",
                                                       .address = "127.0.0.1",
                                                       .user = "eve",
                                                       .uid = 1001})
                             .verdict,
                         PW_UNEXPECTED);
        assert_int_equal(
            judge(policy, (struct sample){.exe = "/opt/*", .address = "127.0.0.1", .netns = "blue"})
                .verdict,
            PW_UNEXPECTED);
        assert_int_equal(judge(policy, (struct sample){.port = 22,
                                                       .pid = 1,
                                                       .exe = "/usr/lib/systemd/systemd",
                                                       .unit = "evil.socket"})
                             .verdict,
                         PW_UNEXPECTED);
}

/* So many ports of one owner that a line each would not fit the file. */
static void test_many_ports(void **state _unused_)
{
        struct pw_records records = {0};
        size_t learned, left_out;
        _cleanup_(pw_freep) char *text = NULL;
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;

        for (unsigned port = 1; port < 32768; port++)
                if (port % 3 != 0)
                        add(&records, (struct sample){.port = (uint16_t)port});
        text = pw_baseline_text(&records, NOW, &learned, &left_out);
        assert_int_equal(learned, records.n);
        pw_records_done(&records);
        policy = policy_of(text);
        assert_true(pw_policy_count(policy) < 500);
        for (unsigned port = 1; port < 32768; port++)
                if (judge(policy, (struct sample){.port = (uint16_t)port}).verdict !=
                    (port % 3 != 0 ? PW_EXPECTED : PW_UNEXPECTED))
                        fail_msg("%u", port);
}

static void test_many_owners(void **state _unused_)
{
        struct pw_records records = {0};
        size_t learned, left_out;
        _cleanup_(pw_freep) char *text = NULL;
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        char exe[512];

        memset(exe, 'x', sizeof exe);
        for (int i = 0; i < 4000; i++) {
                snprintf(exe, sizeof exe, "/%0400d", i);
                add(&records, (struct sample){.exe = exe});
        }
        text = pw_baseline_text(&records, NOW, &learned, &left_out);
        pw_records_done(&records);
        assert_true(strlen(text) <= PW_RULE_FILE_MAX);
        assert_true(learned > 1000 && left_out > 1000 && learned + left_out == 4000);
        policy = policy_of(text);
        assert_int_equal(pw_policy_count(policy), learned);
}

static void test_write(void **state _unused_)
{
        char dir[] = "/tmp/portwatch-baseline-XXXXXX", path[256];
        struct pw_records records = {0};
        size_t learned = 0, left_out = 0;
        struct stat status;

        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/baseline.rules", dir);
        add(&records, (struct sample){0});
        assert_int_equal(pw_baseline_write(path, &records, NOW, &learned, &left_out), 0);
        assert_int_equal(learned, 1);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0644);
        assert_int_equal(pw_baseline_write(path, &records, NOW, &learned, &left_out), -EEXIST);
        unlink(path);
        /* Even a link to nothing was put there by somebody. */
        assert_int_equal(symlink("nowhere", path), 0);
        assert_int_equal(pw_baseline_write(path, &records, NOW, &learned, &left_out), -EEXIST);
        unlink(path);
        rmdir(dir);
        assert_int_equal(pw_baseline_write(path, &records, NOW, &learned, &left_out), -ENOENT);
        pw_records_done(&records);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_format),
            cmocka_unit_test(test_format_names),
            cmocka_unit_test(test_format_socket_units),
            cmocka_unit_test(test_format_containers),
            cmocka_unit_test(test_format_odd_namespaces),
            cmocka_unit_test(test_container_restart),
            cmocka_unit_test(test_not_learned),
            cmocka_unit_test(test_too_long),
            cmocka_unit_test(test_text),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_learned_and_only_that),
            cmocka_unit_test(test_nothing_wider),
            cmocka_unit_test(test_many_ports),
            cmocka_unit_test(test_many_owners),
            cmocka_unit_test(test_write),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
