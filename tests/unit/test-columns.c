/* SPDX-License-Identifier: MIT */
/* The column table: would catch a name used twice, a list that is not read as typed, an error that
 * does not say what is known, and values that are invented where nothing is known. */

#include "ctl/columns.h"

#include "tests/unit/rule-records.h"

#include <portwatch/text.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW (1700000000 * PW_USEC_PER_SEC)

static const struct pw_column_context context = {.now_usec = NOW, .judged = true};

static const struct pw_column *column(const char *name)
{
        struct pw_column_list list;
        char error[1024];

        assert_int_equal(pw_column_list_parse(name, &list, error, sizeof error), 0);
        assert_int_equal(list.n, 1);
        return list.items[0];
}

static void assert_text(const struct pw_record *record, const char *name, const char *expected)
{
        struct pw_value value;

        pw_column_value(column(name), record, &context, &value);
        assert_string_equal(pw_value_text(&value, record, &context), expected);
}

/* Two columns of one name: -o and JSON could only ever mean the first. */
static void test_names_are_unique(_unused_ void **state)
{
        for (size_t i = 0; i < pw_columns_count; i++) {
                assert_non_null(pw_columns[i].get);
                assert_true(pw_columns[i].name[0] && pw_columns[i].heading[0]);
                for (size_t j = 0; j < i; j++) {
                        assert_string_not_equal(pw_columns[i].name, pw_columns[j].name);
                        assert_string_not_equal(pw_columns[i].heading, pw_columns[j].heading);
                }
        }
}

/* The keys that DESIGN promises to programs. */
static void test_json_keys_are_there(_unused_ void **state)
{
        static const char *const keys[] = {
            "protocol",      "address",      "port",    "scope",  "range",   "service",
            "netns",         "verdict",      "rule",    "uid",    "user",    "listener_id",
            "comm",          "exe",          "cmdline", "unit",   "pids",    "sockets",
            "container",     "opened",       "closed",  "reason", "reasons", "last_seen",
            "duration_usec", "owner_unknown"};

        for (size_t i = 0; i < PW_ELEMENTS(keys); i++)
                assert_true(column(keys[i])->json);
}

static void test_lists(_unused_ void **state)
{
        struct pw_column_list list;
        char error[1024];

        assert_int_equal(
            pw_column_list_parse("port,ADDRESS:PORT,Process", &list, error, sizeof error), 0);
        assert_int_equal(list.n, 3);
        assert_string_equal(list.items[0]->name, "port");
        assert_string_equal(list.items[1]->name, "endpoint");
        assert_string_equal(list.items[2]->name, "process");
}

/* Names are matched whole, empty ones refused, the error is clean and lists all names. */
static void test_lists_refused(_unused_ void **state)
{
        static const char *const bad[] = {
            "", ",", "port,", ",port", "por", "portx", "port,,address", "port address", "\x1b[31m"};

        for (size_t i = 0; i < PW_ELEMENTS(bad); i++) {
                struct pw_column_list list = {.n = 42};
                char error[1024];

                assert_int_equal(pw_column_list_parse(bad[i], &list, error, sizeof error), -EINVAL);
                assert_int_equal(list.n, 42);
                assert_true(pw_text_is_clean(error));
                assert_non_null(strstr(error, "verdict"));
        }
}

static void test_too_many(_unused_ void **state)
{
        char text[PW_COLUMNS_MAX * 5 + 5] = "port";
        struct pw_column_list list;
        char error[1024];

        for (size_t i = 0; i < PW_COLUMNS_MAX; i++)
                strcat(text, ",port");
        assert_int_equal(pw_column_list_parse(text, &list, error, sizeof error), -E2BIG);
}

static void test_values(_unused_ void **state)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record =
            sample_record(&(struct sample){.port = 443,
                                           .address = "fe80::1",
                                           .device = "eth0",
                                           .unit = "web.service",
                                           .service = "https"});

        record->sockets = 4;
        record->opened_usec = NOW - 90 * PW_USEC_PER_SEC - 5000;
        record->opened_how = PW_HOW_FIRST_LOOK;
        record->alert_id = 17;
        record->reasons = PW_REASON_UNEXPECTED | PW_REASON_SECOND_OWNER;
        assert_text(record, "endpoint", "[fe80::1%eth0]:443");
        assert_text(record, "process", "server ×4");
        assert_text(record, "unit", "web.service");
        assert_text(record, "range", "well-known");
        assert_text(record, "scope", "link-local");
        assert_text(record, "duration_usec", "1min 30s");
        assert_text(record, "alert", "@17");
        assert_text(record, "reason", "second-owner");
        assert_text(record, "reasons", "second-owner,unexpected");
        assert_text(record, "pids", "4711");
        assert_text(record, "closed", "-");
        assert_text(record, "verdict", "expected");
}

