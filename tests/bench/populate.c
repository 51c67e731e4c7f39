/* SPDX-License-Identifier: MIT */
/* Makes a population of sockets and processes in a network namespace of its own, runs a command
 * among them, and ends with its exit code, once the population has ended.
 *
 *      populate [--listeners=N] [--connections=N] [--udp=N] [--processes=N] -- COMMAND…
 *
 * One socket in ten is IPv6. Connections are both ends of one. Processes are idle, with 20 open
 * descriptors each. Sockets are spread over the first HOLDERS of them. */

#include "tests/helpers/sockets.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define HOLDERS 8
#define DESCRIPTORS 20
#define PORTS_PER_ADDRESS 20000 /* below the ephemeral range */

struct population {
        unsigned long listeners, connections, udp, processes;
};

static void open_one(int type, unsigned long i)
{
        union address address;
        int fd;

        if (i % 10 == 9)
                address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                                    .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                                                    .sin6_port = htons((uint16_t)(1024 + i / 10))};
        else
                address = address_v4(INADDR_LOOPBACK + (uint32_t)(i / PORTS_PER_ADDRESS << 8),
                                     (uint16_t)(1024 + i % PORTS_PER_ADDRESS));
        fd = socket(address.any.sa_family, type | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, &address.any, address_length(&address)) < 0 ||
            (type == SOCK_STREAM && listen(fd, 16) < 0))
                die("socket %lu", i);
}

/* Connections of one holder, between addresses of its own. */
static void connect_many(unsigned holder, unsigned long n)
{
        union address server = address_v4(0x7f640001u + (holder << 8), 30000);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (listener < 0 || bind(listener, &server.any, address_length(&server)) < 0 ||
            listen(listener, 64) < 0)
                die("listener for connections");
        for (unsigned long i = 0; i < n; i++) {
                union address client =
                    address_v4(0x7fc80001u + (holder << 8) + (uint32_t)(i / PORTS_PER_ADDRESS), 0);
                int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

                if (fd < 0 || bind(fd, &client.any, address_length(&client)) < 0 ||
                    connect(fd, &server.any, address_length(&server)) < 0 ||
                    accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0)
                        die("connection %lu", i);
        }
        close(listener);
}

static unsigned long share(unsigned long total, unsigned holder)
{
        return total / HOLDERS + (holder < total % HOLDERS);
}

static _Noreturn void idle(unsigned number, const struct population *population, int ready,
                           pid_t parent)
{
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(0);
        raise_file_limit(200000);
        if (number < HOLDERS) {
                for (unsigned long i = number; i < population->listeners; i += HOLDERS)
                        open_one(SOCK_STREAM, i);
                for (unsigned long i = number; i < population->udp; i += HOLDERS)
                        open_one(SOCK_DGRAM, i);
                if (population->connections > 0)
                        connect_many(number, share(population->connections, number));
        }
        for (int i = 0; i < DESCRIPTORS; i++)
                if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
                        die("/dev/null");
        if (write(ready, "", 1) != 1)
                die("report");
        close(ready);
        alarm(1800);
        for (;;)
                pause();
}

/* Returns when every process has what it should have: their pids. */
static pid_t *populate(const struct population *population)
{
        unsigned long processes = population->processes, ready = 0;
        pid_t *pids = calloc(processes, sizeof *pids);
        pid_t parent = getpid();
        int report[2];
        char byte;

        if (!pids || pipe2(report, O_CLOEXEC) < 0)
                die("pipe");
        for (unsigned i = 0; i < processes; i++) {
                pids[i] = fork();
                if (pids[i] < 0)
                        die("process %u", i);
                if (pids[i] == 0) {
                        close(report[0]);
                        idle(i, population, report[1], parent);
                }
        }
        close(report[1]);
        while (read(report[0], &byte, 1) == 1)
                ready++;
        close(report[0]);
        if (ready != processes) {
                errno = ECHILD;
                die("%lu of %lu processes are ready", ready, processes);
        }
        return pids;
}

/* Nobody else may wait for them, and what is measured next should not be among zombies. */
static void end_population(pid_t *pids, unsigned long n)
{
        for (unsigned long i = 0; i < n; i++)
                kill(pids[i], SIGKILL);
        for (unsigned long i = 0; i < n; i++)
                waitpid(pids[i], NULL, 0);
        free(pids);
}

static int run(char **command)
{
        int status;
        pid_t pid = fork();

        if (pid < 0)
                die("fork");
        if (pid == 0) {
                execvp(command[0], command);
                die("%s", command[0]);
        }
        if (waitpid(pid, &status, 0) < 0)
                die("wait");
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool read_option(const char *word, struct population *population)
{
        const struct {
                const char *name;
                unsigned long *value;
        } options[] = {
            {"--listeners=", &population->listeners},
            {"--connections=", &population->connections},
            {"--udp=", &population->udp},
            {"--processes=", &population->processes},
        };

        for (size_t i = 0; i < PW_ELEMENTS(options); i++) {
                size_t length = strlen(options[i].name);
                char *end;

                if (strncmp(word, options[i].name, length) != 0)
                        continue;
                *options[i].value = strtoul(word + length, &end, 10);
                return *end == '\0';
        }
        return false;
}

int main(int argc, char **argv)
{
        struct population population = {0};
        int i = 1, code;
        pid_t *pids;

        while (i < argc && read_option(argv[i], &population))
                i++;
        if (i + 1 >= argc || strcmp(argv[i], "--") != 0) {
                fputs("usage: populate [--listeners=N] [--connections=N] [--udp=N] [--processes=N] "
                      "-- COMMAND...\n",
                      stderr);
                return 2;
        }
        if (unshare(CLONE_NEWNET) < 0)
                die("cannot make a network namespace");
        loopback_up();
        population.processes = PW_MAX(population.processes, (unsigned long)HOLDERS);
        pids = populate(&population);
        code = run(argv + i + 1);
        end_population(pids, population.processes);
        return code;
}
