/* SPDX-License-Identifier: MIT */
/* Lists: what an iterator in the kernel writes into the file that stands for it. */

#include "daemon/bpf/engine-internal.h"

#include <unistd.h>

/* One call of a list. */
struct listing {
        struct pw_engine *engine;
        pw_engine_row_found found;
        void *userdata;
        struct record_part *rests; /* what is still to be asked for */
        size_t n_rests, capacity;
};

static int note_rest(struct listing *listing, const struct record_row *record)
{
        int r = pw_array_reserve(&listing->rests, &listing->capacity, listing->n_rests + 1,
                                 sizeof *listing->rests);

        if (r == 0)
                listing->rests[listing->n_rests++] =
                    (struct record_part){record->thread, record->next};
        return r;
}

static int tell_row(struct listing *listing, const char *data)
{
        struct pw_engine_row row = {0};
        struct record_row record;

        memcpy(&record, data, sizeof record);
        if (record.next != 0)
                return note_rest(listing, &record);
        engine_read_socket(&record.socket, &row.socket, &row.flags);
        row.netns_id = record.socket.netns_id;
        row.pid = (pid_t)record.holder.pid;
        row.started = record.holder.started_nsec / listing->engine->tick_nsec;
        memcpy(row.comm, record.holder.comm, sizeof row.comm - 1);
        return listing->found(listing->userdata, &row);
}

/* Tells the whole records among the first `*length` bytes of the buffer and keeps the rest. */
static int tell_rows(struct listing *listing, size_t *length)
{
        char *buffer = listing->engine->buffer;
        size_t at = 0;
        int r = 0;

        for (; r >= 0 && *length - at >= sizeof(struct record_row); at += sizeof(struct record_row))
                r = tell_row(listing, buffer + at);
        *length -= at;
        memmove(buffer, buffer + at, *length);
        return PW_MIN(r, 0);
}

/* EAGAIN: that program has ended the list by itself; or else, that nothing was found for long, and
 * reading goes on. */
static int list(struct listing *listing, int link_fd, bool ends_itself)
{
        _cleanup_(pw_closep) int fd = bpf_iter_create(link_fd);
        char *buffer = listing->engine->buffer;
        size_t length = 0;
        int r = fd < 0 ? -errno : 0;

        while (r == 0) {
                ssize_t n = read(fd, buffer + length, ENGINE_LIST_BUFFER - length);

                if (n == 0 || (n < 0 && errno == EAGAIN && ends_itself))
                        return length == 0 ? 0 : -EBADMSG;
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        continue;
                if (n < 0)
                        return -errno;
                length += (size_t)n;
                r = tell_rows(listing, &length);
        }
        return r;
}

int pw_engine_sockets(struct pw_engine *engine, uint8_t protocol, pw_engine_row_found found,
                      void *userdata)
{
        struct listing listing = {.engine = engine, .found = found, .userdata = userdata};

        if (!engine->works[PW_ENGINE_SOCKETS])
                return -EOPNOTSUPP;
        if (protocol == PW_TCP)
                return list(&listing, bpf_link__fd(engine->links[PROGRAM_LIST_TCP]), true);
        if (protocol == PW_UDP)
                return list(&listing, bpf_link__fd(engine->links[PROGRAM_LIST_UDP]), false);
        return -EPROTONOSUPPORT;
}

int pw_engine_holders(struct pw_engine *engine, pw_engine_row_found found, void *userdata)
{
        struct listing listing = {.engine = engine, .found = found, .userdata = userdata};
        int r;

        if (!engine->works[PW_ENGINE_HOLDERS])
                return -EOPNOTSUPP;
        *engine->holders_part = (struct record_part){0};
        r = list(&listing, engine->holders_fd, false);
        for (size_t i = 0; r == 0 && i < listing.n_rests; i++) { /* each may leave another one */
                *engine->holders_part = listing.rests[i];
                r = list(&listing, engine->holders_fd, false);
        }
        free(listing.rests);
        return r;
}
