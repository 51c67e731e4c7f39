#!/bin/bash
# SPDX-License-Identifier: MIT
# portwatchctl against a history that is known to the last row (helpers/make-state.c), without a
# daemon, and `scan` against sockets of its own. Would catch: a wrong exit code, a hint that does not
# work when it is typed, an address that is cut, a table that a terminal wraps, output of ours that a
# program cannot read, a shell line that somebody else's text breaks out of.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs ss script

"$PW_BUILD/tests/make-state" "$STATE" || fail "the history cannot be made"
unset COLUMNS

rows() { # WORD…: of a list, as JSON
        ctl "$@" --json 2>/dev/null | jq -c ".listeners // .intervals // .alerts"
}

count() {
        rows "$@" | jq length
}

nobody() {
        setpriv --reuid=65534 --regid=65534 --clear-groups \
                "$PW_BUILD/portwatchctl" --state="$STATE" --rules="$RULES" "$@"
}

# terminal WIDTH COMMAND…: what it prints to a terminal so wide, without carriage returns.
terminal() {
        local width=$1
        shift
        script -qec "stty cols $width; $*" /dev/null </dev/null | tr -d '\r'
}

step "list: what is open, what is left out"
assert_exit 0 ctl
cp "$T/out" "$T/list"
assert_exit 0 ctl list
assert_eq "$(cat "$T/out")" "$(cat "$T/list")" "list without its name"
assert_says "$T/out" '^PROTO +ADDRESS:PORT .* VERDICT' "headings, also in a pipe"
assert_says "$T/out" '^8 open, 1 denied, 4 unexpected, 1 ignored .*show 23$' "footer"
assert_says "$T/out" 'nginx ×4' "sockets of a listener"
assert_says "$T/out" ' docker:db ' "the namespace of a container"
assert_says "$T/out" '- \(root\)' "the user of an unknown owner"
assert_says "$T/err" '^portwatchctl: portwatchd is not running: this is the state of' "stale state"
assert_eq "$(wc -l <"$T/err")" 1 "lines on standard error"
assert_eq "$(count list --all)" 9 "all that is open"
assert_eq "$(count list --unexpected)" 5 "unexpected and denied"
assert_eq "$(count list tcp verdict=expected)" 2 "filtered"
assert_eq "$(count list --at -45min)" 4 "open 45 minutes ago"
assert_exit 5 ctl list --at -2d
assert_says "$T/err" 'not known: the history begins ' "before the history"
assert_exit 2 ctl list --at +1h
assert_exit 2 ctl history --since tomorrow
assert_exit 0 ctl list 81
assert_says "$T/out" '^Nothing matches\.$' "a filter that nothing matches"
assert_exit 0 ctl list unit=ssh user=nosuchuser
assert_says "$T/err" 'unit=ssh\.service$' "what was meant by a unit without type"
assert_says "$T/err" "no user 'nosuchuser'" "an unknown user"
assert_eq "$(ctl list --no-legend -o port,verdict 23 2>/dev/null)" "  23  denied" "chosen columns"
assert_exit 0 ctl list -q
assert_eq "$(grep -c 'open' "$T/out")" 0 "footers with -q"

step "list: JSON"
ctl list --json >"$T/json" 2>/dev/null
assert_eq "$(wc -l <"$T/json")" 1 "lines of short JSON"
assert_eq "$(jq -r '[.schema_version, .stale, (.as_of | type)] | @csv' "$T/json")" '1,true,"string"' \
        "the frame"
ctl list --json=pretty 2>/dev/null | jq -c . >"$T/pretty"
cmp "$T/json" "$T/pretty" || fail "pretty and short JSON differ"
assert_eq "$(jq '[.listeners[] | .pids, .reasons, .traits | type == "array"] | all' "$T/json")" true \
        "arrays are never null"
assert_eq "$(jq -c '.listeners[] | select(.port == 4789) | [.exe, .owner_unknown]' "$T/json")" \
        '[null,"no-holder"]' "an unknown owner"
assert_eq "$(jq -r '.listeners[] | select(.port == 22) | .opened' "$T/json" |
        grep -Ec '^[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z$')" 1 "RFC 3339 with microseconds"

