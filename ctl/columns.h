/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be said of a listener, one row a column: the table drives headings, `-o`, its error
 * message, the help, and the keys and types of JSON. */

#include <portwatch/record.h>

struct pw_services;

/* What a view must know beside the record. */
struct pw_column_context {
        uint64_t now_usec;
        bool judged; /* the records carry verdicts; else a verdict is not known */
        bool ascii;  /* tables: no signs beyond ASCII of our own */
        const struct pw_services *services; /* names beyond IANA's; NULL */
};

enum pw_value_kind {
        PW_VALUE_NONE, /* not known, or not there */
        PW_VALUE_TEXT,
        PW_VALUE_NUMBER,
        PW_VALUE_BOOL,
        PW_VALUE_TIME,  /* microseconds since 1970 */
        PW_VALUE_SPAN,  /* microseconds */
        PW_VALUE_NAMES, /* a comma list; JSON: an array, empty for "" */
        PW_VALUE_PIDS,  /* the record's; JSON: an array of numbers */
};

#define PW_VALUE_MAX 512

struct pw_value {
        enum pw_value_kind kind;
        uint64_t number;           /* NUMBER, BOOL, TIME, SPAN */
        const char *text;          /* TEXT, NAMES; lives as long as the record or this value */
        char buffer[PW_VALUE_MAX]; /* for text that is made up */
};

/* Columns that are dropped before anything else is done to make a table fit: they are an extra,
 * that narrow terminals never show. */
#define PW_DROP_EXTRA 7

struct pw_column {
        const char *name; /* for -o; the JSON key where `json` is set */
        const char *heading;
        bool json;
        bool right;      /* aligned to the right */
        bool often_none; /* left out of a default table where no row has something to say */
        uint8_t drop;    /* too narrow: the greatest goes first, 0 never goes */
        uint8_t shrink;  /* too narrow: may be cut down to so many characters, 0: never */
        void (*get)(const struct pw_record *record, const struct pw_column_context *context,
                    struct pw_value *value);
};

extern const struct pw_column pw_columns[];
extern const size_t pw_columns_count;

#define PW_COLUMNS_MAX 64

struct pw_column_list {
        const struct pw_column *items[PW_COLUMNS_MAX];
        size_t n;
};

/* Reads a comma list of names or headings, in any case. 0; -EINVAL with a sentence in `error` that
 * names the word and lists what is known; -E2BIG: too many. */
int pw_column_list_parse(const char *text, struct pw_column_list *ret, char *error,
                         size_t error_size);

/* The value of a column, cleared first. */
void pw_column_value(const struct pw_column *column, const struct pw_record *record,
                     const struct pw_column_context *context, struct pw_value *ret);

/* A value as text for a table; `-` for none. Lives as long as record and value. */
const char *pw_value_text(struct pw_value *value, const struct pw_record *record,
                          const struct pw_column_context *context);

/* Whether the value tells a reader something that he cannot take for granted. */
bool pw_column_says_something(const struct pw_column *column, const struct pw_record *record,
                              const struct pw_value *value);

/* A span as people want it: whole seconds, below one second whole milliseconds, and
 * "<1ms" for what is shorter. */
char *pw_format_age(char *buffer, size_t size, uint64_t usec);
