#!/bin/bash
# SPDX-License-Identifier: MIT
# Who may ask, and when: a member of the group "portwatch" in whatever state the daemon and its
# files are; others are told what to do. A reader that hangs is named, and stops nothing. Would
# catch: files that a reader cannot open or would create, a lock that is in the way, and a log without bounds.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

needs sqlite3 useradd
DB=$STATE/history.db
verbs=(list history alerts 'show 8080' 'show @1' 'explain 8080' scan rules check
        'check tcp/8080 exe=/usr/local/bin/listen' verify status baseline 'history --since -1h')
private=(list history alerts 'show 8080' 'show @1' rules check 'check tcp/8080' verify)

be() { # USER COMMAND…
        setpriv --reuid="$1" --regid="$1" --init-groups "${@:2}"
}

# as USER VERB…: portwatchctl's exit code; its output in $T/out and $T/err.
as() {
        local user=$1 code=0
        shift
        # shellcheck disable=SC2048,SC2086 # words
        be "$user" portwatchctl $* >$T/out 2>$T/err || code=$?
        echo $code
}

# members_read WHEN [HOW-THE-DAEMON-IS]
members_read() {
        local verb code expected
        for verb in "${verbs[@]}"; do
                code=$(as member "$verb")
                expected='^0$'
                case $verb,${2-up} in
                verify,up | check\ tcp*) expected='^1$' ;; # there is something unexpected
                verify,down) expected='^5$' ;;
                status,down) expected='^1$' ;;
                esac
                [[ $code =~ $expected ]] ||
                        fail "$1: exit code $code of $verb: $(cat $T/err)"
                [ -s $T/out ] || [[ $verb,$code == verify,5 ]] || fail "$1: $verb says nothing"
        done
        assert_eq "$(as member 'history --json 8080')" 0 "$1: history"
        assert_eq "$(jq '.intervals | length' $T/out)" 1 "$1: intervals of port 8080"
        assert_eq "$(as member 'alerts --json')" 0 "$1: alerts"
        assert_eq "$(jq '[.alerts[] | select(.port == 8080)] | length' $T/out)" 1 \
                "$1: alerts for port 8080"
        figure "$1: all ${#verbs[@]} questions were answered"
}

# Readers make no files, and all files are the daemon's.
owners_are_right() { # WHEN
        assert_eq "$(find $STATE ! -user portwatch -o ! -group portwatch | wc -l)" 0 \
                "$1: files that are not the daemon's"
}

# ---- a member ----

mkdir -p /run/systemd/system/portwatchd.service.d
printf '%s\n' '[Service]' Restart=no >/run/systemd/system/portwatchd.service.d/test.conf
ready PollIntervalSec=20ms CPUBudget=100% '[History]' MaxUseBytes=32M
useradd --create-home stranger && useradd --create-home --groups portwatch member
rule 10-churn.rules 'allow any any exe=/usr/local/bin/churn'
systemctl reload portwatchd
run web -- tcp:0.0.0.0:8080
wait_for 10 "an alert" alerted 8080

step "a member of the group"
members_read "daemon up"
systemctl stop portwatchd
members_read "after a clean stop" down
systemctl start portwatchd
wait_for 10 "port 8080" listed 8080
systemctl kill --kill-whom=main --signal=KILL portwatchd
wait_for 10 "the daemon is dead" systemctl is-failed --quiet portwatchd
[ -s $DB-wal ] || fail "a crash leaves a log behind, or this tests nothing"
members_read "after a crash" down
owners_are_right "after a crash"

step "root's own sqlite3, while the daemon is down"
sqlite3 $DB 'SELECT count(*) FROM alert' >/dev/null || fail "sqlite3 cannot read the file"
[ ! -e $DB-wal ] && [ ! -e $DB-shm ] || fail "it leaves -wal and -shm, or this tests nothing"
members_read "after root's sqlite3" down
[ ! -e $DB-shm ] || owners_are_right "after root's sqlite3"
systemctl start portwatchd
wait_for 10 "port 8080" listed 8080
members_read "daemon up again"
owners_are_right "daemon up again"

step "checkpoints meanwhile"
cp "$PW_BUILD/tests/churn" /usr/local/bin/
systemd-run --quiet --collect --unit=churn -p Type=exec \
        /usr/local/bin/churn spread --rate=200 --size=20 --seconds=400 --port=20000
(
        while [ ! -e $T/enough ]; do
                be portwatch sqlite3 $DB 'PRAGMA wal_checkpoint(TRUNCATE)' || exit
        done
) >$T/checkpoints 2>$T/checkpoint-errors &
for ((i = 0; i < 100; i++)); do
        code=$(as member 'history -n 50')
        assert_eq "$code" 0 "exit code of history during checkpoints: $(cat $T/err)"
done
touch $T/enough
wait $!
done=$(grep -c '^0|' $T/checkpoints)
figure "100 readings during $done checkpoints"
[ "$done" -gt 10 ] || fail "there were no checkpoints: $(tail -n 3 $T/checkpoint-errors)"

# ---- others ----

step "others are told what to do"
for verb in "${private[@]}"; do
        assert_eq "$(as stranger "$verb")" 4 "exit code of $verb"
        assert_eq "$(wc -l <$T/err) $(wc -l <$T/out)" "1 0" "lines that $verb says, and prints"
        assert_says $T/err 'sudo' "what to do, by $verb"
done
figure "$(cat $T/err)"
for verb in scan status 'explain 8080'; do
        assert_eq "$(as stranger "$verb")" 0 "exit code of $verb"
done
assert_eq "$(systemctl is-active portwatchd)" active "the daemon"

# ---- a reader that hangs ----

wal_is_large() {
        [ "$(stat -c %s $DB-wal)" -gt $((17 << 20)) ]
}

step "a reader that hangs"
mkfifo -m 0644 $T/words
be member sqlite3 -readonly $DB <$T/words >$T/reader &
exec {words}>$T/words
printf '%s\n' 'BEGIN;' 'SELECT count(*) FROM event;' >&"$words"
wait_for 10 "the reader reads" [ -s $T/reader ]
reader=$(pgrep -u member -x sqlite3) || fail "the reader has ended"
wait_for 200 "the log grows" wal_is_large
run other -- tcp:0.0.0.0:8081
wait_for 5 "an alert all the same" alerted 8081
wait_for 90 "status names the reader" store_says "pid $reader\b"
figure "$(store_state)"
wait_for 90 "history pauses" store_says '^paused'
run third -- tcp:0.0.0.0:8082
wait_for 5 "an alert all the same" alerted 8082
assert_eq "$(as member 'history -n 5')" 0 "history beside a reader that hangs"
systemctl stop churn
exec {words}>&-
wait_for 90 "status forgets the reader" store_says '^ok$'
sync_looks
assert_eq "$(alerts '.port == 8081 or .port == 8082')" 2 "alerts that the history has after all"
[ "$(stat -c %s $DB-wal)" -le $((5 << 20)) ] || fail "the log stays large"
assert_eq "$(systemctl is-active portwatchd) $(restarts)" "active 0" "the daemon, and its restarts"
exit 0
