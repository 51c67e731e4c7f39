#!/bin/bash
# SPDX-License-Identifier: MIT
# What a person is told, and how often. Would catch: an alert missed, told twice or never resolved; a
# reason mistaken for another; a baseline that learns too much or too little; a rule that is not
# noticed; a bad rule that takes the good ones with it; one noisy owner that hides another.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

FIXTURE=$T/bin/open-sockets
mount -t tmpfs tmpfs /dev/shm

open_alert() { # PORT: a condition
        echo ".port == $1 and .resolved == null"
}

no_open_alert() { # PORT
        [ "$(alerts "$(open_alert "$1")")" = 0 ]
}

# expect_alert PORT REASON PRIORITY-VERB: exactly one, told once, ending with what to do.
expect_alert() {
        local id
        wait_for 20 "an alert for port $1" has_alert "$(open_alert "$1")"
        sync_looks
        assert_eq "$(alerts ".port == $1")" 1 "alerts for port $1"
        assert_eq "$(alert ".port == $1" .reason)" "$2" "reason for port $1"
        id=$(alert ".port == $1" .alert_id)
        wait_for 5 "the log tells of alert @$id" logged "portwatchctl $3 @$id\b"
        assert_eq "$(logged_alerts "$id")" 1 "log entries for alert @$id"
}

step "the first start learns what is open, but nothing suspicious"
fresh
rm "$STATE/baseline.rules"
hold base tcp:127.0.0.1:8001 udp:0.0.0.0:8002 tcp:127.0.0.1:40001
hold early --memfd tcp:127.0.0.1:8003
start_daemon
wait_for 10 "the baseline" test -s "$STATE/baseline.rules"
expect_alert 8003 suspicious show
assert_says "$STATE/baseline.rules" "^allow tcp 8001 .*exe=$FIXTURE" "rule for port 8001"
assert_says "$STATE/baseline.rules" '^allow tcp 8001 .*user=root' "rule for port 8001"
assert_says "$STATE/baseline.rules" '^allow tcp 8001 .*scope=loopback' "rule for port 8001"
assert_says "$STATE/baseline.rules" '^allow udp 8002 .*scope=any' "rule for port 8002"
assert_says "$STATE/baseline.rules" "^allow tcp ephemeral .*exe=$FIXTURE" "rule for port 40001"
assert_eq "$(grep -c 8003 "$STATE/baseline.rules")" 0 "rules for a program in memory"
assert_eq "$(alerts '.port != 8003')" 0 "alerts at the first start"
assert_eq "$(listeners '.port == 8001 and .verdict == "expected" and .opened_how == "first-look"')" \
        1 "listener that was there before"
assert_exit 0 ctl check
stop_daemon

step "a second start learns nothing, even without its history"
rm -f "$STATE"/history.db*
: >"$LOG" # numbers of alerts begin anew, too
before=$(md5sum <"$STATE/baseline.rules")
hold late tcp:127.0.0.1:8004
start_daemon
expect_alert 8004 unexpected allow
assert_eq "$(md5sum <"$STATE/baseline.rules")" "$before" "baseline after the second start"
stop_daemon
for name in base early late; do release $name; done

step "an unexpected listener: one alert"
fresh
start_daemon
hold web tcp:0.0.0.0:8080,reuseport=4
expect_alert 8080 unexpected allow
assert_eq "$(alert '.port == 8080' '.verdict, .exe, .user, .scope' | xargs)" \
        "unexpected $FIXTURE root any" "what the alert says"
# Events tell one after the other: the alert may be of the first.
wait_for 10 "all its sockets" has_listener '.port == 8080 and .sockets == 4'
assert_exit 1 ctl verify
id=$(alert '.port == 8080' .alert_id)

step "allow @$id resolves it"
assert_exit 0 ctl allow "@$id"
wait_for 10 "the alert is resolved" no_open_alert 8080
wait_for 10 "the listener is expected" has_listener '.port == 8080 and .verdict == "expected"'
assert_eq "$(stat -c %a "$RULES/50-local.rules")" 644 "mode of the rules that allow writes"
assert_eq "$(logged_alerts "$id")" 1 "log entries for alert @$id"
assert_exit 0 ctl verify
release web

step "a close resolves, an opening within RealertSec is the same alert, without a new entry"
hold again tcp:127.0.0.1:8081
expect_alert 8081 unexpected allow
id=$(alert '.port == 8081' .alert_id)
release again
wait_for 10 "the alert is resolved" no_open_alert 8081
hold again tcp:127.0.0.1:8081
wait_for 10 "the alert is open again" has_alert "$(open_alert 8081)"
assert_eq "$(alert '.port == 8081' '.alert_id, .count' | xargs)" "$id 2" "the same alert, twice"
assert_eq "$(alerts '.port == 8081')" 1 "alerts for port 8081"
assert_eq "$(logged_alerts "$id")" 1 "log entries for alert @$id"
release again

step "a denied port, whatever else would allow it"
assert_exit 0 ctl deny tcp 23
rule 60-late.rules 'allow tcp 23'
reload_daemon
hold telnet tcp:127.0.0.1:23
expect_alert 23 denied show
release telnet

