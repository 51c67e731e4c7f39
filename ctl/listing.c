/* SPDX-License-Identifier: MIT */
/* Leaving out, counting, summing up. */

#include "ctl/listing.h"

#include "ctl/ctl.h"

#include <portwatch/text.h>

#include <stdarg.h>

static bool keep_asked_for(const struct pw_record *record, const void *userdata)
{
        const struct pw_ctl *ctl = userdata;

        if (ctl->unexpected)
                return pw_record_is_unexpected(record);
        return ctl->all || record->verdict != PW_IGNORED;
}

/* Denied is worse than unexpected is worse than the rest. */
static unsigned badness(const struct pw_record *record)
{
        if (!pw_record_is_unexpected(record))
                return 0;
        return record->verdict == PW_DENIED ? 2 : 1;
}

static void count(const struct pw_records *records, struct pw_listing *listing)
{
        unsigned worst = 0;

        listing->open = records->n;
        for (size_t i = 0; i < records->n; i++) {
                const struct pw_record *record = records->items[i];
                unsigned bad = listing->judged ? badness(record) : 0;

                listing->denied += bad == 2;
                listing->unexpected += bad == 1;
                listing->clients += listing->judged && bad == 0 && record->verdict == PW_UNEXPECTED;
                listing->expected += listing->judged && record->verdict == PW_EXPECTED;
                if (i == 0 || bad > worst) {
                        worst = bad;
                        pw_port_format(listing->worst, sizeof listing->worst, record->port);
                }
        }
}

void pw_listing_narrow(const struct pw_ctl *ctl, struct pw_records *records, bool judged,
                       struct pw_listing *ret)
{
        *ret = (struct pw_listing){
            .judged = judged,
            .chosen = ctl->n_words > 0,
            .unexpected_only = ctl->unexpected,
            .show = pw_ctl_show_command(ctl),
        };
        if (judged) {
                for (size_t i = 0; i < records->n; i++) {
                        ret->ignored += records->items[i]->verdict == PW_IGNORED;
                        ret->unjudged += records->items[i]->verdict == PW_UNJUDGED;
                }
                pw_ctl_keep(records, keep_asked_for, ctl);
                if (ctl->all || ctl->unexpected)
                        ret->ignored = 0;
        }
        count(records, ret);
}

static void append(char *buffer, size_t size, const char *format, ...) _printf_(3, 4);

static void append(char *buffer, size_t size, const char *format, ...)
{
        size_t used = strlen(buffer);
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(buffer + used, size - used, format, arguments);
        va_end(arguments);
}

/* What is said of an empty list. */
static const char *nothing(const struct pw_listing *listing)
{
        if (listing->chosen && listing->ignored == 0)
                return "Nothing matches";
        return listing->unexpected_only ? "Nothing unexpected is open" : "Nothing open";
}

char *pw_listing_footer(char *buffer, size_t size, const struct pw_listing *listing)
{
        if (listing->open == 0)
                snprintf(buffer, size, "%s", nothing(listing));
        else
                snprintf(buffer, size, "%zu open", listing->open);
        if (listing->denied > 0)
                append(buffer, size, ", %zu denied", listing->denied);
        if (listing->unexpected > 0)
                append(buffer, size, ", %zu unexpected", listing->unexpected);
        if (listing->clients > 0)
                append(buffer, size, ", %zu may be clients", listing->clients);
        if (listing->unjudged > 0)
                append(buffer, size, ", %zu not judged (owner not visible)", listing->unjudged);
        if (listing->open > 0 && listing->expected == listing->open)
                append(buffer, size, ", %s", listing->open == 1 ? "expected" : "all expected");
        if (listing->ignored > 0)
                append(buffer, size, ", %zu ignored (--all shows them)", listing->ignored);
        append(buffer, size, ".");
        if (listing->open > 0)
                append(buffer, size, " Look closer: %s %s", listing->show, listing->worst);
        return buffer;
}

static void tell_stale(bool alive, uint64_t as_of_usec, uint64_t now_usec)
{
        const char *what = alive ? "portwatchd is running, but looks no more (it hangs, or it is "
                                   "just starting)"
                                 : "portwatchd is not running";
        char when[PW_WHEN_MAX], age[PW_SPAN_MAX];

        if (as_of_usec == 0 || as_of_usec > now_usec) {
                pw_ctl_fail(0, "%s: this is the last known state", what);
                return;
        }
        pw_ctl_fail(0, "%s: this is the state of %s (%s ago)", what,
                    pw_format_when(when, sizeof when, as_of_usec, now_usec),
                    pw_format_age(age, sizeof age, now_usec - as_of_usec));
}

int pw_listing_as_of(const struct pw_ctl *ctl, struct pw_query *query, bool *ret_stale,
                     uint64_t *ret_as_of_usec)
{
        struct pw_query_info info;
        struct pw_status status;
        bool alive = pw_ctl_daemon(ctl, &status);
        int r = pw_query_info(query, &info);

        if (r < 0)
                return r;
        *ret_stale = !alive || pw_ctl_daemon_is_silent(ctl, &status);
        *ret_as_of_usec = PW_MAX(info.heartbeat_usec, status.last_poll_usec);
        if (*ret_stale)
                tell_stale(alive, *ret_as_of_usec, ctl->now_usec);
        if (alive)
                pw_ctl_note_refused(ctl, &status);
        return 0;
}
