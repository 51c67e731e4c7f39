# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Common ground of the integration tests. A test sources this file first and is then started again
# in network, mount and process namespaces of its own: nothing that it opens, mounts or starts is
# seen outside, and all of it ends with it, whatever happens. /run is a fresh tmpfs, so there is no
# journal; the test's files are in /run/test, outside the directories that make a program suspicious.
#
# A test asks portwatch only by what its users have: command lines, JSON, rules, the log. Each says
# in its head what it would catch.

set -uo pipefail
export LC_ALL=C.UTF-8 TZ=UTC NO_COLOR=1
: "${PW_BUILD:?is the build directory}" "${PW_SOURCE:?is the source directory}"

PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=tests/assert.sh
. "$PW_SOURCE/tests/assert.sh"

needs jq unshare ip setpriv
if [ -z "${PW_INSIDE-}" ]; then
        [ "$(id -u)" = 0 ] || skip "needs root"
        unshare --net --mount --pid --fork true 2>/dev/null || skip "cannot make namespaces"
        PW_INSIDE=1 exec unshare --net --mount --pid --fork --kill-child --mount-proc \
                bash "$0" "$@"
fi

T=/run/test
STATE=$T/state RUN=$T/state RULES=$T/rules CONF=$T/portwatch.conf LOG=$T/daemon.log
DAEMON=
declare -A HOLDERS=() # name of a fixture -> its pid
SYNC_PORT=1999        # open for a moment whenever a test waits for the daemon to look

explain_failure() {
        echo "--- end of the daemon's log"
        tail -n 40 "$LOG"
        echo "--- alerts"
        ctl alerts --all 2>&1 | tail -n 40
        echo "--- status"
        cat "$RUN/status.json"
        echo
}

# ---- the daemon ----

# daemon_command: the words that start it; more may follow.
daemon_command() {
        COMMAND=("$PW_BUILD/portwatchd" --state="$STATE" --rules="$RULES" -c "$CONF")
        [ "$RUN" = "$STATE" ] || COMMAND+=(--run="$RUN")
}

start_daemon() {
        local logs
        daemon_command
        [[ "$*" == *--log=* ]] || COMMAND+=(--log=stderr)
        logs=$(log_lines)
        "${COMMAND[@]}" "$@" >>"$LOG" 2>&1 </dev/null &
        DAEMON=$!
        wait_for 20 "the daemon's first look" started_since "$logs"
}

# The daemon has written its status since it was started as $DAEMON.
started_since() {
        kill -0 "$DAEMON" 2>/dev/null || fail "the daemon ended: $(tail -n +"$(($1 + 1))" "$LOG")"
        [ "$(status .pid)" = "$DAEMON" ] && [ "$(status .polls)" != 0 ]
}

stop_daemon() {
        local code=0
        kill -TERM "$DAEMON" || fail "the daemon has ended by itself"
        wait "$DAEMON" || code=$?
        DAEMON=
        assert_eq "$code" 0 "exit code of the daemon after SIGTERM"
}

kill_daemon() {
        kill -KILL "$DAEMON"
        wait "$DAEMON" 2>/dev/null
        DAEMON=
}

# SIGHUP, until the rules have been read or refused.
reload_daemon() {
        local before
        before=$(reloads)
        kill -HUP "$DAEMON" || fail "the daemon has ended by itself"
        wait_for 10 "the rules are read again" reloaded_since "$before"
}

reloads() {
        grep -Ec 'Rules were read again|old rules stay in force|No rule is in force' "$LOG"
}

reloaded_since() { # RELOADS
        [ "$(reloads)" -gt "$1" ]
}

log_lines() {
        wc -l <"$LOG"
}

status() { # JQ-PATH
        jq -r "$1" "$RUN/status.json" 2>/dev/null
}

status_says() { # JQ-PATH REGEX
        status "$1" | grep -Eq -- "$2"
}

polled_since() { # POLLS
        [ "$(status .polls)" -gt "$1" ]
}

# Sleeps until the daemon has looked at all that was open when this was called, and has written down
# what it saw: a socket that opens after them is in its list, and then gone from it.
sync_looks() {
        hold sync "tcp:127.0.0.1:$SYNC_PORT"
        wait_for 30 "the daemon sees port $SYNC_PORT" listed "$SYNC_PORT"
        release sync
        wait_for 30 "the daemon sees that port $SYNC_PORT has closed" unlisted "$SYNC_PORT"
}

# ---- portwatchctl ----

ctl() {
        "$PW_BUILD/portwatchctl" --state="$STATE" --run="$RUN" --rules="$RULES" "$@"
}

# listeners JQ-CONDITION: how many the daemon says are open.
listeners() {
        ctl list --all --json | jq "[.listeners[] | select($1)] | length"
}

listed() { # PORT
        [ "$(listeners ".port == $1")" != 0 ]
}

