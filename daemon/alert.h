/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether a person should see something: the reasons, what is to be done about them, and how much
 * one owner may say. Pure. */

#include <portwatch/record.h>

/* What is known besides the record itself. */
struct pw_surroundings {
        bool scope_widened; /* pw_alert_widens() held for a neighbour */
        bool second_owner;  /* pw_alert_rivals() held for a neighbour */
};

/* Whether `record` reaches further than `earlier`, an expected listener of the same owner, protocol
 * and port. */
bool pw_alert_widens(const struct pw_record *record, const struct pw_record *earlier);

/* Whether `record` shares its port with `other`, a listener of another user or executable: at the
 * same address, or one of the two at all addresses, the other in front of it at a specific one
 * (which is served first, whoever came first). */
bool pw_alert_rivals(const struct pw_record *record, const struct pw_record *other);

/* All reasons for an alert, 0: none. An allow, require or ignore rule silences every reason. A UDP
 * port in the ephemeral range is no reason by itself: `may_be_client` says that nothing tells it
 * from a client's, and only a deny rule makes it one. */
unsigned pw_alert_reasons(const struct pw_record *record, struct pw_surroundings around,
                          bool may_be_client);

enum pw_alert_step {
        PW_ALERT_NOTHING,
        PW_ALERT_RAISE,    /* a new alert: number, store, journal */
        PW_ALERT_ESCALATE, /* the same alert, for a graver reason: store, journal */
        PW_ALERT_REOPEN,   /* the same alert again, one more time: store only */
        PW_ALERT_UPDATE,   /* other reasons, none graver: store only */
        PW_ALERT_RESOLVE,
};

/* Compares the alert that the record carries (alert_id 0: none) with the reasons of now. `now_usec`
 * since 1970; an alert resolved for less than `realert_usec` is reopened instead of raised. */
enum pw_alert_step pw_alert_step(const struct pw_record *record, unsigned reasons,
                                 uint64_t now_usec, uint64_t realert_usec);

/* ---- limits for each owner ---- */

/* How often something may happen for one owner within a span. Owners are told apart by a key (user
 * and executable); what is over the limit is counted, to be summed up when the span ends. */
struct pw_limit;

int pw_limit_new(unsigned most, uint64_t span_usec, struct pw_limit **ret);
void pw_limit_free(struct pw_limit *limit);
PW_DEFINE_CLEANUP(struct pw_limit *, pw_limit_free)

/* Whether the owner of `record` may do it once more at `now_usec` (boot clock). */
bool pw_limit_take(struct pw_limit *limit, const struct pw_record *record, uint64_t now_usec);

/* The next owner whose span has ended and who had gone over the limit: how often beyond it, and the
 * last record (one reference) that did. 1: one was given, 0: none (any more). Owners whose span has
 * ended are forgotten. */
int pw_limit_summary(struct pw_limit *limit, uint64_t now_usec, uint64_t *ret_over,
                     struct pw_record **ret_record);

/* When pw_limit_summary() has something to say (boot clock), PW_USEC_INFINITY: nothing waits. */
uint64_t pw_limit_due(const struct pw_limit *limit);
