/* SPDX-License-Identifier: MIT */
/* list: what is open now, as the daemon knows it; when it does not live, as it last knew it. */

#include "ctl/ctl.h"
#include "ctl/listing.h"
#include "ctl/terminal.h"

#include <json-c/json.h>

static int print(struct pw_ctl *ctl, struct pw_records *records, bool stale, uint64_t as_of_usec)
{
        _cleanup_(pw_view_freep) struct pw_view *view = NULL;
        char footer[PW_FOOTER_MAX];
        struct pw_listing listing;
        int code;

        pw_listing_narrow(ctl, records, true, &listing);
        code = pw_ctl_view(ctl, PW_LISTING_COLUMNS, true, &view);
        if (code != 0)
                return code;
        pw_listing_footer(footer, sizeof footer, &listing);
        if (listing.open == 0)
                pw_ctl_note_words(ctl);
        if (view->field(view, "stale", json_object_new_boolean(stale)) < 0 ||
            view->field(view, "as_of", pw_time_json(as_of_usec)) < 0)
                return pw_ctl_no_memory();
        return pw_ctl_print(view, "listeners", records, ctl->quiet ? NULL : footer);
}

/* Before the history begins, an empty list would say that nothing was open. 0 or an exit code. */
static int check_known(const struct pw_ctl *ctl, struct pw_query *query, uint64_t at_usec)
{
        struct pw_query_info info;
        char begins[PW_WHEN_MAX];
        int r = pw_query_info(query, &info);

        if (r < 0)
                return pw_ctl_query_failed(ctl, r);
        if (at_usec >= info.watching_since_usec)
                return 0;
        return pw_ctl_fail(PW_EXIT_CANNOT_JUDGE, "--at: not known: the history begins %s",
                           pw_format_timestamp(begins, sizeof begins, info.watching_since_usec));
}

int pw_ctl_list(struct pw_ctl *ctl)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_records_done) struct pw_records records = {0};
        uint64_t at_usec = 0, as_of_usec = 0;
        bool stale = false;
        int code, r = 0;

        code = pw_ctl_filter(ctl, 0, &filter);
        if (code == 0 && ctl->at)
                code = pw_ctl_past_time(ctl, "--at", ctl->at, &at_usec);
        if (code == 0)
                code = pw_ctl_query(ctl, &query);
        if (code == 0 && ctl->at)
                code = check_known(ctl, query, at_usec);
        if (code != 0)
                return code;
        if (ctl->at)
                as_of_usec = at_usec;
        else
                r = pw_listing_as_of(ctl, query, &stale, &as_of_usec);
        /* What is told of another time must not have lasted until now. */
        if (as_of_usec > 0 && (ctl->at || stale))
                ctl->now_usec = as_of_usec;
        if (r == 0)
                r = pw_query_open_at(query, filter, at_usec, &records);
        if (r < 0)
                return pw_ctl_query_failed(ctl, r);
        return print(ctl, &records, stale, as_of_usec);
}