unlisted() { # PORT
        [ "$(listeners ".port == $1")" = 0 ]
}

has_listener() { # JQ-CONDITION
        [ "$(listeners "$1")" = 1 ]
}

no_listener() { # JQ-CONDITION
        [ "$(listeners "$1")" = 0 ]
}

# alerts JQ-CONDITION: how many there are, resolved ones included.
alerts() {
        ctl alerts --all --json | jq "[.alerts[] | select($1)] | length"
}

# alert JQ-CONDITION JQ-EXPRESSION: of the newest alert that fits.
alert() {
        ctl alerts --all --json | jq -r "[.alerts[] | select($1)] | max_by(.alert_id) | $2"
}

has_alert() { # JQ-CONDITION [COUNT]
        [ "$(alerts "$1")" = "${2:-1}" ]
}

# intervals JQ-CONDITION [FILTER…]: how many the history has.
intervals() {
        local condition=$1
        shift
        ctl history -n all --json "$@" | jq "[.intervals[] | select($condition)] | length"
}

# logged_alerts ID: how often the log told of the alert. Its message ends with what to do.
logged_alerts() {
        grep -Ec "portwatchctl (allow|show) @$1\b" "$LOG"
}

logged() { # REGEX
        grep -Eq -- "$1" "$LOG"
}

rule() { # FILE LINE…
        local file=$1
        shift
        printf '%s\n' "$@" >"$RULES/$file"
}

# ---- fixtures ----

# background NAME COMMAND…: has printed READY when this returns. What it prints is in $T/NAME.out.
background() {
        local name=$1
        shift
        : >"$T/$name.out" # else an earlier one of this name could make it ready before it begins
        "$@" <&"$STDIN_KEEPER" >"$T/$name.out" 2>"$T/$name.err" &
        HOLDERS[$name]=$!
        wait_for 60 "fixture $name" fixture_ready "$name"
}

python() { # NAME ARGUMENT…: the program on standard input
        background "$1" python3 -c "$(cat)" "${@:2}"
}

hold() { # NAME SOCKET…
        background "$1" "$T/bin/open-sockets" "${@:2}"
}

fixture_ready() {
        kill -0 "${HOLDERS[$1]}" 2>/dev/null || fail "fixture $1 ended: $(cat "$T/$1.err")"
        grep -q '^READY' "$T/$1.out"
}

release() { # NAME
        kill -TERM "${HOLDERS[$1]}" 2>/dev/null
        wait "${HOLDERS[$1]}" 2>/dev/null
        unset "HOLDERS[$1]"
}

# configure_unbound SETTING: a resolver at 127.0.0.1:53 whose upstream is at port 5300.
configure_unbound() {
        cat >"$T/unbound.conf" <<-END
        server:
                interface: 127.0.0.1
                chroot: ""
                username: ""
                directory: "$T"
                pidfile: "$T/unbound.pid"
                use-syslog: no
                do-not-query-localhost: no
                module-config: "iterator"
                num-threads: 1
                $1
        forward-zone:
                name: "."
                forward-addr: 127.0.0.1@5300
        remote-control:
                control-enable: no
END
}

churn() { # NAME ARGUMENT…
        background "$1" "$T/bin/churn" "${@:2}"
}

# ---- before a test ----

# fresh [SETTING…]: new, empty state and rules; settings as lines; an empty baseline, so that nothing
# is learned (remove $STATE/baseline.rules to have it learned).
fresh() {
        # The directories may be mounts.
        rm -rf "${STATE:?}"/* "${RUN:?}"/* "${RULES:?}"
        mkdir -p "$STATE" "$RUN" "$RULES"
        chmod 0750 "$STATE"
        : >"$STATE/baseline.rules"
        # Started as root, the daemon becomes this user where it exists.
        if getent passwd portwatch >/dev/null; then
                chown -R portwatch: "$STATE" "$RUN"
        else # it drops the privilege to write where others may
                chown -R root: "$STATE" "$RUN"
        fi
        printf '%s\n' '[Watch]' PollIntervalSec=50ms CPUBudget=100% Events="${PW_EVENTS:-no}" "$@" >"$CONF"
        rule 00-test.rules "allow tcp $SYNC_PORT comment=\"the test's own\""
        : >"$LOG"
}

prepare() {
        mount -t tmpfs -o mode=755 tmpfs /run || skip "cannot mount"
        ip link set lo up || skip "cannot bring up the loopback device"
        mkdir -p "$T/bin"
        cp "$PW_BUILD/tests/open-sockets" "$PW_BUILD/tests/churn" "$T/bin/" ||
                fail "the fixtures are not built"
        mkfifo "$T/stdin"
        exec {STDIN_KEEPER}<>"$T/stdin"
        trap '[ $? = 0 ] || fail "the test ended early"' EXIT
        fresh
}

prepare
