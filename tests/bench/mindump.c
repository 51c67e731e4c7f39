/* SPDX-License-Identifier: MIT */
/* The least that a look at all listening sockets can cost: two requests, and a walk over the
 * replies that touches each row. What everything else is compared with.
 *
 *      mindump [ROUNDS]
 *
 * Prints, for one round on average: sockets, CPU and wall time in nanoseconds. */

#include "tests/helpers/sockets.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <time.h>

#define TCP_LISTEN_STATE 10
#define UDP_UNCONNECTED_STATE 7

struct request {
        struct nlmsghdr header;
        struct inet_diag_req body;
        struct nlattr attribute;
        uint32_t protocol;
};

static uint64_t now(clockid_t clock)
{
        struct timespec time;

        clock_gettime(clock, &time);
        return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int open_diag(void)
{
        struct sockaddr_nl address = {.nl_family = AF_NETLINK};
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
                die("sock_diag");
        return fd;
}

static void ask(int fd, uint32_t protocol, uint32_t state)
{
        struct request request = {
            .header = {.nlmsg_len = sizeof request,
                       .nlmsg_type = TCPDIAG_GETSOCK,
                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
            .body = {.idiag_family = AF_INET, .idiag_states = 1u << state},
            .attribute = {.nla_len = sizeof(struct nlattr) + sizeof(uint32_t),
                          .nla_type = INET_DIAG_REQ_PROTOCOL},
            .protocol = protocol,
        };

        if (send(fd, &request, sizeof request, 0) < 0)
                die("request");
}

/* Walks all replies to one request. Returns how many sockets they had. */
static size_t walk(int fd, uint64_t *sum)
{
        static char buffer[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
        size_t sockets = 0;

        while (true) {
                ssize_t received = recv(fd, buffer, sizeof buffer, 0);
                uint32_t left = (uint32_t)received;

                if (received < 0)
                        die("reply");
                for (const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
                     NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
                        const struct inet_diag_msg *row = NLMSG_DATA(message);

                        if (message->nlmsg_type == NLMSG_DONE)
                                return sockets;
                        if (message->nlmsg_type == NLMSG_ERROR)
                                die("the kernel refuses");
                        *sum += row->idiag_inode ^ row->id.idiag_cookie[0];
                        sockets++;
                }
        }
}

static size_t dump(int fd, uint64_t *sum)
{
        size_t sockets;

        ask(fd, IPPROTO_TCP, TCP_LISTEN_STATE);
        sockets = walk(fd, sum);
        ask(fd, IPPROTO_UDP, UDP_UNCONNECTED_STATE);
        return sockets + walk(fd, sum);
}

int main(int argc, char **argv)
{
        uint64_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
        uint64_t sum = 0, cpu, wall;
        size_t sockets;
        int fd = open_diag();

        if (rounds == 0)
                return 2;
        sockets = dump(fd, &sum); /* once to warm up */
        wall = now(CLOCK_MONOTONIC);
        cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        for (uint64_t i = 0; i < rounds; i++)
                dump(fd, &sum);
        cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        wall = now(CLOCK_MONOTONIC) - wall;
        printf("%zu %llu %llu\n", sockets, (unsigned long long)(cpu / rounds),
               (unsigned long long)(wall / rounds));
        return sum == 1; /* so that the walk is not optimized away */
}
