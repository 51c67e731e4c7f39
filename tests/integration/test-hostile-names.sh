#!/bin/bash
# SPDX-License-Identifier: MIT
# A process may call itself what it likes. Newlines, escape sequences and invalid UTF-8 in comm,
# command line and path reach neither terminal, JSON, log, database, nor rules unescaped. Would catch:
# a string that is printed without having been cleaned where it was read.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

# clean FILE WHAT: printable, one-line, valid UTF-8 lines, and the names do appear, escaped.
clean() {
        if LC_ALL=C grep -aqP '[\x00-\x08\x0b-\x1f\x7f]' "$1"; then
                fail "$2 has raw control bytes: $(LC_ALL=C grep -aP '[\x00-\x08\x0b-\x1f\x7f]' "$1" | cat -v | head -n 3)"
        fi
        iconv -f UTF-8 -t UTF-16 "$1" >/dev/null 2>&1 || fail "$2 is not valid UTF-8"
        if grep -aqE '^(FORGED|allow)' "$1"; then
                fail "$2 has a forged line"
        fi
}

hostile() {
        clean "$1" "$2"
        assert_says "$1" '\\\\?x1b' "$2: the escaped name"
}

NAME='n\nFORGED\e[2J\xff'
ARGV='a\nFORGED line\e]0;title\x07 \xc3\x28 \xe2\x80\xae bidi'
DIRECTORY=$T/$'d\nallow tcp any # \e[31m\xfe'
mkdir "$DIRECTORY"

step "at the first start: what is learned"
fresh
rm "$STATE/baseline.rules"
hold learned --copy="$DIRECTORY/program" --name="$NAME" --argv="$ARGV" tcp:127.0.0.1:8001
start_daemon
wait_for 10 "the baseline" test -s "$STATE/baseline.rules"
if LC_ALL=C grep -aqP '[\x00-\x08\x0b-\x1f\x7f]' "$STATE/baseline.rules"; then
        fail "the baseline has raw control bytes"
fi
assert_eq "$(grep -c '^allow' "$STATE/baseline.rules")" 1 "rules that were learned"
assert_exit 0 ctl check
assert_eq "$(listeners '.port == 8001 and .verdict == "expected"')" 1 "the learned listener"

step "an alert"
hold hostile --copy="$DIRECTORY/other" --name="$NAME" --argv="$ARGV" tcp:127.0.0.1:8002
wait_for 10 "the alert" has_alert '.port == 8002'
id=$(alert '.port == 8002' .alert_id)
wait_for 10 "the log tells of it" logged "portwatchctl allow @$id\b"
hostile "$LOG" "the log"

step "what portwatchctl prints"
COLUMNS_ALL=protocol,endpoint,process,comm,pids,exe,cmdline,user,unit,rule
for command in list history alerts scan "list -o $COLUMNS_ALL" "history -o $COLUMNS_ALL" \
        "alerts -o $COLUMNS_ALL" 'show 8002' "show @$id" 'explain 8002' baseline; do
        # shellcheck disable=SC2086
        COLUMNS=1000 ctl $command >"$T/printed" 2>&1
        clean <(grep -v '^allow tcp [0-9e]' "$T/printed") "$command"
        [ -s "$T/printed" ] || fail "$command prints nothing"
done
COLUMNS=1000 ctl list -o comm,exe,cmdline --no-legend >"$T/printed"
hostile "$T/printed" "the list"
assert_eq "$(wc -l <"$T/printed")" 2 "lines of the list"
for command in list history alerts scan 'show 8002' baseline status; do
        # shellcheck disable=SC2086
        ctl $command --json >"$T/printed" 2>/dev/null
        jq . "$T/printed" >/dev/null || fail "$command --json is not JSON"
        clean "$T/printed" "$command --json"
done
if command -v script >/dev/null; then
        # To a terminal: colours and the like are ours, the names are still escaped.
        script -qec "$PW_BUILD/portwatchctl --no-pager --state=$STATE --rules=$RULES show 8002" \
                "$T/typescript" >/dev/null </dev/null
        if LC_ALL=C grep -aqP 'FORGED\x1b|\x1b\[2J|\x1b\]0;title|\xff|^FORGED' "$T/typescript"; then
                fail "a terminal gets raw names"
        fi
fi
assert_eq "$(ctl list --json tcp/8002 | jq -r '.listeners[0].comm')" 'n\x0aFORGED\x1b[2J\xff' "comm"
assert_eq "$(ctl list --json tcp/8002 | jq -r '.listeners[0].exe')" \
        "$T/"'d\x0aallow tcp any # \x1b[31m\xfe/other' "exe"
assert_says <(ctl list --json tcp/8002 | jq -r '.listeners[0].cmdline') \
        '^a\\x0aFORGED line\\x1b\]0;title\\x07 \\xc3\( \\xe2\\x80\\xae bidi' "command line"

step "allow by number writes a rule that can be read again"
assert_exit 0 ctl allow "@$id"
assert_exit 0 ctl check
wait_for 10 "it is expected now" has_listener '.port == 8002 and .verdict == "expected"'
hold third tcp:127.0.0.1:8003
wait_for 10 "nothing else is" has_alert '.port == 8003'

step "the database"
stop_daemon
cat "$STATE"/history.db* >"$T/database"
if LC_ALL=C grep -aqP 'FORGED\x1b|\x1b\[31m|\x1b\]0;|FORGED line\x1b' "$T/database"; then
        fail "the database has raw names"
fi
LC_ALL=C grep -aqF 'FORGED\x1b[2J' "$T/database" || fail "the database has no escaped names"
exit 0
