/* SPDX-License-Identifier: MIT */
#pragma once

/* One traversal, several renderers: a verb hands over rows, a view shows them.
 *
 *     begin(key) row row … end    as often as there are lists, then footer once.
 *
 * A table leaves out a list that has no rows. All return 0 or -ENOMEM; that output could not be
 * written shows in ferror() of the stream. */

#include "ctl/columns.h"

#include <portwatch/text.h>

struct json_object;

struct pw_view {
        /* Begins a list of rows that JSON calls `key`. */
        int (*begin)(struct pw_view *view, const char *key);
        /* Keeps a reference to the record until end(). */
        int (*row)(struct pw_view *view, struct pw_record *record);
        int (*end)(struct pw_view *view);
        /* A field beside the lists, before the first or after one; takes over `value`. JSON only.
         */
        int (*field)(struct pw_view *view, const char *key, struct json_object *value);
        /* Ends the output. The text, for people, may be NULL. */
        int (*footer)(struct pw_view *view, const char *text);
        void (*free)(struct pw_view *view);
};

struct pw_view_options {
        FILE *out;
        struct pw_column_list columns; /* of a table */
        bool chosen;                   /* by the user: none is left out */
        struct pw_column_context context;
        unsigned width; /* of the terminal */
        bool colour;
        bool legend; /* heading and footer */
        bool pretty; /* JSON */
};

/* A table that fits the terminal, and one for pipes and files. */
int pw_view_table_new(const struct pw_view_options *options, struct pw_view **ret);
int pw_view_plain_new(const struct pw_view_options *options, struct pw_view **ret);
int pw_view_json_new(const struct pw_view_options *options, struct pw_view **ret);

static inline void pw_view_free(struct pw_view *view)
{
        if (view)
                view->free(view);
}
PW_DEFINE_CLEANUP(struct pw_view *, pw_view_free)

/* As pw_text_width(), faster for what nearly all text is. */
static inline size_t pw_cell_width(const char *text)
{
        size_t length = 0;

        while (text[length] >= ' ' && text[length] <= '~')
                length++;
        return text[length] == '\0' ? length : pw_text_width(text);
}

/* One record as JSON, all columns that have a key. NULL when out of memory. */
struct json_object *pw_record_json(const struct pw_record *record,
                                   const struct pw_column_context *context);

/* A time as JSON: RFC 3339, null for 0. NULL is also JSON's null. */
struct json_object *pw_time_json(uint64_t usec);

/* A new object that starts with the schema's version; NULL when out of memory. */
struct json_object *pw_json_new(void);
void pw_json_release(struct json_object *object); /* accepts NULL */

/* Prints an object and a newline, and releases it. */
void pw_json_print(FILE *out, struct json_object *object, bool pretty);
