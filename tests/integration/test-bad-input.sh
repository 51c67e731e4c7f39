#!/bin/bash
# SPDX-License-Identifier: MIT
# Everything that people can mistype: a clear error that names the place, the right exit code, and the
# old rules still in force. Would catch: a mistake taken for something else (a range reversed, a port
# cut off), a crash, an error without its place, a bad file that takes the good rules with it.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

# usage REGEX WORD…: exit code 2, one line that says what is wrong.
usage() {
        local regex=$1
        shift
        assert_exit 2 ctl "$@"
        [ ! -s "$T/out" ] || fail "'$*' prints on standard output: $(head -n 1 "$T/out")"
        assert_says "$T/err" "$regex" "error of '$*'"
        if LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$T/err"; then
                fail "error of '$*' has raw bytes"
        fi
}

step "verbs and options"
usage wibble wibble
usage wobble --wobble
usage wobble list --wobble
usage columns-nobody list -o columns-nobody
usage sometimes list --json=sometimes
usage state --state
usage tomorrowish history --since tomorrowish
usage many history -n many
usage '-1' history -n -1
usage 'x1b' $'wib\e[31mble'

step "filters"
for word in 65536 80x '80-' '-80-' 90-80 tcp/ tcp/65536 tcp/80x 80,x range=huge range= scope=moon \
        verdict=maybe address=10.0.0.0/33 address=10.0.0.0/x address=10.0.0.1/8 address=::/129 \
        colour=red =80 no-such-service $'http\n' $'\xff\xfe'; do
        usage . list -- "$word"
        usage . history -- "$word"
done
usage . list -- ''
usage 65536 list 65536
usage 80x list 80x
usage '90-80' list 90-80
usage '10.0.0.0/33' list address=10.0.0.0/33
assert_exit 2 ctl list -1
assert_exit 2 ctl show
assert_exit 2 ctl show 80x
assert_exit 2 ctl show @x
assert_exit 2 ctl explain 65536
assert_exit 2 ctl explain

step "rules on the command line"
start_daemon
while read -r -a words; do
        assert_exit 2 ctl allow "${words[@]}"
        assert_says "$T/err" . "error of 'allow ${words[*]}'"
done <<'END'
tcp
tcp 65536
tcp 90-80
tcp 22 colour=red
sctp 22
tcp 22 address=10.0.0.0/33
tcp 22 grace=5s
tcp 22 until=never-ever
tcp 22 scope=moon
tcp 22 comment="open
END
assert_exit 2 ctl require tcp 1-10
assert_exit 2 ctl require tcp any
assert_exit 2 ctl allow --for soon tcp 80
assert_exit 3 ctl allow @999
assert_exit 3 ctl show @999
[ ! -e "$RULES/50-local.rules" ] || [ ! -s "$RULES/50-local.rules" ] ||
        fail "a refused rule was written: $(cat "$RULES/50-local.rules")"

# ---- bad files beside good ones, while the daemon runs ----

rule 10-good.rules 'allow tcp 8080'
hold good tcp:127.0.0.1:8080
wait_for 10 "the good rule" has_listener '.port == 8080 and .verdict == "expected"'

BAD=$RULES/20-bad.rules

# refused WHAT PLACE: check and the daemon name the place of what $BAD is now, and the old rules stay,
# although the file that they came from says something else by now.
refused() {
        local before
        step "  $1"
        before=$(log_lines)
        rule 10-good.rules '# nothing'
        assert_exit 1 ctl check
        cat "$T/out" "$T/err" >"$T/said"
        assert_says "$T/said" "20-bad\.rules$2" "check of $1"
        reload_daemon
        wait_for 10 "the daemon names the place: $1" log_says_since "$before" "20-bad\.rules$2"
        sync_looks
        assert_eq "$(listeners '.port == 8080 and .verdict == "expected"')" 1 "old rules, after $1"
        rule 10-good.rules 'allow tcp 8080'
        rm -rf "$BAD"
        wait_for 10 "no error is left" status_says .rules_error '^$'
}

log_says_since() { # LINES REGEX
        tail -n +"$(($1 + 1))" "$LOG" | grep -Eq -- "$2"
}

# bad WHAT PLACE BYTES
bad() {
        printf '%b' "$3" >"$T/bad"
        assert_exit 1 ctl check "$T/bad"
        assert_says <(cat "$T/out" "$T/err") "bad$2" "check of the file: $1"
        mv "$T/bad" "$BAD"
        refused "$1" "$2"
}

