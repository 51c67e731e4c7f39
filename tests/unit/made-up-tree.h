/* SPDX-License-Identifier: MIT */
#pragma once

/* A directory of its own for a test, and files in it: made-up trees such as /proc. */

#include <portwatch/base.h>

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/test-tree-XXXXXX";
static int top_fd;

_unused_ static void make_dirs(const char *path)
{
        char part[512];

        for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
                snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
                if (mkdirat(top_fd, part, 0755) < 0)
                        assert_int_equal(errno, EEXIST);
        }
}

_unused_ static _printf_(3, 4) void put(const char *path, size_t length, const char *format, ...)
{
        char text[8192];
        va_list args;
        int fd;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        make_dirs(path);
        fd = openat(top_fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        assert_true(fd >= 0);
        length = length ? length : strlen(text);
        assert_int_equal(write(fd, text, length), length);
        close(fd);
}

_unused_ static void put_link(const char *path, const char *target)
{
        make_dirs(path);
        unlinkat(top_fd, path, 0);
        assert_int_equal(symlinkat(target, top_fd, path), 0);
}

_unused_ static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

_unused_ static void remove_tree(const char *name)
{
        char path[512];

        snprintf(path, sizeof path, "%s/%s", top, name);
        nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

_unused_ static int open_dir(const char *name)
{
        int fd;

        mkdirat(top_fd, name, 0755);
        fd = openat(top_fd, name, O_RDONLY | O_DIRECTORY);
        assert_true(fd >= 0);
        return fd;
}

_unused_ static int make_top(void **state)
{
        (void)state;
        if (!mkdtemp(top) || chmod(top, 0755) < 0)
                return -1;
        top_fd = open(top, O_RDONLY | O_DIRECTORY);
        return top_fd < 0 ? -1 : 0;
}

_unused_ static int remove_top(void **state)
{
        (void)state;
        close(top_fd);
        return rmdir(top);
}

/* Each test with the set_up() and tear_down() of its file. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
