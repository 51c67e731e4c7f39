#!/bin/bash
# SPDX-License-Identifier: MIT
# The journal is away for ten seconds, in three ways: stopped with its sockets, hanging, without its
# socket file. Would catch: a loop that blocks (the watchdog is set to four seconds), an alert that
# is lost with success, and one that is told twice.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

AWAY=10 # seconds
PORTS=24
journald=(systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket)
journald+=(systemd-journald-audit.socket)

has_alerts() { # FIRST-PORT
        [ "$(alerts ".port >= $1 and .port < $1 + $PORTS")" = $PORTS ]
}

has_arrived() { # FIRST-PORT
        local port
        for ((port = $1; port < $1 + PORTS; port++)); do
                alerted $port || return
        done
}

delivered() { # FIRST-PORT
        [ "$(alerts ".port >= $1 and .port < $1 + $PORTS and .delivered != null")" = $PORTS ]
}

# So many owners that none is over the limit, so many alerts that no socket's buffer takes them all.
open_many() { # NAME FIRST-PORT
        local specs=() i
        for ((i = 0; i < PORTS; i++)); do
                specs+=("tcp:127.0.0.1:$(($2 + i)),user=$((2000 + $2 + i / 4))")
        done
        run "$1" -- "${specs[@]}"
}

# away NAME FIRST-PORT GO-COMMAND COME-COMMAND
away() {
        local begun port
        begun=$(now_usec)
        $3
        open_many "$1" "$2"
        wait_for $AWAY "the alerts are in the history meanwhile" has_alerts "$2"
        sleep "$(((begun + AWAY * 1000000 - $(now_usec)) / 1000000 + 1))"
        delivered "$2" && fail "alerts that nobody read count as delivered"
        $4
        begun=$(now_usec)
        wait_for 30 "the alerts arrive" has_arrived "$2"
        figure "all $PORTS alerts were there within $((($(now_usec) - begun) / 1000)) ms"
        wait_for 10 "they are marked as delivered" delivered "$2"
        for ((port = $2; port < $2 + PORTS; port++)); do
                assert_eq "$(alert_entries $port)" 1 "alerts for port $port"
        done
        assert_eq "$(restarts) $(main_pid)" "0 $pid" "restarts, and the daemon's pid"
}

stop_journald() {
        systemctl stop "${journald[@]}" 2>/dev/null
        [ "$(systemctl is-active systemd-journald)" = inactive ] || fail "journald still runs"
}

start_journald() {
        systemctl start "${journald[@]}"
}

hang_journald() {
        hung=$(systemctl show -P MainPID systemd-journald)
        kill -STOP "$hung"
}

wake_journald() {
        kill -CONT "$hung"
}

remove_socket() {
        rm /run/systemd/journal/socket
}

restart_journald() {
        stop_journald
        start_journald
}

mkdir -p /run/systemd/system/portwatchd.service.d
printf '%s\n' '[Service]' WatchdogSec=4s >/run/systemd/system/portwatchd.service.d/test.conf
ready
assert_eq "$(systemctl show -P WatchdogUSec portwatchd)" 4s "the watchdog"
pid=$(main_pid)

step "stopped, with its sockets"
away stopped 8100 stop_journald start_journald
step "hanging"
away hanging 8200 hang_journald wake_journald
step "without its socket file"
away missing 8300 remove_socket restart_journald
exit 0
