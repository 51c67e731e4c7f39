#!/bin/bash
# SPDX-License-Identifier: MIT
# What portwatchctl says of a listener that stands for all the random ports of a resolver, and of
# those in containers (a known history: helpers/make-state.c). Would catch: a port 0 that people see,
# a resolver that is missing from a list, shown with others' or taken for a client, a rule that does
# not match what it was made from, one made for nobody in particular, and a refusal without a reason.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

"$PW_BUILD/tests/make-state" "$STATE" more || fail "the history cannot be made"
unset COLUMNS

count() {
        ctl "$@" --json 2>/dev/null | jq '.listeners // .intervals // .alerts | length'
}

step "a folded listener in lists"
assert_exit 0 ctl list
assert_says "$T/out" '^udp +0\.0\.0\.0:ephemeral .* dynamic .* unbound ×4321 ' "how it is shown"
assert_says "$T/out" '^5 open, 4 unexpected\.' "neither it nor what the kernel told of is a client"
! grep -q ':0 ' "$T/out" || fail "port 0 is shown"
assert_eq "$(count list ephemeral)" 2 "by the word that is shown"
assert_eq "$(count list udp/ephemeral user=unbound)" 1 "with a protocol"
assert_eq "$(count list tcp/ephemeral)" 0 "with another protocol"
assert_eq "$(count list range=dynamic)" 2 "by its range"
assert_eq "$(count list range=ephemeral)" 3 "with others of the ephemeral range"
assert_eq "$(count list 1-65535)" 3 "not by numbers"
assert_eq "$(count history ephemeral)" 2 "in the history"
assert_eq "$(count list --unexpected)" 4 "unexpected"
assert_exit 2 ctl list 0
assert_exit 2 ctl explain ephemeral
assert_eq "$(ctl list --json ephemeral user=unbound 2>/dev/null |
        jq -c '.listeners[] | [.port, .range, .ephemeral, .sockets, .service]')" \
        '[null,"dynamic",true,4321,null]' "as JSON"
assert_exit 0 ctl list ephemeral
assert_says "$T/out" 'Look closer: portwatchctl show ephemeral$' "what to type next"

step "a folded listener looked at closely"
assert_exit 0 ctl show ephemeral
assert_says "$T/out" 'dnsmasq' "all of them"
assert_exit 0 ctl show @1
assert_says "$T/out" '^udp 0\.0\.0\.0:ephemeral' "the head"
assert_says "$T/out" 'ports +one after another, 4321 so far' "how many"
! grep -q dnsmasq "$T/out" || fail "another's ports with an alert's"
! grep -qE 'dport|SocketBindDeny' "$T/out" || fail "a port is to be closed that is none"
assert_exit 0 ctl alerts
assert_says "$T/out" '@1 .* 0\.0\.0\.0:ephemeral ' "in the alerts"

step "rules from alerts"
assert_exit 0 ctl allow @1
assert_says "$RULES/50-local.rules" \
        '^allow udp ephemeral exe=/usr/sbin/unbound user=unbound scope=any  #' "of a resolver"
assert_exit 0 ctl check udp/ephemeral exe=/usr/sbin/unbound user=unbound address=0.0.0.0
assert_exit 1 ctl check udp/ephemeral exe=/usr/sbin/unbound user=eve address=0.0.0.0
assert_exit 2 ctl require @1
assert_says "$T/err" '"ephemeral" is not a single port' "nothing to require"
assert_exit 0 ctl allow @2
assert_says "$RULES/50-local.rules" \
        '^allow tcp 80 user=root unit=web.service scope=any container=podman:\* netns=podman:\*' \
        "of a container's service"
assert_exit 0 ctl check tcp/80 user=root unit=web.service container=podman:ba9876543210 \
        netns=podman:ba9876543210
assert_exit 1 ctl check tcp/80 user=root unit=other.service container=podman:ba9876543210 \
        netns=podman:ba9876543210
assert_exit 1 ctl allow @3
assert_says "$T/err" 'exe= would not match, and no container is named' "why there is none"
assert_exit 0 ctl show @3
assert_says "$T/out" 'allow it +only by a rule of your own: its executable' "the same in show"
