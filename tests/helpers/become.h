/* SPDX-License-Identifier: MIT */
#pragma once

/* How a fixture becomes another program: it starts itself again as a copy, as a file in memory, or
 * as a file that only its mount namespace shows, with the same words on the command line. */

#include "tests/helpers/sockets.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

/* Set once the program runs as what its options ask for. */
#define STAGE_VARIABLE "OPEN_SOCKETS_STAGE"

enum run_as { RUN_AS_IS, RUN_AS_COPY, RUN_AS_DELETED, RUN_AS_MEMFD, RUN_AS_MOUNTED };

struct process_options {
        char *name, *argv, *path;
        enum run_as run_as;
        unsigned alarm;
};

static inline void copy_self(int to)
{
        _cleanup_(pw_closep) int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        struct stat status;

        if (self < 0 || fstat(self, &status) < 0 ||
            sendfile(to, self, NULL, (size_t)status.st_size) != status.st_size)
                die("copy the program");
}

static inline void copy_self_to(const char *path)
{
        int fd;

        unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
        if (fd < 0)
                die("%s", path);
        copy_self(fd);
        fchmod(fd, 0755);
        close(fd);
}

static inline void mount_self_over(const char *path)
{
        char self[4096];
        ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

        if (length < 0)
                die("find the program");
        self[length] = '\0';
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(self, path, NULL, MS_BIND, NULL) < 0)
                die("mount over %s", path);
}

/* Starts again as what the options ask for; the same words follow. */
static inline void become(const struct process_options *options, char **argv)
{
        if (options->argv)
                argv[0] = options->argv;
        setenv(STAGE_VARIABLE, "2", 1);
        switch (options->run_as) {
        case RUN_AS_MEMFD: {
                int fd = memfd_create("program", MFD_CLOEXEC);

                if (fd < 0)
                        die("memfd_create");
                copy_self(fd);
                fexecve(fd, argv, environ);
                break;
        }
        case RUN_AS_COPY:
        case RUN_AS_DELETED:
                copy_self_to(options->path);
                execv(options->path, argv);
                break;
        case RUN_AS_MOUNTED:
                mount_self_over(options->path);
                execv(options->path, argv);
                break;
        case RUN_AS_IS:
                execv("/proc/self/exe", argv);
                break;
        }
        die("start again");
}
