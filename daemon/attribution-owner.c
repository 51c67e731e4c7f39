/* SPDX-License-Identifier: MIT */
/* Owners: what is read of a process, and what an event has told of one that may have ended. */

#include "daemon/attribution-internal.h"

#include <portwatch/text.h>

int attribution_set_text(char **field, const char *text)
{
        free(*field);
        *field = text && text[0] ? strdup(text) : NULL;
        return text && text[0] && !*field ? -ENOMEM : 0;
}

int attribution_set_names(struct pw_owner *owner, const struct pw_cgroup_names *names)
{
        if (attribution_set_text(&owner->unit, names->unit) < 0 ||
            attribution_set_text(&owner->user_unit, names->user_unit) < 0 ||
            attribution_set_text(&owner->container, names->container) < 0)
                return -ENOMEM;
        return 0;
}

int attribution_set_user(struct pw_owner *owner, struct pw_users *users, uint32_t uid)
{
        owner->uid = uid;
        owner->user = pw_users_name(users, uid);
        return owner->user ? 0 : -ENOMEM;
}

int attribution_read_process(struct pw_attribution *attribution, const struct pw_holder *holder,
                             struct pw_owner **ret)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = NULL;
        _cleanup_(pw_closep) int dir = pw_proc_open(&attribution->proc, holder->pid, "");
        struct pw_cgroup_names names;
        struct pw_proc_stat stat;
        uint32_t uid;
        int r;

        /* From here on `dir` is this process or none; but it may be one with a reused pid. */
        if (dir < 0 || pw_proc_read_stat(&attribution->proc, dir, "stat", &stat, NULL) < 0 ||
            stat.started != holder->started || pw_proc_read_uid(dir, &uid) < 0)
                return 0;
        owner = pw_owner_new();
        if (!owner)
                return -ENOMEM;
        pw_proc_read_cgroup(&attribution->proc, dir, &names);
        if (attribution_set_user(owner, attribution->users, uid) < 0 ||
            attribution_set_names(owner, &names) < 0 ||
            attribution_set_text(&owner->comm, holder->comm) < 0 ||
            pw_proc_read_cmdline(&attribution->proc, dir, &owner->cmdline) < 0)
                return -ENOMEM;
        /* Last, since one that is ending loses it first: without it, it would be another listener.
         */
        r = pw_proc_read_exe(&attribution->proc, dir, &owner->exe, &owner->traits);
        if (r == 0)
                *ret = PW_TAKE_PTR(owner);
        return r < 0 ? r : 0;
}

/* ---- who an event names ---- */

/* The process as it is now, NULL where it has ended; or -ENOMEM. */
static int read_opener(struct pw_attribution *attribution, const struct pw_opener *opener,
                       struct pw_owner **ret)
{
        struct pw_holder holder = {.pid = opener->pid, .started = opener->started};

        if (opener->pid == 0)
                return 0;
        pw_text_clean(holder.comm, sizeof holder.comm, opener->comm, strlen(opener->comm));
        return attribution_read_process(attribution, &holder, ret);
}

/* Unit and container by a control group's id; where it is not there any more, by the path that it
 * is told to have had ("": none). */
static int read_names(struct pw_attribution *attribution, uint64_t id, const char *told,
                      struct pw_cgroup_names *ret)
{
        _cleanup_(pw_cgroups_done) struct pw_cgroups cgroups = {0};
        const char *path;
        int r = pw_cgroups_want(&cgroups, id);

        *ret = (struct pw_cgroup_names){0};
        if (r == 0)
                r = pw_cgroups_resolve(&cgroups, attribution->roots.cgroup_fd);
        if (r < 0)
                return r;
        path = pw_cgroups_path(&cgroups, id);
        pw_cgroup_names_parse(path ? path : told, ret);
        return 0;
}

