/* SPDX-License-Identifier: MIT */
#pragma once

/* Entries for the systemd journal by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one
 * datagram of KEY=VALUE lines. Sending never blocks. An entry that cannot be sent now waits in a
 * bounded queue, in order, until the journal is back. Where there is no journal, the message goes
 * to standard error.
 *
 * Values are clean text (text.h), so none holds a newline; one that does all the same is cut there.
 */

#include <portwatch/event.h>
#include <portwatch/message-ids.h>

/* ---- entries ---- */

struct pw_entry;

/* A new entry with MESSAGE_ID, PRIORITY (syslog level), MESSAGE and SYSLOG_IDENTIFIER. NULL when
 * out of memory. */
struct pw_entry *pw_entry_new(enum pw_message message, int priority, const char *text);
void pw_entry_free(struct pw_entry *entry);
PW_DEFINE_CLEANUP(struct pw_entry *, pw_entry_free)

/* Adds a field; nothing where value is NULL or "". Out of memory makes the entry incomplete, which
 * sending notices. */
void pw_entry_add(struct pw_entry *entry, const char *key, const char *value);
void pw_entry_addf(struct pw_entry *entry, const char *key, const char *format, ...) _printf_(3, 4);

/* Adds all PORTWATCH_ fields that the record has. */
void pw_entry_add_record(struct pw_entry *entry, const struct pw_record *record);

/* The entry of an alert: its kind by the gravest reason, PORTWATCH_ALERT=1, one sentence that ends
 * with what to do. Also marks which alert it delivers. */
struct pw_entry *pw_entry_alert(const struct pw_record *record);
/* The entry that says that it is over, and why (`how`, the end of a sentence: "it was closed"). */
struct pw_entry *pw_entry_resolved(const struct pw_record *record, const char *how);

/* The datagram and the sentence, for tests; valid as long as the entry. */
const char *pw_entry_data(const struct pw_entry *entry, size_t *ret_length);
const char *pw_entry_text(const struct pw_entry *entry);

/* What a listener is called in a sentence: `tcp *:8080 (http-alt) by python3, pid 812, user dev,
 * unit x.service`. Returns `buffer`. */
#define PW_DESCRIPTION_MAX 1024
char *pw_describe(char *buffer, size_t size, const struct pw_record *record);

/* ---- sending ---- */

struct pw_journal;

/* `path` of the journal's socket; NULL: standard error. `on_sent` hears which alert has been
 * delivered (0: not an alert). 0 or -errno. */
int pw_journal_new(const char *path, void (*on_sent)(void *userdata, int64_t alert_id),
                   void *userdata, struct pw_journal **ret);
/* Tries once more to send what waits. */
void pw_journal_free(struct pw_journal *journal);
PW_DEFINE_CLEANUP(struct pw_journal *, pw_journal_free)

/* Sends an entry, or queues it behind those that wait. Takes over the entry (NULL: out of memory
 * when it was made; counted as lost). */
void pw_journal_send(struct pw_journal *journal, struct pw_entry *entry);

/* Sends what waits, until the journal does not take more. Returns how many wait still. */
size_t pw_journal_flush(struct pw_journal *journal);

size_t pw_journal_waiting(const struct pw_journal *journal);
/* Entries given up so far: the queue was full, or memory. */
uint64_t pw_journal_lost(const struct pw_journal *journal);
