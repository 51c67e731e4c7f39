/* SPDX-License-Identifier: MIT */
/* Numbers, spans, sizes, percentages and times, typed and read. Local time is that of zones given
 * by rule, so that no zone database is needed. */

#include <portwatch/text.h>

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define UNTOUCHED 77777ULL

#define MS PW_USEC_PER_MSEC
#define SEC PW_USEC_PER_SEC
#define MINUTE PW_USEC_PER_MINUTE
#define HOUR PW_USEC_PER_HOUR
#define DAY PW_USEC_PER_DAY

/* One hour ahead of UTC, two in summer: 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 is 02:00
 * again. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

static void set_zone(const char *zone)
{
        setenv("TZ", zone, 1);
        tzset();
}

struct parse_case {
        const char *text;
        int r;
        uint64_t value;
};

static void check_parser(int (*parse)(const char *text, uint64_t *ret),
                         const struct parse_case *cases, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                uint64_t value = UNTOUCHED;
                int r = parse(cases[i].text, &value);

                if (r != cases[i].r || value != (r < 0 ? UNTOUCHED : cases[i].value))
                        fail_msg("\"%s\": %d, %llu", cases[i].text, r, (unsigned long long)value);
        }
}

static int parse_port(const char *text, uint64_t *ret)
{
        return pw_parse_number(text, 1, 65535, ret);
}

static int parse_any_number(const char *text, uint64_t *ret)
{
        return pw_parse_number(text, 0, UINT64_MAX, ret);
}

static void test_numbers(void **state _unused_)
{
        static const struct parse_case ports[] = {
            {"1", 0, 1},           {"65535", 0, 65535}, {"0080", 0, 80},     {"0", -ERANGE, 0},
            {"65536", -ERANGE, 0}, {"", -EINVAL, 0},    {"-1", -EINVAL, 0},  {"+1", -EINVAL, 0},
            {" 1", -EINVAL, 0},    {"1 ", -EINVAL, 0},  {"80x", -EINVAL, 0}, {"0x50", -EINVAL, 0},
            {"1.0", -EINVAL, 0},   {"1e3", -EINVAL, 0}, {"1\n", -EINVAL, 0}, {"٣", -EINVAL, 0},
        };
        static const struct parse_case any[] = {
            {"18446744073709551615", 0, UINT64_MAX},    {"18446744073709551616", -ERANGE, 0},
            {"18446744073709551620", -ERANGE, 0},       {"99999999999999999999999999", -ERANGE, 0},
            {"00000000000000000000000000000001", 0, 1},
        };

        check_parser(parse_port, ports, PW_ELEMENTS(ports));
        check_parser(parse_any_number, any, PW_ELEMENTS(any));
}

static void test_spans(void **state _unused_)
{
        static const struct parse_case cases[] = {
            {"5s", 0, 5 * SEC},
            {"5", 0, 5 * SEC},
            {"0", 0, 0},
            {"1min 30s", 0, 90 * SEC},
            {"1min30", 0, 90 * SEC},
            {"1h30min", 0, 90 * MINUTE},
            {"90d", 0, 90 * DAY},
            {"1.5h", 0, 90 * MINUTE},
            {"0.1s", 0, 100 * MS},
            {"500ms", 0, 500 * MS},
            {"7us", 0, 7},
            {"7µs", 0, 7},
            {"2 weeks", 0, 14 * DAY},
            {"1M", 0, 2629800 * SEC},
            {"1m", 0, MINUTE},
            {"1year", 0, 31557600 * SEC},
            {" 24h ", 0, DAY},
            {"0.0000019s", 0, 1}, /* rounded down once, not twice */
            {"0.333333333333333333333333333333s", 0, 333333},
            {"infinity", 0, PW_USEC_INFINITY},
            {"", -EINVAL, 0},
            {" ", -EINVAL, 0},
            {"s", -EINVAL, 0},
            {"-5s", -EINVAL, 0},
            {"5 3s", -EINVAL, 0}, /* which unit has the 5? */
            {"5x", -EINVAL, 0},
            {"5S", -EINVAL, 0},
            {".5s", -EINVAL, 0},
            {"5.s", -EINVAL, 0},
            {"1.2.3s", -EINVAL, 0},
            {"5s,", -EINVAL, 0},
            {"infinityx", -EINVAL, 0},
            {"1h infinity", -EINVAL, 0},
            {"18446744073709551615us", -ERANGE, 0}, /* would be taken for infinity */
            {"18446744073709551616us", -ERANGE, 0},
            {"18446744073709552s", -ERANGE, 0},
            {"584555y", -ERANGE, 0},
            {"500000y 500000y", -ERANGE, 0},
        };

        check_parser(pw_parse_span, cases, PW_ELEMENTS(cases));
}

