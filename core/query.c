/* SPDX-License-Identifier: MIT */
/* Questions to the history. Each is one read transaction that ends before its rows are handed out.
 *
 * What makes them fast on a million intervals: what is open now is an index of its own; what was
 * open at T is found by length classes (store-internal.h); history is read newest first and stops
 * at the limit; one port, or a few, have an index. Conditions beyond the port are checked on the
 * records. */

#include "core/query-internal.h"
#include "core/store-internal.h"

#include <sqlite3.h>

/* Ports asked for with an index of their own; with more, the history is read through. */
#define PORTS_MAX 64

/* ?1 and ?2: lowest and highest port; ?3 and ?4: times, or an alert's number. */
#define OPEN_NOW                                                                                   \
        "SELECT" PW_ROW_COLUMNS("i") "FROM interval i INDEXED BY interval_open" PW_ROW_OF_INTERVAL \
                                     "WHERE i.closed IS NULL AND i.port BETWEEN ?1 AND ?2"
#define OPEN_AT                                                                                    \
        "WITH RECURSIVE class (n, length) AS (VALUES (0, 1048576)"                                 \
        " UNION ALL SELECT n + 1, length * 2 FROM class WHERE n < 42)"                             \
        " SELECT" PW_ROW_COLUMNS(                                                                  \
            "i") "FROM (SELECT c.id AS hit FROM class CROSS JOIN interval c"                       \
                 "  INDEXED BY interval_span WHERE c.span = class.n AND c.opened <= ?3"            \
                 "  AND c.opened > ?3 - class.length AND c.closed > ?3"                            \
                 "  UNION ALL SELECT id FROM interval INDEXED BY interval_open"                    \
                 "  WHERE closed IS NULL AND opened <= ?3)"                                        \
                 " CROSS JOIN interval i ON i.id = hit" PW_ROW_OF_INTERVAL                         \
                 "WHERE i.port BETWEEN ?1 AND ?2"
_Static_assert(PW_SPAN_UNIT_BITS == 20 && PW_SPAN_CLASS_MAX == 42, "as in OPEN_AT");
/* What decides whether an interval's record matches a filter, without making the record. */
#define INTERVALS                                                                                  \
        "SELECT i.id, i.listener, i.holder, i.verdict, (SELECT max(id) FROM alert"                 \
        "  WHERE listener = i.listener AND resolved IS NULL"                                       \
        "  AND (i.closed IS NULL OR raised <= i.closed)) FROM interval i "
#define OPENED_BETWEEN                                                                             \
        INTERVALS "INDEXED BY interval_opened WHERE i.opened BETWEEN ?3 AND ?4"                    \
                  " AND i.port BETWEEN ?1 AND ?2 ORDER BY i.opened DESC, i.id DESC"
#define OPENED_BETWEEN_ON_PORT                                                                     \
        INTERVALS "INDEXED BY interval_port WHERE i.port = ?1 AND i.opened BETWEEN ?3 AND ?4"      \
                  " ORDER BY i.opened DESC, i.id DESC"
#define ONE_INTERVAL                                                                               \
        "SELECT" PW_ROW_COLUMNS("i") "FROM interval i" PW_ROW_OF_INTERVAL "WHERE i.id = ?1"
#define NEXT_PORT                                                                                  \
        "SELECT port FROM interval INDEXED BY interval_port"                                       \
        " WHERE port >= ?1 ORDER BY port LIMIT 1"
#define ALERTS(where)                                                                              \
        "SELECT" PW_ROW_COLUMNS("a") "FROM alert a" PW_ROW_OF_ALERT "WHERE " where                 \
                                     " AND l.port BETWEEN ?1 AND ?2 ORDER BY a.id DESC"

/* ---- one question ---- */

/* Lives within one transaction. */
struct question {
        sqlite3 *db;
        const struct pw_filter *filter;
        size_t limit; /* of found.n; 0: none */
        uint64_t heartbeat_usec;
        struct pw_ports ports; /* nothing outside can match */
        struct pw_records found;
};

static struct pw_ports bounds_of(const struct pw_filter *filter)
{
        struct pw_ports bounds = {UINT16_MAX, 0};
        const struct pw_ports *ports;
        size_t n = filter ? pw_filter_ports(filter, &ports) : 0;

