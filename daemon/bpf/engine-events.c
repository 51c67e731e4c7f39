/* SPDX-License-Identifier: MIT */
/* Events: what the records in the ring say, and when to be woken up for them.
 *
 * Waking up a reader costs the process that opens a socket more than everything else that is done
 * for an event (several microseconds against one). So a single event wakes us up at once, but where
 * they come in numbers a timer does it instead, until it finds nothing new. */

#include "daemon/bpf/engine-internal.h"

#include <sys/epoll.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 4096 /* then the caller's event loop gets its turn */
#define BATCH_USEC 1000     /* how long an event may wait for the timer */
#define WAKEUPS_MAX 10      /* … once there have been so many */
#define WAKEUPS_USEC 10000  /* … in this time */

_Static_assert((int)PW_SOCKET_EXPLICIT == RECORD_EXPLICIT && (int)PW_SOCKET_KERNEL == RECORD_KERNEL,
               "flags of sockets are handed on as they are");
_Static_assert((int)PW_EXE_TRUNCATED == RECORD_EXE_TRUNCATED &&
                   (int)PW_EXE_DELETED == RECORD_EXE_DELETED &&
                   (int)PW_EXE_UNNAMED == RECORD_EXE_UNNAMED,
               "flags of executables, too");
_Static_assert(PW_OPENER_EXE_MAX == RECORD_EXE_MAX, "one limit");

/* As sock_diag's rows are read: only at :: is V6ONLY kept. */
void engine_read_socket(const struct record_socket *record, struct pw_socket *ret,
                        unsigned *ret_flags)
{
        static const uint8_t unspecified[16];

        *ret = (struct pw_socket){
            .cookie = record->cookie,
            .cgroup_id = record->cgroup_id,
            .endpoint =
                {
                    .netns = record->netns,
                    .ifindex = record->ifindex,
                    .port = record->port,
                    .protocol = record->protocol,
                    .address.family = record->family,
                },
            .inode = (uint32_t)record->inode,
            .uid = record->uid,
        };
        memcpy(ret->endpoint.address.bytes, record->address, sizeof record->address);
        ret->endpoint.address.v6only =
            (record->flags & RECORD_V6ONLY) != 0 && memcmp(record->address, unspecified, 16) == 0;
        *ret_flags = record->flags & (RECORD_EXPLICIT | RECORD_KERNEL);
}

/* Turns the names around; `path` has room for `size` + 1 bytes. Returns its end. */
static char *read_names(const char *names, size_t length, size_t size, char *path)
{
        size_t left = PW_MIN(length, size);
        char *to = path;

        while (left > 0) {
                size_t begin = left - 1; /* of the name that ends at `left`, NUL included */

                while (begin > 0 && names[begin - 1] != '\0')
                        begin--;
                *to++ = '/';
                memcpy(to, names + begin, left - 1 - begin);
                to += left - 1 - begin;
                left = begin;
        }
        *to = '\0';
        return to;
}

/* The texts of an opener. */
struct texts {
        char exe[RECORD_EXE_MAX + 1], cgroup[RECORD_CGROUP_MAX + 1];
};

static void read_texts(const struct record_event *record, struct texts *texts)
{
        const struct record_exe *exe = &record->exe;
        char *end = read_names(exe->path, exe->length, RECORD_EXE_MAX, texts->exe);

        if (exe->flags & RECORD_EXE_TRUNCATED)
                memmove(texts->exe, texts->exe + 1, (size_t)(end - texts->exe));
        read_names(record->cgroup.path, record->cgroup.length, RECORD_CGROUP_MAX, texts->cgroup);
}

static void read_opener(const struct pw_engine *engine, const struct record_event *record,
                        struct texts *texts, struct pw_opener *ret)
{
        read_texts(record, texts);
        *ret = (struct pw_opener){
            .pid = (pid_t)record->holder.pid,
            .started = record->holder.started_nsec / engine->tick_nsec,
            .uid = record->holder.uid,
            .cgroup_id = record->cgroup.id,
            .cgroup = texts->cgroup,
            .mount_ns = record->mount_ns,
            .exe = texts->exe,
            .exe_flags = record->exe.flags,
            .exe_inode = record->exe.inode,
            .exe_device = makedev(record->exe.device >> 20, record->exe.device & 0xfffff),
        };
        memcpy(ret->comm, record->holder.comm, sizeof ret->comm - 1);
}