step "tables fit, and no address is cut"
for width in 60 80 100 132 200; do
        COLUMNS=$width ctl list >"$T/out" 2>/dev/null
        assert_says "$T/out" '\[fe80::5054:ff:fe12:3456%enp0s31f6\]:546 ' "the longest address"
        [ "$width" -lt 80 ] || assert_le "$(head -n -2 "$T/out" | wc -L)" "$width" "width of the table"
done
for verb in list scan history alerts; do
        COLUMNS=80 ctl $verb >"$T/out" 2>/dev/null
        ! grep -qE '^PROTO.*(SCOPE|RANGE|USER)' "$T/out" || fail "extras of $verb at 80 columns"
done
COLUMNS=40 ctl list 22 23 8080 >"$T/out" 2>/dev/null
assert_says "$T/out" ' 0\.0\.0\.0:8080 .*unexpected$' "address and verdict at 40 columns"
assert_le "$(head -n -2 "$T/out" | wc -L)" 40 "width of the table"
LC_ALL=C COLUMNS=80 ctl list >"$T/out" 2>/dev/null
! grep -q '[^ -~]' "$T/out" || fail "signs beyond ASCII in the C locale"
assert_says "$T/out" 'nginx x4' "sockets in the C locale"
COLUMNS=80 ctl list tcp >"$T/out" 2>/dev/null
assert_says "$T/out" '^PROTO ADDRESS:PORT +SERVICE .*PROCESS .* SINCE VERDICT' "at 80 columns"
terminal 80 "$PW_BUILD/portwatchctl" --no-pager "--state=$STATE" list >"$T/out"
assert_le "$(grep -E '^(tcp|udp)' "$T/out" | wc -L)" 80 "width on a terminal"

step "colour and pager only on a terminal"
export -n NO_COLOR
LIST="$PW_BUILD/portwatchctl --state=$STATE list"
TERM=xterm terminal 120 "$LIST --no-pager" >"$T/out"
assert_says "$T/out" $'\e\\[' "colour on a terminal"
assert_says "$T/out" $'\e\\[1;31mdenied' "denied is grave"
! grep -q $'\e\\[1;31munexpected' "$T/out" || fail "unexpected looks as grave as denied"
NO_COLOR=1 TERM=xterm terminal 120 "NO_COLOR=1 $LIST --no-pager" >"$T/out"
! grep -q $'\e' "$T/out" || fail "colour in spite of NO_COLOR"
TERM=dumb terminal 120 "$LIST --no-pager" >"$T/out"
! grep -q $'\e' "$T/out" || fail "colour on a dumb terminal"
TERM=xterm ctl list >"$T/out" 2>/dev/null
! grep -q $'\e' "$T/out" || fail "colour in a pipe"
PAGER='sed s/^/paged:/' terminal 120 "$LIST" >"$T/out"
assert_says "$T/out" '^paged:PROTO' "PAGER"
for pager in no-such-pager false; do
        PAGER=$pager terminal 120 "$LIST" >"$T/out"
        assert_says "$T/out" 'ADDRESS:PORT' "output without the pager $pager"
done
TERM=dumb PAGER='sed s/^/paged:/' terminal 120 "$LIST" >"$T/out"
! grep -q '^paged:' "$T/out" || fail "a pager on a dumb terminal"
PAGER=cat PORTWATCH_PAGER='sed s/^/ours:/' terminal 120 "$LIST" >"$T/out"
assert_says "$T/out" '^ours:PROTO' "PORTWATCH_PAGER"
PAGER='sed s/^/paged:/' terminal 120 "$LIST --no-pager" >"$T/out"
! grep -q '^paged:' "$T/out" || fail "a pager in spite of --no-pager"
PAGER='sed s/^/paged:/' ctl list >"$T/out" 2>/dev/null
! grep -q '^paged:' "$T/out" || fail "a pager in a pipe"
export NO_COLOR=1

step "a reader that goes, a disk that is full"
ctl list --json 2>"$T/err" | head -c 1 >/dev/null
! grep -v 'not running' "$T/err" || fail "a closed pipe is complained of"
code=0
ctl explain 80 >/dev/full 2>"$T/err" || code=$?
assert_eq "$code" 1 "exit code with a full disk"
assert_says "$T/err" 'No space left' "what is wrong with the output"