        if (n == 0)
                return (struct pw_ports){0, UINT16_MAX};
        for (size_t i = 0; i < n; i++) {
                bounds.first = PW_MIN(bounds.first, ports[i].first);
                bounds.last = PW_MAX(bounds.last, ports[i].last);
        }
        return bounds;
}

static int read_meta(sqlite3 *db, const char *sql, uint64_t *ret)
{
        int64_t value;
        int r = pw_sql_number(db, sql, &value);

        if (r == -ENODATA)
                value = 0;
        else if (r < 0)
                return r;
        *ret = (uint64_t)PW_MAX(value, (int64_t)0);
        return 0;
}
#define META(name) "SELECT value FROM meta WHERE name = '" name "'"

static int begin(struct pw_query *query, const struct pw_filter *filter, struct question *ret)
{
        int r = pw_sql_exec(query->db, "BEGIN");

        *ret = (struct question){.db = query->db, .filter = filter, .ports = bounds_of(filter)};
        return r < 0 ? r : read_meta(query->db, META(PW_META_HEARTBEAT), &ret->heartbeat_usec);
}

static int hand_out(struct pw_records *found, struct pw_records *ret_records)
{
        if (pw_array_reserve(&ret_records->items, &ret_records->capacity, ret_records->n + found->n,
                             sizeof *ret_records->items) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < found->n; i++)
                ret_records->items[ret_records->n++] = found->items[i];
        found->n = 0;
        return 0;
}

/* Ends the transaction, then hands out what was found, where `r` is 0. Returns `r` or an error. */
static int end(struct question *question, int r, struct pw_records *ret_records)
{
        if (!sqlite3_get_autocommit(question->db)) {
                int ended = pw_sql_exec(question->db, "COMMIT");

                if (ended < 0)
                        pw_sql_exec(question->db, "ROLLBACK");
        }
        if (r == 0)
                r = hand_out(&question->found, ret_records);
        pw_records_done(&question->found);
        return r;
}

static int prepare(struct question *question, const char *sql, sqlite3_stmt **ret)
{
        return pw_sql_errno(question->db, sqlite3_prepare_v2(question->db, sql, -1, ret, NULL));
}

static void finalize(sqlite3_stmt **statement)
{
        sqlite3_finalize(*statement);
}

/* Adds the current row, if it makes sense and matches. 1: added; 0: not; -errno. */
static int take_row(struct question *question, sqlite3_stmt *row)
{
        struct pw_record *record;
        int r = pw_row_record(row, question->heartbeat_usec, &record);

        if (r != 0)
                return PW_MIN(r, 0);
        if (question->filter && !pw_filter_match(question->filter, record)) {
                pw_record_unref(record);
                return 0;
        }
        r = pw_records_add(&question->found, record);
        return r < 0 ? r : 1;
}

/* Takes every row of one statement; ?3, where the statement has it, is `third`. */
static int ask(struct question *question, const char *sql, uint64_t third)
{
        _cleanup_(finalize) sqlite3_stmt *statement = NULL;
        struct pw_call call;
        int r = prepare(question, sql, &statement);

        if (r < 0)
                return r;
        call = pw_call_on(statement);
        pw_call_int(&call, question->ports.first);
        pw_call_int(&call, question->ports.last);
        if (sqlite3_bind_parameter_count(statement) > 2)
                pw_call_time(&call, third);
        while ((r = pw_call_row(&call)) > 0) {
                r = take_row(question, statement);
                if (r < 0)
                        break;
        }
        return r;
}

/* ---- what is open, what was open ---- */

int pw_query_open_at(struct pw_query *query, const struct pw_filter *filter, uint64_t at_usec,
                     struct pw_records *ret_records)
{
        struct question question;
        int r = begin(query, filter, &question);

        if (r == 0)
                r = ask(&question, at_usec == 0 ? OPEN_NOW : OPEN_AT, at_usec);
        if (r == 0)
                pw_records_sort(&question.found);
        return end(&question, r, ret_records);
}

/* ---- history ---- */

