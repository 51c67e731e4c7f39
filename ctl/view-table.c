/* SPDX-License-Identifier: MIT */
/* Tables on a terminal. Rows are kept until the list ends, since only then is known how wide each
 * column is, and whether it has anything to say. Fitting a narrow terminal is decided here
 * (libsmartcols aligns and prints): first the columns nobody would miss are dropped, then the
 * widest of those that may be cut are cut. An address and a verdict are never touched; a line may
 * then be too long. */

#include "ctl/view.h"

#include <portwatch/text.h>

#include <libsmartcols.h>
#include <wchar.h>

struct layout {
        bool shown;
        size_t natural; /* characters that heading and widest cell take */
        size_t width;   /* … that the terminal has for it */
};

struct table_view {
        struct pw_view view;
        struct pw_view_options options;
        struct pw_records records;
        bool printed; /* a list with rows */
        struct layout layout[PW_COLUMNS_MAX];
        size_t gap; /* between columns */
};

static int table_begin(struct pw_view *view, _unused_ const char *key)
{
        struct table_view *table = (struct table_view *)view;

        pw_records_done(&table->records);
        return 0;
}

static int table_row(struct pw_view *view, struct pw_record *record)
{
        struct table_view *table = (struct table_view *)view;

        return pw_records_add(&table->records, pw_record_ref(record));
}

/* ---- layout ---- */

static const char *cell(const struct table_view *table, const struct pw_column *column,
                        const struct pw_record *record, struct pw_value *value)
{
        pw_column_value(column, record, &table->options.context, value);
        return pw_value_text(value, record, &table->options.context);
}

static void measure_column(const struct table_view *table, const struct pw_column *column,
                           struct layout *layout)
{
        *layout = (struct layout){
            .shown = table->options.chosen || !column->often_none,
            .natural = strlen(column->heading),
        };
        for (size_t i = 0; i < table->records.n; i++) {
                struct pw_value value;
                const char *text = cell(table, column, table->records.items[i], &value);

                layout->natural = PW_MAX(layout->natural, pw_cell_width(text));
                layout->shown = layout->shown ||
                                pw_column_says_something(column, table->records.items[i], &value);
        }
        layout->width = layout->natural;
}

static void measure(struct table_view *table)
{
        for (size_t i = 0; i < table->options.columns.n; i++)
                measure_column(table, table->options.columns.items[i], &table->layout[i]);
}

static size_t least(const struct pw_column *column, const struct layout *layout)
{
        size_t floor = PW_MAX((size_t)column->shrink, strlen(column->heading));

        return column->shrink ? PW_MIN(layout->natural, floor) : layout->natural;
}

/* What a line takes when every column is as narrow as it may be, or (natural) as it likes. */
static size_t line_width(const struct table_view *table, bool natural)
{
        size_t total = 0, shown = 0;

        for (size_t i = 0; i < table->options.columns.n; i++) {
                const struct layout *layout = &table->layout[i];

                if (!layout->shown)
                        continue;
                total += natural ? layout->natural : least(table->options.columns.items[i], layout);
                shown++;
        }
        return total + (shown > 0 ? (shown - 1) * table->gap : 0);
}

/* Hides the column that is missed least, if that is one whose `drop` is at least so great. */
static bool drop_one(struct table_view *table, uint8_t least_drop)
{
        size_t first = 0;
        uint8_t most = 0;

        for (size_t i = 0; i < table->options.columns.n; i++) {
                uint8_t drop = table->options.columns.items[i]->drop;

                if (table->layout[i].shown && drop > most) {
                        most = drop;
                        first = i;
                }
        }
        if (most < least_drop)
                return false;
        table->layout[first].shown = false;
        return true;
}

/* Takes `excess` characters from the columns that may be cut, from the widest first. */
static void shrink(struct table_view *table, size_t excess)
{
        while (excess > 0) {
                struct layout *widest = NULL;

                for (size_t i = 0; i < table->options.columns.n; i++) {
                        struct layout *layout = &table->layout[i];

                        if (layout->shown &&
                            layout->width > least(table->options.columns.items[i], layout) &&
                            (!widest || layout->width > widest->width))
                                widest = layout;
                }
                if (!widest)
                        return;
                widest->width--;
                excess--;
        }
}

/* Below this, all tables look alike, whatever is in them: no extras, the smallest gap. */
#define NARROW 100

static void fit(struct table_view *table)
{
        size_t width = table->options.width, natural;
        bool narrow = width < NARROW && !table->options.chosen;

        table->gap = narrow ? 1 : 2;
        while (narrow && drop_one(table, PW_DROP_EXTRA))
                ;
        while (line_width(table, false) > width) {
                if (!table->options.chosen && drop_one(table, PW_DROP_EXTRA))
                        continue;
                if (table->gap > 1)
                        table->gap = 1;
                else if (table->options.chosen || !drop_one(table, 1))
                        break;
        }
        natural = line_width(table, true);
        if (natural > width)
                shrink(table, natural - width);
}

/* ---- cells ---- */

/* Cuts text to `width` columns and shows the cut; returns a new string. */
static char *cut(const char *text, size_t width, bool ascii)
{
        mbstate_t state = {0};
        size_t used = 0, length = 0;
        char *copy;

        while (text[length] != '\0') {
                wchar_t character;
                size_t n = mbrtowc(&character, text + length, MB_CUR_MAX, &state);
                int columns = n <= MB_CUR_MAX ? wcwidth(character) : 1;

                if (n > MB_CUR_MAX || n == 0) {
                        memset(&state, 0, sizeof state);
                        n = 1;
                }
                if (used + (size_t)PW_MAX(columns, 0) > width - 1)
                        break;
                used += (size_t)PW_MAX(columns, 0);
                length += n;
        }
        return asprintf(&copy, "%.*s%s", (int)length, text, ascii ? "~" : "…") < 0 ? NULL : copy;
}

