/* SPDX-License-Identifier: MIT */
#pragma once

/* What the daemon leaves in the run directory: `status.json` (0644, atomic), and a lock that says
 * whether it lives. Read back by `portwatchctl status`, `list` and `verify`. */

#include <portwatch/base.h>

#include <sys/types.h>

#define PW_BLIND_SPOTS_MAX 16
#define PW_BLIND_TEXT_MAX 256

struct pw_blind_spot {
        char what[PW_BLIND_TEXT_MAX]; /* "other network namespaces are not looked into" */
        char lift[PW_BLIND_TEXT_MAX]; /* what would lift it: "needs CAP_SYS_PTRACE …" */
};

struct pw_status {
        char version[32];
        pid_t pid;
        uint64_t started_usec;   /* since 1970 */
        uint64_t written_usec;   /* when this file was written */
        uint64_t last_poll_usec; /* when the last complete poll ended */
        char engine[32];         /* "events", "TCP events", "UDP events", "no events" */
        uint64_t interval_usec;  /* now in force */
        uint64_t polls, unchanged_polls, incomplete_polls;
        uint64_t poll_cpu_usec, poll_wall_usec; /* sums over all polls */
        uint64_t others_cpu_nsec;               /* of the last look at other network namespaces */
        uint64_t unchanged_cpu_nsec;            /* sum over unchanged polls: cost of an idle poll */
        uint64_t proc_reads, db_writes;
        uint64_t rss_bytes;
        uint64_t sockets, listeners, unexpected, alerts_open;
        uint64_t events_missed; /* of the event engine: made up for by a look */
        uint64_t events_lost, alerts_suppressed, rows_folded;
        uint64_t rules;        /* in force */
        char rules_error[512]; /* first refusal of the rules that were last read, "" when none */
        char store_path[4096];
        uint64_t store_bytes, store_wal_bytes;
        char store_state[512]; /* "ok", or what is wrong */
        uint64_t writes_waiting, journal_waiting;
        struct pw_blind_spot blind_spots[PW_BLIND_SPOTS_MAX];
        size_t n_blind_spots;
};

/* Writes `status.json` into the directory. 0 or -errno. */
int pw_status_write(int run_fd, const struct pw_status *status);

/* Reads it back; unknown keys are skipped, text is cleaned. `ret_alive` says whether the lock is
 * held. 0; -ENOENT: never ran here; -EACCES; -EBADMSG. */
int pw_status_read(const char *run_dir, struct pw_status *ret, bool *ret_alive);

/* Takes the lock in the run directory for the life of the returned descriptor.
 * Returns the descriptor, -EBUSY where another daemon has it, or -errno. */
int pw_status_lock(int run_fd);
