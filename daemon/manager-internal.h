/* SPDX-License-Identifier: MIT */
#pragma once

/* The manager's state, and what its files call of each other. One poll:
 *
 *   manager-poll.c     look, prove, attribute     kernel -> sockets -> listeners
 *   manager-events.c   hear                       kernel -> sockets, owners -> listeners
 *   manager-waiting.c  wait, fold                 … -> listeners
 *   manager-publish.c  judge, alert               listeners -> records -> writes, alerts
 *   manager-store.c    commit, tell, mark         writes -> store, alerts -> journal
 *
 * manager-unknown.c asks again for owners; manager-engine.c has the event engine, manager-spaces.c
 * the other network namespaces; manager-rules.c keeps the rules, the baseline and the required
 * ports; manager-bus.c what is asked of systemd; manager-past.c what earlier runs left;
 * manager-status.c what the daemon says of itself; manager-setup.c opens and frees all that;
 * manager.c is the event loop and the chores, whose times are all in `due`. */

#include "daemon/alert.h"
#include "daemon/attribution.h"
#include "daemon/bus.h"
#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/fold.h"
#include "daemon/journal.h"
#include "daemon/listeners.h"
#include "daemon/manager.h"
#include "daemon/namespaces.h"
#include "daemon/policy.h"
#include "daemon/privileges.h"
#include "daemon/sockdiag.h"
#include "daemon/status.h"
#include "daemon/tracker.h"
#include "daemon/waiting.h"

#include <portwatch/store.h>
#include <portwatch/text.h>

#include <systemd/sd-event.h>

#define JOURNAL_ALERTS_PER_MINUTE 10
#define ROWS_PER_HOUR 20000
#define WRITES_MAX 100000     /* kept while the store fails */
#define NEIGHBOURS_MAX 256    /* looked at on one port for one alert */
#define CLOSED_KEPT_MAX 20000 /* closed listeners remembered for RealertSec */
#define PAST_MAX 200000
#define PW_NETNS_NAME_MAX 256

/* Dumps that are made, compared and merged apart from each other. */
enum look_kind {
        LOOK_MAIN,    /* TCP and UDP, at every poll */
        LOOK_UDPLITE, /* rare, so seldom */
        LOOK_OTHERS,  /* other network namespaces, seldom */
        LOOK_COUNT,
};
struct look {
        struct pw_snapshot now, before;
        bool first_done; /* a complete one has been merged */
        bool outdated;   /* events have told of sockets since: one that is equal is news, too */
};

/* A socket whose owner is not known, to be asked for again. Where no process held it at the first
 * asking it has most likely just closed: it is a listener only when it is still there at the
 * second. */
struct unknown_socket {
        struct pw_change opened;
        bool attached; /* to a listener */
        uint64_t due_usec, delay_usec;
};

/* A socket that PID 1 holds for a unit that is not known: a listener when systemd has been asked.
 */
struct nameless_socket {
        struct pw_change opened;
        struct pw_owner *owner;
};

/* A port that a rule requires. */
struct required_port {
        struct pw_listener *listener; /* stands for it among the listeners */
        size_t rule;
        uint64_t grace_usec;
        uint64_t missing_since_usec; /* boot clock; PW_USEC_INFINITY: it is open */
};

/* When each chore is to be done next (boot clock). The order is that of the table in manager.c. */
enum chore {
        CHORE_WAITING,   /* sockets that events told of, and that wait */
        CHORE_LINGER,    /* folded listeners without a port for long */
        CHORE_HELD_BACK, /* UDP sockets that have become old enough */
        CHORE_UNKNOWN,
        CHORE_RELOAD,
        CHORE_RULE_ENDS,
        CHORE_REQUIRED,
        CHORE_BOOT, /* ask whether the host has finished booting */
        CHORE_LEARNED,
        CHORE_UNITS, /* ask which socket units are behind PID 1's sockets */
        CHORE_PAST,  /* settle what an earlier run left open, clients too */
        CHORE_LIMITS,
        CHORE_STORE,   /* retry */
        CHORE_JOURNAL, /* retry */
        CHORE_REFRESH, /* numbers of sockets into the store */
        CHORE_HEARTBEAT,
        CHORE_PRUNE,
        CHORE_STATUS,
        CHORE_COUNT,
};

