/* SPDX-License-Identifier: MIT */
/* Writes that wait for the store: plain values that own what they point to, kept in order. */

#include <portwatch/store.h>

static void write_done(struct pw_write *write)
{
        pw_record_unref(write->record);
        pw_record_unref(write->previous);
        free(write->detail);
}

int pw_writes_add(struct pw_writes *writes, struct pw_write write)
{
        if (pw_array_reserve(&writes->items, &writes->capacity, writes->n + 1,
                             sizeof *writes->items) < 0) {
                write_done(&write);
                return -ENOMEM;
        }
        writes->items[writes->n++] = write;
        return 0;
}

void pw_writes_drop(struct pw_writes *writes, size_t n)
{
        n = PW_MIN(n, writes->n);
        for (size_t i = 0; i < n; i++)
                write_done(&writes->items[i]);
        writes->n -= n;
        if (n > 0 && writes->n > 0)
                memmove(writes->items, writes->items + n, writes->n * sizeof *writes->items);
}

void pw_writes_done(struct pw_writes *writes)
{
        pw_writes_drop(writes, writes->n);
        free(writes->items);
        *writes = (struct pw_writes){0};
}