/* As libsmartcols calls them: bold red, and plain yellow. */
#define GRAVE_COLOUR "lightred"
#define UNEXPECTED_COLOUR "brown"

static const char *verdict_colour(enum pw_verdict verdict)
{
        switch (verdict) {
        case PW_UNEXPECTED:
                return UNEXPECTED_COLOUR;
        case PW_DENIED:
                return GRAVE_COLOUR;
        case PW_IGNORED:
                return "darkgray";
        default:
                return NULL;
        }
}

static const char *colour(const struct table_view *table, const struct pw_column *column,
                          const struct pw_record *record)
{
        if (strcmp(column->name, "verdict") == 0 && table->options.context.judged)
                return verdict_colour(record->verdict);
        if (strcmp(column->name, "reason") == 0 && record->reasons != 0)
                return record->reasons & (PW_REASON_DENIED | PW_REASON_SUSPICIOUS)
                           ? GRAVE_COLOUR
                           : UNEXPECTED_COLOUR;
        return NULL;
}

static int fill_line(struct table_view *table, struct libscols_line *line,
                     const struct pw_record *record)
{
        size_t n = 0;

        for (size_t i = 0; i < table->options.columns.n; i++) {
                const struct pw_column *column = table->options.columns.items[i];
                const struct layout *layout = &table->layout[i];
                const char *text, *name;
                struct pw_value value;
                char *copy;

                if (!layout->shown)
                        continue;
                text = cell(table, column, record, &value);
                copy = pw_cell_width(text) > layout->width
                           ? cut(text, layout->width, table->options.context.ascii)
                           : strdup(text);
                if (!copy)
                        return -ENOMEM;
                if (scols_line_refer_data(line, n, copy) < 0) {
                        free(copy);
                        return -ENOMEM;
                }
                name = table->options.colour ? colour(table, column, record) : NULL;
                if (name && scols_cell_set_color(scols_line_get_cell(line, n), name) < 0)
                        return -ENOMEM;
                n++;
        }
        return 0;
}

static int fill(struct table_view *table, struct libscols_table *out)
{
        for (size_t i = 0; i < table->options.columns.n; i++) {
                const struct pw_column *column = table->options.columns.items[i];

                if (table->layout[i].shown &&
                    !scols_table_new_column(out, column->heading, 0,
                                            column->right ? SCOLS_FL_RIGHT : 0))
                        return -ENOMEM;
        }
        for (size_t j = 0; j < table->records.n; j++) {
                struct libscols_line *line = scols_table_new_line(out, NULL);
                int r = line ? fill_line(table, line, table->records.items[j]) : -ENOMEM;

                if (r < 0)
                        return r;
        }
        return 0;
}

static void unref_table(struct libscols_table **table)
{
        scols_unref_table(*table);
}

static int table_end(struct pw_view *view)
{
        struct table_view *table = (struct table_view *)view;
        _cleanup_(unref_table) struct libscols_table *out = NULL;
        int r;

        if (table->records.n == 0)
                return 0;
        out = scols_new_table();
        if (!out)
                return -ENOMEM;
        table->printed = true;
        measure(table);
        fit(table);
        scols_table_set_stream(out, table->options.out);
        scols_table_set_termforce(out, SCOLS_TERMFORCE_NEVER);
        scols_table_enable_noencoding(out, true); /* all text is clean */
        scols_table_enable_noheadings(out, !table->options.legend);
        scols_table_enable_colors(out, table->options.colour);
        if (scols_table_set_column_separator(out, table->gap > 1 ? "  " : " ") < 0)
                return -ENOMEM;
        r = fill(table, out);
        if (r < 0)
                return r;
        /* What the stream refuses (a full disk, a closed pipe) is found by whoever flushes it. */
        scols_print_table(out);
        return 0;
}

static int table_field(_unused_ struct pw_view *view, _unused_ const char *key,
                       struct json_object *value)
{
        pw_json_release(value);
        return 0;
}

/* On one line, or where that is too long, one line a sentence. */
static void print_sentences(FILE *out, const char *text, unsigned width)
{
        const char *end = strstr(text, ". ");

        if (end && pw_cell_width(text) > width) {
                fprintf(out, "%.*s\n", (int)(end - text) + 1, text);
                print_sentences(out, end + 2, width);
        } else {
                fprintf(out, "%s\n", text);
        }
}

static int table_footer(struct pw_view *view, const char *text)
{
        struct table_view *table = (struct table_view *)view;

        if (!text || !table->options.legend)
                return 0;
        if (table->printed)
                fputc('\n', table->options.out);
        print_sentences(table->options.out, text, table->options.width);
        return 0;
}

static void table_free(struct pw_view *view)
{
        struct table_view *table = (struct table_view *)view;

        pw_records_done(&table->records);
        free(table);
}

int pw_view_table_new(const struct pw_view_options *options, struct pw_view **ret)
{
        struct table_view *table = malloc(sizeof *table);

        if (!table)
                return -ENOMEM;
        *table = (struct table_view){
            .view = {table_begin, table_row, table_end, table_field, table_footer, table_free},
            .options = *options,
        };
        *ret = &table->view;
        return 0;
}
