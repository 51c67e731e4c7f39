/* SPDX-License-Identifier: MIT */
#pragma once

/* Opening an engine, for the checks of it. */

#include "daemon/engine.h"

#include <fcntl.h>
#include <unistd.h>

#define TINY_RING 4096
#define ALL_PARTS (PW_ENGINE_EVENTS | PW_ENGINE_LISTS)

/* The root of cgroup2, on hybrid hosts, too; -1: there is none. */
static inline int open_cgroup_root(void)
{
        static const char *const roots[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};

        for (size_t i = 0; i < PW_ELEMENTS(roots); i++) {
                int fd = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                if (fd >= 0 && faccessat(fd, "cgroup.procs", F_OK, 0) == 0)
                        return fd;
                if (fd >= 0)
                        close(fd);
        }
        return -1;
}

static inline struct pw_engine *open_engine(unsigned parts, size_t ring_size, const char *refuse)
{
        _cleanup_(pw_closep) int cgroup_fd = open_cgroup_root();
        struct pw_engine_options options = {
            .parts = parts,
            .cgroup_fd = cgroup_fd,
            .ring_size = ring_size,
            .refuse = refuse,
        };
        struct pw_engine *opened;

        if (pw_engine_open(&options, &opened) < 0) {
                perror("pw_engine_open");
                exit(1);
        }
        return opened;
}
