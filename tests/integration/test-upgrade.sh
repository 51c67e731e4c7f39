#!/bin/bash
# SPDX-License-Identifier: MIT
# A history that an earlier version has made, one for each schema so far: the daemon goes on with it.
# Would catch: a migration that loses or changes rows, one that fails half-way, a new alert that takes
# the number of an old one, a reader that does not say what to do.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

needs sqlite3
DB=$STATE/history.db
APPLICATION_ID=0x70777463

sql() {
        sqlite3 "$DB" "$1" || fail "sqlite3: $1"
}

# rows TABLE: all of them, in the columns that the earlier schema has.
rows() {
        sql "SELECT * FROM $1 ORDER BY 1"
}

for schema in 1; do
        step "schema $schema"
        fresh
        {
                echo "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                cat "$PW_SOURCE/tests/fixtures/history-$schema.sql"
                echo "PRAGMA application_id = $APPLICATION_ID; PRAGMA user_version = $schema;"
        } | sqlite3 "$DB" >/dev/null || fail "the fixture"
        closed=$(sql "SELECT id, opened, closed, listener, holder FROM interval
                WHERE closed IS NOT NULL ORDER BY id")
        listeners=$(rows listener)
        alerts=$(sql "SELECT id, listener, reasons, raised, count FROM alert ORDER BY id")
        last=$(sql "SELECT max(id) FROM alert")
        chmod 0640 "$DB"*
        ! getent passwd portwatch >/dev/null || chown portwatch: "$DB"*

        assert_exit 1 ctl list
        assert_says "$T/err" "earlier version \(schema $schema\).*start it" "what ctl says before"
        start_daemon
        hold new tcp:127.0.0.1:8801
        wait_for 20 "a new alert" has_alert ".port == 8801"
        assert_eq "$(alert '.port == 8801' .alert_id)" $((last + 1)) "the number of a new alert"
        release new
        stop_daemon
        [ "$(sql 'PRAGMA user_version')" -gt $schema ] || fail "the schema is the old one"
        assert_eq "$(sql "PRAGMA integrity_check")" ok "integrity"
        while read -r interval; do
                sql "SELECT id, opened, closed, listener, holder FROM interval" |
                        grep -Fxq -- "$interval" || fail "lost or changed: interval $interval"
        done <<<"$closed"
        while read -r alert; do
                sql "SELECT id, listener, reasons, raised, count FROM alert" |
                        grep -Fxq -- "$alert" || fail "lost or changed: alert $alert"
        done <<<"$alerts"
        while read -r listener; do
                rows listener | grep -Fxq -- "$listener" ||
                        fail "lost or changed: listener $listener"
        done <<<"$listeners"
        ctl history -n all >"$T/history.out" || fail "history"
        ctl alerts --all >"$T/alerts.out" || fail "alerts"
        [ "$(wc -l <"$T/history.out")" -gt 11 ] || fail "the history: $(cat "$T/history.out")"
done
exit 0
