#!/bin/bash
# SPDX-License-Identifier: MIT
# `portwatchctl scan` agrees with `ss -Hlntu` socket for socket, on every kind of socket that the
# fixture can open and on real servers. Would catch: a protocol, family or state that the dump leaves
# out, rows taken twice or lost between two messages, an address or port read in the wrong byte
# order or form (dual-stack `*`, mapped, link-local), sockets of one listener that are not counted.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs ss

# One line a socket: protocol, address, port.
by_ss() {
        ss -Hlntu | awk '{
                port = $5; sub(/.*:/, "", port)
                address = $5; sub(/:[^:]*$/, "", address)
                sub(/%[^\]]*$/, "", address); gsub(/[][]/, "", address)
                print $1, address, port }' | LC_ALL=C sort
}

by_scan() {
        ctl scan tcp udp --json | jq -r '.listeners[] | "\(.protocol) \(.address) \(.port)" as $line |
                range(.sockets) | $line' | LC_ALL=C sort
}

# compare WHAT [MINIMUM]: both see the same sockets, at least so many. Servers may still be opening
# theirs, so a difference has two more chances.
compare() {
        local try
        for try in 1 2 3; do
                by_ss >"$T/ss.txt"
                by_scan >"$T/scan.txt"
                cmp -s "$T/ss.txt" "$T/scan.txt" && break
                [ $try = 3 ] && {
                        diff -u --label ss --label scan "$T/ss.txt" "$T/scan.txt"
                        fail "$1: scan and ss disagree"
                }
                sleep 0.2
        done
        [ "$(wc -l <"$T/ss.txt")" -ge "${2:-1}" ] || fail "$1: no sockets to compare"
}

step "an empty namespace"
assert_eq "$(by_scan)" "" "sockets in an empty namespace"

step "every kind of socket"
ip address add fe80::1/64 dev lo nodad
ip address add 10.20.30.40/32 dev lo
hold kinds tcp:127.0.0.1:8080 tcp:0.0.0.0:8081 'tcp6:[::1]:8080' 'tcp6:[::]:8082,v6only' \
        'tcp6:[::]:8083,dual' 'tcp6:[::ffff:127.0.0.1]:8084,dual' 'tcp6:[fe80::1%lo]:8085' \
        tcp:10.20.30.40:22 tcp:192.0.2.1:80,freebind tcp:0.0.0.0:8086,device=lo \
        tcp:0.0.0.0:0,nobind 'tcp6:[::]:0,nobind' tcp:0.0.0.0:8087,nolisten \
        tcp:127.0.0.1:8088,reuseport=7 tcp:127.0.0.1:8089,backlog=0 tcp:0.0.0.0:65535 tcp:0.0.0.0:1 \
        mptcp:127.0.0.1:8090 tcp:127.0.0.1:8091,pass tcp:127.0.0.1:8092,inflight \
        tcp:127.0.0.1:8093,fork=3 tcp:127.0.0.1:8094,user=65534 \
        udp:127.0.0.1:5000 udp:0.0.0.0:5001,reuseport=5 'udp6:[::1]:5000' 'udp6:[::]:5002,v6only' \
        'udp6:[::]:5003,dual' udp:127.0.0.1:5004,connect=127.0.0.1:5000 udp:0.0.0.0:5005,device=lo \
        udp:0.0.0.0:0,nobind,connect=127.0.0.1:5000 udp:0.0.0.0:40000 'udp6:[fe80::1%lo]:5006' \
        udp:127.0.0.1:5007,reuseaddr udp:127.0.0.1:5007,reuseaddr udplite:127.0.0.1:5008
compare "fixtures" 38

step "what only scan can show"
seen() { # PROTOCOL PORT JQ-EXPRESSION
        ctl scan --json "$1/$2" | jq -r "[.listeners[] | select(.port == $2)] | $3"
}
assert_eq "$(seen tcp 8088 '.[0].sockets, length' | xargs)" "7 1" "members of a REUSEPORT group"
assert_eq "$(seen tcp 8083 '.[0].address')" "*" "address of a dual-stack socket"
assert_eq "$(seen tcp 8082 '.[0].address')" "::" "address of a V6ONLY socket"
assert_eq "$(seen udp 5004 length)" 0 "connected UDP sockets"
assert_eq "$(seen tcp 8087 length)" 0 "bound, not listening sockets"
assert_eq "$(seen tcp 8093 '.[0].pids | length')" 4 "holders of an inherited socket"
assert_eq "$(seen tcp 8094 '.[0].user')" nobody "owner of another user's socket"
assert_eq "$(seen tcp 8092 '.[0] | [.exe, .pids == [], (.owner_unknown | length > 0)] | @csv')" \
        ",true,true" "owner of a descriptor in flight"