step "history and alerts"
assert_eq "$(count history)" 11 "intervals"
assert_eq "$(rows history -n 3 | jq -c 'map(.port)' | tr -d ' ')" \
        "$(rows history | jq -c 'map(.port)[:3]')" "the newest three"
assert_eq "$(ctl history -n 3 --json 2>/dev/null | jq .more)" true "there are more"
assert_eq "$(ctl history -n 11 --json 2>/dev/null | jq .more)" false "there are no more"
assert_eq "$(count history --until -55min)" 4 "open before"
assert_eq "$(rows history 6379 | jq -c '.[0] | [.closed_how, .duration_usec]')" '["seen",600000000]' \
        "a closed interval"
assert_exit 2 ctl history --since now --until yesterday
assert_eq "$(rows alerts | jq -c 'map(.alert_id)')" '[6,4,3,2,1]' "open alerts, newest first"
assert_eq "$(count alerts --all)" 6 "all alerts"
assert_exit 0 ctl history 6379
assert_says "$T/out" '^1 interval\.$' "one interval"
for verb in history alerts; do
        assert_exit 0 ctl $verb
        assert_says "$T/err" 'portwatchd is not running' "stale $verb"
        assert_eq "$(ctl $verb --json 2>/dev/null | jq .stale)" true "stale $verb, for programs"
done
assert_exit 0 ctl alerts
assert_says "$T/out" '^5 open\. .*show @6$' "footer of alerts"
assert_exit 0 ctl alerts 81
assert_says "$T/out" '^No open alerts' "no alerts"

step "show: what it is, and lines that work in a shell"
assert_exit 0 ctl show 8080
assert_says "$T/out" 'portwatchctl allow @1$' "how to allow it"
assert_says "$T/out" 'systemctl --user -M dev@ stop demo.service$' "how to stop a user unit"
assert_says "$T/out" 'kill 4711$' "how to end the process"
assert_says "$T/out" "tcp dport 8080 drop'\$" "how to block it"
! grep -q 'stop user@' "$T/out" || fail "a user's whole manager would be stopped"
assert_exit 0 ctl show 23
assert_says "$T/out" 'SocketBindDeny=tcp:23' "how to keep it closed"
! grep -q 'kill 1$' "$T/out" || fail "PID 1 would be killed"
ctl show --json 23 >"$T/json" 2>/dev/null
line=$(jq -r '.advice[] | select(.what == "close it") | .text' "$T/json")
eval "set -- $line"
assert_eq "$*" 'systemctl stop telnet\x2dd.socket telnet\x2dd.service' "words of the shell line"
assert_exit 0 ctl show 5432
assert_says "$T/out" 'docker stop db$' "how to stop a container"
! grep -q 'nft ' "$T/out" || fail "a rule for the host would not reach a container's namespace"
assert_exit 0 ctl show @2
assert_says "$T/out" 'notable +temporary' "why it is suspicious"
! grep -q 'allow @2' "$T/out" || fail "a suspicious program would be allowed by a copied line"
assert_exit 0 ctl show @5
assert_says "$T/out" 'not open now' "an alert that is over"
assert_exit 0 ctl show @6
assert_says "$T/out" '^tcp 9418 .* missing$' "a port that is missing"
assert_says "$T/out" 'rule +/etc/portwatch/rules.d/20-site.rules:3$' "what requires it"
assert_says "$T/out" 'git-daemon \(user git, unit git-daemon.service\)' "who had it"
assert_says "$T/out" 'systemctl start git-daemon.service$' "how to start it"
! grep -Eq 'not known|root|kill' "$T/out" || fail "an owner of a port that is missing"
assert_exit 3 ctl show 9418
assert_says "$T/err" 'a rule requires it: alert @6$' "a missing port, by its number"
assert_eq "$(rows alerts reason=required-missing | jq -c '.[0] | [.user, .uid, .verdict]')" \
        '[null,null,null]' "nobody has a missing port"
assert_exit 3 ctl show 6379
assert_exit 3 ctl show 81
assert_eq "$(grep -vc 'not running' "$T/err")" 1 "lines about a port that nobody has"
assert_exit 3 ctl show @999

