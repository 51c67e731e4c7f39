/* SPDX-License-Identifier: MIT */
#pragma once

/* Records for the tests of the rules: what is not named is that of a plain server. */

#include <portwatch/record.h>

struct sample {
        uint8_t protocol;    /* 0: TCP */
        uint16_t port;       /* 0: 8080 */
        bool folded;         /* no port at all */
        const char *address; /* NULL: 0.0.0.0 */
        const char *user;    /* NULL: dev */
        uint32_t uid;        /* 0: 1000; UINT32_MAX: 0 */
        const char *exe;     /* NULL: /usr/bin/server; "": not known */
        const char *unit, *user_unit, *container, *netns, *device, *service;
        unsigned traits;
        enum pw_unknown unknown;
        pid_t pid; /* 0: 4711 */
};

static inline char *copy_or_null(const char *text)
{
        return text ? strdup(text) : NULL;
}

static inline struct pw_owner *sample_owner(const struct sample *sample)
{
        struct pw_owner *owner = pw_owner_new();

        owner->user = strdup(sample->user ? sample->user : "dev");
        owner->uid = sample->uid == UINT32_MAX ? 0 : sample->uid ? sample->uid : 1000;
        if (!sample->exe || sample->exe[0])
                owner->exe = strdup(sample->exe ? sample->exe : "/usr/bin/server");
        owner->unit = copy_or_null(sample->unit);
        owner->user_unit = copy_or_null(sample->user_unit);
        owner->container = copy_or_null(sample->container);
        owner->traits = sample->traits;
        owner->unknown = sample->unknown;
        owner->comm = strdup("server");
        owner->pids[0] = sample->pid ? sample->pid : 4711;
        owner->n_pids = owner->n_holders = 1;
        return owner;
}

static inline struct pw_record *sample_record(const struct sample *sample)
{
        struct pw_record *record = pw_record_new();

        record->protocol = sample->protocol ? sample->protocol : PW_TCP;
        record->port = sample->port ? sample->port : 8080;
        if (sample->folded)
                record->port = 0;
        pw_address_parse(sample->address ? sample->address : "0.0.0.0", &record->address);
        pw_shared_set(&record->netns, sample->netns ? sample->netns : PW_NETNS_HOST);
        snprintf(record->device, sizeof record->device, "%s", sample->device ? sample->device : "");
        record->service = sample->service;
        record->owner = sample_owner(sample);
        pw_record_label(record, PW_EPHEMERAL_DEFAULT);
        return record;
}

/* A small generator of our own: the same numbers on every host. */
static inline uint32_t next_random(uint64_t *state)
{
        *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
        return (uint32_t)(*state >> 33);
}
