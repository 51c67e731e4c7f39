/* SPDX-License-Identifier: MIT */
/* Histories that lie: would catch a value that no writer writes and that reaches somebody as it is,
 * or that hides the rows beside it. */

#include "tests/unit/store-fixture.h"

#include <portwatch/text.h>

/* Cells with nonsense: rows are skipped or made harmless, the others still shown. */
static void test_hostile_cells(void **state)
{
        struct fixture *fixture = *state;
        static const struct {
                const char *sql;
                size_t shown; /* of two */
        } cases[] = {
            {"UPDATE listener SET port = 70000", 1},
            {"UPDATE listener SET port = -1", 1},
            {"UPDATE listener SET port = 'x'", 1},
            {"UPDATE listener SET port = 0", 1},
            {"UPDATE listener SET port = 0, ephemeral = 1", 1}, /* TCP is never folded */
            {"UPDATE listener SET port = 0, protocol = 17", 1},
            {"UPDATE listener SET port = 0, protocol = 17, ephemeral = 1", 2},
            {"UPDATE listener SET protocol = 9", 1},
            {"UPDATE listener SET protocol = 262", 1},
            {"UPDATE listener SET address = 'nowhere'", 1},
            {"UPDATE listener SET address = x'00ff'", 1},
            {"UPDATE listener SET key = x'00'", 1},
            {"UPDATE listener SET key = 7", 1},
            {"UPDATE listener SET netns = ''", 1},
            {"UPDATE listener SET netns = char(10, 27) || 'x'", 2},
            {"UPDATE listener SET device = hex(zeroblob(1000))", 2},
            {"UPDATE listener SET traits = -1", 2},
            {"UPDATE interval SET verdict = 99", 2},
            {"UPDATE interval SET verdict = -1", 2},
            {"UPDATE interval SET opened_how = 99, closed_how = -7", 2},
            {"UPDATE interval SET opened = -5, last_seen = 9223372036854775807", 2},
            {"UPDATE interval SET opened = 'never'", 2},
            {"UPDATE interval SET pids = '1/2,999999999999/1'", 2},
            {"UPDATE interval SET pids = x'80808080', holders = -1, sockets = 1e300", 2},
            {"UPDATE interval SET rule = 12345", 2},
            {"UPDATE interval SET holder = 12345", 1},
            {"UPDATE holder SET unknown = 77, uid = -1", 2},
            {"UPDATE holder SET comm = x'1b5b33316d0aff', cmdline = hex(zeroblob(200000))", 2},
            {"UPDATE holder SET unit = char(8238) || 'gnp.exe', container = 12", 2},
            {"UPDATE owner SET user = '', exe = char(0) || 'x'", 2},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_records records = {0};
                struct pw_query *query;
                char sql[256];

                put_open(fixture, 80, "a");
                put_open(fixture, 81, "b");
                snprintf(sql, sizeof sql, "%s WHERE id IN (SELECT min(id) FROM %.8s)", cases[i].sql,
                         cases[i].sql + strlen("UPDATE "));
                if (strncmp(cases[i].sql, "UPDATE h", 8) == 0)
                        strcpy(sql, cases[i].sql); /* both share the holder */
                else if (strncmp(cases[i].sql, "UPDATE o", 8) == 0)
                        snprintf(sql, sizeof sql, "%s WHERE user = 'a'", cases[i].sql);
                if (pw_sql_exec(fixture->store->db, sql) < 0)
                        fail_msg("%s: %s", sql, pw_store_error(fixture->store));

                query = open_query(fixture);
                assert_int_equal(pw_query_open_at(query, NULL, 0, &records), 0);
                if (records.n != cases[i].shown)
                        fail_msg("%s: %zu records", sql, records.n);
                for (size_t j = 0; j < records.n; j++) {
                        const struct pw_record *record = records.items[j];

                        assert_true(record->verdict < PW_VERDICT_COUNT);
                        assert_true(record->opened_how < PW_HOW_COUNT);
                        assert_true(record->closed_how < PW_HOW_COUNT);
                        assert_true(record->owner->unknown < PW_UNKNOWN_COUNT);
                        assert_true(record->owner->n_pids <= PW_OWNER_PIDS_MAX);
                        assert_true(record->owner->n_holders >= record->owner->n_pids);
                        assert_true(strlen(record->owner->user) > 0);
                        assert_true(pw_text_is_clean(record->netns));
                        assert_true(pw_text_is_clean(record->device));
                        assert_true(pw_text_is_clean(record->owner->user));
                        assert_true(!record->owner->comm || pw_text_is_clean(record->owner->comm));
                        assert_true(!record->owner->unit || pw_text_is_clean(record->owner->unit));
                        assert_true(!record->owner->cmdline ||
                                    strlen(record->owner->cmdline) <= PW_CMDLINE_MAX);
                }
                pw_records_done(&records);
                pw_query_close(query);
                assert_int_equal(pw_sql_exec(fixture->store->db,
                                             "DELETE FROM interval; DELETE FROM listener;"
                                             "DELETE FROM holder; DELETE FROM event"),
                                 0);
        }
}

/* Every answer survives alerts with nonsense. */
static void test_hostile_alerts(void **state)
{
        struct fixture *fixture = *state;
        struct pw_record *record = make_record(80, "a");
        _cleanup_(pw_query_closep) struct pw_query *query = NULL;
        struct pw_records records = {0};

        record->alert_id = 1;
        record->reasons = PW_REASON_UNEXPECTED;
        put(fixture, PW_WRITE_OPEN, record, T0);
        put(fixture, PW_WRITE_ALERT, record, T0);
        assert_int_equal(pw_sql_exec(fixture->store->db,
                                     "UPDATE alert SET reasons = -128, raised = 'x',"
                                     " delivered = -1, count = 1e100, verdict = 'y', pids = NULL"),
                         -EBADMSG); /* NOT NULL holds */
        assert_int_equal(pw_sql_exec(fixture->store->db,
                                     "UPDATE alert SET reasons = -128, raised = -3,"
                                     " delivered = -1, count = 1e100, verdict = 'y', pids = ','"),
                         0);
        query = open_query(fixture);
        assert_int_equal(pw_query_alerts(query, NULL, true, &records), 0);
        assert_int_equal(records.n, 1);
        assert_true(records.items[0]->reasons != 0);
        assert_int_equal(records.items[0]->reasons >> PW_REASON_COUNT, 0);
        assert_int_equal(records.items[0]->raised_usec, 0);
        pw_records_done(&records);
        assert_int_equal(pw_sql_exec(fixture->store->db, "UPDATE alert SET id = -4"), 0);
        assert_int_equal(pw_query_alerts(query, NULL, true, &records), 0);
        assert_int_equal(pw_query_open_at(query, NULL, 0, &records), 0);
        assert_true(records.n >= 1);
        pw_records_done(&records);
        pw_record_unref(record);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_hostile_cells),
            TEST(test_hostile_alerts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