step "names of this host's own /etc/services"
cp /etc/services "$T/services"
printf 'our-game 50000/udp\nother-web 8080/tcp\n' >>"$T/services"
mount --bind "$T/services" /etc/services || fail "cannot mount over /etc/services"
for verb in 'list --all' show; do
        # shellcheck disable=SC2086
        assert_exit 0 ctl $verb 50000
        assert_says "$T/out" '^udp .*:50000 .*our-game ' "$verb, of a local name"
done
assert_exit 0 ctl show 8080
assert_says "$T/out" '^tcp 0\.0\.0\.0:8080 +http-alt ' "IANA's name comes first"
umount /etc/services

step "what is not there, what may not be read"
mkdir "$T/empty"
assert_exit 1 "$PW_BUILD/portwatchctl" --state="$T/empty" list
assert_says "$T/err" 'portwatchctl scan' "what to do without a history"
assert_exit 1 ctl status
assert_exit 5 ctl verify
assert_says "$T/err" 'not running' "why nothing can be judged"
chmod 0750 "$STATE"
for verb in list history alerts 'show 80' 'allow @1'; do
        # shellcheck disable=SC2086
        assert_exit 4 nobody $verb
        assert_eq "$(wc -l <"$T/err")" 1 "lines about $verb"
        assert_says "$T/err" 'sudo' "what to do about $verb"
done
assert_exit 0 nobody scan
assert_exit 0 nobody explain 80
assert_exit 4 nobody allow tcp 80

step "allow, deny, require"
LOCAL=$RULES/50-local.rules
assert_exit 0 ctl allow @1
assert_says "$LOCAL" '^allow tcp 8080 exe=/usr/bin/python3.11 user=dev .*  # [0-9-]{10}, @1$' \
        "a rule for an alert"
assert_says "$T/out" '^To undo: delete line 1 of that file' "how to undo it"
assert_exit 0 ctl allow @1
assert_says "$T/out" '^Already there:' "the same rule again, whatever the comment"
assert_exit 0 ctl allow tcp 8080 exe=/usr/bin/python3.11 user=dev scope=any unit=x.service
assert_says "$T/out" '^Already expected by .*50-local.rules:1$' "a rule within another"
assert_exit 0 ctl show 8080
rm "$LOCAL"
assert_exit 0 ctl allow @1 --for 8h
assert_exit 0 ctl deny @1
assert_says <(head -n 1 "$LOCAL") '^deny tcp 8080' "a rule in front of one that ends"
assert_exit 1 ctl check tcp/8080 user=dev exe=/usr/bin/python3.11
rm "$LOCAL"
ln -sf "$(readlink -f /bin/sh)" "$T/link"
assert_exit 0 ctl allow tcp 9000 exe="$T/link" user=no-such-user
assert_says "$LOCAL" "^allow tcp 9000 exe=$(readlink -f /bin/sh) " "the file behind a link"
assert_says "$T/err" 'symbolic link' "a link is told"
assert_says "$T/err" 'user=no-such-user: there is no such user' "an unknown user is told"
printf 'allow tcp 9000 exe=%s\nallow tcp 9001 user=no-such-user\n' "$T/link" >"$T/doubt.rules"
assert_exit 0 ctl check "$T/doubt.rules"
assert_says "$T/out" '^2 rules, all fine' "two rules"
assert_says "$T/out" "doubt.rules:1: warning: .*exe=$(readlink -f /bin/sh)\$" "a link in a file"
assert_says "$T/out" 'doubt.rules:2: warning: .*no such user' "an unknown user in a file"
rm "$LOCAL"
assert_exit 0 ctl allow @1
assert_exit 0 ctl allow tcp 8080 user=dev 'comment=for the "board"'
assert_says "$T/out" "^Added to $LOCAL" "where it was written"
assert_says "$T/err" 'not running' "nobody reads it now"
assert_eq "$(tail -n 1 "$LOCAL" | sed 's/  #.*//')" \
        'allow tcp 8080 user=dev comment="for the \"board\""' "the line"
