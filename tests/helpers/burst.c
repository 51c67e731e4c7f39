/* SPDX-License-Identifier: MIT */
/* Many listeners that hardly live, each of a process of its own that exits at once.
 *
 *      burst tcp|udp [--count=N] [--first=PORT] [--ports=N] [--life=USEC] [--user=UID] [--ring]
 *
 * The n-th is at 127.0.0.1, port `first` + n % `ports`, and ends with its process. --user: the
 * process becomes that user first. --ring: the system calls go through io_uring. Prints what was
 * opened; exit status 77 where io_uring cannot open sockets.
 *
 * The processes share the memory of this one, which stands still meanwhile: that makes them cheap,
 * and lets them say why they failed. */

#include "tests/helpers/sockets.h"
#include "tests/helpers/uring.h"

#include <sys/wait.h>
#include <time.h>

#define EXIT_SKIPPED 77

struct burst {
        const char *protocol;
        int type;
        unsigned long count, first, ports, life_usec, user;
        bool ring;
};

/* What one process is to do, and how it went: 0 or the errno and what failed. */
struct life {
        const struct burst *burst;
        struct ring *ring; /* NULL: plain system calls */
        uint16_t port;
        int error;
        const char *failed;
};

static uint64_t now_usec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- in the process ---- */

static void note(struct life *life, int result, const char *what)
{
        if (result >= 0 || life->error != 0)
                return;
        life->error = -result;
        life->failed = what;
}

static int outcome(int result)
{
        return result < 0 ? -errno : result;
}

static void open_plainly(struct life *life, const union address *address)
{
        int fd = socket(AF_INET, life->burst->type, 0);

        note(life, outcome(fd), "socket");
        note(life, outcome(bind(fd, &address->any, address_length(address))), "bind");
        if (life->burst->type == SOCK_STREAM)
                note(life, outcome(listen(fd, 16)), "listen");
}

static void open_by_ring(struct life *life, const union address *address)
{
        struct io_uring_sqe socket = {
            .opcode = RING_SOCKET, .fd = AF_INET, .off = (unsigned)life->burst->type};
        int fd = ring_do(life->ring, &socket);
        struct io_uring_sqe bind = {.opcode = RING_BIND,
                                    .fd = fd,
                                    .addr = (uintptr_t)address,
                                    .off = address_length(address)};
        struct io_uring_sqe listen = {.opcode = RING_LISTEN, .fd = fd, .len = 16};

        note(life, fd, "socket by io_uring");
        note(life, ring_do(life->ring, &bind), "bind by io_uring");
        if (life->burst->type == SOCK_STREAM)
                note(life, ring_do(life->ring, &listen), "listen by io_uring");
}

static _Noreturn void live(struct life *life)
{
        union address address = address_v4(INADDR_LOOPBACK, life->port);
        uid_t user = (uid_t)life->burst->user;
        uint64_t end;

        /* Not the library's way, which is about threads of this memory. */
        note(life, outcome((int)syscall(SYS_setresuid, user, user, user)), "become the user");
        if (life->ring)
                open_by_ring(life, &address);
        else
                open_plainly(life, &address);
        for (end = now_usec() + life->burst->life_usec; now_usec() < end;)
                ;
        _exit(0);
}

/* ---- outside ---- */

static void run_one(struct life *life)
{
        pid_t pid = vfork();

        if (pid == 0)
                live(life);
        if (pid < 0)
                die("process for port %u", life->port);
        while (waitpid(pid, NULL, 0) < 0)
                if (errno != EINTR)
                        die("wait");
        if (life->error != 0) {
                errno = life->error;
                die("port %u: %s", life->port, life->failed);
        }
}

/* Whether sockets of this type can be made by io_uring; nothing is left of the trial. */
static bool ring_works(struct ring *ring, const struct burst *burst)
{
        union address address = address_v4(INADDR_LOOPBACK, 0);
        struct io_uring_sqe bind = {
            .opcode = RING_BIND, .addr = (uintptr_t)&address, .off = address_length(&address)};
        int fd, result;

        if (!ring_open(ring))
                return false;
        fd = socket(AF_INET, burst->type | SOCK_CLOEXEC, 0);
        if (fd < 0)
                die("socket");
        bind.fd = fd;
        result = ring_do(ring, &bind);
        close(fd);
        return result >= 0;
}

static bool read_number(const char *word, const char *name, unsigned long *ret)
{
        size_t length = strlen(name);
        char *end;

        if (strncmp(word, name, length) != 0)
                return false;
        *ret = strtoul(word + length, &end, 10);
        return end != word + length && !*end;
}

static bool read_words(int argc, char **argv, struct burst *burst)
{
        if (argc < 2)
                return false;
        burst->protocol = argv[1];
        burst->type = strcmp(argv[1], "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
        if (burst->type == SOCK_STREAM && strcmp(argv[1], "tcp") != 0)
                return false;
        for (int i = 2; i < argc; i++) {
                if (strcmp(argv[i], "--ring") == 0)
                        burst->ring = true;
                else if (!read_number(argv[i], "--count=", &burst->count) &&
                         !read_number(argv[i], "--first=", &burst->first) &&
                         !read_number(argv[i], "--ports=", &burst->ports) &&
                         !read_number(argv[i], "--life=", &burst->life_usec) &&
                         !read_number(argv[i], "--user=", &burst->user))
                        return false;
        }
        return burst->ports > 0 && burst->first > 0 && burst->first + burst->ports <= 65536;
}

int main(int argc, char **argv)
{
        struct burst burst = {
            .count = 10000, .first = 10000, .ports = 20000, .life_usec = 50, .user = getuid()};
        struct ring ring;
        uint64_t start;

        if (!read_words(argc, argv, &burst)) {
                fputs("usage: burst tcp|udp [--count=N] [--first=PORT] [--ports=N] [--life=USEC] "
                      "[--user=UID] [--ring]\n",
                      stderr);
                return 2;
        }
        if (burst.ring && !ring_works(&ring, &burst)) {
                puts("skipped: io_uring opens no sockets here");
                return EXIT_SKIPPED;
        }
        start = now_usec();
        for (unsigned long i = 0; i < burst.count; i++)
                run_one(&(struct life){.burst = &burst,
                                       .ring = burst.ring ? &ring : NULL,
                                       .port = (uint16_t)(burst.first + i % burst.ports)});
        printf("opened %lu %s from port %lu, user %lu, in %.3f s\n", burst.count, burst.protocol,
               burst.first, burst.user, (double)(now_usec() - start) / 1e6);
        return 0;
}
