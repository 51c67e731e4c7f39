/* SPDX-License-Identifier: MIT */
#pragma once

/* The store is the history: one SQLite file, `history.db` in the state directory, written by the
 * daemon only. Its callers hand over writes, plain values that name listeners by listener id and
 * alerts by number, never by row: so a batch that failed can be applied later, unchanged.
 *
 * History is intervals: it grows with changes, not with looks. Invariant (a unique index): a
 * listener has at most one open interval. */

#include <portwatch/event.h>

#define PW_STORE_FILE "history.db"
#define PW_STORE_SCHEMA 2 /* PRAGMA user_version that this program writes */

struct pw_store;

enum pw_write_kind {
        PW_WRITE_OPEN,    /* listener (made where new) + interval + event */
        PW_WRITE_CHANGE,  /* detail of the open interval (pids, sockets, cookie, verdict) + event */
        PW_WRITE_REFRESH, /* the same without an event */
        PW_WRITE_REASSIGN, /* the open interval of `previous` belongs to `record` from now on: its
                            * owner has become known; + event "changed" */
        PW_WRITE_CLOSE,    /* end of the open interval + event */
        PW_WRITE_DROP,     /* forget the open interval: an ignored listener leaves no history */
        PW_WRITE_ALERT,    /* new alert `record->alert_id` + event */
        PW_WRITE_ALERT_UPDATE, /* count, reasons, resolved state of the alert as in the record */
        PW_WRITE_DELIVERED,    /* the journal has it */
        PW_WRITE_RESOLVED,     /* alert is over + event */
        PW_WRITE_EVENT,        /* only an event: daemon and blind spots, folded rows */
};

struct pw_write {
        enum pw_write_kind kind;
        enum pw_event event;        /* PW_WRITE_EVENT */
        uint64_t time_usec;         /* since 1970 */
        struct pw_record *record;   /* one reference; NULL only for PW_WRITE_EVENT */
        struct pw_record *previous; /* one reference; PW_WRITE_REASSIGN */
        char *detail;               /* clean text or NULL; freed with the write */
};

struct pw_writes {
        struct pw_write *items;
        size_t n, capacity;
};
/* Appends a copy of *write; takes over its references and detail, on failure too. 0 or -ENOMEM. */
int pw_writes_add(struct pw_writes *writes, struct pw_write write);
/* Removes the first n. */
void pw_writes_drop(struct pw_writes *writes, size_t n);
void pw_writes_done(struct pw_writes *writes);

enum {
        PW_STORE_BUSY = 1, /* locked by another program, or a reader in the way: try again later */
        PW_STORE_REPLACED = 2, /* the file was not usable; it was moved aside, a new one is open */
        PW_STORE_FULL = 3,     /* file and log are as large as they may be: pw_store_limit() */
};

/* Opens or makes the store in the directory `path`, migrates it, and takes what is needed to write.
 * `ret_moved` receives the new name of an unusable file with PW_STORE_REPLACED (NULL otherwise).
 * Returns 0; PW_STORE_REPLACED; -EPROTO: made by a newer version (`*ret_schema` says which);
 * -EROFS, -EACCES, -ENOSPC, -EIO, -EBUSY …: not usable now; nothing is moved aside for these. */
int pw_store_open(const char *path, struct pw_store **ret, char **ret_moved, int *ret_schema);

/* Moves the file (and its -wal and -shm) aside, under a name with a time stamp: after -EBADMSG from
 * an open store, which must be closed first. `*ret_moved` is the new name, NULL where there was no
 * file. 0 or -errno. */
int pw_store_set_aside(const char *path, char **ret_moved);

void pw_store_close(struct pw_store *store);
PW_DEFINE_CLEANUP(struct pw_store *, pw_store_close)

/* File and log together may take so many bytes (0: no bound), and at most PW_STORE_SLACK more. What
 * would make them larger is refused with PW_STORE_FULL: pruning makes room where the log is no
 * longer than PW_STORE_LOG_BYTES, otherwise a reader that does not end is in the way. */
#define PW_STORE_LOG_BYTES (4ULL << 20)
#define PW_STORE_SLACK (8ULL << 20)
void pw_store_limit(struct pw_store *store, uint64_t max_bytes);
/* Bytes of the log before the last transaction; asks nobody. */
uint64_t pw_store_log_bytes(const struct pw_store *store);

/* Applies the writes in their order and removes from `writes` what is committed: all in one
 * transaction (BEGIN IMMEDIATE), or in several where they change more than some MiB. Also notes
 * `now_usec` as the heartbeat. With n == 0 (or NULL) only the heartbeat. Writes that no longer make
 * sense (a close of an interval that is not open, an open of one that is) are harmless: an OPEN of
 * an open interval counts as CHANGE, an update or the end of an alert that is not there makes it as
 * the record has it, the others count as nothing.
 *
 * Returns 0: nothing is left in `writes`; PW_STORE_BUSY, PW_STORE_FULL, or -errno (-ENOSPC, -EIO,
 * -EROFS, -EBADMSG: corrupt, -ESTALE: the file was moved or deleted, close and open again). */
int pw_store_apply(struct pw_store *store, struct pw_writes *writes, uint64_t now_usec);

#define PW_PAST_CLOSED_MAX 20000 /* what is over and recent: so much of it is worth its memory */

/* What an earlier run left, to go on from. Equal owners are one object. */
struct pw_past {
        struct pw_records open; /* open intervals, same boot; each with cookie and last heartbeat */
        struct pw_records recent; /* listeners closed since `since_usec`, newest interval each */
        struct pw_records alerts; /* alerts open, or resolved since `since_usec` */
        int64_t last_alert_id;
        uint64_t heartbeat_usec; /* of the earlier run, 0: none */
        bool clean_stop;         /* the earlier run said goodbye */
};
/* Ends the open intervals of other boots at the earlier heartbeat (PW_HOW_REBOOT), and reads the
 * rest, newest first: at most `limit` open intervals and as many open alerts, and of what is over
 * not more than PW_PAST_CLOSED_MAX, either. 0, PW_STORE_BUSY or -errno. */
int pw_store_resume(struct pw_store *store, const char *boot_id, uint64_t since_usec, size_t limit,
                    struct pw_past *ret);
void pw_past_done(struct pw_past *past);

/* Forgets history that ended before `before_usec`, and more while the file is larger than
 * `max_bytes` (0: no limit): from the user with most rows first, and of that user's from the owner
 * with most; rows with alerts last, at most `max_rows` a call. Returns 0; 1, which is
 * PW_STORE_BUSY, too: call again; PW_STORE_FULL: not while a reader keeps the log as long as it may
 * be; -errno. */
int pw_store_prune(struct pw_store *store, uint64_t before_usec, uint64_t max_bytes,
                   unsigned max_rows);

/* Moves the WAL into the file and truncates it. 0, PW_STORE_BUSY (a reader holds it) or -errno. */
int pw_store_checkpoint(struct pw_store *store);

/* Bytes of file and WAL. */
uint64_t pw_store_bytes(struct pw_store *store, uint64_t *ret_wal_bytes);

/* SQLite's words for the last error of an open store, clean text, valid until the next call. */
const char *pw_store_error(struct pw_store *store);
