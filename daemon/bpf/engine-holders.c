/* SPDX-License-Identifier: MIT */
/* The program that lists holders, as a light skeleton: where the running kernel keeps what it reads
 * (CO-RE) is worked out in the kernel. libbpf does that by itself, but reads the description of all
 * types first, which takes several times as long as everything else that a scan does.
 *
 * Needs Linux 5.17. */

#include "daemon/bpf/engine-internal.h"

#include <engine-holders.lskel.h>

#include <sys/mman.h>

/* The kernel rounds each row up to 8 bytes, of which it is a multiple. */
_Static_assert(sizeof(struct record_row) % 8 == 0, "rows follow each other");
#define ROWS_SIZE (RECORD_ROWS_MAX * sizeof(struct record_row))

int engine_holders_open(struct engine_holders *holders)
{
        int r;

        holders->bpf = engine_holders_bpf__open();
        r = holders->bpf ? engine_holders_bpf__load(holders->bpf) : -ENOMEM;
        if (r == 0 && engine_holders_bpf__attach(holders->bpf) < 0)
                r = -errno;
        if (r == 0) {
                holders->rows =
                    mmap(NULL, ROWS_SIZE, PROT_READ, MAP_SHARED, holders->bpf->maps.rows.map_fd, 0);
                if (holders->rows == MAP_FAILED) {
                        holders->rows = NULL;
                        r = -errno;
                }
        }
        if (r < 0) {
                engine_holders_close(holders);
                return r;
        }
        holders->link_fd = holders->bpf->links.list_files_fd;
        holders->progress = &holders->bpf->bss->progress;
        return 0;
}

void engine_holders_close(struct engine_holders *holders)
{
        if (holders->rows)
                munmap(holders->rows, ROWS_SIZE);
        engine_holders_bpf__destroy(holders->bpf);
        *holders = (struct engine_holders){0};
}
