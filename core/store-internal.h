/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of the store and of the query side share. SQLite's types are only named here, so
 * that its header stays in core/store*.c and core/query*.c.
 *
 * Functions that talk to SQLite return 0 or a positive outcome they document, or -errno by
 * pw_sql_errno(); -EBUSY stands for a lock that others hold. */

#include <portwatch/record.h>
#include <portwatch/store.h>

struct sqlite3;
struct sqlite3_stmt;

#define PW_STORE_APPLICATION_ID 0x70777463 /* "pwtc", PRAGMA application_id of our files */

/* Every statement of the writer, prepared once; texts in store-sql.c. */
enum pw_sql {
        PW_SQL_BEGIN,
        PW_SQL_COMMIT,
        PW_SQL_META_GET,
        PW_SQL_META_SET,
        PW_SQL_META_ADD,
        PW_SQL_WORD_FIND,
        PW_SQL_WORD_ADD,
        PW_SQL_OWNER_FIND,
        PW_SQL_OWNER_ADD,
        PW_SQL_LISTENER_FIND,
        PW_SQL_LISTENER_ADD,
        PW_SQL_LISTENER_FORGET,
        PW_SQL_HOLDER_FIND,
        PW_SQL_HOLDER_ADD,
        PW_SQL_INTERVAL_FIND,
        PW_SQL_INTERVAL_ADD,
        PW_SQL_INTERVAL_DETAIL,
        PW_SQL_INTERVAL_CLOSE,
        PW_SQL_INTERVAL_DROP,
        PW_SQL_INTERVAL_MOVE,
        PW_SQL_INTERVAL_MERGE,
        PW_SQL_INTERVAL_MARK,
        PW_SQL_EVENT_ADD,
        PW_SQL_EVENT_MOVE,
        PW_SQL_ALERT_FIND,
        PW_SQL_ALERT_ADD,
        PW_SQL_ALERT_UPDATE,
        PW_SQL_ALERT_DELIVERED,
        PW_SQL_ALERT_RESOLVED,
        PW_SQL_ALERT_MOVE,
        PW_SQL_RESUME_OTHER_BOOT,
        PW_SQL_RESUME_OPEN,
        PW_SQL_RESUME_RECENT,
        PW_SQL_RESUME_ALERTS,
        PW_SQL_RESUME_LAST_ALERT,
        PW_SQL_PRUNE_OLD_EVENTS,
        PW_SQL_PRUNE_OLD_ALERTS,
        PW_SQL_PRUNE_OLD_INTERVALS,
        PW_SQL_PRUNE_LARGEST_USER,
        PW_SQL_PRUNE_LARGEST_OWNER,
        PW_SQL_PRUNE_OWNER_INTERVALS,
        PW_SQL_PRUNE_OWNER_EVENTS,
        PW_SQL_PRUNE_ALERTS,
        PW_SQL_COUNT,
};
extern const char *const pw_sql_texts[PW_SQL_COUNT];

struct pw_store {
        struct sqlite3 *db;
        char *file;   /* path of history.db */
        int64_t boot; /* word of this boot's id; 0: pw_store_resume() has not told it yet */
        struct sqlite3_stmt *statements[PW_SQL_COUNT];
        char error[256];

        /* store-room.c */
        uint64_t max_bytes;     /* of file and log together; 0: no bound */
        uint64_t log_bytes;     /* when the last transaction was about to begin */
        uint64_t checkpoint_at; /* size of the log at which a checkpoint is tried again */
        int spilled_before;     /* pages moved out of the cache before this transaction */
};

/* ---- one use of a statement ---- */

/* Parameters are bound in order; text must live until the call is done. The first error sticks and
 * comes out of the step, so that binding needs no checks. */
struct pw_call {
        struct sqlite3_stmt *statement;
        int next;
        int rc;
};
struct pw_call pw_call_on(struct sqlite3_stmt *statement);
static inline struct pw_call pw_call(struct pw_store *store, enum pw_sql sql)
{
        return pw_call_on(store->statements[sql]);
}
void pw_call_int(struct pw_call *call, int64_t value);
void pw_call_null(struct pw_call *call);
void pw_call_id(struct pw_call *call, int64_t id);         /* 0 becomes NULL */
void pw_call_time(struct pw_call *call, uint64_t usec);    /* held below 2^63 */
void pw_call_text(struct pw_call *call, const char *text); /* NULL becomes NULL */
void pw_call_blob(struct pw_call *call, const void *data, size_t size);
/* 1: a row is there, read it with pw_call_column(); 0: no (more) row; -errno. */
int pw_call_row(struct pw_call *call);
int64_t pw_call_column(const struct pw_call *call, int column);
/* Makes the statement ready for its next use. */
void pw_call_done(struct pw_call *call);
/* For what gives no row: runs and ends the call. 0 or -errno; `ret_changes` may be NULL. */
int pw_call_run(struct pw_call *call, int *ret_changes);
/* For an INSERT: *ret is the new row's id. */
int pw_call_insert(struct pw_call *call, int64_t *ret);
/* For what gives one number: 1 and *ret, 0 where there is no row, or -errno. Ends the call. */
int pw_call_number(struct pw_call *call, int64_t *ret);

