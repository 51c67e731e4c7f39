/* SPDX-License-Identifier: MIT */
/* Lists: what an iterator in the kernel writes into the file that stands for it. */

#include "daemon/bpf/engine-internal.h"

#include <unistd.h>

/* One call of a list. */
struct listing {
        struct pw_engine *engine;
        pid_t pid; /* only this one; 0: all */
        pw_engine_row_found found;
        void *userdata;
};

static int tell_row(const struct listing *listing, const char *data)
{
        struct pw_engine_row row = {0};
        struct record_row record;

        memcpy(&record, data, sizeof record);
        if (listing->pid != 0 && (pid_t)record.holder.pid != listing->pid)
                return 0;
        engine_read_socket(&record.socket, &row.socket, &row.flags);
        row.netns_id = record.socket.netns_id;
        row.pid = (pid_t)record.holder.pid;
        row.started = record.holder.started_nsec / listing->engine->tick_nsec;
        memcpy(row.comm, record.holder.comm, sizeof row.comm - 1);
        return listing->found(listing->userdata, &row);
}

/* Tells the whole records among the first `*length` bytes of the buffer and keeps the rest. */
static int tell_rows(const struct listing *listing, size_t *length)
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
static int list(const struct listing *listing, const struct bpf_link *link, bool ends_itself)
{
        _cleanup_(pw_closep) int fd = bpf_iter_create(bpf_link__fd(link));
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
                return list(&listing, engine->links[PROGRAM_LIST_TCP], true);
        if (protocol == PW_UDP)
                return list(&listing, engine->links[PROGRAM_LIST_UDP], false);
        return -EPROTONOSUPPORT;
}

/* Older kernels ignore the limit to one process, so that the rows are tested as well. */
static struct bpf_link *limit_to(struct pw_engine *engine, pid_t pid)
{
        union bpf_iter_link_info info = {.task.pid = (__u32)pid};
        LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &info,
                    .link_info_len = sizeof info);

        return bpf_program__attach_iter(engine->files, &options);
}

int pw_engine_holders(struct pw_engine *engine, pid_t pid, pw_engine_row_found found,
                      void *userdata)
{
        struct listing listing = {
            .engine = engine, .pid = pid, .found = found, .userdata = userdata};
        struct bpf_link *limited;
        int r;

        if (!engine->works[PW_ENGINE_HOLDERS])
                return -EOPNOTSUPP;
        if (pid == 0)
                return list(&listing, engine->links[PROGRAM_LIST_FILES], false);
        limited = limit_to(engine, pid);
        if (!limited)
                return errno == ESRCH ? 0 : -errno;
        r = list(&listing, limited, false);
        bpf_link__destroy(limited);
        return r;
}
