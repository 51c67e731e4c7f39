/* SPDX-License-Identifier: MIT */
#pragma once

/* The other side of the actor: begins and ends its scenes, and keeps what an engine tells of them.
 */

#include "tests/helpers/actor.h"
#include "tests/helpers/engine.h"

#include <poll.h>

static struct pw_engine *engine;
static uint64_t netns;

/* ---- what was told ---- */

static struct seen {
        struct pw_engine_event event; /* owner.exe is a copy */
        uint64_t read_nsec;
} * seen;
static size_t n_seen, seen_capacity;

static inline int on_event(void *userdata _unused_, const struct pw_engine_event *event)
{
        struct seen *one;

        if (pw_array_reserve(&seen, &seen_capacity, n_seen + 1, sizeof *seen) < 0)
                return -ENOMEM;
        one = &seen[n_seen++];
        one->event = *event;
        one->event.opener.exe = strdup(event->opener.exe);
        one->read_nsec = boot_nsec();
        return 0;
}

static inline void forget(void)
{
        for (size_t i = 0; i < n_seen; i++)
                free((void *)(uintptr_t)seen[i].event.opener.exe);
        n_seen = 0;
}

/* Reads events until the actor says something, and then those that came before that. */
static inline char collect(void)
{
        struct pollfd fds[] = {{.fd = pw_engine_fd(engine), .events = POLLIN},
                               {.fd = actor_fd, .events = POLLIN}};
        char byte;

        do {
                if (poll(fds, 2, 60000) <= 0)
                        fail("the actor is silent");
                if (fds[0].revents && pw_engine_read(engine, on_event, NULL) < 0)
                        fail("pw_engine_read");
        } while (!fds[1].revents);
        if (read(actor_fd, &byte, 1) != 1)
                fail("the actor has ended");
        while (pw_engine_read(engine, on_event, NULL) > 0)
                ;
        return byte;
}

/* Begins a scene: returns when it shows what it opened, or, where it does not, has ended. */
static inline void begin(struct order order)
{
        forget();
        if (write(actor_fd, &order, sizeof order) != (ssize_t)sizeof order)
                fail("order");
        if (collect() == 'f')
                check(false, "scene %d was played", order.scene);
}

static inline void end(void)
{
        if (write(actor_fd, "", 1) != 1 || collect() == 'f')
                check(false, "the scene came to its end");
}

/* The nth event that fits. */
static inline const struct seen *nth(bool closed, uint8_t protocol, uint64_t in, uint16_t port,
                                     unsigned n)
{
        for (size_t i = 0; i < n_seen; i++) {
                const struct pw_engine_event *event = &seen[i].event;
                const struct pw_endpoint *at = &event->socket.endpoint;

                if (event->closed == closed && at->protocol == protocol && at->netns == in &&
                    at->port == port && n-- == 0)
                        return &seen[i];
        }
        return NULL;
}

static inline const struct pw_engine_event *only(bool closed, uint8_t protocol, uint16_t port)
{
        const struct seen *first = nth(closed, protocol, netns, port, 0);

        return first && !nth(closed, protocol, netns, port, 1) ? &first->event : NULL;
}