static void test_sizes(void **state _unused_)
{
        static const struct parse_case cases[] = {
            {"4096", 0, 4096},         {"0", 0, 0},
            {"64K", 0, 65536},         {"256M", 0, 256ULL << 20},
            {"1.5G", 0, 3ULL << 29},   {"2T", 0, 2ULL << 40},
            {"0.001K", 0, 1},          {"", -EINVAL, 0},
            {"K", -EINVAL, 0},         {"64k", -EINVAL, 0},
            {"64KB", -EINVAL, 0},      {"64 K", -EINVAL, 0},
            {"-1", -EINVAL, 0},        {"1.5", -EINVAL, 0},
            {"1.K", -EINVAL, 0},       {"0x10", -EINVAL, 0},
            {"16777216T", -ERANGE, 0}, {"18446744073709551616", -ERANGE, 0},
        };

        check_parser(pw_parse_size, cases, PW_ELEMENTS(cases));
}

static void test_percentages(void **state _unused_)
{
        static const struct parse_case cases[] = {
            {"0.2%", 0, 2000},
            {"0%", 0, 0},
            {"100%", 0, 1000000},
            {"100.0000%", 0, 1000000},
            {"33.333333%", 0, 333333},
            {"0.0001%", 0, 1},
            {"100.0001%", -ERANGE, 0},
            {"101%", -ERANGE, 0},
            {"99999999999999999999%", -ERANGE, 0},
            {"0.2", -EINVAL, 0},
            {"%", -EINVAL, 0},
            {"-1%", -EINVAL, 0},
            {"1%%", -EINVAL, 0},
            {"1 %", -EINVAL, 0},
            {".5%", -EINVAL, 0},
            {"", -EINVAL, 0},
        };

        check_parser(pw_parse_percent, cases, PW_ELEMENTS(cases));
}

/* 2026-11-24 10:00:00 UTC */
#define NOW (1795514400 * SEC)

static int parse_time(const char *text, uint64_t *ret)
{
        return pw_parse_time(text, NOW, ret);
}

/* Forms that mean the same in every zone. */
static void test_time_anywhere(void **state _unused_)
{
        static const struct parse_case cases[] = {
            {"now", 0, NOW},
            {"@0", 0, 0},
            {"@1795514400", 0, NOW},
            {"@1.5", 0, 1500 * MS},
            {"-1h", 0, NOW - HOUR},
            {"-1h 30min", 0, NOW - 90 * MINUTE},
            {"- 1h", 0, NOW - HOUR},
            {"+30min", 0, NOW + 30 * MINUTE},
            {"2h ago", 0, NOW - 2 * HOUR},
            {"1h 1min ago", 0, NOW - 61 * MINUTE},
            {"2026-11-24T10:00:00Z", 0, NOW},
            {"2026-11-24 10:00 UTC", 0, NOW},
            {"2026-11-24T10:00:00.250000Z", 0, NOW + 250 * MS},
            {"2026-11-24T11:00:00+01:00", 0, NOW},
            {"2026-11-24T04:30:00-05:30", 0, NOW},
            {"2026-11-24 UTC", 0, NOW - 10 * HOUR},
            {"10:00Z", 0, NOW},
            {"2024-02-29Z", 0, 1709164800 * SEC},
            {"1970-01-01T00:00:00Z", 0, 0},
            {"9999-12-31T23:59:59Z", 0, 253402300799 * SEC},
            {"1970-01-01T00:00:00+01:00", -ERANGE, 0},
            {"1969-12-31T23:59:59Z", -ERANGE, 0},
            {"-100y", -ERANGE, 0},
            {"-infinity", -ERANGE, 0},
            {"+infinity", -ERANGE, 0},
            {"@18446744073710", -ERANGE, 0},
            {"@99999999999999999999", -ERANGE, 0},
        };
        static const char *const zones[] = {"UTC0", BERLIN, "XXX11", "YYY-14"};

        for (size_t i = 0; i < PW_ELEMENTS(zones); i++) {
                set_zone(zones[i]);
                check_parser(parse_time, cases, PW_ELEMENTS(cases));
        }
}

