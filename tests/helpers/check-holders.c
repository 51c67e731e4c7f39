/* SPDX-License-Identifier: MIT */
/* Checks the kernel's list of holders where there are more of them, or larger tables, than it gives
 * or looks at in one go: every descriptor is told, and told once. Exit status 1 when a check
 * failed, 77 where there is no list. Needs root and a network namespace of its own. */

#include "tests/helpers/check.h"
#include "tests/helpers/engine.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define COPIES 2605 /* several times what the list gives at once */
#define CROWD 200   /* processes, each with … */
#define FEW 16      /* … descriptors: the room for rows ends between two processes */
#define THREADS 4
#define PID_MAX (1 << 22)

/* Each scene has its own, for the last process of one may end after the next one began. */
enum { PORT_TABLES = PORT, PORT_THREAD, PORT_CROWD, PORT_LEADERLESS };

static const struct kind tcp = {SOCK_STREAM, "127.0.0.1", 0};
static struct pw_engine *engine;
static int ready; /* closed by all who play once they hold what they should */

/* ---- playing ---- */

static _Noreturn void wait_for_end(void)
{
        for (;;)
                pause();
}

/* Starts a process that plays the scene, and returns once it does. */
static pid_t play(void (*scene)(void))
{
        int ends[2];
        char byte;
        pid_t pid;

        if (pipe(ends) < 0)
                fail("pipe");
        pid = fork();
        if (pid < 0)
                fail("fork");
        if (pid == 0) {
                close(ends[0]);
                ready = ends[1];
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                scene();
                close(ready);
                wait_for_end();
        }
        close(ends[1]);
        while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
                ;
        close(ends[0]);
        return pid;
}

static void end(pid_t pid)
{
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

/* ---- what is told ---- */

struct told {
        uint16_t port;
        unsigned rows, pids; /* pids: different ones */
        struct pw_engine_row last;
        uint8_t seen[PID_MAX / 8];
};

static int on_row(void *userdata, const struct pw_engine_row *row)
{
        struct told *told = userdata;
        uint8_t bit = (uint8_t)(1 << row->pid % 8), *seen = &told->seen[row->pid % PID_MAX / 8];

        if (row->socket.endpoint.port != told->port)
                return 0;
        told->rows++;
        told->pids += !(*seen & bit);
        *seen |= bit;
        told->last = *row;
        return 0;
}

static const struct told *list(uint16_t port)
{
        static struct told told;

        told = (struct told){.port = port};
        if (pw_engine_holders(engine, on_row, &told) != 0)
                told.rows = 0;
        return &told;
}

/* ---- scenes ---- */

static pthread_barrier_t barrier;

static void *hold_in_own_table(void *arg)
{
        (void)arg;
        if (unshare(CLONE_FILES) < 0)
                fail("unshare");
        open_kind(&tcp, PORT_THREAD);
        close(ready);
        pthread_barrier_wait(&barrier);
        wait_for_end();
}

/* At both sides of where a word of the kernel's map of descriptors ends, far behind, more than the
 * list gives at once, and after more descriptors than are looked at in one go. */
static void play_tables(void)
{
        static const struct {
                int first, last;
                bool other; /* no socket */
        } copies[] = {{63, 64, false},
                      {200, 2799, false},
                      {5000, 5000, false},
                      {6000, 14999, true},
                      {15000, 15000, false}};
        struct rlimit limit = {16384, 16384};
        int null = open("/dev/null", O_RDONLY);
        pthread_t thread;
        int fd;

        pthread_barrier_init(&barrier, NULL, 2);
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0 ||
            pthread_create(&thread, NULL, hold_in_own_table, NULL) != 0)
                fail("pthread_create");
        pthread_barrier_wait(&barrier);
        fd = open_kind(&tcp, PORT_TABLES).fd;
        for (unsigned i = 0; i < PW_ELEMENTS(copies); i++)
                for (int copy = copies[i].first; copy <= copies[i].last; copy++)
                        if (dup2(copies[i].other ? null : fd, copy) < 0)
                                fail("dup2");
}

static void check_tables(void)
{
        pid_t pid = play(play_tables);
        const struct told *told = list(PORT_TABLES);

        check(told->rows == COPIES && told->pids == 1 && told->last.pid == pid,
              "all %d descriptors of a listener, wherever they are in its table: %u", COPIES,
              told->rows);
        told = list(PORT_THREAD);
        check(told->rows == 1 && told->last.pid == pid,
              "that of a thread with a table of its own, with its process");
        end(pid);
}

/* Where there is no room left, the list has to go on with descriptor 0. */
static void play_crowd(void)
{
        int fd = fcntl(open_kind(&tcp, PORT_CROWD).fd, F_DUPFD, FEW);

        for (unsigned i = 0; i < CROWD; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        fail("fork");
                if (pid > 0)
                        continue;
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (int copy = 0; copy < FEW; copy++)
                        if (dup2(fd, copy) < 0)
                                _exit(1);
                close_range(FEW, ~0u, 0);
                wait_for_end();
        }
        close_range(3, (unsigned)ready - 1, 0);
        close_range((unsigned)ready + 1, ~0u, 0);
}

static void check_crowd(void)
{
        pid_t pid = play(play_crowd);
        const struct told *told = list(PORT_CROWD);

        check(told->rows == CROWD * FEW && told->pids == CROWD,
              "all descriptors of %d processes, from number 0 on: %u of %u processes", CROWD,
              told->rows, told->pids);
        end(pid);
}

static void *live_on(void *arg)
{
        (void)arg;
        pthread_barrier_wait(&barrier);
        wait_for_end();
}

static void play_leaderless(void)
{
        pthread_t thread;

        open_kind(&tcp, PORT_LEADERLESS);
        pthread_barrier_init(&barrier, NULL, THREADS + 1);
        for (unsigned i = 0; i < THREADS; i++)
                if (pthread_create(&thread, NULL, live_on, NULL) != 0)
                        fail("pthread_create");
        pthread_barrier_wait(&barrier);
        close(ready);
        pthread_exit(NULL);
}

/* Its first thread is a zombie, soon after it said that it is ready. */
static bool has_no_leader(pid_t pid)
{
        char path[64], text[128] = "", *state;

        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        for (unsigned i = 0; i < 1000; i++, usleep(1000)) {
                _cleanup_(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

                if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
                        return false;
                state = strrchr(text, ')');
                if (state && state[2] == 'Z')
                        return true;
        }
        return false;
}

static void check_leaderless(void)
{
        pid_t pid = play(play_leaderless);
        bool leaderless = has_no_leader(pid);

        for (unsigned i = 0; i < 2; i++) { /* the second list knows nothing of the first one */
                const struct told *told = list(PORT_LEADERLESS);

                check(leaderless && told->rows == 1 && told->last.pid == pid,
                      "a process whose first thread has ended, once: %u", told->rows);
        }
        end(pid);
}

int main(void)
{
        setvbuf(stdout, NULL, _IOLBF, 0);
        engine = open_engine(1u << PW_ENGINE_HOLDERS, 0, NULL);
        if (!pw_engine_works(engine, PW_ENGINE_HOLDERS)) {
                printf("skipped: %s\n", pw_engine_missing(engine, PW_ENGINE_HOLDERS));
                return 77;
        }
        check_tables();
        check_crowd();
        check_leaderless();
        pw_engine_close(engine);
        return checks_done();
}
