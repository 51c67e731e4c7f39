/* SPDX-License-Identifier: MIT */
#pragma once

/* What the checks against the running kernel share: opening exactly the socket that is named,
 * finding its row, counting checks. One line is printed a check. */

#include "daemon/sockdiag-request.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <unistd.h>

#define NETNS 4711 /* only copied into rows */
#define PORT 7000

enum {
        V6ONLY = 1 << 0,
        REUSEPORT = 1 << 1,
        REUSEADDR = 1 << 2,
        ON_LO = 1 << 3,        /* SO_BINDTODEVICE */
        INCOMING_CPU = 1 << 4, /* preferred by lookups made on this CPU */
        MPTCP = 1 << 5,
};

struct kind {
        int type;
        const char *address;
        unsigned flags;
};

struct opened {
        int fd;
        uint64_t cookie;
        struct pw_socket row; /* as dumped */
};

static unsigned checks, failures;

static inline int checks_done(void)
{
        printf("%u checks, %u failed\n", checks, failures);
        return checks == 0 || failures > 0;
}

static inline _printf_(2, 3) bool check(bool ok, const char *format, ...)
{
        va_list args;

        checks++;
        failures += !ok;
        printf("%s: ", ok ? "ok" : "FAILED");
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        putchar('\n');
        return ok;
}

static inline _Noreturn void fail(const char *what)
{
        perror(what);
        exit(1);
}

static const char *const proof_names[] = {
    [PW_PROOF_ALIVE] = "alive",
    [PW_PROOF_GONE] = "gone",
    [PW_PROOF_NEITHER] = "neither",
};

static inline const char *kind_name(const struct kind *kind)
{
        static char buffers[2][96];
        static unsigned i;
        char *buffer = buffers[++i % 2];

        snprintf(buffer, sizeof buffers[0], "%s %s%s%s%s%s%s%s",
                 kind->type == SOCK_STREAM ? "tcp" : "udp", kind->address,
                 kind->flags & V6ONLY ? " v6only" : "", kind->flags & REUSEPORT ? " reuseport" : "",
                 kind->flags & REUSEADDR ? " reuseaddr" : "", kind->flags & ON_LO ? " on lo" : "",
                 kind->flags & INCOMING_CPU ? " incoming-cpu" : "",
                 kind->flags & MPTCP ? " mptcp" : "");
        return buffer;
}

/* ---- sockets ---- */

static inline void set_option(int fd, int level, int option, int value)
{
        if (setsockopt(fd, level, option, &value, sizeof value) < 0)
                fail("setsockopt");
}

static inline void set_flags(int fd, int family, unsigned flags)
{
        if (family == AF_INET6)
                set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, (flags & V6ONLY) != 0);
        if (flags & REUSEPORT)
                set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        if (flags & REUSEADDR)
                set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (flags & INCOMING_CPU)
                set_option(fd, SOL_SOCKET, SO_INCOMING_CPU, sched_getcpu());
        if (flags & ON_LO && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0)
                fail("SO_BINDTODEVICE");
}

static inline void bind_to(int fd, const struct kind *kind, uint16_t port)
{
        struct sockaddr_in6 v6 = {
            .sin6_family = AF_INET6,
            .sin6_port = htons(port),
        };
        struct sockaddr_in v4 = {
            .sin_family = AF_INET,
            .sin_port = htons(port),
        };
        int r;

        if (inet_pton(AF_INET6, kind->address, &v6.sin6_addr) == 1) {
                if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&v6.sin6_addr))
                        v6.sin6_scope_id = if_nametoindex("lo");
                r = bind(fd, (struct sockaddr *)&v6, sizeof v6);
        } else {
                inet_pton(AF_INET, kind->address, &v4.sin_addr);
                r = bind(fd, (struct sockaddr *)&v4, sizeof v4);
        }
        if (r < 0)
                fail(kind_name(kind));
}

static inline struct opened open_kind(const struct kind *kind, uint16_t port)
{
        int family = strchr(kind->address, ':') ? AF_INET6 : AF_INET;
        int protocol = kind->flags & MPTCP ? IPPROTO_MPTCP : 0;
        struct opened opened = {.fd = socket(family, kind->type | SOCK_CLOEXEC, protocol)};
        socklen_t length = sizeof opened.cookie;

        if (opened.fd < 0)
                fail("socket");
        set_flags(opened.fd, family, kind->flags);
        bind_to(opened.fd, kind, port);
        if (kind->type == SOCK_STREAM && listen(opened.fd, 4) < 0)
                fail("listen");
        if (getsockopt(opened.fd, SOL_SOCKET, SO_COOKIE, &opened.cookie, &length) < 0)
                fail("SO_COOKIE");
        return opened;
}

static inline void close_all(struct opened *opened, size_t n)
{
        for (size_t i = 0; i < n; i++)
                close(opened[i].fd);
}

/* ---- looking ---- */

static inline const struct pw_socket *find(const struct pw_snapshot *snapshot, uint64_t cookie)
{
        for (size_t i = 0; i < snapshot->n_sockets; i++)
                if (snapshot->sockets[i].cookie == cookie)
                        return &snapshot->sockets[i];
        return NULL;
}

static inline void look(struct pw_sockdiag *diag, struct pw_snapshot *snapshot)
{
        pw_snapshot_clear(snapshot);
        if (pw_sockdiag_dump(diag, PW_DUMP_TCP | PW_DUMP_UDP, snapshot) != 0)
                check(false, "a dump is complete (tcp: %s, udp: %s)",
                      strerror(pw_sockdiag_error(diag, PW_TCP)),
                      strerror(pw_sockdiag_error(diag, PW_UDP)));
}

/* Notes the rows of sockets that were just opened. */
static inline bool note_rows(struct pw_sockdiag *diag, struct opened *opened, size_t n)
{
        struct pw_snapshot snapshot = {0};
        size_t found = 0;

        look(diag, &snapshot);
        for (size_t i = 0; i < n; i++) {
                const struct pw_socket *row = find(&snapshot, opened[i].cookie);

                if (row) {
                        opened[i].row = *row;
                        found++;
                }
        }
        pw_snapshot_done(&snapshot);
        return found == n;
}

static inline void check_proof(struct pw_sockdiag *diag, const struct opened *opened,
                               enum pw_proof wanted, const char *what)
{
        enum pw_proof proof = pw_sockdiag_prove(diag, &opened->row);

        check(proof == wanted, "%s is %s (wanted: %s)", what, proof_names[proof],
              proof_names[wanted]);
}
