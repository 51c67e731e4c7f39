#!/bin/bash
# SPDX-License-Identifier: MIT
# Containers: nginx in two of systemd-nspawn's, each with a root and a network of its own, one as
# a service of systemd's template, the other as a scope. Each is listed with its container and its
# namespace, alerts once however often it is restarted, and can be allowed by what the alert says;
# the port that is published for it is its holder's on the host. Would catch: a namespace that is
# not looked into, has no name or another after a restart, or is kept alive; a listener in a
# container that passes for one of the host, and a rule for it that does not match.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

needs systemd-nspawn machinectl nginx ldd

# A root with nginx, what it is linked with, and nothing else.
make_root() { # NAME
        local root=/var/lib/machines/$1 file
        mkdir -p "$root"/{etc,dev,proc,sys,run,tmp,usr,root,var/lib/nginx,var/log/nginx}
        for file in bin sbin lib lib64; do
                mkdir -p "$root/usr/$file" && ln -s "usr/$file" "$root/$file" || return
        done
        ldd /usr/sbin/nginx | grep -oE '/[^ )]+' | while read -r file; do
                cp --parents --dereference "$file" "$root" || return
        done
        cp --parents /usr/sbin/nginx "$root" || return
        printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'web:x:33:33::/:/bin/sh' >"$root/etc/passwd"
        printf '%s\n' 'root:x:0:' 'web:x:33:' >"$root/etc/group"
        echo 'ID=test' >"$root/etc/os-release"
        cat >"$root/etc/nginx.conf" <<END
daemon off;
user web;
error_log stderr;
events {}
http {
        access_log off;
        server { listen 80; return 200 "this is $1\n"; }
}
END
}

# The page that a port of this host has.
page() { # PORT
        local line
        exec 9<>"/dev/tcp/127.0.0.1/$1" || return
        printf 'GET / HTTP/1.0\r\n\r\n' >&9
        while read -r -t 5 line <&9; do
                echo "$line"
        done
        exec 9>&-
}

inside() { # CONTAINER: a condition for jq
        echo ".port == 80 and .container == \"machine:$1\""
}

is_listed() { # CONTAINER
        [ "$(listeners "$(inside "$1")")" = 1 ]
}

is_gone() { # CONTAINER
        [ "$(listeners "$(inside "$1")")" = 0 ]
}

has_alerted() { # CONTAINER
        [ "$(container_entries "$1")" != 0 ]
}

container_entries() { # CONTAINER
        entries PORTWATCH_ALERT=1 "PORTWATCH_CONTAINER=machine:$1"
}

# check_listener CONTAINER UNIT
check_listener() {
        local row
        wait_for 5 "$1 is listed" is_listed "$1"
        row=$(portwatchctl list --all --json | jq -c "[.listeners[] | select($(inside "$1"))][0]")
        figure "$(jq -c '[.protocol, .address, .port, .netns, .container, .unit, .user, .exe]' \
                <<<"$row")"
        assert_eq "$(jq -r '"\(.protocol) \(.address) \(.netns) \(.unit) \(.exe)"' <<<"$row")" \
                "tcp 0.0.0.0 machine:$1 $2 /usr/sbin/nginx" "what is listed of $1"
        wait_for 5 "an alert for $1" has_alerted "$1"
        assert_eq "$(container_entries "$1")" 1 "alerts for $1"
        assert_eq "$(journalctl -q -o json PORTWATCH_ALERT=1 "PORTWATCH_CONTAINER=machine:$1" |
                jq -r '"\(.PORTWATCH_NETNS) \(.PORTWATCH_UNIT) \(.PORTWATCH_SERVICE)"')" \
                "machine:$1 $2 http" "fields of the alert for $1"
}

# machined does a moment after the container's end.
is_forgotten() { # CONTAINER
        ! machinectl show "$1" >/dev/null 2>&1
}

# restart_often CONTAINER SERVICE TIMES
restart_often() {
        local i
        for ((i = 0; i < $3; i++)); do
                systemctl stop "$2"
                wait_for 10 "systemd forgets the machine $1" is_forgotten "$1"
                systemctl start "$2" || fail "restart $i of $1"
                wait_for 10 "$1 is listed after restart $i" is_listed "$1"
        done
        sync_looks
        sleep 1.2
        assert_eq "$(container_entries "$1")" 1 "alerts for $1 after $3 restarts"
}

