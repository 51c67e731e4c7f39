#!/bin/bash
# SPDX-License-Identifier: MIT
# The event engine within the daemon: what lives for microseconds is in the history with its owner, an
# alert does not wait for a poll, nothing is left in the kernel, no privilege is kept, and where parts
# are refused polling does their work. Would catch: lost or unread events, owners looked up after the
# process has gone, a poll that is waited for, alerts for a server that starts as root, links that
# outlive the daemon, capabilities that stay, a daemon that needs what the kernel refuses.
# shellcheck disable=SC2119 # start_daemon takes words of its own
export PW_EVENTS=yes
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs python3

cp "$PW_BUILD/portwatchd" "$PW_BUILD/tests/burst" "$PW_BUILD/tests/list-bpf" "$T/bin/" ||
        fail "the fixtures are not built"

engine() {
        ctl status --json | jq -r .engine
}

no_events() {
        [ "$(engine)" != events ] || fail "the engine: there should be no events"
}

missed() {
        ctl status --json | jq -r .events_missed
}

"$PW_BUILD/tests/check-bpf-open" >"$T/engine.out" 2>&1
[ $? != 77 ] || skip "no event engine here: $(tail -n 1 "$T/engine.out")"

start_daemon
assert_eq "$(engine)" events "the engine"
assert_eq "$(missed)" 0 "events missed"
[ "$(status .interval_usec)" -ge 10000000 ] ||
        fail "with events, polls are only $(status .interval_usec) us apart: this test would prove nothing"
stop_daemon

# ---- listeners that hardly live ----

# burst_rows PROTOCOL USER NETNS: their intervals, in $T/rows.
burst_rows() {
        ctl history -n all --json | jq -c ".intervals[] | select(.protocol == \"$1\" and .uid == $2 and
                .netns == \"$3\" and .exe == \"$T/bin/burst\" and .closed != null)" >"$T/rows"
}

burst_is_told() { # PROTOCOL USER NETNS COUNT
        burst_rows "$1" "$2" "$3"
        [ "$(wc -l <"$T/rows")" -ge "$4" ]
}

# check_burst PROTOCOL USER NETNS COUNT FIRST
check_burst() {
        local what="of $4 $1 listeners in $3"
        wait_for 30 "the history has all $what" burst_is_told "$@"
        assert_eq "$(wc -l <"$T/rows")" "$4" "intervals $what"
        assert_eq "$(jq -s 'map(.port) | unique | "\(length) \(min) \(max)"' -r "$T/rows")" \
                "$4 $5 $(($5 + $4 - 1))" "ports $what"
        # Each lived 50 us or, where its processor was taken away, longer.
        assert_eq "$(jq -s 'map(select(.duration_usec < 40)) | length' "$T/rows")" 0 \
                "durations that are too short $what"
        assert_le "$(jq -s 'map(.duration_usec) | sort | .[length / 2 | floor]' "$T/rows")" 2000 \
                "median duration in us $what"
        assert_eq "$(jq -s 'map(select(.pids | length != 1)) | length' "$T/rows")" 0 \
                "intervals without one process $what"
        assert_eq "$(missed)" 0 "events missed $what"
}

# A slow build would lose some, and say so.
MANY=10000 SOME=2000 FEW=1000
if grep -qa __asan_init "$PW_BUILD/portwatchd"; then
        MANY=300 SOME=300 FEW=300
fi

# burst PROTOCOL USER COUNT FIRST [OPTION…]: in this namespace.
burst() {
        local code=0
        "$T/bin/burst" "$1" --user="$2" --count="$3" --first="$4" "${@:5}" >"$T/burst.out" 2>&1 ||
                code=$?
        [ $code = 0 ] || [ $code = 77 ] || fail "burst: $(cat "$T/burst.out")"
        return $code
}

step "$MANY unexpected TCP listeners that live 50 us, and as many of UDP"
fresh
start_daemon
burst tcp 2001 $MANY 10000
check_burst tcp 2001 host $MANY 10000
burst udp 2002 $MANY 10000
check_burst udp 2002 host $MANY 10000
for user in 2001 2002; do
        [ "$(alerts ".uid == $user and .resolved != null")" -ge $FEW ] ||
                fail "user $user: $(alerts ".uid == $user and .resolved != null") resolved alerts"
        assert_eq "$(alerts ".uid == $user and .resolved == null")" 0 "alerts that stay open"
done
assert_le "$(grep -c 'Unexpected port' "$LOG")" 40 "alerts in the log, 10 a minute an owner"

