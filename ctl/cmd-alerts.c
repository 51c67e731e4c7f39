/* SPDX-License-Identifier: MIT */
/* alerts: what a person should see, newest first. */

#include "ctl/ctl.h"
#include "ctl/listing.h"
#include "ctl/terminal.h"

#include <portwatch/text.h>

#include <json-c/json.h>

#define COLUMNS                                                                                    \
        "alert,raised,reason,protocol,endpoint,netns,process,user,unit,container,count,resolved"

static char *format_footer(char *buffer, size_t size, const struct pw_records *records, bool all)
{
        int64_t newest = 0;
        size_t open = 0;

        for (size_t i = records->n; i-- > 0;) {
                if (records->items[i]->resolved_usec != 0)
                        continue;
                newest = records->items[i]->alert_id;
                open++;
        }
        if (records->n == 0)
                snprintf(buffer, size, all ? "No alerts." : "No open alerts.");
        else if (open == 0)
                snprintf(buffer, size, "%zu alert%s, all resolved.", records->n,
                         pw_plural(records->n));
        else
                snprintf(buffer, size, "%zu open. Look closer: portwatchctl show @%lld", open,
                         (long long)newest);
        return buffer;
}

int pw_ctl_alerts(struct pw_ctl *ctl)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_records_done) struct pw_records records = {0};
        _cleanup_(pw_view_freep) struct pw_view *view = NULL;
        char footer[PW_FOOTER_MAX];
        uint64_t as_of_usec = 0;
        bool stale = false;
        int code, r;

        code = pw_ctl_filter(ctl, 0, &filter);
        if (code == 0)
                code = pw_ctl_query(ctl, &query);
        if (code != 0)
                return code;
        r = pw_listing_as_of(ctl, query, &stale, &as_of_usec);
        if (r == 0)
                r = pw_query_alerts(query, filter, ctl->all, &records);
        if (r < 0)
                return pw_ctl_query_failed(ctl, r);
        code = pw_ctl_view(ctl, COLUMNS, true, &view);
        if (code != 0)
                return code;
        if (view->field(view, "stale", json_object_new_boolean(stale)) < 0 ||
            view->field(view, "as_of", pw_time_json(as_of_usec)) < 0)
                return pw_ctl_no_memory();
        if (records.n == 0)
                pw_ctl_note_words(ctl);
        format_footer(footer, sizeof footer, &records, ctl->all);
        return pw_ctl_print(view, "alerts", &records, ctl->quiet ? NULL : footer);
}
