#!/bin/bash
# SPDX-License-Identifier: MIT
# The unit's sandbox: how systemd rates it, and what it denies, tried from inside by a unit that is
# the same but for its program. Each is tried by root outside, too, where it succeeds: so a refusal
# comes from the sandbox and not from a probe that does nothing. Would catch: a line of the unit
# that goes, or does not mean what it seems to.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

SCORE=1.5
needed=('write the history' 'write the status' 'ask the kernel for sockets'
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

step "how systemd rates it"
ready
unit=$(systemctl show -P FragmentPath portwatchd)
score=$(systemd-analyze security --offline=true --no-pager "$unit" 2>/dev/null |
        sed -n 's/.*Overall exposure level for portwatchd.service: \([0-9.]*\) .*/\1/p')
figure "systemd-analyze security: $score"
awk -v score="$score" -v limit=$SCORE 'BEGIN { exit !(score ~ /[0-9]/ && score <= limit) }' ||
        fail "the score is over $SCORE"
systemd-analyze verify --man=no "$unit" >$T/out 2>&1 || fail "systemd-analyze verify: $(cat $T/out)"
[ ! -s $T/out ] || fail "systemd-analyze verify: $(cat $T/out)"

step "what the daemon itself runs with"
assert_eq "$(stat -c %U "/proc/$(main_pid)")" portwatch "its user"
assert_eq "$(sed -n 's/^NoNewPrivs:\s*//p' "/proc/$(main_pid)/status")" 1 "NoNewPrivs"
figure "capabilities: $(sed -n 's/^CapEff:\s*//p' "/proc/$(main_pid)/status" |
        { read -r mask; capsh --decode="$mask" 2>/dev/null || echo "$mask"; })"

step "what it denies"
cp "$PW_BUILD/tests/probe-sandbox" /usr/local/bin/ || fail "the probe is not built"
echo secret >/root/probe
run target -- tcp:127.0.0.1:8080
target=$(systemctl show -P MainPID target)
/usr/local/bin/probe-sandbox "$target" >$T/outside
grep -vE '^(ExecStart|ExecReload|Type|NotifyAccess|WatchdogSec|Restart|Before)=' "$unit" |
        sed "s,^\[Service\],&\nType=oneshot\nStandardOutput=truncate:$T/inside\n$(
        )ExecStart=/usr/local/bin/probe-sandbox $target," >/run/systemd/system/probe.service
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
exit 0