step "$SOME in another network namespace, by its name"
ip netns add quarters || fail "ip netns"
ip -n quarters link set lo up
for protocol in tcp udp; do
        nsenter --net=/run/netns/quarters "$T/bin/burst" $protocol --user=2003 --count=$SOME \
                --first=10000 >"$T/burst.out" 2>&1 || fail "burst: $(cat "$T/burst.out")"
        check_burst $protocol 2003 quarters $SOME 10000
done
assert_eq "$(intervals '.uid == 2003 and .netns != "quarters"')" 0 "intervals in a wrong namespace"
ip netns del quarters

step "1,000 through io_uring"
if burst tcp 2004 $FEW 10000 --ring; then
        check_burst tcp 2004 host $FEW 10000
        burst udp 2005 $FEW 10000 --ring
        check_burst udp 2005 host $FEW 10000
else
        step "  ($(cat "$T/burst.out"))"
fi
stop_daemon

# ---- at once ----

step "alerts and closes do not wait for a poll"
fresh
start_daemon
for i in 1 2 3 4 5; do
        hold "port$i" "tcp:127.0.0.1:$((8000 + i)),user=$((3000 + i))"
        wait_for 1 "the log tells of it" logged "Unexpected.*:$((8000 + i)) "
        wait_for 1 "an alert" has_alert ".port == $((8000 + i)) and .resolved == null"
        sleep "0.$((RANDOM % 900 + 100))"
done
for i in 1 2 3 4 5; do
        release "port$i"
        wait_for 1 "it is over" has_alert ".port == $((8000 + i)) and .resolved != null"
done
assert_eq "$(intervals '.port > 8000 and .port < 8010 and .closed_how != "event"')" 0 \
        "closes that no event told"

step "a UDP server at a fixed port"
hold udp udp:127.0.0.1:8053,user=3010
wait_for 5 "an alert" has_alert '.port == 8053 and .protocol == "udp" and .resolved == null'
release udp
wait_for 1 "it is over" has_alert '.port == 8053 and .resolved != null'
assert_eq "$(intervals '.port == 8053')" 1 "intervals"

step "UDP clients are none"
churn clients clients --count=500 --rate=1000
wait "${HOLDERS[clients]}"
release clients
sleep 4
assert_eq "$(intervals ".protocol == \"udp\" and .exe == \"$T/bin/churn\"")" 0 "intervals of clients"
stop_daemon

step "an allowed server that restarts, with another pid"
fresh
rule 10-allow.rules "allow tcp 8080 exe=$T/bin/open-sockets user=root"
start_daemon
for _ in 1 2 3 4 5 6 7 8 9 10; do
        hold server tcp:127.0.0.1:8080
        release server
done
sleep 1.5
sync_looks
assert_eq "$(alerts true)" 0 "alerts"
# In a slow build some restarts fall into one turn of the daemon's loop: those are none.
assert_le "$(intervals '.port == 8080')" 10 "intervals"
[ $MANY -lt 10000 ] || assert_eq "$(intervals '.port == 8080')" 10 "intervals"

step "sockets that join a listener are counted, whatever else is found out about it"
python group <<'END'
import socket, time
group = []
for i in range(4):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", 8081))
    s.listen()
    group.append(s)
    time.sleep(0.3)
print("READY", flush=True)
time.sleep(60)
END
wait_for 10 "all four" has_listener '.port == 8081 and .sockets == 4'
release group

# server DELAY USER: binds as root, and becomes USER (a number) after DELAY.
server() {
        python server "$@" <<'END'
import os, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 8090))
s.listen()
time.sleep(float(sys.argv[1]))
os.setresuid(*[int(sys.argv[2])] * 3)
print("READY", flush=True)
time.sleep(60)
END
}

step "a server that binds as root and becomes the user that the rule names"
rule 10-allow.rules 'allow tcp 8090 user=daemon'
reload_daemon
for delay in 0 0.01 0.3; do
        server $delay 1
        sleep 2
        assert_eq "$(alerts '.port == 8090')" 0 "alerts"
        assert_eq "$(listeners '.port == 8090 and .verdict == "expected" and .user == "daemon"')" 1 \
                "expected listeners, user changed after $delay s"
        release server
done
step "and one that becomes another"
server 0 2
wait_for 5 "an alert" has_alert '.port == 8090'
release server
stop_daemon

# ---- beside others, and nothing left ----

