/* SPDX-License-Identifier: MIT */
#pragma once

/* An owner is who holds a socket. What identifies it (user, executable, unit, container) is apart
 * from what changes with every start (pids, comm, command line). All text is clean (text.h).
 *
 * Owners are immutable once published and counted, since thousands of sockets share one. */

#include <portwatch/base.h>

#include <sys/types.h>

/* What is notable about the executable; a set of bits. */
enum pw_trait {
        PW_TRAIT_FOREIGN_ROOT = 1 << 0, /* that path on the host is not this file */
        PW_TRAIT_DELETED = 1 << 1,      /* deleted, and no root-owned file has taken its place */
        PW_TRAIT_MEMFD = 1 << 2,        /* an anonymous file in memory */
        PW_TRAIT_TEMPORARY = 1 << 3,    /* below /tmp, /var/tmp or /dev/shm */
        PW_TRAIT_KERNEL = 1 << 4,       /* proven to be the kernel's own socket */
};
#define PW_TRAITS_SUSPICIOUS (PW_TRAIT_DELETED | PW_TRAIT_MEMFD | PW_TRAIT_TEMPORARY)

/* "foreign-root", "deleted", "memfd", "temporary", "kernel". */
const char *pw_trait_name(enum pw_trait trait);
/* Writes the set as a comma list (empty: ""), returns `buffer`. */
char *pw_traits_format(char *buffer, size_t size, unsigned traits);
#define PW_TRAITS_MAX 64

/* Why the process is not known. */
enum pw_unknown {
        PW_KNOWN,
        PW_UNKNOWN_HIDDEN,    /* some processes may not be looked into: not permitted */
        PW_UNKNOWN_NO_HOLDER, /* all were looked into, none holds it: just ended, a descriptor in
                               * flight, io_uring, or the kernel */
        PW_UNKNOWN_NOT_ASKED, /* a recording or a part that was not looked at */
        PW_UNKNOWN_COUNT,
};
/* "" for PW_KNOWN, else "hidden", "no-holder", "not-asked"; for JSON and the database. */
const char *pw_unknown_name(enum pw_unknown unknown);
int pw_unknown_from_name(const char *name, enum pw_unknown *ret);
/* A sentence's end for people: "its process may not be looked into", … */
const char *pw_unknown_reason(enum pw_unknown unknown);

#define PW_OWNER_PIDS_MAX 16 /* listed; more are only counted */
#define PW_EXE_MAX 4096
#define PW_CMDLINE_MAX 1024
#define PW_COMM_MAX 64

struct pw_owner {
        unsigned references;

        /* identity */
        uint32_t uid;    /* of the principal holder; of the socket where no holder is known */
        char *user;      /* its name; decimal where it has none */
        char *exe;       /* without " (deleted)"; NULL: not known */
        char *unit;      /* system unit, e.g. "ssh.service", "x.socket"; NULL: none or not known */
        char *user_unit; /* unit of the user's own manager; NULL: none */
        char *container; /* "docker:NAME-OR-ID", "machine:NAME", …; NULL: none */
        unsigned traits; /* enum pw_trait */
        enum pw_unknown unknown;

        /* detail: the principal holder first */
        char *comm;
        char *cmdline;
        pid_t pids[PW_OWNER_PIDS_MAX];
        uint64_t started[PW_OWNER_PIDS_MAX]; /* start in clock ticks since boot, guards pid reuse */
        unsigned n_pids;                     /* filled entries */
        unsigned n_holders;                  /* all holders, >= n_pids */
};

/* A new, cleared owner with one reference, NULL when out of memory. */
struct pw_owner *pw_owner_new(void);
struct pw_owner *pw_owner_ref(struct pw_owner *owner);
void pw_owner_unref(struct pw_owner *owner);
PW_DEFINE_CLEANUP(struct pw_owner *, pw_owner_unref)

/* Whether both are the same owner in identity: user, exe, unit, user unit and container, where
 * names that change every time are compared by their pattern; traits count, details do not. */
bool pw_owner_same(const struct pw_owner *a, const struct pw_owner *b);

/* Why no rule is made that names this owner, the end of a sentence; NULL: one can be made. The
 * executable has to be known and above suspicion, and either the file of that path on this host or
 * in a container that has a name. */
const char *pw_owner_obstacle(const struct pw_owner *owner);

/* A copy with one reference, for changing it before it is published. NULL when out of memory. */
struct pw_owner *pw_owner_copy(const struct pw_owner *owner);

/* Whether `owner` lists all the processes that `others` lists (by pid and start). */
bool pw_owner_has_processes(const struct pw_owner *owner, const struct pw_owner *others);

/* The same owner (pw_owner_same()) with the processes of both; the one whose principal holder
 * started first gives the detail. Returns a reference (to `a` itself where it has them all), NULL
 * when out of memory. */
struct pw_owner *pw_owner_join(struct pw_owner *a, struct pw_owner *b);

/* The pattern of a unit or container name: `session-7.scope` -> `session-*.scope`,
 * `run-u12.service`, `run-rf3….scope` -> `run-*.service`, `docker-<64 hex>.scope` ->
 * `docker-*.scope`, `app-gnome-firefox-4711.scope` -> `app-gnome-firefox-*.scope`,
 * `crond@<uuid>`-like parts stay. Other names are copied. Returns `buffer`. */
char *pw_unit_pattern(char *buffer, size_t size, const char *unit);
#define PW_UNIT_MAX 256
