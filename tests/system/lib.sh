# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Common ground of the system tests. A test sources this file first: that boots a systemd (boot.sh),
# and starts the test again in it. What a test does there, installing included, is seen nowhere else
# and ends with it. The package is there already (make-packages.sh).
#
# Before that a test may set IMAGE=yes, to be run before the boot, too, with PW_STAGE=image.

set -uo pipefail
export LC_ALL=C.UTF-8 TZ=UTC NO_COLOR=1
: "${PW_BUILD:?is the build directory}" "${PW_SOURCE:?is the source directory}"
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=tests/assert.sh
. "$PW_SOURCE/tests/assert.sh"

T=/run/test
# shellcheck disable=SC2034 # for the tests
VERSION=$(sed -n 's/^project(portwatch VERSION \([0-9.]*\) .*/\1/p' "$PW_SOURCE/CMakeLists.txt")
PACKAGE=$PW_BUILD/package/portwatch.deb
# shellcheck disable=SC2034
EARLIER_PACKAGE=$PW_BUILD/package/earlier.deb
RULES=/etc/portwatch/rules.d STATE=/var/lib/portwatch STATUS=/run/portwatch/status.json

# ---- outside ----

boot() {
        local options=() self
        self=$(realpath "$0")
        needs jq systemctl systemd-run nsenter unshare setpriv findmnt pgrep dbus-daemon dpkg
        [ "$(id -u)" = 0 ] || skip "needs root"
        [ -e "$PACKAGE" ] || skip "needs $PACKAGE: make-packages.sh"
        [ -z "${IMAGE-}" ] || options=(--prepare "PW_STAGE=image bash '$self'")
        PW_STAGE=booted exec bash "$PW_SOURCE/tests/system/boot.sh" --seconds 540 \
                --share "$PW_SOURCE" --share "$PW_BUILD" "${options[@]}" -- bash "$self"
}

# ---- inside ----

explain_failure() {
        [ "${PW_STAGE-}" = booted ] || return
        echo "--- the journal"
        journalctl --no-pager -n 30 -o short-precise
        echo "--- the unit"
        systemctl status --no-pager -n 0 portwatchd
        cat $STATUS
        echo "--- alerts"
        portwatchctl alerts --all --json=pretty | tail -n 80
}

# Nothing of another portwatch on this machine, and quick packages.
clean_machine() {
        local manifest=/usr/local/share/portwatch/install-manifest
        if dpkg-query -W portwatch >/dev/null 2>&1; then dpkg --purge portwatch >/dev/null; fi
        if [ -e $manifest ]; then grep -v '/$' $manifest | xargs rm -f; fi
        if getent passwd portwatch >/dev/null; then userdel portwatch; fi
        rm -rf /etc/portwatch /var/lib/portwatch /var/lib/man-db/auto-update
        cp "$PW_BUILD/tests/open-sockets" /usr/local/bin/listen || fail "the fixtures are not built"
}

prepare() {
        mkdir -p $T
        clean_machine
}

begin() {
        trap '[ $? = 0 ] || fail "the test ended early"' EXIT
        if [ -z "${IMAGE-}" ]; then prepare; fi
        # shellcheck disable=SC2034 # "listen" ends with its input
        mkfifo -m 0644 $T/stdin && exec {STDIN_KEEPER}<>$T/stdin
        wait_for 60 "the boot" booted
}

booted() {
        [[ $(systemctl is-system-running) =~ ^(running|degraded)$ ]]
}

install_package() {
        dpkg --install "$PACKAGE" >$T/dpkg.log 2>&1 && return
        cat $T/dpkg.log
        fail "the package cannot be installed"
}

# ready [SETTING…]: installs, with these lines in the settings, and with nothing learned.
ready() {
        mkdir -p $RULES $STATE /etc/portwatch/portwatch.conf.d
        : >$STATE/baseline.rules
        printf '%s\n' '[Watch]' "$@" >/etc/portwatch/portwatch.conf.d/test.conf
        rule 00-test.rules "allow tcp $SYNC_PORT comment=\"the test's own\""
        install_package
        chown -R portwatch: $STATE
        chmod 0750 $STATE
        systemctl restart portwatchd || fail "the daemon does not start"
}

rule() { # FILE LINE…
        local file=$1
        shift
        printf '%s\n' "$@" >"$RULES/$file"
}

main_pid() {
        systemctl show -P MainPID portwatchd
}

restarts() {
        systemctl show -P NRestarts portwatchd
}

is_active() {
        [ "$(systemctl is-active portwatchd)" = active ]
}

restarted_since() { # RESTARTS
        [ "$(restarts)" -gt "$1" ] && is_active
}

# The unit's own line, as "systemctl status" shows it.
status_line() {
        systemctl show -P StatusText portwatchd
}

status_says() { # REGEX
        status_line | grep -Eq -- "$1"
}

store_state() {
        portwatchctl status --json | jq -r .store.state
}

store_says() { # REGEX
        store_state | grep -Eq -- "$1"
}

# Where the kernel has no event engine for us, or portwatch is built without.
needs_events() {
        local code=0
        "$PW_BUILD/tests/check-bpf-open" >$T/engine 2>&1 || code=$?
        [ $code != 77 ] || skip "no event engine here: $(tail -n 1 $T/engine)"
}

# ---- listeners ----

SYNC_PORT=1999

