/* SPDX-License-Identifier: MIT */
/* The store, and the order of things: commit, then tell the journal, then mark as delivered. After
 * a crash an alert is told twice rather than never. While the store fails, or is as large as it may
 * be, writes wait (bounded), alerts are told all the same, and the store is tried again. */

#include "daemon/manager-internal.h"
#include "daemon/readers.h"

#include <malloc.h>
#include <syslog.h>

#define STORE_RETRY_USEC (5 * PW_USEC_PER_SEC)
#define JOURNAL_RETRY_USEC (500 * PW_USEC_PER_MSEC)
#define HEARTBEAT_USEC PW_USEC_PER_MINUTE
#define PRUNE_STEP_USEC PW_USEC_PER_SEC
#define PRUNE_ROWS 500
#define READER_BYTES (16ULL << 20)  /* a longer log is worth a word */
#define RESERVE_BYTES (16ULL << 20) /* left to the log by pruning; at most a quarter of all */

/* ---- faults ---- */

static const char *store_advice(int error)
{
        switch (error) {
        case ENOSPC:
        case EDQUOT:
                return "free disk space, or lower MaxUseBytes=";
        case EROFS:
                return "make the file system writable";
        case EACCES:
        case EPERM:
                return "check the owner and mode of the directory";
        default:
                return "see the kernel log for disk errors";
        }
}

static void store_failed(struct pw_manager *m, int error, const char *words)
{
        bool first = strcmp(m->store_state, "ok") == 0 || m->store_state[0] == '\0';

        snprintf(m->store_state, sizeof m->store_state, "%s", words);
        manager_schedule(m, CHORE_STORE, pw_now_boottime() + STORE_RETRY_USEC);
        if (first)
                manager_schedule(m, CHORE_STATUS, 0);
        if (first)
                manager_log(
                    m, PW_MESSAGE_STORE_FAILED, LOG_ERR,
                    "History in %s cannot be written: %s. Alerts go on, writes wait and are "
                    "tried again; %s.",
                    m->options.state_dir, words, store_advice(error));
}

/* Pauses that the journal is not told of: they come and go with busy times. */
static const char forgetting[] = "the oldest is forgotten to stay within MaxUseBytes";

static void store_recovered(struct pw_manager *m)
{
        bool failed = m->store_state[0] != '\0' && strcmp(m->store_state, "ok") != 0;
        bool told = failed || (m->store_paused && strcmp(m->reader_note, forgetting) != 0);

        if (failed || m->store_paused)
                manager_schedule(m, CHORE_STATUS, 0);
        strcpy(m->store_state, "ok");
        m->store_paused = false;
        if (told)
                manager_log(m, PW_MESSAGE_STORE_RECOVERED, LOG_NOTICE,
                            "History in %s is written again.", m->options.state_dir);
}

/* ---- opening ---- */

static uint64_t realert_since(const struct pw_manager *m)
{
        uint64_t now_usec = pw_now_realtime();

        return now_usec > m->config.realert_usec ? now_usec - m->config.realert_usec : 0;
}

void manager_store_close(struct pw_manager *m)
{
        pw_store_close(m->store);
        m->store = NULL;
}

static void say_replaced(struct pw_manager *m, const char *moved)
{
        manager_log(m, PW_MESSAGE_STORE_REPLACED, LOG_ERR,
                    "History in %s was not usable; it is kept as %s, and a new one is begun.",
                    m->options.state_dir, moved);
}

/* The file turned out to be corrupt while it was in use. */
static void set_aside(struct pw_manager *m)
{
        _cleanup_(pw_freep) char *moved = NULL;

        manager_store_close(m);
        if (pw_store_set_aside(m->options.state_dir, &moved) == 0)
                say_replaced(m, moved);
}

