/* SPDX-License-Identifier: MIT */
/* The program that lists holders, as a light skeleton: where the running kernel keeps what it reads
 * (CO-RE) is worked out in the kernel. libbpf does that by itself, but reads the description of all
 * types first, which takes several times as long as everything else that a scan does.
 *
 * Needs Linux 5.17. */

#include "daemon/bpf/engine-internal.h"

#include <engine-holders.lskel.h>

#include <sys/mman.h>

int engine_holders_open(struct engine_holders *holders)
{
        int r;

        holders->bpf = engine_holders_bpf__open();
        r = holders->bpf ? engine_holders_bpf__load(holders->bpf) : -ENOMEM;
        if (r == 0 && engine_holders_bpf__attach(holders->bpf) < 0)
                r = -errno;
        if (r == 0) {
                holders->list = mmap(NULL, sizeof *holders->list, PROT_READ | PROT_WRITE,
                                     MAP_SHARED, holders->bpf->maps.list.map_fd, 0);
                if (holders->list == MAP_FAILED) {
                        holders->list = NULL;
                        r = -errno;
                }
        }
        if (r < 0) {
                engine_holders_close(holders);
                return r;
        }
        holders->link_fd = holders->bpf->links.list_files_fd;
        return 0;
}

void engine_holders_close(struct engine_holders *holders)
{
        if (holders->list)
                munmap(holders->list, sizeof *holders->list);
        engine_holders_bpf__destroy(holders->bpf);
        *holders = (struct engine_holders){0};
}
