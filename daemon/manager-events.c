/* SPDX-License-Identifier: MIT */
/* What the event engine tells, between two looks: sockets that come and go, each with its owner,
 * straight to tracker and listeners. Looks go on, seldom, and set right what events could not tell.
 *
 * Not everything is believed at once, since an event tells of a moment: see manager-waiting.c. All
 * others are looked at again after a while, too, for what else holds them. */

#include "daemon/manager-internal.h"

#include <sys/epoll.h>

/* ---- closings ---- */

int manager_tell_closed(struct pw_manager *m, struct pw_listener *listener, uint64_t closed_usec)
{
        int r = 0;

        if (m->ready && !listener->open && listener->sockets == 1)
                r = manager_publish_one(m, listener, pw_now_boottime());
        pw_listener_detach(m->listeners, listener, closed_usec);
        return r;
}

static int on_closed(struct pw_manager *m, const struct pw_socket *socket, uint64_t closed_usec)
{
        struct pw_socket closed = *socket;
        void *tag;

        pw_tracker_close(m->tracker, socket, &tag);
        if (tag) /* what waits for its port is told already: a look has shown it */
                closed.endpoint.port = 0;
        if (!pw_waiting_close(m->settling, &closed, closed_usec))
                pw_waiting_close(m->dwelling, &closed, closed_usec);
        return tag ? manager_tell_closed(m, tag, closed_usec) : 0;
}

/* ---- telling ---- */

/* Hands a socket to its listener. Who holds it besides the one who opened it shows later. */
int manager_tell_opened(struct pw_manager *m, const struct pw_socket *socket,
                        struct pw_owner *owner, uint64_t opened_usec)
{
        struct pw_change change = manager_opened(socket, opened_usec);
        int r = manager_attach(m, &change, owner, NULL);

        return r < 0 || owner->traits & PW_TRAIT_KERNEL ? r : manager_ask_later(m, &change, true);
}

/* ---- events ---- */

/* Many sockets that one process opens at once have one owner, looked at once. */
static bool is_last_opener(const struct pw_manager *m, const struct pw_engine_event *event)
{
        const struct pw_opener *last = &m->last_opener, *opener = &event->opener;

        return m->last_owner && opener->pid > 1 && last->pid == opener->pid &&
               last->started == opener->started && last->uid == opener->uid &&
               last->cgroup_id == opener->cgroup_id && last->exe_inode == opener->exe_inode &&
               last->exe_device == opener->exe_device;
}

void manager_forget_opener(struct pw_manager *m)
{
        pw_owner_unref(m->last_owner);
        m->last_owner = NULL;
}

static int find_opener(struct pw_manager *m, const struct pw_engine_event *event,
                       struct pw_owner **ret)
{
        int r;

        if (event->flags & PW_SOCKET_KERNEL)
                return pw_attribution_kernel(m->attribution, event->socket.uid, ret);
        if (!is_last_opener(m, event)) {
                manager_forget_opener(m);
                r = pw_attribution_opener(m->attribution, &event->opener, event->socket.cgroup_id,
                                          &m->last_owner);
                if (r < 0)
                        return r;
                m->last_opener = event->opener;
                m->last_opener.exe = m->last_opener.cgroup =
                    NULL; /* live no longer than the event */
        }
        *ret = pw_owner_ref(m->last_owner);
        return 0;
}

/* listen(2) without bind(2): it gets a port in a moment. A look shows it, or else its closing. */
static int await_port(struct pw_manager *m, const struct pw_engine_event *event,
                      const struct pw_socket *socket)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = NULL;
        int r = find_opener(m, event, &owner);

        if (socket->endpoint.netns != m->netns)
                m->others_due_usec = 0;
        manager_look_soon(m);
        return r < 0 ? r : manager_wait(m, m->settling, socket, owner, event->time_usec);
}

/* A look may come before the event of what it shows. Where it found nobody who holds the socket (it
 * has closed by then), the event tells who opened it. Returns as pw_tracker_open(). */
static int open_tracked(struct pw_manager *m, const struct pw_socket *socket, uint64_t opened_usec)
{
        int r = pw_tracker_open(m->tracker, socket, opened_usec);
        void *tag;

        if (r != 0 || !manager_forget_unbelieved(m, socket))
                return r;
        pw_tracker_close(m->tracker, socket, &tag);
        return pw_tracker_open(m->tracker, socket, opened_usec);
}

static int on_opened(struct pw_manager *m, const struct pw_engine_event *event,
                     const struct pw_socket *socket)
{
        struct pw_change change = manager_opened(socket, event->time_usec);
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = NULL;
        const struct pw_opener *opener = &event->opener;
        bool wait;
        int r;

        if (socket->endpoint.port == 0)
                return await_port(m, event, socket);
        r = open_tracked(m, socket, event->time_usec);
        if (r <= 0)
                return r;
        r = find_opener(m, event, &owner);
        if (r == 0)
                r = manager_name_socket(m, &change, owner);
        if (r != 0)
                return PW_MIN(r, 0);
        wait = manager_may_be_one_of_many(socket);
        if (wait)
                pw_fold_count(m->fold, opener->pid, opener->started, socket->endpoint.port);
        else
                r = manager_may_become_expected(m, socket, owner);
        if (r < 0)
                return r;
        return wait || r > 0 ? manager_wait(m, m->settling, socket, owner, event->time_usec)
                             : manager_tell_opened(m, socket, owner, event->time_usec);
}

/* A process that we do not see is of a machine of its own, like those who ask for it there. */
static bool is_seen(const struct pw_manager *m, const struct pw_engine_event *event)
{
        return event->closed || event->socket.endpoint.netns == m->netns || event->opener.pid != 0;
}

static int on_event(void *userdata, const struct pw_engine_event *event)
{
        struct pw_manager *m = userdata;
        struct pw_socket socket = event->socket;
        int r = 0;

        if (!is_seen(m, event))
                return 0;
        for (size_t i = 0; i < PW_ELEMENTS(m->looks); i++)
                m->looks[i].outdated = true;
        r = manager_meet_namespace(m, &socket, event->netns_id, event->opener.pid);
        if (r < 0)
                return r;
        return event->closed ? on_closed(m, &socket, event->time_usec)
                             : on_opened(m, event, &socket);
}

int manager_hear(struct pw_manager *m)
{
        uint64_t lost;
        int r = 0;

        if (!m->engine_source)
                return 0;
        r = pw_engine_read(m->engine, on_event, m);
        manager_forget_opener(m);
        lost = pw_engine_lost(m->engine);
        if (r == -ENOMEM)
                return r;
        /* Everything is looked at anew: what is open is found all the same. */
        if (r < 0 || lost != m->status.events_missed) {
                m->status.events_missed = lost;
                m->seldom_due_usec = m->others_due_usec = 0;
                manager_look_soon(m);
        }
        return 0;
}

static int on_engine(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                     void *userdata)
{
        struct pw_manager *m = userdata;
        int r = manager_hear(m);

        if (r == 0)
                r = manager_publish(m, pw_now_boottime());
        if (r == 0)
                r = manager_commit(m);
        return r < 0 ? r : manager_arm(m);
}

int manager_events_start(struct pw_manager *m)
{
        int fd;

        if (!m->engine || m->engine_source)
                return 0;
        fd = pw_engine_fd(m->engine);
        return fd < 0
                   ? 0
                   : PW_MIN(sd_event_add_io(m->event, &m->engine_source, fd, EPOLLIN, on_engine, m),
                            0);
}
