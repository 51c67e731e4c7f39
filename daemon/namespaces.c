/* SPDX-License-Identifier: MIT */
/* The namespaces that are known: pointers, sorted by inode. A walk over all processes reads the
 * link /proc/PID/ns/net of each, which names the namespace without opening it, and notes the first
 * process, the one with the lowest number, that is in each. A known process is kept while it is
 * there: the namespace's next process says the same.
 *
 * Nothing is forgotten by a look that was not complete: what may not be looked into, or was not
 * reached in time, counts as met. And the kernel uses the number of a namespace that has ended for
 * the next one, often at once; where it tells the id that it never uses again, that is noticed. */

#include "daemon/namespaces.h"

#include "daemon/namespaces-names.h"
#include "daemon/namespaces-process.h"
#include "daemon/proc-net.h"

#include <portwatch/record.h>
#include <portwatch/text.h>

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

/* Looks wait for these, and so does the watchdog. */
#define DISCOVER_USEC (2 * PW_USEC_PER_SEC)
#define DUMP_USEC (2 * PW_USEC_PER_SEC)
#define DUMP_BYTES_MAX (64u << 20)
#define STEPS_A_LOOK 256 /* processes between two looks at the clock */

#define SUFFIX_MAX sizeof " " PW_NETNS_LINK "18446744073709551615]"

struct item {
        struct pw_namespace namespace;
        pid_t first; /* that the walk has met in it; 0: none yet */
        bool kept;   /* the walk has met its known process, too */
        bool met;    /* since the last pw_namespaces_forget() */
        pid_t asked; /* last since then, in vain: it holds a socket of it and is not in it */
        bool named;
        bool of_service; /* by that it is called unless it has a name of its own */
        char text[PW_UNIT_MAX + SUFFIX_MAX];
};

struct pw_namespaces {
        uint64_t own;
        struct item **items; /* sorted by inode */
        size_t n, capacity;
        struct item **unnamed; /* in the order in which they were met */
        size_t n_unnamed, unnamed_capacity;
        struct pw_netns_names names;
        bool left_out;
        size_t next; /* where the next dump begins */
        struct pw_proc proc;
};

int pw_namespaces_new(int proc_fd, uint64_t own, struct pw_namespaces **ret)
{
        struct pw_namespaces *namespaces = calloc(1, sizeof *namespaces);

        if (!namespaces)
                return -ENOMEM;
        namespaces->proc.fd = proc_fd;
        namespaces->proc.root_fd = -EBADF;
        namespaces->own = own;
        *ret = namespaces;
        return 0;
}

void pw_namespaces_free(struct pw_namespaces *namespaces)
{
        if (!namespaces)
                return;
        for (size_t i = 0; i < namespaces->n; i++)
                free(namespaces->items[i]);
        free(namespaces->items);
        free(namespaces->unnamed);
        pw_netns_names_done(&namespaces->names);
        free(namespaces);
}

size_t pw_namespaces_count(const struct pw_namespaces *namespaces)
{
        return namespaces->n;
}

const struct pw_namespace *pw_namespaces_item(const struct pw_namespaces *namespaces, size_t i)
{
        return &namespaces->items[i]->namespace;
}

bool pw_namespaces_left_out(const struct pw_namespaces *namespaces)
{
        return namespaces->left_out;
}

