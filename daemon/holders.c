/* SPDX-License-Identifier: MIT */
/* The search for holders. The kernel does not tell them, so descriptor tables are read: one
 * readlink a descriptor, and nothing else for a process that holds none of the sockets. Sockets are
 * matched by inode, by binary search in one sorted array.
 *
 * Of a socket's holders the first PW_OWNER_PIDS_MAX in order of their start are kept; the others
 * are counted, and summed up in a fingerprint that tells sets of them apart. So memory grows with
 * the number of sockets and of processes, not with their product, which any user can make large. */

#include "daemon/holders.h"

#include <fcntl.h>
#include <unistd.h>

#define RINGS_MAX 4096

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
        *holders = (struct pw_holders){.proc = proc, .n_inodes = kept, .n_missing = kept};
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
        *holders = (struct pw_holders){0};
}

static struct pw_held *find_inode(const struct pw_holders *holders, uint32_t inode)
{
        const uint32_t *found =
            bsearch(&inode, holders->inodes, holders->n_inodes, sizeof inode, compare_inodes);

        return found ? &holders->held[found - holders->inodes] : NULL;
}

const struct pw_held *pw_holders_of(const struct pw_holders *holders,
                                    const struct pw_socket *socket)
{
        return find_inode(holders, socket->inode);
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

static void held_add(struct pw_holders *holders, struct pw_held *held, uint32_t holder)
{
        const struct pw_holder *items = holders->items;
        uint32_t n = PW_MIN(held->n_holders, (uint32_t)PW_OWNER_PIDS_MAX), at = n;

        if (held->last_holder == holder + 1)
                return;
        if (held->n_holders == 0)
                holders->n_missing--;
        held->last_holder = holder + 1;
        held->n_holders++;
        held->fingerprint += spread(holder);
        while (at > 0 && started_before(&items[holder], &items[held->holders[at - 1]]))
                at--;
        if (at == PW_OWNER_PIDS_MAX)
                return;
        n = PW_MIN(n, (uint32_t)PW_OWNER_PIDS_MAX - 1);
        memmove(&held->holders[at + 1], &held->holders[at], (n - at) * sizeof *held->holders);
        held->holders[at] = holder;
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
        struct pw_holders *holders = visit->holders;
        struct pw_proc_stat stat;
        struct pw_holder *item;
        int r;

        r = pw_array_reserve(&holders->items, &holders->items_capacity, holders->n_items + 1,
                             sizeof *holders->items);
        if (r < 0)
                return r;
        item = &holders->items[holders->n_items];
        r = pw_proc_read_stat(holders->proc, visit->fds_fd, "../stat", &stat, item->comm);
        if (r < 0)
                return r;
        item->pid = visit->pid;
        item->started = stat.started;
        visit->holder = (uint32_t)holders->n_items++;
        visit->is_holder = true;
        return 0;
}

static int visit_ring(struct visit *visit, uint32_t fd)
{
        struct pw_holders *holders = visit->holders;
        int r;

        if (holders->n_rings == RINGS_MAX)
                return 0;
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
        held = find_inode(visit->holders, number);
        if (!held || held->settled)
                return 0;
        if (!visit->is_holder) {
                r = visit_holder(visit);
                if (r < 0)
                        return r;
        }
        held_add(visit->holders, held, visit->holder);
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

int pw_holders_visit(struct pw_holders *holders, pid_t pid)
{
        _cleanup_(pw_closep) int fd = pw_proc_open(holders->proc, pid, "fd");
        struct visit visit = {.holders = holders, .pid = pid, .fds_fd = fd};
        int r = fd;

        if (fd >= 0)
                r = pw_proc_read_links(holders->proc, fd, visit_link, &visit);
        return visit_result(holders, pid, r);
}

int pw_holders_visit_rings(struct pw_holders *holders)
{
        for (size_t i = 0; holders->n_missing > 0 && i < holders->n_rings; i++) {
                struct pw_ring ring = holders->rings[i];
                _cleanup_(pw_closep) int fd = pw_proc_open(holders->proc, ring.pid, "fd");
                struct visit visit = {.holders = holders, .pid = ring.pid, .fds_fd = fd};
                int r = fd;

                if (fd >= 0)
                        r = pw_proc_read_ring(holders->proc, ring.pid, ring.fd, visit_link, &visit);
                r = visit_result(holders, ring.pid, r);
                if (r < 0)
                        return r;
        }
        return 0;
}

int pw_holders_visit_all(struct pw_holders *holders)
{
        struct pw_numbers *pids = &holders->proc->pids;
        _cleanup_(pw_closep) int dir =
            openat(holders->proc->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool first = false;
        const char *name;

        holders->proc->reads++;
        pw_numbers_start(pids, dir);
        while ((name = pw_numbers_next(pids))) {
                pid_t pid = (pid_t)strtol(name, NULL, 10);
                int r = pw_holders_visit(holders, pid);

                if (r < 0)
                        return r;
                first |= pid == 1;
        }
        /* hidepid= leaves out the processes of others: then PID 1 is not there, either. */
        if (!first || pids->error < 0)
                holders->hidden = true;
        return pw_holders_visit_rings(holders);
}

void pw_holders_settle(struct pw_holders *holders)
{
        for (size_t i = 0; i < holders->n_inodes; i++)
                holders->held[i].settled = holders->held[i].n_holders > 0;
}
