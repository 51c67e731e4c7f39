/* SPDX-License-Identifier: MIT */
#pragma once

/* What every file needs: clean-up attributes, growing arrays, clocks, directory-based reading.
 *
 * Return values, everywhere in portwatch: a negative errno is fatal to the call and is forwarded
 * unchanged; 0 is done; a positive value is an expected outcome that the function documents.
 * Output parameters (`ret_…`) are untouched on failure. Nothing here logs or exits. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PW_USEC_PER_MSEC 1000ULL
#define PW_USEC_PER_SEC 1000000ULL
#define PW_USEC_PER_MINUTE (60 * PW_USEC_PER_SEC)
#define PW_USEC_PER_HOUR (60 * PW_USEC_PER_MINUTE)
#define PW_USEC_PER_DAY (24 * PW_USEC_PER_HOUR)
#define PW_USEC_INFINITY UINT64_MAX

#define PW_ELEMENTS(array) (sizeof(array) / sizeof(*(array)))
#define PW_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PW_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Runs a destructor when the variable leaves its scope: `_cleanup_(pw_freep) char *p = NULL;` */
#define _cleanup_(function) __attribute__((cleanup(function)))
#define _printf_(position, first) __attribute__((format(printf, position, first)))
#define _unused_ __attribute__((unused))

/* Hands a pointer (or descriptor) on and leaves nothing behind for the destructor. */
#define PW_TAKE_PTR(pointer)                                                                       \
        ({                                                                                         \
                __typeof__(pointer) taken_ = (pointer);                                            \
                (pointer) = NULL;                                                                  \
                taken_;                                                                            \
        })
#define PW_TAKE_FD(fd)                                                                             \
        ({                                                                                         \
                int taken_ = (fd);                                                                 \
                (fd) = -EBADF;                                                                     \
                taken_;                                                                            \
        })

/* Defines `void pw_Xp(TYPE *)`, for _cleanup_, from a destructor that accepts NULL. */
#define PW_DEFINE_CLEANUP(type, function)                                                          \
        static inline void function##p(type *pointer)                                              \
        {                                                                                          \
                function(*pointer);                                                                \
        }

static inline void pw_freep(void *pointer)
{
        free(*(void **)pointer);
}

static inline void pw_fclosep(FILE **file)
{
        if (*file)
                fclose(*file);
}

/* Closes *fd where it is >= 0, and keeps errno. */
void pw_closep(int *fd);

/* Ensures room for `needed` items of `item_size` bytes in the array at *array (a pointer to the
 * array's pointer), which has room for *capacity. Grows by doubling; new items are not cleared.
 * Returns 0 or -ENOMEM (the array is then as before). */
int pw_array_reserve(void *array, size_t *capacity, size_t needed, size_t item_size);

/* Microseconds since 1970 (CLOCK_REALTIME): for what people read. */
uint64_t pw_now_realtime(void);

/* Microseconds since boot, suspend included (CLOCK_BOOTTIME): for durations and time-outs. */
uint64_t pw_now_boottime(void);

/* CPU time of this thread in nanoseconds (CLOCK_THREAD_CPUTIME_ID). */
uint64_t pw_now_cpu_nsec(void);

/* Reads a whole small file, relative to `dir_fd`, into `buffer` and ends it with a NUL that the
 * returned length does not count. Returns the length, or -errno; -E2BIG when the file has more
 * than `size - 1` bytes (the buffer then holds the first ones). For /proc and /sys files. */
ssize_t pw_read_file(int dir_fd, const char *path, char *buffer, size_t size);

/* Writes `data` to `path` in `dir_fd` so that a reader sees the old or the new content, never a
 * part: temporary file with `mode` (exact: the umask is not applied), rename; with `sync` also
 * fsync of file and directory. Returns 0 or -errno. */
int pw_write_file_atomic(int dir_fd, const char *path, const char *data, size_t size, unsigned mode,
                         bool sync);