static int remember_opener(struct pw_attribution *attribution, const struct pw_opener *opener,
                           const struct pw_cgroup_names *names, struct pw_owner *owner)
{
        size_t length = strlen(opener->exe);

        owner->comm = pw_text_clean_dup(opener->comm, strlen(opener->comm), PW_COMM_MAX);
        if (!owner->comm || attribution_set_names(owner, names) < 0 ||
            attribution_set_user(owner, attribution->users, opener->uid) < 0)
                return -ENOMEM;
        if (length == 0)
                return 0;
        owner->traits = pw_proc_opener_traits(&attribution->proc, opener);
        owner->exe = pw_text_clean_dup(opener->exe, length, PW_EXE_MAX);
        return owner->exe ? 0 : -ENOMEM;
}

/* What is there already stays where the group names nothing. */
static int rename_by_cgroup(struct pw_attribution *attribution, uint64_t id, struct pw_owner *owner)
{
        struct pw_cgroup_names names;
        int r = read_names(attribution, id, "", &names);

        return r < 0 || !(names.unit[0] || names.user_unit[0] || names.container[0])
                   ? r
                   : attribution_set_names(owner, &names);
}

static bool is_socket_unit(const char *unit)
{
        static const char suffix[] = ".socket";
        size_t length = unit ? strlen(unit) : 0, n = strlen(suffix);

        return length > n && strcmp(unit + length - n, suffix) == 0;
}

/* PID 1 has a child open the sockets of a .socket unit, within the unit's group, that ends as soon
 * as it has handed them over: they are PID 1's. `*owner` and `*opener` become it. 0 or -ENOMEM. */
static int replace_helper(struct pw_attribution *attribution, struct pw_owner **owner,
                          struct pw_holder *opener)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *init = NULL;
        _cleanup_(pw_closep) int dir = -EBADF;
        struct pw_holder holder = {.pid = 1};
        struct pw_proc_stat stat;
        int r;

        if (opener->pid <= 1 || !(*owner)->exe || !is_socket_unit((*owner)->unit))
                return 0;
        dir = pw_proc_open(&attribution->proc, 1, "");
        if (dir < 0 || pw_proc_read_stat(&attribution->proc, dir, "stat", &stat, holder.comm) < 0)
                return 0;
        holder.started = stat.started;
        r = attribution_read_process(attribution, &holder, &init);
        if (r < 0 || !init || !init->exe || strcmp(init->exe, (*owner)->exe) != 0)
                return r;
        pw_owner_unref(*owner);
        *owner = PW_TAKE_PTR(init);
        *opener = holder;
        return 0;
}

int pw_attribution_opener(struct pw_attribution *attribution, const struct pw_opener *opener,
                          uint64_t socket_cgroup_id, struct pw_owner **ret)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = NULL;
        struct pw_holder holder = {.pid = opener->pid, .started = opener->started};
        struct pw_cgroup_names names;
        /* First of all: systemd removes the group of a service as soon as it has ended. */
        int r = read_names(attribution, opener->cgroup_id, opener->cgroup, &names);

        if (r == 0)
                r = read_opener(attribution, opener, &owner);
        if (r == 0 && !owner) {
                owner = pw_owner_new();
                r = owner ? remember_opener(attribution, opener, &names, owner) : -ENOMEM;
        }
        if (r == 0)
                r = replace_helper(attribution, &owner, &holder);
        if (r == 0 && holder.pid == 1) /* for a .socket unit, which the socket's own group names */
                r = rename_by_cgroup(attribution, socket_cgroup_id, owner);
        if (r < 0)
                return r;
        if (holder.pid != 0) {
                owner->pids[0] = holder.pid;
                owner->started[0] = holder.started;
                owner->n_pids = 1;
        }
        owner->n_holders = 1;
        *ret = PW_TAKE_PTR(owner);
        return 0;
}

int pw_attribution_kernel(struct pw_attribution *attribution, uint32_t uid, struct pw_owner **ret)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = pw_owner_new();

        if (!owner || attribution_set_user(owner, attribution->users, uid) < 0)
                return -ENOMEM;
        owner->traits = PW_TRAIT_KERNEL;
        *ret = PW_TAKE_PTR(owner);
        return 0;
}
