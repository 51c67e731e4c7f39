/* SPDX-License-Identifier: MIT */
#pragma once

/* What to do about a listener: shell lines to allow it, to close it, to keep it closed. Whatever
 * somebody else may have chosen (a unit's or container's name, a path) is quoted for the shell. */

#include <portwatch/record.h>

#define PW_ADVICE_MAX 4
#define PW_ADVICE_TEXT_MAX (2 * 4096)

struct pw_advice {
        struct {
                char label[32]; /* "close it", … */
                char text[PW_ADVICE_TEXT_MAX];
                bool command; /* else a sentence, or a line for a file */
        } items[PW_ADVICE_MAX];
        size_t n;
};

/* How to make the rules expect it; `alert_id` 0: no alert to name. */
void pw_advice_allow(const struct pw_record *record, int64_t alert_id, struct pw_advice *ret);

/* How to begin it again: what had a port that is missing. */
void pw_advice_start(const struct pw_record *record, struct pw_advice *ret);

/* How to end it: the unit, the container, the process. */
void pw_advice_close(const struct pw_record *record, struct pw_advice *ret);

/* How to keep it from being opened (systemd) or reached (nftables). */
void pw_advice_prevent(const struct pw_record *record, struct pw_advice *ret);
