/* SPDX-License-Identifier: MIT */
/* verify: one answer for scripts and monitoring. "Nothing unexpected" is only said by a daemon that
 * lives, has lately looked at everything it can look at, and has written down what it saw. */

#include "ctl/ctl.h"
#include "ctl/listing.h"
#include "ctl/terminal.h"

#include <portwatch/text.h>

#include <json-c/json.h>

/* Why nothing can be judged, or NULL. */
static const char *find_obstacle(const struct pw_ctl *ctl, char *buffer, size_t size)
{
        struct pw_status status;
        char age[PW_SPAN_MAX];
        uint64_t since;

        if (!pw_ctl_daemon(ctl, &status))
                return "portwatchd is not running";
        pw_ctl_note_refused(ctl, &status);
        if (status.last_poll_usec == 0)
                return "portwatchd has not completed a look yet";
        if (pw_ctl_daemon_is_silent(ctl, &status)) {
                since = ctl->now_usec - status.last_poll_usec;
                snprintf(buffer, size, "the last complete look is %s old",
                         pw_format_age(age, sizeof age, since));
                return buffer;
        }
        if (status.store_state[0] && strncmp(status.store_state, "ok", 2) != 0) {
                snprintf(buffer, size, "the history is not up to date: %s", status.store_state);
                return buffer;
        }
        return NULL;
}

static int cannot_judge(const struct pw_ctl *ctl, const char *why)
{
        if (ctl->json != PW_JSON_OFF) {
                struct json_object *object = pw_json_new();

                if (!object)
                        return pw_ctl_no_memory();
                json_object_object_add(object, "judged", json_object_new_boolean(false));
                json_object_object_add(object, "why", json_object_new_string(why));
                json_object_object_add(object, "listeners", json_object_new_array());
                json_object_object_add(object, "missing", json_object_new_array());
                pw_json_print(stdout, object, ctl->json == PW_JSON_PRETTY);
        }
        return pw_ctl_fail(PW_EXIT_CANNOT_JUDGE, "cannot judge: %s", why);
}

static bool keep_missing(const struct pw_record *record, _unused_ const void *userdata)
{
        return record->reasons & PW_REASON_REQUIRED_MISSING;
}

static char *format_verdict(char *buffer, size_t size, const struct pw_listing *listing,
                            size_t missing)
{
        char left[64] = "";

        if (missing > 0)
                snprintf(left, sizeof left, "%s%zu required but not open",
                         listing->open ? ", " : "", missing);
        if (listing->open > 0)
                snprintf(buffer, size,
                         "%zu open that should not be%s. Look closer: portwatchctl "
                         "show %s",
                         listing->open, left, listing->worst);
        else
                snprintf(buffer, size,
                         missing ? "%s. Look closer: portwatchctl alerts"
                                 : "Nothing unexpected is open.%s",
                         left);
        return buffer;
}

static int print(struct pw_ctl *ctl, struct pw_records *bad, const struct pw_records *missing)
{
        _cleanup_(pw_view_freep) struct pw_view *view = NULL;
        char footer[PW_FOOTER_MAX];
        struct pw_listing listing;
        int code;

        ctl->unexpected = true;
        pw_listing_narrow(ctl, bad, true, &listing);
        code = pw_ctl_view(ctl, PW_LISTING_COLUMNS, true, &view);
        if (code != 0)
                return code;
        format_verdict(footer, sizeof footer, &listing, missing->n);
        if (view->field(view, "judged", json_object_new_boolean(true)) < 0 ||
            pw_view_list(view, "listeners", bad) < 0 ||
            pw_view_list(view, "missing", missing) < 0 ||
            view->footer(view, ctl->quiet ? NULL : footer) < 0)
                return pw_ctl_no_memory();
        return bad->n + missing->n > 0 ? PW_EXIT_FAILED : PW_EXIT_DONE;
}

int pw_ctl_verify(struct pw_ctl *ctl)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        _cleanup_(pw_records_done) struct pw_records bad = {0}, missing = {0};
        char buffer[1024];
        const char *obstacle;
        int code, r;

        code = pw_ctl_filter(ctl, 0, &filter);
        if (code != 0)
                return code;
        obstacle = find_obstacle(ctl, buffer, sizeof buffer);
        if (obstacle)
                return cannot_judge(ctl, obstacle);
        code = pw_ctl_query(ctl, &query);
        if (code != 0)
                return code == PW_EXIT_NOT_PERMITTED ? code : PW_EXIT_CANNOT_JUDGE;
        r = pw_query_open_at(query, filter, 0, &bad);
        if (r == 0)
                r = pw_query_alerts(query, filter, false, &missing);
        if (r < 0) {
                pw_ctl_query_failed(ctl, r);
                return PW_EXIT_CANNOT_JUDGE;
        }
        pw_ctl_keep(&missing, keep_missing, NULL);
        return print(ctl, &bad, &missing);
}
