/* SPDX-License-Identifier: MIT */
#pragma once

/* The actor of check-bpf: a process that keeps all privileges and opens sockets on command, while
 * the checking process, which started it first of all, gives up its own. Each scene is played by a
 * new child: it opens what it is told to, waits for the word to go on, and ends. */

#include "tests/helpers/check.h"
#include "tests/helpers/uring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define ACTOR_UID 1234
#define LIFE_NSEC 50000 /* of a short-lived socket */
#define GROUP_SIZE 8
#define PACE_USEC 5000 /* slow enough for each to wake up the reader */

enum scene {
        SCENE_STORM,   /* n short-lived sockets of processes that exit at once */
        SCENE_KIND,    /* one socket */
        SCENE_GROUP,   /* SO_REUSEPORT */
        SCENE_CLIENTS, /* what is no listener */
        SCENE_UNBOUND, /* listen(2) without bind(2) */
        SCENE_NETNS,   /* a TCP and a UDP socket in a new network namespace */
        SCENE_PROGRAM, /* one TCP listener of another executable: open-sockets */
        SCENE_RING,    /* one TCP listener by io_uring */
        SCENE_KERNEL,  /* one UDP socket of the kernel's */
        SCENE_PACED,   /* n listeners, with a pause before each */
};

struct order {
        enum scene scene;
        unsigned n;
        uint16_t port;
        struct kind kind;  /* SCENE_STORM, SCENE_KIND, SCENE_PACED */
        char option[1024]; /* SCENE_PROGRAM: of open-sockets */
        bool direct;       /* SCENE_RING: no descriptor */
};

/* What the scenes tell. */
static struct told {
        pid_t pid;
        uint64_t netns;
        uint64_t cookies[2 * GROUP_SIZE];
        bool unable;            /* the kernel has no such thing */
        uint64_t stamps[65536]; /* nanoseconds since boot, by port */
} * told;

static int actor_fd; /* to the actor, and in it to the checking process */

static inline uint64_t boot_nsec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_BOOTTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t own_netns(void)
{
        struct stat status;

        if (stat("/proc/self/ns/net", &status) < 0)
                fail("/proc/self/ns/net");
        return status.st_ino;
}

/* The curtain: what is open stays so until the other side has looked. */
static inline void show(void)
{
        char byte = 's';

        if (write(actor_fd, &byte, 1) != 1 || read(actor_fd, &byte, 1) != 1)
                _exit(1);
}

/* ---- scenes ---- */

static inline void live(void)
{
        for (uint64_t end = boot_nsec() + LIFE_NSEC; boot_nsec() < end;)
                ;
}

static inline void play_storm(const struct order *order)
{
        for (unsigned i = 0; i < order->n; i++) {
                pid_t pid = fork();

                if (pid == 0) {
                        if (setresuid(ACTOR_UID, ACTOR_UID, ACTOR_UID) < 0)
                                _exit(1);
                        open_kind(&order->kind, (uint16_t)(order->port + i));
                        live();
                        _exit(0);
                }
                if (pid < 0 || waitpid(pid, NULL, 0) != pid)
                        fail("fork");
        }
}

static inline void play_paced(const struct order *order)
{
        for (unsigned i = 0; i < order->n; i++) {
                uint16_t port = (uint16_t)(order->port + i);
                struct opened opened;

                usleep(PACE_USEC);
                told->stamps[port] = boot_nsec();
                opened = open_kind(&order->kind, port);
                usleep(200);
                close(opened.fd);
        }
}

static inline void play_group(const struct order *order)
{
        static const struct kind kinds[] = {{SOCK_STREAM, "127.0.0.1", REUSEPORT},
                                            {SOCK_DGRAM, "127.0.0.1", REUSEPORT}};

        for (unsigned i = 0; i < 2 * GROUP_SIZE; i++)
                told->cookies[i] = open_kind(&kinds[i % 2], order->port).cookie;
        show();
}

