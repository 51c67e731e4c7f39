#!/bin/bash
# SPDX-License-Identifier: MIT
# What events bring to an installed service: an alert at once although polls are 30 s apart, with
# every field right, also for what has gone when it is told; and no alert for servers that are
# learned and restarted, though they open their ports as root and become another user. Would
# catch: an alert that waits for a poll, the unit of a process that has ended, the helper that
# opens a socket for systemd taken for its owner, and a restart that looks like somebody else.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

needs dnsmasq memcached ip
needs_events
cp "$PW_BUILD/tests/burst" /usr/local/bin/ || fail "the fixtures are not built"
slowest=0

# told_at_once PORT WHAT COMMAND…: the alert is there within a second of the command.
told_at_once() {
        local port=$1 what=$2 begun took
        shift 2
        begun=$(now_usec)
        "$@" || fail "$what does not start"
        wait_for 1 "$what: an alert" alerted "$port"
        took=$((($(now_usec) - begun) / 1000))
        figure "$(field "$port" MESSAGE)"
        figure "-> after $took ms"
        assert_le $took $((1000 * ${PW_PATIENCE:-1})) "$what: milliseconds to the alert"
        slowest=$((took > slowest ? took : slowest))
}

# A burst's process lives for less than a millisecond.
burst() { # UNIT PORT LINE…
        unit "$1.service" '[Service]' Type=oneshot "${@:3}" \
                "ExecStart=/usr/local/bin/burst tcp --count=1 --life=100 --first=$2"
}

is_over() { # PORT
        [ "$(alert "$1" .resolved)" != null ]
}

# ---- learned servers, before anything else ----

learned() {
        [ -s $STATE/baseline.rules ]
}

step "servers that become another user, learned and restarted twenty times"
unit names.service '[Unit]' StartLimitIntervalSec=0 '[Service]' Type=exec \
        'ExecStart=/usr/sbin/dnsmasq --keep-in-foreground --conf-file --no-resolv --user=nobody'
unit cache.service '[Unit]' StartLimitIntervalSec=0 '[Service]' Type=exec \
        'ExecStart=/usr/bin/memcached -u memcache -l 127.0.0.1 -p 11211 -U 11211'
servers=(names cache)
systemctl start "${servers[@]}" || fail "not all servers start"
sleep 1
mkdir -p $RULES
rule 00-test.rules "allow tcp $SYNC_PORT comment=\"the test's own\""
install_package
wait_for 10 "the first look is learned" learned
wait_for 10 "learning is over" status_says 'events, polling every 30s$'
grep '^allow' $STATE/baseline.rules | sed 's/^/    /'
for server in 'udp 53 .*user=nobody' 'tcp 53 .*user=nobody' 'tcp 11211 .*user=memcache'; do
        assert_says $STATE/baseline.rules "^allow $server" "the baseline"
done
assert_eq "$(portwatchctl status --json | jq -r '"\(.engine) \(.interval_usec)"')" \
        "events 30000000" "the engine, and the time between polls"
for server in "${servers[@]}"; do
        for ((i = 0; i < 20; i++)); do
                systemctl restart "$server" || fail "restart $i of $server"
        done
done
for ((i = 0; i < 3; i++)); do
        sleep 1.2
        systemctl restart "${servers[@]}"
done
sync_looks
sleep 1.2
assert_eq "$(entries PORTWATCH_ALERT=1)" 0 "alerts in the journal: $(
        journalctl -q -o cat PORTWATCH_ALERT=1)"
assert_eq "$(alerts true)" 0 "alerts in the history"
portwatchctl verify >$T/out || fail "not all is expected: $(cat $T/out)"

# ---- what is not expected ----

step "a service"
polls=$(portwatchctl status --json | jq .polls) since=$SECONDS
told_at_once 8100 "a service" run plain -- tcp:0.0.0.0:8100
check_process 8100 "a service"
check_fields 8100 "a service" <<END
PORTWATCH_ADDRESS 0.0.0.0
PORTWATCH_SCOPE any
PORTWATCH_SERVICE xprint-server
PORTWATCH_UID 0
PORTWATCH_USER root
PORTWATCH_UNIT plain.service
PORTWATCH_USER_UNIT
PORTWATCH_CONTAINER
PORTWATCH_LISTENER_ID $(listener_id host 0.0.0.0 8100 root /usr/local/bin/listen \
        plain.service "" "" "")
END

step "a service that has ended within a millisecond"
burst brief 8101
told_at_once 8101 "a brief service" systemctl start brief
check_fields 8101 "a brief service" <<END
PORTWATCH_ADDRESS 127.0.0.1
PORTWATCH_SCOPE loopback
PORTWATCH_COMM burst
PORTWATCH_EXE /usr/local/bin/burst
PORTWATCH_UID 0
PORTWATCH_USER root
PORTWATCH_UNIT brief.service
PORTWATCH_USER_UNIT
PORTWATCH_CONTAINER
PORTWATCH_LISTENER_ID $(listener_id host 127.0.0.1 8101 root /usr/local/bin/burst \
        brief.service "" "" "")