/* Opens the store and recalls the past. 1: not now. */
static int try_open(struct pw_manager *m)
{
        _cleanup_(pw_freep) char *moved = NULL;
        struct pw_past past = {0};
        int schema = 0, r;

        r = pw_store_open(m->options.state_dir, &m->store, &moved, &schema);
        if (r == -EPROTO) {
                manager_log(
                    m, PW_MESSAGE_STORE_FAILED, LOG_ERR,
                    "History in %s has schema %d, made by a newer version; this one (%s) reads "
                    "schema %d. Install the newer version, or move the file away.",
                    m->options.state_dir, schema, PORTWATCH_VERSION, PW_STORE_SCHEMA);
                return r;
        }
        if (r < 0) {
                store_failed(m, -r, strerror(-r));
                return r == -ENOMEM ? r : 1;
        }
        pw_store_limit(m->store, m->config.max_use_bytes);
        if (r == PW_STORE_REPLACED)
                manager_log(
                    m, PW_MESSAGE_STORE_REPLACED, LOG_ERR,
                    "History in %s was not usable; it is kept as %s, and a new one has begun.",
                    m->options.state_dir, moved);
        r = pw_store_resume(m->store, m->boot_id, realert_since(m), PAST_MAX, &past);
        if (r == 0)
                r = manager_recall(m, &past);
        else
                store_failed(m, r < 0 ? -r : EBUSY, pw_store_error(m->store));
        pw_past_done(&past);
        if (r == 0 || r == -ENOMEM)
                return r;
        if (r == -EBADMSG)
                set_aside(m);
        manager_store_close(m);
        return 1;
}

int manager_store_open(struct pw_manager *m)
{
        int r = try_open(m);

        if (r < 0)
                return r;
        if (r == 0)
                strcpy(m->store_state, "ok");
        manager_schedule(m, CHORE_HEARTBEAT, pw_now_boottime() + HEARTBEAT_USEC);
        manager_schedule(m, CHORE_PRUNE, pw_now_boottime() + 2 * PW_USEC_PER_MINUTE);
        return manager_event(m, PW_EVENT_STARTED, PORTWATCH_VERSION);
}

/* ---- room ---- */

/* Names the readers that keep the write-ahead log from shrinking: in `status`, and the first time
 * in the journal. */
static void name_readers(struct pw_manager *m, bool first)
{
        char size[PW_SIZE_MAX], pids_text[128] = "";
        pid_t pids[8];
        size_t n =
            pw_readers_find(m->proc_fd, m->state_fd, PW_STORE_FILE "-shm", pids, PW_ELEMENTS(pids));

        for (size_t i = 0, length = 0; i < n; i++)
                length += (size_t)snprintf(pids_text + length, sizeof pids_text - length, " pid %d",
                                           (int)pids[i]);
        snprintf(m->reader_note, sizeof m->reader_note,
                 "a reader does not end (%s), so the write-ahead log has grown to %s%s",
                 n > 0 ? pids_text + 1 : "its pid is not known",
                 pw_format_size(size, sizeof size, pw_store_log_bytes(m->store)),
                 m->store_paused ? "; history pauses at MaxUseBytes" : "");
        if (first)
                manager_log(m, PW_MESSAGE_STORE_FAILED, LOG_WARNING, "History in %s: %s.",
                            m->options.state_dir, m->reader_note);
}

static bool log_is_long(const struct pw_manager *m)
{
        return m->store && pw_store_log_bytes(m->store) > PW_STORE_LOG_BYTES;
}

/* After a write: it costs nothing to know how long the log is, but naming readers does. */
static void watch_log(struct pw_manager *m)
{
        if (pw_store_log_bytes(m->store) <= READER_BYTES)
                m->reader_note[0] = '\0';
        else if (m->reader_note[0] == '\0')
                name_readers(m, true);
}

/* The history is as large as it may be, so it waits, and alerts go on. Either a reader is in the
 * way, or older history makes room. */
static void pause_history(struct pw_manager *m)
{
        bool begins = !m->store_paused;
        uint64_t now_usec = pw_now_boottime();

        m->store_paused = true;
        manager_schedule(m, CHORE_STORE, now_usec + STORE_RETRY_USEC);
        if (begins)
                manager_schedule(m, CHORE_STATUS, 0);
        if (log_is_long(m)) {
                name_readers(m, begins);
        } else if (begins) {
                strcpy(m->reader_note, forgetting);
                manager_schedule(m, CHORE_PRUNE, now_usec);
        }
}

