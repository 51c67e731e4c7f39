/* SPDX-License-Identifier: MIT */
/* What the manager asks of systemd: whether the host has finished booting, and which socket unit is
 * behind a socket that PID 1 holds, where the socket's control group does not tell. Without systemd
 * or without a bus nothing waits for an answer. */

#include "daemon/manager-internal.h"

#include <systemd/sd-daemon.h>

#define BOOT_ASK_USEC (5 * PW_USEC_PER_SEC)
#define BOOT_ASKS_MAX 6    /* without an answer */
#define BOOT_ASKS_MOST 120 /* ten minutes: some unit does not come up, and the host is in use */
#define BOOT_SETTLE_USEC PW_USEC_PER_MINUTE
#define NAMES_SETTLE_USEC (2 * PW_USEC_PER_SEC) /* the names of socket units come first */
#define NAMELESS_MAX 1024

/* While the host boots, services open their ports one after the other: what is learned then would
 * be a part of it. So learning goes on until systemd says that it has finished, and a little
 * longer. */
static void on_boot(void *userdata, enum pw_boot boot)
{
        struct pw_manager *m = userdata;
        uint64_t now_usec = pw_now_boottime();

        if (boot == PW_BOOT_UNDER_WAY ||
            (boot == PW_BOOT_UNKNOWN && m->boot_asked < BOOT_ASKS_MAX)) {
                (void)manager_schedule_now(m, CHORE_BOOT, now_usec + BOOT_ASK_USEC);
                return;
        }
        if (!m->ready)
                m->booting = false; /* the first look learns */
        else if (m->boot_asked <= 1 || boot == PW_BOOT_UNKNOWN)
                (void)manager_schedule_now(m, CHORE_LEARNED,
                                           now_usec + (m->n_nameless > 0 ? NAMES_SETTLE_USEC : 0));
        else
                (void)manager_schedule_now(m, CHORE_LEARNED, now_usec + BOOT_SETTLE_USEC);
}

int manager_ask_boot(struct pw_manager *m)
{
        m->boot_asked++;
        pw_bus_ask_boot(m->bus);
        return 0;
}

/* ---- socket units ---- */

static bool has_socket_unit(const struct pw_owner *owner)
{
        return pw_text_glob("*.socket", owner->unit);
}

int manager_name_socket(struct pw_manager *m, const struct pw_change *opened,
                        struct pw_owner *owner)
{
        int r;

        if (!m->bus || owner->n_pids == 0 || owner->pids[0] != 1 || has_socket_unit(owner) ||
            m->n_nameless == NAMELESS_MAX)
                return 0;
        r = pw_array_reserve(&m->nameless, &m->nameless_capacity, m->n_nameless + 1,
                             sizeof *m->nameless);
        if (r < 0)
                return r;
        m->nameless[m->n_nameless++] = (struct nameless_socket){*opened, pw_owner_ref(owner)};
        manager_schedule(m, CHORE_UNITS, 0);
        return 1;
}

int manager_ask_units(struct pw_manager *m)
{
        if (m->n_asked > 0) /* the answer to the question that is out asks again */
                return 0;
        m->n_asked = m->n_nameless;
        pw_bus_ask_sockets(m->bus);
        return 0;
}

/* systemd writes `[::]:80` for what takes IPv4 as well. */
static const struct pw_bus_place *find_place(const struct pw_socket *socket,
                                             const struct pw_bus_place *places, size_t n)
{
        char address[PW_ADDRESS_MAX], place[PW_ADDRESS_PORT_MAX];

        pw_address_format(address, sizeof address, &socket->endpoint.address);
        if (strcmp(address, "*") == 0)
                strcpy(address, "::");
        pw_address_port_format(place, sizeof place, address, NULL, socket->endpoint.port);
        for (size_t i = 0; i < n; i++)
                if (places[i].datagram == (socket->endpoint.protocol != PW_TCP) &&
                    strcmp(places[i].address, place) == 0)
                        return &places[i];
        return NULL;
}

/* Without an answer it is PID 1's, for no unit that is known. */
static int name_one(struct pw_manager *m, const struct nameless_socket *nameless,
                    const struct pw_bus_place *place)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = pw_owner_copy(nameless->owner);

        if (!pw_tracker_knows(m->tracker, &nameless->opened.socket, nameless->opened.since_usec))
                return 0;
        if (!owner || (place && pw_text_set(&owner->unit, place->unit) < 0))
                return -ENOMEM;
        return manager_attach(m, &nameless->opened, owner, NULL);
}

static void on_sockets(void *userdata, const struct pw_bus_place *places, size_t n)
{
        struct pw_manager *m = userdata;
        int r = 0;

        for (size_t i = 0; i < m->n_asked; i++) {
                struct nameless_socket *nameless = &m->nameless[i];

                if (r == 0)
                        r = name_one(m, nameless, find_place(&nameless->opened.socket, places, n));
                pw_owner_unref(nameless->owner);
        }
        m->n_nameless -= m->n_asked;
        memmove(m->nameless, m->nameless + m->n_asked, m->n_nameless * sizeof *m->nameless);
        m->n_asked = 0;
        if (m->n_nameless > 0)
                (void)manager_schedule_now(m, CHORE_UNITS, pw_now_boottime() + NAMES_SETTLE_USEC);
        if (r == 0 && m->ready)
                r = manager_publish(m, pw_now_boottime());
        if (r == 0)
                r = manager_commit(m);
        if (r < 0)
                sd_event_exit(m->event, r);
}

int manager_bus_init(struct pw_manager *m)
{
        const struct pw_bus_answers answers = {on_boot, on_sockets, m};

        if (sd_booted() <= 0)
                return 0;
        if (m->learning) {
                m->booting = true;
                manager_schedule(m, CHORE_BOOT, 0);
        }
        return pw_bus_new(m->event, answers, &m->bus);
}