/* The ports in the history that the filter names, ascending, each once. Returns how many, or
 * PORTS_MAX + 1 where there are more, or -errno. */
static int named_ports(struct question *question, uint16_t ret_ports[PORTS_MAX])
{
        _cleanup_(finalize) sqlite3_stmt *statement = NULL;
        const struct pw_ports *spans;
        size_t n_spans = pw_filter_ports(question->filter, &spans);
        int r = prepare(question, NEXT_PORT, &statement), n = 0;

        for (int64_t port = question->ports.first; r >= 0;) {
                struct pw_call call = pw_call_on(statement);
                bool named = false;

                pw_call_int(&call, port);
                r = pw_call_number(&call, &port);
                if (r <= 0 || port < 0 || port > question->ports.last)
                        break;
                for (size_t i = 0; i < n_spans && !named; i++)
                        named = pw_ports_contain(spans[i], (uint16_t)port);
                if (named && n == PORTS_MAX)
                        return PORTS_MAX + 1;
                if (named)
                        ret_ports[n++] = (uint16_t)port;
                port++;
        }
        return r < 0 ? r : n;
}

static int newest_first(const void *a, const void *b)
{
        const struct pw_record *x = *(struct pw_record *const *)a;
        const struct pw_record *y = *(struct pw_record *const *)b;

        if (x->opened_usec != y->opened_usec)
                return x->opened_usec > y->opened_usec ? -1 : 1;
        return pw_record_compare(x, y);
}

/* Orders what was found from `first` on, and lets go what is more than the limit. */
static void keep_newest(struct question *question, size_t first)
{
        struct pw_records *found = &question->found;

        if (found->n > first + 1)
                qsort(found->items + first, found->n - first, sizeof *found->items, newest_first);
        while (question->limit > 0 && found->n > question->limit)
                pw_record_unref(found->items[--found->n]);
}

/* Most intervals repeat others in all that a filter looks at; what was refused once is refused
 * again without making a record. Slots are overwritten: forgetting costs time only. */
struct refused {
        struct {
                int64_t listener, holder, verdict, alert;
        } slots[1 << 16];
};

static int64_t *slot_of(struct refused *refused, const int64_t key[4])
{
        uint64_t hash = (uint64_t)key[0] * 0x9e3779b97f4a7c15ULL ^ (uint64_t)key[1];

        hash = (hash ^ (uint64_t)key[2] << 32 ^ (uint64_t)key[3]) * 0x9e3779b97f4a7c15ULL;
        return &refused->slots[hash >> 48].listener;
}

/* The two statements of a walk through intervals, newest first. */
struct walk {
        sqlite3_stmt *intervals, *one;
        struct refused *refused;
};

static void walk_done(struct walk *walk)
{
        sqlite3_finalize(walk->intervals);
        sqlite3_finalize(walk->one);
        free(walk->refused);
}

static int walk_begin(struct question *question, const char *sql, struct walk *walk)
{
        int r = prepare(question, sql, &walk->intervals);

        if (r == 0)
                r = prepare(question, ONE_INTERVAL, &walk->one);
        walk->refused = calloc(1, sizeof *walk->refused);
        return r < 0 ? r : walk->refused ? 0 : -ENOMEM;
}

static int take_interval(struct question *question, struct walk *walk, const struct pw_call *found)
{
        const int64_t key[4] = {pw_call_column(found, 1), pw_call_column(found, 2),
                                pw_call_column(found, 3), pw_call_column(found, 4)};
        int64_t *slot = slot_of(walk->refused, key);
        struct pw_call call;
        int r;

        if (memcmp(slot, key, sizeof key) == 0)
                return 0;
        call = pw_call_on(walk->one);
        pw_call_int(&call, pw_call_column(found, 0));
        r = pw_call_row(&call);
        if (r > 0) {
                r = take_row(question, walk->one);
                if (r == 0)
                        memcpy(slot, key, sizeof key);
        }
        pw_call_done(&call);
        return PW_MIN(r, 0);
}

