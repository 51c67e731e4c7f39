#!/bin/bash
# SPDX-License-Identifier: MIT
# `kill -9` at 100 random moments under churn. Would catch: writes that are not one transaction, an
# alert that is stored after the interval that it belongs to, an interval that a second run opens
# again, an alert that the journal never gets.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs sqlite3

fresh
sed -i 's/^PollIntervalSec=.*/PollIntervalSec=10ms/' "$CONF"
rule 10-local.rules 'allow tcp 7000-7099'
SEED=${PW_SEED:-$((10#${EPOCHREALTIME: -5} % 32768))}
step "seed $SEED (PW_SEED sets it)"
RANDOM=$SEED

# A copy is checked: looking into the file itself would tidy up what the crash left.
check_database() { # ROUND
        rm -f "$T"/copy.db*
        cp "$STATE/history.db" "$T/copy.db" || fail "round $1: no database"
        [ ! -f "$STATE/history.db-wal" ] || cp "$STATE/history.db-wal" "$T/copy.db-wal"
        assert_eq "$(sqlite3 "$T/copy.db" 'PRAGMA integrity_check')" ok "round $1: integrity"
}

# Churn that no rule allows, and some that one does: both change the history at every poll.
churn unexpected spread --rate=60 --size=20 --port=20000 --seconds=300
churn allowed group --rate=200 --size=5 --port=7000 --seconds=300
daemon_command
for ((round = 1; round <= 100; round++)); do
        "${COMMAND[@]}" --log=stderr >>"$LOG" 2>&1 </dev/null &
        DAEMON=$!
        # Owners of their own, so that no limit keeps their alerts out of the log.
        [ $((round % 4)) != 0 ] || hold "r$round" "tcp:127.0.0.1:$((8000 + round)),user=$((1000 + round))"
        sleep "0.$(printf %03d $((50 + RANDOM % 450)))"
        kill -0 $DAEMON 2>/dev/null || fail "round $round: the daemon ended: $(tail -n 5 "$LOG")"
        kill_daemon
        [ ! -f "$STATE/history.db" ] || check_database $round
done
start_daemon
sync_looks
ctl history -n all --json >"$T/history.json"
ctl alerts --all --json >"$T/alerts.json"
step "$(jq '.intervals | length' "$T/history.json") intervals, $(jq '.alerts | length' "$T/alerts.json") alerts"
[ "$(jq '.intervals | length' "$T/history.json")" -gt 500 ] || fail "too little happened to prove anything"

step "no interval is open twice"
assert_eq "$(jq '[.intervals[] | select(.closed == null)] | group_by(.listener_id) |
        map(select(length > 1)) | length' "$T/history.json")" 0 "listeners open twice"

step "every unexpected listener in the history has an alert"
assert_eq "$(jq -n --slurpfile h "$T/history.json" --slurpfile a "$T/alerts.json" '
        ($a[0].alerts | map({(.listener_id): true}) | add) as $alerted |
        [$h[0].intervals[] | select(.verdict == "unexpected") | .listener_id] | unique |
        map(select($alerted[.] | not)) | length')" 0 "unexpected listeners without an alert"
for ((round = 4; round <= 100; round += 4)); do
        wait_for 20 "alert for port $((8000 + round))" has_alert ".port == $((8000 + round))"
        id=$(alert ".port == $((8000 + round))" .alert_id)
        wait_for 20 "the log tells of alert @$id" logged "portwatchctl allow @$id\b"
done
stop_daemon
check_database end
exit 0
