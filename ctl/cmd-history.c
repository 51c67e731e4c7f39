/* SPDX-License-Identifier: MIT */
/* history: intervals, newest first. */

#include "ctl/ctl.h"
#include "ctl/listing.h"
#include "ctl/terminal.h"

#include <portwatch/text.h>

#include <json-c/json.h>

#define LINES_DEFAULT 1000
#define COLUMNS                                                                                    \
        "since,closed,duration_usec,protocol,endpoint,service,netns,process,user,unit,container,"  \
        "verdict"

/* 0: all. */
static int read_count(const struct pw_ctl *ctl, size_t *ret)
{
        uint64_t count = LINES_DEFAULT;

        if (ctl->count && strcmp(ctl->count, "all") == 0)
                count = 0;
        else if (ctl->count && pw_parse_number(ctl->count, 1, UINT32_MAX, &count) < 0)
                return pw_ctl_fail(PW_EXIT_USAGE,
                                   "-n: '%s' is not a number of lines; expected 1 or more, or all",
                                   ctl->count);
        *ret = (size_t)count;
        return 0;
}

static int read_span(const struct pw_ctl *ctl, uint64_t *ret_since, uint64_t *ret_until)
{
        int code = 0;

        *ret_since = 0;
        *ret_until = PW_USEC_INFINITY;
        if (ctl->since)
                code = pw_ctl_past_time(ctl, "--since", ctl->since, ret_since);
        if (code == 0 && ctl->until)
                code = pw_ctl_time(ctl, "--until", ctl->until, ret_until);
        if (code == 0 && *ret_since > *ret_until)
                return pw_ctl_fail(PW_EXIT_USAGE, "--since lies behind --until");
        return code;
}

static int print(struct pw_ctl *ctl, struct pw_records *records, size_t limit, bool stale,
                 uint64_t as_of_usec)
{
        _cleanup_(pw_view_freep) struct pw_view *view = NULL;
        bool more = limit > 0 && records->n > limit;
        char footer[PW_FOOTER_MAX];
        int code;

        if (more)
                pw_record_unref(records->items[--records->n]);
        code = pw_ctl_view(ctl, COLUMNS, true, &view);
        if (code != 0)
                return code;
        if (records->n == 0)
                pw_ctl_note_words(ctl);
        if (records->n == 0)
                snprintf(footer, sizeof footer, "No history of that.");
        else if (more)
                snprintf(footer, sizeof footer, "The newest %zu; more: -n all", records->n);
        else
                snprintf(footer, sizeof footer, "%zu interval%s.", records->n,
                         pw_plural(records->n));
        if (view->field(view, "stale", json_object_new_boolean(stale)) < 0 ||
            view->field(view, "as_of", pw_time_json(as_of_usec)) < 0 ||
            view->field(view, "more", json_object_new_boolean(more)) < 0)
                return pw_ctl_no_memory();
        return pw_ctl_print(view, "intervals", records, ctl->quiet ? NULL : footer);
}

int pw_ctl_history(struct pw_ctl *ctl)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_records_done) struct pw_records records = {0};
        uint64_t since_usec, until_usec, as_of_usec = 0;
        bool stale = false;
        size_t limit = 0;
        int code, r;

        code = pw_ctl_filter(ctl, 0, &filter);
        if (code == 0)
                code = read_span(ctl, &since_usec, &until_usec);
        if (code == 0)
                code = read_count(ctl, &limit);
        if (code == 0)
                code = pw_ctl_query(ctl, &query);
        if (code != 0)
                return code;
        r = pw_listing_as_of(ctl, query, &stale, &as_of_usec);
        /* What was open then must not have lasted until now. */
        if (as_of_usec > 0 && stale)
                ctl->now_usec = as_of_usec;
        /* One more than asked for tells whether there are more. */
        if (r == 0)
                r = pw_query_history(query, filter, since_usec, until_usec, limit ? limit + 1 : 0,
                                     &records);
        return r < 0 ? pw_ctl_query_failed(ctl, r) : print(ctl, &records, limit, stale, as_of_usec);
}