# unit NAME LINE…: a unit in /run. Services listen by "ExecStart=/usr/local/bin/listen …".
unit() {
        local name=$1
        shift
        {
                printf '%s\n' "$@"
                if [[ $name == *.service ]]; then printf '%s\n' "StandardInput=file:$T/stdin"; fi
        } >"/run/systemd/system/$name"
        systemctl daemon-reload
}

# run NAME OPTION… -- SOCKET…: listens as a transient unit.
run() {
        local name=$1 options=()
        shift
        while [ "$1" != -- ]; do
                options+=("$1")
                shift
        done
        shift
        systemd-run --quiet --collect --unit="$name" -p Type=exec -p StandardInput="file:$T/stdin" \
                "${options[@]}" /usr/local/bin/listen "$@" || fail "unit $name does not start"
}

# ---- what is seen ----

# listeners JQ-CONDITION: how many the daemon says are open.
listeners() {
        portwatchctl list --all --json 2>$T/listeners.err |
                jq "[.listeners[] | select($1)] | length"
}

listed() { # PORT
        [ "$(listeners ".port == $1")" != 0 ]
}

unlisted() { # PORT
        [ "$(listeners ".port == $1")" = 0 ]
}

# Sleeps until the daemon has looked at all that was open when this was called.
sync_looks() {
        run sync -- "tcp:127.0.0.1:$SYNC_PORT"
        wait_for 40 "the daemon sees port $SYNC_PORT" listed $SYNC_PORT
        systemctl stop sync
        wait_for 40 "the daemon sees that port $SYNC_PORT has closed" unlisted $SYNC_PORT
}

# intervals PORT: how often the history has it.
intervals() {
        portwatchctl history -n all --json "$1" | jq '.intervals | length'
}

# alerts JQ-CONDITION: how many there are in the history, resolved ones included.
alerts() {
        portwatchctl alerts --all --json | jq "[.alerts[] | select($1)] | length"
}

# alert PORT JQ-EXPRESSION: of the newest alert for the port.
alert() {
        portwatchctl alerts --all --json |
                jq -r "[.alerts[] | select(.port == $1)] | max_by(.alert_id) | $2"
}

# entries FIELD=VALUE…: how many the journal has.
entries() {
        journalctl --quiet --output=cat --output-fields=MESSAGE "$@" | grep -c .
}

# alert_entries PORT
alert_entries() {
        entries PORTWATCH_ALERT=1 "PORTWATCH_PORT=$1"
}

alerted() { # PORT
        [ "$(alert_entries "$1")" != 0 ]
}

# field PORT NAME: of the newest alert in the journal.
field() {
        journalctl --quiet -n 1 -o json PORTWATCH_ALERT=1 "PORTWATCH_PORT=$1" | jq -r ".$2 // \"\""
}

# exactly_one PORT WHAT
exactly_one() {
        wait_for 20 "$2: an alert" alerted "$1"
        sync_looks
        assert_eq "$(alert_entries "$1")" 1 "$2: alerts in the journal"
        assert_eq "$(alerts ".port == $1")" 1 "$2: alerts in the history"
}

# listener_id NETNS ADDRESS PORT USER EXE UNIT USER-UNIT CONTAINER: as record.h says, of TCP.
listener_id() {
        printf '%s\0' "$1" tcp "$2" "$3" "" "${@:4}" | sha256sum | cut -c 1-32
}

# check_fields PORT WHAT, and lines "NAME VALUE" on standard input: the newest alert in the journal
# has them, and what every alert for a service on a registered TCP port has.
check_fields() {
        local port=$1 fields name value
        fields=$(cat)
        [[ $fields == *PORTWATCH_NETNS* ]] || fields+=$'\nPORTWATCH_NETNS host'
        while read -r name value; do
                assert_eq "$(field "$port" "$name")" "$value" "$2: field $name"
        done <<END
MESSAGE_ID ac569087109944ca883b863d27773927
PRIORITY 4
SYSLOG_IDENTIFIER portwatchd
_SYSTEMD_UNIT portwatchd.service
PORTWATCH_ALERT 1
PORTWATCH_EVENT alert
PORTWATCH_ALERT_ID $(alert "$port" .alert_id)
PORTWATCH_REASON unexpected
PORTWATCH_PROTOCOL tcp
PORTWATCH_PORT $port
PORTWATCH_RANGE registered
PORTWATCH_VERDICT unexpected
PORTWATCH_RULE
PORTWATCH_PID $(alert "$port" '.pids[0]')
$fields
END
}

# check_process PORT WHAT: the alert's process is there, and what the alert says of it.
check_process() {
        local port=$1 pid
        pid=$(field "$port" PORTWATCH_PID)
        [ -d "/proc/$pid" ] || fail "$2: process $pid is not there"
        assert_eq "$(field "$port" PORTWATCH_CMDLINE)" \
                "$(tr '\0' ' ' <"/proc/$pid/cmdline" | sed 's/ $//')" "$2: field PORTWATCH_CMDLINE"
        assert_eq "$(field "$port" PORTWATCH_COMM)" "$(cat "/proc/$pid/comm")" "$2: field COMM"
        assert_eq "$(field "$port" PORTWATCH_EXE)" "$(readlink "/proc/$pid/exe")" "$2: field EXE"
}

case ${PW_STAGE-} in
booted) begin ;;
image) prepare ;;
*) boot ;;
esac