/* ---- SQLite in general (store-sql.c) ---- */

int pw_sql_errno(struct sqlite3 *db, int rc);
int pw_sql_exec(struct sqlite3 *db, const char *sql);
/* The first column of the first row of a constant SQL text; -ENODATA where there is no row. */
int pw_sql_number(struct sqlite3 *db, const char *sql, int64_t *ret);
/* Both texts as one new string, for the names of SQLite's files; NULL when out of memory. */
char *pw_sql_path(const char *file, const char *suffix);
/* The size of that file, 0 where there is none. */
uint64_t pw_sql_file_size(const char *file, const char *suffix);
/* What reader and writer set alike: limits on what a hostile file may make us do, and WAL files
 * that outlive a clean close. */
int pw_sql_configure(struct sqlite3 *db, int busy_msec);

/* ---- schema (store-schema.c) ---- */

/* Whose file it is. 0: ours, of this schema; 1: empty; -EPROTO: ours, of another schema; -EBADMSG:
 * not ours or damaged. *ret_schema is set on 0 and -EPROTO. */
int pw_schema_identify(struct sqlite3 *db, int *ret_schema);
/* Makes or migrates the tables; each step is one transaction. */
int pw_schema_migrate(struct sqlite3 *db, int schema);

/* Length classes of closed intervals: class n is shorter than 2^(20+n) µs, and not in a smaller
 * class. "What was open at T" then looks, class by class, at openings within the class's length
 * before T only. */
#define PW_SPAN_UNIT_BITS 20
#define PW_SPAN_CLASS_MAX 42
int pw_span_class(uint64_t opened_usec, uint64_t closed_usec);

/* ---- records from rows (store-row.c) ---- */

/* Columns as pw_row_record() expects them. `d` is the table with the detail of that moment (pids,
 * verdict): `i` the interval or `a` the alert; h holder, l listener, o owner, r the
 * rule's word, f the former rule's. */
#define PW_ROW_COLUMNS(d)                                                                          \
        " l.key, l.netns, l.protocol, l.port, l.address, l.device, l.ephemeral, l.traits,"         \
        " o.user, o.exe, h.uid, h.unknown, h.comm, h.cmdline, h.unit, h.user_unit, "               \
        "h.container, " d ".pids, " d ".holders, " d ".verdict, r.text,"                           \
        " i.sockets, i.cookie, i.opened, i.opened_how, i.last_seen, i.closed, i.closed_how,"       \
        " a.id, a.reasons, a.raised, a.delivered, a.resolved, a.count, f.text "
/* The tables of an interval `i`, with the newest alert that is open on its listener; an
 * interval that was over before the alert was raised has nothing to do with it. */
#define PW_ROW_OF_INTERVAL                                                                         \
        " CROSS JOIN listener l ON l.id = i.listener CROSS JOIN owner o ON o.id = l.owner"         \
        " CROSS JOIN holder h ON h.id = i.holder LEFT JOIN word r ON r.id = i.rule"                \
        " LEFT JOIN alert a ON a.id = (SELECT max(id) FROM alert"                                  \
        "  WHERE listener = l.id AND resolved IS NULL"                                             \
        "  AND (i.closed IS NULL OR raised <= i.closed))"                                          \
        " LEFT JOIN word f ON f.id = a.former "
/* The tables of an alert `a`, with its listener's newest interval. */
#define PW_ROW_OF_ALERT                                                                            \
        " CROSS JOIN listener l ON l.id = a.listener CROSS JOIN owner o ON o.id = l.owner"         \
        " CROSS JOIN holder h ON h.id = a.holder LEFT JOIN word r ON r.id = a.rule"                \
        " LEFT JOIN interval i ON i.id = (SELECT id FROM interval"                                 \
        "  WHERE listener = l.id ORDER BY opened DESC LIMIT 1)"                                    \
        " LEFT JOIN word f ON f.id = a.former "

