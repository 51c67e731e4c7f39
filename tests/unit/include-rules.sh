#!/bin/bash
# SPDX-License-Identifier: MIT
# Checks which file includes which, so that the stages stay apart:
#
#   include-rules.sh ROOT    tells every violation below ROOT; exit 1 where there is one
#
# It first feeds itself a tree with one violation of each rule, and fails if one goes unnoticed.
set -u
export LC_ALL=C

# Each line of the input is FILE:LINE:HEADER, the header with its quotes or angle brackets.
# A stage of the daemon is a file's name up to the first "-" or ".": sockdiag.c and sockdiag-parse.h
# are one stage. Some stages have parts with names of their own.
check_includes() {
        awk -F: '
        function refuse(why) { print file ":" $2 ": " header " " why; bad = 1 }
        function stage(path) {
                sub(/^daemon\/(bpf\/)?/, "", path); sub(/[-.].*/, "", path)
                return path in part_of ? part_of[path] : path
        }
        BEGIN {
                part_of["rule"] = part_of["baseline"] = "policy"
                part_of["proc"] = part_of["cgroup"] = "attribution"
                part_of["holders"] = part_of["users"] = part_of["namespaces"] = "attribution"
                part_of["entry"] = "journal"
                part_of["limit"] = "alert"
        }
        function only(pattern) { if (file !~ pattern) refuse("is not for this file") }
        {
                file = $1; header = $3; name = substr(header, 2, length(header) - 2)
                split(file, parts, "/"); part = parts[1]
        }
        # libraries
        name == "sqlite3.h"        { only("^core/(store|query)[^/]*[.]c$") }
        name ~ /^libmnl\//         { only("^daemon/sockdiag[^/]*[.][ch]$") }
        name ~ /^json-c\//         { only("^(ctl/view-json|ctl/cmd-[^/]*|daemon/status)[.]c$") }
        name ~ /^libsmartcols/     { only("^ctl/view-table[.]c$") }
        name == "ini.h"            { only("^daemon/config[.]c$") }
        name ~ /^bpf\//            { only("^daemon/bpf/[^/]*[.][ch]$") }
        name ~ /^systemd\//        { only("^daemon/[^/]*[.][ch]$") }
        # parts
        part == "include" && header ~ /^"/ { refuse("is private: a contract includes no private file") }
        part == "include" && name !~ /^portwatch\// && name ~ /\// && name !~ /^(sys|netinet|arpa)\// {
                refuse("is neither a contract nor of the C library")
        }
        part == "core" && name ~ /^(daemon|ctl)\// { refuse("is above core") }
        part == "daemon" && name ~ /^ctl\//        { refuse("is above the daemon") }
        part == "daemon" && name ~ /^daemon\// && stage(file) !~ /^(manager|main)$/ &&
        stage(file) != stage(name)                 { refuse("is another stage") }
        header ~ /^"/ && name !~ /^(core|daemon|ctl|tests)\// && header != "\"iana-table.inc\"" &&
        part != "tests"                            { refuse("has no directory in front") }
        END { exit bad }'
}

# Quoted headers and contracts must be there: below the root, or beside a test's file.
check_existence() {
        local bad=0 file line header name
        while IFS=: read -r file line header; do
                name=${header:1:-1}
                case $header in
                '"iana-table.inc"') continue ;; # made by the build
                '"'*) [ -e "$name" ] || [ -e "$(dirname "$file")/$name" ] && continue ;;
                '<portwatch/'*) [ -e "include/$name" ] && continue ;;
                *) continue ;;
                esac
                echo "$file:$line: $header is not there"
                bad=1
        done
        return $bad
}

check_pragma_once() {
        local bad=0 file
        while read -r file; do
                grep -q '^#pragma once$' "$file" && continue
                echo "$file: has no #pragma once"
                bad=1
        done < <(find include core daemon ctl tests -name '*.h' 2>/dev/null | sort)
        return $bad
}

