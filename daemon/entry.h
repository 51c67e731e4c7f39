/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of a journal entry: shared by what writes it and what sends it. */

#include <portwatch/base.h>

struct pw_entry {
        char *data; /* KEY=VALUE lines */
        size_t length, capacity;
        char *text;       /* MESSAGE */
        int64_t alert_id; /* 0: delivers no alert */
        bool incomplete;  /* memory ran out while it was written */
};
