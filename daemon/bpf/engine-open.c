/* SPDX-License-Identifier: MIT */
/* Which programs work is found by trying. All wanted ones are loaded together, which nearly always
 * succeeds; where it does not, each is tried alone, and those that passed are loaded together. A
 * part works when all of its programs do and all are attached; of a part that does not, nothing
 * stays attached.
 *
 * Everything is held by descriptors: nothing is pinned, and bpf_link ends with its last one. */

#include "daemon/bpf/engine-internal.h"

#include <engine.skel.h>

#include <fcntl.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
        const char *name; /* in engine.bpf.c */
        enum pw_engine_part part;
} programs[] = {
    [PROGRAM_TCP_STATE] = {"tcp_state", PW_ENGINE_TCP},
    [PROGRAM_UDP_RELEASED] = {"udp_released", PW_ENGINE_UDP},
    [PROGRAM_UDP_BIND4] = {"udp_bind4", PW_ENGINE_UDP},
    [PROGRAM_UDP_BIND6] = {"udp_bind6", PW_ENGINE_UDP},
    [PROGRAM_UDP_BOUND4] = {"udp_bound4", PW_ENGINE_UDP},
    [PROGRAM_UDP_BOUND6] = {"udp_bound6", PW_ENGINE_UDP},
    [PROGRAM_LIST_TCP] = {"list_tcp", PW_ENGINE_SOCKETS},
    [PROGRAM_LIST_UDP] = {"list_udp", PW_ENGINE_SOCKETS},
};
_Static_assert(PW_ELEMENTS(programs) == PROGRAM_COUNT, "every program has a part");

#define PROGRAM_HOLDERS_NAME "list_files" /* in engine-holders.bpf.c */

/* Opening, step by step: what is still hoped for. */
struct opening {
        const struct pw_engine_options *options;
        struct pw_engine *engine;
        bool hoped[PW_ENGINE_PARTS];
};

/* ---- what does not work ---- */

static _printf_(3, 4) void give_up(struct opening *opening, enum pw_engine_part part,
                                   const char *format, ...)
{
        va_list arguments;

        if (!opening->hoped[part])
                return;
        opening->hoped[part] = false;
        va_start(arguments, format);
        vsnprintf(opening->engine->missing[part], ENGINE_REASON_MAX, format, arguments);
        va_end(arguments);
}

static void give_up_program(struct opening *opening, enum pw_engine_part part, const char *name,
                            int error)
{
        if (error == -EPERM || error == -EACCES)
                give_up(opening, part, "the kernel does not permit the program %s", name);
        else
                give_up(opening, part, "the kernel refuses the program %s (%s)", name,
                        strerror(-error));
}

static bool is_refused(const char *list, const char *name)
{
        size_t length = strlen(name);

        for (const char *at = list; at && (at = strstr(at, name)); at += length)
                if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
                        return true;
        return false;
}

/* ---- before anything is tried ---- */

