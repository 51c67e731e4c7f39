/* SPDX-License-Identifier: MIT */
/* The views: would catch an address that is cut, a line wider than the terminal although something
 * could have gone, columns out of line, JSON that is not JSON, a list that is missing when empty.
 */

#include "ctl/view.h"

#include "tests/unit/rule-records.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW (1700000000 * PW_USEC_PER_SEC)
#define COLUMNS "protocol,endpoint,scope,range,service,netns,process,user,unit,since,verdict"
#define LONGEST "[fe80::5054:ff:fe12:3456%enp0s31f6]:546"

enum kind { TABLE, PLAIN, JSON };

struct output {
        char *text;
        size_t size;
};

static struct pw_view_options options_for(FILE *out, const char *columns, unsigned width)
{
        struct pw_view_options options = {
            .out = out,
            .context = {.now_usec = NOW, .judged = true},
            .width = width,
            .legend = true,
        };
        char error[1024];

        assert_int_equal(pw_column_list_parse(columns, &options.columns, error, sizeof error), 0);
        return options;
}

static void show(enum kind kind, const struct pw_view_options *options,
                 const struct pw_records *records, const char *footer)
{
        static int (*const makers[])(const struct pw_view_options *, struct pw_view **) = {
            pw_view_table_new, pw_view_plain_new, pw_view_json_new};
        _cleanup_(pw_view_freep) struct pw_view *view = NULL;

        assert_int_equal(makers[kind](options, &view), 0);
        assert_int_equal(view->field(view, "stale", NULL), 0);
        assert_int_equal(view->begin(view, "listeners"), 0);
        for (size_t i = 0; i < records->n; i++)
                assert_int_equal(view->row(view, records->items[i]), 0);
        assert_int_equal(view->end(view), 0);
        assert_int_equal(view->begin(view, "alerts"), 0);
        assert_int_equal(view->end(view), 0);
        assert_int_equal(view->footer(view, footer), 0);
}

static struct output render(enum kind kind, const char *columns, unsigned width, bool pretty,
                            const struct pw_records *records)
{
        struct output output = {0};
        FILE *out = open_memstream(&output.text, &output.size);
        struct pw_view_options options = options_for(out, columns, width);

        options.pretty = pretty;
        show(kind, &options, records, "2 open.");
        fclose(out);
        return output;
}

static void add(struct pw_records *records, const struct sample *sample)
{
        struct pw_record *record = sample_record(sample);

        record->sockets = 1;
        record->opened_usec = NOW - PW_USEC_PER_HOUR;
        assert_int_equal(pw_records_add(records, record), 0);
}

static void make_rows(struct pw_records *records, bool long_address)
{
        add(records, &(struct sample){.port = 5432,
                                      .unit = "postgresql@15-main-with-a-name.service",
                                      .service = "postgresql",
                                      .user = "postgres"});
        add(records, &(struct sample){.protocol = PW_UDP,
                                      .port = 65535,
                                      .address = "127.0.0.53",
                                      .device = "lo",
                                      .unit = "systemd-resolved.service",
                                      .service = "domain",
                                      .user = "systemd-resolve"});
        if (long_address)
                add(records, &(struct sample){.protocol = PW_UDP,
                                              .port = 546,
                                              .address = "fe80::5054:ff:fe12:3456",
                                              .device = "enp0s31f6",
                                              .user = "systemd-network"});
        records->items[0]->verdict = PW_UNEXPECTED;
}

/* The widest line, and whether all lines have the verdict at the same place. */
static size_t widest(const char *text)
{
        size_t most = 0;

        for (; *text; text += strcspn(text, "\n") + 1) {
                char line[512];

                snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
                most = PW_MAX(most, pw_text_width(line));
        }
        return most;
}

/* At every width: no address is cut, and nothing is wider than the terminal down to what address,
 * protocol, process and verdict need. */