step "a required port that is missing"
rule 20-require.rules 'require tcp 5432 user=root grace=2s'
wait_for 20 "an alert for the missing port" has_alert "$(open_alert 5432)"
assert_eq "$(alert '.port == 5432' .reason)" required-missing "reason"
hold required tcp:127.0.0.1:5432
wait_for 10 "the alert is resolved" no_open_alert 5432
assert_eq "$(listeners '.port == 5432 and .verdict == "expected"')" 1 "required listeners"
sync_looks
closed=$(now_usec)
release required
wait_for 20 "it is missing again" has_alert "$(open_alert 5432)"
assert_le 2000000 $(($(now_usec) - closed)) "microseconds of grace after the close"
assert_eq "$(alert '.port == 5432' .count)" 2 "times that it was missing"
rm "$RULES/20-require.rules"
wait_for 10 "no longer required" no_open_alert 5432

step "the same owner reaches further"
rule 20-narrow.rules "allow tcp 8100 exe=$FIXTURE scope=loopback"
reload_daemon
hold narrow tcp:127.0.0.1:8100
sync_looks
assert_eq "$(alerts '.port == 8100')" 0 "alerts for the narrow listener"
release narrow
sync_looks
hold wide tcp:0.0.0.0:8100
expect_alert 8100 scope-widened allow
release wide

step "a second owner in front of the first"
rule 20-narrow.rules 'allow udp 8200 user=root scope=any'
reload_daemon
hold first udp:0.0.0.0:8200,reuseaddr
sync_looks
assert_eq "$(alerts '.port == 8200')" 0 "alerts for the first owner"
hold second udp:127.0.0.1:8200,reuseaddr,user=65534
expect_alert 8200 second-owner allow
assert_eq "$(alert '.port == 8200' .user)" nobody "who is told of"
release first
release second

step "suspicious executables"
mkdir /dev/shm/x
hold s1 --memfd tcp:127.0.0.1:8301
hold s2 --deleted="$T/bin/gone" tcp:127.0.0.1:8302
hold s3 --copy=/dev/shm/x/server tcp:127.0.0.1:8303
expect_alert 8301 suspicious show
expect_alert 8302 suspicious show
expect_alert 8303 suspicious show
for pair in 8301:memfd 8302:deleted 8303:temporary; do
        assert_eq "$(alert ".port == ${pair%:*}" '.traits | index("'${pair#*:}'") != null')" true \
                "trait ${pair#*:}"
done
for name in s1 s2 s3; do release $name; done

step "no owner: a descriptor in flight (events tell who opened it)"
hold flight tcp:127.0.0.1:8400,inflight
if [ "$(status .engine)" != events ]; then
        expect_alert 8400 no-owner show
else
        expect_alert 8400 unexpected allow
fi
release flight

step "rules are read again: by inotify, by SIGHUP, and a bad one changes nothing"
hold served tcp:127.0.0.1:8500
expect_alert 8500 unexpected allow
rule 30-served.rules 'allow tcp 8500'
wait_for 10 "inotify" no_open_alert 8500
rule 40-bad.rules '# a comment' 'allow tcp 8500 wibble=1'
wait_for 10 "the bad rule is named" logged '40-bad\.rules:2:[0-9]+'
wait_for 10 "status names it, too" status_says .rules_error '40-bad\.rules:2'
rule 30-served.rules '# nothing'
reload_daemon
assert_eq "$(listeners '.port == 8500 and .verdict == "expected"')" 1 "listeners by the old rules"
rm "$RULES/40-bad.rules"
reload_daemon
wait_for 10 "the rules are in force again" has_alert "$(open_alert 8500)"
assert_exit 0 ctl allow --for 2s tcp 8500
wait_for 10 "allowed for a time" no_open_alert 8500
wait_for 10 "the time is over" has_alert "$(open_alert 8500)"
release served

step "a rule that goes is named"
rule 30-served.rules '# a comment' 'allow tcp 8510'
reload_daemon
hold served tcp:127.0.0.1:8510
sync_looks
assert_eq "$(alerts '.port == 8510')" 0 "alerts while the rule is there"
rm "$RULES/30-served.rules"
expect_alert 8510 unexpected allow
logged ':8510 .*\(expected before, by .*30-served\.rules:2\)\. Allow: portwatchctl' ||
        fail "the alert does not say which rule went"
release served

step "one noisy owner is summed up and hides nobody"
noisy=$(seq -f 'tcp:127.0.0.1:%g,user=2' 8601 8640)
# shellcheck disable=SC2086
hold noisy $noisy
hold other tcp:127.0.0.1:8700,user=1
wait_for 20 "all alerts" has_alert '.port > 8600 and .port < 8650' 40
expect_alert 8700 unexpected allow
told=0
for id in $(ctl alerts --json | jq '.alerts[] | select(.port > 8600 and .port < 8650) | .alert_id'); do
        told=$((told + $(logged_alerts "$id")))
done
assert_eq "$told" 10 "alerts of the noisy owner that the log tells of"
stop_daemon
assert_eq "$(status .alerts_suppressed)" 30 "alerts that are only counted"
release noisy
release other

step "after RealertSec it is a new alert"
fresh '[Alerts]' RealertSec=1s
start_daemon
hold again tcp:127.0.0.1:8081
expect_alert 8081 unexpected allow
id=$(alert '.port == 8081' .alert_id)
release again
wait_for 10 "the alert is resolved" no_open_alert 8081
sleep 1.2
hold again tcp:127.0.0.1:8081
wait_for 10 "a second alert" has_alert '.port == 8081' 2
second=$(alert '.port == 8081' .alert_id)
[ "$second" != "$id" ] || fail "the second alert has the first one's number"
wait_for 5 "the log tells of it" logged "portwatchctl allow @$second\b"
stop_daemon
exit 0