# bpf_of PID: its programs and links, one a line, as list-bpf prints them.
bpf_of() {
        sed -n 's/^\(prog\|link\)_id:[[:space:]]*/\1 /p' "/proc/$1/fdinfo/"* 2>/dev/null | sort -u
}

# none_left FILE: none of the lines is among what the kernel has.
none_left() {
        "$T/bin/list-bpf" | sort >"$T/bpf.now"
        [ "$(comm -12 "$1" "$T/bpf.now" | wc -l)" = 0 ]
}

second() { # COMMAND…: with the files of another daemon
        STATE=$T/state2 RUN=$T/state2 RULES=$T/rules2 CONF=$T/conf2 LOG=$T/log2 DAEMON=${SECOND-} "$@"
}

start_second() {
        fresh
        start_daemon
        SECOND=$DAEMON
}

step "two daemons side by side, and neither leaves anything"
fresh
start_daemon
# Variables before a function are its own: DAEMON stays the first one.
second start_second
[ "$SECOND" != "$DAEMON" ] || fail "there is only one daemon"
bpf_of "$DAEMON" >"$T/bpf.first"
bpf_of "$SECOND" >"$T/bpf.second"
for file in first second; do
        [ "$(wc -l <"$T/bpf.$file")" -ge 3 ] || fail "the $file daemon has no BPF programs"
        none_left "$T/bpf.$file" && fail "list-bpf does not see those of the $file daemon"
done
hold both tcp:127.0.0.1:8110,user=3100
wait_for 1 "an alert of the first" has_alert '.port == 8110'
second wait_for 1 "an alert of the second" has_alert '.port == 8110'
kill -KILL "$SECOND"
wait "$SECOND" 2>/dev/null
wait_for 5 "killed, it leaves nothing" none_left "$T/bpf.second"
hold after tcp:127.0.0.1:8111,user=3101
wait_for 1 "the first still has events" has_alert '.port == 8111'
second start_second
bpf_of "$SECOND" >"$T/bpf.second"
stop_daemon
wait_for 5 "stopped, it leaves nothing" none_left "$T/bpf.first"
hold later tcp:127.0.0.1:8112,user=3102
second wait_for 1 "the second has events" has_alert '.port == 8112'
DAEMON=$SECOND
stop_daemon
wait_for 5 "stopped, the second leaves nothing" none_left "$T/bpf.second"
for name in both after later; do release $name; done

# ---- privileges ----

KEPT=$((1 << 2 | 1 << 19)) # DAC_READ_SEARCH, SYS_PTRACE
CAP_BPF=$((1 << 39))

