#!/bin/bash
# SPDX-License-Identifier: MIT
# The traps of "who it is", each tried: a program must not pass for an allowed one by showing its
# path. Would catch: trusting the text of /proc/PID/exe, " (deleted)" cut off without a look at the
# file, a rule for the host that speaks for other network namespaces.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

# The allowed program: root's, at a path of its own. The impostors have another inode.
mkdir "$T/sbin"
cp "$(type -P true)" "$T/sbin/server"
fresh
rule 10-allow.rules "allow tcp 8000-8099 exe=$T/sbin/server"
start_daemon

# impostor PORT TRAIT WHAT: it shows the allowed path, and is not allowed.
impostor() {
        wait_for 20 "an alert for $3" has_alert ".port == $1 and .resolved == null"
        sync_looks
        assert_eq "$(listeners ".port == $1 and .verdict == \"unexpected\"")" 1 "$3: unexpected"
        assert_eq "$(listeners ".port == $1 and (.traits | index(\"$2\") != null)")" 1 \
                "$3: trait $2, not $(ctl list --json "tcp/$1" | jq -c '.listeners[].traits')"
}

step "the real one is allowed"
hold real --copy="$T/sbin/server" tcp:127.0.0.1:8000
sync_looks
assert_eq "$(listeners '.port == 8000 and .verdict == "expected"')" 1 "the allowed program"

step "a mount namespace with another file over the allowed path"
hold mounted --exe-as="$T/sbin/server" tcp:127.0.0.1:8001
assert_eq "$(readlink "/proc/${HOLDERS[mounted]}/exe")" "$T/sbin/server" "the path that it shows"
impostor 8001 foreign-root "a mounted-over path"

step "deleted, and another user's file in its place"
mkdir "$T/home"
hold deleted --copy="$T/home/server" tcp:127.0.0.1:8002
rule 10-allow.rules "allow tcp 8000-8099 exe=$T/sbin/server" "allow tcp 8002 exe=$T/home/server"
rm "$T/home/server"
cp "$T/sbin/server" "$T/home/server"
chown nobody "$T/home/server"
stop_daemon
start_daemon
impostor 8002 deleted "a deleted program"

step "a file in memory"
hold memory --memfd tcp:127.0.0.1:8003
impostor 8003 memfd "a program in memory"

step "a living file whose name ends in ' (deleted)', in a mount namespace"
# Readlink shows "…/server (deleted)"; what is left without the end is the allowed program's path.
mkdir "$T/lower"
hold suffix --copy="$T/lower/server (deleted)" tcp:127.0.0.1:8004
rule 20-lower.rules "allow tcp 8004-8005 exe=$T/lower/server"
cp "$T/sbin/server" "$T/lower/server"
stop_daemon
start_daemon
wait_for 20 "an alert for the suffix" has_alert '.port == 8004 and .resolved == null'

step "an unprivileged user's namespace: own file at root's path, then deleted"
chmod 0755 "$T" "$T/bin"
if setpriv --reuid=65534 --regid=65534 --clear-groups unshare -Urm true 2>/dev/null; then
        # shellcheck disable=SC2016
        background user setpriv --reuid=65534 --regid=65534 --clear-groups unshare -Urm bash -c '
                mount -t tmpfs tmpfs '"$T/sbin"' &&
                exec '"$T"'/bin/open-sockets --deleted='"$T"'/sbin/server tcp:127.0.0.1:8005'
        assert_eq "$(readlink "/proc/${HOLDERS[user]}/exe")" "$T/sbin/server (deleted)" "its path"
        wait_for 20 "an alert for it" has_alert '.port == 8005 and .resolved == null'
        assert_eq "$(listeners '.port == 8005 and .verdict == "expected"')" 0 "expected impostors"
else
        step "  no user namespaces here, left out"
fi

step "a rule without netns= speaks of the host's namespace only"
rule 30-netns.rules 'allow tcp 9000' 'allow tcp 9001 netns=blue'
assert_exit 0 ctl check tcp/9000
assert_exit 1 ctl check tcp/9000 netns=blue
assert_exit 0 ctl check tcp/9001 netns=blue
assert_exit 1 ctl check tcp/9001
stop_daemon
exit 0
