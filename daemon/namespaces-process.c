/* SPDX-License-Identifier: MIT */

#include "daemon/namespaces-process.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* linux/nsfs.h of Linux 6.18: where the kernel does not know it, it fails. */
#define GET_ID _IOR(0xb7, 13, uint64_t)

int pw_netns_read_inode(struct pw_proc *proc, int dir_fd, const char *path, uint64_t *ret)
{
        char link[64], text[64];
        uint64_t inode;
        ssize_t length;

        proc->reads++;
        length = readlinkat(dir_fd, path, link, sizeof link - 1);
        if (length < 0)
                return -errno;
        link[length] = '\0';
        if (strncmp(link, PW_NETNS_LINK, strlen(PW_NETNS_LINK)) != 0)
                return -EBADMSG;
        inode = strtoull(link + strlen(PW_NETNS_LINK), NULL, 10);
        snprintf(text, sizeof text, PW_NETNS_LINK "%" PRIu64 "]", inode);
        if (strcmp(link, text) != 0)
                return -EBADMSG;
        *ret = inode;
        return 0;
}

uint64_t pw_netns_read_id(struct pw_proc *proc, int dir_fd)
{
        _cleanup_(pw_closep) int fd = -EBADF;
        uint64_t id;

        proc->reads++;
        fd = openat(dir_fd, "ns/net", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        return fd >= 0 && ioctl(fd, GET_ID, &id) == 0 ? id : 0;
}
