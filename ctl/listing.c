/* SPDX-License-Identifier: MIT */
/* Leaving out, counting, summing up. */

#include "ctl/listing.h"

#include "ctl/ctl.h"

#include <portwatch/text.h>

#include <stdarg.h>

static bool is_bad(const struct pw_record *record)
{
        return record->verdict == PW_UNEXPECTED || record->verdict == PW_DENIED;
}

static bool keep_asked_for(const struct pw_record *record, const void *userdata)
{
        const struct pw_ctl *ctl = userdata;

        if (ctl->unexpected)
                return is_bad(record);
        return ctl->all || record->verdict != PW_IGNORED;
}

static void count(const struct pw_records *records, struct pw_listing *listing)
{
        enum pw_verdict worst = PW_EXPECTED;

        for (size_t i = 0; i < records->n; i++) {
                const struct pw_record *record = records->items[i];
                enum pw_verdict verdict = listing->judged ? record->verdict : PW_EXPECTED;

                listing->open++;
                listing->unexpected += verdict == PW_UNEXPECTED;
                listing->denied += verdict == PW_DENIED;
                /* Denied is worse than unexpected is worse than the rest: as their numbers are. */
                if (i == 0 || (verdict != PW_IGNORED && verdict > worst)) {
                        worst = verdict == PW_IGNORED ? PW_EXPECTED : verdict;
                        listing->worst_port = record->port;
                }
        }
}

void pw_listing_narrow(const struct pw_ctl *ctl, struct pw_records *records, bool judged,
                       struct pw_listing *ret)
{
        *ret = (struct pw_listing){.judged = judged};
        if (judged) {
                for (size_t i = 0; i < records->n; i++)
                        ret->ignored += records->items[i]->verdict == PW_IGNORED;
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

char *pw_listing_footer(char *buffer, size_t size, const struct pw_listing *listing)
{
        bool bad = listing->denied > 0 || listing->unexpected > 0;

        snprintf(buffer, size, listing->open == 0 ? "Nothing open" : "%zu open", listing->open);
        if (listing->denied > 0)
                append(buffer, size, ", %zu denied", listing->denied);
        if (listing->unexpected > 0)
                append(buffer, size, ", %zu unexpected", listing->unexpected);
        if (listing->judged && listing->open > 0 && !bad)
                append(buffer, size, ", %s", listing->open == 1 ? "expected" : "all expected");
        if (listing->ignored > 0)
                append(buffer, size, ", %zu ignored (--all shows them)", listing->ignored);
        append(buffer, size, ".");
        if (listing->open > 0)
                append(buffer, size, " Look closer: portwatchctl show %u", listing->worst_port);
        return buffer;
}

static void tell_stale(uint64_t as_of_usec, uint64_t now_usec)
{
        char when[PW_WHEN_MAX], age[PW_SPAN_MAX];

        if (as_of_usec == 0 || as_of_usec > now_usec) {
                pw_ctl_fail(0, "portwatchd is not running: this is the last known state");
                return;
        }
        pw_ctl_fail(0, "portwatchd is not running: this is the state of %s (%s ago)",
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
        *ret_stale = !alive;
        *ret_as_of_usec = PW_MAX(info.heartbeat_usec, status.last_poll_usec);
        if (!alive)
                tell_stale(*ret_as_of_usec, ctl->now_usec);
        return 0;
}