static void test_time_local(void **state _unused_)
{
        static const struct parse_case cases[] = {
            {"2026-11-24 11:00", 0, NOW},
            {"2026-11-24 11:00:30", 0, NOW + 30 * SEC},
            {"2026-11-24T11:00", 0, NOW},
            {"11:00", 0, NOW},
            {"2026-11-24", 0, NOW - 11 * HOUR},
            {"today", 0, NOW - 11 * HOUR},
            {"yesterday", 0, NOW - 35 * HOUR},
            {"tomorrow", 0, NOW + 13 * HOUR},
            {"2026-07-01 12:00", 0, 1782900000 * SEC}, /* summer: two hours ahead */
            {"2026-03-29 01:59:59", 0, 1774745999 * SEC},
            {"2026-03-29 03:00", 0, 1774746000 * SEC}, /* the next second */
        };

        set_zone(BERLIN);
        check_parser(parse_time, cases, PW_ELEMENTS(cases));
}

/* A day is not always 24 hours: would catch midnights found by subtracting them. */
static void test_time_across_summer(void **state _unused_)
{
        const uint64_t spring = 1774778400 * SEC; /* 2026-03-29 12:00 in Berlin */
        uint64_t usec;

        set_zone(BERLIN);
        assert_int_equal(pw_parse_time("today", spring, &usec), 0);
        assert_int_equal(usec, spring - 11 * HOUR);
        assert_int_equal(pw_parse_time("tomorrow", spring, &usec), 0);
        assert_int_equal(usec, spring + 12 * HOUR);
        assert_int_equal(pw_parse_time("yesterday", spring, &usec), 0);
        assert_int_equal(usec, spring - 35 * HOUR);
        /* skipped by the clock, and there twice: some moment within the hour, no error */
        assert_int_equal(pw_parse_time("2026-03-29 02:30", spring, &usec), 0);
        assert_in_range(usec, 1774744200 * SEC, 1774747800 * SEC);
        assert_int_equal(pw_parse_time("2026-10-25 02:30", spring, &usec), 0);
        assert_true(usec == 1792888200 * SEC || usec == 1792891800 * SEC);
        /* `10:00` in a zone where it is another day: 23:30 UTC is tomorrow in Berlin */
        assert_int_equal(pw_parse_time("10:00", NOW + 13 * HOUR + 30 * MINUTE, &usec), 0);
        assert_int_equal(usec, NOW + 23 * HOUR);
        assert_int_equal(pw_parse_time("10:00Z", NOW + 13 * HOUR + 30 * MINUTE, &usec), 0);
        assert_int_equal(usec, NOW);
        assert_int_equal(pw_parse_time("10:00+02:00", NOW + 13 * HOUR + 30 * MINUTE, &usec), 0);
        assert_int_equal(usec, NOW + 22 * HOUR);
}

