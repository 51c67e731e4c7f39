/* SPDX-License-Identifier: MIT */
/* The search for holders. The kernel does not tell them, so descriptor tables are read: one
 * readlink a descriptor, and nothing else for a process that holds none of the sockets. Sockets are
 * matched by inode, by binary search in one sorted array.
 *
 * Of a socket's holders the first PW_OWNER_PIDS_MAX in order of their start are kept; the others
 * are counted, and summed up in a fingerprint that tells sets of them apart. So memory grows with
 * the number of sockets and of processes, not with their product, which any user can make large.
 *
 * Time is bounded, too: large tables are read to their end only after all others, each up to a
 * bound, and nothing is read after the deadline of pw_proc. What was not read counts as hidden. */

#include "daemon/holders.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#define RINGS_MAX 64           /* looked into in one search */
#define GLANCE 1024            /* descriptors read at first sight; few programs have more */
#define GLANCE_HURRY 4096      /* where there is time: shared out among the threads */
#define DESCRIPTORS_MAX 200000 /* of one process */

static int compare_inodes(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

int pw_holders_begin(struct pw_holders *holders, struct pw_proc *proc,
                     const struct pw_socket *const *sockets, size_t n)
{
        _cleanup_(pw_freep) uint32_t *inodes = calloc(n + 1, sizeof *inodes);
        size_t kept = 0;

        if (!inodes)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                inodes[i] = sockets[i]->inode;
        qsort(inodes, n, sizeof *inodes, compare_inodes);
        for (size_t i = 0; i < n; i++)
                if (inodes[i] != 0 && (kept == 0 || inodes[kept - 1] != inodes[i]))
                        inodes[kept++] = inodes[i];
        *holders = (struct pw_holders){
            .proc = proc, .n_inodes = kept, .n_missing = kept, .glance = GLANCE};
        holders->held = calloc(kept + 1, sizeof *holders->held);
        if (!holders->held)
                return -ENOMEM;
        holders->inodes = PW_TAKE_PTR(inodes);
        return 0;
}

void pw_holders_done(struct pw_holders *holders)
{
        free(holders->inodes);
        free(holders->held);
        free(holders->items);
        free(holders->rings);
        free(holders->large);
        *holders = (struct pw_holders){0};
}

struct pw_held *pw_holders_find(const struct pw_holders *holders, uint32_t inode)
{
        const uint32_t *found =
            bsearch(&inode, holders->inodes, holders->n_inodes, sizeof inode, compare_inodes);

        return found ? &holders->held[found - holders->inodes] : NULL;
}

const struct pw_held *pw_holders_of(const struct pw_holders *holders,
                                    const struct pw_socket *socket)
{
        return pw_holders_find(holders, socket->inode);
}

/* Within one clock tick, by pid: PID 1 is before all others. */
static bool started_before(const struct pw_holder *a, const struct pw_holder *b)
{
        return a->started != b->started ? a->started < b->started : a->pid < b->pid;
}

/* Spreads numbers over 64 bits (the finalizer of splitmix64), so that sums tell sets apart. */
static uint64_t spread(uint64_t number)
{
        number += 0x9e3779b97f4a7c15ULL;
        number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9ULL;
        number = (number ^ number >> 27) * 0x94d049bb133111ebULL;
        return number ^ number >> 31;
}

/* Puts a holder among the first ones to start, of which `n` are listed. Returns how many are then.
 */
static uint32_t held_insert(const struct pw_holders *holders, struct pw_held *held, uint32_t n,
                            uint32_t holder)
{
        const struct pw_holder *items = holders->items;
        uint32_t at = n;

        while (at > 0 && started_before(&items[holder], &items[held->holders[at - 1]]))
                at--;
        if (at == PW_OWNER_PIDS_MAX)
                return n;
        n = PW_MIN(n, (uint32_t)PW_OWNER_PIDS_MAX - 1);
        memmove(&held->holders[at + 1], &held->holders[at], (n - at) * sizeof *held->holders);
        held->holders[at] = holder;
        return n + 1;
}

void pw_held_add(struct pw_holders *holders, struct pw_held *held, uint32_t holder)
{
        const struct pw_holder *item = &holders->items[holder];

        if (held->last_holder == holder + 1)
                return;
        for (uint32_t i = 0; i < pw_held_listed(held); i++) /* looked into again, after others */
                if (held->holders[i] == holder)
                        return;
        if (held->n_holders == 0)
                holders->n_missing--;
        held_insert(holders, held, pw_held_listed(held), holder);
        held->last_holder = holder + 1;
        held->n_holders++;
        held->fingerprint += spread(spread((uint64_t)item->pid) ^ item->started);
}

int pw_holders_add(struct pw_holders *holders, const struct pw_holder *holder, uint32_t *ret)
{
        int r = pw_array_reserve(&holders->items, &holders->items_capacity, holders->n_items + 1,
                                 sizeof *holders->items);

        if (r < 0)
                return r;
        holders->items[holders->n_items] = *holder;
        *ret = (uint32_t)holders->n_items++;
        return 0;
}

/* A process while it is looked into. */
struct visit {
        struct pw_holders *holders;
        pid_t pid;
        int fds_fd; /* PID/fd */
        bool is_holder;
        uint32_t holder; /* its index in `items`, where it is one */
};

/* Makes the process a holder. Its start time guards its pid from now on. */
static int visit_holder(struct visit *visit)
{
        struct pw_holder holder = {.pid = visit->pid};
        struct pw_proc_stat stat;
        int r =
            pw_proc_read_stat(visit->holders->proc, visit->fds_fd, "../stat", &stat, holder.comm);

        if (r < 0)
                return r;
        holder.started = stat.started;
        r = pw_holders_add(visit->holders, &holder, &visit->holder);
        visit->is_holder = r == 0;
        return r;
}

static int visit_ring(struct visit *visit, uint32_t fd)
{
        struct pw_holders *holders = visit->holders;
        int r;

        if (holders->n_rings >= RINGS_MAX) {
                holders->rings_left_out = true;
                return 0;
        }
        r = pw_array_reserve(&holders->rings, &holders->rings_capacity, holders->n_rings + 1,
                             sizeof *holders->rings);
        if (r == 0)
                holders->rings[holders->n_rings++] = (struct pw_ring){visit->pid, fd};
        return r;
}

static int visit_link(void *userdata, enum pw_link kind, uint32_t number)
{
        struct visit *visit = userdata;
        struct pw_held *held;
        int r;

        if (kind == PW_LINK_RING)
                return visit_ring(visit, number);
        held = pw_holders_find(visit->holders, number);
        if (!held || held->settled)
                return 0;
        if (!visit->is_holder) {
                r = visit_holder(visit);
                if (r < 0)
                        return r;
        }
        pw_held_add(visit->holders, held, visit->holder);
        return 0;
}

/* Whether it is the kernel's own: those have no descriptors, permitted or not. */
static bool is_kernel_thread(struct pw_proc *proc, pid_t pid)
{
        struct pw_proc_stat stat;
        char path[32];

        snprintf(path, sizeof path, "%d/stat", (int)pid);
        return pw_proc_read_stat(proc, proc->fd, path, &stat, NULL) == 0 && stat.kernel_thread;
}

/* What an error means for the search as a whole. */
static int visit_result(struct pw_holders *holders, pid_t pid, int error)
{
        if (error >= 0 || error == -ESRCH)
                return 0;
        if (error == -ENOMEM)
                return error;
        if (!holders->hidden && !is_kernel_thread(holders->proc, pid))
                holders->hidden = true;
        return 1;
}

/* Reads a part of the process's table into `visit`. Returns as pw_proc_read_links() does. */
static int visit_range(struct visit *visit, struct pw_stretch range)
{
        struct pw_proc *proc = visit->holders->proc;
        _cleanup_(pw_closep) int fd = -ETIME;

        if (!pw_proc_is_late(proc))
                fd = pw_proc_open(proc, visit->pid, "fd");
        visit->fds_fd = fd;
        return fd < 0 ? fd : pw_proc_read_links(proc, fd, range, visit_link, visit);
}

int pw_holders_visit(struct pw_holders *holders, pid_t pid)
{
        struct visit visit = {.holders = holders, .pid = pid};
        int r = visit_range(&visit, (struct pw_stretch){0, DESCRIPTORS_MAX});

        return visit_result(holders, pid, r > 0 ? -EOVERFLOW : r);
}

int pw_holders_glance(struct pw_holders *holders, pid_t pid)
{
        struct visit visit = {.holders = holders, .pid = pid};
        int r = visit_range(&visit, (struct pw_stretch){0, holders->glance});

        if (r <= 0)
                return visit_result(holders, pid, r);
        r = pw_array_reserve(&holders->large, &holders->large_capacity, holders->n_large + 1,
                             sizeof *holders->large);
        if (r == 0)
                holders->large[holders->n_large++] = pid;
        return r;
}

/* For another look into the process: it is one holder, however often it was met. */
static void visit_again(struct visit *visit)
{
        struct pw_holders *holders = visit->holders;

        for (size_t i = 0; i < holders->n_items && !visit->is_holder; i++)
                if (holders->items[i].pid == visit->pid) {
                        visit->is_holder = true;
                        visit->holder = (uint32_t)i;
                }
}

/* Goes on where the glance ended. 0, 1 or -ENOMEM, as pw_holders_visit(). */
static int visit_rest(struct pw_holders *holders, pid_t pid)
{
        struct visit visit = {.holders = holders, .pid = pid};
        int r;

        visit_again(&visit);
        r = visit_range(&visit, (struct pw_stretch){holders->glance, DESCRIPTORS_MAX});
        return visit_result(holders, pid, r > 0 ? -EOVERFLOW : r);
}

int pw_holders_visit_rings(struct pw_holders *holders)
{
        size_t n = PW_MIN(holders->n_rings, (size_t)RINGS_MAX);

        for (size_t i = 0; holders->n_missing > 0 && i < n; i++) {
                struct pw_ring ring = holders->rings[i];
                _cleanup_(pw_closep) int fd = pw_proc_open(holders->proc, ring.pid, "fd");
                struct visit visit = {.holders = holders, .pid = ring.pid, .fds_fd = fd};
                int r = fd;

                visit_again(&visit);
                if (fd >= 0)
                        r = pw_proc_read_ring(holders->proc, ring.pid, ring.fd, visit_link, &visit);
                r = visit_result(holders, ring.pid, r);
                if (r < 0)
                        return r;
        }
        if (holders->n_missing > 0 && (holders->rings_left_out || n < holders->n_rings))
                holders->hidden = true;
        return 0;
}

/* ---- all processes ---- */

#define THREADS_MAX 4
#define THREAD_LEAST 48 /* for fewer processes another thread is not worth its start */

struct pids {
        pid_t *items;
        size_t n, capacity;
        atomic_size_t next; /* to be looked into */
};

/* Lists all processes. 0 or -ENOMEM. */
static int list_pids(struct pw_holders *holders, struct pids *pids)
{
        struct pw_numbers *numbers = &holders->proc->pids;
        _cleanup_(pw_closep) int dir =
            openat(holders->proc->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool first = false;
        const char *name;

        holders->proc->reads++;
        pw_numbers_start(numbers, dir);
        while ((name = pw_numbers_next(numbers))) {
                if (pw_array_reserve(&pids->items, &pids->capacity, pids->n + 1,
                                     sizeof *pids->items) < 0)
                        return -ENOMEM;
                pids->items[pids->n] = (pid_t)strtol(name, NULL, 10);
                first |= pids->items[pids->n++] == 1;
        }
        /* hidepid= leaves out the processes of others: then PID 1 is not there, either. */
        if (!first || numbers->error < 0)
                holders->hidden = true;
        holders->looked_everywhere = true;
        return 0;
}

/* Looks into processes until none is left. 0 or -ENOMEM. */
static int visit_pids(struct pw_holders *holders, struct pids *pids)
{
        for (;;) {
                size_t next = atomic_fetch_add(&pids->next, 1);

                if (next >= pids->n)
                        return 0;
                if (pw_holders_glance(holders, pids->items[next]) < 0)
                        return -ENOMEM;
        }
}

/* A search of its own over a part of the processes, for the same inodes. */
struct helper {
        pthread_t thread;
        int result;
        struct pids *pids;
        struct pw_proc proc;
        struct pw_holders part;
};

static void *helper_run(void *userdata)
{
        struct helper *helper = userdata;

        helper->result = visit_pids(&helper->part, helper->pids);
        return NULL;
}

/* NULL where there is no memory or thread to be had: then others have more to do. */
static struct helper *helper_start(const struct pw_holders *holders, struct pids *pids)
{
        struct helper *helper = calloc(1, sizeof *helper);

        if (!helper)
                return NULL;
        helper->pids = pids;
        helper->proc.fd = holders->proc->fd;
        helper->proc.deadline_usec = holders->proc->deadline_usec;
        helper->part = (struct pw_holders){
            .proc = &helper->proc,
            .inodes = holders->inodes,
            .n_inodes = holders->n_inodes,
            .n_missing = holders->n_inodes,
            .glance = holders->glance,
            .held = calloc(holders->n_inodes, sizeof *helper->part.held),
        };
        if (helper->part.held && pthread_create(&helper->thread, NULL, helper_run, helper) == 0)
                return helper;
        free(helper->part.held);
        free(helper);
        return NULL;
}

/* Adds what a part of the search has found. 0 or -ENOMEM. */
static int merge(struct pw_holders *holders, const struct pw_holders *part)
{
        uint32_t base = (uint32_t)holders->n_items;

        if (pw_array_reserve(&holders->items, &holders->items_capacity,
                             holders->n_items + part->n_items, sizeof *holders->items) < 0 ||
            pw_array_reserve(&holders->rings, &holders->rings_capacity,
                             holders->n_rings + part->n_rings, sizeof *holders->rings) < 0 ||
            pw_array_reserve(&holders->large, &holders->large_capacity,
                             holders->n_large + part->n_large, sizeof *holders->large) < 0)
                return -ENOMEM;
        if (part->n_items > 0)
                memcpy(holders->items + base, part->items, part->n_items * sizeof *part->items);
        if (part->n_rings > 0)
                memcpy(holders->rings + holders->n_rings, part->rings,
                       part->n_rings * sizeof *part->rings);
        if (part->n_large > 0)
                memcpy(holders->large + holders->n_large, part->large,
                       part->n_large * sizeof *part->large);
        holders->n_items += part->n_items;
        holders->n_rings += part->n_rings;
        holders->n_large += part->n_large;
        holders->rings_left_out |= part->rings_left_out;
        holders->hidden |= part->hidden;
        holders->proc->reads += part->proc->reads;
        for (size_t i = 0; i < part->n_inodes; i++) {
                const struct pw_held *from = &part->held[i];
                struct pw_held *to = &holders->held[i];
                uint32_t n = pw_held_listed(to);

                if (to->settled)
                        continue;
                if (from->n_holders > 0 && to->n_holders == 0)
                        holders->n_missing--;
                for (uint32_t k = 0; k < pw_held_listed(from); k++)
                        n = held_insert(holders, to, n, base + from->holders[k]);
                to->n_holders += from->n_holders;
                to->fingerprint += from->fingerprint;
        }
        return 0;
}

static int helper_end(struct helper *helper, struct pw_holders *holders)
{
        int r;

        pthread_join(helper->thread, NULL);
        r = helper->result;
        if (r == 0)
                r = merge(holders, &helper->part);
        helper->part.inodes = NULL; /* not its own */
        pw_holders_done(&helper->part);
        free(helper);
        return r;
}

/* How many threads besides this one are worth their start. */
static size_t count_helpers(size_t n_pids)
{
        cpu_set_t cpus;
        size_t n = 1;

        if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
                n = (size_t)CPU_COUNT(&cpus);
        return PW_MIN(PW_MIN(n, n_pids / THREAD_LEAST + 1), (size_t)THREADS_MAX) - 1;
}

/* Large tables: all of them where all holders are wanted, else while something is missing. */
static int visit_large(struct pw_holders *holders, bool all)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < holders->n_large && (all || holders->n_missing > 0); i++)
                r = visit_rest(holders, holders->large[i]);
        return PW_MIN(r, 0);
}

