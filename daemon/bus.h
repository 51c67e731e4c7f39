/* SPDX-License-Identifier: MIT */
#pragma once

/* What only the service manager knows, asked over D-Bus. Nothing here blocks: questions are sent,
 * answers come by the event loop; a bus that is not there is an answer, too. */

#include <portwatch/owner.h>

typedef struct sd_event sd_event;

struct pw_bus;

enum pw_boot {
        PW_BOOT_DONE,
        PW_BOOT_UNDER_WAY,
        PW_BOOT_UNKNOWN, /* no bus, or no answer that makes sense */
};

/* A place where a socket unit listens, as systemd writes it. */
struct pw_bus_place {
        char unit[PW_UNIT_MAX]; /* "x.socket", clean text */
        bool datagram;
        char address[64]; /* "0.0.0.0:80", "[::]:80", clean text */
};

/* Who hears the answers. */
struct pw_bus_answers {
        void (*boot)(void *userdata, enum pw_boot boot); /* to pw_bus_ask_boot() */
        /* to pw_bus_ask_sockets(): all places, none where they cannot be asked for */
        void (*sockets)(void *userdata, const struct pw_bus_place *places, size_t n);
        void *userdata;
};

/* 0 or -ENOMEM. */
int pw_bus_new(sd_event *event, struct pw_bus_answers answers, struct pw_bus **ret);
void pw_bus_free(struct pw_bus *bus);
PW_DEFINE_CLEANUP(struct pw_bus *, pw_bus_free)

/* Asks whether the host has finished booting; connects first where that has not been done. Without
 * a bus the answer (PW_BOOT_UNKNOWN) comes at once. */
void pw_bus_ask_boot(struct pw_bus *bus);

/* Asks for all socket units and where they listen (at most PW_BUS_UNITS_MAX units). A question that
 * is under way answers for a second one. */
#define PW_BUS_UNITS_MAX 512
void pw_bus_ask_sockets(struct pw_bus *bus);
