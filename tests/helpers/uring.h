/* SPDX-License-Identifier: MIT */
#pragma once

/* io_uring without a library: one request at a time, waited for. Sockets can be made, bound and set
 * to listen by it since Linux 6.11; an older kernel answers -EINVAL. */

#include <portwatch/base.h>

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring {
        int fd;
        struct io_uring_params params;
        char *submitted, *completed;
        struct io_uring_sqe *entries;
};

/* Of kernels newer than the headers may be. */
enum { RING_SOCKET = 45, RING_BIND = 56, RING_LISTEN = 57 };

static inline bool ring_open(struct ring *ring)
{
        int none[1] = {-1};

        ring->params = (struct io_uring_params){0};
        ring->fd = (int)syscall(SYS_io_uring_setup, 1, &ring->params);
        if (ring->fd < 0)
                return false;
        ring->submitted =
            mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
        ring->completed =
            mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
        ring->entries =
            mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
        return ring->submitted != MAP_FAILED && ring->completed != MAP_FAILED &&
               ring->entries != MAP_FAILED &&
               syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_FILES, none, 1) == 0;
}

static inline int ring_do(struct ring *ring, const struct io_uring_sqe *entry)
{
        const struct io_uring_cqe *done =
            (const void *)(ring->completed + ring->params.cq_off.cqes);
        uint32_t *tail = (void *)(ring->submitted + ring->params.sq_off.tail);
        uint32_t *head = (void *)(ring->completed + ring->params.cq_off.head);
        uint32_t mask = *(uint32_t *)(void *)(ring->completed + ring->params.cq_off.ring_mask);
        int result;

        ring->entries[0] = *entry;
        *(uint32_t *)(void *)(ring->submitted + ring->params.sq_off.array) = 0;
        __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
        if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
                return -errno;
        result = done[*head & mask].res;
        __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
        return result;
}
