#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots a systemd of its own, runs a command beside it, and leaves nothing behind:
#
#      boot.sh [--share DIR]… [--prepare COMMAND] [--seconds N] -- COMMAND [ARGUMENT…]
#
# The system is this machine's root file system under a throw-away layer in memory, in process,
# mount, network, IPC and UTS namespaces of its own, and in a control group of its own. (The tree of
# groups is not hidden: only at its true root the kernel tells of all UDP sockets.) Services of this
# machine are not enabled in it; /proc/sys and /sys are read-only, /tmp and /run empty, and the only
# network device is the loopback. `--share` shows a directory in it, read-only (for those that are
# not on the root file system). `--prepare` runs a shell command in it before systemd does, like a
# program that installs into an image.
#
# COMMAND has the caller's output, no input, and at most N seconds (300). It starts as soon as
# systemd can be asked, when the boot has perhaps not finished. The exit status is COMMAND's;
# 124: it took too long; 77: this machine cannot do that.
set -u
PREPARE_FAILED=98

# ---- inside: the namespaces are new, the mounts are still the machine's ----

bind() { # OPTIONS PATH: shows a path of this machine in the new system
        local target=$root$2
        if [ -d "$2" ]; then mkdir -p "$target"; else : >"$target"; fi
        mount --bind "$2" "$target" && mount -o "remount,bind,$1" "$target"
}

make_root() {
        mount -t tmpfs -o mode=755 layer "$work" &&
                mkdir "$work/upper" "$work/work" "$root" &&
                mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" \
                        overlay "$root"
}

