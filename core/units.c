/* SPDX-License-Identifier: MIT */
/* Numbers, spans of time, sizes and percentages: as people type them, and as they read them.
 * Integer arithmetic only; whatever does not fit in 64 bits is -ERANGE, never wrapped. */

#include "core/decimal.h"

#include <portwatch/text.h>

struct unit {
        const char *name;
        uint64_t value;
};

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static const char *skip_spaces(const char *text)
{
        return text + strspn(text, " \t");
}

/* Reads the digits at *text (there may be none) and moves *text behind them. */
static int read_digits(const char **text, uint64_t *ret)
{
        uint64_t n = 0;

        for (; is_digit(**text); (*text)++)
                if (__builtin_mul_overflow(n, 10, &n) ||
                    __builtin_add_overflow(n, (unsigned)(**text - '0'), &n))
                        return -ERANGE;
        *ret = n;
        return 0;
}

int pw_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
        uint64_t n;

        if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
                return -EINVAL;
        if (read_digits(&text, &n) < 0 || n < min || n > max)
                return -ERANGE;
        *ret = n;
        return 0;
}

int pw_decimal_read(const char **text, struct pw_decimal *ret)
{
        struct pw_decimal decimal = {0};
        int r;

        if (!is_digit(**text))
                return -EINVAL;
        r = read_digits(text, &decimal.whole);
        if (r < 0)
                return r;
        if (**text == '.') {
                decimal.fraction = ++*text;
                decimal.n_fraction = strspn(*text, "0123456789");
                if (decimal.n_fraction == 0)
                        return -EINVAL;
                *text += decimal.n_fraction;
        }
        *ret = decimal;
        return 0;
}

int pw_decimal_scale(const struct pw_decimal *decimal, uint64_t unit, uint64_t *ret)
{
        uint64_t value, part = 0;

        /* From the last digit to the first: each division rounds down, and rounding down in steps
         * is the same as rounding down once. `part` stays below `unit`. */
        for (size_t i = decimal->n_fraction; i > 0; i--)
                part = (part + (unsigned)(decimal->fraction[i - 1] - '0') * unit) / 10;
        if (__builtin_mul_overflow(decimal->whole, unit, &value) ||
            __builtin_add_overflow(value, part, &value))
                return -ERANGE;
        *ret = value;
        return 0;
}

/* The names and values of systemd.time(7). */
static const struct unit span_units[] = {
    {"us", 1},
    {"usec", 1},
    {"µs", 1}, /* U+00B5 */
    {"μs", 1}, /* U+03BC */
    {"ms", PW_USEC_PER_MSEC},
    {"msec", PW_USEC_PER_MSEC},
    {"s", PW_USEC_PER_SEC},
    {"sec", PW_USEC_PER_SEC},
    {"second", PW_USEC_PER_SEC},
    {"seconds", PW_USEC_PER_SEC},
    {"m", PW_USEC_PER_MINUTE},
    {"min", PW_USEC_PER_MINUTE},
    {"minute", PW_USEC_PER_MINUTE},
    {"minutes", PW_USEC_PER_MINUTE},
    {"h", PW_USEC_PER_HOUR},
    {"hr", PW_USEC_PER_HOUR},
    {"hour", PW_USEC_PER_HOUR},
    {"hours", PW_USEC_PER_HOUR},
    {"d", PW_USEC_PER_DAY},
    {"day", PW_USEC_PER_DAY},
    {"days", PW_USEC_PER_DAY},
    {"w", 7 * PW_USEC_PER_DAY},
    {"week", 7 * PW_USEC_PER_DAY},
    {"weeks", 7 * PW_USEC_PER_DAY},
    {"M", 2629800 * PW_USEC_PER_SEC}, /* 30.44 days */
    {"month", 2629800 * PW_USEC_PER_SEC},
    {"months", 2629800 * PW_USEC_PER_SEC},
    {"y", 31557600 * PW_USEC_PER_SEC}, /* 365.25 days */
    {"year", 31557600 * PW_USEC_PER_SEC},
    {"years", 31557600 * PW_USEC_PER_SEC},
};

/* Reads the unit's name at *text and moves *text behind it. A number without one is seconds, but
 * only at the end: in `5 3s` a unit was forgotten. */
static int read_span_unit(const char **text, uint64_t *ret)
{
        size_t length = strcspn(*text, " \t.+-0123456789");

        if (length == 0 && **text == '\0') {
                *ret = PW_USEC_PER_SEC;
                return 0;
        }
        for (size_t i = 0; i < PW_ELEMENTS(span_units); i++)
                if (strlen(span_units[i].name) == length &&
                    memcmp(span_units[i].name, *text, length) == 0) {
                        *text += length;
                        *ret = span_units[i].value;
                        return 0;
                }
        return -EINVAL;
}

