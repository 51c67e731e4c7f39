/* SPDX-License-Identifier: MIT */
/* Many network namespaces with three listeners each.
 *
 *      many-netns [--count=N] [--named=N] [--first=N]
 *
 * Each is a process's, which is alone in it and holds 127.0.0.1:7001 (TCP), [::]:7002 (TCP) and
 * 127.0.0.1:7003 (UDP). The first `named` of them (all, if not given) get the name `many-I` that
 * `ip netns` knows, I counting from `first`; they outlive their processes until it is removed.
 * Prints `PID INODE NAME` for each (a dash where it has none), then READY, and waits until SIGTERM,
 * the end of standard input, or the alarm; its processes end with it. */

#include "tests/helpers/sockets.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define NAMES_DIR "/run/netns"
#define ALARM_SECONDS 600

struct crowd {
        unsigned long count, named, first;
};

static volatile sig_atomic_t stopped;

static void stop(_unused_ int signal)
{
        stopped = 1;
}

static void open_listener(int type, union address address)
{
        int fd = socket(address.any.sa_family, type, 0);

        if (fd < 0 || bind(fd, &address.any, address_length(&address)) < 0 ||
            (type == SOCK_STREAM && listen(fd, 16) < 0))
                die("listener");
}

/* As `ip netns add` does. */
static void give_name(unsigned long number)
{
        char path[sizeof NAMES_DIR + 32];
        int fd;

        snprintf(path, sizeof path, NAMES_DIR "/many-%lu", number);
        if (mkdir(NAMES_DIR, 0755) < 0 && errno != EEXIST)
                die(NAMES_DIR);
        fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
        if (fd < 0 || mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0)
                die("%s", path);
        close(fd);
}

static _Noreturn void inhabit(const struct crowd *crowd, unsigned long i, int ready, pid_t parent)
{
        union address any6 = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(7002)}};

        signal(SIGTERM, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(0);
        alarm(ALARM_SECONDS);
        if (unshare(CLONE_NEWNET) < 0)
                die("network namespace");
        if (i < crowd->named)
                give_name(crowd->first + i);
        loopback_up();
        open_listener(SOCK_STREAM, address_v4(INADDR_LOOPBACK, 7001));
        open_listener(SOCK_STREAM, any6);
        open_listener(SOCK_DGRAM, address_v4(INADDR_LOOPBACK, 7003));
        if (write(ready, "", 1) != 1)
                die("report");
        close(ready);
        for (;;)
                pause();
}

static void make_one(const struct crowd *crowd, unsigned long i)
{
        pid_t parent = getpid(), pid;
        char path[64], byte, name[32] = "-";
        struct stat status;
        int report[2];

        if (pipe2(report, O_CLOEXEC) < 0)
                die("pipe");
        pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0)
                inhabit(crowd, i, report[1], parent);
        close(report[1]);
        if (read(report[0], &byte, 1) != 1)
                die("namespace %lu", i);
        close(report[0]);
        snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
        if (stat(path, &status) < 0)
                die("%s", path);
        if (i < crowd->named)
                snprintf(name, sizeof name, "many-%lu", crowd->first + i);
        printf("%d %" PRIu64 " %s\n", (int)pid, (uint64_t)status.st_ino, name);
}

static bool read_option(const char *word, const char *name, unsigned long *ret)
{
        size_t length = strlen(name);
        char *end;

        if (strncmp(word, name, length) != 0)
                return false;
        *ret = strtoul(word + length, &end, 10);
        return end != word + length && !*end;
}

int main(int argc, char **argv)
{
        struct crowd crowd = {.count = 200, .named = ULONG_MAX};
        struct pollfd input = {STDIN_FILENO, POLLIN, 0};
        char buffer[256];

        for (int i = 1; i < argc; i++)
                if (!read_option(argv[i], "--count=", &crowd.count) &&
                    !read_option(argv[i], "--named=", &crowd.named) &&
                    !read_option(argv[i], "--first=", &crowd.first)) {
                        fputs("usage: many-netns [--count=N] [--named=N] [--first=N]\n", stderr);
                        return 2;
                }
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
        alarm(ALARM_SECONDS);
        for (unsigned long i = 0; i < crowd.count; i++)
                make_one(&crowd, i);
        puts("READY");
        fflush(stdout);
        while (!stopped)
                if (poll(&input, 1, -1) > 0 && read(STDIN_FILENO, buffer, sizeof buffer) <= 0)
                        break;
        return 0;
}
