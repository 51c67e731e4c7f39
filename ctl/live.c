/* SPDX-License-Identifier: MIT */
/* From sockets and their owners to records, in one batch. Each socket becomes a record; records are
 * sorted by endpoint, and those of one endpoint that are the same listener are merged: n log n.
 *
 * pw_attribution_find() gives one owner object to sockets with the same holders; workers that each
 * opened a socket of their own have several, which are the same owner in identity. Only then are
 * listener ids needed to tell, so that the usual record goes without a hash. */

#include "ctl/live.h"

#include "daemon/attribution.h"
#include "daemon/engine.h"
#include "daemon/sockdiag.h"

#include <portwatch/paths.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- sockets ---- */

static int fail(struct pw_live *live, int error, const char *what)
{
        snprintf(live->error, sizeof live->error, "%s: %s", what, strerror(-error));
        return error;
}

static int replay(struct pw_live *live, const char *path, struct pw_snapshot *snapshot)
{
        _cleanup_(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        uint64_t offset = 0;
        int r;

        if (fd < 0)
                return fail(live, -errno, path);
        r = pw_sockdiag_replay(fd, snapshot, &offset);
        if (r == -EBADMSG)
                snprintf(live->error, sizeof live->error,
                         "%.200s: not a recording of sock_diag, from byte %llu on", path,
                         (unsigned long long)offset);
        else if (r < 0)
                fail(live, r, path);
        else if (r > 0)
                snprintf(live->error, sizeof live->error,
                         "%.200s: ends before the dump is complete", path);
        return r;
}

static void describe_incomplete(struct pw_live *live, const struct pw_sockdiag *diag)
{
        static const uint8_t protocols[] = {PW_TCP, PW_UDP};
        size_t used = 0;

        for (size_t i = 0; i < PW_ELEMENTS(protocols); i++) {
                int error = pw_sockdiag_error(diag, protocols[i]);

                if (error != 0 && used < sizeof live->error)
                        used += (size_t)snprintf(
                            live->error + used, sizeof live->error - used,
                            "%s%s sockets could not be listed: %s", used ? "; " : "",
                            pw_protocol_name(protocols[i]),
                            error == ENOENT ? "the kernel lacks its diag module" : strerror(error));
        }
}

static int dump(struct pw_live *live, const char *record, struct pw_snapshot *snapshot)
{
        _cleanup_(pw_sockdiag_closep) struct pw_sockdiag *diag = NULL;
        _cleanup_(pw_closep) int fd = -EBADF;
        struct stat netns;
        int r;

        if (stat("/proc/self/ns/net", &netns) < 0)
                netns.st_ino = 0;
        r = pw_sockdiag_open(netns.st_ino, &diag);
        if (r < 0)
                return fail(live, r, "cannot ask the kernel for its sockets");
        if (record) {
                fd = open(record, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                if (fd < 0)
                        return fail(live, -errno, record);
                pw_sockdiag_record(diag, fd);
        }
        r = pw_sockdiag_dump(diag, PW_DUMP_TCP | PW_DUMP_UDP, snapshot);
        if (r > 0)
                describe_incomplete(live, diag);
        /* A kernel without UDP-Lite is complete without it. */
        if (r >= 0 && pw_sockdiag_dump(diag, PW_DUMP_UDPLITE, snapshot) < 0)
                r = -ENOMEM;
        return r < 0 ? fail(live, r, "cannot list the sockets") : r;
}

static void keep_port(struct pw_snapshot *snapshot, uint16_t port)
{
        size_t kept = 0;

        for (size_t i = 0; i < snapshot->n_sockets; i++)
                if (snapshot->sockets[i].endpoint.port == port)
                        snapshot->sockets[kept++] = snapshot->sockets[i];
        snapshot->n_sockets = kept;
}

/* ---- owners ---- */

static int unknown_owners(const struct pw_socket *const *sockets, size_t n,
                          struct pw_owner **owners)
{
        for (size_t i = 0; i < n; i++) {
                char user[16];

                owners[i] = pw_owner_new();
                if (!owners[i])
                        return -ENOMEM;
                snprintf(user, sizeof user, "%u", sockets[i]->uid);
                owners[i]->uid = sockets[i]->uid;
                owners[i]->unknown = PW_UNKNOWN_NOT_ASKED;
                owners[i]->user = strdup(user);
                if (!owners[i]->user)
                        return -ENOMEM;
        }
        return 0;
}

/* ---- the kernel's list of descriptors ---- */

/* Opening it takes as long as looking into a hundred processes by /proc, twice as long the first
 * time. Each process is a directory, and a link, of /proc. */
#define PROCESSES_WORTH_IT 200
#define SOCKETS_WORTH_IT 2000              /* each is a link to read */
#define HOLDERS_USEC (5 * PW_USEC_PER_SEC) /* /proc takes several times as long */

static struct pw_engine *open_engine(int proc_fd, size_t n_sockets)
{
        struct pw_engine_options options = {
            .parts = 1u << PW_ENGINE_HOLDERS,
            .cgroup_fd = -1,
            .holders_usec = HOLDERS_USEC,
        };
        struct pw_engine *engine = NULL;
        struct stat proc;

        if (n_sockets >= SOCKETS_WORTH_IT ||
            (fstat(proc_fd, &proc) == 0 && proc.st_nlink >= PROCESSES_WORTH_IT))
                (void)pw_engine_open(&options, &engine);
        return engine;
}

static int find_owners(struct pw_live *live, const struct pw_socket *const *sockets, size_t n,
                       struct pw_owner **owners)
{
        _cleanup_(pw_closep) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(pw_closep) int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(pw_closep) int etc = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(pw_closep) int cgroup = pw_cgroup2_open();
        _cleanup_(pw_attribution_freep) struct pw_attribution *attribution = NULL;
        _cleanup_(pw_engine_closep) struct pw_engine *engine = NULL;
        int r;

        if (proc < 0 || root < 0 || etc < 0)
                return -errno;
        r = pw_attribution_new((struct pw_attribution_roots){proc, root, etc, cgroup},
                               &attribution);
        engine = open_engine(proc, n);
        if (r == 0 && engine && pw_engine_works(engine, PW_ENGINE_HOLDERS))
                pw_attribution_list_by(attribution,
                                       (struct pw_descriptors){pw_engine_descriptors, engine});
        if (r == 0)
                r = pw_attribution_find(attribution, sockets, n, true, owners);
        live->hidden = r == 0 && pw_attribution_is_partial(attribution);
        return r;
}

/* ---- records ---- */

static bool same_endpoint(const struct pw_record *a, const struct pw_record *b)
{
        return a->port == b->port && a->protocol == b->protocol &&
               strcmp(a->address_text, b->address_text) == 0 && strcmp(a->device, b->device) == 0;
}

/* Brings those of one endpoint that are the same listener side by side. */
static void order_listeners(struct pw_record **records, size_t n)
{
        struct pw_records run = {.items = records, .n = n};
        bool several = false;

        for (size_t i = 1; i < n; i++)
                several = several || records[i]->owner != records[0]->owner;
        if (!several)
                return;
        for (size_t i = 0; i < n; i++)
                pw_record_identify(records[i]);
        pw_records_sort(&run);
}

static int merge_into(struct pw_record *into, const struct pw_record *record)
{
        struct pw_owner *joined;

        into->sockets += record->sockets;
        joined = pw_owner_join(into->owner, record->owner);
        if (!joined)
                return -ENOMEM;
        pw_owner_unref(into->owner);
        into->owner = joined;
        return 0;
}

/* Merges the records of one endpoint: into the first places of the array, the others NULL. */
static int merge_endpoint(struct pw_record **records, size_t n)
{
        size_t kept = 0;

        order_listeners(records, n);
        for (size_t i = 1; i < n; i++) {
                struct pw_record *record = records[i];
                int r = 0;

                records[i] = NULL;
                if (strcmp(records[kept]->listener_id, record->listener_id) != 0) {
                        records[++kept] = record;
                        continue;
                }
                r = merge_into(records[kept], record);
                pw_record_unref(record);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Merges sorted records of the same listener. 0 or -ENOMEM. */
static int merge(struct pw_records *records)
{
        size_t kept = 0;
        int r = 0;

        for (size_t i = 0, end; i < records->n && r == 0; i = end) {
                for (end = i + 1; end < records->n; end++)
                        if (!same_endpoint(records->items[i], records->items[end]))
                                break;
                r = merge_endpoint(records->items + i, end - i);
        }
        for (size_t i = 0; i < records->n; i++)
                if (records->items[i])
                        records->items[kept++] = records->items[i];
        records->n = kept;
        return r;
}

static int make_records(const struct pw_live_request *request, struct pw_live *live,
                        const struct pw_socket *const *sockets, struct pw_owner *const *owners,
                        size_t n)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++) {
                uint32_t ifindex = sockets[i]->endpoint.ifindex;
                char device[PW_DEVICE_MAX];
                struct pw_record *record;

                /* A recording may be another host's: its numbers are no names here. */
                if (request->replay)
                        snprintf(device, sizeof device, ifindex ? "if%u" : "", ifindex);
                else
                        pw_device_name(device, ifindex);
                record = pw_record_make(sockets[i], owners[i], PW_NETNS_HOST, device,
                                        live->ephemeral, request->services);
                r = record ? pw_records_add(&live->records, record) : -ENOMEM;
        }
        if (r < 0)
                return r;
        pw_records_sort(&live->records);
        if (!request->sockets)
                r = merge(&live->records);
        for (size_t i = 0; request->identify && i < live->records.n; i++)
                pw_record_identify(live->records.items[i]);
        for (size_t i = 0; i < live->records.n; i++)
                live->unknown += live->records.items[i]->owner->unknown != PW_KNOWN;
        return r;
}

static int look_owners(const struct pw_live_request *request, struct pw_live *live,
                       const struct pw_snapshot *snapshot)
{
        size_t n = snapshot->n_sockets;
        _cleanup_(pw_freep) const struct pw_socket **sockets = calloc(n, sizeof *sockets);
        _cleanup_(pw_freep) struct pw_owner **owners = calloc(n, sizeof *owners);
        int r;

        if (!sockets || !owners)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                sockets[i] = &snapshot->sockets[i];
        r = request->replay ? unknown_owners(sockets, n, owners)
                            : find_owners(live, sockets, n, owners);
        if (r == 0)
                r = make_records(request, live, sockets, owners, n);
        for (size_t i = 0; i < n; i++)
                pw_owner_unref(owners[i]);
        return r;
}

static void read_ephemeral(struct pw_live *live)
{
        _cleanup_(pw_closep) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        live->ephemeral = PW_EPHEMERAL_DEFAULT;
        if (proc >= 0)
                pw_ephemeral_read(proc, &live->ephemeral);
}

int pw_live_look(const struct pw_live_request *request, struct pw_live *ret)
{
        _cleanup_(pw_snapshot_done) struct pw_snapshot snapshot = {0};
        int r, incomplete;

        *ret = (struct pw_live){0};
        read_ephemeral(ret);
        incomplete = request->replay ? replay(ret, request->replay, &snapshot)
                                     : dump(ret, request->record, &snapshot);
        if (incomplete < 0)
                return incomplete;
        pw_snapshot_sort(&snapshot);
        if (request->one_port)
                keep_port(&snapshot, request->port);
        if (snapshot.n_sockets > 0) {
                r = look_owners(request, ret, &snapshot);
                if (r < 0)
                        return fail(ret, r, "cannot look for owners");
        }
        return incomplete;
}

void pw_live_done(struct pw_live *live)
{
        pw_records_done(&live->records);
}
