/* SPDX-License-Identifier: MIT */
/* Questions to systemd by sd-bus (org.freedesktop.systemd1, see org.freedesktop.systemd1(5)).
 *
 * Invariant: each question has exactly one answer; a connection that broke is closed and made anew by the
 * next question. */

#include "daemon/bus.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define DESTINATION "org.freedesktop.systemd1"
#define ANSWER_USEC (5 * PW_USEC_PER_SEC)

struct pw_bus {
        sd_event *event;
        sd_bus *bus;
        void (*on_boot)(void *userdata, enum pw_boot boot);
        void *userdata;
};

int pw_bus_new(sd_event *event, void (*on_boot)(void *userdata, enum pw_boot boot), void *userdata,
               struct pw_bus **ret)
{
        struct pw_bus *bus = calloc(1, sizeof *bus);

        if (!bus)
                return -ENOMEM;
        bus->event = sd_event_ref(event);
        bus->on_boot = on_boot;
        bus->userdata = userdata;
        *ret = bus;
        return 0;
}

static void disconnect(struct pw_bus *bus)
{
        bus->bus = sd_bus_close_unref(bus->bus);
}

void pw_bus_free(struct pw_bus *bus)
{
        if (!bus)
                return;
        disconnect(bus);
        sd_event_unref(bus->event);
        free(bus);
}

static int connect_bus(struct pw_bus *bus)
{
        int r;

        if (bus->bus && sd_bus_is_open(bus->bus) > 0)
                return 0;
        disconnect(bus);
        r = sd_bus_open_system(&bus->bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus->bus, ANSWER_USEC);
        if (r >= 0)
                r = sd_bus_attach_event(bus->bus, bus->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                disconnect(bus);
        return r;
}

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *error _unused_)
{
        struct pw_bus *bus = userdata;
        enum pw_boot boot = PW_BOOT_UNKNOWN;
        const char *state;

        if (!sd_bus_message_is_method_error(reply, NULL) &&
            sd_bus_message_read(reply, "v", "s", &state) >= 0)
                boot = strcmp(state, "initializing") == 0 || strcmp(state, "starting") == 0
                           ? PW_BOOT_UNDER_WAY
                           : PW_BOOT_DONE;
        bus->on_boot(bus->userdata, boot);
        return 0;
}

void pw_bus_ask_boot(struct pw_bus *bus)
{
        int r = connect_bus(bus);

        if (r >= 0)
                r = sd_bus_call_method_async(bus->bus, NULL, DESTINATION, "/org/freedesktop/systemd1",
                                             "org.freedesktop.DBus.Properties", "Get", on_state, bus,
                                             "ss", DESTINATION ".Manager", "SystemState");
        if (r < 0)
                bus->on_boot(bus->userdata, PW_BOOT_UNKNOWN);
}
