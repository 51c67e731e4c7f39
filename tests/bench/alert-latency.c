/* SPDX-License-Identifier: MIT */
/* How long from listen(2) to the alert: stands in for the journal while it opens listeners.
 *
 *      alert-latency SOCKET ROUNDS [PAUSE]
 *
 * Each round is a process of a user of its own (alerts are limited by user) that listens at a port
 * of its own, until its alert has arrived at the journal's SOCKET; before it a random pause, up to
 * PAUSE microseconds (1000 if not given), so that no clock of the watcher's is followed. Prints
 * READY when the socket is there, begins at a line on standard input, and prints at the end, in
 * microseconds, `ROUNDS MISSED P50 P99 MAX`; an alert that has not come after 40 s is missed. The
 * clock starts just before listen(2) and stops when the entry has been read. */

#include "tests/helpers/sockets.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define FIRST_PORT 10000
#define FIRST_USER 100000
#define ROUNDS_MAX 20000
#define PATIENCE_MSEC 40000

static uint64_t *started_nsec; /* shared with the round's process */

static uint64_t now_nsec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Big enough for a burst: a full socket would hold up the one that is measured. */
static int be_journal(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (strlen(path) >= sizeof address.sun_path) {
                errno = ENAMETOOLONG;
                die("%s", path);
        }
        strcpy(address.sun_path, path);
        unlink(path);
        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
                die("%s", path);
        set_option(fd, SOL_SOCKET, SO_RCVBUF, 8 << 20, "SO_RCVBUF");
        return fd;
}

/* Whether the entry has this line. */
static bool has_line(const char *entry, const char *line)
{
        size_t length = strlen(line);

        for (const char *at = entry; (at = strstr(at, line)); at++)
                if ((at == entry || at[-1] == '\n') && (!at[length] || at[length] == '\n'))
                        return true;
        return false;
}

/* Reads entries until the alert for the port; 0 where it does not come. */
static uint64_t await_alert(int journal, uint16_t port)
{
        static char entry[1 << 16];
        struct pollfd ready = {journal, POLLIN, 0};
        char line[32];

        snprintf(line, sizeof line, "PORTWATCH_PORT=%u", port);
        while (poll(&ready, 1, PATIENCE_MSEC) > 0) {
                ssize_t length = recv(journal, entry, sizeof entry - 1, 0);
                uint64_t now = now_nsec();

                if (length < 0)
                        die("receive");
                for (ssize_t i = 0; i < length; i++)
                        if (!entry[i])
                                entry[i] = ' ';
                entry[length] = '\0';
                if (has_line(entry, "PORTWATCH_EVENT=alert") && has_line(entry, line))
                        return now;
        }
        return 0;
}

static _Noreturn void listen_as(uid_t user, uint16_t port, pid_t parent)
{
        union address address = address_v4(INADDR_LOOPBACK, port);
        int fd;

        if (setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0)
                die("become user %u", user);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(1);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || bind(fd, &address.any, address_length(&address)) < 0)
                die("port %u", port);
        *started_nsec = now_nsec();
        if (listen(fd, 16) < 0)
                die("listen");
        for (;;)
                pause();
}

static uint64_t run_round(int journal, unsigned long i)
{
        uint16_t port = (uint16_t)(FIRST_PORT + i);
        pid_t parent = getpid(), pid = fork();
        uint64_t arrived;

        if (pid < 0)
                die("fork");
        if (pid == 0)
                listen_as((uid_t)(FIRST_USER + i), port, parent);
        arrived = await_alert(journal, port);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return arrived ? arrived - *started_nsec : UINT64_MAX;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

static double usec(uint64_t nsec)
{
        return nsec == UINT64_MAX ? PATIENCE_MSEC * 1e3 : (double)nsec / 1e3;
}

int main(int argc, char **argv)
{
        static uint64_t took[ROUNDS_MAX];
        unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, missed = 0;
        unsigned long pause_usec = argc > 3 ? strtoul(argv[3], NULL, 10) : 1000;
        int journal;

        if (rounds == 0 || rounds > ROUNDS_MAX) {
                fputs("usage: alert-latency SOCKET ROUNDS [PAUSE]\n", stderr);
                return 2;
        }
        started_nsec = mmap(NULL, sizeof *started_nsec, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (started_nsec == MAP_FAILED)
                die("mmap");
        journal = be_journal(argv[1]);
        puts("READY");
        fflush(stdout);
        getchar();
        for (unsigned long i = 0; i < rounds; i++) {
                usleep((unsigned)((unsigned long)random() % (pause_usec + 1)));
                took[i] = run_round(journal, i);
                missed += took[i] == UINT64_MAX;
        }
        qsort(took, rounds, sizeof *took, compare);
        printf("%lu %lu %.0f %.0f %.0f\n", rounds, missed, usec(took[(rounds - 1) / 2]),
               usec(took[(rounds - 1) * 99 / 100]), usec(took[rounds - 1]));
        return 0;
}
