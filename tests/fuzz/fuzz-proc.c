/* SPDX-License-Identifier: MIT */
/* Files of /proc and cgroup paths from any bytes: what comes out is clean, ended, and within its
 * bounds, and a refusal leaves the output untouched. */

#include "daemon/proc.h"

#include <portwatch/text.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
        if (!ok)
                abort();
}

static void check_stat(const char *text, size_t size)
{
        struct pw_proc_stat stat = {.ppid = -1};
        char comm[PW_COMM_MAX];
        int r = pw_proc_stat_parse(text, size, &stat);

        check(r == 0 ? stat.ppid >= 0 : r == -EBADMSG && stat.ppid == -1);
        if (pw_proc_comm_parse(text, size, comm, sizeof comm) == 0)
                check(pw_text_is_clean(comm));
}

static void check_names(const char *path)
{
        struct pw_cgroup_names names;
        char pattern[PW_UNIT_MAX];

        pw_cgroup_names_parse(path, &names);
        check(pw_text_is_clean(names.unit) && pw_text_is_clean(names.user_unit) &&
              pw_text_is_clean(names.container));
        check(names.unit[0] || !names.user_unit[0]);
        check(strlen(pw_unit_pattern(pattern, sizeof pattern, names.unit)) <= strlen(names.unit));
}

static void check_cgroup(const char *text, size_t size)
{
        char path[256];
        int r = pw_proc_cgroup_parse(text, size, path, sizeof path);

        if (r == 0)
                check(path[0] == '/' && strlen(path) < sizeof path && !strchr(path, '\n'));
        else
                check(r == 1 || r == -EBADMSG || r == -E2BIG);
        if (r == 0)
                check_names(path);
}

static void check_links(const char *text, size_t size)
{
        uint32_t inode = 0;
        char again[32];

        pw_proc_ring_line_parse(text, size, &inode);
        if (pw_proc_socket_parse(text, &inode) < 0)
                return;
        snprintf(again, sizeof again, "socket:[%u]", inode);
        check(strlen(again) <= strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        /* Of exactly that size, so that a byte read behind it is noticed; ended, where it must. */
        _cleanup_(pw_freep) char *bytes = malloc(size ? size : 1), *text = malloc(size + 1);

        check(bytes && text);
        if (size > 0) {
                memcpy(bytes, data, size);
                memcpy(text, data, size);
        }
        text[size] = '\0';
        check_stat(bytes, size);
        check_cgroup(bytes, size);
        check_names(text);
        check_links(text, strlen(text));
        return 0;
}
