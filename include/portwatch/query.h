/* SPDX-License-Identifier: MIT */
#pragma once

/* Questions to the history, for portwatchctl. Reads only; never waits long; each question is one
 * short transaction that has ended before the caller sees the rows. Text from the file is cleaned
 * on the way (the file may be somebody else's). */

#include <portwatch/event.h>

/* ---- filters: the same for history, list and scan ---- */

/* `80`, `:80`, `tcp/80`, `80-90`, `tcp/80-90`, `http`, `ephemeral` (folded listeners alone; all of
 * that range are `range=ephemeral`), lists of these with commas, and `tcp udp
 * range= service= user= unit= user_unit= exe= scope= netns= verdict= container= address= reason=`.
 * The same key twice means or, different keys mean and. Globs in user, unit, user_unit, exe,
 * service, netns and container; lists with commas in the others. */
struct pw_filter;

int pw_filter_new(struct pw_filter **ret); /* matches everything; 0 or -ENOMEM */
void pw_filter_free(struct pw_filter *filter);
PW_DEFINE_CLEANUP(struct pw_filter *, pw_filter_free)

struct pw_services;
/* Names of services beyond IANA's, for words added from now on and for matching; borrowed. */
void pw_filter_set_services(struct pw_filter *filter, const struct pw_services *services);

/* Adds one word as typed. 0; -EINVAL with a sentence in `error` that names the word, what is wrong,
 * and what was expected (clean text). */
int pw_filter_add(struct pw_filter *filter, const char *word, char *error, size_t error_size);

/* The keys that pw_filter_add() knows ("range", "service", …), NULL-terminated; for completion. */
extern const char *const pw_filter_keys[];

bool pw_filter_match(const struct pw_filter *filter, const struct pw_record *record);

/* Ports named as ports (a span each; `ephemeral`: from 0 to 0), for questions about one port.
 * Returns how many. */
size_t pw_filter_ports(const struct pw_filter *filter, const struct pw_ports **ret);

/* ---- the history ---- */

struct pw_query;

/* Opens `history.db` in the state directory `path` for reading. Works beside a living daemon, after
 * a clean stop, after a crash, and on a read-only copy.
 * Returns 0; -ENOENT: no history there; -EACCES: not permitted; -EPROTO: schema of another version
 * (`*ret_schema`); -EBUSY: locked for longer than 2 s; -EBADMSG: not a history, or corrupt. */
int pw_query_open(const char *path, struct pw_query **ret, int *ret_schema);
void pw_query_close(struct pw_query *query);
PW_DEFINE_CLEANUP(struct pw_query *, pw_query_close)

/* All of these append to *ret_records and return 0 or a negative errno as above. `filter` may be
 * NULL. Each record carries the newest alert that is open on it, if any. */

/* Listeners open at `at_usec`, or now (0): in pw_record_compare() order. */
int pw_query_open_at(struct pw_query *query, const struct pw_filter *filter, uint64_t at_usec,
                     struct pw_records *ret_records);

/* Intervals that overlap [since, until] (0 and PW_USEC_INFINITY: no bound), newest opening first,
 * at most `limit` (0: all). */
int pw_query_history(struct pw_query *query, const struct pw_filter *filter, uint64_t since_usec,
                     uint64_t until_usec, size_t limit, struct pw_records *ret_records);

/* Alerts, newest first; open ones, or with `all` the resolved too. */
int pw_query_alerts(struct pw_query *query, const struct pw_filter *filter, bool all,
                    struct pw_records *ret_records);

/* The alert with this number: one record, or none. */
int pw_query_alert(struct pw_query *query, int64_t alert_id, struct pw_records *ret_records);

struct pw_query_info {
        int schema;
        uint64_t heartbeat_usec;      /* when the daemon last wrote */
        uint64_t watching_since_usec; /* start of the oldest history */
        uint64_t bytes;
};
int pw_query_info(struct pw_query *query, struct pw_query_info *ret);
