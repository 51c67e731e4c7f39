/* SPDX-License-Identifier: MIT */
#pragma once

/* Text from outside, and the numbers, durations, sizes and times that people type and read.
 *
 * Invariant of the whole program: a string that any local user may have chosen (a process name, a
 * path, a command line, a unit name, a rule's comment, a cell of somebody else's database) passes
 * pw_text_clean() once, where it is read. Everything behind that point may print it. */

#include <portwatch/base.h>

/* ---- bytes from outside ---- */

/* Writes `length` bytes of `text` to `buffer` (`size` > 0 bytes, always NUL-terminated) as valid,
 * printable, one-line UTF-8. Bytes that are not valid UTF-8, C0 and C1 control characters, DEL,
 * and the characters that reorder or break lines (U+061C, U+200B-U+200F, U+2028-U+202E,
 * U+2060-U+2069, U+FEFF) become \xNN, one for each byte, lower case. Everything else, the backslash
 * included, is kept. What does not fit is cut at a character boundary, and the cut shown by "…" (3
 * bytes; where not even these fit, the cut is not shown). Returns the length written. `buffer` must
 * not overlap `text`. */
size_t pw_text_clean(char *buffer, size_t size, const void *text, size_t length);

/* The same into a new string of at most `limit` bytes (without NUL). NULL when out of memory. */
char *pw_text_clean_dup(const void *text, size_t length, size_t limit);

/* True where pw_text_clean() would change nothing. */
bool pw_text_is_clean(const char *text);

/* The number of terminal columns that clean text takes (wcwidth in UTF-8; no locale needed beyond
 * the caller's setlocale; where wcwidth knows nothing, one column a character). */
size_t pw_text_width(const char *text);

/* Shell-style match (`*`, `?`, `[…]`; `*` crosses `/`) of clean text; FNM_NOESCAPE, so that unit
 * names with backslashes are literal. A NULL text matches nothing. */
bool pw_text_glob(const char *pattern, const char *text);

/* The ending of a word that counts `n` things. */
static inline const char *pw_plural(uint64_t n)
{
        return n == 1 ? "" : "s";
}

/* NULL-safe: equal strings, or both NULL. */
static inline bool pw_text_equal(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

/* Sets a string field that is the struct's own to a copy (NULL: to NULL), frees what it was. 0 or
 * -ENOMEM (it is then as before). */
int pw_text_set(char **field, const char *text);

/* The same for a field that many structs share: one counted copy of each text. Fields set this way
 * are released by pw_shared_unset() only. For one thread. */
int pw_shared_set(const char **field, const char *text);
void pw_shared_unset(const char **field);

/* ---- what people type ---- */

/* A decimal number with nothing before or behind it (no sign, no space), min <= n <= max.
 * Returns 0, -EINVAL (not a number) or -ERANGE. */
int pw_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* A time span as in systemd.time(7): `5s`, `1min 30s`, `90d`, `1.5h`, `500ms`, a bare number is
 * seconds, `infinity`. Returns 0, -EINVAL or -ERANGE; *ret in microseconds. */
int pw_parse_span(const char *text, uint64_t *ret);

/* A size in bytes with a suffix of powers of 1024: `4096`, `64K`, `256M`, `1.5G`, `2T`. */
int pw_parse_size(const char *text, uint64_t *ret);

/* `yes` or `no`, and what else systemd takes for them (1, true, on, y, t; 0, false, off, n, f). */
int pw_parse_answer(const char *text, uint64_t *ret);

/* A percentage `0.2%`, as millionths of the whole (2000). Up to 100 %. */
int pw_parse_percent(const char *text, uint64_t *ret_ppm);

/* A point in time, a subset of systemd.time(7): `2026-11-24`, `2026-11-24 10:00[:30]` (also with
 * `T`), `10:00` (today), all in local time; with a trailing `Z`, ` UTC` or `+hh:mm`, in that zone;
 * `now`, `today`, `yesterday`, `tomorrow` (local midnight); `-1h`, `+30min`, `2h ago`; `@EPOCH`
 * seconds. A moment that local time skips or has twice is resolved as mktime(3) does.
 * Returns 0, -EINVAL or -ERANGE; *ret in microseconds since 1970. */
int pw_parse_time(const char *text, uint64_t now_usec, uint64_t *ret);

/* ---- what people read ---- */

/* All of these write to `buffer`, which has `size` bytes, and return it. */

/* The two largest units, as systemd prints ages: `3d 4h`, `5min 12s`, `42s`, `350ms`, `0`. */
char *pw_format_span(char *buffer, size_t size, uint64_t usec);
#define PW_SPAN_MAX 32

/* RFC 3339 in UTC with microseconds: `2026-11-24T10:00:00.000000Z`. */
char *pw_format_rfc3339(char *buffer, size_t size, uint64_t usec);
#define PW_RFC3339_MAX 40

/* For tables, local time: `10:02:07` today, `Nov 24 10:02` this year, `2025-11-24` before that. */
char *pw_format_when(char *buffer, size_t size, uint64_t usec, uint64_t now_usec);
/* For details, local time with zone: `2026-11-24 10:02:07 CET`. */
char *pw_format_timestamp(char *buffer, size_t size, uint64_t usec);
#define PW_WHEN_MAX 48

/* `512 B`, `1.2 MiB`. */
char *pw_format_size(char *buffer, size_t size, uint64_t bytes);
#define PW_SIZE_MAX 24
