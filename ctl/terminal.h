/* SPDX-License-Identifier: MIT */
#pragma once

/* The terminal, if there is one: its width, whether colour is welcome, and the pager. */

#include "ctl/view.h"

struct pw_ctl;

/* Whether standard output takes colour: a terminal that is not dumb, NO_COLOR not set. */
bool pw_terminal_colour(void);

/* Columns: COLUMNS where it is a number, else the terminal's; 0: not a terminal, no limit. */
unsigned pw_terminal_width(void);

/* Prints text behind a label of `indent` columns, broken between words where the terminal ends. */
void pw_print_wrapped(const char *label, unsigned indent, const char *text);

/* Keeps standard output for a pager, where it is a terminal and a pager is wanted (PORTWATCH_PAGER,
 * SYSTEMD_PAGER, PAGER, else less; empty or "cat", or a dumb terminal: none). */
void pw_pager_open(const struct pw_ctl *ctl);

/* Flushes standard output, and runs the pager to its end; where it does not work, the output comes
 * without. 0; -errno where the output could not be written
 * (a reader that has gone, EPIPE, is no failure). */
int pw_pager_close(void);

/* The view that the options ask for, with these columns by default (names, comma list). Opens the
 * pager. 0 or an exit code. */
int pw_ctl_view(struct pw_ctl *ctl, const char *columns, bool judged, struct pw_view **ret);

/* Prints all records as the list `key`. 0 or -ENOMEM. */
int pw_view_list(struct pw_view *view, const char *key, const struct pw_records *records);

/* Prints all records as the one list `key`, and the footer. 0 or an exit code. */
int pw_ctl_print(struct pw_view *view, const char *key, const struct pw_records *records,
                 const char *footer);
