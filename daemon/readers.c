/* SPDX-License-Identifier: MIT */
/* Readers by /proc/locks: SQLite's readers hold POSIX locks on the -shm file (sqlite.org/walformat.html),
 * and the kernel lists these with the holder's pid and the file's inode. */

#include "daemon/readers.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LOCKS_BYTES (256 << 10)

static bool is_there(const pid_t *pids, size_t n, pid_t pid)
{
        for (size_t i = 0; i < n; i++)
                if (pids[i] == pid)
                        return true;
        return false;
}

/* `1: POSIX  ADVISORY  READ 4711 fe:00:393275 124 124`; a blocked lock has `->` behind the number. */
static bool parse_line(const char *line, dev_t device, ino_t inode, pid_t *ret_pid)
{
        unsigned device_major, device_minor;
        unsigned long long line_inode;
        int pid;

        if (sscanf(line, "%*u: POSIX %*s %*s %d %x:%x:%llu", &pid, &device_major, &device_minor,
                   &line_inode) != 4)
                return false;
        if (pid <= 0 || line_inode != inode || device_major != major(device) ||
            device_minor != minor(device))
                return false;
        *ret_pid = pid;
        return true;
}

size_t pw_readers_parse(const char *text, dev_t device, ino_t inode, pid_t self, pid_t *ret_pids,
                        size_t max)
{
        size_t n = 0;

        while (*text && n < max) {
                pid_t pid;

                if (parse_line(text, device, inode, &pid) && pid != self &&
                    !is_there(ret_pids, n, pid))
                        ret_pids[n++] = pid;
                text += strcspn(text, "\n");
                text += *text == '\n';
        }
        return n;
}

size_t pw_readers_find(int proc_fd, int dir_fd, const char *file, pid_t *ret_pids, size_t max)
{
        _cleanup_(pw_freep) char *text = malloc(LOCKS_BYTES);
        struct stat stat;
        ssize_t r;

        if (!text || fstatat(dir_fd, file, &stat, 0) < 0)
                return 0;
        r = pw_read_file(proc_fd, "locks", text, LOCKS_BYTES);
        if (r < 0 && r != -E2BIG) /* cut: those that are in it */
                return 0;
        return pw_readers_parse(text, stat.st_dev, stat.st_ino, getpid(), ret_pids, max);
}
