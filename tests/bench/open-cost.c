/* SPDX-License-Identifier: MIT */
/* What others pay: the time that one operation with sockets takes.
 *
 *      open-cost tcp-connection|tcp-listener|udp-bind ROUNDS [PAUSE]
 *
 * tcp-connection: connect, accept, close both, on loopback, toward one listener. tcp-listener:
 * socket, bind, listen, close. udp-bind: socket, bind to a port that is asked for, close. Each
 * round is timed by itself, after a pause of PAUSE microseconds (none if not given, as in a loop).
 * Prints the median in nanoseconds, which other load hardly moves. */

#include "tests/helpers/sockets.h"

#include <time.h>

#define ROUNDS_MAX 1000000
#define PORT 12000
#define PORTS 8 /* taken by turns */

static uint64_t now_nsec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int open_bound(int type, uint16_t port)
{
        union address address = address_v4(INADDR_LOOPBACK, port);
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, &address.any, address_length(&address)) < 0)
                die("port %u", port);
        return fd;
}

static int open_listener(uint16_t port)
{
        int fd = open_bound(SOCK_STREAM, port);

        if (listen(fd, 64) < 0)
                die("listen");
        return fd;
}

/* The client ends at once: a connection left in TIME_WAIT would use up ports. */
static void tcp_connection(unsigned long i)
{
        static const struct linger at_once = {1, 0};
        static int listener = -1;
        union address address = address_v4(INADDR_LOOPBACK, PORT);
        int client, server;

        (void)i;
        if (listener < 0)
                listener = open_listener(PORT);
        client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (client < 0 || connect(client, &address.any, address_length(&address)) < 0 ||
            (server = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0 ||
            setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) < 0)
                die("connection");
        close(client);
        close(server);
}

static void tcp_listener(unsigned long i)
{
        close(open_listener((uint16_t)(PORT + i % PORTS)));
}

static void udp_bind(unsigned long i)
{
        close(open_bound(SOCK_DGRAM, (uint16_t)(PORT + i % PORTS)));
}

static int compare(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                void (*run)(unsigned long);
        } operations[] = {{"tcp-connection", tcp_connection},
                          {"tcp-listener", tcp_listener},
                          {"udp-bind", udp_bind}};
        static uint32_t took[ROUNDS_MAX];
        unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
        unsigned long pause_usec = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
        void (*run)(unsigned long) = NULL;

        for (size_t i = 0; argc > 1 && i < PW_ELEMENTS(operations); i++)
                if (strcmp(operations[i].name, argv[1]) == 0)
                        run = operations[i].run;
        if (!run || rounds == 0 || rounds > ROUNDS_MAX) {
                fputs("usage: open-cost tcp-connection|tcp-listener|udp-bind ROUNDS [PAUSE]\n",
                      stderr);
                return 2;
        }
        run(0);
        for (unsigned long i = 0; i < rounds; i++) {
                uint64_t start;

                if (pause_usec > 0)
                        usleep((unsigned)pause_usec);
                start = now_nsec();
                run(i);
                took[i] = (uint32_t)(now_nsec() - start);
        }
        qsort(took, rounds, sizeof *took, compare);
        printf("%u\n", took[rounds / 2]);
        return 0;
}
