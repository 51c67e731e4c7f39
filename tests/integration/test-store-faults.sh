#!/bin/bash
# SPDX-License-Identifier: MIT
# The history cannot be written, or is not what it should be: alerts go on, nothing is deleted, and it
# is said once. Would catch: an alert lost with the write that failed, a log filled at every poll, a
# broken file overwritten, a newer schema written over, a history larger than it may be.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs sqlite3

RUN=$T/run

STORE_BAD='History in .* cannot be written'
STORE_GOOD='History in .* is written again'

told() { # PORT: the log tells of an alert for it
        logged ":$1\b.*portwatchctl allow @[0-9]+"
}

store_is() { # REGEX
        status .store.state | grep -Eqi -- "$1"
}

# faulty WHAT BREAK REPAIR: commands that make the store unwritable and writable again.
faulty() {
        local what=$1 break=$2 repair=$3 bad
        step "$what"
        fresh
        hold before tcp:127.0.0.1:8001
        start_daemon
        wait_for 10 "an alert before" told 8001
        bad=$(grep -Ec "$STORE_BAD" "$LOG")
        $break || fail "cannot break the store"
        # Enough to need more room than what earlier writes left in the file; of another user, so
        # that they do not use up what 8002's owner may say.
        hold bulk "${BULK[@]}"
        hold during tcp:127.0.0.1:8002
        wait_for 20 "alerts go on" told 8002
        wait_for 20 "the log says so" logged "$STORE_BAD"
        wait_for 20 "status says so" store_not_ok
        sleep 1
        assert_eq "$(($(grep -Ec "$STORE_BAD" "$LOG") - bad))" 1 "log entries about it"
        $repair || fail "cannot repair the store"
        wait_for 40 "the alert is in the history" has_alert '.port == 8002'
        wait_for 10 "the log says that it is well again" logged "$STORE_GOOD"
        wait_for 20 "status says so" store_is '^ok$'
        assert_eq "$(alerts '.port == 8002')" 1 "alerts, kept and written later"
        sync_looks
        stop_daemon
        release before
        release bulk
        release during
}
BULK=()
for ((i = 0; i < 100; i++)); do
        BULK+=("tcp:127.0.0.1:$((9000 + i)),user=1")
done

store_not_ok() {
        ! store_is '^ok$'
}

# A small file system as the state directory: only what is in it can be made anew.
rmdir "$STATE" 2>/dev/null || rm -rf "$STATE"
mkdir "$STATE"
mount -t tmpfs -o size=3m,mode=755 tmpfs "$STATE" || fail "cannot mount"

fill_disk() {
        dd if=/dev/zero of="$STATE/filler" bs=4k 2>/dev/null
        [ "$(df --output=avail "$STATE" | tail -n 1)" -eq 0 ]
}

free_disk() {
        rm "$STATE/filler"
}

lock_store() {
        sqlite3 "$STATE/history.db" <"$T/lock" >/dev/null &
        LOCKER=$!
        exec {LOCK}>"$T/lock"
        echo 'BEGIN IMMEDIATE;' >&"$LOCK"
        sleep 0.5
}

unlock_store() {
        printf '%s\n' 'ROLLBACK;' .quit >&"$LOCK"
        exec {LOCK}>&-
        wait "$LOCKER"
}

mkfifo "$T/lock"
faulty "the disk is full" fill_disk free_disk
faulty "another program holds the lock" lock_store unlock_store

# A file system with open files cannot be made read-only, so this begins with the start.
step "a read-only state directory"
fresh
mount -o remount,ro "$STATE"
hold unexpected tcp:127.0.0.1:8010
start_daemon
wait_for 10 "alerts all the same" told 8010
wait_for 10 "the log says so" logged "$STORE_BAD"
wait_for 20 "status says so" store_not_ok
mount -o remount,rw "$STATE"
wait_for 60 "the alert is in the history" has_alert '.port == 8010'
wait_for 10 "the log says that it is well again" logged "$STORE_GOOD"
stop_daemon
release unexpected

# ---- a reader that hangs ----

MAX=$((16 << 20)) SLACK=$((8 << 20))

