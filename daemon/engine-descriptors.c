/* SPDX-License-Identifier: MIT */
/* The list of holders in the form in which attribution takes it, with or without a kernel for it.
 */

#include "daemon/engine.h"

struct teller {
        int (*found)(void *userdata, uint32_t inode, pid_t pid, uint64_t started, const char *comm);
        void *userdata;
};

static int on_row(void *userdata, const struct pw_engine_row *row)
{
        const struct teller *teller = userdata;

        return teller->found(teller->userdata, row->socket.inode, row->pid, row->started,
                             row->comm);
}

int pw_engine_descriptors(void *engine,
                          int (*found)(void *userdata, uint32_t inode, pid_t pid, uint64_t started,
                                       const char *comm),
                          void *userdata)
{
        struct teller teller = {found, userdata};

        return pw_engine_holders(engine, on_row, &teller);
}
