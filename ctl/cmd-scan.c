/* SPDX-License-Identifier: MIT */
/* scan: the live answer. Verdicts are shown where there are rules and all of them may be read: with
 * a part of them missing, "unexpected" would be a guess. So it would be where the owner is hidden
 * (PW_UNJUDGED). */

#include "ctl/ctl.h"
#include "ctl/listing.h"
#include "ctl/live.h"
#include "ctl/terminal.h"

#include <json-c/json.h>
#include <unistd.h>

static int judge(const struct pw_ctl *ctl, struct pw_policy *policy, struct pw_refusals *refusals,
                 struct pw_live *live, bool *ret_judged)
{
        *ret_judged = policy && pw_policy_count(policy) > 0;
        if (*ret_judged)
                return pw_ctl_judge(ctl, policy, &live->records) < 0 ? pw_ctl_no_memory() : 0;
        if (!policy)
                pw_ctl_note(ctl, "no verdicts: %s",
                            refusals->n > 0 ? refusals->items[0] : "the rules cannot be read");
        return 0;
}

/* Only a search that met closed doors is told of: a kernel socket has no owner, either. */
static void tell_limits(const struct pw_ctl *ctl, const struct pw_live *live, bool incomplete)
{
        if (incomplete)
                pw_ctl_note(ctl, "%s", live->error);
        if (live->hidden && live->unknown > 0)
                pw_ctl_note(ctl, "the owners of %zu of %zu are not visible%s", live->unknown,
                            live->records.n,
                            geteuid() == 0 ? " from here" : ": sudo portwatchctl scan sees more");
}

static int print(struct pw_ctl *ctl, struct pw_live *live, bool judged, bool complete)
{
        _cleanup_(pw_view_freep) struct pw_view *view = NULL;
        char footer[PW_FOOTER_MAX];
        struct pw_listing listing;
        int code;

        pw_listing_narrow(ctl, &live->records, judged, &listing);
        code = pw_ctl_view(ctl, PW_LISTING_COLUMNS, judged, &view);
        if (code != 0)
                return code;
        pw_listing_footer(footer, sizeof footer, &listing);
        if (listing.open == 0)
                pw_ctl_note_words(ctl);
        if (view->field(view, "complete", json_object_new_boolean(complete)) < 0 ||
            view->field(view, "owners_hidden", json_object_new_boolean(live->hidden)) < 0)
                return pw_ctl_no_memory();
        return pw_ctl_print(view, "listeners", &live->records, ctl->quiet ? NULL : footer);
}

/* Without rules, what asks for a verdict has no answer. */
static bool asks_for_verdict(const struct pw_ctl *ctl)
{
        for (size_t i = 0; i < ctl->n_words; i++)
                if (strncmp(ctl->words[i], "verdict=", 8) == 0)
                        return true;
        return ctl->unexpected;
}

static int filter_and_print(struct pw_ctl *ctl, const struct pw_filter *filter,
                            struct pw_live *live, bool incomplete)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        bool judged;
        int code = pw_ctl_policy(ctl, &policy, &refusals);

        if (code == 0)
                code = judge(ctl, policy, &refusals, live, &judged);
        if (code != 0)
                return code;
        if (!judged && asks_for_verdict(ctl))
                return pw_ctl_fail(PW_EXIT_CANNOT_JUDGE, "there are no rules to judge by");
        tell_limits(ctl, live, incomplete);
        pw_ctl_keep(&live->records, pw_ctl_matches, filter);
        return print(ctl, live, judged, !incomplete);
}

int pw_ctl_scan(struct pw_ctl *ctl)
{
        _cleanup_(pw_filter_freep) struct pw_filter *filter = NULL;
        _cleanup_(pw_live_done) struct pw_live live = {0};
        struct pw_live_request request = {
            .replay = ctl->replay,
            .record = ctl->record,
            .sockets = ctl->sockets,
            .identify = ctl->json != PW_JSON_OFF || ctl->columns,
            .services = ctl->services,
        };
        int code, r;

        if (ctl->replay && ctl->record)
                return pw_ctl_fail(PW_EXIT_USAGE, "--record and --replay exclude each other");
        code = pw_ctl_filter(ctl, 0, &filter);
        if (code != 0)
                return code;
        r = pw_live_look(&request, &live);
        if (r == -ENOMEM)
                return pw_ctl_no_memory();
        if (r < 0)
                return pw_ctl_fail(r == -EACCES || r == -EPERM ? PW_EXIT_NOT_PERMITTED
                                                               : PW_EXIT_FAILED,
                                   "%s", live.error);
        return filter_and_print(ctl, filter, &live, r > 0);
}
