/* SPDX-License-Identifier: MIT */
/* Filters: what people type, what it matches, and what the refusal says. */

#include <portwatch/iana.h>
#include <portwatch/query.h>
#include <portwatch/text.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

/* tcp *:80, nginx of www-data in nginx.service, expected. */
static struct pw_record *make_record(void)
{
        struct pw_record *record = pw_record_new();

        assert_non_null(record);
        record->owner = pw_owner_new();
        assert_non_null(record->owner);
        assert_int_equal(pw_shared_set(&record->netns, "host"), 0);
        record->protocol = PW_TCP;
        record->port = 80;
        assert_int_equal(pw_address_parse("0.0.0.0", &record->address), 0);
        record->owner->uid = 33;
        record->owner->user = strdup("www-data");
        record->owner->exe = strdup("/usr/sbin/nginx");
        record->owner->unit = strdup("nginx.service");
        record->service = "http";
        assert_int_equal(pw_record_label(record, PW_EPHEMERAL_DEFAULT), 0);
        return record;
}

/* Whether a filter of these words (up to a NULL) matches. */
static bool matches(const struct pw_record *record, ...)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        char error[512] = "";
        va_list words;

        assert_int_equal(pw_filter_new(&filter), 0);
        va_start(words, record);
        for (const char *word; (word = va_arg(words, const char *));)
                if (pw_filter_add(filter, word, error, sizeof error) != 0)
                        fail_msg("%s", error);
        va_end(words);
        return pw_filter_match(filter, record);
}

/* An empty filter must not exclude anything. */
static void test_empty_matches_all(void **state _unused_)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();
        const struct pw_ports *ports;
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;

        assert_true(matches(record, NULL));
        assert_int_equal(pw_filter_new(&filter), 0);
        assert_int_equal(pw_filter_ports(filter, &ports), 0);
}

static void test_ports(void **state _unused_)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();
        static const char *const yes[] = {
            "80",    ":80",     "tcp/80", "80-90", "70-80",    "1-65535",   "tcp/80-90",
            "22,80", ":22,:80", "http",   ":http", "tcp/http", "tcp/22,80", "udp/53,tcp/80"};
        static const char *const no[] = {"81",       "udp/80", "8080",   "1-79",
                                         "81-65535", "https",  "22,443", "udp/53,80"};

        for (size_t i = 0; i < PW_ELEMENTS(yes); i++)
                if (!matches(record, yes[i], NULL))
                        fail_msg("%s does not match tcp 80", yes[i]);
        for (size_t i = 0; i < PW_ELEMENTS(no); i++)
                if (matches(record, no[i], NULL))
                        fail_msg("%s matches tcp 80", no[i]);
        record->port = 65535;
        assert_true(matches(record, "65535", NULL));
        record->port = 1;
        assert_true(matches(record, "1", NULL));
}

/* A folded listener has no number, not even 0: it is found by what is shown for one, and with all
 * others of its range. */
static void test_folded(void **state _unused_)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();
        static const char *const yes[] = {"ephemeral",    ":ephemeral",     "udp/ephemeral",
                                          "53,ephemeral", "range=dynamic",  "range=ephemeral",
                                          "udp",          "address=0.0.0.0"};
        static const char *const no[] = {"1-65535", "tcp/ephemeral", "domain",
                                         "40000",   "service=*",     "range=well-known"};
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        const struct pw_ports *ports;
        char error[512];

        record->protocol = PW_UDP;
        record->port = 0;
        record->service = NULL;
        assert_int_equal(pw_record_label(record, PW_EPHEMERAL_DEFAULT), 0);
        for (size_t i = 0; i < PW_ELEMENTS(yes); i++)
                if (!matches(record, yes[i], NULL))
                        fail_msg("%s does not match udp ephemeral", yes[i]);
        for (size_t i = 0; i < PW_ELEMENTS(no); i++)
                if (matches(record, no[i], NULL))
                        fail_msg("%s matches udp ephemeral", no[i]);
        record->port = 40000;
        assert_false(matches(record, "ephemeral", NULL));

        assert_int_equal(pw_filter_new(&filter), 0);
        assert_int_equal(pw_filter_add(filter, "0", error, sizeof error), -EINVAL);
        assert_int_equal(pw_filter_add(filter, "ephemeral", error, sizeof error), 0);
        assert_int_equal(pw_filter_ports(filter, &ports), 1);
        assert_int_equal(ports[0].first + ports[0].last, 0);
}

/* A service name stands for its ports on the protocols that have it. */
static void test_service_names(void **state _unused_)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();

        record->port = 53;
        assert_true(matches(record, "domain", NULL));
        record->protocol = PW_UDP;
        assert_true(matches(record, "domain", NULL));
        assert_true(matches(record, "udp/domain", NULL));
        assert_false(matches(record, "tcp/domain", NULL));
}