assert_eq "$(seen tcp 8091 '.[0].pids[0]')" \
        "$(sed -n 's/.* pids=\([0-9]*\) spec=.*:8091.*/\1/p' "$T/kinds.out")" \
        "holder of a passed descriptor"
assert_eq "$(ctl scan --json udplite/5008 | jq '.listeners | length')" 1 "UDP-Lite sockets"
release kinds

step "many sockets, more than one netlink message each"
hold many tcp:127.0.0.1:7000,reuseport=600 'tcp6:[::1]:7000,reuseport=600' \
        udp:127.0.0.1:7000,reuseport=600 'udp6:[::1]:7000,reuseport=600'
compare "groups of 600" 2400
release many

# ---- real servers, each with settings of its own ----

# serve PROGRAM PORT COMMAND…: started, compared, stopped.
serve() {
        local program=$1 port=$2 pid
        shift 2
        step "$program"
        "$@" >"$T/server.log" 2>&1 </dev/null &
        pid=$!
        wait_for 20 "$program opens port $port" serves "$pid" "$port"
        compare "$program"
        ctl scan --json "$port" | jq -e --arg program "$program" \
                '[.listeners[] | select(.exe | endswith("/" + $program))] | length > 0' >/dev/null ||
                fail "scan does not name $program as the owner: $(ctl scan --json "$port")"
        kill -TERM "$pid"
        wait "$pid" 2>/dev/null
}

serves() { # PID PORT
        kill -0 "$1" 2>/dev/null || fail "the server ended: $(cat "$T/server.log")"
        ss -Hlntu "sport = :$2" | grep -q .
}

# with PROGRAM FUNCTION: runs it where the program is installed.
with() {
        if command -v "$1" >/dev/null; then
                "$2"
        else
                step "$1: not installed, left out"
        fi
}

serve_sshd() {
        mkdir -p /run/sshd
        ssh-keygen -q -t ed25519 -N '' -f "$T/hostkey"
        printf '%s\n' 'Port 22' 'Port 2222' 'ListenAddress 0.0.0.0' 'ListenAddress ::' \
                "HostKey $T/hostkey" "PidFile $T/sshd.pid" 'UsePAM no' >"$T/sshd_config"
        serve sshd 2222 "$(command -v sshd)" -D -e -f "$T/sshd_config"
}

serve_nginx() {
        mkdir -p "$T/nginx"
        cat >"$T/nginx.conf" <<-END
        daemon off; worker_processes 3; pid $T/nginx.pid; error_log stderr;
        events { worker_connections 64; }
        http {
                access_log off; client_body_temp_path $T/nginx; proxy_temp_path $T/nginx;
                fastcgi_temp_path $T/nginx; uwsgi_temp_path $T/nginx; scgi_temp_path $T/nginx;
                server { listen 80; listen [::]:80; listen 127.0.0.1:8443 reuseport; }
        }
END
        serve nginx 80 "$(command -v nginx)" -e stderr -c "$T/nginx.conf"
}

POSTGRES=$(find /usr/lib/postgresql -name postgres -path '*/bin/*' 2>/dev/null | sort -V | tail -n 1)
serve_postgres() {
        mkdir -p "$T/postgres"
        chown postgres "$T/postgres"
        setpriv --reuid=postgres --regid=postgres --clear-groups \
                "${POSTGRES%/*}/initdb" --no-sync -D "$T/postgres/data" >"$T/server.log" 2>&1 ||
                fail "initdb: $(cat "$T/server.log")"
        serve postgres 5432 setpriv --reuid=postgres --regid=postgres --clear-groups "$POSTGRES" \
                -D "$T/postgres/data" -h '127.0.0.1,::1' -k "$T/postgres" -c fsync=off
}

serve_redis() {
        local program
        program=$(realpath "$(command -v redis-server)") # one binary with several names
        serve "${program##*/}" 6379 "$(command -v redis-server)" --port 6379 --bind 127.0.0.1 ::1 \
                --save '' --dir "$T"
}

serve_dnsmasq() {
        serve dnsmasq 53 "$(command -v dnsmasq)" --keep-in-foreground --conf-file=/dev/null \
                --no-resolv --no-hosts --pid-file="$T/dnsmasq.pid" --user=root --interface=lo \
                --bind-dynamic --dhcp-range=10.20.30.40,10.20.30.50 --dhcp-leasefile="$T/leases"
}

serve_memcached() {
        serve memcached 11211 "$(command -v memcached)" -u nobody -l '127.0.0.1,::1' -p 11211 -U 11211
}

with sshd serve_sshd
with nginx serve_nginx
if [ -n "$POSTGRES" ]; then serve_postgres; else step "postgres: not installed, left out"; fi
with redis-server serve_redis
with dnsmasq serve_dnsmasq
with memcached serve_memcached
exit 0