make_root web && make_root shop || fail "no root for the containers"
ready
nspawn=(systemd-nspawn --quiet --private-network --as-pid2)
mkdir -p /run/systemd/system/systemd-nspawn@.service.d
printf '%s\n' '[Unit]' StartLimitIntervalSec=0 '[Service]' ExecStart= \
        "ExecStart=${nspawn[*]} --keep-unit --machine=%i /usr/sbin/nginx -c /etc/nginx.conf" \
        >/run/systemd/system/systemd-nspawn@.service.d/test.conf
unit shop.service '[Unit]' StartLimitIntervalSec=0 '[Service]' Type=notify NotifyAccess=all \
        "ExecStart=${nspawn[*]} --machine=shop /usr/sbin/nginx -c /etc/nginx.conf"

step "a container of the template"
systemctl start systemd-nspawn@web || skip "systemd-nspawn does not run here"
check_listener web systemd-nspawn@web.service
restart_often web systemd-nspawn@web 5

step "a container in a scope"
systemctl start shop || fail "the container does not start: $(journalctl -q -u shop -o cat)"
check_listener shop machine-shop.scope
restart_often shop shop 5

step "what the alert says allows it, and only it"
message=$(journalctl -q -o cat PORTWATCH_ALERT=1 PORTWATCH_CONTAINER=machine:web)
figure "$message"
command=$(grep -oE 'portwatchctl allow @[0-9]+$' <<<"$message") ||
        fail "the message ends with no command"
$command >$T/out 2>&1 || fail "$command: $(cat $T/out)"
figure "$(tail -n 1 $RULES/50-local.rules)"
is_expected() { # CONTAINER
        [ "$(listeners "$(inside "$1") and .verdict == \"expected\"")" = 1 ]
}
wait_for 5 "web is expected" is_expected web
is_expected shop && fail "the rule for web lets shop pass, too"
restart_often web systemd-nspawn@web 5
wait_for 5 "web is expected after a restart" is_expected web
assert_eq "$(alerts '.container == "machine:web" and .resolved == null')" 0 "open alerts for web"

step "its published port"
leader=$(machinectl show -P Leader web 2>/dev/null || machinectl show web --value -p Leader)
unit published.socket '[Socket]' ListenStream=8088
unit published.service '[Service]' "NetworkNamespacePath=/proc/$leader/ns/net" \
        'ExecStart=/lib/systemd/systemd-socket-proxyd 127.0.0.1:80'
systemctl start published.socket
wait_for 5 "an alert for the published port" alerted 8088
assert_eq "$(field 8088 PORTWATCH_NETNS) $(field 8088 PORTWATCH_UNIT) $(
        field 8088 PORTWATCH_CONTAINER)" "host published.socket " "the published port's holder"
page 8088 >$T/page || fail "the published port does not answer"
assert_says $T/page 'this is web' "the page behind the published port"
sync_looks
assert_eq "$(alert_entries 8088)" 1 "alerts for the published port"

step "without events they are the same listeners"
printf '%s\n' '[Watch]' Events=no >/etc/portwatch/portwatch.conf.d/test.conf
systemctl restart portwatchd
check_listener web systemd-nspawn@web.service
check_listener shop machine-shop.scope
is_expected web || fail "the rule for web matches no more"
for container in web shop; do
        ids=$(portwatchctl history -n all --json |
                jq "[.intervals[] | select($(inside $container)).listener_id] | unique | length")
        assert_eq "$ids" 1 "listeners that the history has of $container"
done

step "nothing is kept alive"
echo >/etc/portwatch/portwatch.conf.d/test.conf
systemctl restart portwatchd
wait_for 5 "web is listed" is_listed web
systemctl stop published.socket published.service shop systemd-nspawn@web
wait_for 5 "web is not listed any more" is_gone web
wait_for 5 "shop is not listed any more" is_gone shop
sleep 1
assert_eq "$(lsns -t net -n -o NS | wc -l)" 1 "network namespaces that are left"
assert_eq "$(find "/proc/$(main_pid)/fd" -lname 'net:*' | wc -l)" 0 "namespaces held by the daemon"
exit 0