static int tell(const struct pw_engine *engine, const struct record_event *record, size_t size,
                pw_engine_found found, void *userdata)
{
        struct pw_engine_event event = {.opener = {.exe = "", .cgroup = ""}};
        struct texts texts;

        if (size < offsetof(struct record_event, holder) ||
            (!record->closed && size < sizeof *record))
                return -EBADMSG;
        event.closed = record->closed != 0;
        event.time_usec = record->time_nsec / 1000;
        engine_read_socket(&record->socket, &event.socket, &event.flags);
        event.netns_id = record->socket.netns_id;
        if (!event.closed)
                read_opener(engine, record, &texts, &event.opener);
        return found(userdata, &event);
}

/* ---- wake-ups ---- */

static uint64_t now_usec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * PW_USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static int wake_by_ring(struct pw_engine *engine, bool yes)
{
        struct epoll_event event = {.events = yes ? EPOLLIN : 0};

        return epoll_ctl(engine->poll_fd, EPOLL_CTL_MOD, engine->ring_fd, &event) < 0 ? -errno : 0;
}

/* Setting it also takes back that it has expired. 0: never. */
static int wake_by_timer(struct pw_engine *engine, long usec)
{
        struct itimerspec in = {.it_value.tv_nsec = usec * 1000};

        return timerfd_settime(engine->timer_fd, 0, &in, NULL) < 0 ? -errno : 0;
}

static bool come_in_numbers(struct pw_engine *engine)
{
        uint64_t now = now_usec();

        if (now - engine->counted_since_usec > WAKEUPS_USEC) {
                engine->counted_since_usec = now;
                engine->wakeups = 0;
        }
        return ++engine->wakeups > WAKEUPS_MAX;
}

static int end_batches(struct pw_engine *engine)
{
        int r = wake_by_timer(engine, 0);

        engine->batching = false;
        return r < 0 ? r : wake_by_ring(engine, true);
}

static int begin_batches(struct pw_engine *engine)
{
        engine->batching = true;
        return wake_by_ring(engine, false);
}

/* After `n` events were read. */
static int wait_for_more(struct pw_engine *engine, int n)
{
        int r = 0;

        if (!engine->batching && !come_in_numbers(engine)) {
                /* What came meanwhile wakes nobody up, but the ring stays readable. */
                ring_release(&engine->ring);
                return 0;
        }
        if (n > 0)
                ring_hold(&engine->ring);
        else if (ring_release(&engine->ring))
                return engine->batching ? end_batches(engine) : 0;
        if (!engine->batching)
                r = begin_batches(engine);
        return r < 0 ? r : wake_by_timer(engine, BATCH_USEC);
}

/* ---- the calls ---- */

int engine_events_open(struct pw_engine *engine, int ring_fd, size_t ring_size)
{
        struct epoll_event event = {.events = EPOLLIN};

        engine->ring_fd = ring_fd;
        engine->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        engine->poll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (engine->timer_fd < 0 || engine->poll_fd < 0 ||
            epoll_ctl(engine->poll_fd, EPOLL_CTL_ADD, ring_fd, &event) < 0 ||
            epoll_ctl(engine->poll_fd, EPOLL_CTL_ADD, engine->timer_fd, &event) < 0)
                return -errno;
        return ring_open(&engine->ring, ring_fd, ring_size);
}

void engine_events_close(struct pw_engine *engine)
{
        ring_close(&engine->ring);
        pw_closep(&engine->timer_fd);
        pw_closep(&engine->poll_fd);
}

int pw_engine_fd(const struct pw_engine *engine)
{
        return engine->poll_fd;
}

int pw_engine_read(struct pw_engine *engine, pw_engine_found found, void *userdata)
{
        const void *record;
        int n = 0, r = 0, waiting;
        size_t size;

        if (engine->poll_fd < 0)
                return 0;
        while (r >= 0 && n < EVENTS_AT_ONCE && (record = ring_next(&engine->ring, &size))) {
                r = tell(engine, record, size, found, userdata);
                n++;
        }
        waiting = wait_for_more(engine, n);
        if (r < 0 || waiting < 0)
                return r < 0 ? r : waiting;
        return n;
}

uint64_t pw_engine_lost(const struct pw_engine *engine)
{
        return engine->lost ? __atomic_load_n(engine->lost, __ATOMIC_RELAXED) : 0;
}
