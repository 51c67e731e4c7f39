#!/bin/bash
# SPDX-License-Identifier: MIT
# Nothing changed, nothing done: an unchanged poll reads no /proc, writes no database page, allocates
# nothing. Would catch: a search for owners at every poll, a heartbeat for each, memory that grows or
# is given back and taken again.
# shellcheck source=tests/integration/lib.sh
. "${PW_SOURCE:?is the source directory}/tests/integration/lib.sh"

specs=()
for ((i = 0; i < 100; i++)); do
        specs+=("tcp:127.0.0.1:$((10000 + i))" "udp:127.0.0.1:$((10000 + i))" "udp:127.0.0.1:$((40000 + i))")
done
hold still "${specs[@]}"

# polls N INTERVAL [WRAPPER…]: a whole run of N polls.
polls() {
        local n=$1
        fresh
        sed -i "s/^PollIntervalSec=.*/PollIntervalSec=$2/" "$CONF"
        shift 2
        rule 10-allow.rules 'allow any any'
        daemon_command
        timeout $((60 * ${PW_PATIENCE:-1})) "$@" "${COMMAND[@]}" --log=stderr "--polls=$n" \
                >>"$LOG" 2>&1 </dev/null || fail "$n polls: exit code $?"
        assert_eq "$(status .polls)" "$n" "polls"
}

step "counters: 500 more polls read and write nothing more"
polls 50 0
few=$(status '"\(.proc_reads) \(.db_writes)"')
polls 550 0
assert_eq "$(status '"\(.proc_reads) \(.db_writes)"')" "$few" "reads of /proc and database writes"
[ "$(status .unchanged_polls)" -ge 540 ] || fail "only $(status .unchanged_polls) polls were unchanged"

# Sanitizers have an allocator of their own, and do not run below valgrind or strace.
if grep -qa __asan_init "$PW_BUILD/portwatchd"; then
        step "allocations: not asked of a build with sanitizers"
        exit 0
fi

if command -v valgrind >/dev/null; then
        # Chores (the status file) allocate, but go by time; polls, if they did, would show 3,000.
        step "allocations: 3,000 more polls make none, and nothing leaks"
        heap() {
                polls "$1" 0 valgrind --leak-check=full --show-leak-kinds=definite,indirect \
                        --errors-for-leak-kinds=definite,indirect --error-exitcode=9 \
                        --log-file="$T/valgrind"
                sed -n 's/.*total heap usage: \([0-9,]*\) allocs.*/\1/p' "$T/valgrind" | tr -d ,
        }
        few=$(heap 50) || fail "$few; $(cat "$T/valgrind")"
        many=$(heap 3050) || fail "$many; $(cat "$T/valgrind")"
        assert_le $((many - few)) 1500 "allocations of 3,000 polls"
else
        step "allocations: valgrind is not installed, left out"
fi

if command -v strace >/dev/null; then
        step "system calls of polls that see nothing new"
        fresh
        sed -i 's/^PollIntervalSec=.*/PollIntervalSec=10ms/' "$CONF"
        rule 10-allow.rules 'allow any any'
        start_daemon
        sync_looks
        sleep 7 # what the changes before left to do: status, pruning
        timeout 3 strace -f -o "$T/trace" -p "$DAEMON" 2>"$T/strace.err"
        dumps=$(grep -Ec '(sendto|sendmsg)\(.*' "$T/trace")
        [ "$dumps" -ge 100 ] || fail "only $dumps requests were seen: $(tail -n 3 "$T/strace.err")"
        # The status file may be due once; the database is not, nor is anything else.
        grep -Ev 'status\.json' "$T/trace" |
                grep -E '/proc|history\.db|\b(brk|mmap|munmap|mremap|madvise|pwrite64|fsync|fdatasync|getdents64|readlinkat|ftruncate)\(' \
                        >"$T/busy"
        assert_eq "$(wc -l <"$T/busy")" 0 "system calls of an idle poll beyond the dump: $(sort "$T/busy" | uniq -c | head -n 5)"
        stop_daemon
else
        step "system calls: strace is not installed, left out"
fi
exit 0