struct pw_manager {
        struct pw_options options;
        struct pw_config config;

        sd_event *event;
        sd_event_source *poll_timer, *chore_timer;
        struct pw_bus *bus; /* NULL: nothing to ask */
        sd_event_source *
            *watches; /* inotify, one a directory with rules; NULL where it is missing */
        size_t n_watches;
        uint64_t due[CHORE_COUNT], armed_usec;

        int state_fd, run_fd, lock_fd;
        int proc_fd, root_fd, etc_fd, cgroup_fd;
        uint64_t netns;
        uint64_t wall_difference; /* of the wall clock to the boot clock */
        struct pw_ports ephemeral;
        char boot_id[64];

        /* the stages */
        struct pw_sockdiag *diag;
        struct pw_attribution *attribution;
        struct pw_tracker *tracker;
        struct pw_listeners *listeners;
        struct pw_services *services;
        struct pw_policy *policy;
        struct pw_limit *alert_limit, *row_limit;
        struct pw_store *store;
        struct pw_journal *journal;

        /* events */
        struct pw_engine *engine; /* NULL: not wanted */
        sd_event_source *engine_source;
        struct pw_fold *fold;
        struct pw_waiting *settling, *dwelling;
        struct pw_opener last_opener;
        struct pw_owner *last_owner; /* its owner; NULL: none in this batch */
        struct pw_namespaces *namespaces;
        bool namespaces_hidden; /* some process may not be asked for its namespace */

        struct look looks[LOOK_COUNT];
        uint64_t seldom_due_usec, others_due_usec; /* of the looks at UDP-Lite, at others */
        uint64_t others_interval_usec;
        struct nameless_socket *nameless;
        size_t n_nameless, nameless_capacity, n_asked; /* the first ones: the answer is awaited */
        size_t n_kept; /* listeners, when those closed long ago were last forgotten */
        struct unknown_socket *unknown;
        size_t n_unknown, unknown_capacity;
        uint64_t asked_usec; /* when their owners were last asked for */

        struct required_port *required;
        size_t n_required, required_capacity;
        bool learning; /* the baseline is still to be written … */
        bool booting;  /* … once the host has finished booting */
        unsigned boot_asked;
        bool wrote_baseline; /* the watch has yet to tell of it */
        char *baseline_text; /* learned, but could not be written to its file */
        char *baseline_path;
        char rules_error[PW_REFUSAL_MAX];

        struct pw_writes writes;
        struct pw_entry **entries; /* of alerts, to be told after the next commit */
        size_t n_entries, entries_capacity;
        uint64_t lost_before; /* entries that the journal had lost when alerts were told again */
        uint64_t events_lost; /* with the writes */
        int64_t last_alert_id;
        bool resync;       /* writes were lost: compare store and memory when it is open again */
        bool ready;        /* the first look that can be trusted is done; READY=1 has been sent */
        bool store_read;   /* in this run: alert numbers go on from those in it */
        bool trim;         /* there were many changes at once */
        bool store_paused; /* the history is as large as it may be */
        char store_state[240], reader_note[256];

        /* what polls may cost */
        int64_t credit_nsec; /* CPU time saved up under CPUBudget; negative: to be waited for */
        uint64_t credit_since_usec;
        uint64_t interval_usec, polled_usec, next_poll_usec;
        uint64_t soon_usec; /* a look is wanted by then; PW_USEC_INFINITY: none */

        struct pw_status status;
};

/* manager.c */
void manager_log(struct pw_manager *m, enum pw_message message, int priority, const char *format,
                 ...) _printf_(4, 5);
