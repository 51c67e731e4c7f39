#!/bin/bash
# SPDX-License-Identifier: MIT
# The two languages of the README. Would catch: a command or an output that was changed, added or
# moved in one of them only, and a section that the other does not have. Comments may be translated.
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
exit "$failed"
