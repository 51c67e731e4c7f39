#!/bin/bash
# SPDX-License-Identifier: MIT
# 5,000 opens and closes a second in one hash bucket, beside 1,000 sockets that stand still, over
# 1,000 polls: none of the still ones may be reported as closed or opened. Would catch: believing that
# what a dump lacks is gone, believing its repeated rows, a lookup that proves the wrong thing for UDP
# or within a REUSEPORT group.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

# watch_1000_polls: the daemon from its start to its end, the history kept.
watch_1000_polls() {
        daemon_command
        timeout $((100 * ${PW_PATIENCE:-1})) "${COMMAND[@]}" --log=stderr --polls=1000 >>"$LOG" 2>&1 \
                </dev/null || fail "1,000 polls: exit code $?"
        assert_eq "$(status .polls)" 1000 "polls"
}

# stable CONDITION COUNT: each listener that fits has exactly one interval, which is open.
stable() {
        ctl history -n all --json >"$T/history.json"
        assert_eq "$(jq "[.intervals[] | select($1)] | length" "$T/history.json")" "$2" \
                "intervals of the still ones"
        assert_eq "$(jq "[.intervals[] | select($1) | select(.closed != null)] | length" \
                "$T/history.json")" 0 "false closes"
        assert_eq "$(jq "[.intervals[] | select($1) | .listener_id] | unique | length" \
                "$T/history.json")" "$2" "listeners of the still ones"
}

begin() {
        # A dump may lack a still one for once. If that is the first, it is a port like those that churn:
        # told once it is this old.
        fresh EphemeralDwellSec=1s
        sed -i 's/^PollIntervalSec=.*/PollIntervalSec=0/' "$CONF"
        # By owner: a socket that closes before its owner is found must not become somebody else's.
        rule 10-allow.rules "allow any any exe=$T/bin/open-sockets" "allow any any exe=$T/bin/churn"
}

step "one group of 400, TCP"
begin
specs=()
for ((i = 0; i < 900; i++)); do
        specs+=("tcp:127.0.0.1:$((10000 + i))")
done
for ((i = 2; i < 102; i++)); do # the group's port, other addresses
        specs+=("tcp:127.0.0.$i:7777")
done
hold still "${specs[@]}"
churn group group --rate=5000 --size=400 --port=7777 --seconds=120
watch_1000_polls
stable '.port >= 10000 or (.port == 7777 and .address != "127.0.0.1")' 1000
stable '.port == 7777 and .address == "127.0.0.1"' 1
assert_eq "$(alerts true)" 0 "alerts"
kill -TERM "${HOLDERS[group]}"
wait "${HOLDERS[group]}"
rate=$(sed -n 's/^opened \([0-9]*\) closed .* in \([0-9]*\)\..*/\1 \2/p' "$T/group.out")
step "  (opened in seconds: $rate)"
release group
release still

step "one port on 1,000 addresses, UDP"
begin
# Longer than it takes to tell UDP that was not in the first dump.
sed -i 's/^PollIntervalSec=.*/PollIntervalSec=5ms/' "$CONF"
specs=()
for ((i = 0; i < 200; i++)); do
        specs+=("udp:127.0.1.$i:7778")
done
hold still "${specs[@]}"
churn addresses addresses --rate=5000 --size=800 --port=7778 --seconds=120
watch_1000_polls
stable '.port == 7778 and (.address | startswith("127.0.1."))' 200
assert_eq "$(alerts true)" 0 "alerts"
release addresses
exit 0