static void test_time_refused(void **state _unused_)
{
        static const struct parse_case cases[] = {
            {"", -EINVAL, 0},
            {" ", -EINVAL, 0},
            {"soon", -EINVAL, 0},
            {"Today", -EINVAL, 0},
            {"@", -EINVAL, 0},
            {"@-1", -EINVAL, 0},
            {"@1x", -EINVAL, 0},
            {"-", -EINVAL, 0},
            {"--1h", -EINVAL, 0},
            {"+", -EINVAL, 0},
            {"ago", -EINVAL, 0},
            {" ago", -EINVAL, 0},
            {"soon ago", -EINVAL, 0},
            {"-1h ago", -EINVAL, 0},
            {"2026", -EINVAL, 0},
            {"2026-1-2", -EINVAL, 0},
            {"2026-13-01", -EINVAL, 0},
            {"2026-00-01", -EINVAL, 0},
            {"2026-02-29", -EINVAL, 0},
            {"1900-02-29", -EINVAL, 0},
            {"2026-04-31", -EINVAL, 0},
            {"2026-11-24 24:00", -EINVAL, 0},
            {"2026-11-24 10:60", -EINVAL, 0},
            {"2026-11-24 10:00:60", -EINVAL, 0},
            {"2026-11-24 10", -EINVAL, 0},
            {"2026-11-24 10:00:", -EINVAL, 0},
            {"2026-11-24 10:00:00.", -EINVAL, 0},
            {"2026-11-24T", -EINVAL, 0},
            {"2026-11-24  10:00", -EINVAL, 0},
            {"2026-11-24 10:00 ", -EINVAL, 0},
            {"2026-11-24 10:00 CET", -EINVAL, 0},
            {"2026-11-24 10:00+1", -EINVAL, 0},
            {"2026-11-24 10:00+24:00", -EINVAL, 0},
            {"2026-11-24 10:00ZZ", -EINVAL, 0},
            {"2026-11-24x", -EINVAL, 0},
            {"10:0", -EINVAL, 0},
            {"-0001-01-01", -EINVAL, 0},
        };

        set_zone(BERLIN);
        check_parser(parse_time, cases, PW_ELEMENTS(cases));
}

static void test_format_span(void **state _unused_)
{
        static const struct {
                uint64_t usec;
                const char *text;
        } cases[] = {
            {0, "0"},
            {1, "1us"},
            {999, "999us"},
            {350 * MS, "350ms"},
            {1 * MS + 20, "1ms 20us"},
            {1500 * MS, "1s 500ms"},
            {42 * SEC + 137 * MS, "42s"}, /* nobody reads the milliseconds */
            {59 * SEC + 999 * MS, "59s"},
            {5 * MINUTE + 12 * SEC, "5min 12s"},
            {HOUR, "1h"},
            {HOUR + 59 * SEC, "1h"}, /* the two largest units, not any two */
            {3 * DAY + 4 * HOUR + 5 * MINUTE, "3d 4h"},
            {45 * DAY, "45d"},
            {366 * DAY, "1y"},
            {400 * DAY, "1y 34d"},
            {PW_USEC_INFINITY - 1, "584542y 16d"},
            {PW_USEC_INFINITY, "infinity"},
        };
        char buffer[PW_SPAN_MAX];

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++)
                assert_string_equal(pw_format_span(buffer, sizeof buffer, cases[i].usec),
                                    cases[i].text);
}

/* What is written can be typed. */
static void test_span_both_ways(void **state _unused_)
{
        static const uint64_t spans[] = {1, 20 * MS, 1500 * MS, 90 * SEC, 25 * HOUR, 400 * DAY};
        char buffer[PW_SPAN_MAX];

        for (size_t i = 0; i < PW_ELEMENTS(spans); i++) {
                uint64_t back;

                pw_format_span(buffer, sizeof buffer, spans[i]);
                assert_int_equal(pw_parse_span(buffer, &back), 0);
                assert_true(back <= spans[i] && spans[i] - back < DAY);
        }
}

static void test_format_size(void **state _unused_)
{
        static const struct {
                uint64_t bytes;
                const char *text;
        } cases[] = {
            {0, "0 B"},
            {512, "512 B"},
            {1023, "1023 B"},
            {1024, "1 KiB"},
            {1536, "1.5 KiB"},
            {(1ULL << 20) - 1, "1023.9 KiB"}, /* not 1024.0 */
            {1258292, "1.2 MiB"},
            {256ULL << 20, "256 MiB"},
            {UINT64_MAX, "15.9 EiB"},
        };
        char buffer[PW_SIZE_MAX];

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++)
                assert_string_equal(pw_format_size(buffer, sizeof buffer, cases[i].bytes),
                                    cases[i].text);
}

