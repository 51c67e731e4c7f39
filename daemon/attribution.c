/* SPDX-License-Identifier: MIT */
/* Attribution: from sockets to their owners. The search for holders (holders.h) comes first; then
 * the sockets are sorted by their holders, and each run of equal ones gets one owner, named after
 * the holder that started first.
 *
 * Two names come from the socket's cgroup instead of the holder's: that of a socket that PID 1
 * holds (it opened it for a .socket unit, whether or not the service runs by now), and that of a
 * socket whose holder is not known. */

#include "daemon/attribution-internal.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

/* How long one search may read tables: looks wait for it, and so does the watchdog. */
#define SEARCH_USEC (2 * PW_USEC_PER_SEC)
#define SEARCH_EVERYONE_USEC (10 * PW_USEC_PER_SEC)

int pw_attribution_new(struct pw_attribution_roots roots, struct pw_attribution **ret)
{
        _cleanup_(pw_attribution_freep) struct pw_attribution *attribution =
            calloc(1, sizeof *attribution);
        int r;

        if (!attribution)
                return -ENOMEM;
        attribution->roots = roots;
        attribution->proc.fd = roots.proc_fd;
        attribution->proc.root_fd = roots.root_fd;
        r = pw_users_new(roots.etc_fd, &attribution->users);
        if (r < 0)
                return r;
        *ret = PW_TAKE_PTR(attribution);
        return 0;
}

void pw_attribution_free(struct pw_attribution *attribution)
{
        if (!attribution)
                return;
        pw_users_free(attribution->users);
        free(attribution);
}

void pw_attribution_list_by(struct pw_attribution *attribution, struct pw_descriptors descriptors)
{
        attribution->proc.descriptors_list = descriptors;
}

uint64_t pw_attribution_reads(const struct pw_attribution *attribution)
{
        return attribution->proc.reads;
}

bool pw_attribution_is_partial(const struct pw_attribution *attribution)
{
        return attribution->partial;
}

/* ---- the search ---- */

/* One call of pw_attribution_find(). */
struct find {
        struct pw_attribution *attribution;
        struct pw_holders holders;
        struct principal *principals; /* parallel to the holders */
        struct pw_cgroups cgroups;
        struct candidate *candidates; /* one for each socket */
        size_t n;
};

