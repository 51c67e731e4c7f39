#!/bin/bash
# SPDX-License-Identifier: MIT
# No room in the state directory: alerts go on, it is said where people look, and once there is room
# again the history has what happened meanwhile. Would catch: an alert that waits for the database,
# a daemon that ends or hangs, a fault nobody hears of, and a history that stays behind.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

needs sqlite3

store_is_full() {
        ((round++))
        systemctl stop busy 2>/dev/null
        run busy -- "tcp:127.0.0.1:9000,reuseport=$((round % 7 + 1))" \
                "udp:127.0.0.1:$((9000 + round))"
        sleep 1.5
        [ "$(store_state)" != ok ]
}

store_is_ok() {
        [ "$(store_state)" = ok ]
}

has_alert() { # PORT
        [ "$(alerts ".port == $1")" = 1 ]
}

mkdir -p $STATE
mount -t tmpfs -o size=1m tmpfs $STATE || skip "cannot mount"
ready
rule 10-busy.rules 'allow any 9000-9999'
systemctl reload portwatchd

step "the disk is full"
dd if=/dev/zero of=$STATE/filler bs=4096 2>/dev/null
round=0
wait_for 120 "the history cannot be written" store_is_full
figure "$(store_state)"
assert_eq "$(entries MESSAGE_ID=8a347a99deee498e84e767dedfadeced)" 1 "entries that say so"
wait_for 10 "the status line says so" status_says 'history cannot be written'

step "alerts arrive all the same"
begun=$(now_usec)
run web -- tcp:0.0.0.0:8080
wait_for 10 "an alert" alerted 8080
figure "after $((($(now_usec) - begun) / 1000)) ms"
[ "$(portwatchctl status --json | jq .writes_waiting)" -gt 0 ] || fail "no writes wait"
assert_eq "$(restarts)" 0 "restarts"

step "there is room again"
rm $STATE/filler
begun=$(now_usec)
wait_for 30 "the history is written again" has_alert 8080
figure "the history has it after $((($(now_usec) - begun) / 1000)) ms"
wait_for 10 "the status says so" store_is_ok
assert_eq "$(entries MESSAGE_ID=49c3a9ee4c3846299b216b59619cef97)" 1 "entries that say so"
assert_eq "$(alert_entries 8080)" 1 "alerts in the journal"
wait_for 10 "the status line is as before" status_says 'polling every [^;]*$'
assert_eq "$(sqlite3 -readonly $STATE/history.db 'PRAGMA integrity_check')" ok "the file"
exit 0
