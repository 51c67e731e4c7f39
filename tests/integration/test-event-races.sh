#!/bin/bash
# SPDX-License-Identifier: MIT
# Events and looks at the same time, and who plays with both: a look that shows a socket before its
# event is read, a socket that listens again with the same cookie, one without a port, one that no
# descriptor holds, one that thousands hold, a user who makes the daemon busy. Would catch a listener
# that is lost between the two or counted twice, a crash, and owners that are never asked for again.
# shellcheck disable=SC2119 # start_daemon takes words of its own
export PW_EVENTS=yes
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"
needs python3

cp "$PW_BUILD/tests/burst" "$PW_BUILD/tests/hold-by-ring" "$T/bin/" || fail "the fixtures are not built"
"$PW_BUILD/tests/check-bpf-open" >"$T/engine.out" 2>&1
[ $? != 77 ] || skip "no event engine here: $(tail -n 1 "$T/engine.out")"

ended_alive() {
        kill -0 "$DAEMON" 2>/dev/null || fail "the daemon ended: $(tail -n 3 "$LOG")"
        assert_eq "$(listeners "$1")" 0 "listeners that have closed"
}

step "looks between the events lose nothing, nor does listen(2) without bind(2)"
fresh PollIntervalSec=30s
start_daemon
python looks <<'END2'
import os, socket, time
os.setuid(2009)
print("READY", flush=True)
while True: # each makes the daemon look
    s = socket.socket()
    s.listen()
    time.sleep(0.01)
    s.close()
    time.sleep(0.05)
END2
for user in 2001 2002 2003; do
        "$T/bin/burst" tcp --user=$user --count=15000 --first=10000 >"$T/burst.out" 2>&1 ||
                fail "burst: $(cat "$T/burst.out")"
done
release looks
[ "$(status .polls)" -ge 8 ] || fail "only $(status .polls) looks: this proves nothing"
sleep 3
sync_looks
missed=$(ctl status --json | jq -r .events_missed)
if [ "$missed" = 0 ] || [ "${PW_PATIENCE:-1}" = 1 ]; then
        assert_eq "$missed" 0 "events missed"
        assert_eq "$(intervals '.uid > 2000 and .uid < 2004 and .closed != null')" 45000 "intervals"
fi
# Only where events were missed does it take another look.
[ "$missed" = 0 ] || wait_for 10 "the next look" no_listener '.uid > 2000'
ended_alive '.uid > 2000'
python3 - <<'END2'
import os, socket, time
os.setuid(2010)
for i in range(200):
    s = socket.socket()
    s.listen()
    time.sleep(0.0005 * (i % 7))
    s.close()
    time.sleep(0.002)
for i in range(3):
    s = socket.socket()
    s.listen()
    time.sleep(0.5)
    s.close()
END2
wait_for 10 "all that listened without bind(2)" eval \
        "[ \"\$(ctl history -n all --json | jq '[.intervals[] | select(.uid == 2010 and .closed != null)] | length')\" = 203 ]"
ended_alive '.uid == 2010'
stop_daemon

step "a close that could not be told, since nobody took the events, is found all the same"
fresh PollIntervalSec=30s
start_daemon
hold shy tcp:127.0.0.1:8091
wait_for 5 "it is listed" listed 8091
kill -STOP "$DAEMON"
"$T/bin/burst" tcp --user=2001 --count=3000 --first=10000 >"$T/burst.out" 2>&1 ||
        fail "burst: $(cat "$T/burst.out")"
release shy
kill -CONT "$DAEMON"
wait_for 5 "its end" unlisted 8091
wait_for 10 "the status to say that events were missed" status_says .events_missed '[1-9]'
wait_for 10 "what else was missed" no_listener true
ended_alive true
stop_daemon

step "a socket that listens again, as another user"
fresh
rule 10-allow.rules 'allow tcp 8090 user=daemon'
start_daemon
for first in 65534 0; do
        python3 - $first $((65534 - first)) <<'END2'