static void test_protocols(void **state _unused_)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();

        assert_true(matches(record, "tcp", NULL));
        assert_false(matches(record, "udp", NULL));
        assert_true(matches(record, "udp", "tcp", NULL));
        assert_false(matches(record, "udp", "80", NULL));
        record->protocol = PW_UDPLITE;
        assert_true(matches(record, "udplite", NULL));
        assert_false(matches(record, "tcp", NULL));
}

/* The same key twice is or, different keys are and. */
static void test_or_and(void **state _unused_)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();

        assert_true(matches(record, "user=root", "user=www-data", NULL));
        assert_false(matches(record, "user=www-data", "unit=ssh.service", NULL));
        assert_true(matches(record, "22", "80", "user=www-data", "scope=any", NULL));
        assert_true(matches(record, "range=dynamic", "range=well-known", NULL));
        assert_true(matches(record, "range=dynamic,well-known", NULL));
}

static void test_keys(void **state _unused_)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();
        static const char *const yes[] = {
            "range=well-known", "service=http",    "service=h*",      "user=www-*", "user=33",
            "unit=nginx.*",     "exe=/usr/*",      "exe=*/nginx",     "scope=any",  "netns=host",
            "netns=*",          "address=0.0.0.0", "verdict=expected"};
        static const char *const no[] = {
            "range=dynamic", "range=ephemeral", "service=https", "user=3",     "user_unit=*",
            "container=*",   "exe=nginx",       "scope=global",  "netns=x",    "address=10.0.0.0/8",
            "address=::/0",  "verdict=denied",  "reason=denied", "unit=NGINX*"};

        for (size_t i = 0; i < PW_ELEMENTS(yes); i++)
                if (!matches(record, yes[i], NULL))
                        fail_msg("%s does not match", yes[i]);
        for (size_t i = 0; i < PW_ELEMENTS(no); i++)
                if (matches(record, no[i], NULL))
                        fail_msg("%s matches", no[i]);
}

static void test_sets(void **state _unused_)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();

        record->port = 40000;
        assert_int_equal(pw_address_parse("10.1.2.3", &record->address), 0);
        assert_int_equal(pw_record_label(record, PW_EPHEMERAL_DEFAULT), 0);
        record->verdict = PW_DENIED;
        record->reasons = PW_REASON_DENIED | PW_REASON_SECOND_OWNER;
        assert_true(matches(record, "range=ephemeral", NULL));
        assert_true(matches(record, "range=registered", NULL));
        assert_true(matches(record, "scope=private", NULL));
        assert_true(matches(record, "address=10.0.0.0/8", NULL));
        assert_true(matches(record, "address=192.0.2.0/24,10.0.0.0/8", NULL));
        assert_true(matches(record, "verdict=unexpected,denied", NULL));
        assert_true(matches(record, "reason=second-owner", NULL));
        assert_false(matches(record, "reason=no-owner", NULL));
}

/* An owner of which nothing is known matches no pattern, not even `*`, and crashes nothing. */
static void test_unknown_owner(void **state _unused_)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();

        free(record->owner->exe);
        free(record->owner->unit);
        record->owner->exe = record->owner->unit = NULL;
        record->service = NULL;
        record->port = 1027; /* without a name */
        assert_false(matches(record, "exe=*", NULL));
        assert_false(matches(record, "unit=*", NULL));
        assert_true(matches(record, "user=*", NULL));
}

/* Names that the administrator added work as words and as service=. */
static void test_local_services(void **state _unused_)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        _cleanup_(pw_services_freep) struct pw_services *services = NULL;
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record();
        char dir[] = "/tmp/test-filter-XXXXXX", path[64], error[512];
        FILE *file;

        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/services", dir);
        file = fopen(path, "w");
        assert_non_null(file);
        fputs("our-own-thing 47999/tcp\n", file);
        fclose(file);
        _cleanup_(pw_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(pw_services_load(fd, &services), 0);
        unlink(path);
        rmdir(dir);

        record->port = 47999;
        record->service = NULL;
        assert_int_equal(pw_filter_new(&filter), 0);
        assert_int_equal(pw_filter_add(filter, "our-own-thing", error, sizeof error), -EINVAL);
        pw_filter_set_services(filter, services);
        assert_int_equal(pw_filter_add(filter, "our-own-thing", error, sizeof error), 0);
        assert_int_equal(pw_filter_add(filter, "service=our-*", error, sizeof error), 0);
        assert_true(pw_filter_match(filter, record));
}

