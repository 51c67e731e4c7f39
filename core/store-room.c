/* SPDX-License-Identifier: MIT */
/* Room: before each transaction it is made sure that file and log together stay within their bound.
 *
 * Two things grow. The file does with what is in it, and pruning makes it smaller. The write-ahead
 * log is moved into the file again and again, but not past a reader that does not end; then it
 * grows with each transaction, and all that can be done is to write no more. Invariant: a
 * transaction begins only below the bound and adds little (pw_store_is_long() ends it), so that
 * what is above it is at most PW_STORE_SLACK.
 *
 * Asking costs two stat(2) a transaction; pages are counted only when the bound is near. */

#include "core/store-internal.h"

#include <sqlite3.h>

/* Pages that a transaction may have moved out of the cache and into the log before its end. What is
 * in the cache (1 MiB) comes on top. */
#define TRANSACTION_PAGES 256

void pw_store_limit(struct pw_store *store, uint64_t max_bytes)
{
        store->max_bytes = max_bytes;
}

uint64_t pw_store_log_bytes(const struct pw_store *store)
{
        return store->log_bytes;
}

int pw_store_count_pages(struct pw_store *store, struct pw_pages *ret)
{
        int r = pw_sql_number(store->db, "PRAGMA page_count", &ret->all);

        if (r == 0)
                r = pw_sql_number(store->db, "PRAGMA freelist_count", &ret->free);
        if (r == 0)
                r = pw_sql_number(store->db, "PRAGMA page_size", &ret->size);
        return r;
}

/* 1: no room for another transaction; 0; -errno. A long log counts against the whole file, since it
 * cannot be made shorter; otherwise the pages in use do, as free ones are used first. */
static int is_full(struct pw_store *store)
{
        uint64_t file_bytes = pw_sql_file_size(store->file, "");
        struct pw_pages pages;
        int r;

        store->log_bytes = pw_sql_file_size(store->file, "-wal");
        /* What the log will add to the file is at most its own size. */
        if (store->max_bytes == 0 || file_bytes + 2 * store->log_bytes <= store->max_bytes)
                return 0;
        r = pw_store_count_pages(store, &pages);
        if (r < 0)
                return r;
        if (store->log_bytes > PW_STORE_LOG_BYTES)
                return (uint64_t)(pages.all * pages.size) + store->log_bytes > store->max_bytes;
        return (uint64_t)((pages.all - pages.free) * pages.size) > store->max_bytes;
}

int pw_store_make_room(struct pw_store *store)
{
        int full = is_full(store);

        /* A reader in the way costs a wait, so it is tried again only when the log has grown. */
        if (store->log_bytes > PW_STORE_LOG_BYTES &&
            (full > 0 || store->log_bytes >= store->checkpoint_at)) {
                store->checkpoint_at = store->log_bytes + PW_STORE_LOG_BYTES;
                if (pw_store_checkpoint(store) == 0)
                        full = is_full(store);
        }
        return full > 0 ? PW_STORE_FULL : full;
}

bool pw_store_is_long(struct pw_store *store)
{
        int spilled = 0, most;

        sqlite3_db_status(store->db, SQLITE_DBSTATUS_CACHE_SPILL, &spilled, &most, 0);
        return spilled - store->spilled_before > TRANSACTION_PAGES;
}

void pw_store_count_from_here(struct pw_store *store)
{
        int most;

        sqlite3_db_status(store->db, SQLITE_DBSTATUS_CACHE_SPILL, &store->spilled_before, &most, 0);
}
