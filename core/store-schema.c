/* SPDX-License-Identifier: MIT */
/* Tables and their migrations.
 *
 * Small on disk: what repeats (owners, command lines, rules, boot ids) is kept once and named by a
 * small number. Triggers keep the books, so that no writer can forget to: how often a holder is
 * used, how many rows of an owner could be forgotten (`owner.rows`: its events, and its closed
 * intervals in which no alert was raised), and that what nothing refers to any more is gone.
 *
 * Copies of `owner` and `port` in `interval` and `event` are there for their indexes: history of a
 * port, and forgetting by owner, take time by what they find and not by the size of the history.
 *
 * Ids of listener, alert and event are never used again, since people, journals and `watch` keep
 * them; so a number that outlived its row names nothing, never something else. */

#include "core/store-internal.h"

#include <sqlite3.h>

static const char *const schema_1 =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
    /* rules as FILE:LINE, and boot ids */
    "CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"

    "CREATE TABLE owner (id INTEGER PRIMARY KEY, user TEXT NOT NULL, exe TEXT NOT NULL,"
    " rows INTEGER NOT NULL DEFAULT 0, UNIQUE (user, exe));"
    "CREATE INDEX owner_rows ON owner (rows DESC);"
    "INSERT INTO owner (id, user, exe) VALUES (0, '', '');" /* the daemon's own events */

    "CREATE TABLE listener (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE,"
    " owner INTEGER NOT NULL, netns TEXT NOT NULL, protocol INTEGER NOT NULL,"
    " port INTEGER NOT NULL, address TEXT NOT NULL, device TEXT NOT NULL,"
    " ephemeral INTEGER NOT NULL, traits INTEGER NOT NULL);"
    "CREATE INDEX listener_owner ON listener (owner);"

    "CREATE TABLE holder (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL,"
    " uses INTEGER NOT NULL DEFAULT 0, uid INTEGER NOT NULL, unknown INTEGER NOT NULL,"
    " comm TEXT, cmdline TEXT, unit TEXT, user_unit TEXT, container TEXT);"
    "CREATE INDEX holder_hash ON holder (hash);"

    "CREATE TABLE interval (id INTEGER PRIMARY KEY, listener INTEGER NOT NULL,"
    " owner INTEGER NOT NULL, port INTEGER NOT NULL,"
    " opened INTEGER NOT NULL, opened_how INTEGER NOT NULL, last_seen INTEGER NOT NULL,"
    " closed INTEGER, closed_how INTEGER NOT NULL DEFAULT 0, span INTEGER, boot INTEGER,"
    " holder INTEGER NOT NULL, pids TEXT NOT NULL, holders INTEGER NOT NULL,"
    " sockets INTEGER NOT NULL, cookie INTEGER NOT NULL, verdict INTEGER NOT NULL,"
    " rule INTEGER, alert INTEGER);"
    "CREATE UNIQUE INDEX interval_open ON interval (listener) WHERE closed IS NULL;"
    "CREATE INDEX interval_opened ON interval (opened);"
    "CREATE INDEX interval_port ON interval (port, opened);"
    "CREATE INDEX interval_listener ON interval (listener, opened);"
    "CREATE INDEX interval_span ON interval (span, opened) WHERE closed IS NOT NULL;"
    "CREATE INDEX interval_ended ON interval (owner, closed)"
    " WHERE closed IS NOT NULL AND alert IS NULL;"
    "CREATE INDEX interval_alert ON interval (alert) WHERE alert IS NOT NULL;"

    "CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, owner INTEGER NOT NULL, listener INTEGER, interval INTEGER,"
    " alert INTEGER, detail TEXT);"
    "CREATE INDEX event_owner ON event (owner, time);"
    "CREATE INDEX event_interval ON event (interval) WHERE interval IS NOT NULL;"

    "CREATE TABLE alert (id INTEGER PRIMARY KEY AUTOINCREMENT, listener INTEGER NOT NULL,"
    " reasons INTEGER NOT NULL, raised INTEGER NOT NULL, delivered INTEGER, resolved INTEGER,"
    " count INTEGER NOT NULL, holder INTEGER NOT NULL, pids TEXT NOT NULL,"
    " holders INTEGER NOT NULL, verdict INTEGER NOT NULL, rule INTEGER);"
    "CREATE INDEX alert_listener ON alert (listener, resolved);"
    "CREATE INDEX alert_resolved ON alert (resolved);"

    /* the books: holders */
    "CREATE TRIGGER interval_made AFTER INSERT ON interval BEGIN"
    " UPDATE holder SET uses = uses + 1 WHERE id = NEW.holder;"
    "END;"
    "CREATE TRIGGER interval_held AFTER UPDATE OF holder ON interval"
    " WHEN NEW.holder <> OLD.holder BEGIN"
    " UPDATE holder SET uses = uses + 1 WHERE id = NEW.holder;"
    " UPDATE holder SET uses = uses - 1 WHERE id = OLD.holder;"
    "END;"
    "CREATE TRIGGER alert_made AFTER INSERT ON alert BEGIN"
    " UPDATE holder SET uses = uses + 1 WHERE id = NEW.holder;"
    "END;"
    "CREATE TRIGGER alert_held AFTER UPDATE OF holder ON alert WHEN NEW.holder <> OLD.holder BEGIN"
    " UPDATE holder SET uses = uses + 1 WHERE id = NEW.holder;"
    " UPDATE holder SET uses = uses - 1 WHERE id = OLD.holder;"
    "END;"
    "CREATE TRIGGER holder_unused AFTER UPDATE OF uses ON holder WHEN NEW.uses <= 0 BEGIN"
    " DELETE FROM holder WHERE id = NEW.id;"
    "END;"

    /* the books: rows of an owner */
    "CREATE TRIGGER interval_counted AFTER UPDATE OF owner, closed, alert ON interval BEGIN"
    " UPDATE owner SET rows = rows + 1"
    "  WHERE id = NEW.owner AND NEW.closed IS NOT NULL AND NEW.alert IS NULL;"
    " UPDATE owner SET rows = rows - 1"
    "  WHERE id = OLD.owner AND OLD.closed IS NOT NULL AND OLD.alert IS NULL;"
    "END;"
    "CREATE TRIGGER event_made AFTER INSERT ON event BEGIN"
    " UPDATE owner SET rows = rows + 1 WHERE id = NEW.owner;"
    "END;"
    "CREATE TRIGGER event_gone AFTER DELETE ON event BEGIN"
    " UPDATE owner SET rows = rows - 1 WHERE id = OLD.owner;"
    "END;"
    "CREATE TRIGGER owner_unused AFTER UPDATE OF rows ON owner"
    " WHEN NEW.rows <= 0 AND NEW.id <> 0"
    " AND NOT EXISTS (SELECT 1 FROM listener WHERE owner = NEW.id) BEGIN"
    " DELETE FROM owner WHERE id = NEW.id;"
    "END;"

    /* what goes with what */
    "CREATE TRIGGER interval_gone AFTER DELETE ON interval BEGIN"
    " DELETE FROM event WHERE interval = OLD.id;"
    " UPDATE holder SET uses = uses - 1 WHERE id = OLD.holder;"
    " UPDATE owner SET rows = rows - 1"
    "  WHERE id = OLD.owner AND OLD.closed IS NOT NULL AND OLD.alert IS NULL;"
    " DELETE FROM listener WHERE id = OLD.listener"
    "  AND NOT EXISTS (SELECT 1 FROM interval WHERE listener = OLD.listener)"
    "  AND NOT EXISTS (SELECT 1 FROM alert WHERE listener = OLD.listener);"
    "END;"
    "CREATE TRIGGER alert_gone AFTER DELETE ON alert BEGIN"
    " UPDATE interval SET alert = NULL WHERE alert = OLD.id;"
    " UPDATE holder SET uses = uses - 1 WHERE id = OLD.holder;"
    " DELETE FROM listener WHERE id = OLD.listener"
    "  AND NOT EXISTS (SELECT 1 FROM interval WHERE listener = OLD.listener)"
    "  AND NOT EXISTS (SELECT 1 FROM alert WHERE listener = OLD.listener);"
    "END;"
    "CREATE TRIGGER listener_gone AFTER DELETE ON listener BEGIN"
    " DELETE FROM owner WHERE id = OLD.owner AND rows <= 0 AND id <> 0"
    "  AND NOT EXISTS (SELECT 1 FROM listener WHERE owner = OLD.owner);"
    "END;"

    "PRAGMA application_id = 0x70777463;"
    "PRAGMA user_version = 1;";