/* The place of the first with that inode or a greater one. */
static size_t place_of(const struct pw_namespaces *namespaces, uint64_t inode)
{
        size_t low = 0, high = namespaces->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (namespaces->items[middle]->namespace.inode < inode)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static struct item *find(const struct pw_namespaces *namespaces, uint64_t inode)
{
        size_t i = place_of(namespaces, inode);

        return i < namespaces->n && namespaces->items[i]->namespace.inode == inode
                   ? namespaces->items[i]
                   : NULL;
}

const struct pw_namespace *pw_namespaces_find(const struct pw_namespaces *namespaces,
                                              uint64_t inode)
{
        const struct item *item = find(namespaces, inode);

        return item ? &item->namespace : NULL;
}

/* ---- a process ---- */

static int read_inode_of(struct pw_namespaces *namespaces, pid_t pid, uint64_t *ret)
{
        char path[32];

        snprintf(path, sizeof path, "%d/ns/net", (int)pid);
        return pw_netns_read_inode(&namespaces->proc, namespaces->proc.fd, path, ret);
}

static bool is_hidden(int error)
{
        return error < 0 && error != -ENOENT && error != -ESRCH;
}

static bool is_in(struct pw_namespaces *namespaces, int dir_fd, uint64_t inode)
{
        uint64_t now;

        return pw_netns_read_inode(&namespaces->proc, dir_fd, "ns/net", &now) == 0 && now == inode;
}

/* ---- names ---- */

/* Whether somebody is in it for certain: what was restarted has its old namespace's name. */
static bool lives(struct pw_namespaces *namespaces, const struct item *item)
{
        uint64_t now;

        return item->namespace.pid > 0 &&
               read_inode_of(namespaces, item->namespace.pid, &now) == 0 &&
               now == item->namespace.inode;
}

/* Another one has the name, or it might be taken for what it is not. */
static bool is_ambiguous(struct pw_namespaces *namespaces, const struct item *item)
{
        if (strcmp(item->text, PW_NETNS_HOST) == 0 || strstr(item->text, PW_NETNS_LINK))
                return true;
        for (size_t i = 0; i < namespaces->n; i++) {
                const struct item *other = namespaces->items[i];

                if (other != item && other->named && strcmp(other->text, item->text) == 0 &&
                    lives(namespaces, other))
                        return true;
        }
        return false;
}

/* Ends the naming of what has at most the name of a container, or of a service. */
static void name_item(struct pw_namespaces *namespaces, struct item *item)
{
        const char *name = pw_netns_names_find(&namespaces->names, item->namespace.inode);
        size_t length;

        if (item->of_service && name)
                item->text[0] = '\0';
        if (!item->text[0] && name)
                pw_text_clean(item->text, PW_UNIT_MAX, name, strlen(name));
        length = strlen(item->text);
        if (length == 0 || is_ambiguous(namespaces, item))
                snprintf(item->text + length, sizeof item->text - length,
                         "%s" PW_NETNS_LINK "%" PRIu64 "]", length > 0 ? " " : "",
                         item->namespace.inode);
        item->named = true;
}

/* Names all that have none yet: after they were met, since who is in a namespace may well have
 * entered it by its name. */
static int name_items(struct pw_namespaces *namespaces)
{
        int r = 0;

        if (namespaces->n_unnamed > 0)
                r = pw_netns_names_refresh(&namespaces->names, namespaces->proc.fd);
        for (size_t i = 0; i < namespaces->n_unnamed; i++)
                name_item(namespaces, namespaces->unnamed[i]);
        namespaces->n_unnamed = 0;
        return r;
}

/* What only a process in it can tell, while it is there. Holding a socket of a namespace is not
 * being in it: such a process says nothing about its name. */
static void ask_process(struct pw_namespaces *namespaces, struct item *item, pid_t pid)
{
        _cleanup_(pw_closep) int dir_fd = pw_proc_open(&namespaces->proc, pid, "");
        struct pw_cgroup_names names;
        uint64_t id;

        item->namespace.pid = 0;
        item->namespace.id = 0;
        item->text[0] = '\0';
        item->of_service = false;
        if (dir_fd < 0)
                return;
        id = pw_netns_read_id(&namespaces->proc, dir_fd);
        pw_proc_read_cgroup(&namespaces->proc, dir_fd, &names);
        if (!is_in(namespaces, dir_fd, item->namespace.inode))
                return;
        item->namespace.pid = pid;
        item->namespace.id = id;
        item->of_service = !names.container[0] && pw_text_glob("*.service", names.unit) &&
                           !pw_text_glob("user@*.service", names.unit);
        memcpy(item->text, item->of_service ? names.unit : names.container, PW_UNIT_MAX);
}

/* ---- meeting them ---- */

static int await_name(struct pw_namespaces *namespaces, struct item *item)
{
        if (pw_array_reserve(&namespaces->unnamed, &namespaces->unnamed_capacity,
                             namespaces->n_unnamed + 1, sizeof(struct item *)) < 0)
                return -ENOMEM;
        namespaces->unnamed[namespaces->n_unnamed++] = item;
        return 0;
}

/* Adds one to be named. 0, 1: there are too many, or -ENOMEM. */
static int add(struct pw_namespaces *namespaces, uint64_t inode, pid_t pid)
{
        _cleanup_(pw_freep) struct item *item = NULL;
        size_t i = place_of(namespaces, inode);

        if (namespaces->n >= PW_NAMESPACES_MAX) {
                namespaces->left_out = true;
                return 1;
        }
        item = calloc(1, sizeof *item);
        if (!item || pw_array_reserve(&namespaces->items, &namespaces->capacity, namespaces->n + 1,
                                      sizeof(struct item *)) < 0)
                return -ENOMEM;
        if (await_name(namespaces, item) < 0)
                return -ENOMEM;
        item->namespace = (struct pw_namespace){.inode = inode, .name = item->text};
        item->met = item->kept = true;
        item->first = pid;
        ask_process(namespaces, item, pid);
        memmove(namespaces->items + i + 1, namespaces->items + i,
                (namespaces->n - i) * sizeof(struct item *));
        namespaces->items[i] = PW_TAKE_PTR(item);
        namespaces->n++;
        return 0;
}

/* Another namespace, with this id, has got the inode. 0 or -ENOMEM. */
static int name_anew(struct pw_namespaces *namespaces, struct item *item, uint64_t id, pid_t pid)
{
        if (await_name(namespaces, item) < 0)
                return -ENOMEM;
        item->named = false;
        ask_process(namespaces, item, pid);
        item->namespace.id = id; /* the process may have ended */
        return 0;
}

/* Goes over to another process, if it is in it; where that shows that another namespace has got the
 * inode, it is named anew. 0 or -ENOMEM. */
static int adopt(struct pw_namespaces *namespaces, struct item *item, pid_t pid)
{
        _cleanup_(pw_closep) int dir_fd = pw_proc_open(&namespaces->proc, pid, "");
        uint64_t id, known = item->namespace.id;

        item->namespace.pid = 0;
        item->asked = pid;
        if (dir_fd < 0)
                return 0;
        id = pw_netns_read_id(&namespaces->proc, dir_fd);
        if (!is_in(namespaces, dir_fd, item->namespace.inode))
                return 0;
        item->namespace.pid = pid;
        if (known == 0)
                item->namespace.id = id;
        if (known == 0 || id == 0 || id == known)
                return 0;
        return name_anew(namespaces, item, id, pid);
}

/* Whether this is another namespace than the one that had the inode before. */
static bool is_other(const struct item *item, uint64_t id)
{
        return id != 0 && item->namespace.id != 0 && id != item->namespace.id;
}

int pw_namespaces_meet(struct pw_namespaces *namespaces, uint64_t inode, uint64_t id, pid_t pid)
{
        struct item *item;
        int r = 0, named;

        if (inode == 0 || inode == namespaces->own || pid <= 0)
                return 0;
        item = find(namespaces, inode);
        if (item)
                item->met = true;
        if (!item)
                r = add(namespaces, inode, pid);
        else if (is_other(item, id))
                r = name_anew(namespaces, item, id, pid);
        else if (item->namespace.pid == 0 && item->asked != pid)
                r = adopt(namespaces, item, pid);
        named = name_items(namespaces);
        return r < 0 ? r : named;
}

/* ---- the walk ---- */

static int walk_meet(struct pw_namespaces *namespaces, uint64_t inode, pid_t pid)
{
        struct item *item;

        if (inode == namespaces->own)
                return 0;
        item = find(namespaces, inode);
        if (!item)
                return add(namespaces, inode, pid);
        if (item->first == 0)
                item->first = pid;
        if (item->namespace.pid == pid)
                item->kept = true;
        return 0;
}

/* Returns 0; 1: processes were left out, for lack of time or of permission to list them; or
 * -ENOMEM. */
static int walk(struct pw_namespaces *namespaces, bool *ret_hidden)
{
        _cleanup_(pw_closep) int dir =
            openat(namespaces->proc.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct pw_numbers *numbers = &namespaces->proc.pids;
        bool first = false;
        const char *name;

        namespaces->proc.deadline_usec = pw_now_boottime() + DISCOVER_USEC;
        pw_numbers_start(numbers, dir);
        for (unsigned i = 1; (name = pw_numbers_next(numbers)); i++) {
                pid_t pid = (pid_t)strtol(name, NULL, 10);
                uint64_t inode;
                int r = read_inode_of(namespaces, pid, &inode);

                first |= pid == 1;
                if (is_hidden(r))
                        *ret_hidden = true;
                if (r == 0 && walk_meet(namespaces, inode, pid) < 0)
                        return -ENOMEM;
                if (i % STEPS_A_LOOK == 0 && pw_proc_is_late(&namespaces->proc))
                        return 1;
        }
        /* hidepid= leaves out the processes of others: then PID 1 is not there, either. */
        if (!first)
                *ret_hidden = true;
        return numbers->error < 0;
}

/* Whether the known process is there, but may not be looked into any more. */
static bool has_hidden_process(struct pw_namespaces *namespaces, const struct item *item)
{
        uint64_t inode;

        return item->namespace.pid > 0 &&
               is_hidden(read_inode_of(namespaces, item->namespace.pid, &inode));
}

/* Draws the conclusions of a walk. 0 or -ENOMEM. */
static int settle(struct pw_namespaces *namespaces, bool complete)
{
        int r = 0;

        for (size_t i = 0; i < namespaces->n && r == 0; i++) {
                struct item *item = namespaces->items[i];

                if (item->first > 0) {
                        item->met = true;
                        if (!item->kept)
                                r = adopt(namespaces, item, item->first);
                } else if (!item->met) {
                        item->met = !complete || has_hidden_process(namespaces, item);
                        if (!item->met)
                                item->namespace.pid = 0;
                }
        }
        return r;
}

int pw_namespaces_discover(struct pw_namespaces *namespaces, bool *ret_hidden)
{
        bool hidden = false;
        int r, named;

        namespaces->left_out = false;
        for (size_t i = 0; i < namespaces->n; i++) {
                namespaces->items[i]->first = 0;
                namespaces->items[i]->kept = false;
        }
        r = walk(namespaces, &hidden);
        hidden |= r > 0;
        if (r >= 0)
                r = settle(namespaces, r == 0);
        named = name_items(namespaces);
        r = r < 0 ? r : named;
        if (r == 0)
                *ret_hidden = hidden;
        return r;
}

void pw_namespaces_forget(struct pw_namespaces *namespaces)
{
        size_t kept = 0;

        for (size_t i = 0; i < namespaces->n; i++) {
                struct item *item = namespaces->items[i];

                /* A list of descriptors meets nobody where io_uring alone holds the sockets. */
                if (!item->met && !lives(namespaces, item) &&
                    !has_hidden_process(namespaces, item)) {
                        free(item);
                        continue;
                }
                item->met = false;
                item->asked = 0;
                namespaces->items[kept++] = item;
        }
        namespaces->n = kept;
}

/* ---- what is open in them ---- */

/* Reads the tables of the namespace's process. They are looked up through the process each time:
 * it must have been in the namespace before and after. 0 or -ENOMEM. */
static int read_tables(struct pw_namespaces *namespaces, struct item *item,
                       struct pw_proc_net_limits *limits, struct pw_snapshot *snapshot,
                       bool complete[PW_PROC_NET_PROTOCOLS])
{
        _cleanup_(pw_closep) int dir_fd = pw_proc_open(&namespaces->proc, item->namespace.pid, "");
        uint64_t inode = item->namespace.inode;
        size_t before = snapshot->n_sockets;
        int r = 0;

        if (dir_fd >= 0 && is_in(namespaces, dir_fd, inode))
                r = pw_proc_net_read(dir_fd, inode, limits, snapshot, complete);
        if (r < 0 || (dir_fd >= 0 && is_in(namespaces, dir_fd, inode)))
                return r;
        snapshot->n_sockets = before;
        memset(complete, 0, PW_PROC_NET_PROTOCOLS * sizeof *complete);
        if (!has_hidden_process(namespaces, item))
                item->namespace.pid = 0;
        return 0;
}

static int dump_item(struct pw_namespaces *namespaces, struct item *item,
                     struct pw_proc_net_limits *limits, struct pw_snapshot *snapshot)
{
        bool complete[PW_PROC_NET_PROTOCOLS];
        int r = 0;

        /* Where nobody is any more, nothing is open. */
        for (size_t i = 0; i < PW_PROC_NET_PROTOCOLS; i++)
                complete[i] = !item->met;
        if (item->namespace.pid > 0 && !pw_proc_net_is_exhausted(limits))
                r = read_tables(namespaces, item, limits, snapshot, complete);
        item->namespace.partial = false;
        for (size_t i = 0; i < PW_PROC_NET_PROTOCOLS && r == 0; i++) {
                item->namespace.partial |= !complete[i];
                r = pw_snapshot_add_part(snapshot, item->namespace.inode, pw_proc_net_protocols[i],
                                         complete[i]);
        }
        return r;
}

/* What there is no time for comes first the next time, so that nobody hides behind a namespace that
 * takes long. */
int pw_namespaces_dump(struct pw_namespaces *namespaces, struct pw_snapshot *snapshot)
{
        struct pw_proc_net_limits limits = {pw_now_boottime() + DUMP_USEC, DUMP_BYTES_MAX};
        size_t n = namespaces->n, begin = n > 0 ? namespaces->next % n : 0;
        bool exhausted = false;

        namespaces->next = 0;
        for (size_t i = 0; i < n; i++) {
                size_t at = (begin + i) % n;
                struct item *item = namespaces->items[at];
                int r = dump_item(namespaces, item, &limits, snapshot);

                if (r < 0)
                        return r;
                if (exhausted || !pw_proc_net_is_exhausted(&limits))
                        continue;
                exhausted = true;
                namespaces->next = i > 0 && item->namespace.partial ? at : at + 1;
        }
        return 0;
}
