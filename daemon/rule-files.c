/* SPDX-License-Identifier: MIT */
/* The files that rules come from: found, put in the order in which they count, and read.
 *
 * As systemd does: a name in an earlier directory hides the same name in later ones, and a link to
 * /dev/null hides it for good. Nothing is opened that could block or is not a plain file. */

#include "daemon/rule.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool is_rules_name(const char *name)
{
        size_t length = strlen(name), suffix = strlen(PW_RULE_SUFFIX);

        return name[0] != '.' && length > suffix &&
               strcmp(name + length - suffix, PW_RULE_SUFFIX) == 0;
}

/* The directory's path without slashes at its end. */
static char *join(const char *dir, const char *name)
{
        size_t length = strlen(dir);
        char *path;

        while (length > 0 && dir[length - 1] == '/')
                length--;
        return asprintf(&path, "%.*s/%s", (int)length, dir, name) < 0 ? NULL : path;
}

/* Takes over the path. */
static struct pw_rule_file *add_file(struct pw_rule_files *files, char *path, size_t rank)
{
        struct pw_rule_file *file;

        if (!path || pw_array_reserve(&files->items, &files->capacity, files->n + 1,
                                      sizeof *files->items) < 0) {
                free(path);
                return NULL;
        }
        file = &files->items[files->n++];
        *file = (struct pw_rule_file){
            .path = path,
            .name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path,
            .rank = rank,
        };
        return file;
}

static int pass_over(int r)
{
        return r < 0 ? r : 1;
}

/* 0: a file to read, or a mask. 1: to be passed over; what is no file is told to `refusals`. */
static int check_file(const char *path, bool *ret_masked, struct pw_refusals *refusals)
{
        struct stat status;

        *ret_masked = false;
        if (stat(path, &status) < 0) {
                int error = errno;

                if (lstat(path, &status) < 0 && errno == ENOENT)
                        return 1; /* removed since the directory was read */
                return pass_over(
                    pw_refusals_add(refusals, "%s: cannot be read: %s", path, strerror(error)));
        }
        *ret_masked = S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
        if (S_ISREG(status.st_mode) || *ret_masked)
                return 0;
        return pass_over(
            pw_refusals_add(refusals, "%s: %s; expected a file of rules", path,
                            S_ISDIR(status.st_mode) ? "is a directory" : "is not a plain file"));
}

static int add_directory(struct pw_rule_files *files, const char *dir, size_t rank,
                         struct pw_refusals *refusals)
{
        DIR *stream = opendir(dir);
        int r = 0;

        if (!stream)
                return errno == ENOENT ? 0
                                       : pw_refusals_add(refusals, "%s: cannot be read: %s", dir,
                                                         strerror(errno));
        for (struct dirent *entry; r >= 0 && (entry = readdir(stream));) {
                struct pw_rule_file *file;

                if (!is_rules_name(entry->d_name))
                        continue;
                file = add_file(files, join(dir, entry->d_name), rank);
                if (!file) {
                        r = -ENOMEM;
                        break;
                }
                r = check_file(file->path, &file->masked, refusals);
                if (r == 1)
                        free(files->items[--files->n].path);
        }
        closedir(stream);
        return PW_MIN(r, 0);
}

/* By name, the earlier directory first. */
static int compare_files(const void *a, const void *b)
{
        const struct pw_rule_file *x = a, *y = b;
        int r = strcmp(x->name, y->name);

        return r != 0 ? r : (x->rank > y->rank) - (x->rank < y->rank);
}

static void drop_hidden(struct pw_rule_files *files)
{
        size_t n = 0;

        if (files->n > 1)
                qsort(files->items, files->n, sizeof *files->items, compare_files);
        for (size_t i = 0; i < files->n; i++)
                if (n > 0 && strcmp(files->items[n - 1].name, files->items[i].name) == 0)
                        free(files->items[i].path);
                else
                        files->items[n++] = files->items[i];
        files->n = n;
}

int pw_rule_directory(const char *path, const char **ret_name)
{
        const char *slash = strrchr(path, '/');
        _cleanup_(pw_freep) char *dir =
            slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
        int fd;

        if (!dir)
                return -ENOMEM;
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_name = slash ? slash + 1 : path;
        return fd;
}

/* However the two are written. */
static bool is_same_directory(int fd, const char *path)
{
        struct stat a, b;

        return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

/* Puts the replaced file among those of its directory, whether it exists or not. */
static int add_replaced(struct pw_rule_files *files, const struct pw_policy_paths *paths,
                        const char *path)
{
        const char *name;
        _cleanup_(pw_closep) int fd = pw_rule_directory(path, &name);
        struct pw_rule_file *file;
        size_t rank = 0;

        if (fd < 0)
                return fd;
        while (paths->dirs && paths->dirs[rank] && !is_same_directory(fd, paths->dirs[rank]))
                rank++;
        if (!paths->dirs || !paths->dirs[rank] || !is_rules_name(name))
                return 0;
        for (size_t i = 0; i < files->n; i++)
                if (files->items[i].rank == rank && strcmp(files->items[i].name, name) == 0) {
                        files->items[i].replaced = true;
                        return 0;
                }
        file = add_file(files, join(paths->dirs[rank], name), rank);
        if (!file)
                return -ENOMEM;
        file->replaced = true;
        return 0;
}

int pw_rule_files_list(const struct pw_policy_paths *paths, const struct pw_rule_source *instead,
                       struct pw_rule_files *ret, struct pw_refusals *refusals)
{
        _cleanup_(pw_rule_files_done) struct pw_rule_files files = {0};
        bool masked;
        int r;

        for (size_t i = 0; paths->dirs && paths->dirs[i]; i++) {
                r = add_directory(&files, paths->dirs[i], i, refusals);
                if (r < 0)
                        return r;
        }
        r = instead ? add_replaced(&files, paths, instead->path) : 0;
        if (r < 0)
                return r;
        drop_hidden(&files);
        r = paths->baseline ? check_file(paths->baseline, &masked, refusals) : 1;
        if (r < 0)
                return r;
        if (r == 0 && !masked && !add_file(&files, strdup(paths->baseline), SIZE_MAX))
                return -ENOMEM;
        *ret = files;
        files = (struct pw_rule_files){0};
        return 0;
}

void pw_rule_files_done(struct pw_rule_files *files)
{
        for (size_t i = 0; i < files->n; i++)
                free(files->items[i].path);
        free(files->items);
        *files = (struct pw_rule_files){0};
}

int pw_rule_file_read(const char *path, char **ret, size_t *ret_length,
                      struct pw_refusals *refusals)
{
        _cleanup_(pw_freep) char *text = malloc(PW_RULE_FILE_MAX + 1), *fit = NULL;
        ssize_t length;

        if (!text)
                return -ENOMEM;
        length = pw_read_file(AT_FDCWD, path, text, PW_RULE_FILE_MAX + 1);
        if (length == -ENOENT || length == -ENOMEM)
                return (int)length;
        if (length < 0)
                return pass_over(
                    pw_refusals_add(refusals, "%s: cannot be read: %s", path,
                                    length == -E2BIG ? "more than 1 MiB" : strerror((int)-length)));
        fit = realloc(text, (size_t)length + 1);
        if (!fit)
                return -ENOMEM;
        text = NULL;
        *ret = PW_TAKE_PTR(fit);
        *ret_length = (size_t)length;
        return 0;
}
