/* SPDX-License-Identifier: MIT */
/* Holders by the kernel's list of descriptors: no file is read. */

#include "daemon/holders.h"

#include <portwatch/text.h>

/* The process whose descriptors are being told. */
struct listing {
        struct pw_holders *holders;
        pid_t pid;
        uint64_t started;
        uint32_t holder; /* its index in `items`; not set until it holds one of the sockets */
        bool is_holder;
};

static int add_holder(struct listing *listing, const char *comm)
{
        struct pw_holder holder = {.pid = listing->pid, .started = listing->started};

        pw_text_clean(holder.comm, sizeof holder.comm, comm, strlen(comm));
        listing->is_holder = true;
        return pw_holders_add(listing->holders, &holder, &listing->holder);
}

static int on_descriptor(void *userdata, uint32_t inode, pid_t pid, uint64_t started,
                         const char *comm)
{
        struct listing *listing = userdata;
        struct pw_held *held = pw_holders_find(listing->holders, inode);
        int r = 0;

        if (!held || held->settled)
                return 0;
        if (pid == 0) { /* of another process namespace: held, but by nobody that we see */
                listing->holders->hidden = true;
                return 0;
        }
        if (pid != listing->pid || started != listing->started) {
                listing->pid = pid;
                listing->started = started;
                listing->is_holder = false;
        }
        if (!listing->is_holder)
                r = add_holder(listing, comm);
        if (r == 0)
                pw_held_add(listing->holders, held, listing->holder);
        return r;
}

int pw_holders_list(struct pw_holders *holders)
{
        const struct pw_descriptors *descriptors = &holders->proc->descriptors_list;
        struct listing listing = {.holders = holders};
        int r;

        if (!descriptors->list)
                return 1;
        r = descriptors->list(descriptors->userdata, on_descriptor, &listing);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return 1;
        holders->looked_everywhere = true;
        return holders->n_missing > 0 ? 1 : 0;
}