check_capabilities() {
        local set value allowed=$KEPT
        ctl status >"$T/status.out"
        ! grep -q CAP_BPF "$T/status.out" || allowed=$((KEPT | CAP_BPF))
        for set in CapInh CapPrm CapEff CapAmb; do
                value=$((16#$(sed -n "s/^$set:[[:space:]]*//p" "/proc/$DAEMON/status")))
                [ $((value & ~allowed)) = 0 ] || fail "$set has more than it should: $(printf %x $value)"
        done
        [ $((value = 16#$(sed -n 's/^CapEff:[[:space:]]*//p' "/proc/$DAEMON/status"))) = 0 ] ||
                [ $((value & KEPT)) = "$KEPT" ] || fail "CapEff lacks what is needed: $(printf %x $value)"
}

step "capabilities are dropped, as root and as the user portwatch"
fresh
start_daemon
check_capabilities
stop_daemon
cp /etc/passwd /etc/group "$T/"
getent passwd portwatch >/dev/null || echo 'portwatch:x:4711:4711::/:/usr/sbin/nologin' >>"$T/passwd"
getent group portwatch >/dev/null || echo 'portwatch:x:4711:' >>"$T/group"
for file in passwd group; do
        mount --bind "$T/$file" "/etc/$file" || fail "mount over /etc/$file"
done
fresh
start_daemon
assert_eq "$(stat -c %U "/proc/$DAEMON")" portwatch "user of the daemon"
assert_eq "$(engine)" events "its engine"
check_capabilities
hold port tcp:127.0.0.1:8120,user=3200 udp:127.0.0.1:8121,user=3200
wait_for 1 "an alert" has_alert ".port == 8120 and .exe == \"$T/bin/open-sockets\""
wait_for 5 "an alert for UDP" has_alert '.port == 8121'
release port
stop_daemon
umount /etc/passwd /etc/group

step "without any capability it runs on polling"
fresh
chown -R nobody "$STATE"
daemon_command
COMMAND[0]=$T/bin/portwatchd
setpriv --reuid nobody --clear-groups --inh-caps=-all --bounding-set=-all \
        "${COMMAND[@]}" --log=stderr >>"$LOG" 2>&1 </dev/null &
DAEMON=$!
wait_for 20 "the daemon's first look" started_since 0
no_events
ctl status >"$T/status.out"
assert_says "$T/status.out" CAP_BPF "what would lift the blind spot"
hold port tcp:127.0.0.1:8130,user=3300
wait_for 5 "an alert" has_alert '.port == 8130'
release port
wait_for 5 "it is over" has_alert '.port == 8130 and .resolved != null'
stop_daemon

# ---- the kernel's own sockets ----

by_kernel() {
        ctl list --json | jq -e ".listeners[] | select(.port == $1 and (.traits | index(\"kernel\")))" \
                >/dev/null
}

step "the kernel's own: before the start they are learned as that, later they are told as that"
if ip link add vx1 type vxlan id 1 dstport 4790 2>/dev/null && ip link set vx1 up; then
        fresh
        rm "$STATE/baseline.rules"
        start_daemon
        wait_for 5 "the one from before" by_kernel 4790
        grep -q '^allow udp 4790 owner=kernel' "$STATE/baseline.rules" || fail "it is not learned"
        ip link add vx2 type vxlan id 2 dstport 4791 && ip link set vx2 up || fail "vxlan"
        wait_for 5 "the new one" by_kernel 4791
        wait_for 5 "its alert" has_alert '.port == 4791 and .reason == "unexpected"'
        ip link del vx1
        ip link del vx2
        stop_daemon
else
        step "  (no VXLAN in this kernel)"
fi

# ---- the kernel refuses ----

blind_spots() {
        status '[.blind_spots[].what] | sort | join("\n")'
}

listed_there() {
        [ "$(ctl list --all --json | jq '[.listeners[] | select(.netns == "other")] | length')" = "$1" ]
}

fresh
start_daemon
blind_spots >"$T/blind.all"
stop_daemon
for program in tcp_state udp_bind4 udp_bind6 udp_bound4 udp_bound6 udp_released; do
        grep -q "\b$program\b" "$PW_SOURCE/daemon/bpf/engine.bpf.c" ||
                fail "there is no program $program: this test has to follow"
        step "refused: $program"
        fresh
        export PORTWATCH_REFUSE=$program
        start_daemon
        unset PORTWATCH_REFUSE
        blind_spots >"$T/blind.$program"
        [ -n "$(comm -13 "$T/blind.all" "$T/blind.$program")" ] ||
                fail "status names no blind spot: $(cat "$T/blind.$program")"
        hold refused tcp:127.0.0.1:8140,user=3400 udp:127.0.0.1:8141,user=3400
        wait_for 8 "TCP is found" has_alert ".port == 8140 and .exe == \"$T/bin/open-sockets\""
        wait_for 8 "UDP is found" has_alert ".port == 8141 and .exe == \"$T/bin/open-sockets\""
        release refused
        wait_for 8 "its end, too" has_alert '.port == 8140 and .resolved != null'
        stop_daemon
done

# What an event and a text table say of one socket differs: still it is one.
step "refused: list_files; other namespaces are read as text"
fresh
rule 20-netns.rules 'allow any any netns=*'
ip netns add other || fail "ip netns"
export PORTWATCH_REFUSE=list_files
start_daemon
unset PORTWATCH_REFUSE
assert_eq "$(engine)" events "the engine"
background there nsenter --net=/run/netns/other "$T/bin/open-sockets" tcp:[::]:8160,v6only \
        tcp:0.0.0.0:8161 udp:[::]:8162,v6only
wait_for 5 "all three are listed" listed_there 3
sleep 35 # a look at everything
assert_eq "$(intervals '.netns == "other"')" 3 "intervals"
assert_eq "$(intervals '.netns == "other" and .closed == null')" 3 "open ones"
release there
wait_for 5 "they are closed" listed_there 0
stop_daemon
ip netns del other

step "switched off, and all refused"
for way in Events=no Events=yes; do
        fresh $way
        [ $way = Events=no ] || export PORTWATCH_REFUSE=tcp_state,udp_bind4,list_tcp,list_files
        start_daemon
        unset PORTWATCH_REFUSE
        no_events
        hold refused tcp:127.0.0.1:8150,user=3500
        wait_for 5 "TCP is found" has_alert '.port == 8150'
        release refused
        stop_daemon
done
exit 0
