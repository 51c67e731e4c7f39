/* SPDX-License-Identifier: MIT */
/* Questions to systemd by sd-bus (org.freedesktop.systemd1, see org.freedesktop.systemd1(5)).
 *
 * Invariant: each question has exactly one answer; a connection that broke is closed and made anew
 * by the next question. The question for socket units is one call for their list and one for each
 * of them; its answer comes with the last reply (`waiting` counts those that are still out). */

#include "daemon/bus.h"

#include <portwatch/text.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER "/org/freedesktop/systemd1"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define ANSWER_USEC (5 * PW_USEC_PER_SEC)

struct pw_bus {
        sd_event *event;
        sd_bus *bus;
        struct pw_bus_answers answers;
        struct pw_bus_place *places;
        size_t n_places, places_capacity;
        size_t waiting;
};

/* What a reply about one unit is for. */
struct unit_question {
        struct pw_bus *bus;
        char unit[PW_UNIT_MAX];
};

int pw_bus_new(sd_event *event, struct pw_bus_answers answers, struct pw_bus **ret)
{
        struct pw_bus *bus = calloc(1, sizeof *bus);

        if (!bus)
                return -ENOMEM;
        bus->event = sd_event_ref(event);
        bus->answers = answers;
        *ret = bus;
        return 0;
}

static void disconnect(struct pw_bus *bus)
{
        bus->bus = sd_bus_close_unref(bus->bus);
        bus->waiting = bus->n_places = 0; /* replies that were out do not come any more */
}

void pw_bus_free(struct pw_bus *bus)
{
        if (!bus)
                return;
        disconnect(bus);
        sd_event_unref(bus->event);
        free(bus->places);
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
        bus->answers.boot(bus->answers.userdata, boot);
        return 0;
}

void pw_bus_ask_boot(struct pw_bus *bus)
{
        int r = connect_bus(bus);

        if (r >= 0)
                r = sd_bus_call_method_async(bus->bus, NULL, DESTINATION, MANAGER, PROPERTIES,
                                             "Get", on_state, bus, "ss", DESTINATION ".Manager",
                                             "SystemState");
        if (r < 0)
                bus->answers.boot(bus->answers.userdata, PW_BOOT_UNKNOWN);
}

/* ---- socket units ---- */

static void one_reply_less(struct pw_bus *bus)
{
        if (--bus->waiting > 0)
                return;
        bus->answers.sockets(bus->answers.userdata, bus->places, bus->n_places);
        bus->n_places = 0;
}

static void clean_copy(char *buffer, size_t size, const char *text)
{
        pw_text_clean(buffer, size, text, strlen(text));
}

/* Reads Listen, a variant of a(ss): kind and address. */
static void read_places(struct pw_bus *bus, const char *unit, sd_bus_message *reply)
{
        const char *kind, *address;

        if (sd_bus_message_enter_container(reply, 'v', "a(ss)") < 0 ||
            sd_bus_message_enter_container(reply, 'a', "(ss)") < 0)
                return;
        while (sd_bus_message_read(reply, "(ss)", &kind, &address) > 0) {
                struct pw_bus_place *place;

                if (pw_array_reserve(&bus->places, &bus->places_capacity, bus->n_places + 1,
                                     sizeof *bus->places) < 0)
                        return;
                place = &bus->places[bus->n_places++];
                place->datagram = strcmp(kind, "Datagram") == 0;
                clean_copy(place->unit, sizeof place->unit, unit);
                clean_copy(place->address, sizeof place->address, address);
        }
}

static int on_unit(sd_bus_message *reply, void *userdata, sd_bus_error *error _unused_)
{
        struct unit_question *question = userdata;
        struct pw_bus *bus = question->bus;

        if (!sd_bus_message_is_method_error(reply, NULL))
                read_places(bus, question->unit, reply);
        one_reply_less(bus);
        return 0;
}

static void ask_unit(struct pw_bus *bus, const char *unit, const char *path)
{
        struct unit_question *question = calloc(1, sizeof *question);
        sd_bus_slot *slot = NULL;

        if (!question)
                return;
        question->bus = bus;
        clean_copy(question->unit, sizeof question->unit, unit);
        if (sd_bus_call_method_async(bus->bus, &slot, DESTINATION, path, PROPERTIES, "Get", on_unit,
                                     question, "ss", DESTINATION ".Socket", "Listen") < 0) {
                free(question);
                return;
        }
        /* The question lives as long as its slot, and that as long as the call. */
        sd_bus_slot_set_destroy_callback(slot, free);
        sd_bus_slot_set_floating(slot, 1);
        sd_bus_slot_unref(slot);
        bus->waiting++;
}

static int on_units(sd_bus_message *reply, void *userdata, sd_bus_error *error _unused_)
{
        struct pw_bus *bus = userdata;
        const char *unit, *path;
        size_t n = 0;

        if (!sd_bus_message_is_method_error(reply, NULL) &&
            sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") >= 0)
                while (n++ < PW_BUS_UNITS_MAX &&
                       sd_bus_message_read(reply, "(ssssssouso)", &unit, NULL, NULL, NULL, NULL,
                                           NULL, &path, NULL, NULL, NULL) > 0)
                        ask_unit(bus, unit, path);
        one_reply_less(bus);
        return 0;
}

void pw_bus_ask_sockets(struct pw_bus *bus)
{
        int r;

        if (bus->waiting > 0)
                return;
        bus->waiting = 1;
        r = connect_bus(bus);
        if (r >= 0)
                r = sd_bus_call_method_async(bus->bus, NULL, DESTINATION, MANAGER,
                                             DESTINATION ".Manager", "ListUnitsByPatterns",
                                             on_units, bus, "asas", 0, 1, "*.socket");
        if (r < 0)
                one_reply_less(bus);
}
