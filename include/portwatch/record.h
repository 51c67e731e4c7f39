/* SPDX-License-Identifier: MIT */
#pragma once

/* A record is all that is said of one listener: an endpoint held by an owner, in names, with its
 * verdict and times. The daemon makes it once; store, journal, status and every view of
 * portwatchctl read the same struct. Immutable once published, and counted.
 *
 * All text is clean (text.h). Times are microseconds since 1970, 0 where not known. */

#include <portwatch/endpoint.h>
#include <portwatch/owner.h>
#include <portwatch/text.h>
#include <portwatch/verdict.h>

/* How a beginning or an end is known. */
enum pw_how {
        PW_HOW_NONE,  /* still open */
        PW_HOW_SEEN,  /* by a look: not there in one, there in the next, or the reverse, proven */
        PW_HOW_EVENT, /* told by the kernel at that moment */
        PW_HOW_FIRST_LOOK, /* open when the daemon started: since before that */
        PW_HOW_HEARTBEAT,  /* ended while nobody looked; the time is the last that it was seen */
        PW_HOW_REBOOT,     /* the host went down; likewise */
        PW_HOW_COUNT,
};
const char *pw_how_name(enum pw_how how); /* "", "seen", "event", "first-look", … */
int pw_how_from_name(const char *name, enum pw_how *ret);

#define PW_LISTENER_ID_MAX 33 /* 128 bits in lower-case hex */
#define PW_DEVICE_MAX 16
#define PW_NETNS_HOST "host" /* the namespace that the daemon runs in */

struct pw_record {
        unsigned references;

        /* identity: these and the owner's identity make the listener id */
        char listener_id[PW_LISTENER_ID_MAX];
        const char *netns; /* "host", a container, an `ip netns` name, or "net:[INODE]"; never NULL
                            * in a published record */
        uint8_t protocol;
        uint16_t port; /* 0: folded, see pw_record_is_folded() */
        struct pw_address address;
        const char *address_text; /* pw_address_format(); shared, as many listen at the same one */
        char device[PW_DEVICE_MAX]; /* "": not bound to one */
        struct pw_owner *owner;     /* never NULL in a published record */

        /* labels */
        enum pw_scope scope;
        enum pw_range range;
        bool ephemeral;
        const char *service; /* NULL: none assigned; static, or as long-lived as pw_services */

        /* detail */
        unsigned sockets; /* how many sockets this listener has; folded: ports so far */
        uint64_t cookie;  /* of one of them: proves after a restart of the daemon that it stayed */
        enum pw_verdict verdict;
        const char *rule;        /* "FILE:LINE" of the rule that decided; NULL: none matched */
        const char *former_rule; /* by which it was expected, until that rule went; NULL: none. With
                                  * the alert in the store */

        /* interval */
        uint64_t opened_usec;
        enum pw_how opened_how;
        uint64_t last_seen_usec;
        uint64_t closed_usec; /* 0: open */
        enum pw_how closed_how;

        /* alert, where there is one (rows of `alerts` and `show`) */
        int64_t alert_id; /* 0: none */
        unsigned reasons; /* enum pw_reason */
        uint64_t raised_usec, delivered_usec, resolved_usec;
        unsigned alert_count; /* times that it opened under this alert */
};

/* Whether this is no listener but the lack of one: a rule requires the port. It has no owner. */
static inline bool pw_record_is_missing(const struct pw_record *record)
{
        return record->reasons & PW_REASON_REQUIRED_MISSING;
}

/* Whether this one record stands for all the ephemeral ports of its protocol that one owner binds,
 * one after another or many at a time: a resolver that takes a random port for each question, a
 * media server. Its address is the family's any-address. UDP and UDP-Lite only. */
static inline bool pw_record_is_folded(const struct pw_record *record)
{
        return record->port == 0;
}

struct pw_record *pw_record_new(void); /* cleared, one reference; NULL when out of memory */
/* A copy with one reference that shares the owner; for changing a published record's detail. */
struct pw_record *pw_record_copy(const struct pw_record *record);
/* Sets the alert fields of `to` (not yet published) to those of `from`. */
void pw_record_copy_alert(struct pw_record *to, const struct pw_record *from);
/* Sets the ruling of `to` (not yet published) to that of `from`. 0 or -ENOMEM. */
int pw_record_copy_ruling(struct pw_record *to, const struct pw_record *from);
/* Sets the ruling of a record that has its former one, and keeps the rule that went, where one did.
 * `rule` may be NULL. 0 or -ENOMEM. */
int pw_record_judge(struct pw_record *record, enum pw_verdict verdict, const char *rule);
struct pw_record *pw_record_ref(struct pw_record *record);
void pw_record_unref(struct pw_record *record);
PW_DEFINE_CLEANUP(struct pw_record *, pw_record_unref)

struct pw_socket;
struct pw_services;
/* A record of one socket with this owner (which is referenced): identity in names, labels, one
 * socket, its cookie. `device` is the bound device's name (NULL or "": none). Listener id, verdict
 * and times are left to the caller. NULL when out of memory. */
struct pw_record *pw_record_make(const struct pw_socket *socket, struct pw_owner *owner,
                                 const char *netns, const char *device, struct pw_ports ephemeral,
                                 const struct pw_services *services);

/* The clean name of an interface of the caller's namespace; `ifN` for one that is gone, so that it
 * is not taken for none; "" for 0. Returns `buffer`, of PW_DEVICE_MAX bytes. */
char *pw_device_name(char *buffer, uint32_t ifindex);

/* Fills in what follows from protocol, port, address and ephemeral range: address_text, scope,
 * range, ephemeral (a folded record: dynamic and ephemeral). 0 or -ENOMEM. */
int pw_record_label(struct pw_record *record, struct pw_ports ephemeral);

/* Fills in listener_id: the first 128 bits of SHA-256 over the identity in names, each part ended
 * by a NUL: netns, protocol name, address text, port, device, user, exe, pattern of unit, of user
 * unit, and of container, and the traits' names. The same on every host and after every restart. */
void pw_record_identify(struct pw_record *record);

/* Whether this may be what a client has by chance: not TCP, one port of the ephemeral range, and
 * the kernel did not tell of its opening, which it does only where the port was asked for. */
bool pw_record_may_be_client(const struct pw_record *record);

/* Whether this should not be open: denied, or unexpected and nothing that may be a client's, which
 * nobody is alerted of. The one answer of status, list and verify. */
bool pw_record_is_unexpected(const struct pw_record *record);

/* For output order: protocol, port, address, then owner. */
int pw_record_compare(const struct pw_record *a, const struct pw_record *b);

/* What to call the holder in a table: comm, else the base name of exe, else "systemd" for PID 1's,
 * else "kernel", else NULL (not known). */
const char *pw_record_process(const struct pw_record *record);

/* An array of records that owns one reference to each. */
struct pw_records {
        struct pw_record **items;
        size_t n, capacity;
};
/* Takes over the caller's reference, on failure too. 0 or -ENOMEM. */
int pw_records_add(struct pw_records *records, struct pw_record *record);
void pw_records_sort(struct pw_records *records); /* by pw_record_compare() */
void pw_records_done(struct pw_records *records);
