#!/bin/bash
# SPDX-License-Identifier: MIT
# The module that knows network namespaces, against 200 of them with three listeners each, half of
# them named by `ip netns`; see check-namespaces.c. Would catch, besides, a namespace that it keeps
# alive: each is tied to a device here that disappears with it.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

NAMED=100 UNNAMED=100
LISTENERS=(tcp:127.0.0.1:7001 'tcp6:[::]:7002' udp:127.0.0.1:7003)

# inhabit NAME COMMAND…: a process with the listeners, started by the command, in the background.
inhabit() {
        local name=$1
        shift
        "$@" "$T/bin/open-sockets" "${LISTENERS[@]}" <&"$STDIN_KEEPER" >"$T/$name.out" 2>"$T/$name.err" &
        HOLDERS[$name]=$!
}

# What is to be found: `PID NAME` of each.
expect() {
        local name
        for name in "${!HOLDERS[@]}"; do
                case $name in
                name-*) echo "${HOLDERS[$name]} $name" ;;
                *) echo "${HOLDERS[$name]} -" ;;
                esac
        done >"$T/expected"
}

# The checker looks once, and compares.
look() {
        local before
        before=$(looks)
        echo >&"$CHECK_IN"
        wait_for 60 "the checker looks" looked_since "$before"
        if grep '^FAILED' "$T/check.out"; then
                fail "$1"
        fi
}

looks() {
        grep -c '^LOOKED' "$T/check.out"
}

looked_since() { # LOOKS
        kill -0 "$CHECKER" 2>/dev/null || fail "the checker ended: $(tail "$T/check.out")"
        [ "$(looks)" -gt "$1" ]
}

ties() {
        ip -o link show | grep -c ': tie[0-9]'
}

ties_are() { # COUNT
        [ "$(ties)" = "$1" ]
}

step "$NAMED namespaces with a name, $UNNAMED without"
for ((i = 1; i <= NAMED; i++)); do
        ip netns add "name-$i" || skip "cannot make network namespaces"
        inhabit "name-$i" nsenter --net="/run/netns/name-$i"
done
for ((i = 1; i <= UNNAMED; i++)); do
        inhabit "other-$i" unshare --net
done
for name in "${!HOLDERS[@]}"; do
        wait_for 20 "fixture $name" fixture_ready "$name"
done
for name in "${!HOLDERS[@]}"; do
        echo "link add name tie${HOLDERS[$name]} type veth peer name tie netns ${HOLDERS[$name]}"
done >"$T/ties"
TIED=yes
ip -batch "$T/ties" 2>"$T/ties.err" || TIED=no
[ $TIED = yes ] || step "(no veth here: whether namespaces end cannot be seen)"

step "all of them are known, with their names and listeners"
expect
: >"$T/check.out"
mkfifo "$T/check.in"
"$PW_BUILD/tests/check-namespaces" "$T/expected" <"$T/check.in" >"$T/check.out" 2>&1 &
CHECKER=$!
exec {CHECK_IN}>"$T/check.in"
look "the first look"
grep '^cost' "$T/check.out"
look "a second look"

step "half of them end, and are not kept alive"
for ((i = 1; i <= NAMED / 2; i++)); do
        ip netns del "name-$i" || fail "ip netns del"
        release "name-$i"
done
for ((i = 1; i <= UNNAMED / 2; i++)); do
        release "other-$i"
done
[ $TIED = no ] || wait_for 20 "they end" ties_are $(((NAMED + UNNAMED) / 2))
expect
look "after the end of half"

step "others come, some under the same names"
for ((i = 1; i <= NAMED / 2; i++)); do
        ip netns add "name-$i" || fail "ip netns add"
        inhabit "name-$i" nsenter --net="/run/netns/name-$i"
        inhabit "other-$i" unshare --net
        wait_for 20 "fixture name-$i" fixture_ready "name-$i"
        wait_for 20 "fixture other-$i" fixture_ready "other-$i"
done
expect
look "after others have come"

step "all end"
for name in "${!HOLDERS[@]}"; do
        release "$name"
done
for ((i = 1; i <= NAMED; i++)); do
        ip netns del "name-$i" || fail "ip netns del"
done
[ $TIED = no ] || wait_for 20 "they end" ties_are 0
expect
look "after the end of all"

step "what the checker does by itself"
exec {CHECK_IN}>&-
wait "$CHECKER"
code=$?
sed -n '/^LOOKED/,$p' "$T/check.out" | grep -Ev '^(LOOKED|ok: no descriptor)' | tail -n 20
assert_eq "$code" 0 "exit code of the checker"
exit 0
