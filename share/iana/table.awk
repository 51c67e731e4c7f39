# SPDX-License-Identifier: MIT
# Turns services.tsv into C: one string pool, and for each protocol one array of (port, place of the
# name in the pool). Offsets instead of pointers: nothing to relocate, so the table stays read-only
# and is shared. A name that several rows carry is in the pool once, which lets a search by name
# compare offsets; names are the same in upper and lower case (RFC 6335, 5.1). POSIX awk.

BEGIN {
        FS = "\t"
        print "/* Made by share/iana/table.awk from share/iana/services.tsv. */"
        print "static const char iana_pool[] ="
}

/^# date: / {
        date = substr($0, 9)
}

/^#/ {
        next
}

NF != 3 || ($1 != "tcp" && $1 != "udp") || $2 !~ /^[0-9]+$/ || $3 !~ /^[A-Za-z0-9_-]+$/ {
        printf "%s:%d: expected protocol, port, name\n", FILENAME, FNR | "cat 1>&2"
        failed = 1
        exit 1
}

{
        key = tolower($3)
        if (!(key in place)) {
                place[key] = size + 0
                size += length($3) + 1
                printf "    \"%s\\0\"\n", $3
        }
        row[$1, n[$1]++] = "{" place[key] ", " $2 "}"
}

function print_rows(protocol,    i) {
        printf "static const struct iana_row iana_%s[] = {\n", protocol
        for (i = 0; i < n[protocol]; i++)
                printf "    %s,\n", row[protocol, i]
        print "};"
}

END {
        if (failed || date == "" || !n["tcp"] || !n["udp"])
                exit 1
        print "    ;"
        print_rows("tcp")
        print_rows("udp")
        printf "static const char iana_date[] = \"%s\";\n", date
}
