#!/bin/bash
# SPDX-License-Identifier: MIT
# Attribution against the running kernel, in namespaces of its own; see check-attribution.c.
set -u

if [ "$(id -u)" != 0 ] || ! unshare --net --mount --pid --fork true 2>/dev/null; then
        echo "skipped: namespaces need root"
        exit 77
fi

# Outside the directories that make a program suspicious.
# shellcheck disable=SC2016
exec unshare --net --mount --pid --fork --kill-child --mount-proc bash -euc '
        mount -t tmpfs -o mode=0755 tmpfs /run
        cp "$1" /run/check-attribution
        mkdir /run/check
        exec /run/check-attribution /run/check
' - "$PW_BUILD/tests/check-attribution"
