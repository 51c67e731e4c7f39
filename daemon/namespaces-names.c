/* SPDX-License-Identifier: MIT */
/* /run/netns, kept in memory until its directory changes. Its time of change is believed only once
 * it is a while ago: a name is made in two steps, the file and then the mount, and the second does
 * not show in it. The inode alone tells which namespace it is: only root writes there. */

#include "daemon/namespaces-names.h"

#include <portwatch/text.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 4096
#define SETTLED_USEC PW_USEC_PER_SEC

static void clear(struct pw_netns_names *names)
{
        for (size_t i = 0; i < names->n; i++)
                free(names->items[i].text);
        names->n = 0;
}

void pw_netns_names_done(struct pw_netns_names *names)
{
        clear(names);
        free(names->items);
        *names = (struct pw_netns_names){0};
}

static int compare_names(const void *a, const void *b)
{
        const struct pw_netns_name *x = a, *y = b;

        if (x->inode != y->inode)
                return x->inode < y->inode ? -1 : 1;
        return strcmp(x->text, y->text);
}

static int open_directory(int proc_fd)
{
        int fd = openat(proc_fd, "1/root/run/netns", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd >= 0 ? fd : open("/run/netns", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static uint64_t changed_nsec(const struct stat *st)
{
        return (uint64_t)st->st_mtim.tv_sec * 1000000000ULL + (uint64_t)st->st_mtim.tv_nsec;
}

static bool is_current(const struct pw_netns_names *names, const struct stat *st)
{
        return names->device == st->st_dev && names->inode == st->st_ino &&
               names->changed_nsec == changed_nsec(st) &&
               names->read_usec >= names->changed_nsec / 1000 + SETTLED_USEC;
}

static int add_name(struct pw_netns_names *names, uint64_t inode, const char *name)
{
        char *text;

        if (pw_array_reserve(&names->items, &names->capacity, names->n + 1, sizeof *names->items) <
            0)
                return -ENOMEM;
        text = pw_text_clean_dup(name, strlen(name), NAME_MAX);
        if (!text)
                return -ENOMEM;
        names->items[names->n++] = (struct pw_netns_name){inode, text};
        return 0;
}

static int read_directory(struct pw_netns_names *names, DIR *directory)
{
        struct dirent *entry;

        while (names->n < NAMES_MAX && (entry = readdir(directory))) {
                struct stat st;

                if (entry->d_name[0] == '.' ||
                    fstatat(dirfd(directory), entry->d_name, &st, AT_NO_AUTOMOUNT) < 0)
                        continue;
                if (add_name(names, st.st_ino, entry->d_name) < 0)
                        return -ENOMEM;
        }
        if (names->n > 0)
                qsort(names->items, names->n, sizeof *names->items, compare_names);
        return 0;
}

int pw_netns_names_refresh(struct pw_netns_names *names, int proc_fd)
{
        _cleanup_(pw_closep) int fd = open_directory(proc_fd);
        struct stat st;
        DIR *directory;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0) {
                clear(names);
                names->inode = 0;
                return 0;
        }
        if (is_current(names, &st))
                return 0;
        clear(names);
        names->inode = 0; /* not read until it was read whole */
        names->read_usec = pw_now_realtime();
        directory = fdopendir(fd);
        if (!directory)
                return -ENOMEM;
        PW_TAKE_FD(fd);
        r = read_directory(names, directory);
        closedir(directory);
        if (r < 0)
                return r;
        names->device = st.st_dev;
        names->inode = st.st_ino;
        names->changed_nsec = changed_nsec(&st);
        return 0;
}

const char *pw_netns_names_find(const struct pw_netns_names *names, uint64_t inode)
{
        size_t low = 0, high = names->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (names->items[middle].inode < inode)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < names->n && names->items[low].inode == inode ? names->items[low].text : NULL;
}
