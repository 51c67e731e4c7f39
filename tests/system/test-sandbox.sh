#!/bin/bash
# SPDX-License-Identifier: MIT
# The unit's sandbox: how systemd rates it, and what it denies, tried from inside by a unit that
# is the same but for its program, with the capabilities that the daemon keeps. Each is tried by
# root outside, too, where it succeeds: so a refusal comes from the sandbox and not from a probe
# that does nothing. Would catch: a line of the unit that goes, or does not mean what it seems to,
# and a capability that the daemon keeps after its start.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

SCORE=1.7
SCORE_POLLING=1.5 # without the capabilities that events take
STAY=$((1 << 19 | 1 << 2)) # CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH
needed=('open the event engine' 'write the history' 'write the status' 'ask the kernel for sockets'
        "read another process's executable" "list another process's descriptors")

is_needed() { # NAME
        local name
        for name in "${needed[@]}"; do
                [ "$name" != "$1" ] || return 0
        done
        return 1
}

outcome() { # FILE NAME
        awk -F '\t' -v name="$2" '$1 == name { print $2 }' "$1"
}

# rated FILE LIMIT WHAT
rated() {
        local score
        score=$(systemd-analyze security --offline=true --no-pager "$1" 2>/dev/null |
                sed -n 's/.*Overall exposure level for portwatchd.service: \([0-9.]*\) .*/\1/p')
        figure "systemd-analyze security, $3: $score"
        awk -v score="$score" -v limit="$2" \
                'BEGIN { exit !(score ~ /[0-9]/ && score <= limit) }' ||
                fail "the score, $3, is over $2"
}

has_engine() { # NAME
        [ "$(portwatchctl status --json | jq -r .engine)" = "$1" ]
}

# Permitted, effective, inheritable, ambient: bit by bit.
assert_capabilities() { # MASK WHAT
        local set mask
        for set in CapPrm CapEff CapInh CapAmb; do
                mask=$(sed -n "s/^$set:\s*//p" "/proc/$(main_pid)/status")
                figure "$2, $set: $(capsh --decode="$mask" 2>/dev/null || echo "$mask")"
                case $set in
                CapPrm | CapEff) assert_eq $((16#$mask)) "$1" "$2: $set" ;;
                *) assert_eq $((16#$mask & ~$1)) 0 "$2: more in $set" ;;
                esac
        done
}

needs_events
step "how systemd rates it"
ready
unit=$(systemctl show -P FragmentPath portwatchd)
without_events=$(sed -n 's/^#      \([A-Za-z]*=~CAP_.*\)/\1/p' "$unit")
assert_eq "$(wc -l <<<"$without_events")" 2 "lines of the drop-in that the unit tells of"
mkdir $T/polling
sed "s/^\[Install\]/${without_events//$'\n'/\\n}\n&/" "$unit" >$T/polling/portwatchd.service
rated "$unit" $SCORE "with events"
rated $T/polling/portwatchd.service $SCORE_POLLING "without"
systemd-analyze verify --man=no "$unit" >$T/out 2>&1 || fail "systemd-analyze verify: $(cat $T/out)"
[ ! -s $T/out ] || fail "systemd-analyze verify: $(cat $T/out)"

step "what the daemon itself runs with"
assert_eq "$(stat -c %U "/proc/$(main_pid)")" portwatch "its user"
assert_eq "$(sed -n 's/^NoNewPrivs:\s*//p' "/proc/$(main_pid)/status")" 1 "NoNewPrivs"
has_engine events || fail "no events: $(portwatchctl status)"
portwatchctl status --json | jq -r '.blind_spots[].what' >$T/blind
grep -E '(TCP|UDP) (sockets|ports) ' $T/blind && fail "blind to what events tell"
assert_capabilities $STAY "after its start"

step "what it denies"
cp "$PW_BUILD/tests/probe-sandbox" /usr/local/bin/ || fail "the probe is not built"
echo secret >/root/probe
run target -- tcp:127.0.0.1:8080
target=$(systemctl show -P MainPID target)
/usr/local/bin/probe-sandbox "$target" >$T/outside
grep -vE '^(ExecStart|ExecReload|Type|NotifyAccess|WatchdogSec|Restart|Before)=' "$unit" |
        sed "s,^\[Service\],&\nType=oneshot\nStandardOutput=truncate:$T/inside\n$(
        )ExecStart=/usr/local/bin/probe-sandbox --drop $target," >/run/systemd/system/probe.service
systemctl daemon-reload
systemctl start probe || fail "the probe does not start"
while IFS=$'\t' read -r name inside; do
        outside=$(outcome $T/outside "$name")
        printf '    %-44s %-14s %s\n' "$name" "$inside" "(outside: $outside)"
        assert_eq "$outside" "done" "outside: $name"
        if is_needed "$name"; then
                assert_eq "$inside" "done" "inside, where it is needed: $name"
        else
                [ "$inside" != "done" ] || fail "inside, it can $name"
        fi
done <$T/inside
assert_eq "$(cut -f1 $T/inside)" "$(cut -f1 $T/outside)" "attempts inside and outside"

step "without the capabilities for events"
mkdir -p /etc/systemd/system/portwatchd.service.d
printf '%s\n' '[Service]' "$without_events" >/etc/systemd/system/portwatchd.service.d/polling.conf
systemctl daemon-reload
systemctl restart portwatchd || fail "the daemon does not start without them"
has_engine "no events" || fail "events all the same"
assert_capabilities $STAY "without events"
portwatchctl status --json | jq -r '.blind_spots[].lift' >$T/lifts
for capability in CAP_BPF CAP_PERFMON CAP_NET_ADMIN; do
        assert_says $T/lifts $capability "what lifts the blind spots"
done
run polled -- tcp:0.0.0.0:8081
wait_for 10 "an alert" alerted 8081
exit 0