static bool has_capability(cap_t caps, cap_value_t capability)
{
        cap_flag_value_t value;

        return cap_get_flag(caps, capability, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

static void check_capabilities(struct opening *opening)
{
        cap_t caps = cap_get_proc();
        bool admin = caps && has_capability(caps, CAP_SYS_ADMIN);
        bool bpf =
            admin || (caps && has_capability(caps, CAP_BPF) && has_capability(caps, CAP_PERFMON));
        bool net = caps && has_capability(caps, CAP_NET_ADMIN);

        if (!net)
                give_up(opening, PW_ENGINE_UDP,
                        bpf ? "needs CAP_NET_ADMIN"
                            : "needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
        for (unsigned part = 0; part < PW_ENGINE_PARTS; part++)
                if (!bpf)
                        give_up(opening, part, "needs CAP_BPF and CAP_PERFMON");
        if (caps)
                cap_free(caps);
}

/* Only the true root of cgroup2 sees all sockets; only it has no type. */
static void check_cgroup(struct opening *opening)
{
        int fd = opening->options->cgroup_fd;

        if (fd < 0)
                give_up(opening, PW_ENGINE_UDP, "needs control groups of version 2 mounted");
        else if (faccessat(fd, "cgroup.type", F_OK, 0) == 0)
                give_up(opening, PW_ENGINE_UDP,
                        "needs the root of all control groups; here is the root of a container");
}

/* The programs read pointers of 64 bits. */
static void check_kernel(struct opening *opening)
{
        for (unsigned part = 0; sizeof(void *) < sizeof(uint64_t) && part < PW_ENGINE_PARTS; part++)
                give_up(opening, part, "needs a machine of 64 bits");
        if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
                return;
        for (unsigned part = 0; part < PW_ENGINE_PARTS; part++)
                give_up(opening, part, "needs a kernel that describes its types (%s)",
                        errno == ENOENT ? "CONFIG_DEBUG_INFO_BTF" : strerror(errno));
}

/* ---- loading ---- */

static void set_settings(struct record_settings *settings)
{
        struct statx root;
        struct stat pid_ns;

        if (stat("/proc/self/ns/pid", &pid_ns) == 0)
                settings->pid_ns = (__u32)pid_ns.st_ino;
        if (statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &root) == 0 && root.stx_mask & STATX_MNT_ID)
                settings->root_mount = (__u32)root.stx_mnt_id;
}

static __u32 ring_size(size_t wanted)
{
        size_t size = (size_t)sysconf(_SC_PAGESIZE);

        if (wanted == 0)
                wanted = PW_ENGINE_RING_DEFAULT;
        while (size < wanted && size <= UINT32_MAX / 4)
                size *= 2;
        return (__u32)size;
}

/* Loads the chosen programs, and only the maps that they need: a kernel may lack these, too. */
static int load(const struct opening *opening, const bool *chosen, struct engine_bpf **ret)
{
        struct engine_bpf *bpf = engine_bpf__open();
        struct bpf_program *program;
        bool part[PW_ENGINE_PARTS] = {0};
        int r;

        if (!bpf)
                return -errno;
        for (unsigned i = 0; i < PROGRAM_COUNT; i++) {
                program = bpf_object__find_program_by_name(bpf->obj, programs[i].name);
                bpf_program__set_autoload(program, chosen[i]);
                part[programs[i].part] |= chosen[i];
        }
        bpf_map__set_autocreate(bpf->maps.ring, part[PW_ENGINE_TCP] || part[PW_ENGINE_UDP]);
        bpf_map__set_autocreate(bpf->maps.chosen, part[PW_ENGINE_UDP]);
        bpf_map__set_max_entries(bpf->maps.ring, ring_size(opening->options->ring_size));
        set_settings((struct record_settings *)&bpf->rodata->settings);
        r = engine_bpf__load(bpf);
        if (r < 0) {
                engine_bpf__destroy(bpf);
                return r;
        }
        *ret = bpf;
        return 0;
}

static size_t choose(const struct opening *opening, bool *chosen)
{
        size_t n = 0;

        for (unsigned i = 0; i < PROGRAM_COUNT; i++) {
                chosen[i] = opening->hoped[programs[i].part];
                n += chosen[i];
        }
        return n;
}

static void try_alone(struct opening *opening, enum program program)
{
        bool chosen[PROGRAM_COUNT] = {0};
        struct engine_bpf *bpf;
        int r;

        if (!opening->hoped[programs[program].part])
                return;
        chosen[program] = true;
        r = load(opening, chosen, &bpf);
        if (r < 0)
                give_up_program(opening, programs[program].part, programs[program].name, r);
        else
                engine_bpf__destroy(bpf);
}

/* Loads all that is hoped for, or as much of it as the kernel takes. */
static void load_hoped(struct opening *opening)
{
        bool chosen[PROGRAM_COUNT];
        int r;

        if (choose(opening, chosen) == 0 || load(opening, chosen, &opening->engine->bpf) == 0)
                return;
        for (unsigned i = 0; i < PROGRAM_COUNT; i++)
                try_alone(opening, i);
        if (choose(opening, chosen) == 0)
                return;
        r = load(opening, chosen, &opening->engine->bpf);
        for (unsigned i = 0; r < 0 && i < PROGRAM_COUNT; i++)
                give_up_program(opening, programs[i].part, programs[i].name, r);
}

static void prepare_events(struct opening *opening)
{
        struct pw_engine *engine = opening->engine;
        struct bpf_map *ring = engine->bpf->maps.ring;
        int r = 0;

        if (bpf_map__fd(ring) >= 0)
                r = engine_events_open(engine, bpf_map__fd(ring), bpf_map__max_entries(ring));
        for (unsigned part = 0; r < 0 && part < PW_ENGINE_PARTS; part++)
                if (PW_ENGINE_EVENTS & 1u << part)
                        give_up(opening, part, "cannot be read (%s)", strerror(-r));
        engine->lost = &engine->bpf->bss->lost;
}

/* ---- attaching ---- */

static struct bpf_program *program_of(const struct pw_engine *engine, enum program program)
{
        return bpf_object__find_program_by_name(engine->bpf->obj, programs[program].name);
}

static int attach(struct opening *opening, enum program i)
{
        struct bpf_program *program = program_of(opening->engine, i);
        struct bpf_link *link;

        switch (programs[i].part) {
        case PW_ENGINE_TCP:
                link = bpf_program__attach(program);
                break;
        case PW_ENGINE_UDP:
                link = bpf_program__attach_cgroup(program, opening->options->cgroup_fd);
                break;
        default:
                link = bpf_program__attach_iter(program, NULL);
        }
        opening->engine->links[i] = link;
        return link ? 0 : -errno;
}

static void attach_hoped(struct opening *opening)
{
        struct pw_engine *engine = opening->engine;

        for (unsigned i = 0; i < PROGRAM_COUNT; i++) {
                int r = opening->hoped[programs[i].part] ? attach(opening, i) : 0;

                if (r < 0)
                        give_up_program(opening, programs[i].part, programs[i].name, r);
        }
        for (unsigned i = 0; i < PROGRAM_COUNT; i++)
                if (!opening->hoped[programs[i].part]) {
                        bpf_link__destroy(engine->links[i]);
                        engine->links[i] = NULL;
                }
}

/* ---- lists ---- */

static void open_holders(struct opening *opening)
{
        int r =
            opening->hoped[PW_ENGINE_HOLDERS] ? engine_holders_open(&opening->engine->holders) : 0;

        if (r < 0)
                give_up_program(opening, PW_ENGINE_HOLDERS, PROGRAM_HOLDERS_NAME, r);
}

/* Opens a list as a process without capabilities would, and takes them up again. */
static bool list_needs_capability(int link_fd)
{
        cap_t had = cap_get_proc(), none = cap_get_proc();
        bool needs = false;

        if (had && none && cap_clear_flag(none, CAP_EFFECTIVE) == 0 && cap_set_proc(none) == 0) {
                _cleanup_(pw_closep) int fd = bpf_iter_create(link_fd);

                needs = fd == -EPERM || (fd < 0 && errno == EPERM);
                cap_set_proc(had);
        }
        if (had)
                cap_free(had);
        if (none)
                cap_free(none);
        return needs;
}

static int prepare_lists(struct pw_engine *engine)
{
        int link_fd = engine->holders.bpf ? engine->holders.link_fd : -EBADF;

        if (link_fd < 0 && engine->links[PROGRAM_LIST_TCP])
                link_fd = bpf_link__fd(engine->links[PROGRAM_LIST_TCP]);
        if (link_fd < 0)
                return 0;
        engine->buffer = malloc(ENGINE_LIST_BUFFER);
        if (!engine->buffer)
                return -ENOMEM;
        engine->needs_cap_bpf = list_needs_capability(link_fd);
        return 0;
}

/* ---- the calls ---- */

static void refuse(struct opening *opening)
{
        const char *refused = opening->options->refuse;

        for (unsigned i = 0; i < PROGRAM_COUNT; i++)
                if (is_refused(refused, programs[i].name))
                        give_up_program(opening, programs[i].part, programs[i].name, -EPERM);
        if (is_refused(refused, PROGRAM_HOLDERS_NAME))
                give_up_program(opening, PW_ENGINE_HOLDERS, PROGRAM_HOLDERS_NAME, -EPERM);
}

static int open_parts(struct opening *opening)
{
        check_capabilities(opening);
        check_kernel(opening);
        check_cgroup(opening);
        refuse(opening);
        open_holders(opening);
        load_hoped(opening);
        if (opening->engine->bpf) {
                prepare_events(opening);
                attach_hoped(opening);
        }
        return prepare_lists(opening->engine);
}

int pw_engine_open(const struct pw_engine_options *options, struct pw_engine **ret)
{
        _cleanup_(pw_engine_closep) struct pw_engine *engine = calloc(1, sizeof *engine);
        struct opening opening = {.options = options, .engine = engine};
        int r;

        if (!engine)
                return -ENOMEM;
        engine->ring_fd = engine->timer_fd = engine->poll_fd = -EBADF;
        engine->holders_usec =
            options->holders_usec ? options->holders_usec : PW_ENGINE_HOLDERS_USEC;
        engine->tick_nsec = 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);
        for (unsigned part = 0; part < PW_ENGINE_PARTS; part++)
                opening.hoped[part] = (options->parts & 1u << part) != 0;
        libbpf_set_print(NULL); /* a refusal is told by pw_engine_missing() */
        r = open_parts(&opening);
        if (r < 0)
                return r;
        memcpy(engine->works, opening.hoped, sizeof engine->works);
        *ret = PW_TAKE_PTR(engine);
        return 0;
}

void pw_engine_close(struct pw_engine *engine)
{
        if (!engine)
                return;
        for (unsigned i = 0; i < PROGRAM_COUNT; i++)
                bpf_link__destroy(engine->links[i]);
        engine_events_close(engine);
        engine_bpf__destroy(engine->bpf);
        engine_holders_close(&engine->holders);
        free(engine->buffer);
        free(engine);
}

bool pw_engine_works(const struct pw_engine *engine, enum pw_engine_part part)
{
        return engine->works[part];
}

const char *pw_engine_missing(const struct pw_engine *engine, enum pw_engine_part part)
{
        return engine->missing[part];
}

bool pw_engine_needs_cap_bpf(const struct pw_engine *engine)
{
        return engine->needs_cap_bpf;
}
