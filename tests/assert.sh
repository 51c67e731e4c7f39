# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What tests written in shell say and demand. Whoever sources this may redefine explain_failure(),
# which shows what is needed to understand a failure. PW_PATIENCE multiplies all time-outs (for slow
# builds). T is the test's own directory.

skip() {
        trap - EXIT
        echo "skipped: $*"
        exit 77
}

needs() {
        local program
        for program; do
                command -v "$program" >/dev/null || skip "needs $program"
        done
}

step() {
        echo "- $*"
}

# What was measured: the figure of a promise.
figure() {
        echo "    $*"
}

explain_failure() {
        :
}

fail() {
        echo "FAILED: $*"
        trap - EXIT
        explain_failure 2>/dev/null
        exit 1
}

assert_eq() { # ACTUAL EXPECTED WHAT
        [ "$1" = "$2" ] || fail "$3: expected '$2', got '$1'"
}

assert_le() { # ACTUAL LIMIT WHAT
        [ "$1" -le "$2" ] || fail "$3: at most $2, got $1"
}

# assert_exit CODE COMMAND…: the exit code; what it prints goes to $T/out and $T/err.
assert_exit() {
        local expected=$1 code=0
        shift
        "$@" >"$T/out" 2>"$T/err" </dev/null || code=$?
        [ "$code" = "$expected" ] && return
        cat "$T/out" "$T/err"
        fail "exit code of '$*': expected $expected, got $code"
}

assert_says() { # FILE REGEX WHAT
        grep -Eq -- "$2" "$1" && return
        cat "$1"
        fail "$3: nothing matches '$2'"
}

now_usec() {
        echo "${EPOCHREALTIME/[.,]/}"
}

# wait_for SECONDS WHAT COMMAND…: until the command succeeds.
wait_for() {
        local what=$2 end=$(($(now_usec) + $1 * 1000000 * ${PW_PATIENCE:-1}))
        shift 2
        until "$@"; do
                [ "$(now_usec)" -lt "$end" ] || fail "waited in vain: $what"
                sleep 0.05
        done
}