assert_eq "$(stat -c %a "$LOCAL")" 644 "mode"
assert_exit 0 ctl allow tcp/8081 --for 8h
assert_says "$LOCAL" '^allow tcp 8081 until=[0-9-]{10}T[0-9:]{8}[+-][0-9]{2}:[0-9]{2}  # ' "a rule that ends"
assert_exit 0 ctl allow tcp 8080 user=dev 'comment=for the "board"'
assert_says "$T/out" '^Already there' "the same again"
assert_exit 1 ctl allow @2
assert_exit 3 ctl allow @999
rule 10-site.rules 'deny tcp 23'
assert_exit 1 ctl allow tcp 23
assert_says "$T/err" '10-site.rules:1' "the rule in front"
! grep -q ' 23$' "$LOCAL" || fail "a shadowed rule was written"
before=$(cat "$LOCAL")
for words in 'tcp' 'tcp 65536' 'tcp 90-80' 'tcp 22 colour=red' 'sctp 22' 'tcp 22 user='; do
        # shellcheck disable=SC2086
        assert_exit 2 ctl allow $words
        assert_says "$T/err" 'column [0-9]+: ' "the place of what is wrong"
done
assert_exit 2 ctl allow tcp 22 $'comment=a\nallow tcp any'
assert_exit 2 ctl allow --for ever tcp 22
assert_exit 2 ctl allow --for 8 tcp 22
assert_says "$T/err" 'with a unit, such as 8h' "a span without a unit"
assert_exit 2 ctl allow 8080
assert_says "$T/err" 'portwatchctl allow tcp 8080$' "a rule without a protocol"
assert_exit 2 ctl require tcp 1-10
assert_eq "$(cat "$LOCAL")" "$before" "rules after refused ones"
assert_exit 0 ctl require tcp 5432 grace=30s
assert_exit 0 ctl check

step "check and rules"
assert_exit 0 ctl check tcp/8080 user=dev exe=/usr/bin/python3.11
assert_says "$T/out" '50-local.rules:' "the rule that decides"
assert_exit 1 ctl check tcp/8080 user=eve
assert_exit 1 ctl check tcp/23
assert_exit 2 ctl check tcp/8080 colour=red
assert_exit 3 ctl check "$T/no-such.rules"
assert_exit 3 ctl check 8080
assert_says "$T/err" 'expected a FILE .*tcp/8080$' "a port without its protocol"
assert_exit 3 ctl check ssh
assert_says "$T/err" 'tcp/ssh$' "a service without its protocol"
assert_exit 2 ctl check ''
ctl rules --json >"$T/json" 2>/dev/null
assert_eq "$(jq '[.rules[] | .place] | length' "$T/json")" \
        "$(cat "$RULES"/*.rules | grep -c '^[a-z]')" "rules in force"
assert_says <(ctl rules 2>/dev/null) 'no match now' "a rule that does nothing"
rule 90-late.rules 'allow tcp 23 user=root' 'allow tcp 99 until=2020-01-01'
assert_says <(ctl rules 2>/dev/null) 'shadowed by .*10-site.rules:1' "a rule behind another"
assert_says <(ctl rules 2>/dev/null) 'expired' "a rule that has ended"
for width in 60 80 200; do
        COLUMNS=$width ctl rules >"$T/out" 2>/dev/null
        assert_eq "$(grep -c 'rules:[0-9]' "$T/out")" "$(ctl rules --json 2>/dev/null | jq '.rules | length')" \
                "places at $width columns"
done
chmod 0700 "$STATE"
chmod 0755 "$T"
touch "$STATE/baseline.rules"
for words in rules 'check tcp/8080' check; do
        # shellcheck disable=SC2086
        assert_exit 4 nobody $words
        assert_says "$T/err" 'log in again; or use sudo' "what to do about $words"
done
rm "$STATE/baseline.rules"
chmod 0755 "$STATE"

echo 'allow tcp 22' >"$T/one.rules"
assert_exit 0 ctl check "$T/one.rules"
assert_says "$T/out" '^1 rule, all fine\.$' "one rule"
assert_exit 0 "$PW_BUILD/portwatchctl" --state="$T/empty" --rules="$T/one" check
assert_says "$T/out" '^0 rules and the settings are fine\.$' "no rules"
mkdir "$T/one" && mv "$T/one.rules" "$T/one/"
assert_exit 0 "$PW_BUILD/portwatchctl" --state="$T/empty" --rules="$T/one" check
assert_says "$T/out" '^1 rule and the settings are fine\.$' "one rule in force"

