/* SPDX-License-Identifier: MIT */
/* What the files of one process say: bytes in, values out. A process chooses its comm freely, with
 * parentheses, blanks and newlines, so it ends at the last ')'; and a ring's fdinfo names the
 * paths of files, so that only what the kernel itself calls a socket is one. */

#include "daemon/proc.h"

#include <portwatch/text.h>

/* PF_KTHREAD of the kernel's linux/sched.h, as /proc/PID/stat shows it. */
#define KERNEL_THREAD_FLAG 0x00200000

/* Fields as numbered in proc_pid_stat(5). */
#define STAT_STATE 3
#define STAT_PPID 4
#define STAT_FLAGS 9
#define STAT_STARTED 22

/* Reads an unsigned decimal number; returns the bytes used, 0 where there is none or it is too
 * large. */
static size_t read_number(const char *text, size_t length, uint64_t *ret)
{
        uint64_t number = 0;
        size_t i;

        for (i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
                if (__builtin_mul_overflow(number, 10, &number) ||
                    __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number))
                        return 0;
        *ret = number;
        return i;
}

int pw_proc_stat_parse(const char *text, size_t length, struct pw_proc_stat *ret)
{
        const char *end = text + length, *at = memrchr(text, ')', length);
        uint64_t numbers[STAT_STARTED + 1] = {0};

        if (!at)
                return -EBADMSG;
        at++;
        for (unsigned field = STAT_STATE; field <= STAT_STARTED; field++) {
                bool wanted = field == STAT_PPID || field == STAT_FLAGS || field == STAT_STARTED;

                if (at == end || *at++ != ' ')
                        return -EBADMSG;
                if (read_number(at, (size_t)(end - at), &numbers[field]) == 0 && wanted)
                        return -EBADMSG;
                at = memchr(at, ' ', (size_t)(end - at));
                if (!at)
                        at = end;
        }
        if (numbers[STAT_PPID] > INT32_MAX)
                return -EBADMSG;
        ret->ppid = (int)numbers[STAT_PPID];
        ret->started = numbers[STAT_STARTED];
        ret->kernel_thread = numbers[STAT_FLAGS] & KERNEL_THREAD_FLAG;
        return 0;
}

int pw_proc_comm_parse(const char *text, size_t length, char *buffer, size_t size)
{
        const char *begin = memchr(text, '(', length), *end = memrchr(text, ')', length);

        if (!begin || !end || end < begin)
                return -EBADMSG;
        pw_text_clean(buffer, size, begin + 1, (size_t)(end - begin - 1));
        return 0;
}

/* How long "9:name=systemd:" is at the begin of the line, 0 where it is another. */
static size_t systemd_prefix(const char *line, size_t length)
{
        static const char name[] = ":name=systemd:";
        uint64_t number;
        size_t digits = read_number(line, length, &number), prefix = digits + strlen(name);

        if (digits == 0 || length < prefix || memcmp(line + digits, name, strlen(name)) != 0)
                return 0;
        return prefix;
}

int pw_proc_cgroup_parse(const char *text, size_t length, char *ret_path, size_t size)
{
        const char *path = NULL;
        size_t path_length = 0;

        /* A host that keeps its units in the old hierarchy leaves everything in the root of the
         * new one: there the old one's path says more. */
        while (length > 0) {
                const char *newline = memchr(text, '\n', length);
                size_t line = newline ? (size_t)(newline - text) : length, prefix;
                bool unified = line >= 3 && memcmp(text, "0::", 3) == 0;

                prefix = unified ? 3 : systemd_prefix(text, line);
                if (prefix > 0 && (!path || (unified ? line - prefix > 1 : path_length <= 1))) {
                        path = text + prefix;
                        path_length = line - prefix;
                }
                line += newline ? 1 : 0;
                text += line;
                length -= line;
        }
        if (!path)
                return 1;
        if (path_length == 0 || path[0] != '/' || memchr(path, '\0', path_length))
                return -EBADMSG;
        if (path_length >= size)
                return -E2BIG;
        memcpy(ret_path, path, path_length);
        ret_path[path_length] = '\0';
        return 0;
}

/* "socket:[4711]", with nothing behind it. */
static int parse_socket(const char *text, size_t length, uint32_t *ret_inode)
{
        static const char prefix[] = "socket:[";
        uint64_t inode;
        size_t used;

        if (length < sizeof prefix || memcmp(text, prefix, sizeof prefix - 1) != 0)
                return -EINVAL;
        text += sizeof prefix - 1;
        length -= sizeof prefix - 1;
        used = read_number(text, length, &inode);
        if (used == 0 || used + 1 != length || text[used] != ']' || inode > UINT32_MAX)
                return -EINVAL;
        *ret_inode = (uint32_t)inode;
        return 0;
}

int pw_proc_socket_parse(const char *link, uint32_t *ret_inode)
{
        return parse_socket(link, strlen(link), ret_inode);
}

int pw_proc_ring_line_parse(const char *line, size_t length, uint32_t *ret_inode)
{
        uint64_t slot;
        size_t blanks = 0, digits;

        while (blanks < length && line[blanks] == ' ')
                blanks++;
        digits = read_number(line + blanks, length - blanks, &slot);
        line += blanks + digits;
        length -= blanks + digits;
        if (digits == 0 || length < 2 || memcmp(line, ": ", 2) != 0)
                return -EINVAL;
        length -= line[length - 1] == '\n';
        return parse_socket(line + 2, length - 2, ret_inode);
}