/* Nothing more can be forgotten. */
static void say_too_small(struct pw_manager *m)
{
        static const char words[] = "what is open now does not fit into MaxUseBytes";

        if (strcmp(m->reader_note, words) == 0)
                return;
        strcpy(m->reader_note, words);
        manager_log(m, PW_MESSAGE_STORE_FAILED, LOG_WARNING,
                    "History in %s pauses: %s. Alerts go on; make it larger.", m->options.state_dir,
                    words);
}

/* ---- writing ---- */

/* What the result of a call to the store means for it. 0; 1: not now; -ENOMEM. */
static int store_result(struct pw_manager *m, int r)
{
        if (r == 0)
                return 0;
        store_failed(m, r < 0 ? -r : EBUSY, pw_store_error(m->store));
        if (r == -EBADMSG)
                set_aside(m);
        if (r == -ESTALE) /* somebody moved the file away: another one is begun */
                manager_store_close(m);
        return r == -ENOMEM ? r : 1;
}

/* Applies what waits, or only the heartbeat. 0: all is in the store. 1: not now. */
static int write_all(struct pw_manager *m)
{
        int r = pw_store_apply(m->store, &m->writes, pw_now_realtime());

        if (r == PW_STORE_FULL) {
                pause_history(m);
                return 1;
        }
        r = store_result(m, r);
        if (r != 0)
                return r;
        m->status.db_writes++;
        store_recovered(m);
        watch_log(m);
        return 0;
}

/* With nothing waiting, `heartbeat` says whether to write at all. What retries ends a pause. */
static int apply(struct pw_manager *m, bool heartbeat)
{
        if (m->writes.n == 0 && !heartbeat)
                return 0;
        return m->store && !m->store_paused ? write_all(m) : 1;
}

/* What memory says of the alert is what later writes say of it. */
static struct pw_record *mark_delivered(struct pw_manager *m, int64_t alert_id)
{
        for (size_t i = 0; i < pw_listeners_count(m->listeners); i++) {
                struct pw_listener *listener = pw_listeners_item(m->listeners, i);
                struct pw_record *record;

                if (listener->record->alert_id != alert_id)
                        continue;
                record = pw_record_copy(listener->record);
                if (!record)
                        return NULL;
                record->delivered_usec = pw_now_realtime();
                pw_record_unref(listener->record);
                listener->record = record;
                return pw_record_ref(record);
        }
        return NULL;
}

void manager_on_sent(void *userdata, int64_t alert_id)
{
        struct pw_manager *m = userdata;
        struct pw_record *record = mark_delivered(m, alert_id);

        if (record) /* else out of memory: told again after a restart, rather than lost */
                (void)manager_write(m, (struct pw_write){.kind = PW_WRITE_DELIVERED,
                                                         .time_usec = record->delivered_usec,
                                                         .record = record});
}

int manager_tell(struct pw_manager *m, struct pw_entry *entry)
{
        int r = entry ? pw_array_reserve(&m->entries, &m->entries_capacity, m->n_entries + 1,
                                         sizeof(struct pw_entry *))
                      : -ENOMEM;

        if (r < 0) {
                pw_entry_free(entry);
                return r;
        }
        m->entries[m->n_entries++] = entry;
        return 0;
}

int manager_tell_lost(struct pw_manager *m)
{
        if (pw_journal_waiting(m->journal) > 0 || pw_journal_lost(m->journal) == m->lost_before)
                return 0;
        m->lost_before = pw_journal_lost(m->journal);
        for (size_t i = 0; i < pw_listeners_count(m->listeners); i++) {
                const struct pw_record *record = pw_listeners_item(m->listeners, i)->record;
                int r = 0;

                if (record->alert_id != 0 && record->resolved_usec == 0 &&
                    record->delivered_usec == 0)
                        r = manager_tell(m, pw_entry_alert(record));
                if (r < 0)
                        return r;
        }
        return 0;
}

int manager_commit(struct pw_manager *m)
{
        int r = apply(m, false);

        if (r < 0)
                return r;
        for (size_t i = 0; i < m->n_entries; i++)
                pw_journal_send(m->journal, m->entries[i]);
        m->n_entries = 0;
        if (pw_journal_flush(m->journal) > 0)
                manager_schedule(m, CHORE_JOURNAL, pw_now_boottime() + JOURNAL_RETRY_USEC);
        if (r == 0)
                r = apply(m, false);
        if (m->trim) { /* what many changes took for a moment goes back to the system */
                m->trim = false;
                malloc_trim(0);
        }
        return r < 0 ? r : 0;
}

