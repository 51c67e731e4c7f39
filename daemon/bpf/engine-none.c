/* SPDX-License-Identifier: MIT */
/* The engine where portwatch is built without it: no part works. */

#include "daemon/engine.h"

struct pw_engine {
        unsigned wanted;
};

int pw_engine_open(const struct pw_engine_options *options, struct pw_engine **ret)
{
        struct pw_engine *engine = calloc(1, sizeof *engine);

        if (!engine)
                return -ENOMEM;
        engine->wanted = options->parts;
        *ret = engine;
        return 0;
}

void pw_engine_close(struct pw_engine *engine)
{
        free(engine);
}

bool pw_engine_works(const struct pw_engine *engine _unused_, enum pw_engine_part part _unused_)
{
        return false;
}

const char *pw_engine_missing(const struct pw_engine *engine, enum pw_engine_part part)
{
        return engine->wanted & 1u << part ? "is not part of this build (PORTWATCH_BPF=OFF)" : "";
}

bool pw_engine_needs_cap_bpf(const struct pw_engine *engine _unused_)
{
        return false;
}

int pw_engine_fd(const struct pw_engine *engine _unused_)
{
        return -EBADF;
}

int pw_engine_read(struct pw_engine *engine _unused_, pw_engine_found found _unused_,
                   void *userdata _unused_)
{
        return 0;
}

uint64_t pw_engine_lost(const struct pw_engine *engine _unused_)
{
        return 0;
}

int pw_engine_sockets(struct pw_engine *engine _unused_, uint8_t protocol _unused_,
                      pw_engine_row_found found _unused_, void *userdata _unused_)
{
        return -EOPNOTSUPP;
}

int pw_engine_holders(struct pw_engine *engine _unused_, pw_engine_row_found found _unused_,
                      void *userdata _unused_)
{
        return -EOPNOTSUPP;
}
