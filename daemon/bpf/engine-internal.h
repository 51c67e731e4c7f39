/* SPDX-License-Identifier: MIT */
#pragma once

/* The loader's state.
 *
 *   engine-open.c    which programs work: load, attach
 *   engine-events.c  events: when to be woken up, what they say
 *   engine-ring.c    the ring that they come in
 *   engine-holders.c the program that lists holders
 *   engine-lists.c   the iterators */

#include "daemon/bpf/engine-records.h"
#include "daemon/engine.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define ENGINE_REASON_MAX 256
#define ENGINE_LIST_BUFFER (64 * 1024) /* no less than the kernel gives at a time */

enum program {
        PROGRAM_TCP_STATE,
        PROGRAM_UDP_RELEASED, /* before those that open: what is told as opened must close */
        PROGRAM_UDP_BIND4,
        PROGRAM_UDP_BIND6,
        PROGRAM_UDP_BOUND4,
        PROGRAM_UDP_BOUND6,
        PROGRAM_LIST_TCP,
        PROGRAM_LIST_UDP,
        PROGRAM_COUNT,
};

struct engine_bpf; /* the generated skeletons */
struct engine_holders_bpf;

/* engine-ring.c. All 0: closed. */
struct ring {
        uint64_t *consumer;
        const uint64_t *producer;
        const char *data;
        size_t size;
        uint64_t next, last; /* positions: behind the last record that was read, and of it */
};

/* 0 or -errno; `size` is that of the map. */
int ring_open(struct ring *ring, int map_fd, size_t size);
void ring_close(struct ring *ring);
/* The next record, valid until ring_hold() or ring_release(); NULL where there is none yet. */
const void *ring_next(struct ring *ring, size_t *ret_size);
/* Gives back all records read but the last: there is room for new ones, and no wake-up for them. */
void ring_hold(struct ring *ring);
/* Gives back all records read: the next one wakes us up. False where it is on its way already. */
bool ring_release(struct ring *ring);

/* engine-holders.c. All 0: closed. */
struct engine_holders {
        struct engine_holders_bpf *bpf;
        int link_fd;
        struct record_list *list; /* in memory that the program shares with us */
};

/* 0 or -errno. */
int engine_holders_open(struct engine_holders *holders);
void engine_holders_close(struct engine_holders *holders);

struct pw_engine {
        struct engine_bpf *bpf; /* NULL: none of its programs works */
        struct bpf_link *links[PROGRAM_COUNT];
        char missing[PW_ENGINE_PARTS][ENGINE_REASON_MAX];
        bool works[PW_ENGINE_PARTS];
        bool needs_cap_bpf;
        uint64_t tick_nsec;

        /* events */
        struct ring ring;
        int ring_fd, timer_fd, poll_fd; /* the last one waits for both others */
        bool batching;                  /* the timer wakes us up, not the ring */
        uint64_t counted_since_usec;
        unsigned wakeups;  /* since then */
        const __u64 *lost; /* in memory that the programs share with us */

        /* lists */
        struct engine_holders holders;
        uint64_t holders_usec; /* that their list may take */
        char *buffer;
};

/* engine-events.c */
int engine_events_open(struct pw_engine *engine, int ring_fd, size_t ring_size); /* 0 or -errno */
void engine_events_close(struct pw_engine *engine);

/* What a record says. */
void engine_read_socket(const struct record_socket *record, struct pw_socket *ret,
                        unsigned *ret_flags);
