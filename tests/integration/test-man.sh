#!/bin/bash
# SPDX-License-Identifier: MIT
# The manual and the programs say the same. Every example in the pages runs, as it is printed, with
# files in the places that the pages name; and verbs, options, settings with their bounds, columns,
# keys, journal fields, message ids, status keys, variables and exit codes are in both or in neither.
# Would catch: an example that no longer works, a page that was forgotten when an option was added,
# and one that describes what is not there.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs sqlite3

PAGES=$PW_SOURCE/share/man
CTL=$PAGES/portwatchctl.1 DAEMON_PAGE=$PAGES/portwatchd.8
SETTINGS=$PAGES/portwatch.conf.5 RULES_PAGE=$PAGES/portwatch.rules.5
PATH=$PW_BUILD:$PATH

# ---- lint ----

step "the pages' form"
if command -v mandoc >/dev/null; then
        mkdir -p "$T/man"
        for page in "$PAGES"/*.[158]; do
                mkdir -p "$T/man/man${page##*.}"
                cp "$page" "$T/man/man${page##*.}/"
        done
        # Whether other packages' pages are there is a matter of this machine.
        (cd "$PAGES" && MANPATH=$T/man mandoc -T lint ./*.[158] 2>/dev/null) |
                grep -Ev 'referenced manual not found: Xr ([^p]|portw[^a])' >"$T/lint"
        [ ! -s "$T/lint" ] || fail "mandoc's lint: $(cat "$T/lint")"
fi
if command -v groff >/dev/null && command -v man >/dev/null; then
        for page in "$PAGES"/*.[158]; do
                MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null | grep . &&
                        fail "man's warnings on $page"
        done
fi

# ---- page and program ----

# section PAGE NAME: its lines.
section() {
        awk -v name="$2" '/^\.S[hs] / { inside = substr($0, 5) == name; next } inside' "$1"
}

# terms [KEYWORD]: the words of list items, from standard input.
terms() {
        sed -n "s/^\.It ${1:-Cm} //p" | sed 's/ Ns .*//; s/ Op .*//; s/ Ar .*//; s/ , /\n/g' | sort -u
}

# assert_same WHAT PAGE-WORDS PROGRAM-WORDS: files with one word a line.
assert_same() {
        [ -s "$3" ] || fail "$1: the program names none"
        diff <(sort -u "$2") <(sort -u "$3") >"$T/diff" && return
        cat "$T/diff"
        fail "$1: '<' is in the page only, '>' is in the program only"
}

long_options() {
        sed -n 's/^ *\(-[a-z], \)\?--\([a-z-]*\).*/\2/p'
}

page_options() { # PAGE
        grep -oE '(Fl|,) -[a-z-]{2,}' "$1" | sed 's/.* -//'
}

step "verbs, options, columns, keys and exit codes of portwatchctl"
portwatchctl --help | sed -n '/^Options:/q; s/^  \([a-z]*\) .*/\1/p' >"$T/verbs"
section "$CTL" VERBS | terms >"$T/page"
assert_same "verbs" "$T/page" "$T/verbs"
portwatchctl --help | long_options >"$T/options"
while read -r verb; do
        portwatchctl "$verb" --help | awk 'length > 80' | grep . && fail "the help of $verb is too wide"
        portwatchctl "$verb" --help | sed -n '/^Options:/,$p' | long_options
done <"$T/verbs" >>"$T/options"
page_options "$CTL" >"$T/page"
assert_same "options" "$T/page" "$T/options"
portwatchctl list --help | sed -n '/^Columns/,/^$/s/^  //p' | xargs -n 1 >"$T/columns"
section "$CTL" COLUMNS | terms >"$T/page"
assert_same "columns" "$T/page" "$T/columns"
portwatchctl list --help | sed -n '/^Filters/,/^The same/s/^  //p' | xargs -n 1 >"$T/keys"
section "$CTL" "FILTER WORDS" | sed -n 's/^\.It Cm \([a-z_]*\) Ns = .*/\1=/p' >"$T/page"
assert_same "filter keys" "$T/page" "$T/keys"
sed -n 's/.*PW_EXIT_[A-Z_]* = \([0-9]\).*/\1/p' "$PW_SOURCE/ctl/ctl.h" >"$T/codes"
section "$CTL" "EXIT STATUS" | sed -n 's/^\.It //p' >"$T/page"
assert_same "exit codes" "$T/page" "$T/codes"

