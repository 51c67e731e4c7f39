/* SPDX-License-Identifier: MIT */
#pragma once

/* The programs that check-attribution looks at: copies of itself that hold a socket, from files
 * that it installs, and processes with many descriptors. */

#include "tests/helpers/check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char directory[256]; /* where they are installed */

/* The part of the program that is started: listens, tells the inode, waits for its end. */
static inline int hold(int report, bool undumpable)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct stat st;
        uint32_t inode;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (undumpable)
                prctl(PR_SET_DUMPABLE, 0);
        if (fd < 0 || listen(fd, 1) < 0 || fstat(fd, &st) < 0)
                fail("listen");
        inode = (uint32_t)st.st_ino;
        if (write(report, &inode, sizeof inode) != sizeof inode)
                fail("report");
        for (;;)
                pause();
}

static inline char *in_directory(const char *name)
{
        static char paths[4][512];
        static unsigned i;
        char *path = paths[++i % PW_ELEMENTS(paths)];

        snprintf(path, sizeof paths[0], "%s/%s", directory, name);
        return path;
}

static inline void copy_self(int to)
{
        int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        struct stat st;

        if (self < 0 || fstat(self, &st) < 0 ||
            sendfile(to, self, NULL, (size_t)st.st_size) != st.st_size || fchmod(to, 0755) < 0)
                fail("copy the program");
        close(self);
}

/* Puts a copy of this program at the path, by rename, as a package manager does. */
static inline void install_at(const char *path, uid_t owner)
{
        char fresh[512];
        int fd;

        snprintf(fresh, sizeof fresh, "%s.new", path);
        fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
        if (fd < 0)
                fail(fresh);
        copy_self(fd);
        if (fchown(fd, owner, owner) < 0 || rename(fresh, path) < 0)
                fail(path);
        close(fd);
}

static inline void install(const char *name)
{
        install_at(in_directory(name), 0);
}

struct living {
        pid_t pid;
        struct pw_socket socket;
};

/* Starts `path`, NULL: a file in memory. `prepare` runs in the child before. */
static inline struct living start(const char *path, void (*prepare)(void), const char *mode)
{
        struct living living = {0};
        int ends[2], memory = path ? -1 : memfd_create("a\nb", MFD_CLOEXEC);
        char report[16];

        if (pipe(ends) < 0)
                fail("pipe");
        living.pid = fork();
        if (living.pid == 0) {
                char *const argv[] = {(char[]){"holder"}, (char *)(uintptr_t)mode, report, NULL};

                snprintf(report, sizeof report, "%d", ends[1]);
                if (prepare)
                        prepare();
                if (path)
                        execv(path, argv);
                copy_self(memory);
                fexecve(memory, argv, environ);
                fail("start");
        }
        close(ends[1]);
        if (read(ends[0], &living.socket.inode, sizeof living.socket.inode) !=
            sizeof living.socket.inode)
                fail("a program that holds a socket");
        close(ends[0]);
        if (memory >= 0)
                close(memory);
        return living;
}

static inline void stop(struct living *living)
{
        kill(living->pid, SIGKILL);
        waitpid(living->pid, NULL, 0);
}

/* A process with `n` descriptors, of which the last is `fd`. */
static inline pid_t crowd(int fd, int n)
{
        struct rlimit limit = {(rlim_t)n, (rlim_t)n};
        int ends[2];
        char byte;
        pid_t pid;

        if (pipe(ends) < 0)
                fail("pipe");
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                        fail("limit of descriptors");
                for (int i = 0; i < n - 1; i++)
                        if (i != fd && i != ends[1] && dup2(ends[0], i) < 0)
                                fail("many descriptors");
                if (dup2(fd, n - 1) < 0 || close(fd) < 0 || write(ends[1], "", 1) != 1)
                        fail("a crowd");
                for (;;)
                        pause();
        }
        close(ends[1]);
        if (read(ends[0], &byte, 1) != 1)
                fail("a crowd");
        close(ends[0]);
        return pid;
}
