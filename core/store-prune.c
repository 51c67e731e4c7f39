/* SPDX-License-Identifier: MIT */
/* Forgetting, in small steps, each one transaction.
 *
 * First what is older than asked for, then, while the file is too large, from the user with most
 * rows, and of that user's from the owner with most: whoever is noisy, by one program or by
 * hundreds of copies of it, pushes out the own history, not that of others. Alerts, and the
 * intervals in which they were raised, go last; what is open never goes. */

#include "core/store-internal.h"

/* Free pages are given back to the file system when they are worth it: they are used again. */
#define FREE_PAGES_KEPT 256
#define VACUUM_STEP "PRAGMA incremental_vacuum(256)"

static bool too_large(struct pw_pages pages, uint64_t max_bytes)
{
        return max_bytes > 0 && (uint64_t)((pages.all - pages.free) * pages.size) > max_bytes;
}

/* Runs one DELETE with a bound and takes what it deleted from *left. */
static int forget(struct pw_call *call, unsigned *left)
{
        int changes, r;

        pw_call_int(call, *left);
        r = pw_call_run(call, &changes);
        if (r == 0)
                *left -= PW_MIN((unsigned)changes, *left);
        return r;
}

static int forget_old(struct pw_store *store, uint64_t before_usec, unsigned *left)
{
        /* Alerts before intervals: without its alert, an interval is as any other. */
        static const enum pw_sql steps[] = {PW_SQL_PRUNE_OLD_EVENTS, PW_SQL_PRUNE_OLD_ALERTS,
                                            PW_SQL_PRUNE_OLD_INTERVALS};

        for (size_t i = 0; i < PW_ELEMENTS(steps) && *left > 0; i++) {
                struct pw_call call = pw_call(store, steps[i]);
                int r;

                pw_call_time(&call, before_usec);
                r = forget(&call, left);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Forgets the oldest of the user's owner with most rows. The user is named by an owner. 1; 0: none
 * has any; -errno. */
static int forget_of_user(struct pw_store *store, int64_t user, unsigned *left)
{
        struct pw_call call = pw_call(store, PW_SQL_PRUNE_LARGEST_OWNER);
        unsigned before = *left;
        int64_t owner;
        int r;

        pw_call_int(&call, user);
        r = pw_call_number(&call, &owner);
        if (r <= 0)
                return r;
        call = pw_call(store, PW_SQL_PRUNE_OWNER_INTERVALS);
        pw_call_int(&call, owner);
        r = forget(&call, left);
        if (r < 0 || *left == 0)
                return r < 0 ? r : 1;
        call = pw_call(store, PW_SQL_PRUNE_OWNER_EVENTS);
        pw_call_int(&call, owner);
        r = forget(&call, left);
        return r < 0 ? r : *left < before;
}

/* Forgets of the user with most rows while it has any, so that users are counted once for many
 * owners; then alerts. 1; 0: all that is left is open; -errno. */
static int forget_of_largest(struct pw_store *store, int64_t *user, unsigned *left)
{
        unsigned before = *left;
        struct pw_call call;
        int r = forget_of_user(store, *user, left);

        if (r != 0)
                return r;
        call = pw_call(store, PW_SQL_PRUNE_LARGEST_USER);
        r = pw_call_number(&call, user);
        if (r > 0)
                r = forget_of_user(store, *user, left);
        if (r != 0)
                return r;
        call = pw_call(store, PW_SQL_PRUNE_ALERTS);
        r = forget(&call, left);
        return r < 0 ? r : *left < before;
}

static int forget_more(struct pw_store *store, uint64_t max_bytes, unsigned *left)
{
        int64_t user = -1; /* not known yet: no owner has it */
        int r = 1;

        while (*left > 0 && r > 0) {
                struct pw_pages pages;

                r = pw_store_count_pages(store, &pages);
                if (r < 0 || !too_large(pages, max_bytes))
                        return r;
                r = forget_of_largest(store, &user, left);
        }
        return PW_MIN(r, 0);
}

/* Gives free pages back. 1: there are more to give; 0; -errno. */
static int shrink(struct pw_store *store)
{
        struct pw_pages pages;
        int r = pw_store_count_pages(store, &pages);

        if (r < 0 || pages.free <= FREE_PAGES_KEPT)
                return r;
        r = pw_sql_exec(store->db, VACUUM_STEP);
        if (r == 0)
                r = pw_store_count_pages(store, &pages);
        return r < 0 ? r : pages.free > FREE_PAGES_KEPT;
}

static int prune(struct pw_store *store, uint64_t before_usec, uint64_t max_bytes,
                 unsigned max_rows)
{
        unsigned left = max_rows;
        int r = forget_old(store, before_usec, &left);

        if (r == 0 && left < max_rows)
                r = pw_store_meta_set(store, PW_META_FORGOTTEN, (int64_t)before_usec);
        if (r == 0)
                r = forget_more(store, max_bytes, &left);
        if (r == 0)
                r = shrink(store);
        return r < 0 ? r : r > 0 || (max_rows > 0 && left == 0);
}

int pw_store_prune(struct pw_store *store, uint64_t before_usec, uint64_t max_bytes,
                   unsigned max_rows)
{
        int r = pw_store_make_room(store);

        /* Pruning makes the file smaller, but the log longer. */
        if (r < 0 || (r == PW_STORE_FULL && store->log_bytes > PW_STORE_LOG_BYTES))
                return r;
        r = pw_store_begin(store);
        if (r == 0)
                r = prune(store, before_usec, max_bytes, max_rows);
        return pw_store_end(store, r);
}