step "explain"
says() { # PORT REGEX
        assert_exit 0 ctl explain "$1"
        assert_says "$T/out" "$2" "explain $1"
}
says 22 'TCP ssh, UDP (ssh|none)'
says 53 'TCP domain, UDP domain'
says domain '^Port 53$'
says 80 'http://HOST/ '
says 443 'https://HOST/ '
says 3000 'http://HOST:3000/'
says 8080 'opened by a stranger: unexpected'
says 80 'CAP_NET_BIND_SERVICE'
says 8080 'every user'
says 60000 'clients get it by themselves'
says 65000 'dynamic'
assert_eq "$(ctl explain --json 5432 | jq -r '[.tcp_service, .url, .privileged] | @csv')" \
        '"postgresql",,false' "explain, for programs"
assert_exit 2 ctl explain 80-90
assert_exit 2 ctl explain 0
assert_exit 2 ctl explain 65536

step "scan: sockets, recordings"
hold mine tcp:127.0.0.1:7001,reuseport=3 'tcp6:[::]:7002,dual' udp:127.0.0.1:7003 udp:0.0.0.0:45000 \
        tcp:127.0.0.1:7004,user=65534
assert_eq "$(rows scan 7001 | jq -c '[length, .[0].sockets]')" '[1,3]' "sockets of one owner"
assert_eq "$(count scan 7001 --sockets)" 3 "sockets by themselves"
assert_eq "$(rows scan --sockets | jq -r '.[] | "\(.protocol) \(.port)"' | sort)" \
        "$(ss -Hlntu | awk '{ sub(/.*:/, "", $5); print $1, $5 }' | sort)" "sockets that ss sees"
assert_eq "$(rows scan 7002 | jq -r '.[0].address')" '*' "a socket for both families"
assert_eq "$(count scan udp/45000)" 1 "a UDP socket in the ephemeral range"
assert_eq "$(rows scan 7004 | jq -r '.[0].user')" nobody "another user's"
hold worker1 tcp:127.0.0.1:7005,reuseport
hold worker2 tcp:127.0.0.1:7005,reuseport tcp:127.0.0.1:7006
assert_eq "$(rows scan 7005 | jq -c '[length, .[0].sockets, (.[0].pids | length)]')" '[1,2,2]' \
        "workers that each opened a socket"
hold other --copy="$T/other" tcp:127.0.0.1:7005,reuseport
assert_eq "$(rows scan 7005 | jq -c 'map(.sockets) | sort')" '[1,2]' "two owners of one endpoint"
release worker1
release worker2
release other
assert_exit 0 nobody scan 7001
assert_says "$T/err" 'not visible' "what an unprivileged scan cannot see"
assert_says "$T/out" ': sudo portwatchctl show 7001$' "a hint that this user can follow"
unseen() { # as somebody who may read the rules
        setpriv --reuid=65534 --regid=65534 --clear-groups \
                "$PW_BUILD/portwatchctl" --state="$T/empty" --rules="$RULES" "$@"
}
assert_exit 0 unseen scan 7001
assert_says "$T/out" '^1 open, 1 not judged ' "no verdict on the unseen"
assert_eq "$(unseen scan 7001 --json 2>/dev/null | jq -c '[.listeners[].verdict]')" '[null]' \
        "no verdict, for programs"
assert_exit 0 unseen show 7001
assert_says "$T/out" '^tcp 127\.0\.0\.1:7001 .* not judged$' "show, of an owner who cannot be seen"
assert_says "$T/out" 'rule +none matches what can be seen of it$' "show, of a rule that may be there"
! grep -q 'allow it' "$T/out" || fail "a rule is proposed for an owner who cannot be seen"
assert_eq "$(unseen scan --unexpected 7001 --json 2>/dev/null | jq '.listeners | length')" 0 \
        "what is not judged is not unexpected"
assert_exit 0 unseen explain 7001
assert_says "$T/out" 'not judged$' "explain, of an owner who cannot be seen"
rule 95-broken.rules 'allow tcp'
assert_exit 0 unseen explain 7001
assert_says "$T/out" '^Rules +refused, .*95-broken.rules:1' "explain, of rules that cannot be parsed"
rm "$RULES/95-broken.rules"
ctl scan --record="$T/recording" --json | jq '[.listeners[] | [.protocol, .address, .port]] | sort' \
        >"$T/live"
