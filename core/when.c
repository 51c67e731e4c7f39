/* SPDX-License-Identifier: MIT */
/* Points in time: a subset of systemd.time(7) to type, three forms to read. Local time is the C
 * library's, so that TZ and /etc/localtime mean here what they mean everywhere. */

#include "core/decimal.h"

#include <portwatch/text.h>

#include <time.h>

/* A zone that was typed; without one, local time. */
struct zone {
        bool given;
        int offset_sec; /* east of UTC */
};

/* Reads exactly `n` digits at *text, min <= number <= max, and moves *text behind them. */
static bool read_fixed(const char **text, unsigned n, int min, int max, int *ret)
{
        int number = 0;

        for (unsigned i = 0; i < n; i++) {
                char c = (*text)[i];

                if (c < '0' || c > '9')
                        return false;
                number = number * 10 + (c - '0');
        }
        if (number < min || number > max)
                return false;
        *text += n;
        *ret = number;
        return true;
}

static bool read_char(const char **text, char c)
{
        if (**text != c)
                return false;
        (*text)++;
        return true;
}

static int days_of_month(int year, int month)
{
        static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

        return days[month - 1] + (month == 2 && leap);
}

/* `2026-11-24` */
static bool read_date(const char **text, struct tm *ret)
{
        int year, month, day;

        if (!read_fixed(text, 4, 0, 9999, &year) || !read_char(text, '-') ||
            !read_fixed(text, 2, 1, 12, &month) || !read_char(text, '-') ||
            !read_fixed(text, 2, 1, days_of_month(year, month), &day))
                return false;
        ret->tm_year = year - 1900;
        ret->tm_mon = month - 1;
        ret->tm_mday = day;
        return true;
}

/* `10:00`, `10:00:30`, `10:00:30.250000` */
static bool read_clock(const char **text, struct tm *ret, uint64_t *ret_fraction_usec)
{
        struct pw_decimal fraction = {0};

        if (!read_fixed(text, 2, 0, 23, &ret->tm_hour) || !read_char(text, ':') ||
            !read_fixed(text, 2, 0, 59, &ret->tm_min))
                return false;
        if (!read_char(text, ':'))
                return true;
        if (!read_fixed(text, 2, 0, 59, &ret->tm_sec))
                return false;
        if (!read_char(text, '.'))
                return true;
        fraction.fraction = *text;
        fraction.n_fraction = strspn(*text, "0123456789");
        *text += fraction.n_fraction;
        return fraction.n_fraction > 0 &&
               pw_decimal_scale(&fraction, PW_USEC_PER_SEC, ret_fraction_usec) == 0;
}

/* `Z`, ` UTC`, `+01:00`, or nothing; then the text must end. */
static bool read_zone(const char *text, struct zone *ret)
{
        bool east = *text == '+';
        int hours, minutes;

        *ret = (struct zone){.given = *text != '\0'};
        if (!ret->given || strcmp(text, "Z") == 0 || strcmp(text, " UTC") == 0)
                return true;
        if (*text != '+' && *text != '-')
                return false;
        text++;
        if (!read_fixed(&text, 2, 0, 23, &hours) || !read_char(&text, ':') ||
            !read_fixed(&text, 2, 0, 59, &minutes) || *text != '\0')
                return false;
        ret->offset_sec = (east ? 1 : -1) * (hours * 3600 + minutes * 60);
        return true;
}

/* Now, broken down in the zone. */
static int break_down(uint64_t now_usec, const struct zone *zone, struct tm *ret)
{
        time_t now = (time_t)(now_usec / PW_USEC_PER_SEC);

        if (zone->given) {
                now += zone->offset_sec;
                return gmtime_r(&now, ret) ? 0 : -ERANGE;
        }
        return localtime_r(&now, ret) ? 0 : -ERANGE;
}

/* Seconds since 1970 of a broken-down time, which mktime(3) may change. */
static int put_together(struct tm *when, const struct zone *zone, uint64_t *ret_usec)
{
        time_t seconds;

        when->tm_isdst = -1;
        seconds = zone->given ? timegm(when) - zone->offset_sec : mktime(when);
        if (seconds < 0)
                return -ERANGE;
        *ret_usec = (uint64_t)seconds * PW_USEC_PER_SEC;
        return 0;
}

static int parse_date_and_clock(const char *text, uint64_t now_usec, uint64_t *ret)
{
        const char *p = text;
        uint64_t usec, fraction_usec = 0;
        struct tm when = {0}, today;
        struct zone zone;
        bool has_date = read_date(&p, &when);
        int r;

        if (!has_date)
                p = text;
        else if (*p == 'T' || (*p == ' ' && p[1] >= '0' && p[1] <= '9'))
                p++;
        else if (!read_zone(p, &zone))
                return -EINVAL;
        else
                return put_together(&when, &zone, ret);

        if (!read_clock(&p, &when, &fraction_usec) || !read_zone(p, &zone))
                return -EINVAL;
        if (!has_date) {
                r = break_down(now_usec, &zone, &today);
                if (r < 0)
                        return r;
                when.tm_year = today.tm_year;
                when.tm_mon = today.tm_mon;
                when.tm_mday = today.tm_mday;
        }
        r = put_together(&when, &zone, &usec);
        if (r < 0)
                return r;
        *ret = usec + fraction_usec;
        return 0;
}