step "options of portwatchd"
portwatchd --help | long_options >"$T/options"
page_options "$DAEMON_PAGE" >"$T/page"
assert_same "options of portwatchd" "$T/page" "$T/options"

step "settings, with bounds and defaults"
sed -n 's/^ *{"[A-Z][a-z]*", "\([A-Za-z]*\)", &.*, "\(.*\)", "\(.*\)", "\(.*\)"},/\1 \2 \3 \4/p' \
        "$PW_SOURCE/daemon/config.c" >"$T/settings"
cut -d ' ' -f 1 "$T/settings" >"$T/names"
terms <"$SETTINGS" >"$T/page"
assert_same "settings" "$T/page" "$T/names"
while read -r name min max preset; do
        bounds="From $min to $max"
        [ "$min" != no ] || bounds="Yes or no"
        sed -n "/^\.It Cm $name Ns =/,/^\.\(It\|El\)/p" "$SETTINGS" | tr '\n' ' ' |
                grep -q "$bounds; default $preset\." ||
                fail "$name=: the page does not say '$bounds; default $preset.'"
done <"$T/settings"

step "keys and verdicts of rules"
echo 'allow tcp 80 nonsense=1' >"$T/bad.rules"
portwatchctl check "$T/bad.rules" | sed 's/.*expected //; s/ or /, /; s/, /\n/g' >"$T/keys"
section "$RULES_PAGE" KEYS | terms >"$T/page"
assert_same "rule keys" "$T/page" "$T/keys"
echo 'nonsense tcp 80' >"$T/bad.rules"
portwatchctl check "$T/bad.rules" | sed 's/.*expected //; s/ or /, /; s/, /\n/g' >"$T/verdicts"
section "$RULES_PAGE" VERDICTS | terms >"$T/page"
assert_same "verdicts of rules" "$T/page" "$T/verdicts"

step "journal fields, message ids, reasons"
grep -ho '"PORTWATCH_[A-Z_]*"' "$PW_SOURCE"/daemon/*.c | tr -d '"' |
        grep -Ev 'PAGER|REFUSE' >"$T/fields"
printf '%s\n' MESSAGE_ID PRIORITY SYSLOG_IDENTIFIER >>"$T/fields"
section "$DAEMON_PAGE" Fields | terms Ev >"$T/page"
assert_same "journal fields" "$T/page" "$T/fields"
grep -o '"[0-9a-f]\{32\}"' "$PW_SOURCE/include/portwatch/message-ids.h" | tr -d '"' >"$T/ids"
section "$DAEMON_PAGE" "Message ids" | terms Li >"$T/page"
assert_same "message ids" "$T/page" "$T/ids"
for catalog in portwatch portwatch.ko; do
        sed -n 's/^-- //p' "$PW_SOURCE/systemd/$catalog.catalog"
done | sort | uniq -c | sed -n 's/^ *2 //p' >"$T/page" # in both, once
assert_same "catalogs" "$T/page" "$T/ids"
portwatchctl complete -- list reason= | sed 's/reason=//; s/\t.*//' >"$T/reasons"
section "$DAEMON_PAGE" "WHAT IT ALERTS FOR" | terms >"$T/page"
assert_same "reasons" "$T/page" "$T/reasons"

step "environment variables"
grep -ho 'getenv("[A-Z_]*")' "$PW_SOURCE"/{ctl,core,daemon}/*.c | sed 's/.*"\(.*\)".*/\1/' |
        grep -v SUDO_UID >"$T/variables"
grep -o '"[A-Z]*_\?PAGER"' "$PW_SOURCE/ctl/terminal.c" | tr -d '"' >>"$T/variables"
while read -r name; do
        grep -Eq "^\.It Ev (.* , )?$name( ,|\$)" "$CTL" "$DAEMON_PAGE" ||
                fail "no page says what the variable $name does"