/* Makes a record of the current row; nothing in the file is trusted. `heartbeat_usec` is when open
 * intervals were last seen. 0; 1: the row makes no sense and is to be skipped; -ENOMEM. */
int pw_row_record(struct sqlite3_stmt *row, uint64_t heartbeat_usec, struct pw_record **ret);
/* The pids of an owner as one text: "PID/START,PID/START". Returns `buffer`. */
#define PW_PIDS_MAX (PW_OWNER_PIDS_MAX * 33)
char *pw_pids_format(char *buffer, size_t size, const struct pw_owner *owner);
void pw_pids_parse(struct pw_owner *owner, const char *text);

/* ---- within the writer ---- */

/* BEGIN IMMEDIATE. -ESTALE: the file is no longer the one in the directory. */
int pw_store_begin(struct pw_store *store);
/* Commits where `r` >= 0, otherwise keeps SQLite's words and rolls back. Returns `r` or what the
 * commit made of it; -EBUSY as PW_STORE_BUSY. */
int pw_store_end(struct pw_store *store, int r);
int pw_store_meta_get(struct pw_store *store, const char *name, int64_t *ret); /* 0: *ret is 0 */
int pw_store_meta_set(struct pw_store *store, const char *name, int64_t value);

#define PW_META_HEARTBEAT "heartbeat" /* when the daemon last wrote */
#define PW_META_CREATED "created"     /* first write ever */
#define PW_META_FORGOTTEN "forgotten" /* history before this is not complete any more */
#define PW_META_STOPPED "stopped"     /* 1: the last run said goodbye */

/* ---- room (store-room.c) ---- */

struct pw_pages {
        int64_t all, free, size;
};
int pw_store_count_pages(struct pw_store *store, struct pw_pages *ret);

/* To be called before a transaction: moves a long log into the file. 0; PW_STORE_FULL: file and log
 * are as large as they may be; -errno. */
int pw_store_make_room(struct pw_store *store);
/* Within a transaction: whether it has changed so much that it should end. Counted from the last
 * pw_store_count_from_here(). */
bool pw_store_is_long(struct pw_store *store);
void pw_store_count_from_here(struct pw_store *store);

/* ---- rows that others refer to (store-find.c) ---- */

struct pw_listener_row {
        int64_t id, owner;
};
/* 1 and *ret; 0: not known; -errno; -EINVAL: the record has no listener id. */
int pw_store_listener_find(struct pw_store *store, const struct pw_record *record,
                           struct pw_listener_row *ret);
/* The same, made where not known. 0 or -errno. */
int pw_store_listener_make(struct pw_store *store, const struct pw_record *record,
                           struct pw_listener_row *ret);
/* Who holds a listener at a moment: what an owner has beside its user and executable. */
int pw_store_holder(struct pw_store *store, const struct pw_owner *owner, int64_t *ret);
/* A repeated string; 0 for NULL. */
int pw_store_word(struct pw_store *store, const char *text, int64_t *ret);

/* ---- parts of rows (store-apply.c) ---- */

struct pw_event_row {
        uint64_t time_usec;
        enum pw_event kind;
        int64_t owner, listener, interval, alert; /* 0: none */
        const char *detail;
};
int pw_store_event(struct pw_store *store, const struct pw_event_row *event);

/* The detail of a moment, as rows of interval and alert have it. */
struct pw_detail {
        int64_t holder, rule;
        char pids[PW_PIDS_MAX];
};
int pw_store_detail(struct pw_store *store, const struct pw_record *record, struct pw_detail *ret);
void pw_call_detail(struct pw_call *call, const struct pw_record *record,
                    const struct pw_detail *detail);

/* An interval that is open, by row ids. */
struct pw_open_interval {
        int64_t id, listener, owner;
        int64_t alert; /* raised in it; 0: none */
        uint64_t opened_usec;
};
struct pw_end {
        uint64_t closed_usec, last_seen_usec;
        enum pw_how how;
};
/* Ends it and adds the event. */
int pw_store_end_interval(struct pw_store *store, const struct pw_open_interval *interval,
                          struct pw_end end, const char *detail);

/* ---- writes about alerts (store-alert.c) ---- */

int pw_store_apply_alert(struct pw_store *store, const struct pw_write *write);
int pw_store_apply_update(struct pw_store *store, const struct pw_write *write);
int pw_store_apply_delivered(struct pw_store *store, const struct pw_write *write);
int pw_store_apply_resolved(struct pw_store *store, const struct pw_write *write);
