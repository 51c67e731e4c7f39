#!/bin/bash
# SPDX-License-Identifier: MIT
# What must not alert, and leaves no trace: restarts, short-lived UDP clients, a receive queue, a
# package upgrade, a resolver under load. Would catch: identity by pid or cookie instead of by owner,
# clients taken for servers, counters that count as a change, "(deleted)" taken for suspicious, random
# ports of a resolver that become thousands of listeners.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

fast() {
        fresh "$@"
        sed -i 's/^PollIntervalSec=.*/PollIntervalSec=5ms/' "$CONF"
}

step "100 restarts of an allowed and of an already alerted service"
fast
rule 10-allow.rules 'allow tcp 8080'
start_daemon
hold service tcp:127.0.0.1:8080 tcp:127.0.0.1:8081
wait_for 20 "the alert" has_alert '.port == 8081'
id=$(alert '.port == 8081' .alert_id)
release service
for ((i = 0; i < 100; i++)); do
        hold service tcp:127.0.0.1:8080 tcp:127.0.0.1:8081
        sleep 0.05
        release service
        sleep 0.05
done
sync_looks
assert_eq "$(alerts true)" 1 "alerts after 100 restarts"
assert_eq "$(logged_alerts "$id")" 1 "log entries for the alert"
# A restart within one poll is not seen; most must have been, or this proves nothing.
[ "$(alert '.port == 8081' .count)" -ge 80 ] ||
        fail "only $(alert '.port == 8081' .count) of 101 starts were seen"
[ "$(intervals '.port == 8080')" -ge 80 ] || fail "the restarts are not in the history"
assert_eq "$(ctl history --json 8080 | jq '[.intervals[].listener_id] | unique | length')" 1 \
        "listeners that the restarts made"

step "10,000 short-lived UDP clients, and some that live a little longer"
"$T/bin/churn" clients --count=10000 --rate=2500 --seconds=60 >/dev/null &
client=$!
hold slow udp:0.0.0.0:50001 udp:0.0.0.0:50002 'udp6:[::]:50003,dual' udp:127.0.0.1:50004
sleep 2
release slow
wait $client || fail "the clients failed"
sync_looks
assert_eq "$(alerts '.protocol == "udp"')" 0 "alerts for UDP clients"
assert_eq "$(intervals '.protocol == "udp"')" 0 "history rows for UDP clients"

server() {
        ctl history --json udp/8090 | jq -c '.intervals[] | [.opened, .closed, .pids]'
}

step "a receive queue that grows"
rule 20-udp.rules 'allow udp 8090'
reload_daemon
# Of another user than the many clients above, for whom UDP is held back longer.
hold queue udp:127.0.0.1:8090,user=1 tcp:127.0.0.1:8080
wait_for 20 "UDP has settled" listed 8090
sync_looks
before=$(server)
for ((i = 0; i < 50; i++)); do
        echo full >/dev/udp/127.0.0.1/8090
done
exec {c1}<>/dev/tcp/127.0.0.1/8080 {c2}<>/dev/tcp/127.0.0.1/8080
sleep 0.5
sync_looks
exec {c1}>&- {c2}>&-
assert_eq "$(intervals '.port == 8090')" 1 "intervals of the UDP server"
assert_eq "$(server)" "$before" "the server's interval"
assert_eq "$(alerts true)" 1 "alerts after a full queue"
release queue
stop_daemon

step "the package of a running server is installed again"
fast
rule 10-allow.rules "allow tcp 8100-8102 exe=$T/bin/server user=root"
hold old --copy="$T/bin/server" tcp:127.0.0.1:8100
start_daemon
cp "$T/bin/open-sockets" "$T/bin/server.new"
mv "$T/bin/server.new" "$T/bin/server"
readlink "/proc/${HOLDERS[old]}/exe" | grep -q ' (deleted)$' || fail "the file was not replaced"
sync_looks
stop_daemon
# The next run has to find out anew who holds it; and some are replaced while nobody looks.
hold middle --copy="$T/bin/server" tcp:127.0.0.1:8101
start_daemon
hold new --copy="$T/bin/server" tcp:127.0.0.1:8102
sync_looks
assert_eq "$(alerts true)" 0 "alerts after an upgrade"
assert_eq "$(listeners '.port >= 8100 and .verdict == "expected" and .traits == []')" 3 \
        "expected listeners of the replaced program"
assert_eq "$(listeners ".port >= 8100 and .exe == \"$T/bin/server\"")" 3 "its path"
stop_daemon
for name in old middle new; do release $name; done

if ! command -v unbound >/dev/null; then
        step "unbound: not installed, left out"
        exit 0
fi

# resolve SETTING: 1,500 queries, whose upstream never answers, so that sockets pile up.
resolve() {
        fast
        rule 10-allow.rules "allow any 53 exe=$(realpath "$(command -v unbound)")" 'allow udp 5300'
        configure_unbound "$1"
        hold upstream udp:127.0.0.1:5300
        start_daemon
        unbound -d -c "$T/unbound.conf" >"$T/unbound.log" 2>&1 </dev/null &
        resolver=$!
        wait_for 20 "the resolver" listed 53
        # A of qNNNNNNN.zone, by hand.
        for ((i = 0; i < 1500; i++)); do
                printf '\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x08q%07d\x04zone\x00\x00\x01\x00\x01' \
                        $i >/dev/udp/127.0.0.1/53
                [ $((i % 50)) != 0 ] || sleep 0.1
        done
        sockets=$(($(ss -Hunl | wc -l) + $(ss -Hun | wc -l)))
        [ "$sockets" -gt 50 ] || fail "the resolver has only $sockets sockets: nothing was tested"
        sync_looks
        assert_eq "$(alerts true)" 0 "alerts for a resolver"
        [ "$(intervals '.protocol == "udp"')" -le 12 ] ||
                fail "a resolver made $(intervals '.protocol == "udp"') history rows"
        kill -TERM $resolver
        wait $resolver
        stop_daemon
        release upstream
}

step "a resolver under load"
resolve ''
# Its sockets unconnected, at random ports from 1024 up: what is hardest to tell from servers.
step "a resolver under load that does not connect its sockets"
resolve 'udp-connect: no'
exit 0
