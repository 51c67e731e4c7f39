#!/bin/bash
# SPDX-License-Identifier: MIT
# The Debian package through its whole life: what is in it, installing, upgrading, removing,
# purging, and what other distributions get from "cmake --install". Would catch: settings or history that are
# lost, a service that is enabled against the presets or not restarted, files that are left behind,
# and a library that is not asked for.
# shellcheck source=tests/system/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/system/lib.sh"

needs lintian apt-get objdump cc

apt() { # ARGUMENT…
        DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes -o APT::Sandbox::User=root "$@" \
                >$T/apt.log 2>&1 && return
        cat $T/apt.log
        fail "apt-get $*"
}

# All that is installed, with owner and mode; without what package management keeps for itself.
inventory() {
        find /etc /usr /opt /var/lib /var/log -xdev -printf '%p %y %u %g %m\n' 2>/dev/null |
                grep -vE '^/etc/(passwd|group|shadow|gshadow|subuid|subgid|[.]pwd[.]lock)-? ' |
                grep -vE '^/var/(lib/(dpkg|apt|systemd|man-db|ucf|PackageKit)|log)/' | sort
}

assert_file() { # PATH "USER GROUP MODE"
        assert_eq "$(stat -c '%U %G %a' "$1")" "$2" "owner and mode of $1"
}

enabled() {
        systemctl is-enabled portwatchd 2>/dev/null
}

catalog_entries() {
        journalctl --list-catalog 2>/dev/null | grep -c 'portwatch'
}

# ---- the file ----

step "lintian"
lintian --fail-on error,warning --tag-display-limit 0 "$PACKAGE" >$T/out 2>$T/err ||
        fail "lintian: $(cat $T/out $T/err)"
figure "no errors and no warnings"

step "what it depends on"
mkdir $T/unpacked
dpkg-deb --raw-extract "$PACKAGE" $T/unpacked
depends=$(dpkg-deb -f "$PACKAGE" Depends)
figure "$depends"
objdump -p $T/unpacked/usr/sbin/portwatchd $T/unpacked/usr/bin/portwatchctl |
        sed -n 's/^ *NEEDED *//p' | sort -u >$T/libraries
while read -r library; do
        owner=$(dpkg-query -S "*/$library" | sed -n '1s/:.*//p')
        [[ ", $depends," == *", $owner"[\ ,]* ]] ||
                fail "$library is in $owner, which is not asked for"
done <$T/libraries
changes=$T/unpacked/usr/share/doc/portwatch/changelog.gz
assert_eq "$(zcat $changes | sed -n '1s/.*(\(.*\)).*/\1/p')" "$VERSION" \
        "newest version in the change log"
assert_eq "$(cat $T/unpacked/DEBIAN/conffiles)" /etc/portwatch/portwatch.conf "settings"

step "cmake --install with DESTDIR"
built=$PW_BUILD/package
mkdir $T/upper $T/work # it writes a list beside what it installs
mount -t overlay overlay -o "lowerdir=$built,upperdir=$T/upper,workdir=$T/work" "$built" ||
        fail "cannot mount an overlay"
inventory >$T/before
DESTDIR=$T/root cmake --install "$built" >$T/out || fail "cmake --install: $(cat $T/out)"
inventory | diff $T/before - || fail "something was installed outside of DESTDIR"
(cd $T/root && find . ! -type d) | sed 's/[.]gz$//' | sort >$T/ours
(cd $T/unpacked && find . ! -type d ! -path './DEBIAN/*') | sed 's/[.]gz$//' | sort >$T/theirs
diff $T/ours $T/theirs >$T/out
doc=usr/share/doc/portwatch
preset=/usr/lib/systemd/system-preset/80-portwatch.preset
assert_eq "$(sed -n 's/^< [.]//p' $T/out | xargs)" "$preset /$doc/LICENSE /$doc/NEWS.md" "files that the package does not have"
assert_eq "$(sed -n 's/^> [.]//p' $T/out | xargs)" "/$doc/NEWS /$doc/changelog /$doc/copyright \
/usr/share/lintian/overrides/portwatch" "files that only the package has"
# Another distribution's directories.
cmake -S "$PW_SOURCE" -B $T/build -DPORTWATCH_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr \
        -DCMAKE_INSTALL_SBINDIR=bin -DCMAKE_INSTALL_MANDIR=man -DCMAKE_INSTALL_DOCDIR=doc/pw \
        >$T/out 2>&1 && cmake --build $T/build --parallel "$(nproc)" >>$T/out 2>&1 ||
        fail "building: $(tail $T/out)"
