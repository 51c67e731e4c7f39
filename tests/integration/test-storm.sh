#!/bin/bash
# SPDX-License-Identifier: MIT
# 5,000 opens and closes a second beside 1,000 listeners that stand still: none of these is reported
# as closed or opened, memory does not grow, and one single unexpected listener of another user has its
# alert within a second. PW_LONG makes each storm last 60 s. Would catch: events that are lost and not
# made up for, a reconcile that believes an incomplete dump, what is kept of each event for ever, an
# owner's limit that hits others, a queue in which the one alert waits behind the storm.
# shellcheck disable=SC2119 # start_daemon takes words of its own
export PW_EVENTS=yes
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

# Memory may grow so much once what is remembered for a while is full. How it is laid out goes on to
# change for a minute, so that a short storm has to allow more.
DURATION=10 GROWTH_KB=8192
[ -z "${PW_LONG-}" ] || DURATION=60 GROWTH_KB=4096
RATE=5000
lone_port=9001

resident() {
        sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$DAEMON/status"
}

# still SPEC…: 1,000 listeners, those given and others.
still() {
        local specs=("$@") i
        for ((i = ${#specs[@]}; i < 1000; i++)); do
                specs+=("tcp:127.0.0.1:$((10000 + i))")
        done
        hold still "${specs[@]}"
}

# Every still one has one interval, which is open.
check_still() {
        ctl history -n all --json |
                jq -c ".intervals[] | select(.exe == \"$T/bin/open-sockets\" and .uid == 0 and .port != $SYNC_PORT)" \
                        >"$T/still.rows"
        assert_eq "$(wc -l <"$T/still.rows")" 1000 "intervals of the still ones"
        assert_eq "$(jq -s 'map(select(.closed != null)) | length' "$T/still.rows")" 0 "false closes"
        assert_eq "$(jq -s 'map(.listener_id) | unique | length' "$T/still.rows")" 1000 \
                "listeners that the still ones are"
}

# A single listener that nobody expects, of another user, in the middle of it.
lone_alert() {
        local port=$((lone_port++)) start
        hold lone "tcp:127.0.0.1:$port,user=$((4000 + port))"
        start=$(now_usec)
        wait_for 1 "the single listener's alert is in the log" logged "Unexpected port.* 127\.0\.0\.1:$port "
        step "  (its alert was seen after $((($(now_usec) - start) / 1000)) ms)"
        wait_for 5 "and in the history" has_alert ".port == $port and .uid == $((4000 + port))"
        release lone
}

# A machine that is too slow for the storm proves nothing.
check_rate() {
        local opened seconds
        read -r opened seconds < <(sed -n 's/^opened \([0-9]*\) .* in \([0-9]*\)\..*/\1 \2/p' "$T/storm.out")
        step "  ($opened opened in $seconds s)"
        [ "$opened" -ge $((RATE * seconds / 2)) ] || fail "the storm was too slow"
}

# storm PATTERN OPTION…: with the still ones open.
storm() {
        local pattern=$1 warm before
        shift
        start_daemon
        wait_for 20 "the still ones are known" listed 10999
        churn storm "$pattern" --rate=$RATE --seconds=$((2 * DURATION + 60)) "$@"
        # What is remembered of the closed, up to a limit, is full by then.
        warm=$((DURATION / 2 + 5))
        sleep $warm
        before=$(resident)
        lone_alert
        sleep $((DURATION / 2))
        lone_alert
        assert_le $(($(resident) - before)) $GROWTH_KB "growth of memory in the storm, in kB"
        kill -TERM "${HOLDERS[storm]}"
        wait "${HOLDERS[storm]}"
        check_rate
        release storm
        sync_looks
        check_still
        assert_eq "$(alerts ".exe == \"$T/bin/open-sockets\" and .uid == 0")" 0 "alerts for the still ones"
        step "  (missed: $(ctl status --json | jq -r .events_missed))"
        stop_daemon
        release still
}

# Two storms are of an allowed program; in the last one all is unexpected. No rule speaks of the single
# listener's port: where one does, a new owner is given a second to become the right one.
begin() {
        fresh
        rule 10-allow.rules "allow any 10000-10999,7777,7778 exe=$T/bin/open-sockets user=root" "$@"
}

step "one SO_REUSEPORT port, TCP"
begin "allow tcp 7777 exe=$T/bin/churn"
specs=()
for ((i = 2; i < 102; i++)); do # its hash bucket
        specs+=("tcp:127.0.0.$i:7777")
done
still "${specs[@]}"
storm group --size=400 --port=7777

step "one UDP port on many addresses"
begin "allow udp 7778 exe=$T/bin/churn"
specs=()
for ((i = 0; i < 200; i++)); do
        specs+=("udp:127.0.1.$i:7778")
done
still "${specs[@]}"
storm addresses --size=800 --port=7778

step "spread ports, all unexpected"
begin
still
storm spread --size=200 --port=2000
assert_le "$(grep -c 'Unexpected port' "$LOG")" 60 "alerts in the log, limited by owner"
exit 0
