/* SPDX-License-Identifier: MIT */
/* The ring in which events come: the reader's side of BPF_MAP_TYPE_RINGBUF (Linux
 * kernel/bpf/ringbuf.c).
 *
 * Positions only grow; the kernel moves the producer's, we the consumer's. A record is a word with
 * its length and two flags, a word of the kernel's, and the data, rounded up to 8 bytes; it is ours
 * once its flag "busy" is gone. The data are mapped once, and a page of them again behind their
 * end, so that no record is in two pieces.
 *
 * The kernel wakes us up for a record only if the consumer has come to just this record. To be left
 * alone, the consumer keeps back the last record that it has read: see ring_hold(). */

#include "daemon/bpf/engine-internal.h"

#include <sys/mman.h>
#include <unistd.h>

#define HEADER_SIZE 8

int ring_open(struct ring *ring, int map_fd, size_t size)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        char *map;

        map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
        if (map == MAP_FAILED)
                return -errno;
        ring->consumer = (uint64_t *)(void *)map;
        map = mmap(NULL, size + 2 * page, PROT_READ, MAP_SHARED, map_fd, (off_t)page);
        if (map == MAP_FAILED)
                return -errno;
        ring->producer = (const uint64_t *)(const void *)map;
        ring->data = map + page;
        ring->size = size;
        ring->next = ring->last = *ring->consumer;
        return 0;
}

void ring_close(struct ring *ring)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE);

        if (ring->consumer)
                munmap(ring->consumer, page);
        if (ring->producer)
                munmap((void *)(uintptr_t)ring->producer, ring->size + 2 * page);
        *ring = (struct ring){0};
}

const void *ring_next(struct ring *ring, size_t *ret_size)
{
        while (ring->next != __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE)) {
                const char *record = ring->data + (ring->next & (ring->size - 1));
                uint32_t header =
                    __atomic_load_n((const uint32_t *)(const void *)record, __ATOMIC_ACQUIRE);
                size_t size = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

                if (header & BPF_RINGBUF_BUSY_BIT)
                        return NULL;
                ring->last = ring->next;
                ring->next += (HEADER_SIZE + size + 7) / 8 * 8;
                if (header & BPF_RINGBUF_DISCARD_BIT)
                        continue;
                *ret_size = size;
                return record + HEADER_SIZE;
        }
        return NULL;
}

void ring_hold(struct ring *ring)
{
        __atomic_store_n(ring->consumer, ring->last, __ATOMIC_RELEASE);
}

bool ring_release(struct ring *ring)
{
        /* In this order in every thread's eyes: either we see a new record, or its writer sees
         * that we have come to it. */
        __atomic_store_n(ring->consumer, ring->next, __ATOMIC_SEQ_CST);
        return __atomic_load_n(ring->producer, __ATOMIC_SEQ_CST) == ring->next;
}