int pw_holders_visit_all(struct pw_holders *holders, bool hurry)
{
        struct helper *helpers[THREADS_MAX] = {NULL};
        struct pids pids = {NULL, 0, 0, 0};
        size_t n_helpers;
        int r;

        if (holders->n_inodes == 0)
                return 0;
        r = pw_holders_list(holders);
        if (r <= 0)
                return r;
        if (r == 1)
                pw_holders_settle(holders); /* what it told is complete */
        holders->glance = hurry ? GLANCE_HURRY : GLANCE;
        holders->n_large = holders->n_rings = 0; /* they will be met again */
        holders->rings_left_out = false;
        r = list_pids(holders, &pids);
        n_helpers = r == 0 && hurry ? count_helpers(pids.n) : 0;
        for (size_t i = 0; i < n_helpers; i++)
                helpers[i] = helper_start(holders, &pids);
        if (r == 0)
                r = visit_pids(holders, &pids);
        for (size_t i = 0; i < n_helpers; i++) {
                int result = helpers[i] ? helper_end(helpers[i], holders) : 0;

                r = PW_MIN(r, result);
        }
        free(pids.items);
        if (r == 0)
                r = visit_large(holders, hurry);
        return r < 0 ? r : pw_holders_visit_rings(holders);
}

void pw_holders_settle(struct pw_holders *holders)
{
        for (size_t i = 0; i < holders->n_inodes; i++)
                holders->held[i].settled = holders->held[i].n_holders > 0;
}
