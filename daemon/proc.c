/* SPDX-License-Identifier: MIT */
/* Thin readers of one process. Whatever a process can choose is not believed: its executable is
 * compared with the host's file of that name, since a mount namespace of one's own shows any name
 * one likes, and only root's files may take a deleted one's place. */

#include "daemon/proc.h"

#include <portwatch/text.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CGROUP_FILE_MAX 16384 /* up to 14 lines in the old hierarchies, each with a path */

#define RING_LINES_MAX 65536 /* of what one ring holds */
#define STEPS_A_LOOK 256     /* descriptors between two looks at the clock */

#define DELETED_SUFFIX " (deleted)"
#define RING_LINK "anon_inode:[io_uring]"

static int error_of_process(int error)
{
        return error == ENOENT ? -ESRCH : error == EPERM ? -EACCES : -error;
}

void pw_numbers_start(struct pw_numbers *numbers, int fd)
{
        numbers->fd = fd;
        numbers->at = numbers->length = 0;
        numbers->error = 0;
}

const char *pw_numbers_next(struct pw_numbers *numbers)
{
        for (;;) {
                struct dirent64 *entry;

                if (numbers->at == numbers->length) {
                        ssize_t n =
                            getdents64(numbers->fd, numbers->buffer, sizeof numbers->buffer);

                        if (n <= 0) {
                                numbers->error = n < 0 && errno != ENOENT ? -errno : 0;
                                return NULL;
                        }
                        numbers->at = 0;
                        numbers->length = (size_t)n;
                }
                entry = (struct dirent64 *)(void *)(numbers->buffer + numbers->at);
                numbers->at += entry->d_reclen;
                if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
                        return entry->d_name;
        }
}

