/* SPDX-License-Identifier: MIT */
/* One owner of several: the workers of a service that each opened a socket of their own. */

#include <portwatch/owner.h>
#include <portwatch/text.h>

static bool has_process(const struct pw_owner *owner, pid_t pid, uint64_t started)
{
        for (unsigned i = 0; i < owner->n_pids; i++)
                if (owner->pids[i] == pid && owner->started[i] == started)
                        return true;
        return false;
}

bool pw_owner_has_processes(const struct pw_owner *owner, const struct pw_owner *others)
{
        for (unsigned i = 0; i < others->n_pids; i++)
                if (!has_process(owner, others->pids[i], others->started[i]))
                        return false;
        return true;
}

struct pw_owner *pw_owner_copy(const struct pw_owner *owner)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *copy = pw_owner_new();
        const char *const from[] = {owner->user,      owner->exe,  owner->unit,   owner->user_unit,
                                    owner->container, owner->comm, owner->cmdline};

        if (!copy)
                return NULL;
        *copy = *owner;
        copy->references = 1;
        copy->user = copy->exe = copy->unit = copy->user_unit = NULL;
        copy->container = copy->comm = copy->cmdline = NULL;
        {
                char **const to[] = {&copy->user,      &copy->exe,  &copy->unit,   &copy->user_unit,
                                     &copy->container, &copy->comm, &copy->cmdline};

                for (size_t i = 0; i < PW_ELEMENTS(to); i++)
                        if (pw_text_set(to[i], from[i]) < 0)
                                return NULL;
        }
        return PW_TAKE_PTR(copy);
}

/* In order of their start. Those beyond the limit are only counted, and may be counted twice, since
 * nothing tells them apart. */
static void add_processes(struct pw_owner *owner, const struct pw_owner *more)
{
        for (unsigned i = 0; i < more->n_pids; i++) {
                unsigned at = owner->n_pids;

                if (has_process(owner, more->pids[i], more->started[i]))
                        continue;
                owner->n_holders++;
                if (owner->n_pids == PW_OWNER_PIDS_MAX)
                        continue;
                for (; at > 0 && owner->started[at - 1] > more->started[i]; at--) {
                        owner->pids[at] = owner->pids[at - 1];
                        owner->started[at] = owner->started[at - 1];
                }
                owner->pids[at] = more->pids[i];
                owner->started[at] = more->started[i];
                owner->n_pids++;
        }
        owner->n_holders += more->n_holders - more->n_pids;
}

struct pw_owner *pw_owner_join(struct pw_owner *a, struct pw_owner *b)
{
        const struct pw_owner *second = b;
        struct pw_owner *joined;

        if (a == b || pw_owner_has_processes(a, b))
                return pw_owner_ref(a);
        if (b->n_pids > 0 && (a->n_pids == 0 || b->started[0] < a->started[0])) {
                second = a;
                a = b;
        }
        joined = pw_owner_copy(a);
        if (joined)
                add_processes(joined, second);
        return joined;
}