# Each machine has a name for itself, and no journal of another.
make_machine() {
        rm -rf "$root"/etc/systemd/system/*.{wants,requires} "$root"/etc/rc?.d \
                "$root/usr/sbin/policy-rc.d" "$root/var/log/journal"
        systemd-id128 new >"$root/etc/machine-id" && echo booted >"$root/etc/hostname" &&
                hostname booted
}

make_kernel_files() {
        local quiet=nosuid,nodev,noexec
        mount -t proc -o $quiet proc "$root/proc" &&
                systemd-id128 -u new >"$work/boot_id" &&
                mount --bind "$work/boot_id" "$root/proc/sys/kernel/random/boot_id" &&
                mount --rbind "$root/proc/sys" "$root/proc/sys" &&
                mount -o remount,bind,ro "$root/proc/sys" &&
                mount -t sysfs -o ro,$quiet sysfs "$root/sys" &&
                mount -t cgroup2 -o $quiet cgroup2 "$root/sys/fs/cgroup" &&
                mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run" &&
                mount -t tmpfs -o mode=1777,nosuid,nodev tmp "$root/tmp"
}

make_devices() {
        local device
        mount -t tmpfs -o mode=755,nosuid dev "$root/dev" &&
                mkdir "$root/dev/pts" "$root/dev/shm" &&
                mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 pts "$root/dev/pts" &&
                mount -t tmpfs -o mode=1777,nosuid,nodev shm "$root/dev/shm" || return
        for device in null zero full random urandom tty; do
                bind rw "/dev/$device" || return
        done
        ln -s pts/ptmx "$root/dev/ptmx" && ln -s /proc/self/fd "$root/dev/fd" &&
                ln -s fd/0 "$root/dev/stdin" && ln -s fd/1 "$root/dev/stdout" &&
                ln -s fd/2 "$root/dev/stderr"
}

# Never returns where it succeeds. A clock that was set would be everybody's.
become_init() {
        cd "$root" && pivot_root . mnt && umount -l /mnt && mount --make-rshared / || return
        if [ -n "$prepare" ]; then
                chroot / /bin/sh -c "$prepare" || exit $PREPARE_FAILED
        fi
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=portwatch-test \
                setpriv --bounding-set -sys_time,-sys_rawio \
                "$systemd" --unit=multi-user.target >/dev/null 2>&1
}

inside() {
        local share
        make_root && make_machine && make_kernel_files && make_devices || return
        for share in "${shares[@]}"; do
                bind ro "$share" || return
        done
        become_init
}

# ---- outside ----

cannot() {
        echo "skipped: boot.sh: $*"
        exit 77
}

remove_cgroup() {
        [ ! -d "$1" ] || find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
}

# The control group that is the new system's root, at the top, where nothing of the caller's limits
# it. It is called as a slice, which it is to who sees it from outside.
make_cgroup() {
        local mounted left pid
        mounted=$(findmnt -nrt cgroup2 -o TARGET | head -n 1)
        [ -n "$mounted" ] || cannot "no cgroup2 here"
        for left in "$mounted"/portwatch-boot-*.slice; do # of runs that were killed
                pid=${left##*-}
                [ -d "/proc/${pid%.slice}" ] || remove_cgroup "$left"
        done
        cgroup=$mounted/portwatch-boot-$$.slice
        mkdir "$cgroup" 2>/dev/null || cannot "no control group can be made"
}

# Its PID 1 takes all others with it.
cleanup() {
        [ -z "$init" ] || kill -KILL "$init" 2>/dev/null
        [ -z "$unshared" ] || wait "$unshared" 2>/dev/null
        for _ in {1..50}; do
                remove_cgroup "$cgroup" && break
                sleep 0.1
        done
        rmdir "$work"
}

init_failed() {
        local status=0
        wait "$unshared" || status=$?
        [ $status != $PREPARE_FAILED ] || {
                echo "boot.sh: --prepare failed"
                exit 1
        }
        cannot "no systemd could be started (exit status $status)"
}

start_init() {
        (
                echo "$BASHPID" >"$cgroup/cgroup.procs" || exit
                exec 3>&2 2>/dev/null # unshare complains of itself when it ends
                exec setpriv --pdeathsig KILL unshare --pid --mount --net --uts --ipc \
                        --fork setpriv --pdeathsig KILL \
                        bash "$0" --inside "${options[@]}" --work "$work"
        ) </dev/null &
        unshared=$!
        for _ in {1..1200}; do # preparing may take a minute
                kill -0 "$unshared" 2>/dev/null || init_failed
                init=$(pgrep -P "$unshared") &&
                        [ -S "/proc/$init/root/run/systemd/private" ] && return
                sleep 0.05
        done
        cannot "systemd does not answer"
}

# In a group beside those that systemd manages, and not outside of them.
run_command() {
        mkdir "$cgroup/command" || return
        (
                echo "$BASHPID" >"$cgroup/command/cgroup.procs" || exit
                exec timeout -k 5 "$seconds" nsenter -t "$init" -a -- "$@" </dev/null
        ) &
        wait $!
}

work='' prepare='' seconds=300 stage=outside
shares=() options=()
while [ $# -gt 0 ]; do
        case $1 in
        --inside) stage=inside ;;
        --work) work=$2 ;;
        --share)
                shares+=("$(realpath "$2")") || exit 2
                options+=("$1" "$2")
                ;;
        --prepare)
                prepare=$2
                options+=("$1" "$2")
                ;;
        --seconds) seconds=$2 ;;
        --) break ;;
        *)
                echo "boot.sh: unknown option $1" >&2
                exit 2
                ;;
        esac
        [ "$1" = --inside ] || shift
        shift
done
systemd=
for path in /usr/lib/systemd/systemd /lib/systemd/systemd; do
        [ ! -x "$path" ] || systemd=$path
done
if [ $stage = inside ]; then
        exec 2>&3 3>&-
        root=$work/root
        inside
        exit
fi

shift
[ $# -gt 0 ] || exit 2
[ "$(id -u)" = 0 ] || cannot "needs root"
[ -n "$systemd" ] || cannot "needs systemd"
work=$(mktemp -d) || exit
init='' unshared='' cgroup=
trap cleanup EXIT
trap 'exit 143' TERM INT HUP
make_cgroup
start_init
run_command "$@"
