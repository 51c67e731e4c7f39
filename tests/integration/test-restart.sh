#!/bin/bash
# SPDX-License-Identifier: MIT
# What must be the same before and after: a restart of the daemon, a history that is new, locked or lost
# for a while, a socket that moves, a rules directory that is replaced. Would catch: an alert told twice
# or lost, a number given twice, a close that nobody saw, and a port that nobody hears of.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs sqlite3 python3

open_alert() { # PORT: a condition
        echo ".port == $1 and .resolved == null"
}

step "a socket that moves to another port, TCP and UDP"
fresh
start_daemon
python3 - <<'END' >"$T/mover.out" &
import ctypes, socket, time
tcp = socket.socket()
tcp.listen() # at a port that the kernel chooses: one that was asked for stays locked
print("PORT", tcp.getsockname()[1], flush=True)
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.connect(("127.0.0.1", 9)) # takes a port of its own: a client
time.sleep(1)
tcp.shutdown(socket.SHUT_RDWR)
tcp.bind(("0.0.0.0", 8502)); tcp.listen()
ctypes.CDLL(None).connect(udp.fileno(), bytes(16), 16) # AF_UNSPEC: not connected any more
udp.bind(("127.0.0.1", 8503))
print("MOVED", flush=True)
time.sleep(60)
END
HOLDERS[mover]=$!
wait_for 10 "the socket has moved" grep -q MOVED "$T/mover.out"
wait_for 10 "its new port is an alert" has_alert "$(open_alert 8502)"
wait_for 10 "and that of UDP" has_alert "$(open_alert 8503)"
wait_for 10 "its old port has closed" unlisted "$(sed -n 's/^PORT //p' "$T/mover.out")"
release mover
stop_daemon

step "an alert that was reopened is not told again after a restart"
fresh
start_daemon
hold first tcp:127.0.0.1:8511
wait_for 10 "an alert" has_alert '.port == 8511 and .delivered != null'
release first
wait_for 10 "it is over" has_alert '.port == 8511 and .resolved != null'
hold second tcp:127.0.0.1:8511
wait_for 10 "it is open again" has_alert "$(open_alert 8511)"
stop_daemon
start_daemon
sync_looks
assert_eq "$(logged_alerts "$(alert '.port == 8511' .alert_id)")" 1 "log entries"
assert_eq "$(intervals '.port == 8511')" 2 "intervals: the restart is none"
release second
wait_for 10 "it is over" has_alert '.port == 8511 and .resolved != null'
stop_daemon
start_daemon
sync_looks
hold third tcp:127.0.0.1:8511
wait_for 10 "reopened, after another restart" has_alert '.port == 8511 and .count == 3'
release third
stop_daemon

step "a history that is moved away: the new one has what is open, alerts too"
fresh
start_daemon
hold stays tcp:127.0.0.1:8521
wait_for 10 "an alert" has_alert "$(open_alert 8521)"
mkdir "$T/away"
mv "$STATE"/history.db* "$T/away/"
hold news tcp:127.0.0.1:8522
wait_for 30 "the old alert" has_alert "$(open_alert 8521)"
wait_for 10 "the new alert" has_alert "$(open_alert 8522)"
assert_eq "$(listeners '.port == 8521 or .port == 8522')" 2 "open listeners"
stop_daemon
start_daemon
sync_looks
for port in 8521 8522; do
        assert_eq "$(logged_alerts "$(alert ".port == $port" .alert_id)")" 1 "entries for port $port"
done
release stays
release news
stop_daemon
rm -r "$T/away"

step "a history that is locked while the daemon starts: no number is given twice"
fresh
start_daemon
hold old tcp:127.0.0.1:8531
wait_for 10 "an alert" has_alert '.port == 8531 and .delivered != null'
old=$(alert '.port == 8531' .alert_id)
release old
wait_for 10 "it is over" has_alert '.port == 8531 and .resolved != null'
stop_daemon
sqlite3 "$STATE/history.db" >"$T/lock.out" <<'END' &
begin immediate;
select 'READY';
.shell sleep 3
commit;
END
HOLDERS[lock]=$!
wait_for 10 "the lock" grep -q READY "$T/lock.out"
hold new tcp:127.0.0.1:8532
start_daemon
wait_for 10 "the log tells of the new alert" logged "Unexpected.*:8532 "
wait "${HOLDERS[lock]}"
wait_for 30 "the new alert is in the history" has_alert "$(open_alert 8532)"
new=$(alert '.port == 8532' .alert_id)
[ "$new" != "$old" ] || fail "@$old has been given twice"
assert_eq "$(alert '.port == 8531' .alert_id)" "$old" "the old alert's number"
logged ":8532 .*@$new\b" || fail "the log names another number than @$new"
release new
stop_daemon

step "a restart does not close what nobody holds"
fresh
start_daemon
hold flight tcp:127.0.0.1:8541,inflight
wait_for 20 "an alert" has_alert "$(open_alert 8541)"
stop_daemon
start_daemon
sync_looks
sleep 1.5 # when it is asked for again
sync_looks
assert_eq "$(intervals '.port == 8541')" 1 "intervals"
assert_eq "$(intervals '.port == 8541 and .closed != null')" 0 "false closes"
logged "over.*:8541" && fail "the log says that it is over"
release flight
stop_daemon

step "two rules for one required port"
fresh
rule 20-require.rules 'require tcp 8551 user=root grace=0s' 'require tcp 8551 user=nobody grace=0s'
hold required tcp:127.0.0.1:8551
start_daemon
wait_for 10 "the second one is missing" has_alert ".reason == \"required-missing\" and .resolved == null"
for _ in 1 2 3; do sync_looks; done
assert_eq "$(alert '.reason == "required-missing"' .count)" 1 "times that it was missing"
release required
stop_daemon

step "a rules directory that is replaced is watched"
fresh
start_daemon
hold port tcp:127.0.0.1:8561
wait_for 10 "an alert" has_alert "$(open_alert 8561)"
mv "$RULES" "$T/rules.old"
mkdir "$RULES"
sleep 0.5
rule 00-test.rules "allow tcp $SYNC_PORT" 'allow tcp 8561'
wait_for 75 "the rule is noticed" has_alert '.port == 8561 and .resolved != null'
release port
stop_daemon
rm -r "$T/rules.old"

step "members of a crowded group that have gone are let go"
fresh
hold crowd udp:127.0.0.1:8571,reuseport=30,fork=20
churn group group --rate=900 --size=400 --port=8572 --seconds=60
start_daemon
sleep 5
kill -TERM "${HOLDERS[group]}"
wait "${HOLDERS[group]}"
settled() {
        sync_looks
        sleep 1.2 # for the status to be written
        [ "$(status .sockets)" -le 31 ]
}
wait_for 20 "only what lives is known" settled
release crowd
exit 0
