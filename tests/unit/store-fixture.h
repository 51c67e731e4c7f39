/* SPDX-License-Identifier: MIT */
#pragma once

/* A store in a directory of its own, records to put into it, and a look behind its back. */

#include "core/store-internal.h"

#include <portwatch/query.h>

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define T0 (1700000000ULL * PW_USEC_PER_SEC)
#define BOOT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BOOT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct fixture {
        char dir[64];
        struct pw_store *store;
        struct pw_writes writes;
};

_unused_ static void remove_tree(const char *dir)
{
        DIR *entries = opendir(dir);

        assert_non_null(entries);
        for (struct dirent *entry; (entry = readdir(entries));)
                if (entry->d_name[0] != '.' && unlinkat(dirfd(entries), entry->d_name, 0) < 0)
                        unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
        closedir(entries);
        rmdir(dir);
}

/* Opens the store, which must succeed with `expected`. */
_unused_ static void open_store(struct fixture *fixture, int expected)
{
        _cleanup_(pw_freep) char *moved = NULL;
        int schema;

        assert_int_equal(pw_store_open(fixture->dir, &fixture->store, &moved, &schema), expected);
        assert_int_equal(moved != NULL, expected == PW_STORE_REPLACED);
}

_unused_ static void close_store(struct fixture *fixture)
{
        pw_store_close(fixture->store);
        fixture->store = NULL;
}

_unused_ static int set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof *fixture);

        assert_non_null(fixture);
        strcpy(fixture->dir, "/tmp/test-store-XXXXXX");
        assert_non_null(mkdtemp(fixture->dir));
        open_store(fixture, 0);
        *state = fixture;
        return 0;
}

_unused_ static int tear_down(void **state)
{
        struct fixture *fixture = *state;

        close_store(fixture);
        pw_writes_done(&fixture->writes);
        remove_tree(fixture->dir);
        free(fixture);
        return 0;
}

/* tcp 0.0.0.0:PORT of USER's /usr/bin/server. */
_unused_ static struct pw_record *make_record(uint16_t port, const char *user)
{
        struct pw_record *record = pw_record_new();
        struct pw_owner *owner = pw_owner_new();

        assert_non_null(record);
        assert_non_null(owner);
        record->owner = owner;
        assert_int_equal(pw_shared_set(&record->netns, PW_NETNS_HOST), 0);
        assert_int_equal(pw_shared_set(&record->rule, "/etc/rules.d/50-local.rules:7"), 0);
        record->protocol = PW_TCP;
        record->port = port;
        assert_int_equal(pw_address_parse("0.0.0.0", &record->address), 0);
        record->sockets = 2;
        record->cookie = 0x8000000000000000ULL + port;
        record->verdict = PW_UNEXPECTED;
        record->opened_usec = T0;
        record->opened_how = PW_HOW_SEEN;
        owner->uid = 1000;
        owner->user = strdup(user);
        owner->exe = strdup("/usr/bin/server");
        owner->unit = strdup("server.service");
        owner->comm = strdup("server");
        owner->cmdline = strdup("server --port");
        owner->n_pids = 2;
        owner->n_holders = 5;
        owner->pids[0] = 4711;
        owner->started[0] = 123456789012345;
        owner->pids[1] = INT32_MAX;
        assert_int_equal(pw_record_label(record, PW_EPHEMERAL_DEFAULT), 0);
        pw_record_identify(record);
        return record;
}

/* Adds a write about `record` (which stays the caller's) at `time_usec`. */
_unused_ static void add(struct fixture *fixture, enum pw_write_kind kind,
                         const struct pw_record *record, uint64_t time_usec)
{
        struct pw_write write = {.kind = kind, .time_usec = time_usec};

        write.record = pw_record_copy(record);
        assert_non_null(write.record);
        assert_int_equal(pw_writes_add(&fixture->writes, write), 0);
}

_unused_ static void add_event(struct fixture *fixture, enum pw_event event, uint64_t time_usec,
                               const char *detail)
{
        struct pw_write write = {.kind = PW_WRITE_EVENT, .event = event, .time_usec = time_usec};

        write.detail = detail ? strdup(detail) : NULL;
        assert_int_equal(pw_writes_add(&fixture->writes, write), 0);
}

_unused_ static void apply(struct fixture *fixture, uint64_t now_usec)
{
        int r = pw_store_apply(fixture->store, &fixture->writes, now_usec);

        if (r != 0)
                fail_msg("apply: %d, %s", r, pw_store_error(fixture->store));
        assert_int_equal(fixture->writes.n, 0);
}

/* One write, applied. */
_unused_ static void put(struct fixture *fixture, enum pw_write_kind kind,
                         const struct pw_record *record, uint64_t time_usec)
{
        add(fixture, kind, record, time_usec);
        apply(fixture, time_usec);
}

/* The opening of a new listener, applied. */
_unused_ static void put_open(struct fixture *fixture, uint16_t port, const char *user)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(port, user);

        put(fixture, PW_WRITE_OPEN, record, T0);
}

