/* SPDX-License-Identifier: MIT */
/* All wait for the same time, so they are due in the order in which they came: a queue. Those that
 * are still open are in a tree by cookie, too, where closings look for them.
 *
 * Invariant: a socket is in the tree as long as its `closed_usec` is 0. Two with one cookie (closed
 * and bound elsewhere, without the closing being told) are two in the queue; the tree has the first
 * of them. */

#include "daemon/waiting.h"

#include <search.h>

struct pw_waiting {
        struct pw_waiting_socket *first, **end;
        void *by_cookie;
        size_t n;
        uint64_t delay_usec;
};

int pw_waiting_new(uint64_t delay_usec, struct pw_waiting **ret)
{
        struct pw_waiting *waiting = calloc(1, sizeof *waiting);

        if (!waiting)
                return -ENOMEM;
        waiting->end = &waiting->first;
        waiting->delay_usec = delay_usec;
        *ret = waiting;
        return 0;
}

static void ignore_node(void *node _unused_)
{
}

void pw_waiting_free(struct pw_waiting *waiting)
{
        if (!waiting)
                return;
        tdestroy(waiting->by_cookie, ignore_node);
        while (waiting->first) {
                struct pw_waiting_socket *socket = waiting->first;

                waiting->first = socket->next;
                pw_waiting_socket_free(socket);
        }
        free(waiting);
}

void pw_waiting_socket_free(struct pw_waiting_socket *socket)
{
        if (!socket)
                return;
        pw_owner_unref(socket->owner);
        free(socket);
}

static int compare_cookies(const void *a, const void *b)
{
        uint64_t x = ((const struct pw_waiting_socket *)a)->socket.cookie;
        uint64_t y = ((const struct pw_waiting_socket *)b)->socket.cookie;

        return (x > y) - (x < y);
}

int pw_waiting_add(struct pw_waiting *waiting, const struct pw_socket *socket,
                   struct pw_owner *owner, uint64_t opened_usec, uint64_t now_usec)
{
        struct pw_waiting_socket *new = calloc(1, sizeof *new);

        if (!new)
                return -ENOMEM;
        new->socket = *socket;
        new->opened_usec = opened_usec;
        new->due_usec = now_usec + waiting->delay_usec;
        if (!tsearch(new, &waiting->by_cookie, compare_cookies)) {
                free(new);
                return -ENOMEM;
        }
        new->owner = pw_owner_ref(owner);
        *waiting->end = new;
        waiting->end = &new->next;
        waiting->n++;
        return 0;
}

bool pw_waiting_close(struct pw_waiting *waiting, const struct pw_socket *socket,
                      uint64_t closed_usec)
{
        struct pw_waiting_socket key = {.socket = *socket};
        struct pw_waiting_socket **node = tfind(&key, &waiting->by_cookie, compare_cookies);
        struct pw_waiting_socket *found;

        if (!node)
                return false;
        found = *node;
        found->closed_usec = closed_usec;
        if (found->socket.endpoint.port == 0)
                found->socket.endpoint = socket->endpoint;
        tdelete(found, &waiting->by_cookie, compare_cookies);
        return true;
}

struct pw_waiting_socket *pw_waiting_take(struct pw_waiting *waiting, uint64_t now_usec,
                                          size_t limit)
{
        struct pw_waiting_socket *socket = waiting->first, **node;

        if (!socket || (socket->due_usec > now_usec && waiting->n <= limit))
                return NULL;
        node = tfind(socket, &waiting->by_cookie, compare_cookies);
        if (node && *node == socket)
                tdelete(socket, &waiting->by_cookie, compare_cookies);
        waiting->first = socket->next;
        if (!waiting->first)
                waiting->end = &waiting->first;
        waiting->n--;
        socket->next = NULL;
        return socket;
}

uint64_t pw_waiting_due(const struct pw_waiting *waiting)
{
        return waiting->first ? waiting->first->due_usec : PW_USEC_INFINITY;
}
