#!/bin/bash
# SPDX-License-Identifier: MIT
# Two hundred restarts of a service that is allowed: no alert; of one that is not: one. By events,
# by hasty and by ordinary polling. Would catch: an alert for a new process of the same listener,
# for a socket that nothing holds for a moment, and for each time that a known alert comes back.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

RESTARTS=200

listener() { # NAME PORT
        unit "$1.service" '[Unit]' StartLimitIntervalSec=0 '[Service]' Type=exec \
                "ExecStart=/usr/local/bin/listen tcp:0.0.0.0:$2"
        systemctl start "$1"
}

restart_often() {
        local i begun
        begun=$(now_usec)
        for ((i = 0; i < RESTARTS; i++)); do
                systemctl restart "$1" || fail "restart $i of $1"
        done
        figure "$RESTARTS restarts of $1 in $((($(now_usec) - begun) / 1000)) ms"
        sync_looks
}

# with HOW [SETTING…]
with() {
        local how=$1
        shift
        printf '%s\n' '[Watch]' "$@" >/etc/portwatch/portwatch.conf.d/test.conf
        systemctl restart portwatchd || fail "the daemon does not start"
        check "$how"
}

check() { # HOW
        step "the allowed service, $1"
        restart_often allowed
        assert_eq "$(entries PORTWATCH_ALERT=1 PORTWATCH_PORT=8080)" 0 "alerts, $1"
        assert_eq "$(alerts '.port == 8080')" 0 "alerts in the history, $1"
        step "the unexpected one, $1"
        restart_often unexpected
        assert_eq "$(alert_entries 8081)" 1 "alerts in the journal, $1"
        assert_eq "$(alerts '.port == 8081')" 1 "alerts in the history, $1"
        figure "seen to open $(intervals 8081) times"
}

ready
rule 10-allowed.rules 'allow tcp 8080 unit=allowed.service'
systemctl reload portwatchd
listener allowed 8080
listener unexpected 8081
wait_for 10 "an alert" alerted 8081
with "told by events"
with "looked at every 20 ms" Events=no PollIntervalSec=20ms CPUBudget=100%
with "looked at every second" Events=no
exit 0