import os, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 8090))
for pause in (0.3, 0, 0.8):
    for user in sys.argv[1:]:
        os.seteuid(0)
        os.seteuid(int(user))
        s.listen()
        time.sleep(pause)
        s.shutdown(socket.SHUT_RDWR)
s.listen()
time.sleep(2.5)
END2
        sleep 1.5
        ended_alive '.port == 8090'
done
stop_daemon

step "what only an io_uring holds, in a namespace of its own"
fresh
start_daemon
ip netns add ring || fail "ip netns"
ip -n ring link set lo up
ip netns exec ring "$T/bin/hold-by-ring" 7000 >"$T/ring.out" 2>&1 &
HOLDERS[ring]=$!
sleep 1
if grep -q READY "$T/ring.out"; then
        assert_eq "$(listeners '.port == 7000')" 1 "listeners"
        for _ in 1 2 3 4; do # looks at other namespaces
                unshare -n python3 -c 'import socket, time; s = socket.socket(); s.listen(); time.sleep(0.3)'
                sleep 0.4
        done
        [ "$(intervals '.netns != "host" and .port != 7000')" = 4 ] || fail "looks: this proves nothing"
        assert_eq "$(intervals '.port == 7000 and .closed == null')" 1 "open intervals"
        release ring
        wait_for 2 "its end" unlisted 7000
else
        step "  (no io_uring here)"
fi
stop_daemon

step "a listener of another namespace with thousands of descriptors, all outside of it"
fresh
start_daemon
ip netns add copies || fail "ip netns"
python copies <<'END2'
import os, resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
ours, theirs = (os.open(path, os.O_RDONLY) for path in ("/proc/self/ns/net", "/run/netns/copies"))
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
child = os.fork()
if child == 0:
    import ctypes
    if ctypes.CDLL(None).setns(theirs, 0) != 0:
        os._exit(1)
    s = socket.socket()
    s.bind(("127.0.0.1", 7200))
    s.listen()
    socket.send_fds(b, [b"x"], [s.fileno()])
    time.sleep(600)
_, fds, _, _ = socket.recv_fds(a, 1, 1)
for _ in range(6000):
    os.dup(fds[0])
os.kill(child, 9)
os.waitpid(child, 0)
print("READY", flush=True)
time.sleep(600)
END2
before=$(status .polls)
for _ in 1 2 3 4; do # looks at other namespaces
        unshare -n python3 -c 'import socket, time; s = socket.socket(); s.listen(); time.sleep(0.3)'
        sleep 0.4
done
[ "$(status .polls)" -gt "$before" ] || fail "no look: this proves nothing"
assert_eq "$(intervals '.port == 7200')" 1 "intervals"
assert_eq "$(listeners '.port == 7200 and .netns == "copies" and .sockets == 1')" 1 "listeners"
release copies
wait_for 5 "its end" unlisted 7200
stop_daemon

step "a user who makes the daemon busy does not keep it from asking who holds what"
fresh CPUBudget=0.2% PollIntervalSec=1s
start_daemon
python3 - <<'END2'
import os, signal, socket, time
os.setuid(1000)
null = os.open("/dev/null", os.O_RDONLY)
children = []
for _ in range(40):
    child = os.fork()
    if child == 0:
        try:
            for _ in range(15000):
                os.dup(null)
        except OSError:
            pass
        time.sleep(600)
    children.append(child)
time.sleep(2)
for i in range(8): # each is in flight: nobody holds it, so that everybody is looked into
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 5000 + i % 4))
    socket.send_fds(a, [b"x"], [s.fileno()])
    s.close()
    time.sleep(1.2)
    a.close()
    b.close()
for child in children:
    os.kill(child, signal.SIGKILL)
END2
python server <<'END2'
import os, socket, time
s = socket.socket()
s.bind(("127.0.0.1", 8095))
s.listen()
time.sleep(0.3)
os.setresuid(1, 1, 1)
print("READY", flush=True)
time.sleep(600)
END2
wait_for 45 "its user is known" eval \
        "[ \"\$(ctl list --all --json | jq -r '.listeners[] | select(.port == 8095).user')\" = daemon ]"
release server
stop_daemon
exit 0
