#!/bin/bash
# SPDX-License-Identifier: MIT
# 200 network namespaces with three listeners each, with the event engine and without: all are listed
# by name, and a namespace ends with its last process. Would catch: a look at the own namespace only,
# names that change or are missing, a socket or descriptor of the daemon's that keeps a dead namespace
# alive, listeners that stay open in the history when their namespace has gone.
# shellcheck disable=SC2119 # start_daemon takes words of its own
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

COUNT=200 NAMED=100
cp "$PW_BUILD/tests/many-netns" "$T/bin/" || fail "the fixture is not built"

# crowd FIRST: COUNT namespaces; those with a name are called from FIRST on.
crowd() {
        background crowd "$T/bin/many-netns" --count=$COUNT --named=$NAMED --first="$1"
        # How each is called: the name or, where it has none, its inode.
        awk '/^READY/ { next } { print $3 == "-" ? "net:[" $2 "]" : $3 }' "$T/crowd.out" |
                sort >"$T/names"
        assert_eq "$(sort -u "$T/names" | wc -l)" $COUNT "names"
}

# What dies with the namespace that its other end was moved into: one device each.
tie_devices() {
        awk '/^READY/ { next } { print "link add name tie" NR " type veth peer name tie netns " $1 }' \
                "$T/crowd.out" >"$T/ties"
        ip -batch "$T/ties" 2>"$T/ties.err" && return
        step "  (no veth here: whether namespaces end cannot be seen: $(tail -n 1 "$T/ties.err"))"
        return 1
}

ties() {
        ip -o link show | grep -c ': tie[0-9]'
}

no_ties() {
        [ "$(ties)" = 0 ]
}

# names_of CONDITION: the namespaces with three listeners that fit, sorted.
names_of() {
        ctl list --all --json | jq -r "[.listeners[] | select($1)] | group_by(.netns)[] |
                select((map(\"\(.protocol) \(.port)\") | sort) == [\"tcp 7001\", \"tcp 7002\", \"udp 7003\"]) |
                .[0].netns" | sort
}

all_listed() {
        names_of ".exe == \"$T/bin/many-netns\"" | cmp -s - "$T/names"
}

remove_names() { # FIRST
        local i
        for ((i = $1; i < $1 + NAMED; i++)); do
                ip netns del "many-$i" || fail "ip netns del many-$i"
        done
}

# How many listeners of the crowd have no end.
open_intervals() {
        intervals ".exe == \"$T/bin/many-netns\" and .closed == null"
}

all_closed() {
        [ "$(open_intervals)" = 0 ]
}

# round FIRST: they come while the daemon runs, and go.
round() {
        local tied=yes
        crowd "$1"
        tie_devices || tied=no
        wait_for 60 "all are listed by name: $(names_of true | wc -l) of $COUNT are" all_listed
        assert_eq "$(open_intervals)" $((3 * COUNT)) "open intervals"
        assert_eq "$(intervals '.netns == "host" and .port >= 7001 and .port <= 7003')" 0 \
                "intervals in the wrong namespace"
        [ $tied = no ] || assert_eq "$(ties)" $COUNT "namespaces before their end"
        release crowd
        remove_names "$1"
        [ $tied = no ] || wait_for 20 "every namespace ends with its last process" no_ties
        wait_for 70 "the history closes them" all_closed
        for port in 7001 7002 7003; do
                wait_for 5 "port $port is not listed" unlisted $port
        done
}

for way in Events=yes Events=no; do
        step "$way: they appear, and end"
        fresh $way
        rule 10-allow.rules "allow any any exe=$T/bin/many-netns netns=*"
        start_daemon
        round 1
        assert_eq "$(alerts true)" 0 "alerts"
        step "$way: others, under the same names"
        round 1
        stop_daemon

        step "$way: they are there when the daemon starts"
        crowd 1001
        start_daemon
        wait_for 30 "all are listed by name" all_listed
        before=$(status .pid)
        stop_daemon
        start_daemon
        [ "$(status .pid)" != "$before" ] || fail "it is the same daemon"
        wait_for 30 "all are listed by the same names" all_listed
        assert_eq "$(open_intervals)" $((3 * COUNT)) "open intervals, after a restart"
        release crowd
        remove_names 1001
        wait_for 45 "the history closes them" all_closed
        stop_daemon
done
exit 0