step "bad rules: named, and the old ones stay"
bad "an unknown key" ':1:14' 'allow tcp 22 colour=red\n'
bad "an unknown verdict" ':2:1' '# fine\nallwo tcp 22\n'
bad "an unknown protocol" ':1:7' 'allow sctp 22\n'
bad "a port too high" ':1:11' 'allow tcp 65536\n'
bad "a negative port" ':1:11' 'allow tcp -1\n'
bad "a port with a tail" ':1:11' 'allow tcp 80x\n'
bad "no ports" ':1:' 'allow tcp\n'
bad "a range reversed" ':1:11' 'allow tcp 90-80\n'
bad "a bad block" ':1:' 'allow tcp 22 address=10.0.0.0/33\n'
bad "host bits in a block" ':1:' 'allow tcp 22 address=10.0.0.1/8\n'
bad "an empty value" ':1:' 'allow tcp 22 user=\n'
bad "a quote that does not end" ':1:' 'allow tcp 22 comment="x\n'
bad "a range for require" ':1:' 'require tcp 1-10\n'
bad "a NUL byte" ':1:' 'allow tcp 22\0 user=root\n'
bad "invalid UTF-8" ':1:' 'allow tcp 22 user=\xff\xfe\n'
bad "escape sequences" ':1:' 'allow tcp 22 \033[31m=x\n'
bad "an over-long line" ':1' "allow tcp 22 comment=$(printf 'x%.0s' {1..5000})\n"
bad "no newline at the end" ':1:' 'allow tcp x'

step "a directory where a file should be"
mkdir "$BAD"
refused "a directory" ''

step "rules that nobody may read"
rule 20-bad.rules 'allow tcp 22'
chmod 000 "$BAD"
assert_exit 4 setpriv --reuid=65534 --regid=65534 --clear-groups \
        "$PW_BUILD/portwatchctl" --state="$T/none" --rules="$RULES" check
assert_says "$T/err" '20-bad\.rules' "what may not be read"
rm "$BAD"
stop_daemon

step "bad rules at a start: there are none to stay"
rule 20-bad.rules 'allow tcp 65536'
start_daemon
wait_for 5 "the log says that there are no rules" logged '20-bad\.rules:1:11: .*\. No rule is in force'
assert_exit 0 ctl status
assert_says "$T/out" '^Rules +none in force, refused: ' "status"
rm "$BAD"
wait_for 10 "no error is left" status_says .rules_error '^$'
stop_daemon
release good

# ---- settings ----

# setting WHAT LINE BYTES: the daemon says where (the line in the added bytes), and runs with what it
# had.
setting() {
        local before
        step "  $1"
        fresh
        before=$(wc -l <"$CONF")
        printf '%b' "$3" >>"$CONF"
        start_daemon
        wait_for 5 "the place of $1" logged "portwatch\.conf:$((before + $2)):"
        stop_daemon
}

step "settings: named, and left as they were"
setting "an unknown key" '1' 'Colour=red\n'
setting "a bad time" '1' 'PollIntervalSec=often\n'
setting "a negative time" '1' 'EphemeralDwellSec=-1\n'
setting "a bad size" '2' '[History]\nMaxUseBytes=12Q\n'
setting "a percentage over 100" '1' 'CPUBudget=300%\n'
setting "an unknown section" '1' '[Watches]\nPollIntervalSec=1s\n'
setting "a line that is none" '1' 'PollIntervalSec\n'
setting "an over-long line" '1' "EphemeralDwellSec=$(printf '1%.0s' {1..9000})\n"
setting "a NUL byte" '1' 'EphemeralDwellSec=1\0s\n'
setting "invalid UTF-8" '1' 'Colo\xffr=1\n'

step "the daemon's command line"
fresh
daemon_command
for words in --wobble --polls=x --polls=-1 --log=loud stray; do
        assert_exit 2 timeout 5 "${COMMAND[@]}" --polls=1 "$words"
        assert_says "$T/err" "${words##*=}" "error of '$words'"
done
assert_exit 1 timeout 5 "$PW_BUILD/portwatchd" --state="$T/no/such/directory" --rules="$RULES" \
        --log=stderr --polls=1
assert_says "$T/err" 'no/such/directory' "a state directory that cannot be made"
exit 0