# A transaction for reading that does not end before end_reading.
begin_reading() {
        sqlite3 -readonly "$STATE/history.db" <"$T/lock" >"$T/reader.out" &
        READER=$!
        exec {READING}>"$T/lock"
        printf '%s\n' 'BEGIN;' 'SELECT count(*) FROM event;' >&"$READING"
        wait_for 10 "the reader reads" test -s "$T/reader.out"
}

end_reading() {
        printf '%s\n' 'ROLLBACK;' .quit >&"$READING"
        exec {READING}>&-
        wait "$READER"
}

# at_most SECONDS: for so long, file and log together stay within their bound. Sets MOST.
at_most() {
        local end=$(($(now_usec) + $1 * 1000000)) bytes
        MOST=0
        while [ "$(now_usec)" -lt $end ]; do
                bytes=$(stat -c %s "$STATE"/history.db{,-wal} | awk '{ n += $1 } END { print n }')
                [ "$bytes" -le $MOST ] || MOST=$bytes
                sleep 0.1
        done
        assert_le $MOST $((MAX + SLACK)) "bytes of the history"
}

step "a reader that hangs: the history stays within MaxUseBytes, and goes on afterwards"
mount -o remount,size=1g "$STATE"
fresh PollIntervalSec=20ms '[History]' MaxUseBytes=$MAX
rule 10-churn.rules "allow tcp 2000-65535 exe=$T/bin/churn"
start_daemon
begin_reading
churn busy spread --rate=1000 --size=200 --seconds=300
at_most 30
echo "  at most $MOST bytes"
wait_for 10 "history pauses, and the reader is named" store_is "^paused.*pid $READER\b"
hold during tcp:127.0.0.1:1500
wait_for 10 "alerts go on" told 1500
release busy
end_reading
wait_for 30 "the history goes on" store_is '^ok$'
logged "$STORE_GOOD" || fail "the log does not say so"
wait_for 10 "the alert is in the history" has_alert '.port == 1500'
sync_looks
assert_le "$(stat -c %s "$STATE/history.db-wal")" $((5 << 20)) "bytes of the log"
at_most 1
stop_daemon
release during

# replaced WHAT: what is in history.db now is moved aside, whole, and a new one begun.
replaced() {
        local before moved
        step "$1"
        before=$(md5sum <"$STATE/history.db")
        hold unexpected tcp:127.0.0.1:8020
        start_daemon
        wait_for 10 "an alert in the new history" has_alert '.port == 8020'
        moved=$(find "$STATE" -name 'history.db*' -newermt @0 -exec md5sum {} + |
                awk -v sum="${before%% *}" '$1 == sum { print $2 }')
        [ -n "$moved" ] || fail "the old file is gone: $(ls -l "$STATE")"
        [[ $moved =~ 20[0-9][0-9] ]] || fail "its new name has no time: $moved"
        logged "${moved##*/}" || fail "the log does not name $moved"
        sync_looks
        stop_daemon
        release unexpected
}

fresh
dd if=/dev/urandom of="$STATE/history.db" bs=4k count=20 2>/dev/null
replaced "a file that is no database"

fresh
sqlite3 "$STATE/history.db" 'CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ("soup");'
replaced "another program's database"

fresh
hold some tcp:127.0.0.1:8030
start_daemon
sync_looks
stop_daemon
release some
rm -f "$STATE"/history.db-*
size=$(stat -c %s "$STATE/history.db")
dd if=/dev/urandom of="$STATE/history.db" bs=1 seek=4096 count=$((size - 8192)) conv=notrunc 2>/dev/null
replaced "a database with a broken middle"

step "a newer schema is refused, with both versions named, and left alone"
fresh
start_daemon
sync_looks
stop_daemon
sqlite3 "$STATE/history.db" 'PRAGMA user_version = 99' >/dev/null
: >"$LOG"
daemon_command
timeout 5 "${COMMAND[@]}" --log=stderr --polls=5 >>"$LOG" 2>&1 </dev/null
assert_says "$LOG" '\b99\b' "the file's version"
assert_says "$LOG" '\b1\b' "the program's version"
assert_eq "$(sqlite3 "$STATE/history.db" 'PRAGMA user_version')" 99 "schema of the file"
assert_eq "$(find "$STATE" -name 'history.db*20*' | wc -l)" 0 "files moved aside"
assert_exit 1 ctl history
assert_says "$T/err" '\b99\b' "what portwatchctl says"
exit 0