int manager_event(struct pw_manager *m, enum pw_event event, const char *detail)
{
        char *copy = detail ? strdup(detail) : NULL;

        if (detail && !copy)
                return -ENOMEM;
        return manager_write(m, (struct pw_write){.kind = PW_WRITE_EVENT,
                                                  .event = event,
                                                  .time_usec = pw_now_realtime(),
                                                  .detail = copy});
}

/* Writes were lost while the store was away: it may hold intervals open that are closed, and lack
 * some that are open. */
static int resync(struct pw_manager *m)
{
        m->resync = false;
        for (size_t i = 0; i < pw_listeners_count(m->listeners); i++) {
                struct pw_listener *listener = pw_listeners_item(m->listeners, i);
                struct pw_record *record = listener->record;
                int r = 0;

                if (listener->open && !listener->past && !listener->folded)
                        r = manager_write(m, (struct pw_write){.kind = PW_WRITE_OPEN,
                                                               .time_usec = pw_now_realtime(),
                                                               .record = pw_record_ref(record)});
                if (r == 0 && record->alert_id != 0 && !listener->folded)
                        r = manager_write(m, (struct pw_write){.kind = PW_WRITE_ALERT,
                                                               .time_usec = pw_now_realtime(),
                                                               .record = pw_record_ref(record)});
                if (r < 0)
                        return r;
        }
        return manager_settle_past(m, true, pw_now_boottime());
}

int manager_store_retry(struct pw_manager *m)
{
        int r = 0;

        if (!m->store) {
                r = try_open(m);
                /* A new file knows nothing yet; an old one may know more than memory. */
                m->resync |= r == 0;
        }
        if (r == 0 && m->resync)
                r = resync(m);
        if (r == 0 && m->store && m->store_paused)
                r = write_all(m);
        return r < 0 ? r : manager_commit(m);
}

void manager_forget(struct pw_manager *m, uint64_t now_usec)
{
        pw_listeners_forget(
            m->listeners, now_usec > m->config.realert_usec ? now_usec - m->config.realert_usec : 0,
            CLOSED_KEPT_MAX);
        m->n_kept = pw_listeners_count(m->listeners);
}

int manager_heartbeat(struct pw_manager *m)
{
        uint64_t now_usec = pw_now_boottime();
        int r;

        manager_schedule(m, CHORE_HEARTBEAT, now_usec + HEARTBEAT_USEC);
        manager_forget(m, now_usec);
        if (log_is_long(m)) /* perhaps the reader has ended */
                (void)pw_store_checkpoint(m->store);
        r = apply(m, true);
        if (r == 0 && pw_store_log_bytes(m->store) > READER_BYTES)
                name_readers(m, false);
        return r < 0 ? r : 0;
}

/* After pruning, in a pause. 0 or -ENOMEM. */
static int use_room(struct pw_manager *m, bool more)
{
        int r = log_is_long(m) ? 1 : write_all(m);

        if (r == 1 && !more && m->store_paused && !log_is_long(m))
                say_too_small(m);
        return r < 0 ? r : 0;
}

int manager_prune(struct pw_manager *m, uint64_t now_usec)
{
        uint64_t wall_usec = pw_now_realtime(), before_usec = 0;
        uint64_t max_bytes = m->config.max_use_bytes;
        int r = 0;

        if (wall_usec > m->config.retention_usec)
                before_usec = wall_usec - m->config.retention_usec;
        max_bytes -= PW_MIN(RESERVE_BYTES, max_bytes / 4);
        if (m->store)
                r = pw_store_prune(m->store, before_usec, max_bytes, PRUNE_ROWS);
        manager_schedule(m, CHORE_PRUNE,
                         now_usec + (r == 1 ? PRUNE_STEP_USEC : 10 * PW_USEC_PER_MINUTE));
        if (r < 0)
                return store_result(m, r) < 0 ? -ENOMEM : 0;
        return m->store && m->store_paused ? use_room(m, r == 1) : 0;
}
