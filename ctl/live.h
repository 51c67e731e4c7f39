/* SPDX-License-Identifier: MIT */
#pragma once

/* The live answer, with no daemon and no history: one dump, one search for owners, and the records
 * that follow. */

#include <portwatch/iana.h>
#include <portwatch/record.h>

struct pw_live_request {
        const char *replay; /* a recording instead of the kernel; NULL */
        const char *record; /* also write the dump to this file; NULL */
        bool sockets;       /* one record a socket, not one a listener */
        bool identify;      /* fill in listener_id */
        bool one_port;      /* only `port`, so that nobody else's owner is searched for */
        uint16_t port;
        const struct pw_services *services;
};

struct pw_live {
        struct pw_records records; /* in pw_record_compare() order */
        struct pw_ports ephemeral;
        bool hidden;     /* there are processes that may not be looked into */
        size_t unknown;  /* records without a known owner */
        char error[256]; /* failure, or (returned 1) what could not be dumped */
};

/* Returns 0; 1: a protocol could not be dumped, `ret->error` says which; or -errno with
 * `ret->error` naming what failed. */
int pw_live_look(const struct pw_live_request *request, struct pw_live *ret);
void pw_live_done(struct pw_live *live);
