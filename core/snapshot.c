/* SPDX-License-Identifier: MIT */
/* Snapshots: two growing arrays. Clearing keeps the memory, so that a poller which looks again and
 * again allocates only while the host has more sockets than ever before. */

#include <portwatch/snapshot.h>

/* Snapshots are compared as bytes, so that no byte of a row may be padding. */
_Static_assert(sizeof(struct pw_address) == 18, "no padding");
_Static_assert(sizeof(struct pw_endpoint) == 8 + 4 + 2 + 1 + sizeof(struct pw_address) +
                                                 sizeof(((struct pw_endpoint *)NULL)->reserved),
               "no padding");
_Static_assert(sizeof(struct pw_socket) == 8 + 8 + sizeof(struct pw_endpoint) + 4 + 4,
               "no padding");
_Static_assert(sizeof(struct pw_part) == 8 + 1 + 1 + sizeof(((struct pw_part *)NULL)->reserved),
               "no padding");

void pw_snapshot_clear(struct pw_snapshot *snapshot)
{
        snapshot->n_sockets = 0;
        snapshot->n_parts = 0;
}

void pw_snapshot_done(struct pw_snapshot *snapshot)
{
        free(snapshot->sockets);
        free(snapshot->parts);
        *snapshot = (struct pw_snapshot){0};
}

struct pw_socket *pw_snapshot_add(struct pw_snapshot *snapshot)
{
        struct pw_socket *row;

        /* Asked for every row of every look: where there is room, no call is made. */
        if (snapshot->n_sockets == snapshot->sockets_capacity &&
            pw_array_reserve(&snapshot->sockets, &snapshot->sockets_capacity,
                             snapshot->n_sockets + 1, sizeof *snapshot->sockets) < 0)
                return NULL;
        row = &snapshot->sockets[snapshot->n_sockets++];
        *row = (struct pw_socket){0};
        return row;
}

int pw_snapshot_add_part(struct pw_snapshot *snapshot, uint64_t netns, uint8_t protocol,
                         bool complete)
{
        if (pw_array_reserve(&snapshot->parts, &snapshot->parts_capacity, snapshot->n_parts + 1,
                             sizeof *snapshot->parts) < 0)
                return -ENOMEM;
        snapshot->parts[snapshot->n_parts++] = (struct pw_part){
            .netns = netns,
            .protocol = protocol,
            .complete = complete,
        };
        return 0;
}

bool pw_snapshot_is_complete(const struct pw_snapshot *snapshot, uint64_t netns, uint8_t protocol)
{
        for (size_t i = 0; i < snapshot->n_parts; i++)
                if (snapshot->parts[i].netns == netns && snapshot->parts[i].protocol == protocol)
                        return snapshot->parts[i].complete;
        return false;
}

static bool same_bytes(const void *a, size_t n_a, const void *b, size_t n_b, size_t item_size)
{
        return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * item_size) == 0);
}

bool pw_snapshot_equal(const struct pw_snapshot *a, const struct pw_snapshot *b)
{
        return same_bytes(a->parts, a->n_parts, b->parts, b->n_parts, sizeof *a->parts) &&
               same_bytes(a->sockets, a->n_sockets, b->sockets, b->n_sockets, sizeof *a->sockets);
}

/* Total as far as two rows can be told apart, so that the outcome does not depend on the order in
 * which the kernel gave them. */
static int compare_rows(const void *a, const void *b)
{
        const struct pw_socket *x = a, *y = b;
        int r;

        if (x->cookie != y->cookie)
                return x->cookie < y->cookie ? -1 : 1;
        r = pw_endpoint_compare(&x->endpoint, &y->endpoint);
        return r != 0 ? r : memcmp(x, y, sizeof *x);
}

static bool same_socket(const struct pw_socket *a, const struct pw_socket *b)
{
        return a->cookie == b->cookie && pw_endpoint_compare(&a->endpoint, &b->endpoint) == 0;
}

void pw_snapshot_sort(struct pw_snapshot *snapshot)
{
        struct pw_socket *rows = snapshot->sockets;
        size_t kept = 0;

        if (snapshot->n_sockets < 2)
                return;
        qsort(rows, snapshot->n_sockets, sizeof *rows, compare_rows);
        for (size_t i = 0; i < snapshot->n_sockets; i++)
                if (kept == 0 || rows[i].cookie == 0 || !same_socket(&rows[i], &rows[kept - 1]))
                        rows[kept++] = rows[i];
        snapshot->n_sockets = kept;
}

int pw_snapshot_copy(struct pw_snapshot *copy, const struct pw_snapshot *source)
{
        if (pw_array_reserve(&copy->sockets, &copy->sockets_capacity, source->n_sockets,
                             sizeof *copy->sockets) < 0 ||
            pw_array_reserve(&copy->parts, &copy->parts_capacity, source->n_parts,
                             sizeof *copy->parts) < 0)
                return -ENOMEM;
        if (source->n_sockets > 0)
                memcpy(copy->sockets, source->sockets, source->n_sockets * sizeof *copy->sockets);
        if (source->n_parts > 0)
                memcpy(copy->parts, source->parts, source->n_parts * sizeof *copy->parts);
        copy->n_sockets = source->n_sockets;
        copy->n_parts = source->n_parts;
        return 0;
}
