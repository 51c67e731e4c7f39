#!/bin/bash
# SPDX-License-Identifier: MIT
# The daemon as a service: how fast it is ready, what its status line says, that a hung or killed
# one is back without an alert lost or told twice, and that a reload with bad rules fails where the
# administrator sees it. Would catch: readiness told too late, a watchdog that is not fed or not
# armed, a restart that raises old alerts anew, and a reload that succeeds whatever the rules say.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

no_alert_doubled() {
        assert_eq "$(alerts true)" 1 "alerts in the history"
        assert_eq "$(alert 8080 '"\(.count) \(.resolved)"')" "1 null" "the alert's count and end"
        sync_looks
        assert_eq "$(alert_entries 8080)" 1 "alerts in the journal"
}

step "from start to READY"
ready
for ((i = 0; i < 5; i++)); do
        systemctl stop portwatchd
        begun=$(now_usec)
        systemctl start portwatchd || fail "the daemon does not start"
        took+=("$((($(now_usec) - begun) / 1000))")
done
IFS=$'\n' read -r -d '' -a took < <(printf '%s\n' "${took[@]}" | sort -n && printf '\0')
figure "systemctl start takes ${took[2]} ms (${took[0]} to ${took[4]})"
assert_le "${took[4]}" $((300 * ${PW_PATIENCE:-1})) "milliseconds from start to READY"

step "the status line"
run web -- tcp:0.0.0.0:8080
wait_for 10 "an alert" alerted 8080
wait_for 10 "the status line counts" status_says \
        '^[0-9]+ open, 1 unexpected; .*events, polling every [0-9]+'
figure "$(status_line)"

step "kill -9: back, and nothing told twice"
count=$(restarts) begun=$(now_usec)
kill -KILL "$(main_pid)"
wait_for 20 "the daemon is back" restarted_since "$count"
figure "back after $((($(now_usec) - begun) / 1000)) ms"
no_alert_doubled

step "killed right after a listener came: its alert is told"
count=$(restarts)
run quick -- tcp:0.0.0.0:8081
kill -KILL "$(main_pid)"
wait_for 20 "the daemon is back" restarted_since "$count"
wait_for 10 "an alert" alerted 8081
systemctl stop quick
sync_looks
assert_eq "$(alerts '.port == 8081')" 1 "alerts for port 8081 in the history"
assert_eq "$(alert_entries 8081)" 1 "alerts for port 8081 in the journal"

step "rules that cannot be read: the reload fails, the old ones stay"
rule 10-web.rules 'allow tcp 8082'
systemctl reload portwatchd || fail "a reload with good rules fails"
rule 10-web.rules 'allow tcp 8082' 'allow tcp 70000'
assert_exit 1 systemctl reload portwatchd
journalctl --sync
journalctl --quiet -u portwatchd -o json MESSAGE_ID=ae495e5767264a80988b564af611a880 |
        jq -r .MESSAGE >$T/out
assert_says $T/out "^$RULES/10-web.rules:2:11: .*The old rules stay in force" \
        "the journal names file, line and column"
figure "$(grep -m 1 '70000' $T/out)"
is_active || fail "a refused reload has stopped the daemon"
run allowed -- tcp:0.0.0.0:8082
wait_for 10 "port 8082" listed 8082
assert_eq "$(listeners '.port == 8082 and .verdict == "expected"')" 1 "verdict by the old rules"
wait_for 5 "the status line says so" status_says 'rules refused'
rule 10-web.rules 'allow tcp 8082'
systemctl reload portwatchd || fail "a reload with mended rules fails"
wait_for 5 "the status line forgets it" status_says 'every [^;]*$'

step "a hung loop"
count=$(restarts) begun=$(now_usec)
kill -STOP "$(main_pid)"
wait_for 100 "the watchdog restarts it" restarted_since "$count"
figure "hung, killed and back after $((($(now_usec) - begun) / 1000000)) s"
journalctl --quiet -u portwatchd -o cat | grep -q 'Watchdog timeout' ||
        fail "it was not the watchdog"
assert_eq "$(alerts '.port == 8080')" 1 "alerts for port 8080 in the history"
assert_eq "$(alert_entries 8080)" 1 "alerts for port 8080 in the journal"

step "a stop"
systemctl stop portwatchd
assert_eq "$(systemctl show -P Result portwatchd)" success "result of a stop"
exit 0
