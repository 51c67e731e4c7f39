/* SPDX-License-Identifier: MIT */
/* Opens and closes sockets at a given rate, to disturb dumps while they run.
 *
 *      churn PATTERN [--rate=N] [--seconds=N] [--count=N] [--size=N] [--port=N]
 *
 * A ring holds `size` sockets; each step closes the oldest and opens one, so that the number of
 * sockets stays while their identity changes. With size 0 each socket is closed at once. Prints
 * READY when the ring is full, and the counts at the end: after `seconds` or `count` steps, or at
 * SIGTERM. Rate 0 is as fast as possible. */

#include "tests/helpers/sockets.h"

#include <time.h>

struct options {
        unsigned long rate, seconds, count, size, port;
};

struct pattern {
        const char *name;
        struct options defaults;
        int type;
        bool reuseport, client;
        /* The address of the n-th socket; for a client the peer's. */
        union address (*address)(const struct options *options, unsigned long n);
};

static union address one_port(const struct options *options, _unused_ unsigned long n)
{
        return address_v4(INADDR_LOOPBACK, (uint16_t)options->port);
}

static union address many_addresses(const struct options *options, unsigned long n)
{
        /* 127.64.0.1 and on: apart from what stands still on 127.0.0.0/16. */
        return address_v4(0x7f400001u + (uint32_t)(n % 60000), (uint16_t)options->port);
}

static union address many_ports(const struct options *options, unsigned long n)
{
        unsigned long span = UINT16_MAX - options->port;

        return address_v4(0x7f400001u, (uint16_t)(options->port + n % span));
}

static const struct pattern patterns[] = {
    {"group", {5000, 10, 0, 400, 7777}, SOCK_STREAM, true, false, one_port},
    {"addresses", {5000, 10, 0, 400, 7777}, SOCK_DGRAM, false, false, many_addresses},
    {"spread", {1000, 10, 0, 200, 2000}, SOCK_STREAM, false, false, many_ports},
    {"listeners", {1000, 10, 0, 0, 2000}, SOCK_STREAM, false, false, many_ports},
    {"clients", {1000, 10, 0, 0, 9}, SOCK_DGRAM, false, true, one_port},
};

static volatile sig_atomic_t stopped;

static void stop(_unused_ int signal)
{
        stopped = 1;
}

static double now(void)
{
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int open_one(const struct pattern *pattern, const struct options *options, unsigned long n)
{
        int fd = socket(AF_INET, pattern->type | SOCK_CLOEXEC, 0);
        union address address = pattern->address(options, n);

        if (fd < 0)
                die("socket");
        if (pattern->client) {
                /* Nobody answers: an unconnected send keeps the socket looking like a server. */
                if (sendto(fd, "?", 1, MSG_DONTWAIT, &address.any, address_length(&address)) < 0 &&
                    errno != EAGAIN)
                        die("send to port %lu", options->port);
                return fd;
        }
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
        if (pattern->reuseport)
                set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
        if (bind(fd, &address.any, address_length(&address)) < 0)
                die("bind socket %lu", n);
        if (pattern->type == SOCK_STREAM && listen(fd, 16) < 0)
                die("listen on socket %lu", n);
        return fd;
}

/* One step: the oldest goes, a new one comes. */
static void step(const struct pattern *pattern, const struct options *options, int *ring,
                 unsigned long n)
{
        if (options->size > 0) {
                int *slot = &ring[n % options->size];

                close(*slot);
                *slot = open_one(pattern, options, n);
        } else {
                close(open_one(pattern, options, n));
        }
}

static void run(const struct pattern *pattern, const struct options *options, int *ring)
{
        double start = now(), end = start + (double)options->seconds;
        unsigned long done = 0;

        while (!stopped && now() < end && (options->count == 0 || done < options->count)) {
                unsigned long due = options->rate == 0
                                        ? done + 100
                                        : (unsigned long)((now() - start) * (double)options->rate);

                if (options->count > 0)
                        due = PW_MIN(due, options->count);
                while (done < due && !stopped)
                        step(pattern, options, ring, options->size + done++);
                if (options->rate > 0)
                        nanosleep(&(struct timespec){0, 500000}, NULL);
        }
        printf("opened %lu closed %lu in %.1f s\n", done, done, now() - start);
}

static bool read_option(const char *word, const char *name, unsigned long *ret)
{
        size_t length = strlen(name);
        char *end;

        if (strncmp(word, name, length) != 0 || word[length] != '=')
                return false;
        *ret = strtoul(word + length + 1, &end, 10);
        return !*end;
}

static const struct pattern *find_pattern(const char *name)
{
        for (size_t i = 0; i < PW_ELEMENTS(patterns); i++)
                if (strcmp(patterns[i].name, name) == 0)
                        return &patterns[i];
        return NULL;
}

static int usage(void)
{
        fprintf(stderr, "usage: churn PATTERN [--rate=N] [--seconds=N] [--count=N] [--size=N] "
                        "[--port=N]\npatterns:");
        for (size_t i = 0; i < PW_ELEMENTS(patterns); i++)
                fprintf(stderr, " %s", patterns[i].name);
        fputc('\n', stderr);
        return 2;
}

int main(int argc, char **argv)
{
        const struct pattern *pattern = argc > 1 ? find_pattern(argv[1]) : NULL;
        _cleanup_(pw_freep) int *ring = NULL;
        struct options options;

        if (!pattern)
                return usage();
        options = pattern->defaults;
        for (int i = 2; i < argc; i++)
                if (!read_option(argv[i], "--rate", &options.rate) &&
                    !read_option(argv[i], "--seconds", &options.seconds) &&
                    !read_option(argv[i], "--count", &options.count) &&
                    !read_option(argv[i], "--size", &options.size) &&
                    !read_option(argv[i], "--port", &options.port))
                        return usage();
        if (options.port >= UINT16_MAX)
                return usage();

        signal(SIGTERM, stop);
        raise_file_limit(options.size + 64);
        ring = calloc(options.size + 1, sizeof *ring);
        if (!ring)
                die("ring of %lu", options.size);
        for (unsigned long i = 0; i < options.size; i++)
                ring[i] = open_one(pattern, &options, i);
        puts("READY");
        fflush(stdout);
        run(pattern, &options, ring);
        return 0;
}