static void test_table_fits(_unused_ void **state)
{
        for (unsigned width = 30; width < 220; width++) {
                _cleanup_(pw_records_done) struct pw_records records = {0};
                struct output output;

                make_rows(&records, true);
                output = render(TABLE, COLUMNS, width, false, &records);
                assert_non_null(strstr(output.text, LONGEST " "));
                assert_non_null(strstr(output.text, "127.0.0.53%lo:65535 "));
                assert_non_null(strstr(output.text, "unexpected"));
                if (width >= 70)
                        assert_true(widest(output.text) <= width);
                free(output.text);
        }
}

static void test_table_at_80(_unused_ void **state)
{
        static const char *const there[] = {"PROTO", "ADDRESS:PORT", "SERVICE", "PROCESS",
                                            "UNIT",  "SINCE",        "VERDICT"};
        static const char *const wide[] = {"RANGE", "SCOPE", "USER"};
        _cleanup_(pw_records_done) struct pw_records records = {0};
        struct output narrow, broad;

        make_rows(&records, false);
        narrow = render(TABLE, COLUMNS, 82, false, &records);
        broad = render(TABLE, COLUMNS, 200, false, &records);
        for (size_t i = 0; i < PW_ELEMENTS(there); i++)
                assert_non_null(strstr(narrow.text, there[i]));
        for (size_t i = 0; i < PW_ELEMENTS(wide); i++) {
                assert_null(strstr(narrow.text, wide[i]));
                assert_non_null(strstr(broad.text, wide[i]));
        }
        assert_non_null(strstr(narrow.text, "…")); /* a cut is shown */
        assert_null(strstr(broad.text, "…"));
        free(narrow.text);
        free(broad.text);
}

/* UNIT is the first of the seven to go. */
static void test_unit_goes_first(_unused_ void **state)
{
        _cleanup_(pw_records_done) struct pw_records records = {0};
        struct output output;

        make_rows(&records, false);
        output = render(TABLE, COLUMNS, 72, false, &records);
        assert_null(strstr(output.text, "UNIT"));
        assert_non_null(strstr(output.text, "SERVICE"));
        assert_non_null(strstr(output.text, "SINCE"));
        free(output.text);
}

/* NETNS shows up with the first row that is not of the host. */
static void test_netns_appears(_unused_ void **state)
{
        for (enum kind kind = TABLE; kind <= PLAIN; kind++) {
                _cleanup_(pw_records_done) struct pw_records records = {0};
                struct output output;

                make_rows(&records, false);
                output = render(kind, COLUMNS, 200, false, &records);
                assert_null(strstr(output.text, "NETNS"));
                free(output.text);
                add(&records, &(struct sample){.netns = "blue"});
                output = render(kind, COLUMNS, 200, false, &records);
                assert_non_null(strstr(output.text, "NETNS"));
                assert_non_null(strstr(output.text, " blue "));
                free(output.text);
        }
}

/* Both tables show the same where there is room; one is not to be fixed without the other. */
static void test_plain_is_the_wide_table(_unused_ void **state)
{
        _cleanup_(pw_records_done) struct pw_records records = {0};
        struct output table, plain;

        make_rows(&records, true);
        add(&records, &(struct sample){.user = "ünïcödé", .unit = "日本語.service", .netns = "x"});
        table = render(TABLE, COLUMNS, 1000, false, &records);
        plain = render(PLAIN, COLUMNS, 0, false, &records);
        assert_string_equal(table.text, plain.text);
        free(table.text);
        free(plain.text);
}

/* No rows: no headings, only the footer; without legend nothing at all. */
static void test_empty(_unused_ void **state)
{
        for (enum kind kind = TABLE; kind <= PLAIN; kind++) {
                struct pw_records records = {0};
                struct output output = render(kind, COLUMNS, 80, false, &records);
                struct pw_view_options options;
                FILE *out;

                assert_string_equal(output.text, "2 open.\n");
                free(output.text);
                out = open_memstream(&output.text, &output.size);
                options = options_for(out, COLUMNS, 80);
                options.legend = false;
                show(kind, &options, &records, "2 open.");
                fclose(out);
                assert_string_equal(output.text, "");
                free(output.text);
        }
}

