#!/bin/bash
# SPDX-License-Identifier: MIT
# An unexpected listener of each kind of unit: exactly one alert in the journal, every field right,
# and the command at the end of its message ends it within a second, for good. Would catch: a unit
# that is not known or is another's, a rule written from an alert that does not match its listener,
# a user's unit that passes for the system's, and a message that cannot be followed.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

needs runuser useradd
user=watched
slowest=0

# check_alert PORT WHAT, and fields on standard input.
check_alert() {
        exactly_one "$1" "$2"
        check_fields "$1" "$2"
        check_process "$1" "$2"
}

is_resolved() { # PORT
        [ "$(alert "$1" .resolved)" != null ]
}

# follow PORT WHAT: does what the message says.
follow() {
        local message command begun took
        message=$(field "$1" MESSAGE)
        command=$(grep -oE 'Allow: portwatchctl allow @[0-9]+$' <<<"$message") ||
                fail "$2: the message ends with no command: $message"
        ${command#Allow: } >$T/out 2>&1 || fail "$2: ${command#Allow: }: $(cat $T/out)"
        begun=$(now_usec)
        wait_for 5 "$2: the alert is resolved" is_resolved "$1"
        took=$((($(now_usec) - begun) / 1000))
        figure "$message"
        figure "-> $(tail -n 1 $RULES/50-local.rules), resolved after $took ms"
        assert_le $took $((1000 * ${PW_PATIENCE:-1})) "$2: milliseconds to resolve the alert"
        assert_eq "$(listeners ".port == $1 and .verdict == \"expected\"")" 1 "$2: verdict"
        slowest=$((took > slowest ? took : slowest))
}

ready
useradd --create-home --shell /bin/bash $user
uid=$(id -u $user)

step "a service"
run plain -- tcp:0.0.0.0:8080
check_alert 8080 "a service" <<END
PORTWATCH_ADDRESS 0.0.0.0
PORTWATCH_SCOPE any
PORTWATCH_SERVICE http-alt
PORTWATCH_UID 0
PORTWATCH_USER root
PORTWATCH_UNIT plain.service
PORTWATCH_USER_UNIT
PORTWATCH_CONTAINER
PORTWATCH_LISTENER_ID $(listener_id host 0.0.0.0 8080 root /usr/local/bin/listen plain.service "" "" "")
END
follow 8080 "a service"

step "a service that a socket will start"
unit waits.socket '[Socket]' ListenStream=127.0.0.1:8002
unit waits.service '[Service]' 'ExecStart=/bin/sleep infinity'
systemctl start waits.socket
check_alert 8002 "a socket unit" <<END
PORTWATCH_ADDRESS 127.0.0.1
PORTWATCH_SCOPE loopback
PORTWATCH_UID 0
PORTWATCH_USER root
PORTWATCH_UNIT waits.socket
END
exec 9<>/dev/tcp/127.0.0.1/8002
exec 9>&-
wait_for 10 "the service is started" systemctl is-active --quiet waits.service
exactly_one 8002 "an activated service"
follow 8002 "an activated service"

step "a service with a dynamic user"
run dynamic -p DynamicUser=yes -- 'tcp:[::]:8003,dual'
exactly_one 8003 "a dynamic user"
dynamic=$(stat -c %u "/proc/$(systemctl show -P MainPID dynamic)")
check_fields 8003 "a dynamic user" <<END
PORTWATCH_ADDRESS *
PORTWATCH_SCOPE any
PORTWATCH_UID $dynamic
PORTWATCH_USER $(getent passwd "$dynamic" | cut -d: -f1 | grep . || echo "$dynamic")
PORTWATCH_UNIT dynamic.service
END
follow 8003 "a dynamic user"

step "a templated unit"
unit many@.service '[Service]' 'ExecStart=/usr/local/bin/listen tcp:127.0.0.1:%i'
systemctl start many@8004
check_alert 8004 "a templated unit" <<<"PORTWATCH_UNIT many@8004.service"
follow 8004 "a templated unit"

as_user() {
        runuser -u $user -- env XDG_RUNTIME_DIR="/run/user/$uid" "$@"
}

step "a user's service"
systemctl start "user@$uid" || fail "no user manager"
as_user systemd-run --user --quiet --unit=own -p StandardInput=file:$T/stdin \
        /usr/local/bin/listen tcp:127.0.0.1:8005 || fail "no user unit can be started"
check_alert 8005 "a user's service" <<END
PORTWATCH_UID $uid
PORTWATCH_USER $user
PORTWATCH_UNIT user@$uid.service
PORTWATCH_USER_UNIT own.service
PORTWATCH_LISTENER_ID $(listener_id host 127.0.0.1 8005 $user /usr/local/bin/listen \
        "user@$uid.service" own.service "" "")
END
follow 8005 "a user's service"

step "a user's unit that is called like a system unit"
rule 20-trap.rules 'allow tcp 8006 unit=plain.service'
as_user systemd-run --user --quiet --unit=plain -p StandardInput=file:$T/stdin \
        /usr/local/bin/listen tcp:127.0.0.1:8006 || fail "no user unit can be started"
check_alert 8006 "a user's plain.service" <<END
PORTWATCH_UNIT user@$uid.service
PORTWATCH_USER_UNIT plain.service
END
follow 8006 "a user's plain.service"

step "a process in a scope"
systemd-run --quiet --scope --unit=job /usr/local/bin/listen tcp:127.0.0.1:8007 \
        <$T/stdin >/dev/null 2>&1 &
check_alert 8007 "a scope" <<<"PORTWATCH_UNIT job.scope"
follow 8007 "a scope"

step "a container's scope"
id=$(printf '%064d' 7)
systemd-run --quiet --scope --unit="docker-$id" /usr/local/bin/listen tcp:127.0.0.1:8008 \
        <$T/stdin >/dev/null 2>&1 &
check_alert 8008 "a container" <<END
PORTWATCH_UNIT docker-$id.scope
PORTWATCH_CONTAINER docker:${id:0:12}
END
follow 8008 "a container"

step "all are found by one field, and explained"
journalctl --quiet -x -o short PORTWATCH_ALERT=1 PORTWATCH_PORT=8080 >$T/out
assert_says $T/out 'Subject: A port is open that no rule expects' "journalctl -x"
assert_says $T/out 'portwatchctl show @[0-9]+' "what journalctl -x says to do"
assert_eq "$(entries PORTWATCH_ALERT=1)" 8 "alerts in the journal"

step "after a restart of everything all are still expected"
systemctl stop waits.socket waits.service # its queue, too
systemctl start waits.socket && systemctl restart plain dynamic many@8004 portwatchd ||
        fail "not all were restarted"
sync_looks
assert_eq "$(entries PORTWATCH_ALERT=1)" 8 "alerts in the journal"
assert_eq "$(alerts '.resolved == null')" 0 "open alerts"
figure "the slowest was resolved after $slowest ms"
exit 0
