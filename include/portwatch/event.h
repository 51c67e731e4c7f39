/* SPDX-License-Identifier: MIT */
#pragma once

/* Something changed. Events are what the store keeps in order and what the journal tells. */

#include <portwatch/record.h>

enum pw_event {
        PW_EVENT_OPENED,
        PW_EVENT_CLOSED,
        PW_EVENT_CHANGED,  /* same listener; other processes, or another verdict */
        PW_EVENT_ALERT,    /* raised */
        PW_EVENT_RESOLVED, /* an alert is over */
        PW_EVENT_STARTED,  /* the daemon */
        PW_EVENT_STOPPED,
        PW_EVENT_BLIND,  /* something cannot be seen from now on; detail says what */
        PW_EVENT_SEEING, /* … can be seen again */
        PW_EVENT_FOLDED, /* so many events of one owner were counted, not stored */
        PW_EVENT_COUNT,
};
const char *pw_event_name(enum pw_event event); /* "opened", "closed", "blind-spot-begun", … */
int pw_event_from_name(const char *name, enum pw_event *ret);
