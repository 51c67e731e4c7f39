/* SPDX-License-Identifier: MIT */
#pragma once

/* What only the service manager knows, asked over D-Bus. Nothing here blocks: questions are sent, answers
 * come by the event loop; a bus that is not there is an answer, too. */

#include <portwatch/base.h>

typedef struct sd_event sd_event;

struct pw_bus;

enum pw_boot {
        PW_BOOT_DONE,
        PW_BOOT_UNDER_WAY,
        PW_BOOT_UNKNOWN, /* no bus, or no answer that makes sense */
};

/* `on_boot` hears each answer to pw_bus_ask_boot(). 0 or -ENOMEM. */
int pw_bus_new(sd_event *event, void (*on_boot)(void *userdata, enum pw_boot boot), void *userdata,
               struct pw_bus **ret);
void pw_bus_free(struct pw_bus *bus);
PW_DEFINE_CLEANUP(struct pw_bus *, pw_bus_free)

/* Asks whether the host has finished booting; connects first where that has not been done. Without a bus
 * the answer (PW_BOOT_UNKNOWN) comes at once. */
void pw_bus_ask_boot(struct pw_bus *bus);
