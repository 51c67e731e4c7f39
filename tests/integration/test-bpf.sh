#!/bin/bash
# SPDX-License-Identifier: MIT
# The event engine against the running kernel, in a network namespace of its own, and again in a
# process namespace of its own, where processes have other numbers. Would catch: listeners that are
# not told, wrong owners or executables, clients taken for listeners, attachments that outlive us.
set -u

if ! unshare -n -m -p --fork true 2>/dev/null; then
        echo "skipped: namespaces need root"
        exit 77
fi

# run UNSHARE-OPTION… -- PROGRAM ARGUMENT…
run() {
        local options=()
        while [ "$1" != -- ]; do
                options+=("$1")
                shift
        done
        unshare -n -m "${options[@]}" bash -euc '
                mount -t tmpfs -o mode=755 tmpfs /run
                ip link set lo up
                ip -6 address add fe80::1/64 dev lo nodad
                exec "$@"
        ' - "$PW_BUILD/tests/$2" "${@:3}"
}

"$PW_BUILD/tests/check-bpf-open"
status=$?
[ $status = 77 ] && exit 77
private=(-p --fork --kill-child --mount-proc)
run -- check-bpf 10000 || status=1
run "${private[@]}" -- check-bpf 200 || status=1
run "${private[@]}" -- check-holders || status=1
exit $status
