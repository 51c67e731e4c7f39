/* SPDX-License-Identifier: MIT */
/* Holders by the kernel's list of descriptors: no file is read. */

#include "daemon/holders.h"

#include <portwatch/text.h>

/* The process whose descriptors are being told. */
struct listing {
        struct pw_holders *holders;
        pid_t pid;
        uint64_t started;
        pid_t highest;   /* that has been added */
        size_t first;    /* of `items` that is of this list */
        uint32_t holder; /* its index in `items`; not set until it holds one of the sockets */
        bool is_holder;
};

/* Processes come in the order of their numbers, but for threads with a table of their own. */
static bool has_holder(struct listing *listing)
{
        const struct pw_holders *holders = listing->holders;

        if (listing->pid > listing->highest) {
                listing->highest = listing->pid;
                return false;
        }
        for (size_t i = holders->n_items; i-- > listing->first;)
                if (holders->items[i].pid == listing->pid &&
                    holders->items[i].started == listing->started) {
                        listing->holder = (uint32_t)i;
                        return true;
                }
        return false;
}

static int add_holder(struct listing *listing, const char *comm)
{
        struct pw_holder holder = {.pid = listing->pid, .started = listing->started};

        if (has_holder(listing)) {
                listing->is_holder = true;
                return 0;
        }
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

/* What a list told before it failed is a part of the holders: not to be taken for all of them. */
static void forget_unsettled(struct pw_holders *holders)
{
        for (size_t i = 0; i < holders->n_inodes; i++) {
                struct pw_held *held = &holders->held[i];

                if (held->settled)
                        continue;
                holders->n_missing += held->n_holders > 0;
                *held = (struct pw_held){0};
        }
}

int pw_holders_list(struct pw_holders *holders)
{
        const struct pw_descriptors *descriptors = &holders->proc->descriptors_list;
        struct listing listing = {.holders = holders, .first = holders->n_items};
        int r;

        if (!descriptors->list)
                return 2;
        r = descriptors->list(descriptors->userdata, on_descriptor, &listing);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                forget_unsettled(holders);
                return 2;
        }
        holders->looked_everywhere = true;
        return holders->n_missing > 0 ? 1 : 0;
}
