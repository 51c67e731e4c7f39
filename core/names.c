/* SPDX-License-Identifier: MIT */
/* Names of events, verdicts, reasons and messages: tables only. */

#include "core/names.h"

#include <portwatch/event.h>
#include <portwatch/message-ids.h>

#include <syslog.h>

char *pw_names_format(char *buffer, size_t size, const char *const *names, size_t n, unsigned set)
{
        size_t length = 0;

        buffer[0] = '\0';
        for (size_t i = 0; i < n; i++) {
                int r;

                if (!(set & 1u << i))
                        continue;
                r = snprintf(buffer + length, size - length, "%s%s", length ? "," : "", names[i]);
                if (r < 0 || (size_t)r >= size - length)
                        break;
                length += (size_t)r;
        }
        return buffer;
}

static const char *const event_names[] = {
    [PW_EVENT_OPENED] = "opened",           [PW_EVENT_CLOSED] = "closed",
    [PW_EVENT_CHANGED] = "changed",         [PW_EVENT_ALERT] = "alert",
    [PW_EVENT_RESOLVED] = "resolved",       [PW_EVENT_STARTED] = "started",
    [PW_EVENT_STOPPED] = "stopped",         [PW_EVENT_BLIND] = "blind-spot-begun",
    [PW_EVENT_SEEING] = "blind-spot-ended", [PW_EVENT_FOLDED] = "folded",
};
PW_DEFINE_NAMES(enum pw_event, pw_event, event_names, PW_EVENT_COUNT)

static const char *const verdict_names[] = {
    [PW_EXPECTED] = "expected",
    [PW_UNEXPECTED] = "unexpected",
    [PW_DENIED] = "denied",
    [PW_IGNORED] = "ignored",
};
PW_DEFINE_NAMES(enum pw_verdict, pw_verdict, verdict_names, PW_VERDICT_COUNT)

static const char *const how_names[] = {
    [PW_HOW_NONE] = "",
    [PW_HOW_SEEN] = "seen",
    [PW_HOW_EVENT] = "event",
    [PW_HOW_FIRST_LOOK] = "first-look",
    [PW_HOW_HEARTBEAT] = "heartbeat",
    [PW_HOW_REBOOT] = "reboot",
};
PW_DEFINE_NAMES(enum pw_how, pw_how, how_names, PW_HOW_COUNT)

/* By bit: reasons are ordered by gravity. */
static const char *const reason_names[] = {
    "denied",           "suspicious", "scope-widened", "second-owner",
    "required-missing", "no-owner",   "unexpected",
};
_Static_assert(PW_ELEMENTS(reason_names) == PW_REASON_COUNT, "every reason has a name");

enum pw_reason pw_reason_gravest(unsigned reasons)
{
        return (enum pw_reason)(reasons & (~reasons + 1));
}

const char *pw_reason_name(enum pw_reason reason)
{
        for (size_t i = 0; i < PW_REASON_COUNT; i++)
                if ((unsigned)reason == 1u << i)
                        return reason_names[i];
        return "";
}

int pw_reason_from_name(const char *name, enum pw_reason *ret)
{
        int i = pw_name_index(reason_names, PW_REASON_COUNT, name);

        if (i < 0)
                return i;
        *ret = (enum pw_reason)(1u << i);
        return 0;
}

char *pw_reasons_format(char *buffer, size_t size, unsigned reasons)
{
        return pw_names_format(buffer, size, reason_names, PW_REASON_COUNT, reasons);
}

int pw_reasons_parse(const char *text, unsigned *ret)
{
        char copy[PW_REASONS_MAX], *state = NULL;
        unsigned reasons = 0;

        if (strlen(text) >= sizeof copy)
                return -EINVAL;
        strcpy(copy, text);
        for (char *word = strtok_r(copy, ",", &state); word; word = strtok_r(NULL, ",", &state)) {
                enum pw_reason reason;
                int r = pw_reason_from_name(word, &reason);

                if (r < 0)
                        return r;
                reasons |= reason;
        }
        *ret = reasons;
        return 0;
}

int pw_reasons_priority(unsigned reasons)
{
        return reasons & (PW_REASON_DENIED | PW_REASON_SUSPICIOUS) ? LOG_ERR : LOG_WARNING;
}

#define MESSAGE_ID(name, id, text) [PW_MESSAGE_##name] = id,
static const char *const message_ids[] = {PW_MESSAGE_IDS(MESSAGE_ID)};

const char *pw_message_id(enum pw_message message)
{
        return message_ids[message];
}
