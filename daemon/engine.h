/* SPDX-License-Identifier: MIT */
#pragma once

/* The event engine: programs in the kernel that tell of every listener at once, with its owner, and
 * that list sockets and their holders in every network namespace.
 *
 *   TCP   the tracepoint inet_sock_set_state: into LISTEN, and from LISTEN to CLOSE. MPTCP (by its
 *         TCP subflow, as sock_diag shows it) and io_uring pass it, too.
 *   UDP   the root control group's hooks at the end of bind(2) and at the release of a socket. Only
 *         a port that was asked for counts: whoever lets the kernel choose it (by bind(2) to port
 *         0, connect(2) or sendto(2)) is a client as far as events go.
 *
 * What the running kernel and the caller's capabilities allow is found by trying, part by part. The
 * engine leaves nothing behind: programs and attachments live as long as its descriptors, and two
 * engines do not know of each other.
 *
 * Opening needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or CAP_SYS_ADMIN). Everything else works
 * after they have been dropped, but see pw_engine_needs_cap_bpf().
 *
 * Where portwatch is built without it (PORTWATCH_BPF=OFF), pw_engine_open() opens an engine with no
 * part, and says why. */

#include <portwatch/opener.h>
#include <portwatch/snapshot.h>

struct pw_engine;

enum pw_engine_part {
        PW_ENGINE_TCP,     /* events of TCP listeners */
        PW_ENGINE_UDP,     /* events of bound UDP and UDP-Lite sockets */
        PW_ENGINE_SOCKETS, /* pw_engine_sockets() */
        PW_ENGINE_HOLDERS, /* pw_engine_holders() */
        PW_ENGINE_PARTS,
};
#define PW_ENGINE_EVENTS (1u << PW_ENGINE_TCP | 1u << PW_ENGINE_UDP)
#define PW_ENGINE_LISTS (1u << PW_ENGINE_SOCKETS | 1u << PW_ENGINE_HOLDERS)

struct pw_engine_options {
        unsigned parts;     /* wanted; bits 1 << enum pw_engine_part */
        int cgroup_fd;      /* root of cgroup2, for UDP; stays the caller's; -1: there is none */
        size_t ring_size;   /* bytes for events not read yet, rounded up to what the kernel takes;
                             * 0: PW_ENGINE_RING_DEFAULT. Counts as resident memory */
        const char *refuse; /* for tests: programs (of daemon/bpf, separated by commas)
                             * that are to be treated as if the kernel refused them; may be NULL */
        uint64_t holders_usec; /* that a list of holders may take; 0: PW_ENGINE_HOLDERS_USEC */
};
#define PW_ENGINE_HOLDERS_USEC PW_USEC_PER_SEC
#define PW_ENGINE_RING_DEFAULT (2u << 20)

/* Opens what can be opened of the wanted parts: 0 also where that is nothing; or -ENOMEM. Takes
 * 70 ms, for PW_ENGINE_HOLDERS alone 4 ms. */
int pw_engine_open(const struct pw_engine_options *options, struct pw_engine **ret);
void pw_engine_close(struct pw_engine *engine);
PW_DEFINE_CLEANUP(struct pw_engine *, pw_engine_close)

/* Whether the part works. */
bool pw_engine_works(const struct pw_engine *engine, enum pw_engine_part part);
/* Why the part does not work, the end of a sentence: "needs CAP_BPF and CAP_PERFMON"; "" where it
 * works or was not wanted. Valid as long as the engine. */
const char *pw_engine_missing(const struct pw_engine *engine, enum pw_engine_part part);

/* Before about Linux 5.19, and where the administrator has set kernel.unprivileged_bpf_disabled,
 * the lists need CAP_BPF at every call: then keep it, or do without PW_ENGINE_LISTS. Found out by
 * trying. Events never need it. */
bool pw_engine_needs_cap_bpf(const struct pw_engine *engine);

/* ---- what is said of a socket ---- */

enum {
        PW_SOCKET_EXPLICIT = 1 << 0, /* the port was asked for, not chosen by the kernel */
        PW_SOCKET_KERNEL = 1 << 1,   /* the kernel's own: no file, so that no process can hold it */
};

/* ---- events ---- */

struct pw_engine_event {
        bool closed;        /* else opened */
        unsigned flags;     /* PW_SOCKET_… */
        uint64_t time_usec; /* boot clock */
        /* Three things to mind. The port of an opened event may be 0: listen(2) without bind(2)
         * gets one only after it; look at once (the closed event has it). A listen(2) that fails in
         * its last step shows as opened and closed. The end of the kernel's own UDP sockets
         * (PW_SOCKET_KERNEL) is not told. */
        struct pw_socket socket;
        uint64_t netns_id; /* as pw_namespace.id; 0: not told */
        /* Of opened events; all 0 for closed ones. For the kernel's own: who made it open them. */
        struct pw_opener opener;
};

/* Readable (EPOLLIN) when there is something for pw_engine_read() to do: call it then, even where
 * it has returned 0 before. A single event makes it so at once; where they come in numbers (over
 * 1,000 wake-ups a second), they are told together, up to 1 ms late, which spares those who open
 * sockets most of the cost. -EBADF where there are no events at all. */
int pw_engine_fd(const struct pw_engine *engine);

/* Hands over the events that are there, oldest first; texts are valid during the call. Returns how
 * many, or the first negative value that `found` returned (that event counts as read), or -errno.
 */
typedef int (*pw_engine_found)(void *userdata, const struct pw_engine_event *event);
int pw_engine_read(struct pw_engine *engine, pw_engine_found found, void *userdata);

/* Events that could not be told since the engine was opened (the ring was full): when this grows,
 * list everything. Needs no system call. */
uint64_t pw_engine_lost(const struct pw_engine *engine);

/* ---- lists ---- */

/* A socket, and for pw_engine_holders() one process that holds it. */
struct pw_engine_row {
        struct pw_socket socket;
        uint64_t netns_id; /* as pw_namespace.id; 0: not told */
        unsigned flags;    /* PW_SOCKET_… */
        pid_t pid;         /* 0: a row of pw_engine_sockets() */
        uint64_t started;
        char comm[16];
};
typedef int (*pw_engine_row_found)(void *userdata, const struct pw_engine_row *row);

/* Tells TCP listeners (PW_TCP) or unconnected UDP sockets (PW_UDP) of the network namespace that
 * the caller is in, each once, those that no process holds included. Exact under churn: what lives
 * throughout is told. TCP costs 2 ms, since the kernel also walks its table of connections; UDP as
 * little as sock_diag. Returns 0, the first negative value of `found`, or -errno: then the list is
 * not complete. `found` may not call for another list. */
int pw_engine_sockets(struct pw_engine *engine, uint8_t protocol, pw_engine_row_found found,
                      void *userdata);

/* Tells the sockets of both protocols, and of UDP-Lite, in ALL network namespaces: each once for
 * every descriptor that a process has of it; the rows of one process are together but for those of
 * a thread with a table of its own. Exact under churn for descriptors that stay where they are.
 * What is held by no descriptor (the kernel's own, in flight, io_uring's direct descriptors) is not
 * in it. An MPTCP listener is told as its TCP subflow. A cookie is 0 where nobody has asked for it
 * before. Returns as above; -ETIME where it takes too long: any user can make it long. */
int pw_engine_holders(struct pw_engine *engine, pw_engine_row_found found, void *userdata);

/* The same as attribution takes it (struct pw_descriptors): `engine` is one. */
int pw_engine_descriptors(void *engine,
                          int (*found)(void *userdata, uint32_t inode, pid_t pid, uint64_t started,
                                       const char *comm),
                          void *userdata);