void manager_schedule(struct pw_manager *m, enum chore chore, uint64_t usec); /* not later than */
int manager_schedule_now(struct pw_manager *m, enum chore chore, uint64_t usec);
int manager_event_init(struct pw_manager *m);
int manager_timers_init(struct pw_manager *m);
void manager_look_soon(struct pw_manager *m); /* does not wait for the next poll */
int manager_arm(struct pw_manager *m);        /* the timers, from outside a poll or a chore */

/* manager-setup.c */
char *manager_path(const char *dir, const char *name);

/* manager-poll.c: all return 0 or -ENOMEM */
int manager_poll(struct pw_manager *m);
int manager_held_back(struct pw_manager *m, uint64_t now_usec);

/* The record of a socket: identity and labels. NULL: out of memory. */
struct pw_record *manager_make_record(struct pw_manager *m, const struct pw_socket *socket,
                                      struct pw_owner *owner);
/* What the wall clock showed at a moment of the boot clock. */
uint64_t manager_wall_clock(struct pw_manager *m, uint64_t boot_usec);
/* The socket becomes one of the listener that its owner makes it; `ret` may be NULL. */
int manager_attach(struct pw_manager *m, const struct pw_change *change, struct pw_owner *owner,
                   struct pw_listener **ret);
enum pw_proof manager_prove(struct pw_manager *m, const struct pw_socket *socket);

/* manager-unknown.c */
/* Owners of sockets, one reference each; freed as a whole. */
struct manager_owners {
        const struct pw_socket **sockets;
        struct pw_owner **owners;
        size_t n;
};

void manager_owners_done(struct manager_owners *owners);
int manager_owners_reserve(struct manager_owners *owners, size_t n);
/* Looks for all holders of the socket in a moment; `attached`: it has a listener. */
int manager_ask_later(struct pw_manager *m, const struct pw_change *opened, bool attached);
int manager_ask_again(struct pw_manager *m, uint64_t now_usec);
/* Forgets that a look showed the socket where nobody was found to hold it. False: no such. */
bool manager_forget_unbelieved(struct pw_manager *m, const struct pw_socket *socket);

/* manager-engine.c */
int manager_engine_init(struct pw_manager *m);
void manager_engine_done(struct pw_manager *m);
bool manager_hears_all(const struct pw_manager *m);
void manager_list_by_engine(struct pw_manager *m); /* attribution does */
/* Sockets that nobody holds and that are proven to be the kernel's own get it as their owner. */
int manager_find_kernels(struct pw_manager *m, const struct pw_socket *const *sockets,
                         struct pw_owner **owners, size_t n);

/* manager-events.c */
int manager_events_start(struct pw_manager *m); /* from now on */
int manager_hear(struct pw_manager *m);         /* what has been told so far */
void manager_forget_opener(struct pw_manager *m);
/* Hands a socket to its listener. Who holds it besides the one who opened it shows later. */
int manager_tell_opened(struct pw_manager *m, const struct pw_socket *socket,
                        struct pw_owner *owner, uint64_t opened_usec);
/* The listener's socket went at that moment (0: between two looks). One that was not published yet
 * is published as open first: it was there, however short. */
int manager_tell_closed(struct pw_manager *m, struct pw_listener *listener, uint64_t closed_usec);
static inline struct pw_change manager_opened(const struct pw_socket *socket, uint64_t opened_usec)
{
        return (struct pw_change){.by_event = true, .since_usec = opened_usec, .socket = *socket};
}

/* manager-waiting.c */
/* Whether the rules expect somebody else on this port, who this owner may be about to become. 1, 0
 * or -ENOMEM. */
int manager_may_become_expected(struct pw_manager *m, const struct pw_socket *socket,
                                struct pw_owner *owner);
bool manager_may_be_one_of_many(const struct pw_socket *socket);
int manager_wait(struct pw_manager *m, struct pw_waiting *waiting, const struct pw_socket *socket,
                 struct pw_owner *owner, uint64_t opened_usec);
