/* SPDX-License-Identifier: MIT */
/* Lists: what an iterator in the kernel writes into the file that stands for it, or, of holders,
 * into memory that it shares with us. */

#include "daemon/bpf/engine-internal.h"

#include <unistd.h>

/* One call of a list. */
struct listing {
        struct pw_engine *engine;
        pw_engine_row_found found;
        void *userdata;
};

static int tell_row(struct listing *listing, const void *data)
{
        struct pw_engine_row row = {0};
        struct record_row record;

        memcpy(&record, data, sizeof record);
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

/* The rows that the program has put into the memory that it shares with us, and room for more. */
static int tell_holders(struct listing *listing)
{
        struct record_list *list = listing->engine->holders.list;
        uint32_t n = PW_MIN(list->rows_used, (uint32_t)RECORD_ROWS_MAX);
        int r = 0;

        for (uint32_t i = 0; r >= 0 && i < n; i++)
                r = tell_row(listing, &list->rows[i]);
        list->rows_used = list->work = 0;
        return PW_MIN(r, 0);
}

int pw_engine_holders(struct pw_engine *engine, pw_engine_row_found found, void *userdata)
{
        struct listing listing = {.engine = engine, .found = found, .userdata = userdata};
        uint64_t end_usec = pw_now_boottime() + engine->holders_usec;
        _cleanup_(pw_closep) int fd = -EBADF;
        char nothing;
        ssize_t n;
        int r;

        if (!engine->works[PW_ENGINE_HOLDERS])
                return -EOPNOTSUPP;
        fd = bpf_iter_create(engine->holders.link_fd);
        if (fd < 0)
                return -errno;
        engine->holders.list->rows_used = engine->holders.list->work = 0;
        do {
                n = read(fd, &nothing, sizeof nothing);
                if (n < 0 && errno != EAGAIN)
                        return -errno;
                r = tell_holders(&listing);
                if (r == 0 && n != 0 && pw_now_boottime() >= end_usec)
                        return -ETIME;
        } while (r == 0 && n != 0);
        return r;
}
