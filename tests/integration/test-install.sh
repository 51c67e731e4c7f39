# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# tools/install from end to end, without systemd, on a copy of this machine's directories: a first
# installation, an upgrade, both ways of taking it away, another prefix, and what it says when a
# step fails. Catches files left behind or taken away that are not ours, settings or history lost in
# an upgrade, wrong owners and modes, a daemon that runs as root, and failures that name no reason.
. "$(dirname "$0")/lib.sh"

needs cmake cc make
if grep -q '^PORTWATCH_SANITIZE:BOOL=ON' "$PW_BUILD/CMakeCache.txt"; then
        skip "builds for itself: run with the other build"
fi

install=$PW_SOURCE/tools/install
state=/var/lib/portwatch
build=$T/build

# What is written below these directories is seen in this test only.
for dir in /etc /var /usr/local /opt; do
        mkdir -p "$T/over$dir/up" "$T/over$dir/work"
        mount -t overlay overlay \
                -o "lowerdir=$dir,upperdir=$T/over$dir/up,workdir=$T/over$dir/work" "$dir" ||
                skip "cannot mount an overlay over $dir"
done
# Not what this machine may have of us.
rm -rf "$state" /etc/portwatch /usr/local/share/portwatch /opt/portwatch-test
if getent passwd portwatch >/dev/null; then userdel portwatch; fi

# All files and directories with owner and mode, without what user management keeps for itself.
inventory() {
        find /etc /usr/local /opt /var/lib /var/log -xdev -printf '%p %y %u %g %m\n' 2>/dev/null |
                grep -vE '^/etc/(passwd|group|shadow|gshadow|subuid|subgid|[.]pwd[.]lock)-? ' |
                grep -vE '^/var/(lib/portwatch|log/portwatchd[.]log)|^/etc/portwatch' | sort
}

installer() { # ARGUMENT…
        "$install" --no-packages --build="$build" "$@" >"$T/install.out" 2>"$T/install.err"
}

must_install() {
        installer "$@" && return
        cat "$T/install.out" "$T/install.err"
        fail "tools/install $* failed"
}

must_refuse() { # CODE REGEX ARGUMENT…
        local code=0 expected=$1 regex=$2
        shift 2
        installer "$@" || code=$?
        assert_eq "$code" "$expected" "exit code of tools/install $*"
        assert_says "$T/install.err" "$regex" "what tools/install $* says"
}

assert_file() { # PATH "USER GROUP MODE"
        assert_eq "$(stat -c '%U %G %a' "$1")" "$2" "owner and mode of $1"
}

daemon_pid() {
        cat /run/portwatchd.pid
}

step "before anything is installed"
inventory >"$T/before"
must_refuse 1 'not installed below /usr/local: there is no ' --uninstall
must_refuse 2 '--purge goes with --uninstall' --purge
must_refuse 2 'unknown option --frobnicate' --frobnicate
must_refuse 1 'expected an absolute path' --prefix=here
PKG_CONFIG_LIBDIR=$T must_refuse 1 'missing for the build: libmnl .* libbpf-1\.0'
assert_says "$T/install.err" '--no-events does without' "what to do without BPF's tools"
PKG_CONFIG_LIBDIR=$T must_refuse 1 'missing for the build: libmnl .* libmd$' --no-events
code=0
setpriv --reuid=65534 --regid=65534 --clear-groups "$install" >"$T/out" 2>"$T/err" || code=$?
assert_eq "$code" 1 "exit code without root"
assert_says "$T/err" 'must be run as root' "what is said without root"
code=0
CC=/bin/false "$install" --no-packages >"$T/out" 2>"$T/err" || code=$?
assert_eq "$code" 1 "exit code with a broken compiler"
assert_says "$T/err" 'Configuring the build failed' "which step failed"
inventory | diff "$T/before" - || fail "a refused installation has left something"