int pw_proc_open(struct pw_proc *proc, pid_t pid, const char *name)
{
        char path[64];
        int fd;

        proc->reads++;
        snprintf(path, sizeof path, "%d/%s", (int)pid, name);
        fd = openat(proc->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd >= 0 ? fd : error_of_process(errno);
}

bool pw_proc_is_late(const struct pw_proc *proc)
{
        return proc->deadline_usec > 0 && pw_now_boottime() >= proc->deadline_usec;
}

/* Whether to stop: asked once for many small steps. */
static bool is_late_at(const struct pw_proc *proc, unsigned step)
{
        return step % STEPS_A_LOOK == 0 && pw_proc_is_late(proc);
}

int pw_proc_read_links(struct pw_proc *proc, int fds_fd, struct pw_stretch range,
                       pw_link_found found, void *userdata)
{
        struct pw_numbers *numbers = &proc->descriptors;
        const char *name;
        char link[64]; /* what is longer is a file's path */
        int r = 0;

        pw_numbers_start(numbers, fds_fd);
        for (unsigned i = 0; r >= 0 && (name = pw_numbers_next(numbers)); i++) {
                ssize_t length;
                uint32_t inode;

                if (i == range.to)
                        return 1;
                if (is_late_at(proc, i))
                        return -ETIME;
                if (i < range.from)
                        continue;
                proc->reads++;
                length = readlinkat(fds_fd, name, link, sizeof link - 1);
                if (length < 0) {
                        r = error_of_process(errno);
                        if (r == -ESRCH) /* only this descriptor has been closed, perhaps */
                                r = 0;
                        continue;
                }
                link[length] = '\0';
                if (pw_proc_socket_parse(link, &inode) == 0)
                        r = found(userdata, PW_LINK_SOCKET, inode);
                else if (strcmp(link, RING_LINK) == 0)
                        r = found(userdata, PW_LINK_RING, (uint32_t)strtoul(name, NULL, 10));
        }
        return r < 0 ? r : numbers->error;
}

int pw_proc_read_ring(struct pw_proc *proc, pid_t pid, uint32_t fd, pw_link_found found,
                      void *userdata)
{
        _cleanup_(pw_fclosep) FILE *file = NULL;
        _cleanup_(pw_freep) char *line = NULL;
        char path[64];
        size_t size = 0;
        ssize_t length;
        int info, r = 0;

        proc->reads++;
        snprintf(path, sizeof path, "%d/fdinfo/%u", (int)pid, fd);
        info = openat(proc->fd, path, O_RDONLY | O_CLOEXEC);
        if (info < 0)
                return error_of_process(errno);
        file = fdopen(info, "r");
        if (!file) {
                close(info);
                return -ENOMEM;
        }
        for (unsigned i = 0; r >= 0 && (length = getline(&line, &size, file)) > 0; i++) {
                uint32_t inode;

                if (i == RING_LINES_MAX)
                        return -EOVERFLOW;
                if (is_late_at(proc, i))
                        return -ETIME;
                if (pw_proc_ring_line_parse(line, (size_t)length, &inode) == 0)
                        r = found(userdata, PW_LINK_SOCKET, inode);
        }
        return r;
}

int pw_proc_read_stat(struct pw_proc *proc, int dir_fd, const char *path, struct pw_proc_stat *ret,
                      char *comm)
{
        char text[1024];
        ssize_t length;
        int r;

        proc->reads++;
        length = pw_read_file(dir_fd, path, text, sizeof text);
        if (length < 0)
                return error_of_process((int)-length);
        r = pw_proc_stat_parse(text, (size_t)length, ret);
        if (r == 0 && comm)
                r = pw_proc_comm_parse(text, (size_t)length, comm, PW_COMM_MAX);
        return r;
}

int pw_proc_read_uid(int dir_fd, uint32_t *ret)
{
        struct stat st;

        if (fstat(dir_fd, &st) < 0)
                return -errno;
        *ret = st.st_uid;
        return 0;
}

int pw_proc_read_cmdline(struct pw_proc *proc, int dir_fd, char **ret)
{
        char text[PW_CMDLINE_MAX + 2]; /* one byte more than is kept, so that the cut shows */
        ssize_t length;

        *ret = NULL;
        proc->reads++;
        length = pw_read_file(dir_fd, "cmdline", text, sizeof text);
        if (length == -E2BIG)
                length = sizeof text - 1;
        while (length > 0 && text[length - 1] == '\0')
                length--;
        if (length <= 0)
                return 0;
        for (ssize_t i = 0; i < length; i++)
                if (text[i] == '\0')
                        text[i] = ' ';
        *ret = pw_text_clean_dup(text, (size_t)length, PW_CMDLINE_MAX);
        return *ret ? 0 : -ENOMEM;
}

void pw_proc_read_cgroup(struct pw_proc *proc, int dir_fd, struct pw_cgroup_names *ret)
{
        char text[CGROUP_FILE_MAX], path[PATH_MAX];
        ssize_t length;

        *ret = (struct pw_cgroup_names){0};
        proc->reads++;
        length = pw_read_file(dir_fd, "cgroup", text, sizeof text);
        if (length >= 0 && pw_proc_cgroup_parse(text, (size_t)length, path, sizeof path) == 0)
                pw_cgroup_names_parse(path, ret);
}

/* ---- the executable ---- */

/* What tells one file from another, and whose it is. */
struct file_id {
        uint64_t inode;
        uint64_t mount; /* on which it is seen; 0: not known */
        uint32_t device_major, device_minor, uid, links;
        uint16_t mode;
};

/* Asks for what is known here: never waits for a file server that does not answer. */
static int file_id_read(int dir_fd, const char *path, struct file_id *ret)
{
        struct statx st;

        if (statx(dir_fd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
                  STATX_INO | STATX_UID | STATX_TYPE | STATX_NLINK | STATX_MNT_ID, &st) < 0)
                return -errno;
        *ret = (struct file_id){
            .inode = st.stx_ino,
            .mount = st.stx_mask & STATX_MNT_ID ? st.stx_mnt_id : 0,
            .device_major = st.stx_dev_major,
            .device_minor = st.stx_dev_minor,
            .uid = st.stx_uid,
            .links = st.stx_nlink,
            .mode = st.stx_mode,
        };
        return 0;
}

static bool same_device(const struct file_id *a, const struct file_id *b)
{
        return a->device_major == b->device_major && a->device_minor == b->device_minor;
}

static bool same_file(const struct file_id *a, const struct file_id *b)
{
        return a->inode == b->inode && same_device(a, b);
}

static bool is_roots_file(const struct file_id *id)
{
        return S_ISREG(id->mode) && id->uid == 0;
}

/* The file of that path below `dir_fd`; false where there is none or the path leads nowhere. */
static bool lookup(int dir_fd, const char *path, struct file_id *ret)
{
        return path[0] == '/' && path[1] && file_id_read(dir_fd, path + 1, ret) == 0;
}

static bool ends_with(const char *text, size_t length, const char *suffix)
{
        size_t n = strlen(suffix);

        return length > n && memcmp(text + length - n, suffix, n) == 0;
}

static bool is_temporary(const char *path)
{
        return strncmp(path, "/tmp/", 5) == 0 || strncmp(path, "/var/tmp/", 9) == 0 ||
               strncmp(path, "/dev/shm/", 9) == 0;
}

static const char *const host_mounts[] = {"1/ns/mnt", "self/ns/mnt"};

/* Whether the process sees the host's mounts: those of PID 1, or ours. */
static bool in_host_mounts(struct pw_proc *proc, int dir_fd)
{
        char own[64], other[64];
        ssize_t length;

        proc->reads++;
        length = readlinkat(dir_fd, "ns/mnt", own, sizeof own);
        for (size_t i = 0; length > 0 && i < PW_ELEMENTS(host_mounts); i++) {
                proc->reads++;
                if (readlinkat(proc->fd, host_mounts[i], other, sizeof other) == length &&
                    memcmp(own, other, (size_t)length) == 0)
                        return true;
        }
        return false;
}

/* What is now at a deleted executable's path. A package upgrade leaves root's new file there, and
 * that is normal. In mounts of its own a process may show any path, a deleted interpreter of root's
 * for example, so there the deleted file must have been root's, too, and at the very place of the
 * file system that the path names on the host: a service's sandbox leaves it there, and another
 * file mounted over the path is elsewhere. */
static unsigned deleted_traits(struct pw_proc *proc, int dir_fd, const char *path,
                               const struct file_id *exe)
{
        _cleanup_(pw_closep) int own_root = -EBADF;
        struct file_id now = {0};
        bool replaced = lookup(proc->root_fd, path, &now) && is_roots_file(&now);

        if (in_host_mounts(proc, dir_fd))
                return replaced ? 0 : PW_TRAIT_DELETED;
        if (replaced && exe->uid == 0 && same_device(exe, &now) && exe->mount && now.mount &&
            pw_proc_is_same_place(proc, dir_fd, path, exe->mount, now.mount))
                return 0;
        /* An upgrade inside a container is normal as well. */
        proc->reads++;
        own_root = openat(dir_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        replaced =
            own_root >= 0 && exe->uid == 0 && lookup(own_root, path, &now) && is_roots_file(&now);
        return PW_TRAIT_FOREIGN_ROOT | (replaced ? 0u : PW_TRAIT_DELETED);
}

/* Judges `path`, the raw link of `length` bytes, and cuts " (deleted)" off where it is not part of
 * the file's name. */
static unsigned exe_traits(struct pw_proc *proc, int dir_fd, char *path, size_t *length)
{
        unsigned traits = is_temporary(path) ? PW_TRAIT_TEMPORARY : 0;
        struct file_id exe = {0}, host = {0};
        bool known = file_id_read(dir_fd, "exe", &exe) == 0;

        proc->reads++;
        if (known && lookup(proc->root_fd, path, &host) && same_file(&exe, &host))
                return traits;
        if (!ends_with(path, *length, DELETED_SUFFIX))
                return traits | PW_TRAIT_FOREIGN_ROOT;
        *length -= strlen(DELETED_SUFFIX);
        path[*length] = '\0';
        if (strncmp(path, "/memfd:", 7) == 0)
                return PW_TRAIT_MEMFD;
        return traits | (known ? deleted_traits(proc, dir_fd, path, &exe)
                               : PW_TRAIT_FOREIGN_ROOT | PW_TRAIT_DELETED);
}

static bool opened_in_host_mounts(struct pw_proc *proc, const struct pw_opener *opener)
{
        struct file_id mounts;

        for (size_t i = 0; i < PW_ELEMENTS(host_mounts); i++) {
                proc->reads++;
                if (file_id_read(proc->fd, host_mounts[i], &mounts) == 0 &&
                    mounts.inode == opener->mount_ns)
                        return true;
        }
        return false;
}

/* The device that the kernel keeps is not always the one that stat(2) tells: then the mount does.
 */
static bool is_openers(struct pw_proc *proc, const struct pw_opener *opener,
                       const struct file_id *file)
{
        return file->inode == opener->exe_inode &&
               (makedev(file->device_major, file->device_minor) == opener->exe_device ||
                (file->mount && pw_proc_is_on_device(proc, file->mount, opener->exe_device)));
}

unsigned pw_proc_opener_traits(struct pw_proc *proc, const struct pw_opener *opener)
{
        unsigned traits = is_temporary(opener->exe) ? PW_TRAIT_TEMPORARY : 0;
        struct file_id host = {0};
        bool hosts;

        if (opener->exe_flags & PW_EXE_UNNAMED)
                return PW_TRAIT_MEMFD;
        if (opener->exe_flags & PW_EXE_TRUNCATED)
                return PW_TRAIT_FOREIGN_ROOT;
        proc->reads++;
        hosts = lookup(proc->root_fd, opener->exe, &host);
        if (hosts && is_openers(proc, opener, &host))
                return traits;
        /* Where no mount could be asked: in the host's mounts, a path names the host's file. */
        if (!opened_in_host_mounts(proc, opener))
                traits |= PW_TRAIT_FOREIGN_ROOT;
        else if (hosts && host.inode == opener->exe_inode)
                return traits;
        else if (!hosts || !is_roots_file(&host))
                traits |= PW_TRAIT_DELETED;
        if (opener->exe_flags & PW_EXE_DELETED && !(hosts && is_roots_file(&host)))
                traits |= PW_TRAIT_DELETED;
        return traits;
}

static ssize_t read_exe_link(struct pw_proc *proc, int dir_fd, char *buffer, size_t size)
{
        ssize_t length;

        proc->reads++;
        length = readlinkat(dir_fd, "exe", buffer, size - 1);
        if (length < 0)
                return -errno;
        buffer[length] = '\0';
        return length;
}

int pw_proc_read_exe(struct pw_proc *proc, int dir_fd, char **ret_path, unsigned *ret_traits)
{
        char link[PW_EXE_MAX + sizeof DELETED_SUFFIX], path[sizeof link], again[sizeof link];
        unsigned traits = 0;
        size_t length = 0;

        *ret_path = NULL;
        *ret_traits = 0;
        /* The path and the file are two looks: a change between them (an upgrade right now, an
         * exec) must not make the file look foreign. */
        for (unsigned tries = 0; tries < 3; tries++) {
                ssize_t n = read_exe_link(proc, dir_fd, link, sizeof link);

                if (n == -ENOENT || n == -ESRCH)
                        return 1;
                if (n <= 0)
                        return 0;
                length = (size_t)n;
                memcpy(path, link, length + 1);
                traits = exe_traits(proc, dir_fd, path, &length);
                if (!traits || (read_exe_link(proc, dir_fd, again, sizeof again) == n &&
                                memcmp(again, link, (size_t)n) == 0))
                        break;
        }
        *ret_path = pw_text_clean_dup(path, length, PW_EXE_MAX);
        if (!*ret_path)
                return -ENOMEM;
        *ret_traits = traits;
        return 0;
}