done <"$T/variables"

step "blind spots, what would lift them, and why there are no events"
# Texts of C on standard input, those that are continued joined, without what is filled in.
texts() {
        tr '\n' ' ' | sed 's/" *"//g' | grep -oE '"[^"]*"' | sed 's/"//g; s/ (\?%s.*//' |
                grep '.\{10\}'
}
{
        sed -n '/^static void find_unheard/,/^int /p' "$PW_SOURCE/daemon/manager-status.c" | texts
        tr '\n' ' ' <"$PW_SOURCE/daemon/bpf/engine-open.c" |
                grep -oE 'give_up\(([^;"]|"[^"]*")*;' | texts
        grep 'is not part' "$PW_SOURCE/daemon/bpf/engine-none.c" | texts
} | sort -u >"$T/texts"
[ "$(wc -l <"$T/texts")" -ge 20 ] || fail "too few texts were found to prove anything"
tr '\n' ' ' <"$DAEMON_PAGE" | sed 's/\\ //g' >"$T/page"
while read -r text; do
        grep -qF -- "$text" "$T/page" || fail "the page does not say '$text'"
done <"$T/texts"

# ---- the places that the pages name ----

for dir in /etc /var; do
        mkdir -p "$T/over$dir/up" "$T/over$dir/work"
        mount -t overlay overlay \
                -o "lowerdir=$dir,upperdir=$T/over$dir/up,workdir=$T/over$dir/work" "$dir" ||
                skip "cannot mount an overlay over $dir"
done
STATE=/var/lib/portwatch RUN=/run/portwatch RULES=/etc/portwatch/rules.d
# shellcheck disable=SC2034 # lib.sh starts the daemon with it
CONF=/etc/portwatch/portwatch.conf
rm -rf "$STATE" /etc/portwatch
mkdir -p /etc/portwatch
getent group portwatch >/dev/null || groupadd --system portwatch
getent passwd dev >/dev/null || useradd --no-create-home dev
mkdir -p "$T/work"
cd "$T/work" || fail "no directory to work in"
fresh
rule 10-dev.rules 'allow tcp 8080 user=dev'
hold web tcp:0.0.0.0:8080 # root's: alert @1
start_daemon --log=stderr
wait_for 10 "alert @1" has_alert '.port == 8080'

step "keys of status and of JSON"
section "$DAEMON_PAGE" STATUS | terms >"$T/page"
portwatchctl status --json | jq -r 'del(.schema_version) | keys[]' >"$T/keys"
assert_same "status keys" "$T/page" "$T/keys"
jq -r 'keys[]' "$RUN/status.json" | cat - <(echo alive; echo writes_waiting) >"$T/page"
assert_same "keys of status.json and of status --json" "$T/page" "$T/keys"
section "$DAEMON_PAGE" STATUS | sed -n '/^\.It Cm store/,/^\.It/p' | sed -n 's/^\.Cm //p' |
        sed 's/ ,$//; s/ , /\n/g' >"$T/page"
portwatchctl status --json | jq -r '.store | keys[]' >"$T/keys"
assert_same "keys of the store" "$T/page" "$T/keys"
portwatchctl list -o listener_id --no-legend >/dev/null || fail "nothing is listed"
portwatchctl list --json | jq -r '.listeners[0] | keys[]' >"$T/keys"
section "$CTL" COLUMNS | awk '/^\.It Cm/ { name = $3; next } /^\*/ { starred[name] = 1 }
        { next } END { for (name in starred) print name }' >"$T/starred"
assert_same "keys of a listener" <(grep -vxFf "$T/starred" "$T/columns") "$T/keys"
section "$CTL" JSON >"$T/json-page"
for verb in list history alerts "show 8080" "explain 8080" scan rules check "check tcp/80" verify; do
        # shellcheck disable=SC2086 # a verb and its word
        portwatchctl $verb --json 2>/dev/null | jq -r 'keys[]' >"$T/keys"
        [ -s "$T/keys" ] || fail "portwatchctl $verb --json prints no object"
        while read -r key; do
                grep -q "^\.Ql $key\( \|\$\)" "$T/json-page" ||
                        fail "the key $key of '$verb' is not in the page"
        done <"$T/keys"