END
wait_for 2 "its alert is over" is_over 8101
assert_le "$(portwatchctl history --json 8101 | jq '.intervals[0].duration_usec')" 20000 \
        "microseconds that it was open"

step "a brief service of a dynamic user"
burst brief-dynamic 8102 DynamicUser=yes
told_at_once 8102 "a dynamic user" systemctl start brief-dynamic
check_fields 8102 "a dynamic user" <<END
PORTWATCH_COMM burst
PORTWATCH_EXE /usr/local/bin/burst
PORTWATCH_UNIT brief-dynamic.service
END
assert_eq "$(alert 8102 '.traits | length')" 0 "traits of a dynamic user's program"
[ "$(field 8102 PORTWATCH_UID)" -ge 61184 ] || fail "a dynamic user: field PORTWATCH_UID"

step "a brief service of an ordinary user"
burst brief-user 8103 User=daemon
told_at_once 8103 "an ordinary user" systemctl start brief-user
check_fields 8103 "an ordinary user" <<END
PORTWATCH_UID $(id -u daemon)
PORTWATCH_USER daemon
PORTWATCH_UNIT brief-user.service
END

step "a socket unit"
unit waits.socket '[Unit]' StartLimitIntervalSec=0 '[Socket]' ListenStream=127.0.0.1:8104
unit waits.service '[Service]' 'ExecStart=/bin/sleep infinity'
told_at_once 8104 "a socket unit" systemctl start waits.socket
check_fields 8104 "a socket unit" <<END
PORTWATCH_PID 1
PORTWATCH_COMM systemd
PORTWATCH_UID 0
PORTWATCH_USER root
PORTWATCH_UNIT waits.socket
PORTWATCH_LISTENER_ID $(listener_id host 127.0.0.1 8104 root "$(readlink /proc/1/exe)" \
        waits.socket "" "" "")
END
check_process 8104 "a socket unit"
for ((i = 0; i < 10; i++)); do
        systemctl restart waits.socket || fail "restart $i of a socket unit"
done

step "a UDP server on a well-known port"
told_at_once 69 "a UDP server" run tftp -- udp:127.0.0.1:69
assert_eq "$(field 69 PORTWATCH_PROTOCOL) $(field 69 PORTWATCH_UNIT)" "udp tftp.service" \
        "a UDP server: protocol and unit"

step "a service with a network of its own, restarted ten times"
unit alone.service '[Unit]' StartLimitIntervalSec=0 '[Service]' Type=exec PrivateNetwork=yes \
        'ExecStart=/usr/local/bin/listen tcp:0.0.0.0:8105'
told_at_once 8105 "a private network" systemctl start alone
check_fields 8105 "a private network" <<END
PORTWATCH_NETNS alone.service
PORTWATCH_UNIT alone.service
PORTWATCH_LISTENER_ID $(listener_id alone.service 0.0.0.0 8105 root /usr/local/bin/listen \
        alone.service "" "" "")
END
check_process 8105 "a private network"
for ((i = 0; i < 10; i++)); do
        systemctl restart alone || fail "restart $i of a private network"
done

step "a service in a network that has a name"
ip netns add lab || fail "no network can be made"
told_at_once 8106 "a named network" run guest -p NetworkNamespacePath=/run/netns/lab \
        -- tcp:0.0.0.0:8106
check_fields 8106 "a named network" <<END
PORTWATCH_NETNS lab
PORTWATCH_UNIT guest.service
END

step "networks that take turns are not taken for each other"
ports=(8107 8108) turns=(left right)
for ((i = 0; i < 2; i++)); do
        unit "${turns[i]}.service" '[Unit]' StartLimitIntervalSec=0 '[Service]' Type=exec \
                PrivateNetwork=yes "ExecStart=/usr/local/bin/listen tcp:0.0.0.0:${ports[i]}"
done
for ((i = 0; i < 20; i++)); do
        systemctl start "${turns[i % 2]}" || fail "turn $i"
        systemctl stop "${turns[i % 2]}"
done
for ((i = 0; i < 2; i++)); do
        assert_eq "$(portwatchctl history -n all --json "${ports[i]}" |
                jq -c '[.intervals[].netns] | unique')" "[\"${turns[i]}.service\"]" \
                "namespaces of port ${ports[i]}"
done

assert_le "$(portwatchctl status --json | jq .polls)" $((polls + (SECONDS - since) / 30 + 1)) \
        "polls meanwhile: one in 30 s"

step "nothing was told twice, nor something else"
sync_looks
sleep 1.2
for port in 8100 8101 8102 8103 8104 69 8105 8106 8107 8108; do
        assert_eq "$(alert_entries $port)" 1 "alerts in the journal for port $port"
        assert_eq "$(alerts ".port == $port")" 1 "alerts in the history for port $port"
done
assert_eq "$(entries PORTWATCH_ALERT=1)" 10 "alerts in the journal"
assert_eq "$(portwatchctl status --json | jq .events_missed)" 0 "events missed"
figure "the slowest alert came after $slowest ms"
exit 0
