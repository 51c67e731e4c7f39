/* SPDX-License-Identifier: MIT */
/* The network namespaces besides our own: their sockets, as one look, and their names.
 *
 * No cookie is asked for there: what the engine's list and /proc/PID/net both tell is the inode of
 * the socket's file, which is one socket's as long as it lives. So it stands for the cookie in all
 * of them, events included. Whether a socket that a look lacks lives is asked of its holders; where
 * nobody is in the namespace any more, nothing in it can be reached. */

#include "daemon/manager-internal.h"

int manager_spaces_init(struct pw_manager *m)
{
        return pw_namespaces_new(m->proc_fd, m->netns, &m->namespaces);
}

static bool is_ours(const struct pw_manager *m, uint64_t netns)
{
        return netns == 0 || netns == m->netns;
}

int manager_meet_namespace(struct pw_manager *m, struct pw_socket *socket, uint64_t netns_id,
                           pid_t pid)
{
        if (is_ours(m, socket->endpoint.netns))
                return 0;
        socket->cookie = socket->inode ? PW_COOKIE_BY_INODE | socket->inode : 0;
        return pid > 0 ? pw_namespaces_meet(m->namespaces, socket->endpoint.netns, netns_id, pid)
                       : 0;
}

bool manager_namespace_is_gone(const struct pw_manager *m, uint64_t netns)
{
        return !is_ours(m, netns) && !pw_namespaces_find(m->namespaces, netns);
}

const char *manager_netns_name(const struct pw_manager *m, uint64_t netns, char *buffer)
{
        const struct pw_namespace *known;

        if (is_ours(m, netns))
                return PW_NETNS_HOST;
        known = pw_namespaces_find(m->namespaces, netns);
        if (known)
                return known->name;
        snprintf(buffer, PW_NETNS_NAME_MAX, "net:[%llu]", (unsigned long long)netns);
        return buffer;
}

/* Interfaces of other namespaces have numbers of their own. */
const char *manager_device_name(const struct pw_manager *m, char *buffer,
                                const struct pw_endpoint *endpoint)
{
        if (endpoint->ifindex == 0 || is_ours(m, endpoint->netns))
                return pw_device_name(buffer, endpoint->ifindex);
        snprintf(buffer, PW_DEVICE_MAX, "if%u", endpoint->ifindex);
        return buffer;
}

/* ---- one look at all of them ---- */

#define ROWS_AT_LEAST 4096

struct listing {
        struct pw_manager *m;
        struct pw_snapshot *snapshot;
        size_t sort_at; /* so many rows: repeated ones are dropped */
};

static int on_row(void *userdata, const struct pw_engine_row *row)
{
        struct listing *listing = userdata;
        struct pw_socket socket = row->socket, *added;
        int r;

        if (is_ours(listing->m, socket.endpoint.netns) || row->pid == 0)
                return 0;
        r = manager_meet_namespace(listing->m, &socket, row->netns_id, row->pid);
        if (r < 0)
                return r;
        /* A row is a descriptor, of which one socket may have any number. */
        if (listing->snapshot->n_sockets >= listing->sort_at) {
                pw_snapshot_sort(listing->snapshot);
                listing->sort_at = PW_MAX(2 * listing->snapshot->n_sockets, (size_t)ROWS_AT_LEAST);
        }
        added = pw_snapshot_add(listing->snapshot);
        if (!added)
                return -ENOMEM;
        *added = socket;
        return 0;
}

/* The parts of all namespaces that are known, those included that nobody is in any more. */
static int add_parts(struct pw_manager *m, struct pw_snapshot *snapshot)
{
        static const uint8_t protocols[] = {PW_TCP, PW_UDP, PW_UDPLITE};

        for (size_t i = 0; i < pw_namespaces_count(m->namespaces); i++) {
                const struct pw_namespace *item = pw_namespaces_item(m->namespaces, i);

                for (size_t k = 0; k < PW_ELEMENTS(protocols); k++)
                        if (pw_snapshot_add_part(snapshot, item->inode, protocols[k], true) < 0)
                                return -ENOMEM;
        }
        return 0;
}

/* 1: nothing is listed. */
static int list_by_engine(struct pw_manager *m, struct pw_snapshot *snapshot)
{
        struct listing listing = {m, snapshot, ROWS_AT_LEAST};
        int r = m->engine ? pw_engine_holders(m->engine, on_row, &listing) : -EOPNOTSUPP;

        if (r == 0)
                return add_parts(m, snapshot);
        pw_snapshot_clear(snapshot);
        return r == -ENOMEM ? r : 1;
}

static int list_by_proc(struct pw_manager *m, struct pw_snapshot *snapshot)
{
        int r = pw_namespaces_discover(m->namespaces, &m->namespaces_hidden);

        if (r == 0)
                r = pw_namespaces_dump(m->namespaces, snapshot);
        /* The tables say less of a socket than the event that told of it. */
        for (size_t i = 0; r == 0 && i < snapshot->n_sockets; i++)
                pw_tracker_recall(m->tracker, &snapshot->sockets[i]);
        return r;
}

int manager_spaces_dump(struct pw_manager *m, struct pw_snapshot *snapshot)
{
        int r = list_by_engine(m, snapshot);

        if (r > 0)
                r = list_by_proc(m, snapshot);
        /* A look that failed says nothing about who is there. */
        if (r == 0)
                pw_namespaces_forget(m->namespaces);
        return r;
}
