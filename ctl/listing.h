/* SPDX-License-Identifier: MIT */
#pragma once

/* A list of open listeners, whoever asked for it: `list` (history), `scan` (kernel) and `verify`
 * leave out, count and sum up in the same way. */

#include "ctl/view.h"

struct pw_ctl;
struct pw_query;

/* The columns of a table of open listeners. */
#define PW_LISTING_COLUMNS                                                                         \
        "protocol,endpoint,scope,range,service,netns,process,user,unit,container,since,verdict"

struct pw_listing {
        size_t open, unexpected, denied;
        size_t expected;
        size_t clients;          /* unexpected, and may well be clients' */
        size_t unjudged;         /* of an owner who cannot be seen; also those left out */
        size_t ignored;          /* left out */
        char worst[PW_PORT_MAX]; /* port of the first denied, else unexpected, else any */
        bool judged;
        bool chosen; /* there are words that choose */
        bool unexpected_only;
        const char *show; /* the command to look closer */
};

/* Leaves out what the options do not ask for (ignored ones without --all; all but unexpected and
 * denied ones with --unexpected), and counts what is left. */
void pw_listing_narrow(const struct pw_ctl *ctl, struct pw_records *records, bool judged,
                       struct pw_listing *ret);

/* `12 open, 1 unexpected. Look closer: portwatchctl show 8080`. Returns `buffer`. */
char *pw_listing_footer(char *buffer, size_t size, const struct pw_listing *listing);
#define PW_FOOTER_MAX 512

/* When the history was true: the last look of a living daemon, the last sign of a dead one, or of
 * one that hangs (stale); that, and refused rules, are also told on standard error. 0 or a negative
 * errno of the query. */
int pw_listing_as_of(const struct pw_ctl *ctl, struct pw_query *query, bool *ret_stale,
                     uint64_t *ret_as_of_usec);