done
portwatchctl rules --json | jq -r '.rules[0] | keys[]' | while read -r key; do
        grep -q "^\.Ql $key\( \|\$\)" "$T/json-page" || fail "the key $key of a rule is not in the page"
done || exit 1

# ---- the examples ----

# Each display, as a file NUMBER.KIND; a display without a mark is named by its line.
extract() { # PAGE
        awk -v dir="$T/examples" -v page="${1##*/}" '
                /^\.\\" try: / { kind = $3; next }
                /^\.Bd / {
                        if (!kind) { print page ":" NR; exit 1 }
                        file = dir "/" page "-" sprintf("%02d", ++n) "." kind
                        inside = 1
                        next
                }
                /^\.Ed/ { inside = 0; kind = ""; close(file); next }
                inside { print > file }' "$1" || fail "a display that no test tries"
}

# What a reader sees: escapes resolved.
as_shown() { # FILE
        sed 's/\\e/\\/g; s/\\(dq/"/g; s/\\&//g' "$1"
}

# What is not there in this test. systemctl and journalctl get words that exist.
cat >"$T/stubs" <<'END'
set -euo pipefail
sudo() { "$@"; }
# The history of this test begins now: what was before is not known.
portwatchctl() {
        local code=0
        command portwatchctl "$@" || code=$?
        [[ $code = 5 && " $*" == *" --at"* ]] || return "$code"
}
systemctl() {
        local word
        for word; do
                case $word in
                status | start | stop | restart | reload | enable | --now | portwatchd) ;;
                *) echo "systemctl $*: unknown word $word"; exit 1 ;;
                esac
        done
}
journalctl() {
        local code=0 output
        command -v /usr/bin/journalctl >/dev/null || return 0
        output=$(timeout 2 /usr/bin/journalctl -D "$JOURNAL" "$@" 2>&1) || code=$?
        [[ $code = 0 || $code = 1 || $code = 124 ]] &&
                ! grep -Ei 'option|parse|invalid|argument' <<<"$output"
}
END
export JOURNAL=$T/journal
mkdir -p "$JOURNAL" "$T/examples"
echo 'allow tcp 22' >new.rules

step "the examples"
for page in "$PAGES"/*.[158]; do
        extract "$page"
done
count=0
for example in "$T"/examples/*; do
        as_shown "$example" >"$T/example.${example##*.}"
        case $example in
        *.shell)
                # shellcheck disable=SC2016 # the inner shell expands
                assert_exit 0 bash -c '. "$1"; . "$2"' - "$T/stubs" "$T/example.shell"
                ;;
        *.rules)
                assert_exit 0 portwatchctl check "$T/example.rules"
                assert_says "$T/out" "^$(grep -c '^[a-z]' "$T/example.rules") rules?, all fine" \
                        "$(cat "$example")"
                ;;
        *.settings)
                mv "$T/example.settings" "$T/example.conf"
                assert_exit 0 portwatchctl check "$T/example.conf"
                ;;
        *)
                fail "an unknown way to try $example"
                ;;
        esac
        count=$((count + 1))
done
step "$count examples"
[ $count -ge 30 ] || fail "too few examples were found to prove anything"

step "the example of all defaults is the installed file"
grep -hl '^EphemeralDwellSec=30s' "$T"/examples/portwatch.conf*.settings >"$T/preset"
diff <(grep "=" "$(cat "$T/preset")") <(sed -n 's/^#\([A-Z][A-Za-z]*=\)/\1/p' \
        "$PW_SOURCE/systemd/portwatch.conf") || fail "defaults differ"

step "what the examples did"
assert_says "$RULES/50-local.rules" '^deny tcp 23( |$)' "50-local.rules"
assert_says "$RULES/50-local.rules" '^allow tcp 8443 user=www-data until=' "50-local.rules"
wait_for 10 "allow @1 resolves the alert" has_alert '.alert_id == 1 and .resolved != null'
cd /
stop_daemon