check_tree() (
        cd "$1" || exit 1
        includes=$(grep -rEn --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include' \
                include core daemon ctl tests 2>/dev/null |
                sed -E 's/^([^:]*):([0-9]+):[^"<]*(["<][^">]*[">]).*$/\1:\2:\3/' | sort -t: -k1,1 -k2,2n)
        if [ -z "$includes" ]; then
                echo "$1: no source files: this is not the project's directory"
                exit 1
        fi
        bad=0
        check_includes <<<"$includes" || bad=1
        check_existence <<<"$includes" || bad=1
        check_pragma_once || bad=1
        exit $bad
)

# ---- the check of the check ----

# put FILE LINE…: a file with these lines
put() {
        mkdir -p "$tree/$(dirname "$1")"
        printf '%s\n' "${@:2}" >"$tree/$1"
}

# expect_bad WHAT FILE LINE…: with this file the tree must be refused, and the file named
expect_bad() {
        local output
        put "$2" "${@:3}"
        if output=$(check_tree "$tree") || ! grep -q "^$2:" <<<"$output"; then
                echo "self-test: not noticed: $1"
                failed=1
        fi
        rm "$tree/$2"
}

self_test() {
        local tree failed=0
        tree=$(mktemp -d) || return 1
        trap 'rm -rf "$tree"' RETURN
        put include/portwatch/a.h '#pragma once' '#include <errno.h>' '#include <netinet/in.h>'
        put core/b.h '#pragma once' '#include <portwatch/a.h>'
        put core/store.c '#include "core/b.h"' '#include <sqlite3.h>'
        put daemon/one.h '#pragma once'
        put daemon/one-parse.h '#pragma once'
        put daemon/one.c '#include "daemon/one.h"' '#include "daemon/one-parse.h"'
        put daemon/two.h '#pragma once'
        put daemon/manager-poll.c '#include "daemon/one.h"' '#include "daemon/two.h"'
        put ctl/c.h '#pragma once'
        put ctl/c.c '#include "ctl/c.h"' '#include "daemon/one.h"'
        if ! check_tree "$tree"; then
                echo 'self-test: a good tree is refused'
                failed=1
        fi
        expect_bad 'a contract with a private header' include/portwatch/x.h '#pragma once' '#include "core/b.h"'
        expect_bad 'a contract with a library' include/portwatch/x.h '#pragma once' '#include <libmnl/libmnl.h>'
        expect_bad 'core includes daemon' core/x.c '#include "daemon/one.h"'
        expect_bad 'core includes ctl' core/x.c '  #  include "ctl/c.h"'
        expect_bad 'daemon includes ctl' daemon/manager.c '#include "ctl/c.h"'
        expect_bad 'a stage includes another' daemon/one-x.c '#include "daemon/two.h"'
        expect_bad 'a stage'\''s header includes another' daemon/three.h '#pragma once' '#include "daemon/two.h"'
        expect_bad 'sqlite outside the store' core/storage/x.c '#include <sqlite3.h>'
        expect_bad 'sqlite in the daemon' daemon/manager.c '#include <sqlite3.h>'
        expect_bad 'libmnl outside sockdiag' daemon/one-x.c '#include <libmnl/libmnl.h>'
        expect_bad 'json-c elsewhere' ctl/columns.c '#include <json-c/json.h>'
        expect_bad 'libsmartcols elsewhere' ctl/view.c '#include <libsmartcols/libsmartcols.h>'
        expect_bad 'inih elsewhere' daemon/one-x.c '#include <ini.h>'
        expect_bad 'systemd in core' core/x.c '#include <systemd/sd-id128.h>'
        expect_bad 'a private header that is not there' core/x.c '#include "core/missing.h"'
        expect_bad 'a contract that is not there' core/x.c '#include <portwatch/missing.h>'
        expect_bad 'a header without its directory' daemon/one-x.c '#include "one.h"'
        expect_bad 'a header without pragma once' core/x.h '#include <errno.h>'
        return $failed
}

if [ $# -ne 1 ]; then
        echo "usage: $0 ROOT" >&2
        exit 2
fi
self_test || exit 1
check_tree "$1" || exit 1
echo "include rules: kept"
