/* SPDX-License-Identifier: MIT */
/* The table for pipes and files: as wide as it needs to be, no colour. It keeps cells as text in
 * one piece of memory and pads them itself: with tens of thousands of rows, libsmartcols would take
 * longer than the kernel's answer did. */

#include "ctl/view.h"

struct cell {
        uint32_t length; /* bytes */
        uint32_t width;  /* columns of a terminal */
};

struct plain_view {
        struct pw_view view;
        struct pw_view_options options;
        char *text; /* of all cells, one behind the other */
        size_t text_length, text_capacity;
        struct cell *cells;
        size_t n_cells, cells_capacity;
        size_t widths[PW_COLUMNS_MAX];
        bool shown[PW_COLUMNS_MAX];
        bool printed; /* a list with rows */
};

static int plain_begin(struct pw_view *view, _unused_ const char *key)
{
        struct plain_view *plain = (struct plain_view *)view;
        const struct pw_column_list *columns = &plain->options.columns;

        plain->text_length = plain->n_cells = 0;
        for (size_t i = 0; i < columns->n; i++) {
                plain->widths[i] = strlen(columns->items[i]->heading);
                plain->shown[i] = plain->options.chosen || !columns->items[i]->often_none;
        }
        return 0;
}

static int add_cell(struct plain_view *plain, const char *text, size_t *width)
{
        size_t length = strlen(text), characters = pw_cell_width(text);

        if (pw_array_reserve(&plain->text, &plain->text_capacity, plain->text_length + length, 1) <
                0 ||
            pw_array_reserve(&plain->cells, &plain->cells_capacity, plain->n_cells + 1,
                             sizeof *plain->cells) < 0)
                return -ENOMEM;
        memcpy(plain->text + plain->text_length, text, length);
        plain->text_length += length;
        plain->cells[plain->n_cells++] = (struct cell){(uint32_t)length, (uint32_t)characters};
        *width = PW_MAX(*width, characters);
        return 0;
}

static int plain_row(struct pw_view *view, struct pw_record *record)
{
        struct plain_view *plain = (struct plain_view *)view;
        const struct pw_column_list *columns = &plain->options.columns;
        int r = 0;

        for (size_t i = 0; r == 0 && i < columns->n; i++) {
                struct pw_value value;
                const char *text;

                pw_column_value(columns->items[i], record, &plain->options.context, &value);
                text = pw_value_text(&value, record, &plain->options.context);
                plain->shown[i] =
                    plain->shown[i] || pw_column_says_something(columns->items[i], record, &value);
                r = add_cell(plain, text, &plain->widths[i]);
        }
        return r;
}

static void pad(FILE *out, size_t n)
{
        static const char spaces[] = "                                ";

        for (; n > sizeof spaces - 1; n -= sizeof spaces - 1)
                fwrite(spaces, 1, sizeof spaces - 1, out);
        fwrite(spaces, 1, n, out);
}

/* Nothing is put behind the last column of a line. */
static void print_cell(const struct plain_view *plain, size_t column, bool first, bool last,
                       const char *text, struct cell cell)
{
        FILE *out = plain->options.out;
        size_t lacks = plain->widths[column] - cell.width;
        bool right = plain->options.columns.items[column]->right;

        if (!first)
                pad(out, 2);
        if (right)
                pad(out, lacks);
        fwrite(text, 1, cell.length, out);
        if (!right && !last)
                pad(out, lacks);
}

/* One line: the headings, or the cells of a row, whose text begins at `text`. */
static void print_line(const struct plain_view *plain, const struct cell *cells, const char *text)
{
        const struct pw_column_list *columns = &plain->options.columns;
        size_t first = columns->n, last = 0;

        for (size_t i = 0; i < columns->n; i++) {
                if (!plain->shown[i])
                        continue;
                first = PW_MIN(first, i);
                last = i;
        }
        for (size_t i = 0; i < columns->n; i++) {
                const char *heading = columns->items[i]->heading;
                uint32_t length = (uint32_t)strlen(heading);

                if (plain->shown[i])
                        print_cell(plain, i, i == first, i == last, cells ? text : heading,
                                   cells ? cells[i] : (struct cell){length, length});
                if (cells)
                        text += cells[i].length;
        }
        fputc('\n', plain->options.out);
}

static int plain_end(struct pw_view *view)
{
        struct plain_view *plain = (struct plain_view *)view;
        size_t n = plain->options.columns.n;
        const char *text = plain->text;

        if (plain->n_cells == 0)
                return 0;
        plain->printed = true;
        if (plain->options.legend)
                print_line(plain, NULL, NULL);
        for (size_t i = 0; i < plain->n_cells; i += n) {
                print_line(plain, plain->cells + i, text);
                for (size_t j = 0; j < n; j++)
                        text += plain->cells[i + j].length;
        }
        return 0;
}

static int plain_field(_unused_ struct pw_view *view, _unused_ const char *key,
                       struct json_object *value)
{
        pw_json_release(value);
        return 0;
}

static int plain_footer(struct pw_view *view, const char *text)
{
        struct plain_view *plain = (struct plain_view *)view;

        if (text && plain->options.legend)
                fprintf(plain->options.out, "%s%s\n", plain->printed ? "\n" : "", text);
        return 0;
}

static void plain_free(struct pw_view *view)
{
        struct plain_view *plain = (struct plain_view *)view;

        free(plain->text);
        free(plain->cells);
        free(plain);
}

int pw_view_plain_new(const struct pw_view_options *options, struct pw_view **ret)
{
        struct plain_view *plain = malloc(sizeof *plain);

        if (!plain)
                return -ENOMEM;
        *plain = (struct plain_view){
            .view = {plain_begin, plain_row, plain_end, plain_field, plain_footer, plain_free},
            .options = *options,
        };
        *ret = &plain->view;
        return 0;
}