/* What an event told of may have lived for microseconds: that is not nothing. */
static void test_short_lives(_unused_ void **state)
{
        static const struct {
                uint64_t usec;
                const char *text;
        } cases[] = {{0, "0"},      {1, "<1ms"},       {999, "<1ms"},   {1000, "1ms"},
                     {1999, "1ms"}, {999999, "999ms"}, {1000000, "1s"}, {90500000, "1min 30s"}};
        _cleanup_(pw_record_unrefp) struct pw_record *record =
            sample_record(&(struct sample){.port = 443});

        record->opened_usec = NOW - PW_USEC_PER_HOUR;
        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                record->closed_usec = record->opened_usec + cases[i].usec;
                assert_text(record, "duration_usec", cases[i].text);
        }
}

/* Nothing known: a dash and, for the process, whose socket it is; never a made-up value. */
static void test_unknown(_unused_ void **state)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record =
            sample_record(&(struct sample){.exe = "", .unknown = PW_UNKNOWN_HIDDEN});
        struct pw_column_context unjudged = {.now_usec = NOW};
        struct pw_value value;

        free(record->owner->comm);
        record->owner->comm = NULL;
        record->owner->n_pids = record->owner->n_holders = 0;
        assert_text(record, "process", "- (dev)");
        assert_text(record, "exe", "-");
        assert_text(record, "unit", "-");
        assert_text(record, "service", "-");
        assert_text(record, "since", "-");
        assert_text(record, "duration_usec", "-");
        assert_text(record, "pids", "-");
        assert_text(record, "alert", "-");
        assert_text(record, "count", "-");
        assert_text(record, "owner_unknown", "hidden");
        pw_column_value(column("verdict"), record, &unjudged, &value);
        assert_int_equal(value.kind, PW_VALUE_NONE);
}

/* The longest texts stay within their buffers, and a clock that went back gives no huge span. */
static void test_extremes(_unused_ void **state)
{
        char name[PW_EXE_MAX];
        _cleanup_(pw_record_unrefp) struct pw_record *record = NULL;
        struct pw_value value;

        memset(name, 'x', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        record = sample_record(&(struct sample){.user = name, .exe = name});
        free(record->owner->comm);
        record->owner->comm = NULL;
        record->sockets = UINT32_MAX;
        record->reasons = (1u << PW_REASON_COUNT) - 1;
        for (unsigned i = 0; i < PW_OWNER_PIDS_MAX; i++)
                record->owner->pids[i] = 4194304;
        record->owner->n_pids = PW_OWNER_PIDS_MAX;
        record->owner->n_holders = UINT32_MAX;
        record->opened_usec = NOW + PW_USEC_PER_HOUR;
        for (size_t i = 0; i < pw_columns_count; i++) {
                pw_column_value(&pw_columns[i], record, &context, &value);
                assert_true(pw_text_is_clean(pw_value_text(&value, record, &context)));
        }
        assert_text(record, "duration_usec", "0");
}

/* One answer for status, list and verify: what may be a client's port is never among the bad. */
static void test_unexpected(_unused_ void **state)
{
        static const struct {
                uint8_t protocol;
                bool ephemeral;
                enum pw_verdict verdict;
                bool bad;
        } cases[] = {
            {PW_TCP, true, PW_UNEXPECTED, true},  {PW_UDP, false, PW_UNEXPECTED, true},
            {PW_UDP, true, PW_UNEXPECTED, false}, {PW_UDPLITE, true, PW_UNEXPECTED, false},
            {PW_UDP, true, PW_DENIED, true},      {PW_TCP, false, PW_EXPECTED, false},
            {PW_TCP, false, PW_IGNORED, false},   {PW_TCP, false, PW_UNJUDGED, false},
        };
        _cleanup_(pw_record_unrefp) struct pw_record *record =
            sample_record(&(struct sample){.exe = ""});

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                record->protocol = cases[i].protocol;
                record->ephemeral = cases[i].ephemeral;
                record->verdict = cases[i].verdict;
                assert_int_equal(pw_record_is_unexpected(record), cases[i].bad);
        }
        assert_text(record, "verdict", "-");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_names_are_unique),
            cmocka_unit_test(test_json_keys_are_there),
            cmocka_unit_test(test_lists),
            cmocka_unit_test(test_lists_refused),
            cmocka_unit_test(test_too_many),
            cmocka_unit_test(test_values),
            cmocka_unit_test(test_short_lives),
            cmocka_unit_test(test_unknown),
            cmocka_unit_test(test_extremes),
            cmocka_unit_test(test_unexpected),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
