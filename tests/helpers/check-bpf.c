/* SPDX-License-Identifier: MIT */
/* Checks the event engine against the running kernel, after all capabilities but those that the
 * daemon keeps have been dropped: every listener is told, with the right owner, and nothing else.
 * Runs in a network namespace of its own where `lo` is up (test-bpf.sh makes it).
 *
 *      check-bpf [LISTENERS]   how many short-lived ones of each protocol (default 1000)
 *
 * Exit status 1 when a check failed, 77 where the engine cannot work at all. */

#include "tests/helpers/audience.h"

#include <inttypes.h>
#include <sys/capability.h>

#define WAKEUP_MAX_USEC 300 /* a batch would take longer on average */

/* ---- what is right ---- */

/* As attribution reads it. */
static uint64_t started_of(pid_t pid)
{
        char path[64], text[1024], *at;
        unsigned long long started = 0;

        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        if (pw_read_file(AT_FDCWD, path, text, sizeof text) < 0)
                return 0;
        at = strrchr(text, ')');
        sscanf(at ? at + 2 : "",
               "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &started);
        return started;
}

/* /proc/PID/exe without " (deleted)". */
static char *exe_of(pid_t pid, char *buffer, size_t size)
{
        char path[64], *suffix;
        ssize_t length;

        snprintf(path, sizeof path, "/proc/%d/exe", pid);
        length = readlink(path, buffer, size - 1);
        buffer[PW_MAX(length, (ssize_t)0)] = '\0';
        suffix = strstr(buffer, " (deleted)");
        if (suffix)
                *suffix = '\0';
        return buffer;
}

static bool opener_is(const struct pw_opener *owner, pid_t pid)
{
        char exe[4096];

        return owner->pid == pid && owner->started == started_of(pid) && owner->uid == 0 &&
               owner->cgroup_id != 0 && (owner->cgroup_id == 1 || owner->cgroup[0] == '/') &&
               owner->mount_ns != 0 && strcmp(owner->exe, exe_of(pid, exe, sizeof exe)) == 0;
}

/* ---- short-lived listeners ---- */

static void check_storm(const struct kind *kind, unsigned n)
{
        uint8_t protocol = kind->type == SOCK_STREAM ? PW_TCP : PW_UDP;
        uint64_t lost = pw_engine_lost(engine);
        unsigned right = 0, longest = 0;
        char exe[4096];

        exe_of(getpid(), exe, sizeof exe);
        begin((struct order){.scene = SCENE_STORM, .n = n, .port = 10000, .kind = *kind});
        for (unsigned i = 0; i < n; i++) {
                const struct pw_engine_event *opened = only(false, protocol, (uint16_t)(10000 + i));
                const struct pw_engine_event *closed = only(true, protocol, (uint16_t)(10000 + i));

                if (!opened || !closed)
                        continue;
                right += opened->socket.cookie == closed->socket.cookie &&
                         opened->flags == PW_SOCKET_EXPLICIT && opened->socket.uid == ACTOR_UID &&
                         opened->opener.uid == ACTOR_UID && opened->opener.pid > 0 &&
                         opened->opener.started > 0 && strcmp(opened->opener.exe, exe) == 0 &&
                         strcmp(opened->opener.comm, program_invocation_short_name) == 0 &&
                         closed->time_usec >= opened->time_usec + LIFE_NSEC / 1000 - 10;
                longest = PW_MAX(longest, (unsigned)(closed->time_usec - opened->time_usec));
        }
        check(right == n && pw_engine_lost(engine) == lost,
              "%u of %u short-lived %s listeners told with port, uid and executable, %u lost "
              "(longest life %u us)",
              right, n, pw_protocol_name(protocol), (unsigned)(pw_engine_lost(engine) - lost),
              longest);
}

static int compare_numbers(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static void check_latency(const struct kind *kind)
{
        enum { N = 300 };
        static uint64_t wakeups[N], calls[N];
        uint8_t protocol = kind->type == SOCK_STREAM ? PW_TCP : PW_UDP;
        size_t n = 0;

        begin((struct order){.scene = SCENE_PACED, .n = N, .port = 10000, .kind = *kind});
        for (unsigned i = 0; i < N; i++) {
                uint16_t port = (uint16_t)(10000 + i);
                const struct seen *one = nth(false, protocol, netns, port, 0);

                if (!one)
                        continue;
                wakeups[n] = one->read_nsec / 1000 - one->event.time_usec;
                calls[n++] = (one->read_nsec - told->stamps[port]) / 1000;
        }
        qsort(wakeups, n, sizeof *wakeups, compare_numbers);
        qsort(calls, n, sizeof *calls, compare_numbers);
        if (check(n == N && wakeups[n / 2] < WAKEUP_MAX_USEC, "%u %s listeners are told at once", N,
                  pw_protocol_name(protocol)))
                printf("     from the event to its reader: p50 %" PRIu64 " us, p99 %" PRIu64
                       " us; from before socket(2): p50 %" PRIu64 " us, p99 %" PRIu64 " us\n",
                       wakeups[n / 2], wakeups[n * 99 / 100], calls[n / 2], calls[n * 99 / 100]);
}

/* ---- sockets as sock_diag shows them ---- */

static const struct kind kinds[] = {
    {SOCK_STREAM, "0.0.0.0", 0},
    {SOCK_STREAM, "127.0.0.1", 0},
    {SOCK_STREAM, "::", 0},
    {SOCK_STREAM, "::", V6ONLY},
    {SOCK_STREAM, "::1", 0},
    {SOCK_STREAM, "::ffff:127.0.0.1", 0},
    {SOCK_STREAM, "fe80::1", 0},
    {SOCK_STREAM, "::", ON_LO},
    {SOCK_STREAM, "::", MPTCP},
    {SOCK_DGRAM, "0.0.0.0", 0},
    {SOCK_DGRAM, "127.0.0.1", 0},
    {SOCK_DGRAM, "::", 0},
    {SOCK_DGRAM, "::", V6ONLY},
    {SOCK_DGRAM, "::1", 0},
    {SOCK_DGRAM, "::ffff:127.0.0.1", 0},
    {SOCK_DGRAM, "fe80::1", 0},
    {SOCK_DGRAM, "224.0.0.251", 0},
    {SOCK_DGRAM, "0.0.0.0", ON_LO},
};

/* What a list said of one port. */
struct listed {
        uint16_t port;
        unsigned n;
        struct pw_engine_row row;
};

static int on_row(void *userdata, const struct pw_engine_row *row)
{
        struct listed *listed = userdata;

        if (row->socket.endpoint.port == listed->port) {
                listed->n++;
                listed->row = *row;
        }
        return 0;
}

static bool same_socket(const struct pw_socket *a, const struct pw_socket *b)
{
        return memcmp(a, b, sizeof *a) == 0;
}

static void check_kind(struct pw_sockdiag *diag, const struct kind *kind)
{
        uint8_t protocol = kind->type == SOCK_STREAM ? PW_TCP : PW_UDP;
        struct listed sockets = {.port = PORT}, all = sockets;
        const struct pw_engine_event *event;
        struct pw_snapshot snapshot = {0};
        struct pw_socket row = {0};

        begin((struct order){.scene = SCENE_KIND, .port = PORT, .kind = *kind});
        pw_sockdiag_dump(diag, PW_DUMP_TCP | PW_DUMP_UDP, &snapshot);
        if (snapshot.n_sockets == 1)
                row = snapshot.sockets[0];
        event = only(false, protocol, PORT);
        check(event && same_socket(&event->socket, &row) && event->flags == PW_SOCKET_EXPLICIT &&
                  opener_is(&event->opener, told->pid),
              "%s: the event has sock_diag's row and the owner", kind_name(kind));
        check(pw_engine_sockets(engine, protocol, on_row, &sockets) == 0 && sockets.n == 1 &&
                  same_socket(&sockets.row.socket, &row) && sockets.row.flags == PW_SOCKET_EXPLICIT,
              "… so has the list");
        check(pw_engine_holders(engine, on_row, &all) == 0 && all.n == 1 &&
                  same_socket(&all.row.socket, &row) && all.row.pid == told->pid &&
                  all.row.started == started_of(told->pid),
              "… so have the holders");
        end();
        event = only(true, protocol, PORT);
        check(event && event->socket.cookie == row.cookie, "… its end is told, once");
        pw_snapshot_done(&snapshot);
}

static void check_kinds(void)
{
        struct pw_sockdiag *diag;

        if (pw_sockdiag_open(netns, &diag) < 0)
                fail("pw_sockdiag_open");
        for (size_t i = 0; i < PW_ELEMENTS(kinds); i++) {
                int fd = kinds[i].flags & MPTCP ? socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP) : 0;

                if (fd < 0)
                        printf("skipped: no MPTCP in this kernel\n");
                else
                        check_kind(diag, &kinds[i]);
                if (fd > 0)
                        close(fd);
        }
        pw_sockdiag_close(diag);
}

static void check_group(void)
{
        unsigned right = 0;

        begin((struct order){.scene = SCENE_GROUP, .port = PORT});
        end();
        for (unsigned i = 0; i < 2 * GROUP_SIZE; i++) {
                uint8_t protocol = i % 2 == 0 ? PW_TCP : PW_UDP;
                unsigned opened = 0, closed = 0;

                for (size_t k = 0; k < n_seen; k++)
                        if (seen[k].event.socket.cookie == told->cookies[i] &&
                            seen[k].event.socket.endpoint.protocol == protocol)
                                seen[k].event.closed ? closed++ : opened++;
                right += opened == 1 && closed == 1;
        }
        check(right == 2 * GROUP_SIZE, "each socket of a SO_REUSEPORT group is told (%u of %u)",
              right, 2 * GROUP_SIZE);
}

static void check_clients(void)
{
        size_t told_of = 0;

        begin((struct order){.scene = SCENE_CLIENTS, .port = PORT, .n = 100});
        end();
        for (size_t i = 0; i < n_seen; i++)
                told_of += seen[i].event.socket.endpoint.netns == netns;
        check(told_of == 4 && only(false, PW_TCP, PORT) && only(true, PW_TCP, PORT) &&
                  only(false, PW_UDP, PORT) && only(true, PW_UDP, PORT),
              "no event of 100 connections and 300 UDP clients (%zu, wanted 4)", told_of);
}

static void check_unbound(void)
{
        const struct pw_engine_event *opened, *closed;

        begin((struct order){.scene = SCENE_UNBOUND});
        end();
        opened = only(false, PW_TCP, 0);
        closed = only(true, PW_TCP, (uint16_t)told->stamps[0]);
        check(opened && closed && opened->socket.cookie == closed->socket.cookie &&
                  !(opened->flags & PW_SOCKET_EXPLICIT),
              "listen(2) without bind(2) is told, its end with the port");
}

static void check_netns(void)
{
        struct listed here = {.port = PORT}, all = here;
        const struct seen *tcp, *udp;

        begin((struct order){.scene = SCENE_NETNS, .port = PORT});
        tcp = nth(false, PW_TCP, told->netns, PORT, 0);
        udp = nth(false, PW_UDP, told->netns, PORT, 0);
        check(told->netns != netns && tcp && udp && opener_is(&tcp->event.opener, told->pid) &&
                  opener_is(&udp->event.opener, told->pid) &&
                  tcp->event.socket.cookie == told->cookies[0] &&
                  udp->event.socket.cookie == told->cookies[1],
              "listeners in another network namespace are told, with it");
        check(pw_engine_sockets(engine, PW_TCP, on_row, &here) == 0 &&
                  pw_engine_sockets(engine, PW_UDP, on_row, &here) == 0 && here.n == 0 &&
                  pw_engine_holders(engine, on_row, &all) == 0 && all.n == 2 &&
                  all.row.socket.endpoint.netns == told->netns && all.row.pid == told->pid,
              "… the list has ours only, the holders have all");
        end();
        check(nth(true, PW_TCP, told->netns, PORT, 0) && nth(true, PW_UDP, told->netns, PORT, 0),
              "… and their ends");
}

/* ---- executables ---- */

static void check_exe(const char *option, unsigned flags, const char *what)
{
        struct order order = {.scene = SCENE_PROGRAM, .port = PORT};
        const struct pw_engine_event *event;
        char path[64], exe[4096];
        struct stat status = {0};

        snprintf(order.option, sizeof order.option, "%s", option);
        begin(order);
        event = only(false, PW_TCP, PORT);
        exe_of(told->pid, exe, sizeof exe);
        snprintf(path, sizeof path, "/proc/%d/exe", told->pid);
        if (stat(path, &status) < 0)
                fail(path);
        if (!check(event && opener_is(&event->opener, told->pid) &&
                       event->opener.exe_flags == flags && event->opener.exe_inode == status.st_ino,
                   "%s: %s", what, exe))
                printf("     told: %s, flags %u\n", event ? event->opener.exe : "nothing",
                       event ? event->opener.exe_flags : 0);
        end();
}

static void check_long_exe(void)
{
        struct order order = {.scene = SCENE_PROGRAM, .port = PORT};
        char directory[800] = "/run/check-bpf", exe[4096];
        const struct pw_engine_event *event;
        size_t length = strlen(directory);

        mkdir(directory, 0755);
        for (unsigned i = 0; i < 4; i++) {
                length +=
                    (size_t)snprintf(directory + length, sizeof directory - length, "/%0150u", i);
                mkdir(directory, 0755);
        }
        snprintf(order.option, sizeof order.option, "--copy=%s/program", directory);
        begin(order);
        event = only(false, PW_TCP, PORT);
        exe_of(told->pid, exe, sizeof exe);
        length = event ? strlen(event->opener.exe) : 0;
        check(event && event->opener.exe_flags == PW_EXE_TRUNCATED && length > 256 &&
                  length < strlen(exe) && event->opener.exe[0] != '/' &&
                  strcmp(event->opener.exe, exe + strlen(exe) - length) == 0,
              "a path of %zu bytes is cut and says so", strlen(exe));
        end();
}

static void check_exes(void)
{
        check_exe("--name=other", 0, "a program");
        check_exe("--copy=/run/check-bpf-copy", 0, "a program on another file system");
        check_exe("--deleted=/run/check-bpf-deleted", PW_EXE_DELETED, "a deleted program");
        check_exe("--memfd", PW_EXE_UNNAMED, "a program in memory");
        check_exe("--exe-as=/usr/bin/true", 0, "a program in a mount namespace");
        check_long_exe();
}

static void check_rings(void)
{
        for (unsigned direct = 0; direct < 2; direct++) {
                const char *what = direct ? " (no descriptor)" : "";
                const struct pw_engine_event *event;

                begin((struct order){.scene = SCENE_RING, .port = PORT, .direct = direct});
                event = only(false, PW_TCP, PORT);
                if (told->unable)
                        printf("skipped: io_uring cannot listen here%s\n", what);
                else
                        check(event && opener_is(&event->opener, told->pid),
                              "a listener by io_uring%s is told", what);
                end();
        }
}

static void check_kernels(void)
{
        struct listed listed = {.port = PORT};
        const struct pw_engine_event *event;

        begin((struct order){.scene = SCENE_KERNEL, .port = PORT});
        event = only(false, PW_UDP, PORT);
        if (told->unable)
                printf("skipped: no VXLAN in this kernel\n");
        else
                check(event && event->flags & PW_SOCKET_KERNEL &&
                          pw_engine_sockets(engine, PW_UDP, on_row, &listed) == 0 &&
                          listed.row.flags & PW_SOCKET_KERNEL,
                      "a socket of the kernel's own is told as that");
        end();
        listed = (struct listed){.port = PORT};
        check(!nth(true, PW_UDP, netns, PORT, 0) &&
                  pw_engine_sockets(engine, PW_UDP, on_row, &listed) == 0 && listed.n == 0,
              "… its end is only seen in the list");
}

/* ---- engines ---- */

static int count_event(void *userdata, const struct pw_engine_event *event _unused_)
{
        (*(unsigned *)userdata)++;
        return 0;
}

/* Another engine, with a ring for a few events, that nobody reads. */
static void check_lost(struct pw_engine *tiny)
{
        static const struct kind tcp = {SOCK_STREAM, "127.0.0.1", 0};
        uint64_t lost = pw_engine_lost(engine);
        unsigned read = 0;

        begin((struct order){.scene = SCENE_STORM, .n = 100, .port = 10000, .kind = tcp});
        pw_engine_read(tiny, count_event, &read);
        check(pw_engine_lost(tiny) > 0 && read > 0 && pw_engine_lost(tiny) + read >= 200 &&
                  pw_engine_lost(engine) == lost,
              "a full ring counts what is lost (%u read, %u lost), beside one that loses nothing",
              read, (unsigned)pw_engine_lost(tiny));
}

static int stop_reading(void *userdata, const struct pw_engine_event *event _unused_)
{
        return --*(int *)userdata == 0 ? -ECANCELED : 0;
}

static void check_stop(struct pw_engine *tiny)
{
        unsigned rest = 0;
        int left = 2;

        while (pw_engine_read(tiny, count_event, &rest) > 0)
                ;
        begin((struct order){.scene = SCENE_KIND, .port = PORT, .kind = kinds[0]});
        end();
        begin((struct order){.scene = SCENE_KIND, .port = PORT, .kind = kinds[0]});
        end();
        rest = 0;
        check(pw_engine_read(tiny, stop_reading, &left) == -ECANCELED &&
                  pw_engine_read(tiny, count_event, &rest) >= 2 && rest >= 2,
              "reading stops where it is told to, and goes on there");
}

/* ---- privileges ---- */

static void drop_capabilities(void)
{
        static const cap_value_t kept[] = {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};
        cap_t caps = cap_init();
        char *text;

        if (!caps || cap_set_flag(caps, CAP_PERMITTED, 2, kept, CAP_SET) < 0 ||
            cap_set_flag(caps, CAP_EFFECTIVE, 2, kept, CAP_SET) < 0 || cap_set_proc(caps) < 0)
                fail("cap_set_proc");
        cap_free(caps);
        caps = cap_get_proc();
        text = caps ? cap_to_text(caps, NULL) : NULL;
        printf("from here on with %s\n", text ? text : "?");
        cap_free(text);
        cap_free(caps);
}

static bool has_engine(void)
{
        uint64_t began = boot_nsec();

        engine = open_engine(ALL_PARTS, 0, NULL);
        printf("opened in %.1f ms%s\n", (double)(boot_nsec() - began) / 1e6,
               pw_engine_needs_cap_bpf(engine) ? "; lists need CAP_BPF" : "");
        for (unsigned part = 0; part < PW_ENGINE_PARTS; part++)
                if (!pw_engine_works(engine, part)) {
                        printf("skipped: part %u %s\n", part, pw_engine_missing(engine, part));
                        return false;
                }
        return true;
}

int main(int argc, char **argv)
{
        static const struct kind tcp = {SOCK_STREAM, "127.0.0.1", 0};
        static const struct kind udp = {SOCK_DGRAM, "127.0.0.1", 0};
        unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
        struct pw_engine *tiny;

        setvbuf(stdout, NULL, _IOLBF, 0);
        netns = own_netns();
        actor_start();
        if (!has_engine())
                return 77;
        tiny = open_engine(PW_ENGINE_EVENTS, TINY_RING, NULL);
        drop_capabilities();
        check_kinds();
        check_group();
        check_clients();
        check_unbound();
        check_netns();
        check_exes();
        check_rings();
        check_kernels();
        check_lost(tiny);
        check_stop(tiny);
        check_storm(&tcp, n);
        check_storm(&udp, n);
        check_latency(&tcp);
        check_latency(&udp);
        forget();
        free(seen);
        pw_engine_close(tiny);
        pw_engine_close(engine);
        return checks_done();
}