/* Looks into the processes that are in a cgroup now. */
static int search_cgroup(struct find *find, const char *path)
{
        _cleanup_(pw_fclosep) FILE *file = NULL;
        char name[PATH_MAX];
        int fd, pid, r = 0;

        snprintf(name, sizeof name, "%s/cgroup.procs", path + 1);
        fd = openat(find->attribution->roots.cgroup_fd, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        file = fdopen(fd, "r");
        if (!file) {
                close(fd);
                return -ENOMEM;
        }
        /* 0 stands for a process that our pid namespace does not show. */
        while (r >= 0 && fscanf(file, "%d", &pid) == 1)
                if (pid > 0)
                        r = pw_holders_glance(&find->holders, pid);
        return PW_MIN(r, 0);
}

/* Searches the sockets' own cgroups, then, for what is missing, everywhere. */
static int search_near(struct find *find)
{
        int r;

        for (size_t i = 0; i < find->cgroups.n && find->cgroups.paths; i++)
                if (find->cgroups.paths[i]) {
                        r = search_cgroup(find, find->cgroups.paths[i]);
                        if (r < 0)
                                return r;
                }
        r = pw_holders_visit_rings(&find->holders);
        if (r < 0 || find->holders.n_missing == 0)
                return r;
        pw_holders_settle(&find->holders);
        return pw_holders_visit_all(&find->holders, false);
}

/* ---- sockets by their holders ---- */

/* A socket on its way to an owner; those that are equal in all but index get the same one. */
struct candidate {
        uint64_t key;               /* tells most unequal ones apart */
        const struct pw_held *held; /* NULL: no holder is known */
        uint64_t cgroup_id;         /* where the names come from it, else 0 */
        uint32_t uid;               /* where no holder is known, else 0 */
        size_t index;
};

static void candidate_init(const struct find *find, struct candidate *candidate,
                           const struct pw_socket *socket)
{
        const struct pw_held *held = pw_holders_of(&find->holders, socket);

        if (held && held->n_holders > 0) {
                candidate->held = held;
                candidate->key = held->fingerprint;
        } else {
                candidate->uid = socket->uid;
                candidate->key = socket->uid;
        }
        if (!candidate->held || find->holders.items[held->holders[0]].pid == 1) {
                candidate->cgroup_id = socket->cgroup_id;
                candidate->key ^= socket->cgroup_id << 32;
        }
}

static int compare_numbers(uint64_t a, uint64_t b)
{
        return (a > b) - (a < b);
}

static int compare_held(const struct pw_held *a, const struct pw_held *b)
{
        int r = compare_numbers(a->n_holders, b->n_holders);

        if (a == b || r != 0)
                return r;
        return memcmp(a->holders, b->holders, pw_held_listed(a) * sizeof *a->holders);
}

static int compare_candidates(const void *one, const void *other)
{
        const struct candidate *a = one, *b = other;
        int r = compare_numbers(a->key, b->key);

        if (r == 0)
                r = compare_numbers(a->cgroup_id, b->cgroup_id);
        if (r == 0)
                r = compare_numbers(a->uid, b->uid);
        if (r == 0)
                r = compare_numbers(!a->held, !b->held);
        return r == 0 && a->held ? compare_held(a->held, b->held) : r;
}

/* ---- owners ---- */

/* What a process is, read when it is first needed as a principal. */
struct principal {
        bool looked_into;
        struct pw_owner *owner; /* all but the pids; NULL: it has ended meanwhile */
};

/* The first of the holders that still lives: its rank among those kept, which is their number
 * where none does, or -ENOMEM. */
static int find_principal(struct find *find, const struct pw_held *held,
                          const struct pw_owner **ret)
{
        int n = (int)pw_held_listed(held), rank;

        for (rank = 0; rank < n; rank++) {
                uint32_t holder = held->holders[rank];
                struct principal *principal = &find->principals[holder];
                int r = 0;

                if (!principal->looked_into)
                        r = attribution_read_process(
                            find->attribution, &find->holders.items[holder], &principal->owner);
                if (r < 0)
                        return r;
                principal->looked_into = true;
                *ret = principal->owner;
                if (*ret)
                        break;
        }
        return rank;
}

static int copy_principal(struct pw_owner *owner, const struct pw_owner *principal)
{
        owner->uid = principal->uid;
        owner->traits = principal->traits;
        if (attribution_set_text(&owner->user, principal->user) < 0 ||
            attribution_set_text(&owner->exe, principal->exe) < 0 ||
            attribution_set_text(&owner->unit, principal->unit) < 0 ||
            attribution_set_text(&owner->user_unit, principal->user_unit) < 0 ||
            attribution_set_text(&owner->container, principal->container) < 0 ||
            attribution_set_text(&owner->comm, principal->comm) < 0 ||
            attribution_set_text(&owner->cmdline, principal->cmdline) < 0)
                return -ENOMEM;
        return 0;
}

/* The pids from the principal on; those before it have ended. */
static void set_pids(const struct find *find, struct pw_owner *owner, const struct pw_held *held,
                     unsigned rank)
{
        unsigned n = pw_held_listed(held);

        for (unsigned i = rank; i < n; i++) {
                const struct pw_holder *holder = &find->holders.items[held->holders[i]];

                owner->pids[owner->n_pids] = holder->pid;
                owner->started[owner->n_pids++] = holder->started;
        }
        owner->n_holders = held->n_holders - rank;
}

static int set_unknown(struct find *find, struct pw_owner *owner, uint32_t uid)
{
        owner->unknown = find->holders.hidden ? PW_UNKNOWN_HIDDEN : PW_UNKNOWN_NO_HOLDER;
        return attribution_set_user(owner, find->attribution->users, uid);
}

static int make_owner(struct find *find, const struct candidate *candidate,
                      const struct pw_socket *socket, struct pw_owner **ret)
{
        _cleanup_(pw_owner_unrefp) struct pw_owner *owner = pw_owner_new();
        const char *path = pw_cgroups_path(&find->cgroups, socket->cgroup_id);
        const struct pw_owner *principal = NULL;
        struct pw_cgroup_names names = {0};
        int r = 0, rank = 0;

        if (!owner)
                return -ENOMEM;
        if (candidate->held)
                rank = find_principal(find, candidate->held, &principal);
        if (rank < 0)
                return rank;
        if (principal) {
                r = copy_principal(owner, principal);
                set_pids(find, owner, candidate->held, (unsigned)rank);
        } else {
                r = set_unknown(find, owner, socket->uid);
        }
        if (path)
                pw_cgroup_names_parse(path, &names);
        if (r == 0 && (!principal || (owner->pids[0] == 1 && names.unit[0])))
                r = attribution_set_names(owner, &names);
        if (r == 0)
                *ret = PW_TAKE_PTR(owner);
        return r;
}

/* Gives each socket an owner, in an order that has those with the same one side by side. */
static int make_owners(struct find *find, const struct pw_socket *const *sockets,
                       struct pw_owner **owners)
{
        const struct candidate *last = NULL;
        int r = 0;

        qsort(find->candidates, find->n, sizeof *find->candidates, compare_candidates);
        for (size_t i = 0; i < find->n && r == 0; i++) {
                const struct candidate *candidate = &find->candidates[i];
                struct pw_owner **owner = &owners[candidate->index];

                /* Where all holders have ended, an owner is of one socket's uid and cgroup. */
                if (last && compare_candidates(last, candidate) == 0 &&
                    !(candidate->held && owners[last->index]->unknown))
                        *owner = pw_owner_ref(owners[last->index]);
                else
                        r = make_owner(find, candidate, sockets[candidate->index], owner);
                last = candidate;
        }
        return r;
}

/* ---- the calls ---- */

static void find_done(struct find *find)
{
        for (size_t i = 0; find->principals && i < find->holders.n_items; i++)
                pw_owner_unref(find->principals[i].owner);
        free(find->principals);
        free(find->candidates);
        pw_cgroups_done(&find->cgroups);
        pw_holders_done(&find->holders);
}

/* Searches, and makes the sockets candidates. */
static int find_holders(struct find *find, const struct pw_socket *const *sockets, bool everyone)
{
        int cgroup_fd = find->attribution->roots.cgroup_fd, r = 0;

        for (size_t i = 0; i < find->n && r == 0 && !everyone; i++)
                r = pw_cgroups_want(&find->cgroups, sockets[i]->cgroup_id);
        if (r == 0 && !everyone)
                r = pw_cgroups_resolve(&find->cgroups, cgroup_fd);
        if (r == 0)
                r = everyone ? pw_holders_visit_all(&find->holders, true) : search_near(find);
        if (r < 0)
                return r;
        for (size_t i = 0; i < find->n; i++) {
                find->candidates[i].index = i;
                candidate_init(find, &find->candidates[i], sockets[i]);
        }
        for (size_t i = 0; i < find->n && r == 0 && everyone; i++)
                r = pw_cgroups_want(&find->cgroups, find->candidates[i].cgroup_id);
        if (r == 0 && everyone)
                r = pw_cgroups_resolve(&find->cgroups, cgroup_fd);
        return r;
}

int pw_attribution_find(struct pw_attribution *attribution, const struct pw_socket *const *sockets,
                        size_t n, bool everyone, struct pw_owner **ret_owners)
{
        struct find find = {.attribution = attribution, .n = n};
        _cleanup_(pw_freep) struct pw_owner **owners = NULL;
        int r = -ENOMEM;

        if (n == 0)
                return 0;
        attribution->proc.deadline_usec =
            pw_now_boottime() + (everyone ? SEARCH_EVERYONE_USEC : SEARCH_USEC);
        owners = calloc(n, sizeof *owners);
        find.candidates = calloc(n, sizeof *find.candidates);
        if (owners && find.candidates)
                r = pw_holders_begin(&find.holders, &attribution->proc, sockets, n);
        if (r == 0)
                r = find_holders(&find, sockets, everyone);
        if (r == 0) {
                find.principals = calloc(find.holders.n_items + 1, sizeof *find.principals);
                r = find.principals ? 0 : -ENOMEM;
        }
        if (r == 0) {
                pw_users_refresh(attribution->users);
                r = make_owners(&find, sockets, owners);
        }
        /* A search that ended near its sockets says nothing about the processes elsewhere. */
        if (find.holders.hidden || find.holders.looked_everywhere)
                attribution->partial = find.holders.hidden;
        find_done(&find);
        for (size_t i = 0; i < n && r < 0 && owners; i++)
                pw_owner_unref(owners[i]);
        if (r == 0)
                memcpy(ret_owners, owners, n * sizeof *owners);
        return r;
}

/* A known holder, while its socket's life is in doubt. */
struct suspect {
        pid_t pid;
        bool hidden; /* may not be looked into */
};

static int compare_suspects(const void *a, const void *b)
{
        pid_t x = ((const struct suspect *)a)->pid, y = ((const struct suspect *)b)->pid;

        return (x > y) - (x < y);
}

/* All known holders, sorted, each once. 0 or -ENOMEM. */
static int collect_suspects(struct pw_owner *const *owners, size_t n, struct suspect **ret,
                            size_t *ret_n)
{
        _cleanup_(pw_freep) struct suspect *suspects = NULL;
        size_t n_suspects = 0, capacity = 0, kept = 0;
        const struct pw_owner *last = NULL;

        for (size_t i = 0; i < n; i++) {
                if (owners[i] == last)
                        continue;
                last = owners[i];
                if (pw_array_reserve(&suspects, &capacity, n_suspects + PW_OWNER_PIDS_MAX,
                                     sizeof *suspects) < 0)
                        return -ENOMEM;
                for (unsigned pid = 0; pid < last->n_pids; pid++)
                        suspects[n_suspects++] = (struct suspect){.pid = last->pids[pid]};
        }
        if (n_suspects > 0)
                qsort(suspects, n_suspects, sizeof *suspects, compare_suspects);
        for (size_t i = 0; i < n_suspects; i++)
                if (kept == 0 || suspects[kept - 1].pid != suspects[i].pid)
                        suspects[kept++] = suspects[i];
        *ret = PW_TAKE_PTR(suspects);
        *ret_n = kept;
        return 0;
}

/* Whether each holder of the owner is known and was looked into. */
static bool is_looked_into(const struct pw_owner *owner, const struct suspect *suspects, size_t n)
{
        if (owner->unknown != PW_KNOWN || owner->n_pids == 0 || owner->n_holders > owner->n_pids)
                return false;
        for (unsigned i = 0; i < owner->n_pids; i++) {
                struct suspect key = {.pid = owner->pids[i]};
                const struct suspect *suspect =
                    bsearch(&key, suspects, n, sizeof key, compare_suspects);

                if (!suspect || suspect->hidden)
                        return false;
        }
        return true;
}

/* A pid that another process has got by now needs no care here: where that one holds the socket,
 * it lives; and where it does not, the old process does not, either. */
int pw_attribution_held(struct pw_attribution *attribution, const struct pw_socket *const *sockets,
                        struct pw_owner *const *owners, size_t n, bool *ret_held)
{
        _cleanup_(pw_freep) struct suspect *suspects = NULL;
        struct pw_holders holders = {0};
        size_t n_suspects = 0;
        int r = collect_suspects(owners, n, &suspects, &n_suspects);

        attribution->proc.deadline_usec = pw_now_boottime() + SEARCH_USEC;
        if (r == 0)
                r = pw_holders_begin(&holders, &attribution->proc, sockets, n);
        for (size_t i = 0; i < n_suspects && r >= 0; i++) {
                r = pw_holders_visit(&holders, suspects[i].pid);
                suspects[i].hidden = r > 0;
        }
        if (r >= 0)
                r = pw_holders_visit_rings(&holders);
        for (size_t i = 0; i < n && r >= 0; i++) {
                const struct pw_held *held = pw_holders_of(&holders, sockets[i]);

                ret_held[i] = (held && held->n_holders > 0) ||
                              !is_looked_into(owners[i], suspects, n_suspects);
        }
        pw_holders_done(&holders);
        return PW_MIN(r, 0);
}