DESTDIR=$T/other cmake --install $T/build >$T/out || fail "cmake --install: $(cat $T/out)"
for file in bin/portwatchd man/man8/portwatchd.8 doc/pw/README.md; do
        [ -f "$T/other/usr/$file" ] || fail "/usr/$file is not there"
done
assert_says $T/other/usr/lib/systemd/system/portwatchd.service '^ExecStart=/usr/bin/portwatchd$' \
        "the unit's program"

# ---- its life ----

step "a first installation"
run web -- tcp:0.0.0.0:8080
mkdir -p /etc/systemd/system/multi-user.target.wants
inventory >$T/before
begun=$(now_usec)
apt install "$EARLIER_PACKAGE"
figure "installed in $((($(now_usec) - begun) / 1000)) ms"
assert_eq "$(enabled) $(systemctl is-active portwatchd)" "enabled active" "the service"
assert_file $STATE 'portwatch portwatch 750'
assert_file $STATE/history.db 'portwatch portwatch 640'
assert_file /run/portwatch 'portwatch portwatch 755'
assert_file $RULES 'root root 755'
assert_eq "$(getent passwd portwatch | cut -d: -f6,7)" "$STATE:/usr/sbin/nologin" "the user"
wait_for 10 "the first look is learned" [ -s $STATE/baseline.rules ]
portwatchctl verify >$T/out || fail "what was open at first is not expected: $(cat $T/out)"
[ "$(catalog_entries)" -gt 10 ] || fail "the catalog was not updated"
figure "$(catalog_entries) catalog entries"

step "an upgrade"
echo '# mine' >>/etc/portwatch/portwatch.conf
rule 10-mine.rules 'allow tcp 9'
pid=$(main_pid)
apt install "$PACKAGE"
assert_eq "$(dpkg-query -Wf '${Version}' portwatch)" "$VERSION" "the version"
assert_eq "$(systemctl is-active portwatchd)" active "the service"
[ "$(main_pid)" != "$pid" ] || fail "the daemon was not restarted"
assert_eq "$(tail -n 1 /etc/portwatch/portwatch.conf)" "# mine" "the settings"
[ -s $RULES/10-mine.rules ] || fail "a rule is gone"
wait_for 10 "port 8080" listed 8080
assert_eq "$(intervals 8080)" 1 "intervals of a port that was open all the time"

step "one that the administrator has stopped and disabled stays so"
systemctl disable --now --quiet portwatchd
apt install --reinstall "$PACKAGE"
assert_eq "$(enabled) $(systemctl is-active portwatchd)" "disabled inactive" "the service"
systemctl enable --now --quiet portwatchd

step "removing keeps the history and what the administrator wrote"
apt remove portwatch
[ ! -e /usr/sbin/portwatchd ] || fail "the program is still there"
assert_eq "$(systemctl is-active portwatchd)" inactive "the service"
[ -s $STATE/history.db ] && [ -s $STATE/baseline.rules ] || fail "the history is gone"
[ -s $RULES/10-mine.rules ] || fail "a rule is gone"
assert_eq "$(tail -n 1 /etc/portwatch/portwatch.conf)" "# mine" "the settings"
[ ! -e /run/portwatch ] || fail "/run/portwatch is left"
assert_eq "$(catalog_entries)" 0 "catalog entries"

step "installed again it goes on"
apt install "$PACKAGE"
assert_eq "$(enabled) $(systemctl is-active portwatchd)" "enabled active" "the service"
assert_eq "$(intervals 8080)" 1 "intervals of port 8080"
assert_eq "$(entries PORTWATCH_ALERT=1)" 0 "alerts in all that time"

step "purging leaves the user, and nothing else"
apt purge portwatch
[ ! -e $STATE ] && [ ! -e /etc/portwatch ] || fail "history or settings are left"
inventory | diff $T/before - || fail "not all was removed, or too much"
grep -i warning $T/apt.log && fail "dpkg warns"
getent passwd portwatch >/dev/null || fail "the user is gone, whose number may be another's now"

step "presets decide at the first installation"
mkdir -p /etc/systemd/system-preset
echo 'disable portwatchd.service' >/etc/systemd/system-preset/00-test.preset
apt install "$PACKAGE"
assert_eq "$(enabled) $(systemctl is-active portwatchd)" "disabled inactive" "the service"
apt purge portwatch
rm /etc/systemd/system-preset/00-test.preset

step "where no services may be started, none is"
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
apt install "$PACKAGE"
assert_eq "$(enabled) $(systemctl is-active portwatchd)" "enabled inactive" "the service"
exit 0
