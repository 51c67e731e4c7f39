#!/bin/bash
# SPDX-License-Identifier: MIT
# The poller and its proofs against the running kernel, each in a network namespace of its own.
set -u

if ! unshare -n true 2>/dev/null; then
        echo "skipped: network namespaces need root"
        exit 77
fi

status=0
for check in check-sockdiag check-proof; do
        unshare -n bash -euc '
                ip link set lo up
                ip -6 address add fe80::1/64 dev lo nodad
                exec "$1"
        ' - "$PW_BUILD/tests/$check" || status=1
done
exit $status