static void test_json_is_one_object(_unused_ void **state)
{
        struct pw_records records = {0};
        struct output output = render(JSON, "port", 0, false, &records);

        assert_string_equal(
            output.text, "{\"schema_version\":1,\"stale\":null,\"listeners\":[],\"alerts\":[]}\n");
        free(output.text);
}

/* Escapes what must be escaped, keeps numbers numbers, unknown is null, lists are never null. */
static void test_json_values(_unused_ void **state)
{
        _cleanup_(pw_records_done) struct pw_records records = {0};
        struct output output;

        add(&records, &(struct sample){.exe = "/a \"b\"\\x1b/c", .unit = "ü"});
        output = render(JSON, "port", 0, false, &records);
        assert_non_null(strstr(output.text, "\"port\":8080,"));
        assert_non_null(strstr(output.text, "\"exe\":\"/a \\\"b\\\"\\\\x1b/c\""));
        assert_non_null(strstr(output.text, "\"unit\":\"ü\""));
        assert_non_null(strstr(output.text, "\"container\":null"));
        assert_non_null(strstr(output.text, "\"reasons\":[]"));
        assert_non_null(strstr(output.text, "\"pids\":[4711]"));
        assert_non_null(strstr(output.text, "\"opened\":\"2023-11-14T21:13:20.000000Z\""));
        assert_non_null(strstr(output.text, "\"closed\":null"));
        assert_non_null(strstr(output.text, "\"duration_usec\":3600000000,"));
        free(output.text);
}

/* A number would be a lie: the table says what stands for one, JSON nothing. */
static void test_folded(_unused_ void **state)
{
        _cleanup_(pw_records_done) struct pw_records records = {0};
        struct output output;

        add(&records, &(struct sample){.protocol = PW_UDP, .folded = true, .address = "*"});
        records.items[0]->sockets = 12;
        output = render(PLAIN, "endpoint,range,service,process", 0, false, &records);
        assert_non_null(strstr(output.text, "*:ephemeral"));
        assert_non_null(strstr(output.text, "dynamic"));
        assert_non_null(strstr(output.text, "server ×12"));
        free(output.text);
        output = render(JSON, "port", 0, false, &records);
        assert_non_null(strstr(output.text, "\"port\":null,"));
        assert_non_null(strstr(output.text, "\"ephemeral\":true,"));
        assert_non_null(strstr(output.text, "\"service\":null,"));
        free(output.text);
}

/* Pretty is the same but for white space, and every row is indented as deep as it stands. */
static void test_json_pretty(_unused_ void **state)
{
        _cleanup_(pw_records_done) struct pw_records records = {0};
        struct output flat, pretty;
        size_t j = 0;

        add(&records, &(struct sample){.port = 1});
        add(&records, &(struct sample){.port = 2});
        flat = render(JSON, "port", 0, false, &records);
        pretty = render(JSON, "port", 0, true, &records);
        assert_non_null(strstr(pretty.text, "\n    {\n      \"protocol\": \"tcp\","));
        for (size_t i = 0; i < pretty.size; i++)
                if (pretty.text[i] != ' ' && pretty.text[i] != '\n')
                        pretty.text[j++] = pretty.text[i];
        pretty.text[j] = '\0';
        flat.text[flat.size - 1] = '\0';
        assert_string_equal(pretty.text, flat.text);
        free(flat.text);
        free(pretty.text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_table_fits),
            cmocka_unit_test(test_table_at_80),
            cmocka_unit_test(test_unit_goes_first),
            cmocka_unit_test(test_netns_appears),
            cmocka_unit_test(test_plain_is_the_wide_table),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_json_is_one_object),
            cmocka_unit_test(test_json_values),
            cmocka_unit_test(test_folded),
            cmocka_unit_test(test_json_pretty),
        };

        setlocale(LC_CTYPE, "C.UTF-8");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