/* Takes intervals that began within [since, until], newest first, up to the limit. */
static int walk_intervals(struct question *question, struct walk *walk, struct pw_ports ports,
                          uint64_t since_usec, uint64_t until_usec)
{
        const size_t before = question->found.n;
        struct pw_call call = pw_call_on(walk->intervals);
        int r;

        pw_call_int(&call, ports.first);
        pw_call_int(&call, ports.last);
        pw_call_time(&call, since_usec);
        pw_call_time(&call, until_usec);
        while ((r = pw_call_row(&call)) > 0) {
                r = take_interval(question, walk, &call);
                if (r < 0 || (question->limit > 0 && question->found.n - before >= question->limit))
                        break;
        }
        pw_call_done(&call);
        return PW_MIN(r, 0);
}

/* Intervals that began within [since, until], newest first. */
static int opened_between(struct question *question, uint64_t since_usec, uint64_t until_usec)
{
        _cleanup_(walk_done) struct walk walk = {0};
        uint16_t ports[PORTS_MAX];
        const struct pw_ports *spans;
        int n = PORTS_MAX + 1, r;

        if (question->filter && pw_filter_ports(question->filter, &spans) > 0)
                n = named_ports(question, ports);
        if (n < 0)
                return n;
        r = walk_begin(question, n > PORTS_MAX ? OPENED_BETWEEN : OPENED_BETWEEN_ON_PORT, &walk);
        if (r < 0)
                return r;
        if (n > PORTS_MAX)
                return walk_intervals(question, &walk, question->ports, since_usec, until_usec);
        for (int i = 0; r == 0 && i < n; i++)
                r = walk_intervals(question, &walk, (struct pw_ports){ports[i], ports[i]},
                                   since_usec, until_usec);
        keep_newest(question, 0);
        return r;
}

/* Intervals that began before `since` and lasted till then or longer: older than all the others.
 * They come in no order: all are taken, then the newest kept. */
static int open_before(struct question *question, uint64_t since_usec)
{
        const size_t first = question->found.n;
        int r;

        if (since_usec == 0 || (question->limit > 0 && first >= question->limit))
                return 0;
        r = ask(question, OPEN_AT, since_usec - 1);
        keep_newest(question, first);
        return r;
}

int pw_query_history(struct pw_query *query, const struct pw_filter *filter, uint64_t since_usec,
                     uint64_t until_usec, size_t limit, struct pw_records *ret_records)
{
        struct question question;
        int r = begin(query, filter, &question);

        question.limit = limit;
        if (r == 0 && since_usec <= until_usec)
                r = opened_between(&question, since_usec, until_usec);
        if (r == 0 && since_usec <= until_usec)
                r = open_before(&question, since_usec);
        return end(&question, r, ret_records);
}

/* ---- alerts ---- */

int pw_query_alerts(struct pw_query *query, const struct pw_filter *filter, bool all,
                    struct pw_records *ret_records)
{
        struct question question;
        int r = begin(query, filter, &question);

        if (r == 0)
                r = ask(&question, all ? ALERTS("?3 = 0") : ALERTS("?3 = 0 AND a.resolved IS NULL"),
                        0);
        return end(&question, r, ret_records);
}

int pw_query_alert(struct pw_query *query, int64_t alert_id, struct pw_records *ret_records)
{
        struct question question;
        int r = begin(query, NULL, &question);

        if (r == 0 && alert_id > 0)
                r = ask(&question, ALERTS("a.id = ?3"), (uint64_t)alert_id);
        return end(&question, r, ret_records);
}

/* ---- about the history ---- */

int pw_query_info(struct pw_query *query, struct pw_query_info *ret)
{
        uint64_t heartbeat, created = 0, forgotten = 0;
        int r = read_meta(query->db, META(PW_META_HEARTBEAT), &heartbeat);

        if (r == 0)
                r = read_meta(query->db, META(PW_META_CREATED), &created);
        if (r == 0)
                r = read_meta(query->db, META(PW_META_FORGOTTEN), &forgotten);
        if (r < 0)
                return r;
        *ret = (struct pw_query_info){
            .schema = query->schema,
            .heartbeat_usec = heartbeat,
            .watching_since_usec = PW_MAX(created, forgotten),
            .bytes = pw_sql_file_size(query->file, "") + pw_sql_file_size(query->file, "-wal"),
        };
        return 0;
}