/* Clients, by each way to become one; all of them toward a listener and a server that are told. */
static inline void play_clients(const struct order *order)
{
        static const struct kind tcp = {SOCK_STREAM, "127.0.0.1", 0};
        static const struct kind udp = {SOCK_DGRAM, "127.0.0.1", 0};
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(order->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int listener = open_kind(&tcp, order->port).fd, server = open_kind(&udp, order->port).fd;

        for (unsigned i = 0; i < order->n; i++) {
                int stream = socket(AF_INET, SOCK_STREAM, 0),
                    sender = socket(AF_INET, SOCK_DGRAM, 0);
                int connected = socket(AF_INET, SOCK_DGRAM, 0), accepted;
                int bound = open_kind(&udp, 0).fd;

                if (connect(stream, (struct sockaddr *)&to, sizeof to) < 0 ||
                    (accepted = accept(listener, NULL, NULL)) < 0 ||
                    sendto(sender, "", 1, 0, (struct sockaddr *)&to, sizeof to) < 0 ||
                    connect(connected, (struct sockaddr *)&to, sizeof to) < 0)
                        fail("client");
                close(stream);
                close(accepted);
                close(sender);
                close(connected);
                close(bound);
        }
        show();
        close(listener);
        close(server);
}

static inline void play_unbound(void)
{
        struct sockaddr_in own = {0};
        socklen_t length = sizeof own;
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        if (listen(fd, 1) < 0 || getsockname(fd, (struct sockaddr *)&own, &length) < 0)
                fail("listen");
        told->stamps[0] = ntohs(own.sin_port);
        show();
}

static inline void play_netns(const struct order *order)
{
        static const struct kind tcp = {SOCK_STREAM, "::", 0}, udp = {SOCK_DGRAM, "0.0.0.0", 0};

        if (unshare(CLONE_NEWNET) < 0)
                fail("unshare");
        told->netns = own_netns();
        told->cookies[0] = open_kind(&tcp, order->port).cookie;
        told->cookies[1] = open_kind(&udp, order->port).cookie;
        show();
}

/* open-sockets is beside this program. */
static inline void run_program(const struct order *order, int input, int output)
{
        char path[4096], socket[64];
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

        path[PW_MAX(length, (ssize_t)0)] = '\0';
        strcpy(strrchr(path, '/') + 1, "open-sockets");
        snprintf(socket, sizeof socket, "tcp:127.0.0.1:%u", order->port);
        if (dup2(input, 0) < 0 || dup2(output, 1) < 0)
                _exit(1);
        close(actor_fd);
        execl(path, "open-sockets", order->option, socket, (char *)NULL);
        _exit(1);
}

static inline void play_program(const struct order *order)
{
        int input[2], output[2];
        char text[512] = "";
        size_t length = 0;
        ssize_t n = 1;
        pid_t pid;

        if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0)
                fail("pipe");
        pid = fork();
        if (pid == 0)
                run_program(order, input[0], output[1]);
        told->pid = pid;
        close(output[1]);
        while (n > 0 && !strstr(text, "READY")) {
                n = read(output[0], text + length, sizeof text - 1 - length);
                length += (size_t)PW_MAX(n, (ssize_t)0);
                text[length] = '\0';
        }
        if (n <= 0)
                _exit(1);
        show();
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
}

static inline int run(const char *command)
{
        int status = system(command);

        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* The socket of a VXLAN device is there while the device is up. */
static inline void play_kernel(const struct order *order)
{
        char command[256];

        snprintf(command, sizeof command,
                 "exec 2>/dev/null; ip link add vxlan7 type vxlan id 7 dstport %u dev lo && "
                 "ip link set vxlan7 up",
                 order->port);
        told->unable = run(command) != 0;
        show();
        run("exec 2>/dev/null; ip link del vxlan7");
}

/* ---- io_uring ---- */

static inline void play_ring(const struct order *order)
{
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(order->port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        uint8_t flags = order->direct ? IOSQE_FIXED_FILE : 0;
        struct ring ring;
        int fd = -1;

        if (ring_open(&ring))
                fd = ring_do(&ring, &(struct io_uring_sqe){.opcode = RING_SOCKET,
                                                           .fd = AF_INET,
                                                           .off = SOCK_STREAM,
                                                           .file_index = order->direct});
        told->unable =
            fd < 0 ||
            ring_do(&ring, &(struct io_uring_sqe){.opcode = RING_BIND,
                                                  .fd = fd,
                                                  .flags = flags,
                                                  .addr = (uintptr_t)&address,
                                                  .off = sizeof address}) < 0 ||
            ring_do(&ring, &(struct io_uring_sqe){
                               .opcode = RING_LISTEN, .fd = fd, .flags = flags, .len = 4}) < 0;
        show();
}

/* ---- the actor itself ---- */

static inline void play(const struct order *order)
{
        told->pid = getpid();
        told->unable = false;
        switch (order->scene) {
        case SCENE_STORM:
                play_storm(order);
                break;
        case SCENE_KIND:
                told->cookies[0] = open_kind(&order->kind, order->port).cookie;
                show();
                break;
        case SCENE_GROUP:
                play_group(order);
                break;
        case SCENE_CLIENTS:
                play_clients(order);
                break;
        case SCENE_UNBOUND:
                play_unbound();
                break;
        case SCENE_NETNS:
                play_netns(order);
                break;
        case SCENE_PROGRAM:
                play_program(order);
                break;
        case SCENE_RING:
                play_ring(order);
                break;
        case SCENE_KERNEL:
                play_kernel(order);
                break;
        case SCENE_PACED:
                play_paced(order);
                break;
        }
}

static inline void actor_main(void)
{
        struct order order;
        char byte = 'e';

        while (read(actor_fd, &order, sizeof order) == (ssize_t)sizeof order) {
                pid_t pid = fork();
                int status = 1;

                if (pid == 0) {
                        play(&order);
                        _exit(0);
                }
                waitpid(pid, &status, 0);
                if (status != 0)
                        byte = 'f';
                if (write(actor_fd, &byte, 1) != 1)
                        break;
        }
}

static inline void actor_start(void)
{
        int fds[2];
        pid_t pid;

        told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (told == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
                fail("actor");
        pid = fork();
        if (pid < 0)
                fail("fork");
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(fds[0]);
                actor_fd = fds[1];
                actor_main();
                _exit(0);
        }
        close(fds[1]);
        actor_fd = fds[0];
}
