/* SPDX-License-Identifier: MIT */
/* The event engine as the manager has it: what of it works, and the lists by which it names owners.
 */

#include "daemon/manager-internal.h"

#define SETTLE_USEC (1 * PW_USEC_PER_SEC)
#define RING_BYTES (1u << 20)

static bool works(const struct pw_manager *m, enum pw_engine_part part)
{
        return m->engine && pw_engine_works(m->engine, part);
}

bool manager_hears_all(const struct pw_manager *m)
{
        return works(m, PW_ENGINE_TCP) && works(m, PW_ENGINE_UDP);
}

/* ---- the kernel's own ---- */

/* Owners of sockets that no process holds, while the engine lists all sockets. */
struct ownerless {
        struct pw_manager *m;
        const struct pw_socket *const *sockets;
        struct pw_owner **owners;
        size_t n;
};

static int on_socket(void *userdata, const struct pw_engine_row *row)
{
        const struct ownerless *ownerless = userdata;
        struct pw_owner *kernel = NULL;
        int r = 0;

        if (!(row->flags & PW_SOCKET_KERNEL))
                return 0;
        for (size_t i = 0; r == 0 && i < ownerless->n; i++) {
                struct pw_owner **owner = &ownerless->owners[i];

                if ((*owner)->unknown != PW_UNKNOWN_NO_HOLDER ||
                    ownerless->sockets[i]->cookie != row->socket.cookie)
                        continue;
                r = pw_attribution_kernel(ownerless->m->attribution, row->socket.uid, &kernel);
                if (r < 0)
                        return r;
                pw_owner_unref(*owner);
                *owner = kernel;
        }
        return r;
}

int manager_find_kernels(struct pw_manager *m, const struct pw_socket *const *sockets,
                         struct pw_owner **owners, size_t n)
{
        struct ownerless ownerless = {m, sockets, owners, n};
        bool wanted[2] = {false, false};
        int r = 0;

        if (!works(m, PW_ENGINE_SOCKETS))
                return 0;
        for (size_t i = 0; i < n; i++)
                if (owners[i]->unknown == PW_UNKNOWN_NO_HOLDER)
                        wanted[sockets[i]->endpoint.protocol == PW_TCP] = true;
        for (size_t i = 0; r != -ENOMEM && i < PW_ELEMENTS(wanted); i++)
                if (wanted[i])
                        r = pw_engine_sockets(m->engine, i == 1 ? PW_TCP : PW_UDP, on_socket,
                                              &ownerless);
        return r == -ENOMEM ? r : 0; /* else nothing is proven */
}

void manager_list_by_engine(struct pw_manager *m)
{
        if (works(m, PW_ENGINE_HOLDERS))
                pw_attribution_list_by(m->attribution,
                                       (struct pw_descriptors){pw_engine_descriptors, m->engine});
}

int manager_engine_init(struct pw_manager *m)
{
        struct pw_engine_options options = {
            .parts = PW_ENGINE_EVENTS | PW_ENGINE_LISTS,
            .cgroup_fd = m->cgroup_fd,
            .ring_size = RING_BYTES,
            .refuse = getenv("PORTWATCH_REFUSE"),
        };
        int r = pw_fold_new(&m->fold);

        if (r == 0)
                r = pw_waiting_new(SETTLE_USEC, &m->settling);
        if (r == 0)
                r = pw_waiting_new(m->config.ephemeral_dwell_usec, &m->dwelling);
        if (r == 0 && m->config.events)
                r = pw_engine_open(&options, &m->engine);
        return r;
}

void manager_engine_done(struct pw_manager *m)
{
        manager_forget_opener(m);
        sd_event_source_disable_unref(m->engine_source);
        pw_engine_close(m->engine);
        pw_waiting_free(m->settling);
        pw_waiting_free(m->dwelling);
        pw_fold_free(m->fold);
}
