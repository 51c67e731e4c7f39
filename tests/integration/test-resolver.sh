#!/bin/bash
# SPDX-License-Identifier: MIT
# A resolver that answers 10,000 queries, each asked upstream from a random port that it binds
# explicitly: one listener, at most one alert, and none once it is allowed. Would catch: a listener for
# every query, an alert for some of them, a rule that covers only some, another listener after a
# restart.
# shellcheck disable=SC2119 # start_daemon takes words of its own
export PW_EVENTS=yes
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs unbound python3
RESOLVER=$(realpath "$(command -v unbound)")

cat >"$T/upstream.py" <<'END'
"""Answers every query at 127.0.0.1:5300 with an address; says from how many ports it was asked."""
import signal, socket, sys
asked = set()
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.bind(("127.0.0.1", 5300))
def end(*_):
    print("PORTS", len(asked), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("READY", flush=True)
while True:
    query, peer = s.recvfrom(4096)
    asked.add(peer[1])
    end_of_name = query.index(b"\0", 12) + 1
    s.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end_of_name + 4] +
             b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1", peer)
END

cat >"$T/client.py" <<'END'
"""client.py FIRST COUNT: asks 127.0.0.1:53 for different names until each is answered."""
import socket, sys, time
first, count = map(int, sys.argv[1:])
s = socket.socket(type=socket.SOCK_DGRAM)
s.connect(("127.0.0.1", 53))
s.settimeout(1)
def query(n):
    return n.to_bytes(2, "big") + b"\1\0\0\1\0\0\0\0\0\0\x08q%07d\4zone\0\0\1\0\1" % (first + n)
waiting, sent, end = set(), 0, time.monotonic() + 120
while (waiting or sent < count) and time.monotonic() < end:
    while sent < count and len(waiting) < 100:
        s.send(query(sent))
        waiting.add(sent)
        sent += 1
    try:
        answer = s.recv(4096)
        if answer[3] & 15 == 0 and answer[7] == 1: # no error, an answer
            waiting.discard(int.from_bytes(answer[:2], "big"))
    except socket.timeout:
        for n in waiting:
            s.send(query(n))
sys.exit(1 if waiting else 0)
END

# UDP listeners of the resolver other than its service.
FOLDED=".protocol == \"udp\" and .exe == \"$RESOLVER\" and .port != 53"

start_upstream() {
        background upstream python3 "$T/upstream.py"
}

start_resolver() {
        unbound -d -c "$T/unbound.conf" >"$T/unbound.log" 2>&1 </dev/null &
        HOLDERS[unbound]=$!
        wait_for 20 "the resolver" listed 53
}

ask() { # FIRST COUNT
        python3 "$T/client.py" "$@" || fail "the resolver does not answer: $(tail -n 5 "$T/unbound.log")"
}

resolve() { # SETTING
        configure_unbound "$1"
        fresh
        rule 10-allow.rules "allow any 53 exe=$RESOLVER" 'allow udp 5300'
        start_upstream
        start_daemon
        start_resolver
        ask 0 10000
        wait_for 10 "the resolver's ports are one listener" has_folded
        sync_looks
        assert_eq "$(intervals "$FOLDED")" 1 "intervals of the resolver's ports"
        assert_eq "$(intervals "$FOLDED and .port == null and .ephemeral")" 1 "of them, folded"
        assert_le "$(alerts "$FOLDED")" 1 "alerts for the resolver's ports"
        assert_eq "$(alerts true)" "$(alerts "$FOLDED")" "alerts"

        if [ "$(alerts "$FOLDED")" = 1 ]; then
                step "  allowed by its alert"
                assert_exit 0 ctl allow "@$(alert "$FOLDED" .alert_id)"
                wait_for 10 "the alert is over" has_alert "$FOLDED and .resolved != null"
        else
                assert_exit 0 ctl allow udp ephemeral "exe=$RESOLVER"
        fi
        before=$(alerts true)
        ask 20000 2000
        release unbound
        start_resolver
        ask 30000 2000
        sleep 3
        sync_looks
        assert_eq "$(alerts true)" "$before" "alerts, once it is allowed"
        assert_eq "$(alerts '.resolved == null')" 0 "open alerts"
        assert_le "$(grep -c 'Unexpected port' "$LOG")" "$before" "alerts in the log"
        assert_eq "$(intervals "$FOLDED and .verdict == \"expected\" and .closed == null")" 1 \
                "open intervals of the resolver's ports"
        assert_le "$(intervals "$FOLDED")" 3 "intervals of the resolver's ports"
        assert_eq "$(ctl history -n all --json |
                jq "[.intervals[] | select($FOLDED) | .listener_id] | unique | length")" 1 \
                "listeners that the resolver's ports are"
        release unbound
        stop_daemon
        kill -TERM "${HOLDERS[upstream]}"
        wait "${HOLDERS[upstream]}"
        ports=$(sed -n 's/^PORTS //p' "$T/upstream.out")
        [ "$ports" -ge 5000 ] || fail "only $ports source ports were used: nothing was tested"
        release upstream
}

has_folded() {
        [ "$(intervals "$FOLDED")" -ge 1 ]
}

step "10,000 queries, from connected sockets"
resolve ''
step "10,000 queries, from unconnected sockets"
resolve 'udp-connect: no'
exit 0
