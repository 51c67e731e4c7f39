/* SPDX-License-Identifier: MIT */
/* Where a file is within its file system, whatever is mounted where.
 *
 * In mounts of its own, a process shows any file at any path. But the kernel says of each mount
 * which directory of its file system it shows: so both the process's and the host's path lead to a
 * place in a file system, and only a sandbox that leaves the path alone has them equal. */

#include "daemon/proc.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOUNTS_MAX 20000 /* of one process; with more of them nothing is proven */

/* ---- one line ---- */

/* The next word; NULL where there is none. */
static char *take_word(char **line)
{
        char *word = strsep(line, " ");

        return word && *word ? word : NULL;
}

static bool is_octal(const char *digits)
{
        for (size_t i = 0; i < 3; i++)
                if (digits[i] < '0' || digits[i] > (i == 0 ? '3' : '7'))
                        return false;
        return true;
}

/* Blanks, line ends and backslashes come as "\\040". */
static void unescape(char *text)
{
        char *to = text;

        for (; *text; to++) {
                if (text[0] == '\\' && is_octal(text + 1)) {
                        *to = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
                        text += 4;
                } else {
                        *to = *text++;
                }
        }
        *to = '\0';
}

int pw_proc_mount_parse(char *line, struct pw_mount *ret)
{
        char *id = take_word(&line), *parent = take_word(&line), *device = take_word(&line);
        char *root = take_word(&line), *point = take_word(&line), *end;
        unsigned major, minor;

        if (!id || !parent || !device || !root || !point || root[0] != '/' || point[0] != '/')
                return -EBADMSG;
        if (id[0] < '0' || id[0] > '9' || sscanf(device, "%u:%u", &major, &minor) != 2)
                return -EBADMSG;
        errno = 0;
        *ret = (struct pw_mount){
            .id = strtoull(id, &end, 10),
            .device = makedev(major, minor),
            .root = root,
            .point = point,
        };
        if (errno != 0 || *end)
                return -EBADMSG;
        unescape(root);
        unescape(point);
        return 0;
}

/* ---- places ---- */

/* "/" counts as nothing, so that "/" + "/a" and "/a" + "" are equal. */
static const char *without_slash(const char *path)
{
        return strcmp(path, "/") == 0 ? "" : path;
}

bool pw_proc_place(const struct pw_mount *mount, const char *path, struct pw_place *ret)
{
        const char *point = without_slash(mount->point);
        size_t length = strlen(point);

        if (strncmp(path, point, length) != 0 || (path[length] && path[length] != '/'))
                return false;
        *ret = (struct pw_place){without_slash(mount->root), path + length};
        return true;
}

/* The mount with that id, in the text of `*line`, which the caller frees. False where there is
 * none.
 */
static bool find_mount(struct pw_proc *proc, int dir_fd, const char *name, uint64_t id, char **line,
                       struct pw_mount *ret)
{
        _cleanup_(pw_fclosep) FILE *file = NULL;
        int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
        size_t size = 0;

        proc->reads++;
        file = fd >= 0 ? fdopen(fd, "r") : NULL;
        if (!file) {
                if (fd >= 0)
                        close(fd);
                return false;
        }
        for (unsigned i = 0; i < MOUNTS_MAX && getline(line, &size, file) > 0; i++)
                if (pw_proc_mount_parse(*line, ret) == 0 && ret->id == id)
                        return true;
        return false;
}

/* The place of `path` in the mount with that id, as one new string; NULL where it has none. */
static char *read_place(struct pw_proc *proc, int dir_fd, const char *name, uint64_t mount_id,
                        const char *path)
{
        _cleanup_(pw_freep) char *line = NULL;
        struct pw_mount mount;
        struct pw_place place;
        char *whole;

        if (!find_mount(proc, dir_fd, name, mount_id, &line, &mount) ||
            !pw_proc_place(&mount, path, &place) ||
            asprintf(&whole, "%s%s", place.root, place.rest) < 0)
                return NULL;
        return whole;
}

/* The host's root is that of PID 1 or, where that may not be looked into, ours. */
static const char *const host_mountinfo[] = {"1/mountinfo", "self/mountinfo"};

bool pw_proc_is_on_device(struct pw_proc *proc, uint64_t host_mount, dev_t device)
{
        bool is = false;

        for (size_t i = 0; !is && i < PW_ELEMENTS(host_mountinfo); i++) {
                _cleanup_(pw_freep) char *line = NULL;
                struct pw_mount mount;

                is = find_mount(proc, proc->fd, host_mountinfo[i], host_mount, &line, &mount) &&
                     mount.device == device;
        }
        return is;
}

bool pw_proc_is_same_place(struct pw_proc *proc, int dir_fd, const char *path, uint64_t own_mount,
                           uint64_t host_mount)
{
        _cleanup_(pw_freep) char *own = read_place(proc, dir_fd, "mountinfo", own_mount, path);
        _cleanup_(pw_freep) char *host = NULL;

        for (size_t i = 0; own && !host && i < PW_ELEMENTS(host_mountinfo); i++)
                host = read_place(proc, proc->fd, host_mountinfo[i], host_mount, path);
        return host && strcmp(own, host) == 0;
}
