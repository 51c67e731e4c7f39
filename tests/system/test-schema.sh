#!/bin/bash
# SPDX-License-Identifier: MIT
# A history that a newer version has made: refused with a clear message, untouched, and given up
# after a few tries; with the right version all goes on. One that an earlier version has made is kept
# and brought up. Would catch: a downgrade that damages or sets aside the history, an upgrade that
# loses it, a service that restarts for ever, and a reason nobody is told.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

needs sqlite3
DB=$STATE/history.db

# As the daemon's user: root's sqlite3 is another test's.
schema() { # [NEW]
        setpriv --reuid=portwatch --regid=portwatch --clear-groups \
                sqlite3 $DB "PRAGMA user_version${1:+ = $1}"
}

gave_up() {
        [ "$(systemctl show -P ActiveState portwatchd)" = failed ]
}

ready
run web -- tcp:0.0.0.0:8080
wait_for 10 "an alert" alerted 8080
systemctl stop portwatchd
ours=$(schema)
schema 99
sum=$(sha256sum <$DB)

step "a newer schema is refused"
assert_exit 1 systemctl start portwatchd
wait_for 60 "systemd gives up" gave_up
journalctl --quiet -o cat MESSAGE_ID=8a347a99deee498e84e767dedfadeced >$T/out
assert_says $T/out "schema 99, made by a newer version; this one \($VERSION\) reads schema $ours" \
        "both versions are named"
figure "$(head -n 1 $T/out)"
figure "tried $(wc -l <$T/out) times"
assert_le "$(wc -l <$T/out)" 11 "starts"
assert_eq "$(sha256sum <$DB)" "$sum" "the file"
assert_eq "$(find $STATE -name '*corrupt*' | wc -l)" 0 "files set aside"
code=0
portwatchctl history >$T/out 2>$T/err || code=$?
figure "$(cat $T/err)"
assert_eq "$code $(wc -l <$T/err)" "1 1" "exit code of portwatchctl, and lines that it says"
assert_says $T/err 'schema 99' "what portwatchctl says"

step "with the version that made it all goes on"
schema "$ours"
systemctl reset-failed portwatchd
systemctl start portwatchd || fail "the daemon does not start"
sync_looks
assert_eq "$(alerts '.port == 8080')" 1 "alerts for port 8080"
assert_eq "$(intervals 8080)" 1 "intervals of port 8080"
assert_eq "$(alert_entries 8080)" 1 "alerts in the journal"
step "an earlier schema is brought up to this one, with its history"
systemctl stop portwatchd
setpriv --reuid=portwatch --regid=portwatch --clear-groups \
        sqlite3 $DB "ALTER TABLE alert DROP COLUMN former; PRAGMA user_version = 1" || fail "sqlite3"
systemctl start portwatchd || fail "the daemon does not start"
sync_looks
assert_eq "$(schema)" "$ours" "the schema"
assert_eq "$(alerts '.port == 8080')" 1 "alerts for port 8080"
assert_eq "$(intervals 8080)" 1 "intervals of port 8080"
assert_eq "$(alert_entries 8080)" 1 "alerts in the journal"
exit 0