/* What is refused, and what the sentence must name. */
static void test_refusals(void **state _unused_)
{
        static const struct {
                const char *word, *says;
        } cases[] = {
            {"", "is no port"},
            {"65536", "1 to 65535"},
            {"0", "1 to 65535"},
            {"-1", "1 to 65535"},
            {"80-", "1 to 65535"},
            {"-", "1 to 65535"},
            {"80-90-100", "1 to 65535"},
            {"99999999999999999999", "1 to 65535"},
            {"80x", "'80x' is no port"},
            {"+80", "is no port"},
            {" 80", "is no port"},
            {"90-80", "reversed"},
            {"80,", "is no port"},
            {",80", "is no port"},
            {":", "is no port"},
            {"tcp/", "is no port"},
            {"tcp/x/80", "is no port"},
            {"sctp/80", "expected tcp, udp or udplite"},
            {"/80", "expected tcp, udp or udplite"},
            {"udp/no-such-service-name", "no service of that protocol"},
            {"unexpected", "KEY=VALUE"},
            {"colour=red", "expected service, user"},
            {"=x", "is no key"},
            {"user=", "has no value"},
            {"range=low", "well-known"},
            {"range=well-known,", "'' is no range"},
            {"scope=wide", "loopback"},
            {"verdict=good", "unexpected, denied"},
            {"reason=why", "required-missing"},
            {"address=10.0.0", "is no address"},
            {"address=10.0.0.0/33", "is no address"},
            {"address=10.0.0.1/8", "behind its prefix"},
            {"a\033[31m\n", "\\x1b"},
        };
        char error[512];

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;

                error[0] = '\0';
                assert_int_equal(pw_filter_new(&filter), 0);
                assert_int_equal(pw_filter_add(filter, cases[i].word, error, sizeof error),
                                 -EINVAL);
                if (!strstr(error, cases[i].says))
                        fail_msg("'%s' is refused with: %s", cases[i].word, error);
                assert_true(pw_text_is_clean(error));
        }
}

/* A refusal is cut to its buffer, however long the word. */
static void test_long_words(void **state _unused_)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        static char word[100000];
        char error[32];

        memset(word, 'a', sizeof word - 1);
        assert_int_equal(pw_filter_new(&filter), 0);
        assert_int_equal(pw_filter_add(filter, word, error, sizeof error), -EINVAL);
        assert_true(strlen(error) < sizeof error);
        memset(word, '8', sizeof word - 1);
        assert_int_equal(pw_filter_add(filter, word, error, sizeof error), -EINVAL);
        memset(word, ',', sizeof word - 1);
        assert_int_equal(pw_filter_add(filter, word, error, sizeof error), -EINVAL);
        assert_int_equal(pw_filter_add(filter, word, NULL, 0), -EINVAL);
}

/* What the query side narrows by: every span, in the order of adding. */
static void test_port_spans(void **state _unused_)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        const struct pw_ports *ports;
        char error[512];

        assert_int_equal(pw_filter_new(&filter), 0);
        assert_int_equal(pw_filter_add(filter, "tcp/80,8000-8100", error, sizeof error), 0);
        assert_int_equal(pw_filter_add(filter, "user=x", error, sizeof error), 0);
        assert_int_equal(pw_filter_ports(filter, &ports), 2);
        assert_int_equal(ports[0].first, 80);
        assert_int_equal(ports[0].last, 80);
        assert_int_equal(ports[1].first, 8000);
        assert_int_equal(ports[1].last, 8100);
}

/* The list for completion has every key that works, and ends. */
static void test_key_list(void **state _unused_)
{
        size_t n = 0;

        for (; pw_filter_keys[n]; n++) {
                _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
                char word[64], error[512];

                assert_int_equal(pw_filter_new(&filter), 0);
                snprintf(word, sizeof word, "%s=", pw_filter_keys[n]);
                assert_int_equal(pw_filter_add(filter, word, error, sizeof error), -EINVAL);
                assert_non_null(strstr(error, "has no value"));
        }
        assert_int_equal(n, 12);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_empty_matches_all),
            cmocka_unit_test(test_ports),
            cmocka_unit_test(test_folded),
            cmocka_unit_test(test_service_names),
            cmocka_unit_test(test_protocols),
            cmocka_unit_test(test_or_and),
            cmocka_unit_test(test_keys),
            cmocka_unit_test(test_sets),
            cmocka_unit_test(test_unknown_owner),
            cmocka_unit_test(test_local_services),
            cmocka_unit_test(test_refusals),
            cmocka_unit_test(test_long_words),
            cmocka_unit_test(test_port_spans),
            cmocka_unit_test(test_key_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
