/* SPDX-License-Identifier: MIT */
/* Readers by /proc/locks: SQLite's readers hold POSIX locks on the -shm file
 * (sqlite.org/walformat.html), and the kernel lists these with the holder's pid and the file's
 * device and inode.
 *
 * The device is the file system's own, which stat(2) does not tell everywhere (overlayfs, btrfs).
 * But SQLite holds a lock on the file for us, too: the device in our own line is the right one. */

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

struct lock {
        pid_t pid;
        dev_t device;
        ino_t inode;
};

/* `1: POSIX  ADVISORY  READ 4711 fe:00:393275 124 124`; where one waits, `->` is behind the 1. */
static bool parse_line(const char *line, struct lock *ret)
{
        unsigned device_major, device_minor;
        unsigned long long inode;
        int pid;

        if (sscanf(line, "%*u: POSIX %*s %*s %d %x:%x:%llu", &pid, &device_major, &device_minor,
                   &inode) != 4 ||
            pid <= 0)
                return false;
        *ret = (struct lock){pid, makedev(device_major, device_minor), inode};
        return true;
}

/* The next POSIX lock on a file with this inode number, from *text on. */
static bool next_lock(const char **text, ino_t inode, struct lock *ret)
{
        bool found = false;

        while (**text && !found) {
                found = parse_line(*text, ret) && ret->inode == inode;
                *text += strcspn(*text, "\n");
                *text += **text == '\n';
        }
        return found;
}

/* The device of the file of ours with this inode number. */
static dev_t own_device(const char *text, ino_t inode, pid_t self, dev_t otherwise)
{
        struct lock lock;

        while (next_lock(&text, inode, &lock))
                if (lock.pid == self)
                        return lock.device;
        return otherwise;
}

size_t pw_readers_parse(const char *text, dev_t device, ino_t inode, pid_t self, pid_t *ret_pids,
                        size_t max)
{
        struct lock lock;
        size_t n = 0;

        device = own_device(text, inode, self, device);
        while (n < max && next_lock(&text, inode, &lock))
                if (lock.device == device && lock.pid != self && !is_there(ret_pids, n, lock.pid))
                        ret_pids[n++] = lock.pid;
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