/* Opens and closes a listener: one interval [from, to]. */
_unused_ static void put_interval(struct fixture *fixture, struct pw_record *record,
                                  uint64_t from_usec, uint64_t to_usec)
{
        record->opened_usec = from_usec;
        record->closed_usec = 0;
        add(fixture, PW_WRITE_OPEN, record, from_usec);
        record->closed_usec = record->last_seen_usec = to_usec;
        record->closed_how = PW_HOW_SEEN;
        add(fixture, PW_WRITE_CLOSE, record, to_usec);
        apply(fixture, to_usec);
}

/* `n` openings in one batch. */
_unused_ static void put_many(struct fixture *fixture, uint16_t n)
{
        for (uint16_t port = 1; port <= n; port++) {
                _cleanup_(pw_record_unrefp) struct pw_record *record = make_record(port, "a");

                add(fixture, PW_WRITE_OPEN, record, T0 + port);
        }
        apply(fixture, T0 + n);
}

_unused_ static int64_t number(struct fixture *fixture, const char *sql)
{
        int64_t value = -1;
        int r = pw_sql_number(fixture->store->db, sql, &value);

        if (r < 0)
                fail_msg("%s: %d", sql, r);
        return value;
}

_unused_ static int64_t n_open(struct fixture *fixture)
{
        return number(fixture, "SELECT count(*) FROM interval WHERE closed IS NULL");
}

_unused_ static int64_t n_events(struct fixture *fixture, enum pw_event kind)
{
        char sql[96];

        snprintf(sql, sizeof sql, "SELECT count(*) FROM event WHERE kind = %d", (int)kind);
        return number(fixture, sql);
}

/* The books are right: what triggers count is what a count counts, and nothing is left over. */
_unused_ static void assert_consistent(struct fixture *fixture)
{
        static const char *const zeros[] = {
            "SELECT count(*) FROM (SELECT listener FROM interval WHERE closed IS NULL"
            " GROUP BY listener HAVING count(*) > 1)",
            "SELECT count(*) FROM holder WHERE uses <> (SELECT count(*) FROM interval"
            " WHERE holder = holder.id) + (SELECT count(*) FROM alert WHERE holder = holder.id)",
            "SELECT count(*) FROM holder WHERE uses <= 0",
            "SELECT count(*) FROM interval WHERE holder NOT IN (SELECT id FROM holder)",
            "SELECT count(*) FROM interval WHERE listener NOT IN (SELECT id FROM listener)",
            "SELECT count(*) FROM interval i JOIN listener l ON l.id = i.listener"
            " WHERE l.owner <> i.owner OR l.port <> i.port",
            "SELECT count(*) FROM alert WHERE holder NOT IN (SELECT id FROM holder)"
            " OR listener NOT IN (SELECT id FROM listener)",
            "SELECT count(*) FROM owner WHERE rows <>"
            " (SELECT count(*) FROM event WHERE owner = owner.id) + (SELECT count(*) FROM interval"
            "  WHERE owner = owner.id AND closed IS NOT NULL AND alert IS NULL)",
            "SELECT count(*) FROM owner WHERE id <> 0 AND rows = 0"
            " AND id NOT IN (SELECT owner FROM listener)",
            "SELECT count(*) FROM listener WHERE owner NOT IN (SELECT id FROM owner)",
            "SELECT count(*) FROM listener WHERE id NOT IN (SELECT listener FROM interval)"
            " AND id NOT IN (SELECT listener FROM alert)",
            "SELECT count(*) FROM event WHERE interval IS NOT NULL"
            " AND interval NOT IN (SELECT id FROM interval)",
            "SELECT count(*) FROM interval WHERE (closed IS NULL) <> (span IS NULL)",
            "SELECT count(*) <> 1 FROM pragma_integrity_check",
            "SELECT integrity_check <> 'ok' FROM pragma_integrity_check",
        };

        for (size_t i = 0; i < PW_ELEMENTS(zeros); i++)
                if (number(fixture, zeros[i]) != 0)
                        fail_msg("not 0: %s", zeros[i]);
}

_unused_ static int check_and_tear_down(void **state)
{
        assert_consistent(*state);
        return tear_down(state);
}

_unused_ static struct pw_query *open_query(struct fixture *fixture)
{
        struct pw_query *query = NULL;
        int schema = 0, r = pw_query_open(fixture->dir, &query, &schema);

        if (r != 0)
                fail_msg("pw_query_open: %d", r);
        assert_int_equal(schema, PW_STORE_SCHEMA);
        return query;
}

/* Whether the directory has a file whose name contains `part`. */
_unused_ static bool has_file(struct fixture *fixture, const char *part)
{
        DIR *entries = opendir(fixture->dir);
        bool found = false;

        assert_non_null(entries);
        for (struct dirent *entry; (entry = readdir(entries));)
                found = found || strstr(entry->d_name, part);
        closedir(entries);
        return found;
}

_unused_ static void path_in(struct fixture *fixture, const char *name, char path[128])
{
        snprintf(path, 128, "%s/%s", fixture->dir, name);
}

/* Each test with a store of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

/* The same where the books must be right at the end. */
#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, check_and_tear_down)