static void test_format_time(void **state _unused_)
{
        char buffer[PW_WHEN_MAX];
        uint64_t back;

        set_zone(BERLIN);
#define ASSERT_WHEN(usec, expected)                                                                \
        assert_string_equal(pw_format_when(buffer, sizeof buffer, usec, NOW), expected)
        ASSERT_WHEN(NOW + 127 * SEC, "11:02:07");
        ASSERT_WHEN(NOW - 11 * HOUR, "00:00:00");
        ASSERT_WHEN(NOW - 11 * HOUR - 1, "Nov 23 23:59:59");
        ASSERT_WHEN(NOW - 24 * HOUR, "Nov 23 11:00");
        ASSERT_WHEN(NOW - 140 * DAY, "Jul 07 12:00");  /* summer time */
        ASSERT_WHEN(1767222000 * SEC, "Jan 01 00:00"); /* this year in Berlin, not in UTC */
        ASSERT_WHEN(1767222000 * SEC - 1, "2025-12-31");
        ASSERT_WHEN(NOW + 365 * DAY, "2027-11-24");
#undef ASSERT_WHEN
        assert_string_equal(pw_format_timestamp(buffer, sizeof buffer, NOW + 127 * SEC),
                            "2026-11-24 11:02:07 CET");
        assert_string_equal(pw_format_timestamp(buffer, sizeof buffer, 1782900000 * SEC),
                            "2026-07-01 12:00:00 CEST");
        assert_string_equal(pw_format_rfc3339(buffer, PW_RFC3339_MAX, NOW + 5),
                            "2026-11-24T10:00:00.000005Z");
        assert_int_equal(pw_parse_time(buffer, 0, &back), 0);
        assert_int_equal(back, NOW + 5);
        assert_string_equal(pw_format_rfc3339(buffer, PW_RFC3339_MAX, 0),
                            "1970-01-01T00:00:00.000000Z");
}

/* Would catch a buffer that the largest value overruns or that is cut. */
static void test_format_extremes(void **state _unused_)
{
        char buffer[PW_WHEN_MAX];

        set_zone("UTC0");
        assert_string_equal(pw_format_rfc3339(buffer, PW_RFC3339_MAX, UINT64_MAX),
                            "586524-01-19T08:01:49.551615Z");
        assert_string_equal(pw_format_timestamp(buffer, sizeof buffer, UINT64_MAX),
                            "586524-01-19 08:01:49 UTC");
        assert_string_equal(pw_format_when(buffer, sizeof buffer, UINT64_MAX, 0), "586524-01-19");
        assert_string_equal(pw_format_timestamp(buffer, 5, NOW), "2026");
}

/* Would catch a switch that is taken for the opposite, or for one at all. */
static void test_answers(void **state _unused_)
{
        static const struct parse_case cases[] = {
            {"yes", 0, 1},        {"1", 0, 1},
            {"true", 0, 1},       {"on", 0, 1},
            {"y", 0, 1},          {"t", 0, 1},
            {"no", 0, 0},         {"0", 0, 0},
            {"false", 0, 0},      {"off", 0, 0},
            {"n", 0, 0},          {"f", 0, 0},
            {"YES", 0, 1},        {"oFf", 0, 0},
            {"", -EINVAL, 0},     {" ", -EINVAL, 0},
            {" yes", -EINVAL, 0}, {"yes ", -EINVAL, 0},
            {"ye", -EINVAL, 0},   {"yess", -EINVAL, 0},
            {"2", -EINVAL, 0},    {"00", -EINVAL, 0},
            {"01", -EINVAL, 0},   {"-1", -EINVAL, 0},
            {"o", -EINVAL, 0},    {"yes\nno", -EINVAL, 0},
            {"none", -EINVAL, 0},
        };

        check_parser(pw_parse_answer, cases, PW_ELEMENTS(cases));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_numbers),        cmocka_unit_test(test_spans),
            cmocka_unit_test(test_sizes),          cmocka_unit_test(test_percentages),
            cmocka_unit_test(test_answers),        cmocka_unit_test(test_time_anywhere),
            cmocka_unit_test(test_time_local),     cmocka_unit_test(test_time_across_summer),
            cmocka_unit_test(test_time_refused),   cmocka_unit_test(test_format_span),
            cmocka_unit_test(test_span_both_ways), cmocka_unit_test(test_format_size),
            cmocka_unit_test(test_format_time),    cmocka_unit_test(test_format_extremes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