_Static_assert(PW_STORE_APPLICATION_ID == 0x70777463, "as in schema_1");

/* The rule by which a listener was expected until that rule went, so that an alert that is told
 * again after a restart says it, too. */
static const char *const schema_2 = "ALTER TABLE alert ADD COLUMN former INTEGER;"
                                    "PRAGMA user_version = 2;";

/* migrations[n] makes schema n + 1 of schema n, and sets user_version. */
static const char *const migrations[PW_STORE_SCHEMA] = {schema_1, schema_2};

/* Real tables only: a view or virtual table of that name would run somebody else's code. */
static const char *const count_tables =
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name IN"
    " ('meta', 'word', 'owner', 'listener', 'holder', 'interval', 'event', 'alert')";
#define TABLES 8

int pw_schema_identify(sqlite3 *db, int *ret_schema)
{
        int64_t application, version, objects, tables;
        int r = pw_sql_number(db, "PRAGMA application_id", &application);

        if (r == 0)
                r = pw_sql_number(db, "PRAGMA user_version", &version);
        if (r == 0)
                r = pw_sql_number(db, "SELECT count(*) FROM sqlite_master", &objects);
        if (r == 0)
                r = pw_sql_number(db, count_tables, &tables);
        if (r < 0)
                return r == -ENODATA ? -EBADMSG : r;

        if (application == 0 && version == 0 && objects == 0)
                return 1;
        if (application != PW_STORE_APPLICATION_ID || version <= 0)
                return -EBADMSG;
        if (version != PW_STORE_SCHEMA) {
                *ret_schema = (int)version;
                return -EPROTO;
        }
        if (tables != TABLES)
                return -EBADMSG;
        *ret_schema = (int)version;
        return 0;
}

int pw_schema_migrate(sqlite3 *db, int schema)
{
        for (; schema < PW_STORE_SCHEMA; schema++) {
                int r = pw_sql_exec(db, "BEGIN IMMEDIATE");

                if (r < 0)
                        return r;
                r = pw_sql_exec(db, migrations[schema]);
                if (r == 0)
                        r = pw_sql_exec(db, "COMMIT");
                if (r < 0) {
                        if (!sqlite3_get_autocommit(db))
                                sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
                        return r;
                }
        }
        return 0;
}

int pw_span_class(uint64_t opened_usec, uint64_t closed_usec)
{
        uint64_t length = closed_usec > opened_usec ? closed_usec - opened_usec : 0;
        int bits = 0;

        for (length >>= PW_SPAN_UNIT_BITS; length > 0; length >>= 1)
                bits++;
        return PW_MIN(bits, PW_SPAN_CLASS_MAX);
}
