/* SPDX-License-Identifier: MIT */
/* Clocks, growing arrays, small files. */

#include <portwatch/base.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void pw_closep(int *fd)
{
        int saved = errno;

        if (*fd >= 0)
                close(*fd);
        errno = saved;
}

int pw_array_reserve(void *array, size_t *capacity, size_t needed, size_t item_size)
{
        void **items = array;
        size_t wanted = PW_MAX(*capacity, (size_t)8);
        void *grown;

        if (needed <= *capacity)
                return 0;
        while (wanted < needed) {
                if (wanted > SIZE_MAX / 2)
                        return -ENOMEM;
                wanted *= 2;
        }
        grown = reallocarray(*items, wanted, item_size);
        if (!grown)
                return -ENOMEM;
        *items = grown;
        *capacity = wanted;
        return 0;
}

static uint64_t now_usec(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * PW_USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

uint64_t pw_now_realtime(void)
{
        return now_usec(CLOCK_REALTIME);
}

uint64_t pw_now_boottime(void)
{
        return now_usec(CLOCK_BOOTTIME);
}

uint64_t pw_now_cpu_nsec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

ssize_t pw_read_file(int dir_fd, const char *path, char *buffer, size_t size)
{
        _cleanup_(pw_closep) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        size_t length = 0;

        if (fd < 0)
                return -errno;
        while (length < size) {
                ssize_t n = read(fd, buffer + length, size - length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0) {
                        buffer[length] = '\0';
                        return (ssize_t)length;
                }
                length += (size_t)n;
        }
        buffer[size - 1] = '\0';
        return -E2BIG;
}

static int write_all(int fd, const char *data, size_t size)
{
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t)n;
        }
        return 0;
}

static int write_temporary(int dir_fd, const char *name, const char *data, size_t size,
                           unsigned mode, bool sync)
{
        _cleanup_(pw_closep) int fd =
            openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        int r;

        if (fd < 0)
                return -errno;
        r = write_all(fd, data, size);
        if (r < 0)
                return r;
        if (fchmod(fd, mode) < 0)
                return -errno;
        if (sync && fsync(fd) < 0)
                return -errno;
        return 0;
}

int pw_write_file_atomic(int dir_fd, const char *path, const char *data, size_t size, unsigned mode,
                         bool sync)
{
        char temporary[4096];
        int r;

        /* The pid keeps two writers apart; what a killed one left under that name is removed. */
        r = snprintf(temporary, sizeof temporary, "%s.%d.tmp", path, (int)getpid());
        if (r < 0 || (size_t)r >= sizeof temporary)
                return -ENAMETOOLONG;
        unlinkat(dir_fd, temporary, 0);
        r = write_temporary(dir_fd, temporary, data, size, mode, sync);
        if (r == 0 && renameat(dir_fd, temporary, dir_fd, path) < 0)
                r = -errno;
        if (r < 0) {
                unlinkat(dir_fd, temporary, 0);
                return r;
        }
        /* The rename itself lasts only when the directory is written, too. */
        if (sync && path[0] != '/') {
                _cleanup_(pw_closep) int dir =
                    openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                if (dir < 0 || fsync(dir) < 0)
                        return -errno;
        }
        return 0;
}
