/* SPDX-License-Identifier: MIT */
/* Control groups: from ids to paths. The kernel opens a cgroup by its id (as a file handle) for who
 * may read everything; others find it by a walk over the tree, one for all the ids. */

#include "daemon/cgroup.h"
#include "daemon/attribution.h"

#include <portwatch/paths.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HANDLE_TYPE_KERNFS 0xfe /* FILEID_KERNFS, linux/exportfs.h: the handle is the id */
#define DEPTH_MAX 64            /* deeper cgroups than this are not looked for */

/* The path of an open file, as the kernel shows it to us. 0 or -errno. */
static int fd_path(int fd, char *buffer, size_t size)
{
        char name[48];
        ssize_t length;

        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        length = readlink(name, buffer, size - 1);
        if (length < 0)
                return -errno;
        buffer[length] = '\0';
        return 0;
}

/* 0 (with NULL where there is no such cgroup, or it is not below the root), or -errno where this
 * way is not permitted. */
static int path_by_handle(int cgroup_fd, const char *root, uint64_t id, char **ret)
{
        union {
                struct file_handle handle;
                char space[sizeof(struct file_handle) + sizeof id];
        } u = {.handle = {.handle_bytes = sizeof id, .handle_type = HANDLE_TYPE_KERNFS}};
        _cleanup_(pw_closep) int fd = -EBADF;
        char path[PATH_MAX];
        size_t length = strlen(root);

        memcpy(u.space + offsetof(struct file_handle, f_handle), &id, sizeof id);
        *ret = NULL;
        fd = open_by_handle_at(cgroup_fd, &u.handle, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return errno == ESTALE ? 0 : -errno;
        if (fd_path(fd, path, sizeof path) < 0 || strncmp(path, root, length) != 0 ||
            path[length] != '/')
                return 0;
        *ret = strdup(path + length);
        return *ret ? 0 : -ENOMEM;
}

static int find_by_handle(struct pw_cgroups *cgroups, int root_fd)
{
        char root[PATH_MAX];
        struct statfs fs;
        int r;

        /* Other file systems would take the handle for one of theirs. */
        if (fstatfs(root_fd, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
                return -EOPNOTSUPP;
        r = fd_path(root_fd, root, sizeof root);
        for (size_t i = 0; i < cgroups->n && r == 0; i++)
                r = path_by_handle(root_fd, root, cgroups->ids[i], &cgroups->paths[i]);
        return r;
}

static int compare_ids(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static size_t sort_unique(uint64_t *ids, size_t n)
{
        size_t kept = 0;

        qsort(ids, n, sizeof *ids, compare_ids);
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || ids[kept - 1] != ids[i])
                        ids[kept++] = ids[i];
        return kept;
}

/* The place for the path of a cgroup that is wanted, else NULL. */
static char **path_of(const struct pw_cgroups *cgroups, uint64_t id)
{
        const uint64_t *found =
            cgroups->paths ? bsearch(&id, cgroups->ids, cgroups->n, sizeof id, compare_ids) : NULL;

        return found ? &cgroups->paths[found - cgroups->ids] : NULL;
}

/* A walk over the tree. */
struct walk {
        struct pw_cgroups *cgroups;
        size_t n_left;       /* wanted, not found so far */
        char path[PATH_MAX]; /* of the directory that it is in, not NUL-terminated */
        size_t length;
};

static int walk_note(struct walk *walk, int fd)
{
        struct stat st;
        char **path = fstat(fd, &st) == 0 ? path_of(walk->cgroups, st.st_ino) : NULL;

        if (!path || *path)
                return 0;
        *path = strndup(walk->path, walk->length);
        if (!*path)
                return -ENOMEM;
        walk->n_left--;
        return 0;
}

static bool is_child(const struct dirent *entry)
{
        return (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) &&
               strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Takes over `fd`. A directory that vanishes or may not be read is passed over. */
static int walk_directory(struct walk *walk, int fd, unsigned depth)
{
        size_t above = walk->length;
        DIR *dir = fdopendir(fd);
        int r = 0;

        if (!dir) {
                close(fd);
                return 0;
        }
        if (above > 0)
                r = walk_note(walk, fd);
        for (struct dirent *entry; r == 0 && walk->n_left > 0 && (entry = readdir(dir));) {
                size_t name = strlen(entry->d_name);
                int child;

                if (!is_child(entry) || above + 1 + name > sizeof walk->path || depth == DEPTH_MAX)
                        continue;
                child = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (child < 0)
                        continue;
                walk->path[above] = '/';
                memcpy(walk->path + above + 1, entry->d_name, name);
                walk->length = above + 1 + name;
                r = walk_directory(walk, child, depth + 1);
                walk->length = above;
        }
        closedir(dir);
        return r;
}

static int find_by_walk(struct pw_cgroups *cgroups, int root_fd)
{
        struct walk walk = {.cgroups = cgroups, .n_left = cgroups->n};
        int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? 0 : walk_directory(&walk, fd, 0);
}

int pw_cgroup2_open(void)
{
        static const char *const dirs[] = {PW_CGROUP2_DIRS};

        for (size_t i = 0; i < PW_ELEMENTS(dirs); i++) {
                _cleanup_(pw_closep) int fd = open(dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                /* On hosts with cgroup v1 the second one is a tmpfs. */
                if (fd >= 0 && faccessat(fd, "cgroup.procs", F_OK, 0) == 0)
                        return PW_TAKE_FD(fd);
        }
        return -ENOENT;
}

int pw_cgroups_want(struct pw_cgroups *cgroups, uint64_t id)
{
        int r;

        if (id <= 1 || (cgroups->n > 0 && cgroups->ids[cgroups->n - 1] == id))
                return 0;
        r = pw_array_reserve(&cgroups->ids, &cgroups->capacity, cgroups->n + 1,
                             sizeof *cgroups->ids);
        if (r == 0)
                cgroups->ids[cgroups->n++] = id;
        return r;
}

int pw_cgroups_resolve(struct pw_cgroups *cgroups, int root_fd)
{
        int r;

        if (cgroups->n == 0 || root_fd < 0)
                return 0;
        cgroups->n = sort_unique(cgroups->ids, cgroups->n);
        cgroups->paths = calloc(cgroups->n, sizeof *cgroups->paths);
        if (!cgroups->paths)
                return -ENOMEM;
        r = find_by_handle(cgroups, root_fd);
        return r == 0 || r == -ENOMEM ? r : find_by_walk(cgroups, root_fd);
}

const char *pw_cgroups_path(const struct pw_cgroups *cgroups, uint64_t id)
{
        char **path = path_of(cgroups, id);

        return path ? *path : NULL;
}

void pw_cgroups_done(struct pw_cgroups *cgroups)
{
        for (size_t i = 0; cgroups->paths && i < cgroups->n; i++)
                free(cgroups->paths[i]);
        free(cgroups->paths);
        free(cgroups->ids);
        *cgroups = (struct pw_cgroups){0};
}
