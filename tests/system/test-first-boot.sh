#!/bin/bash
# SPDX-License-Identifier: MIT
# The package is installed into an image, and the daemon starts for the first time while that boots,
# before sshd and nginx: what opens during the boot and in the minute after it is learned, without
# an alert; what comes later is not. Would catch: a package that needs a running systemd, a unit that
# starts too late, and a baseline of half the services.
# shellcheck source=tests/system/lib.sh
IMAGE=yes
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

if [ "$PW_STAGE" = image ]; then
        { [ -x /usr/sbin/sshd ] && [ -x /usr/sbin/nginx ]; } || exit 0
        mkdir -p $RULES
        rule 00-test.rules "allow tcp $SYNC_PORT comment=\"the test's own\""
        install_package
        systemctl enable --quiet ssh.service nginx.service && ssh-keygen -A >/dev/null
        # It takes a while to be ready, and another starts when the boot has long finished.
        mkfifo -m 0644 /var/lib/stdin
        printf '%s\n' '[Service]' Type=oneshot 'ExecStart=/bin/sleep 7' '[Install]' \
                WantedBy=multi-user.target >/etc/systemd/system/slow.service
        printf '%s\n' '[Service]' 'ExecStart=/usr/local/bin/listen tcp:0.0.0.0:8090' \
                StandardInput=file:/var/lib/stdin >/etc/systemd/system/late.service
        printf '%s\n' '[Timer]' OnActiveSec=30s AccuracySec=1s '[Install]' \
                WantedBy=multi-user.target >/etc/systemd/system/late.timer
        systemctl enable --quiet slow.service late.timer
        exit
fi

needs sshd nginx

# Microseconds since the boot at which a unit was up.
up() {
        systemctl show -P ActiveEnterTimestampMonotonic "$1"
}

learned() {
        [ -s $STATE/baseline.rules ]
}

step "the boot"
assert_eq "$(systemctl is-enabled portwatchd)" enabled "whether the unit is enabled"
# shellcheck disable=SC2034 # "listen" ends with its input
exec {LATE_KEEPER}<>/var/lib/stdin
for service in ssh nginx; do
        systemctl is-active --quiet $service || fail "$service does not run"
        figure "$service was up $((($(up $service) - $(up portwatchd)) / 1000)) ms after portwatchd"
        [ "$(up portwatchd)" -lt "$(up $service)" ] || fail "portwatchd started after $service"
done
learned && fail "learned already, while others may still start"

step "learning ends a minute later"
begun=$(now_usec)
wait_for 100 "the baseline" learned
figure "learned $((($(now_usec) - begun) / 1000000)) s after the boot"
grep '^allow' $STATE/baseline.rules | sed 's/^/    /'
for program in sshd nginx listen; do
        grep -Eq "^allow .*exe=[^ ]*/$program\\b" $STATE/baseline.rules ||
                fail "$program is not learned"
done
wait_for 5 "status no longer says that it learns" eval '! portwatchctl status --json | grep -q "being learned"'
sync_looks
assert_eq "$(entries PORTWATCH_ALERT=1)" 0 "alerts"
portwatchctl verify >$T/out || fail "not all is expected: $(cat $T/out)"

step "from then on the unknown is unexpected"
run web -- tcp:0.0.0.0:8080
wait_for 10 "an alert" alerted 8080
systemctl restart nginx ssh
sync_looks
assert_eq "$(entries PORTWATCH_ALERT=1)" 1 "alerts"
exit 0
