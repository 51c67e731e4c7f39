/* SPDX-License-Identifier: MIT */
/* The program that lists holders, as a light skeleton: where the running kernel keeps what it reads
 * (CO-RE) is worked out in the kernel. libbpf does that by itself, but reads the description of all
 * types first, which takes several times as long as everything else that a scan does.
 *
 * Needs Linux 5.17. */

#include "daemon/bpf/engine-internal.h"

#include <engine-holders.lskel.h>

int engine_holders_open(struct pw_engine *engine)
{
        struct engine_holders_bpf *bpf = engine_holders_bpf__open();
        int r = bpf ? engine_holders_bpf__load(bpf) : -ENOMEM;

        if (r == 0 && engine_holders_bpf__attach(bpf) < 0)
                r = -errno;
        if (r < 0) {
                engine_holders_bpf__destroy(bpf);
                return r;
        }
        engine->holders = bpf;
        engine->holders_fd = bpf->links.list_files_fd;
        engine->holders_part = &bpf->bss->part;
        return 0;
}

void engine_holders_close(struct pw_engine *engine)
{
        engine_holders_bpf__destroy(engine->holders);
}
