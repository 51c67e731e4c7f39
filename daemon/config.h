/* SPDX-License-Identifier: MIT */
#pragma once

/* Settings: portwatch.conf and the *.conf files in portwatch.conf.d, systemd style, read by inih.
 * One table in config.c names every setting with its section, type, default and bounds. */

#include <portwatch/base.h>

struct pw_config {
        /* [Watch] */
        uint64_t poll_interval_usec;   /* PollIntervalSec=1s; 0: without a pause */
        uint64_t cpu_budget_ppm;       /* CPUBudget=0.2% of one core */
        uint64_t ephemeral_dwell_usec; /* EphemeralDwellSec=30s */
        uint64_t events;               /* Events=yes */
        /* [History] */
        uint64_t retention_usec; /* RetentionSec=90d */
        uint64_t max_use_bytes;  /* MaxUseBytes=256M */
        /* [Alerts] */
        uint64_t realert_usec; /* RealertSec=24h */
};

extern const struct pw_config pw_config_default;

/* Reads `path` and then the *.conf files in `path`.d, sorted by name, later ones winning, over the
 * values in *config. What is unknown or refused is left as it was and told to `warn`, one clean
 * sentence with `FILE:LINE: ` in front. A missing file is fine.
 * Returns 0; 1: something was warned about; -errno: a file is there but cannot be read. */
int pw_config_load(const char *path, struct pw_config *config,
                   void (*warn)(void *userdata, const char *sentence), void *userdata);

/* The same of one text named `file` (for tests and fuzzing). */
int pw_config_parse(const char *file, const char *text, size_t length, struct pw_config *config,
                    void (*warn)(void *userdata, const char *sentence), void *userdata);
