/* SPDX-License-Identifier: MIT */
/* SQLite made small: the writer's statements by number, calls with parameters bound in order, and
 * result codes as errno. Parameters are always bound; no SQL is put together from values. */

#include "core/store-internal.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* Rows of `owner` are ordered by how much of theirs can be forgotten; see store-schema.c. */
const char *const pw_sql_texts[PW_SQL_COUNT] = {
    [PW_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [PW_SQL_COMMIT] = "COMMIT",
    [PW_SQL_META_GET] = "SELECT value FROM meta WHERE name = ?1",
    [PW_SQL_META_SET] = "INSERT INTO meta (name, value) VALUES (?1, ?2)"
                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    [PW_SQL_META_ADD] = "INSERT INTO meta (name, value) VALUES (?1, ?2)"
                        " ON CONFLICT (name) DO NOTHING",
    [PW_SQL_WORD_FIND] = "SELECT id FROM word WHERE text = ?1",
    [PW_SQL_WORD_ADD] = "INSERT INTO word (text) VALUES (?1)",
    [PW_SQL_OWNER_FIND] = "SELECT id FROM owner WHERE user = ?1 AND exe = ?2",
    [PW_SQL_OWNER_ADD] = "INSERT INTO owner (user, exe) VALUES (?1, ?2)",
    [PW_SQL_LISTENER_FIND] = "SELECT id, owner FROM listener WHERE key = ?1",
    [PW_SQL_LISTENER_ADD] =
        "INSERT INTO listener (key, owner, netns, protocol, port, address, device, ephemeral,"
        " traits) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [PW_SQL_LISTENER_FORGET] = "DELETE FROM listener WHERE id = ?1"
                               " AND NOT EXISTS (SELECT 1 FROM interval WHERE listener = ?1)"
                               " AND NOT EXISTS (SELECT 1 FROM alert WHERE listener = ?1)",
    [PW_SQL_HOLDER_FIND] =
        "SELECT id FROM holder WHERE hash = ?1 AND uid = ?2 AND unknown = ?3 AND comm IS ?4"
        " AND cmdline IS ?5 AND unit IS ?6 AND user_unit IS ?7 AND container IS ?8",
    [PW_SQL_HOLDER_ADD] =
        "INSERT INTO holder (hash, uid, unknown, comm, cmdline, unit, user_unit, container)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [PW_SQL_INTERVAL_FIND] =
        "SELECT id, owner, opened, alert FROM interval WHERE listener = ?1 AND closed IS NULL",
    [PW_SQL_INTERVAL_ADD] =
        "INSERT INTO interval (listener, owner, port, opened, opened_how, last_seen, boot, holder,"
        " pids, holders, verdict, rule, sockets, cookie)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [PW_SQL_INTERVAL_DETAIL] =
        "UPDATE interval SET holder = ?2, pids = ?3, holders = ?4, verdict = ?5, rule = ?6,"
        " sockets = ?7, cookie = ?8 WHERE id = ?1",
    [PW_SQL_INTERVAL_CLOSE] = "UPDATE interval SET closed = ?2, closed_how = ?3, last_seen = ?4,"
                              " span = ?5 WHERE id = ?1",
    [PW_SQL_INTERVAL_DROP] = "DELETE FROM interval WHERE id = ?1",
    [PW_SQL_INTERVAL_MOVE] =
        "UPDATE interval SET listener = ?2, owner = ?3, port = ?4 WHERE id = ?1",
    [PW_SQL_INTERVAL_MERGE] = "UPDATE interval SET opened = ?2, alert = ?3 WHERE id = ?1",
    [PW_SQL_INTERVAL_MARK] =
        "UPDATE interval SET alert = ?2 WHERE listener = ?1 AND closed IS NULL",
    [PW_SQL_EVENT_ADD] = "INSERT INTO event (time, kind, owner, listener, interval, alert, detail)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [PW_SQL_EVENT_MOVE] = "UPDATE event SET interval = ?2, listener = ?3 WHERE interval = ?1",
    /* Rows with that number, and the listener's of that moment, the number first; whether it is the
     * alert that is meant. */
    [PW_SQL_ALERT_FIND] =
        "SELECT id, reasons, listener = ?2 OR raised = ?3 FROM alert WHERE id = ?1 UNION ALL"
        " SELECT id, reasons, 1 FROM alert INDEXED BY alert_listener"
        " WHERE listener = ?2 AND raised = ?3 AND id <> ?1",
    [PW_SQL_ALERT_ADD] =
        "INSERT INTO alert (id, listener, reasons, raised, delivered, resolved, count, holder,"
        " pids, holders, verdict, rule, former)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [PW_SQL_ALERT_UPDATE] =
        "UPDATE alert SET reasons = ?2, delivered = iif(?6, ?3, coalesce(?3, delivered)),"
        " resolved = ?4, count = ?5, former = ?7 WHERE id = ?1",
    [PW_SQL_ALERT_DELIVERED] = "UPDATE alert SET delivered = ?2 WHERE id = ?1",
    [PW_SQL_ALERT_RESOLVED] = "UPDATE alert SET resolved = ?2 WHERE id = ?1 AND resolved IS NULL",
    [PW_SQL_ALERT_MOVE] =
        "UPDATE alert SET listener = ?2, holder = ?3, pids = ?4, holders = ?5, verdict = ?6,"
        " rule = ?7 WHERE listener = ?1 AND resolved IS NULL",
    [PW_SQL_RESUME_OTHER_BOOT] =
        "SELECT id, listener, owner, opened FROM interval INDEXED BY interval_open"
        " WHERE closed IS NULL AND boot IS NOT ?1 LIMIT 1",
    [PW_SQL_RESUME_OPEN] =
        "SELECT" PW_ROW_COLUMNS("i") "FROM (SELECT id AS hit FROM interval INDEXED BY interval_open"
                                     "  WHERE closed IS NULL ORDER BY opened DESC LIMIT ?1)"
                                     " CROSS JOIN interval i ON i.id = hit" PW_ROW_OF_INTERVAL,
    [PW_SQL_RESUME_RECENT] = "SELECT" PW_ROW_COLUMNS(
        "i") "FROM (SELECT n.id AS hit FROM listener x"
             "  CROSS JOIN interval n ON n.id = (SELECT id FROM interval WHERE listener = x.id"
             "   ORDER BY opened DESC LIMIT 1)"
             "  WHERE n.closed >= ?1 ORDER BY n.closed DESC LIMIT ?2)"
             " CROSS JOIN interval i ON i.id = hit" PW_ROW_OF_INTERVAL,
    [PW_SQL_RESUME_ALERTS] = "SELECT" PW_ROW_COLUMNS(
        "a") "FROM (SELECT hit FROM (SELECT id AS hit FROM alert WHERE resolved IS NULL"
             "   ORDER BY id DESC LIMIT ?2)"
             "  UNION ALL SELECT hit FROM (SELECT id AS hit FROM alert WHERE resolved >= ?1"
             "   ORDER BY resolved DESC LIMIT ?3)"
             "  ORDER BY hit DESC LIMIT -1)" /* a limit, so that the order counts */
             " CROSS JOIN alert a ON a.id = hit" PW_ROW_OF_ALERT,
    [PW_SQL_RESUME_LAST_ALERT] = "SELECT seq FROM sqlite_sequence WHERE name = 'alert'",
    [PW_SQL_PRUNE_OLD_EVENTS] =
        "DELETE FROM event WHERE id IN (SELECT e.id FROM owner o CROSS JOIN event e"
        " INDEXED BY event_owner WHERE e.owner = o.id AND e.time < ?1 LIMIT ?2)",
    [PW_SQL_PRUNE_OLD_ALERTS] =
        "DELETE FROM alert WHERE id IN (SELECT id FROM alert INDEXED BY alert_resolved"
        " WHERE resolved < ?1 LIMIT ?2)",
    [PW_SQL_PRUNE_OLD_INTERVALS] =
        "DELETE FROM interval WHERE id IN (SELECT i.id FROM owner o CROSS JOIN interval i"
        " INDEXED BY interval_ended WHERE i.owner = o.id AND i.alert IS NULL AND i.closed < ?1"
        " LIMIT ?2)",
    /* The user by its smallest owner, which is the last to go. */
    [PW_SQL_PRUNE_LARGEST_USER] =
        "SELECT id, min(rows), sum(rows) AS rows_of_user FROM owner GROUP BY user"
        " HAVING rows_of_user > 0 ORDER BY rows_of_user DESC LIMIT 1",
    [PW_SQL_PRUNE_LARGEST_OWNER] =
        "SELECT id FROM owner INDEXED BY owner_rows WHERE rows > 0"
        " AND user = (SELECT user FROM owner WHERE id = ?1) ORDER BY rows DESC LIMIT 1",
    [PW_SQL_PRUNE_OWNER_INTERVALS] =
        "DELETE FROM interval WHERE id IN (SELECT id FROM interval INDEXED BY interval_ended"
        " WHERE owner = ?1 AND alert IS NULL AND closed IS NOT NULL ORDER BY closed LIMIT ?2)",
    [PW_SQL_PRUNE_OWNER_EVENTS] =
        "DELETE FROM event WHERE id IN (SELECT id FROM event INDEXED BY event_owner"
        " WHERE owner = ?1 ORDER BY time LIMIT ?2)",
    [PW_SQL_PRUNE_ALERTS] = "DELETE FROM alert WHERE id IN (SELECT id FROM alert"
                            " WHERE resolved IS NOT NULL ORDER BY resolved LIMIT ?1)",
};

/* What the system said behind SQLite's back, or `otherwise` where it said nothing of use. */
static int system_errno(sqlite3 *db, int otherwise)
{
        int error = db ? sqlite3_system_errno(db) : 0;

        return error > 0 && error != ENOENT ? -error : -otherwise;
}

int pw_sql_errno(sqlite3 *db, int rc)
{
        switch (rc & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL:
                return -EBUSY;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
                if (rc == SQLITE_READONLY_DBMOVED)
                        return -ESTALE;
                return rc == SQLITE_READONLY_DIRECTORY ? -EACCES : -EROFS;
        case SQLITE_PERM:
                return -EACCES;
        case SQLITE_CANTOPEN:
                return system_errno(db, EACCES);
        case SQLITE_IOERR:
                return rc == SQLITE_IOERR_NOMEM ? -ENOMEM : system_errno(db, EIO);
        case SQLITE_TOOBIG:
                return -E2BIG;
        case SQLITE_MISUSE:
        case SQLITE_RANGE:
                return -EINVAL;
        default: /* not a database, damaged, or not with the tables that we made */
                return -EBADMSG;
        }
}

int pw_sql_exec(sqlite3 *db, const char *sql)
{
        return pw_sql_errno(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int pw_sql_number(sqlite3 *db, const char *sql, int64_t *ret)
{
        sqlite3_stmt *statement = NULL;
        int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
        int r;

        if (rc == SQLITE_OK) {
                rc = sqlite3_step(statement);
                if (rc == SQLITE_ROW)
                        *ret = sqlite3_column_int64(statement, 0);
        }
        r = rc == SQLITE_DONE ? -ENODATA : pw_sql_errno(db, rc);
        sqlite3_finalize(statement);
        return r;
}

char *pw_sql_path(const char *file, const char *suffix)
{
        char *path;

        return asprintf(&path, "%s%s", file, suffix) < 0 ? NULL : path;
}

uint64_t pw_sql_file_size(const char *file, const char *suffix)
{
        _cleanup_(pw_freep) char *path = pw_sql_path(file, suffix);
        struct stat st;

        return path && stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

int pw_sql_configure(sqlite3 *db, int busy_msec)
{
        int persist = 1;

        sqlite3_extended_result_codes(db, 1);
        sqlite3_busy_timeout(db, busy_msec);
        sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 20);
        sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
        return pw_sql_exec(db, "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON");
}

struct pw_call pw_call_on(sqlite3_stmt *statement)
{
        return (struct pw_call){.statement = statement, .rc = SQLITE_OK};
}

void pw_call_int(struct pw_call *call, int64_t value)
{
        if (call->rc == SQLITE_OK)
                call->rc = sqlite3_bind_int64(call->statement, ++call->next, value);
}

void pw_call_null(struct pw_call *call)
{
        if (call->rc == SQLITE_OK)
                call->rc = sqlite3_bind_null(call->statement, ++call->next);
}

void pw_call_id(struct pw_call *call, int64_t id)
{
        if (id != 0)
                pw_call_int(call, id);
        else
                pw_call_null(call);
}

void pw_call_time(struct pw_call *call, uint64_t usec)
{
        pw_call_int(call, (int64_t)PW_MIN(usec, (uint64_t)INT64_MAX));
}

void pw_call_text(struct pw_call *call, const char *text)
{
        if (call->rc == SQLITE_OK)
                call->rc =
                    sqlite3_bind_text(call->statement, ++call->next, text, -1, SQLITE_STATIC);
}

void pw_call_blob(struct pw_call *call, const void *data, size_t size)
{
        if (call->rc == SQLITE_OK)
                call->rc =
                    sqlite3_bind_blob64(call->statement, ++call->next, data, size, SQLITE_STATIC);
}

int pw_call_row(struct pw_call *call)
{
        if (call->rc == SQLITE_OK || call->rc == SQLITE_ROW)
                call->rc = sqlite3_step(call->statement);
        if (call->rc == SQLITE_ROW)
                return 1;
        return pw_sql_errno(sqlite3_db_handle(call->statement), call->rc);
}

int64_t pw_call_column(const struct pw_call *call, int column)
{
        return sqlite3_column_int64(call->statement, column);
}

void pw_call_done(struct pw_call *call)
{
        sqlite3_reset(call->statement);
        sqlite3_clear_bindings(call->statement);
}

int pw_call_run(struct pw_call *call, int *ret_changes)
{
        int r = pw_call_row(call);

        if (r == 0 && ret_changes)
                *ret_changes = sqlite3_changes(sqlite3_db_handle(call->statement));
        pw_call_done(call);
        return PW_MIN(r, 0);
}

int pw_call_insert(struct pw_call *call, int64_t *ret)
{
        int r = pw_call_run(call, NULL);

        if (r == 0)
                *ret = sqlite3_last_insert_rowid(sqlite3_db_handle(call->statement));
        return r;
}

int pw_call_number(struct pw_call *call, int64_t *ret)
{
        int r = pw_call_row(call);

        if (r > 0)
                *ret = pw_call_column(call, 0);
        pw_call_done(call);
        return r;
}
