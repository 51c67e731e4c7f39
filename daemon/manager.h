/* SPDX-License-Identifier: MIT */
#pragma once

/* The manager passes values from one stage to the next: kernel, snapshot, changes, owners,
 * verdicts, records, store and journal. It is the only place that knows them all, and the only one
 * that logs. */

#include <portwatch/base.h>

enum pw_log_target {
        PW_LOG_AUTO, /* the journal where standard error is connected to it, else standard error */
        PW_LOG_JOURNAL,
        PW_LOG_STDERR,
};

struct pw_options {
        const char *config_path;
        const char *state_dir;
        const char *run_dir;
        const char *const *rules_dirs; /* NULL-terminated */
        enum pw_log_target log;
        uint64_t polls; /* end after so many; 0: never */
};

struct pw_manager;

/* Opens everything that watching needs. What fails is told to the journal or standard error. 0 or
 * -errno: it cannot run. */
int pw_manager_new(const struct pw_options *options, struct pw_manager **ret);
void pw_manager_free(struct pw_manager *manager);
PW_DEFINE_CLEANUP(struct pw_manager *, pw_manager_free)

/* Watches until SIGTERM, SIGINT or the last poll asked for. 0 or -errno. */
int pw_manager_run(struct pw_manager *manager);