/* Local midnight, `days` from today. */
static int midnight(uint64_t now_usec, int days, uint64_t *ret)
{
        const struct zone local = {0};
        struct tm when;
        int r = break_down(now_usec, &local, &when);

        if (r < 0)
                return r;
        when.tm_mday += days;
        when.tm_hour = when.tm_min = when.tm_sec = 0;
        return put_together(&when, &local, ret);
}

static int shift(const char *span_text, bool back, uint64_t now_usec, uint64_t *ret)
{
        uint64_t span, usec;
        int r = pw_parse_span(span_text, &span);

        if (r < 0)
                return r;
        if (back ? __builtin_sub_overflow(now_usec, span, &usec)
                 : __builtin_add_overflow(now_usec, span, &usec))
                return -ERANGE;
        *ret = usec;
        return 0;
}

/* `2h ago`. 1: not of this form. */
static int parse_ago(const char *text, uint64_t now_usec, uint64_t *ret)
{
        static const char ago[] = " ago";
        size_t length = strlen(text);
        char span[64];

        if (length < sizeof ago || strcmp(text + length - (sizeof ago - 1), ago) != 0)
                return 1;
        length -= sizeof ago - 1;
        if (length >= sizeof span)
                return -EINVAL;
        memcpy(span, text, length);
        span[length] = '\0';
        return shift(span, true, now_usec, ret);
}

static int parse_epoch(const char *text, uint64_t *ret)
{
        struct pw_decimal decimal;
        int r = pw_decimal_read(&text, &decimal);

        if (r == 0 && *text != '\0')
                r = -EINVAL;
        return r < 0 ? r : pw_decimal_scale(&decimal, PW_USEC_PER_SEC, ret);
}

int pw_parse_time(const char *text, uint64_t now_usec, uint64_t *ret)
{
        static const struct {
                const char *name;
                int days;
        } days[] = {{"yesterday", -1}, {"today", 0}, {"tomorrow", 1}};
        int r;

        if (strcmp(text, "now") == 0) {
                *ret = now_usec;
                return 0;
        }
        for (size_t i = 0; i < PW_ELEMENTS(days); i++)
                if (strcmp(text, days[i].name) == 0)
                        return midnight(now_usec, days[i].days, ret);
        if (text[0] == '@')
                return parse_epoch(text + 1, ret);
        if (text[0] == '-' || text[0] == '+')
                return shift(text + 1, text[0] == '-', now_usec, ret);
        r = parse_ago(text, now_usec, ret);
        return r <= 0 ? r : parse_date_and_clock(text, now_usec, ret);
}

/* The longest time that can be asked for, 584,554 years, fits in struct tm and in the buffers. */
static struct tm in_local_time(uint64_t usec)
{
        time_t seconds = (time_t)(usec / PW_USEC_PER_SEC);
        struct tm when = {0};

        localtime_r(&seconds, &when);
        return when;
}

char *pw_format_rfc3339(char *buffer, size_t size, uint64_t usec)
{
        time_t seconds = (time_t)(usec / PW_USEC_PER_SEC);
        struct tm when = {0};

        gmtime_r(&seconds, &when);
        snprintf(buffer, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", when.tm_year + 1900,
                 when.tm_mon + 1, when.tm_mday, when.tm_hour, when.tm_min, when.tm_sec,
                 (unsigned)(usec % PW_USEC_PER_SEC));
        return buffer;
}

/* Within the last day seconds still matter, on both sides of midnight. */
static bool is_recent(uint64_t usec, uint64_t now_usec)
{
        return usec <= now_usec && now_usec - usec < 24 * PW_USEC_PER_HOUR;
}

char *pw_format_when(char *buffer, size_t size, uint64_t usec, uint64_t now_usec)
{
        /* Not strftime's %b: the names, and with them the width, would change with the locale. */
        static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        struct tm when = in_local_time(usec), now = in_local_time(now_usec);

        if (when.tm_year != now.tm_year)
                snprintf(buffer, size, "%04d-%02d-%02d", when.tm_year + 1900, when.tm_mon + 1,
                         when.tm_mday);
        else if (when.tm_yday != now.tm_yday && is_recent(usec, now_usec))
                snprintf(buffer, size, "%s %02d %02d:%02d:%02d", months[when.tm_mon], when.tm_mday,
                         when.tm_hour, when.tm_min, when.tm_sec);
        else if (when.tm_yday != now.tm_yday)
                snprintf(buffer, size, "%s %02d %02d:%02d", months[when.tm_mon], when.tm_mday,
                         when.tm_hour, when.tm_min);
        else
                snprintf(buffer, size, "%02d:%02d:%02d", when.tm_hour, when.tm_min, when.tm_sec);
        return buffer;
}

char *pw_format_timestamp(char *buffer, size_t size, uint64_t usec)
{
        struct tm when = in_local_time(usec);

        snprintf(buffer, size, "%04d-%02d-%02d %02d:%02d:%02d %s", when.tm_year + 1900,
                 when.tm_mon + 1, when.tm_mday, when.tm_hour, when.tm_min, when.tm_sec,
                 when.tm_zone);
        return buffer;
}
