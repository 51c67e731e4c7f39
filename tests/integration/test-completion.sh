#!/bin/bash
# SPDX-License-Identifier: MIT
# The completions of bash, zsh and fish, which ask the program. Would catch: a verb, option, column,
# filter or rule key that is not offered, or offered and not there; ports, units and alerts that are
# not the host's; a candidate that a shell would run; a shell's script that loses what bash splits at
# = : @ or adds a space where the word goes on.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs script

PATH=$PW_BUILD:$PATH
SCRIPTS=$PW_SOURCE/share/completions

# candidates WORD…: what the last of the words may become.
candidates() {
        portwatchctl complete -- "$@" | cut -f 1
}

# assert_same WHAT COMMAND COMMAND: both print the same lines, in any order.
assert_same() {
        diff <(eval "$2" | sort -u) <(eval "$3" | sort -u) >"$T/diff" && return
        cat "$T/diff"
        fail "$1"
}

assert_candidates() { # "CANDIDATE…" WORD…
        local expected=$1
        shift
        assert_eq "$(candidates "$@" | xargs)" "$expected" "candidates for '$*'"
}

step "the same verbs, options, columns and keys as the program has"
verbs=$(portwatchctl --help | sed -n '/^Options:/q; s/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$verbs")" -ge 14 ] || fail "the help lists too few verbs: $verbs"
# shellcheck disable=SC2016 # assert_same expands it
assert_same "verbs" 'echo "$verbs"' 'candidates ""'
options() { # FILE: the long options that a help names
        sed -n 's/^ .*--\([a-z-]*\).*  .*/--\1/p' "$1"
}
portwatchctl --help >"$T/help"
for verb in $verbs; do
        portwatchctl "$verb" --help >"$T/help-$verb"
        assert_same "options of $verb" "options $T/help; options $T/help-$verb" \
                "candidates $verb -- | sed 's/=\$//'"
done
assert_same "columns" "sed -n '/^Columns/,/^\$/{/^  /p}' $T/help-list | xargs -n 1" \
        'candidates list -o ""'
assert_same "filter keys" "sed -n '/^Filters/,/^The same/s/^  //p' $T/help-list | xargs -n 1" \
        'candidates list "" | grep ="\$"'
rule 90-bad.rules 'allow tcp 80 nonsense=1'
portwatchctl check "$RULES/90-bad.rules" | sed 's/.*expected //; s/ or /, /; s/, /\n/g' >"$T/rule-keys"
rm "$RULES/90-bad.rules"
[ "$(wc -l <"$T/rule-keys")" -ge 13 ] || fail "the refusal lists too few keys: $(cat "$T/rule-keys")"
assert_same "rule keys" "sed 's/\$/=/' $T/rule-keys" \
        "{ candidates allow tcp 80 ''; } | sed 's/=kernel\$/=/'"
assert_exit 2 portwatchctl check tcp/80 nonsense=1
assert_same "keys of a dry run" "grep -o '[a-z_]*=' $T/err | grep -v nonsense" \
        "candidates check tcp/80 ''"
assert_candidates "list" --json li # its mode only behind =
assert_candidates "--json=off --json=pretty --json=short" --json=
assert_candidates "range=dynamic range=ephemeral range=registered range=well-known" list range=
assert_candidates "scope=link-local scope=loopback" list scope=l
assert_candidates "protocol,port" list -o protocol,po
assert_candidates "--columns=protocol,port" list --columns=protocol,po
assert_candidates "" bogus ""
assert_candidates "" status ""
assert_candidates "" explain 80 ""
assert_eq "$(portwatchctl complete -- check / | head -n 1)" $'\tfiles' "the order for files"
assert_eq "$(portwatchctl complete -- --state "" | head -n 1)" $'\tdirectories' \
        "the order for directories"

step "ports, owners and alerts of this host, with a daemon"
evil="$T/bin/\$(touch pwned)"
cp "$T/bin/open-sockets" "$evil"
start_daemon
hold ports tcp:127.0.0.1:8080 tcp:127.0.0.1:900 udp:127.0.0.1:8080 tcp:127.0.0.1:10000
background evil "$evil" tcp:127.0.0.1:8099
sync_looks
# shellcheck disable=SC2317 # called by wait_for
udp_settled() {
        [ "$(listeners '.port == 8080')" = 2 ]
}
wait_for 20 "UDP has settled" udp_settled
assert_candidates "900 8080 8099 10000" --state="$STATE" explain ""
assert_candidates "8080 8099" --state "$STATE" explain 80
assert_candidates "udp/8080" --state="$STATE" show udp/
assert_candidates ":900" --state="$STATE" list :9
assert_candidates "80,8080 80,8099" --state="$STATE" list 80,8
assert_candidates "exe=$T/bin/open-sockets" --state="$STATE" list exe=
assert_candidates "user=root" --state="$STATE" allow tcp 80 user=
id=$(alert '.port == 10000' .alert_id)
assert_eq "$(portwatchctl complete -- --state="$STATE" show "@$id" | head -n 1)" \
        "@$id	unexpected: tcp/10000 ndmp: open-sockets" "the candidate for an alert"
assert_candidates "" --state="$STATE" allow "@$id" ""
stop_daemon

step "ports without a daemon, from the kernel"
assert_candidates "900 8080 8099 10000" --state="$T/none" explain ""
release evil

step "bash, in a terminal"
cat >"$T/bashrc" <<END
PS1='READY> '
stty cols 500
bind 'set enable-bracketed-paste off' 2>/dev/null
PATH='$PW_BUILD':\$PATH
cd '$T/files'
. '$SCRIPTS/portwatchctl'
END
mkdir -p "$T/files/some directory"
touch "$T/files/new.rules" "$T/files/a b.rules"

# Runs `script` around a shell and types lines into it, each with a tab behind; after that the line
# itself becomes what a command prints.
# typed EXPECTED LINE: into the shell at ${TERMINAL[@]}.
typed() {
        local line expected=$1
        printf '%s\t\001printf '\''RESULT:<%%s>\\n'\'' '\''\005'\''\r' "$2" >&"${TERMINAL[1]}"
        while IFS= read -r -t 20 -u "${TERMINAL[0]}" line; do
                line=${line%$'\r'}
                [[ $line =~ ^RESULT:\<(.*)\>$ ]] || continue
                assert_eq "${BASH_REMATCH[1]}" "$expected" "'$2' and a tab"
                return
        done
        fail "no answer to '$2' and a tab"
}

open_terminal() { # COMMAND
        coproc TERMINAL { TERM=dumb exec script -qfec "$1" /dev/null 2>&1; }
}

close_terminal() {
        printf '\003\rexit\r' >&"${TERMINAL[1]}"
        wait "$TERMINAL_PID" 2>/dev/null
}

open_terminal "bash --noprofile --rcfile $T/bashrc -i"
typed 'portwatchctl list ' 'portwatchctl lis'
typed 'portwatchctl list --unexpected ' 'portwatchctl list --un'
typed 'portwatchctl list --at=' 'portwatchctl list --at'
typed 'portwatchctl list --at=yesterday ' 'portwatchctl list --at=y'
typed 'portwatchctl list range=well-known ' 'portwatchctl list range=w'
typed 'portwatchctl list user_unit=' 'portwatchctl list user_u'
typed 'portwatchctl list -o protocol,address ' 'portwatchctl list -o protocol,ad'
typed 'portwatchctl list --columns=port,sockets ' 'portwatchctl list --columns=port,soc'
typed 'portwatchctl show :900 ' 'portwatchctl show :9'
typed 'portwatchctl show tcp/900 ' 'portwatchctl show tcp/9'
typed "portwatchctl --state=$STATE show @$id " "portwatchctl --state=$STATE show @$id"
typed 'portwatchctl check new.rules ' 'portwatchctl check n'
typed 'portwatchctl check a\ b.rules ' 'portwatchctl check a'
typed 'portwatchctl check udp/' 'portwatchctl check u'
typed 'portwatchctl --state=some\ directory/' 'portwatchctl --state=s'
typed "portwatchctl list exe=$T/bin/open-sockets " 'portwatchctl list exe=/run/'
typed 'portwatchctl bogus ' 'portwatchctl bogus '
close_terminal

if command -v zsh >/dev/null; then
        step "zsh, in a terminal"
        mkdir -p "$T/zsh"
        cat >"$T/zsh/.zshrc" <<END
PS1='READY> '
stty cols 500
unset zle_bracketed_paste
unsetopt prompt_cr prompt_sp
PATH='$PW_BUILD':\$PATH
cd '$T/files'
fpath=('$SCRIPTS' \$fpath)
autoload -U compinit && compinit -u -D
END
        open_terminal "ZDOTDIR=$T/zsh zsh -d -i"
        # The blank or slash that it adds is taken back when the cursor leaves.
        typed 'portwatchctl list' 'portwatchctl lis'
        typed 'portwatchctl list --unexpected' 'portwatchctl list --un'
        typed 'portwatchctl list range=well-known' 'portwatchctl list range=w'
        typed 'portwatchctl list user_unit=' 'portwatchctl list user_u'
        typed 'portwatchctl list -o protocol,address' 'portwatchctl list -o protocol,ad'
        typed 'portwatchctl show :900' 'portwatchctl show :9'
        typed 'portwatchctl check new.rules' 'portwatchctl check n'
        typed 'portwatchctl --state=some\ directory' 'portwatchctl --state=s'
        close_terminal
else
        step "(zsh is not here)"
fi

if command -v fish >/dev/null; then
        step "fish"
        in_fish() { # EXPECTED LINE
                assert_eq "$(cd "$T/files" && HOME=$T fish -c "source $SCRIPTS/portwatchctl.fish
                        complete -C '$2'" | cut -f 1 | xargs)" "$1" "fish, '$2'"
        }
        in_fish 'list' 'portwatchctl lis'
        in_fish '--unexpected' 'portwatchctl list --un'
        in_fish 'range=well-known' 'portwatchctl list range=w'
        in_fish 'protocol,address' 'portwatchctl list -o protocol,ad'
        in_fish ':900' 'portwatchctl show :9'
        in_fish 'new.rules' 'portwatchctl check n'
        in_fish '--state=some directory/' 'portwatchctl --state=s'
else
        step "(fish is not here)"
fi

[ ! -e "$T/files/pwned" ] || fail "a hostile name was run"
