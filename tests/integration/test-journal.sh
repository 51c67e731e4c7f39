#!/bin/bash
# SPDX-License-Identifier: MIT
# The journal is stopped, gone, or refuses: the loop never blocks, and every alert arrives once it is
# back, once. Would catch: a blocking send, a queue that forgets or repeats, an alert marked as
# delivered that was not, a field that is missing, and text from outside that forges one.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

SOCKET=/run/systemd/journal/socket
ENTRIES=$T/entries
JOURNAL=
mkdir -p "${SOCKET%/*}"
cp "$PW_BUILD/tests/fake-journal" "$T/bin/" || fail "the fixture is not built"
: >"$ENTRIES"

start_journal() {
        "$T/bin/fake-journal" "$SOCKET" >>"$ENTRIES" 2>"$T/journal.err" &
        JOURNAL=$!
        wait_for 10 "the journal's socket" grep -q READY "$T/journal.err"
}

kill_journal() {
        kill -KILL "$JOURNAL"
        wait "$JOURNAL" 2>/dev/null
}

# entries PORT: how many alerts for it have arrived.
entries() {
        awk -v RS= -v port="$1" '/(^|\n)PORTWATCH_ALERT=1(\n|$)/ &&
                $0 ~ "(^|\n)PORTWATCH_PORT=" port "(\n|$)" { n++ } END { print n + 0 }' "$ENTRIES"
}

arrived() { # PORT
        [ "$(entries "$1")" -ge 1 ]
}

delivered() { # PORT
        [ "$(alerts ".port == $1 and .delivered != null")" = 1 ]
}

# field PORT NAME: of the alert's entry.
field() {
        awk -v RS= -v port="$1" '/(^|\n)PORTWATCH_ALERT=1(\n|$)/ &&
                $0 ~ "(^|\n)PORTWATCH_PORT=" port "(\n|$)"' "$ENTRIES" | sed -n "s/^$2=//p"
}

step "an alert and its fields"
start_journal
start_daemon --log=journal
hold web tcp:0.0.0.0:8080
wait_for 10 "the alert arrives" arrived 8080
wait_for 10 "it is marked as delivered" delivered 8080
id=$(alert '.port == 8080' .alert_id)
while read -r name value; do
        assert_eq "$(field 8080 "$name")" "$value" "field $name"
done <<END
MESSAGE_ID ac569087109944ca883b863d27773927
PRIORITY 4
SYSLOG_IDENTIFIER portwatchd
PORTWATCH_EVENT alert
PORTWATCH_ALERT_ID $id
PORTWATCH_REASON unexpected
PORTWATCH_PROTOCOL tcp
PORTWATCH_ADDRESS 0.0.0.0
PORTWATCH_PORT 8080
PORTWATCH_SCOPE any
PORTWATCH_RANGE registered
PORTWATCH_SERVICE http-alt
PORTWATCH_NETNS host
PORTWATCH_VERDICT unexpected
PORTWATCH_LISTENER_ID $(alert '.port == 8080' .listener_id)
PORTWATCH_PID ${HOLDERS[web]}
PORTWATCH_COMM open-sockets
PORTWATCH_EXE $T/bin/open-sockets
PORTWATCH_CMDLINE $T/bin/open-sockets tcp:0.0.0.0:8080
PORTWATCH_UID 0
PORTWATCH_USER root
END
field 8080 MESSAGE >"$T/message"
assert_eq "$(wc -l <"$T/message")" 1 "lines of the message"
assert_says "$T/message" "Allow: portwatchctl allow @$id\$" "end of the message"
release web

step "the journal is stopped: nothing blocks"
kill -STOP "$JOURNAL"
specs=() # 8 owners with 8 ports each: under the limit of an owner, over what a socket queues
for ((i = 0; i < 64; i++)); do
        specs+=("tcp:127.0.0.1:$((8100 + i)),user=$((100 + i / 8))")
done
hold many "${specs[@]}"
wait_for 20 "all 64 are in the history" has_alert '.port >= 8100 and .port < 8164' 64
polls=$(status .polls)
sync_looks
wait_for 20 "the poll counter goes on" polled_since "$polls"
[ "$(alerts '.port >= 8100 and .port < 8164 and .delivered == null')" -ge 40 ] ||
        fail "alerts that nobody has read count as delivered"
kill -CONT "$JOURNAL"
for ((i = 8100; i < 8164; i++)); do
        wait_for 30 "the alert for port $i arrives" arrived $i
done
wait_for 10 "all are marked as delivered" has_alert '.port >= 8100 and .delivered != null' 64
for ((i = 8100; i < 8164; i++)); do
        assert_eq "$(entries $i)" 1 "alerts for port $i"
done
release many

step "the journal's socket is gone"
rm "$SOCKET"
hold gone tcp:127.0.0.1:8200
wait_for 20 "an alert" has_alert '.port == 8200'
sync_looks
assert_eq "$(entries 8200)" 0 "alerts that arrived nowhere"
assert_eq "$(alerts '.port == 8200 and .delivered != null')" 0 "alerts delivered to nobody"
kill_journal
start_journal
wait_for 60 "the alert arrives" arrived 8200
release gone

step "the journal's socket refuses"
kill_journal
[ -S "$SOCKET" ] || fail "the socket's file should be there"
hold refused tcp:127.0.0.1:8300
wait_for 20 "an alert" has_alert '.port == 8300'
sync_looks
start_journal
wait_for 60 "the alert arrives" arrived 8300
wait_for 10 "it is marked as delivered" delivered 8300
sync_looks
for port in 8080 8200 8300; do
        assert_eq "$(entries $port)" 1 "alerts for port $port"
done

step "killed before the journal was back: repeated rather than lost"
kill_journal
hold crash tcp:127.0.0.1:8400
wait_for 20 "an alert" has_alert '.port == 8400'
kill_daemon
start_journal
start_daemon --log=journal
wait_for 30 "the alert arrives" arrived 8400
assert_eq "$(entries 8300)" 1 "alerts for port 8300, delivered before"

step "text from outside forges no line and no field"
hold hostile --name='x\nPRIORITY=0\e[31m' --argv='y\nMESSAGE=forged\n\xff' tcp:127.0.0.1:8500
wait_for 20 "the alert arrives" arrived 8500
assert_eq "$(field 8500 PRIORITY)" 4 "priority"
assert_eq "$(field 8500 PORTWATCH_COMM)" 'x\x0aPRIORITY=0\x1b[3' "comm"
assert_says <(field 8500 PORTWATCH_CMDLINE) '^y\\x0aMESSAGE=forged\\x0a\\xff' "command line"
assert_eq "$(field 8500 MESSAGE | wc -l)" 1 "messages"
assert_eq "$(LC_ALL=C grep -avcE '^[A-Z_0-9]+=|^$' "$ENTRIES")" 0 "lines that are no field"
assert_eq "$(LC_ALL=C grep -acP '[\x00-\x08\x0b-\x1f\x7f\xff]' "$ENTRIES")" 0 "raw bytes in entries"
stop_daemon
exit 0