int pw_parse_span(const char *text, uint64_t *ret)
{
        const char *p = skip_spaces(text);
        uint64_t span = 0;

        if (strcmp(p, "infinity") == 0) {
                *ret = PW_USEC_INFINITY;
                return 0;
        }
        do {
                struct pw_decimal decimal;
                uint64_t unit, part;
                int r = pw_decimal_read(&p, &decimal);

                if (r < 0)
                        return r;
                p = skip_spaces(p);
                r = read_span_unit(&p, &unit);
                if (r == 0)
                        r = pw_decimal_scale(&decimal, unit, &part);
                if (r < 0)
                        return r;
                if (__builtin_add_overflow(span, part, &span) || span == PW_USEC_INFINITY)
                        return -ERANGE;
                p = skip_spaces(p);
        } while (*p);
        *ret = span;
        return 0;
}

int pw_parse_size(const char *text, uint64_t *ret)
{
        static const char suffixes[] = "KMGT";
        const char *p = text, *suffix;
        struct pw_decimal decimal;
        int r = pw_decimal_read(&p, &decimal);

        if (r < 0)
                return r;
        if (*p == '\0') /* there is no part of a byte */
                return decimal.n_fraction > 0 ? -EINVAL : pw_decimal_scale(&decimal, 1, ret);
        suffix = strchr(suffixes, *p);
        if (!suffix || p[1] != '\0')
                return -EINVAL;
        return pw_decimal_scale(&decimal, 1ULL << (10 * (suffix - suffixes + 1)), ret);
}

int pw_parse_percent(const char *text, uint64_t *ret_ppm)
{
        const char *p = text;
        struct pw_decimal decimal;
        uint64_t ppm;
        int r = pw_decimal_read(&p, &decimal);

        if (r < 0)
                return r;
        if (strcmp(p, "%") != 0)
                return -EINVAL;
        r = pw_decimal_scale(&decimal, 10000, &ppm);
        if (r < 0)
                return r;
        if (ppm > 1000000)
                return -ERANGE;
        *ret_ppm = ppm;
        return 0;
}

int pw_parse_answer(const char *text, uint64_t *ret)
{
        static const char *const answers[2][6] = {{"no", "0", "false", "off", "n", "f"},
                                                  {"yes", "1", "true", "on", "y", "t"}};

        for (unsigned answer = 0; answer < 2; answer++)
                for (size_t i = 0; i < PW_ELEMENTS(answers[answer]); i++)
                        if (strcasecmp(text, answers[answer][i]) == 0) {
                                *ret = answer;
                                return 0;
                        }
        return -EINVAL;
}

/* From large to small. Weeks and months are left out: `45d` says more than `1month 2w`. */
static const struct unit age_units[] = {
    {"y", 31557600 * PW_USEC_PER_SEC},
    {"d", PW_USEC_PER_DAY},
    {"h", PW_USEC_PER_HOUR},
    {"min", PW_USEC_PER_MINUTE},
    {"s", PW_USEC_PER_SEC},
    {"ms", PW_USEC_PER_MSEC},
    {"us", 1},
};

char *pw_format_span(char *buffer, size_t size, uint64_t usec)
{
        const struct unit *unit = age_units;
        const struct unit *last = age_units + PW_ELEMENTS(age_units) - 1;
        uint64_t rest;

        if (usec == 0 || usec == PW_USEC_INFINITY) {
                snprintf(buffer, size, "%s", usec ? "infinity" : "0");
                return buffer;
        }
        if (usec >= 10 * PW_USEC_PER_SEC)
                usec -= usec % PW_USEC_PER_SEC; /* `42s`: nobody reads the milliseconds */
        while (usec < unit->value)
                unit++;
        rest = unit == last ? 0 : usec % unit->value / unit[1].value;
        if (rest > 0)
                snprintf(buffer, size, "%llu%s %llu%s", (unsigned long long)(usec / unit->value),
                         unit->name, (unsigned long long)rest, unit[1].name);
        else
                snprintf(buffer, size, "%llu%s", (unsigned long long)(usec / unit->value),
                         unit->name);
        return buffer;
}

char *pw_format_size(char *buffer, size_t size, uint64_t bytes)
{
        static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        unsigned unit = 0;
        uint64_t whole, tenths;

        while (unit + 1 < PW_ELEMENTS(names) && bytes >> (10 * unit) >= 1024)
                unit++;
        whole = bytes >> (10 * unit);
        tenths = (bytes - (whole << (10 * unit))) * 10 >> (10 * unit);
        if (tenths > 0)
                snprintf(buffer, size, "%llu.%llu %s", (unsigned long long)whole,
                         (unsigned long long)tenths, names[unit]);
        else
                snprintf(buffer, size, "%llu %s", (unsigned long long)whole, names[unit]);
        return buffer;
}