step "a first installation"
hold web tcp:0.0.0.0:8080
must_install
assert_says "$T/install.out" 'systemd does not run here' "how the daemon was started"
assert_says "$T/install.out" '0\.0\.0\.0:8080' "the list at the end"
assert_file /usr/local/sbin/portwatchd 'root root 755'
assert_file /usr/local/bin/portwatchctl 'root root 755'
assert_file /etc/portwatch/rules.d 'root root 755'
assert_file /etc/portwatch/portwatch.conf 'root root 644'
assert_file $state 'portwatch portwatch 750'
assert_file $state/history.db 'portwatch portwatch 640'
assert_file /run/portwatch 'portwatch portwatch 755'
assert_says /usr/local/lib/systemd/system/portwatchd.service \
        '^ExecStart=/usr/local/sbin/portwatchd$' "the unit's program"
if command -v systemd-analyze >/dev/null; then
        systemd-analyze verify --man=no /usr/local/lib/systemd/system/portwatchd.service \
                >"$T/out" 2>&1 || fail "systemd-analyze verify: $(cat "$T/out")"
fi
first=$(daemon_pid)
assert_eq "$(stat -c %U "/proc/$first")" portwatch "user of the daemon"
portwatchctl=/usr/local/bin/portwatchctl
$portwatchctl verify >"$T/out" || fail "what was open at first is not expected: $(cat "$T/out")"
assert_says "$state/baseline.rules" '^allow +tcp +8080 ' "the baseline"

step "an upgrade"
echo 'allow tcp 9 comment="mine"' >/etc/portwatch/rules.d/mine.rules
echo '# mine' >>/etc/portwatch/portwatch.conf
touch /usr/local/share/portwatch/outdated
echo /usr/local/share/portwatch/outdated >>/usr/local/share/portwatch/install-manifest
must_install
[ -d "/proc/$first" ] && fail "the old daemon still runs"
[ "$(daemon_pid)" != "$first" ] || fail "the daemon was not restarted"
[ ! -e /usr/local/share/portwatch/outdated ] || fail "a file of the old version is left"
assert_says /etc/portwatch/portwatch.conf '^# mine$' "settings after an upgrade"
assert_says /etc/portwatch/rules.d/mine.rules mine "rules after an upgrade"
$portwatchctl history --json 8080 | jq -e '.intervals | length == 1' >/dev/null ||
        fail "the history of port 8080 is not one interval after an upgrade"

step "uninstalling keeps history, rules and changed settings"
last=$(daemon_pid)
must_install --uninstall
[ -d "/proc/$last" ] && fail "the daemon still runs"
assert_says "$T/install.out" "Kept: the history.* $state" "what is kept"
[ -e $state/history.db ] || fail "the history is gone"
[ -e /etc/portwatch/rules.d/mine.rules ] || fail "a rule is gone"
[ -e /etc/portwatch/portwatch.conf ] || fail "changed settings are gone"
for path in /run/portwatch /run/portwatchd.pid; do
        [ ! -e "$path" ] || fail "$path is left"
done
inventory | diff "$T/before" - || fail "not all was removed, or too much"
must_refuse 1 'not installed below' --uninstall

step "and --purge takes these, too"
must_install --uninstall --purge
for path in $state /etc/portwatch /var/log/portwatchd.log; do
        [ ! -e "$path" ] || fail "$path is left"
done
if getent passwd portwatch || getent group portwatch; then fail "the user is left"; fi

step "another prefix, not started"
mkdir /usr/local/lib/systemd
inventory >"$T/before"
must_install --prefix=/opt/portwatch-test --no-start
[ ! -e /run/portwatchd.pid ] || fail "it was started"
/opt/portwatch-test/bin/portwatchctl --version >/dev/null || fail "portwatchctl does not run"
assert_says /usr/local/lib/systemd/system/portwatchd.service \
        '^ExecStart=/opt/portwatch-test/sbin/portwatchd$' "the unit's program"
must_refuse 1 'not installed below /usr/local' --uninstall
must_install --uninstall --prefix=/opt/portwatch-test
[ ! -e /etc/portwatch ] || fail "unchanged settings are left"
must_install --uninstall --purge
inventory | diff "$T/before" - || fail "not all was removed, or too much"