int manager_waited(struct pw_manager *m, uint64_t now_usec);
int manager_end_lingering(struct pw_manager *m, uint64_t now_usec);

/* manager-spaces.c */
int manager_spaces_init(struct pw_manager *m);
/* The sockets of all other namespaces. Returns as pw_sockdiag_dump(). */
int manager_spaces_dump(struct pw_manager *m, struct pw_snapshot *snapshot);
/* Makes the socket of an event one as that dump has them; its process is in the namespace. */
int manager_meet_namespace(struct pw_manager *m, struct pw_socket *socket, uint64_t netns_id,
                           pid_t pid);
/* Whether there is nobody in it any more. */
bool manager_namespace_is_gone(const struct pw_manager *m, uint64_t netns);
/* For records; `buffer` has PW_NETNS_NAME_MAX and PW_DEVICE_MAX bytes. */
const char *manager_netns_name(const struct pw_manager *m, uint64_t netns, char *buffer);
const char *manager_device_name(const struct pw_manager *m, char *buffer,
                                const struct pw_endpoint *endpoint);

/* manager-publish.c */
int manager_publish(struct pw_manager *m, uint64_t now_usec);
int manager_publish_one(struct pw_manager *m, struct pw_listener *listener, uint64_t now_usec);
int manager_rejudge(struct pw_manager *m);
int manager_recount(struct pw_manager *m);
int manager_sum_up(struct pw_manager *m, uint64_t now_usec);
int manager_write(struct pw_manager *m, struct pw_write write);
int manager_settle_alert(struct pw_manager *m, struct pw_record *record, unsigned reasons,
                         const char *over);
/* Moves an open listener's interval and alert to the listener that its owner makes it. */
int manager_reassign(struct pw_manager *m, struct pw_listener *from, struct pw_listener *to);

/* manager-past.c */
int manager_recall(struct pw_manager *m, const struct pw_past *past);
/* Ends what an earlier run left open and is not there any more. `late`: what is believed later than
 * the first look, too. */
int manager_settle_past(struct pw_manager *m, bool late, uint64_t now_usec);

/* manager-store.c */
int manager_store_open(struct pw_manager *m);
void manager_store_close(struct pw_manager *m);
int manager_commit(struct pw_manager *m); /* store, then journal, then delivered */
/* Queues an entry (NULL: out of memory) to be told after the next commit. 0 or -ENOMEM. */
int manager_tell(struct pw_manager *m, struct pw_entry *entry);
/* Tells the alerts again that the journal has lost. */
int manager_tell_lost(struct pw_manager *m);
int manager_store_retry(struct pw_manager *m);
int manager_heartbeat(struct pw_manager *m);
void manager_forget(struct pw_manager *m, uint64_t now_usec); /* what has closed long ago */
int manager_prune(struct pw_manager *m, uint64_t now_usec);
void manager_on_sent(void *userdata, int64_t alert_id);
int manager_event(struct pw_manager *m, enum pw_event event, const char *detail);

/* manager-rules.c */
int manager_rules_init(struct pw_manager *m);
int manager_reload(struct pw_manager *m);
int manager_rule_ended(struct pw_manager *m);
int manager_watch_rules(struct pw_manager *m);
int manager_check_required(struct pw_manager *m, uint64_t now_usec);
int manager_learn(struct pw_manager *m);

/* manager-bus.c */
int manager_bus_init(struct pw_manager *m);
int manager_ask_boot(struct pw_manager *m);
int manager_ask_units(struct pw_manager *m);
/* Where PID 1 holds the socket for no known unit: keeps it until systemd has been asked. 1: kept.
 * 0: not the case. -ENOMEM. */
int manager_name_socket(struct pw_manager *m, const struct pw_change *opened,
                        struct pw_owner *owner);

/* manager-status.c */
void manager_status_write(struct pw_manager *m, uint64_t now_usec);
void manager_notify(struct pw_manager *m);
int manager_blind_spots(struct pw_manager *m);
