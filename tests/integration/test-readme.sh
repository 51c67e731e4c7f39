#!/bin/bash
# SPDX-License-Identifier: MIT
# The two languages of the README, and its tables. Would catch: a command or an output that was
# changed, added or moved in one of them only, a section or a row that the other does not have, a
# field or a reason that the programs know and the tables do not, or the other way round, a package
# that tools/install installs and the tables do not name. Comments may be translated.
set -euo pipefail
export LC_ALL=C.UTF-8
: "${PW_SOURCE:?is the source directory}"

# The fenced blocks, fences included, without comments: " #", or "#" at the start of a line.
blocks() { # FILE
        awk '/^```/ { inside = !inside; print; next }
             inside { sub(/(^|[ \t]+)#.*$/, ""); print }
             END    { if (inside) print "not closed" }' "$1"
}

# Headings of the second level, outside the blocks.
sections() { # FILE
        awk '/^```/ { inside = !inside } !inside && /^## / { n++ } END { print n + 0 }' "$1"
}

# The words in `…` of a column. Tables are counted from 1 on.
# shellcheck disable=SC2016 # backquotes are meant
column() { # FILE TABLE COLUMN
        awk -F ' *[|] *' -v table="$2" -v column="$3" '
                /^[|] ---/ { n++; inside = n == table; next }
                !/^[|]/    { inside = 0 }
                inside     { print $(column + 1) }' "$1" | grep -o '`[^`]*`' | tr -d '`'
}

# same WHAT TABLE COLUMN WORDS: the column in English has these words, and no others.
same() {
        diff -u --label README.md --label "the code" <(column "$english" "$2" "$3" | sort) \
                <(sort -u <<<"$4") && return
        echo "FAIL: $1 differ"
        failed=1
}

english=$PW_SOURCE/README.md
korean=$PW_SOURCE/README.ko.md
failed=0

if [ -z "$(blocks "$english")" ] || [ "$(sections "$english")" = 0 ]; then
        echo "FAIL: no code blocks or no sections found in $english"
        failed=1
fi
if ! diff -u --label README.md --label README.ko.md <(blocks "$english") <(blocks "$korean"); then
        echo "FAIL: the code blocks differ"
        failed=1
fi
if [ "$(sections "$english")" != "$(sections "$korean")" ]; then
        echo "FAIL: README.md has $(sections "$english") sections," \
                "README.ko.md $(sections "$korean")"
        failed=1
fi

# The packages of tools/install, one line a manager.
packages() {
        local manager
        for manager in apt dnf pacman; do
                tr '\n' ' ' <"$PW_SOURCE/tools/install" |
                        grep -oE "packages_$manager(_events)?=\([^)]*" | sed 's/.*(//' | xargs
        done
}

PARTS=1 REASONS=2 FIELDS=3 PACKAGES=4
reasons=$(sed -n '/reason_names\[\] = {/,/^};/p' "$PW_SOURCE/core/names.c" | grep -o '"[a-z-]*"')
same "reasons" $REASONS 1 "${reasons//\"/}"
fields=$(grep -oh '"PORTWATCH_[A-Z_]*"' "$PW_SOURCE"/daemon/*.c | grep -v REFUSE)
same "the journal's fields" $FIELDS 1 "${fields//\"/}"
keys=$(sed -n '/^const struct pw_column /,/^};/s/^ *{"\([a-z_]*\)", "[^"]*", \.json = true.*/\1/p' \
        "$PW_SOURCE/ctl/columns.c")
same "JSON's keys" $FIELDS 2 "$keys"
same "the packages" $PACKAGES 2 "$(packages)"
for place in "$PARTS 1" "$REASONS 1" "$FIELDS 1" "$FIELDS 2" "$PACKAGES 2"; do
        # shellcheck disable=SC2086 # table and column
        if ! diff -u --label README.md --label README.ko.md <(column "$english" $place) \
                <(column "$korean" $place); then
                echo "FAIL: table and column $place differ"
                failed=1
        fi
done
exit "$failed"
