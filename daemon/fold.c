/* SPDX-License-Identifier: MIT */
/* A small table of processes, the one that was met the longest ago first to go. Any user can start
 * processes enough to push a resolver out of it; the resolver is then back after as many ports. */

#include "daemon/fold.h"

#define PROCESSES_MAX 128

struct process {
        pid_t pid;
        uint64_t started, met; /* met: 0: unused */
        uint16_t ports[PW_FOLD_PORTS];
        unsigned n_ports;
        bool takes_many;
};

struct pw_fold {
        struct process processes[PROCESSES_MAX];
        uint64_t met;
};

int pw_fold_new(struct pw_fold **ret)
{
        *ret = calloc(1, sizeof **ret);
        return *ret ? 0 : -ENOMEM;
}

void pw_fold_free(struct pw_fold *fold)
{
        free(fold);
}

static bool is_process(const struct process *process, pid_t pid, uint64_t started)
{
        return process->met > 0 && process->pid == pid && process->started == started;
}

/* The process's place; where it has none, that of the one met the longest ago, emptied. */
static struct process *place_of(struct pw_fold *fold, pid_t pid, uint64_t started)
{
        struct process *oldest = &fold->processes[0];

        for (size_t i = 0; i < PROCESSES_MAX; i++) {
                struct process *process = &fold->processes[i];

                if (is_process(process, pid, started))
                        return process;
                if (process->met < oldest->met)
                        oldest = process;
        }
        *oldest = (struct process){.pid = pid, .started = started};
        return oldest;
}

static bool has_port(const struct process *process, uint16_t port)
{
        for (unsigned i = 0; i < process->n_ports; i++)
                if (process->ports[i] == port)
                        return true;
        return false;
}

bool pw_fold_count(struct pw_fold *fold, pid_t pid, uint64_t started, uint16_t port)
{
        struct process *process = place_of(fold, pid, started);

        process->met = ++fold->met;
        if (process->takes_many || has_port(process, port))
                return process->takes_many;
        if (process->n_ports < PW_FOLD_PORTS)
                process->ports[process->n_ports++] = port;
        else
                process->takes_many = true;
        return process->takes_many;
}

bool pw_fold_takes_many(const struct pw_fold *fold, pid_t pid, uint64_t started)
{
        for (size_t i = 0; i < PROCESSES_MAX; i++)
                if (is_process(&fold->processes[i], pid, started))
                        return fold->processes[i].takes_many;
        return false;
}