assert_eq "$(ctl scan --replay="$T/recording" --json |
        jq '[.listeners[] | [.protocol, .address, .port]] | sort | unique')" \
        "$(jq unique "$T/live")" "a recording"
ss -ltD "$T/by-ss" >/dev/null 2>&1
assert_eq "$(ctl scan --replay="$T/by-ss" --json 2>/dev/null | jq '.listeners | map(.port) | unique')" \
        '[
  7001,
  7002,
  7004
]' "a recording of ss"
head -c 100 /dev/urandom >"$T/noise"
assert_exit 1 ctl scan --replay="$T/noise"
assert_exit 1 ctl scan --replay="$T/none"
assert_exit 2 ctl scan --replay="$T/noise" --record="$T/x"
ctl baseline >"$T/baseline.rules" 2>/dev/null
assert_exit 0 ctl check "$T/baseline.rules"
release mine

step "rules that were refused, a daemon that hangs"
fresh
start_daemon
hold client udp:0.0.0.0:45001
assert_exit 0 ctl verify
rule 50-bad.rules 'allow tcp'
reload_daemon
for verb in list alerts verify; do
        ctl $verb >/dev/null 2>"$T/err"
        assert_says "$T/err" 'refused the rules.*50-bad.rules:1.*portwatchctl check' "$verb, of refused rules"
done
kill -STOP "$DAEMON"
jq '.written = "2026-01-01T00:00:00.000000Z" | .last_poll = .written' "$RUN/status.json" >"$T/old.json"
cat "$T/old.json" >"$RUN/status.json"
assert_exit 0 ctl list
assert_says "$T/err" 'looks no more' "list, of a daemon that hangs"
assert_eq "$(ctl list --json 2>/dev/null | jq .stale)" true "list, for programs"
assert_exit 1 ctl status
assert_says "$T/out" '^Hangs' "status, of a daemon that hangs"
assert_exit 5 ctl verify
kill_daemon
release client
assert_exit 1 ctl status
assert_says "$T/out" '^Start it ' "what to do about a dead daemon"
! grep -q '^Missed' "$T/out" || fail "status tells of events missed, and there are none"

# told REGEX JQ-FILTER: what status says of a status.json that is changed so.
told() {
        jq "$2" "$T/old.json" >"$RUN/status.json"
        assert_exit 1 ctl status
        assert_says "$T/out" "$1" "status, where $2"
}
told '^Engine +no events; all sockets are looked at every 1s$' '.engine = "no events" | .interval_usec = 1000000'
told '^Engine +TCP events; all sockets are looked at without a pause$' '.engine = "TCP events" | .interval_usec = 0'
told '^Missed +1 event; ' '.events_missed = 1'
told '^Missed +4711 events; ' '.events_missed = 4711'
told '^Last look .* ago; 1 look, 0 of them unchanged, ' '.polls = 1 | .unchanged_polls = 0'
told '^Rules +none in force, refused: ' '.rules = 0'
rm -f "$STATE"/history.db-*
head -c 8192 /dev/urandom >"$STATE/history.db"
assert_exit 1 ctl list
assert_says "$T/err" "$STATE/history.db is damaged" "which file is damaged"

step "words that are no verbs"
suggests() { # WORD REGEX
        assert_exit 2 ctl "$1"
        assert_says "$T/err" "did you mean: portwatchctl $2\$" "a hint for $1"
}
suggests tcp 'list tcp'
suggests user=dev 'list user=dev'
suggests 80-90 'list 80-90'
suggests tcp/80 'show tcp/80'
suggests 8080 'show 8080'
suggests help --help
suggests version --version
suggests -V --version

step "help"
assert_exit 0 ctl --help
for verb in $(sed -n 's/^  \([a-z]*\)  .*/\1/p' "$T/out" | sort -u); do
        assert_exit 0 ctl "$verb" --help
        assert_says "$T/out" "^  portwatchctl( | .* )$verb|^  portwatchctl $verb" "examples of $verb"
        assert_le "$(wc -L <"$T/out")" 100 "width of the help of $verb"
done
assert_exit 0 ctl --version
assert_says "$T/out" '^portwatchctl [0-9]' "the version"
exit 0
