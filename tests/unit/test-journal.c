/* SPDX-License-Identifier: MIT */
/* Journal entries and their sender: would catch a forged field, a command line built from what
 * somebody else chose, a sender that blocks, loses or reorders while the journal is away. The
 * journal is a socket of this test's own. */

#include "daemon/journal.h"

#include <portwatch/text.h>

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test-journal-XXXXXX";
static char path[64];
static int64_t sent[8192];
static size_t n_sent;

static void on_sent(void *userdata, int64_t alert_id)
{
        (void)userdata;
        sent[n_sent++ % PW_ELEMENTS(sent)] = alert_id;
}

static int listen_there(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, path);
        unlink(path);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

static bool receive(int fd, char *buffer, size_t size)
{
        ssize_t n = recv(fd, buffer, size - 1, 0);

        if (n < 0)
                return false;
        buffer[n] = '\0';
        return true;
}

static struct pw_record *make(int64_t alert_id)
{
        struct pw_record *record = pw_record_new();

        record->owner = pw_owner_new();
        record->owner->uid = 1000;
        record->owner->user = strdup("dev");
        record->owner->exe = strdup("/usr/bin/python3");
        record->owner->unit = strdup("demo.service");
        record->owner->comm = strdup("python3");
        record->owner->cmdline = strdup("python3 -m http.server");
        record->owner->pids[0] = 812;
        record->owner->n_pids = record->owner->n_holders = 1;
        assert_int_equal(pw_shared_set(&record->netns, PW_NETNS_HOST), 0);
        record->protocol = PW_TCP;
        record->port = 8080;
        record->service = "http-alt";
        record->address.family = AF_INET6;
        record->verdict = PW_UNEXPECTED;
        record->alert_id = alert_id;
        record->reasons = PW_REASON_UNEXPECTED;
        assert_int_equal(pw_record_label(record, PW_EPHEMERAL_DEFAULT), 0);
        pw_record_identify(record);
        return record;
}

static void send_alert(struct pw_journal *journal, int64_t alert_id)
{
        struct pw_record *record = make(alert_id);

        pw_journal_send(journal, pw_entry_alert(record));
        pw_record_unref(record);
}

static bool has(const char *data, size_t length, const char *text)
{
        return memmem(data, length, text, strlen(text));
}

static void test_fields(void **state)
{
        struct pw_record *record = make(17);
        struct pw_entry *entry = pw_entry_alert(record);
        char text[8192];
        size_t length;
        const char *data = pw_entry_data(entry, &length);
        static const char *const lines[] = {
            "MESSAGE=Unexpected port is open: tcp *:8080 (http-alt) by python3, pid 812, user dev, "
            "unit demo.service. Allow: portwatchctl allow @17",
            "PRIORITY=4",
            "SYSLOG_IDENTIFIER=portwatchd",
            "PORTWATCH_ALERT=1",
            "PORTWATCH_EVENT=alert",
            "PORTWATCH_ALERT_ID=17",
            "PORTWATCH_REASON=unexpected",
            "PORTWATCH_PROTOCOL=tcp",
            "PORTWATCH_ADDRESS=*",
            "PORTWATCH_PORT=8080",
            "PORTWATCH_SCOPE=any",
            "PORTWATCH_RANGE=registered",
            "PORTWATCH_SERVICE=http-alt",
            "PORTWATCH_NETNS=host",
            "PORTWATCH_VERDICT=unexpected",
            "PORTWATCH_PID=812",
            "PORTWATCH_COMM=python3",
            "PORTWATCH_EXE=/usr/bin/python3",
            "PORTWATCH_CMDLINE=python3 -m http.server",
            "PORTWATCH_UID=1000",
            "PORTWATCH_USER=dev",
            "PORTWATCH_UNIT=demo.service",
        };

        (void)state;
        assert_true(length < sizeof text - 1);
        text[0] = '\n';
        memcpy(text + 1, data, length);
        text[length + 1] = '\0';
        for (size_t i = 0; i < PW_ELEMENTS(lines); i++) {
                char line[512];

                snprintf(line, sizeof line, "\n%s\n", lines[i]);
                if (!strstr(text, line))
                        fail_msg("no line %s in%s", lines[i], text);
        }
        assert_non_null(strstr(text, "MESSAGE_ID="));
        assert_non_null(strstr(text, record->listener_id));
        assert_null(strstr(text, "PORTWATCH_CONTAINER"));
        assert_null(strstr(text, "PORTWATCH_RULE"));
        pw_entry_free(entry);
        pw_record_unref(record);
}

static void test_folded(void **state)
{
        struct pw_record *record = make(5);
        struct pw_entry *entry;
        const char *data;
        size_t length;

        (void)state;
        record->protocol = PW_UDP;
        record->port = 0;
        record->service = NULL;
        record->sockets = 12;
        assert_int_equal(pw_record_label(record, PW_EPHEMERAL_DEFAULT), 0);
        entry = pw_entry_alert(record);
        assert_string_equal(pw_entry_text(entry),
                            "Unexpected port is open: udp *:ephemeral (one port after another, 12 "
                            "so far) by python3, pid 812, user dev, unit demo.service. Allow: "
                            "portwatchctl allow @5");
        data = pw_entry_data(entry, &length);
        assert_true(has(data, length, "\nPORTWATCH_PORT=ephemeral\n"));
        assert_true(has(data, length, "\nPORTWATCH_RANGE=dynamic\n"));
        pw_entry_free(entry);
        pw_record_unref(record);
}

/* A listener whose rule went says which, until another one expects it. */
static void test_former_rule(void **state)
{
        struct pw_record *record = make(6), *copy;
        struct pw_entry *entry;

        (void)state;
        assert_int_equal(pw_record_judge(record, PW_EXPECTED, "50-local.rules:7"), 0);
        assert_int_equal(pw_record_judge(record, PW_UNEXPECTED, NULL), 0);
        assert_int_equal(pw_record_judge(record, PW_DENIED, "60-late.rules:1"), 0);
        assert_int_equal(pw_record_judge(record, PW_UNEXPECTED, NULL), 0);
        copy = pw_record_copy(record);
        entry = pw_entry_alert(copy);
        assert_string_equal(pw_entry_text(entry),
                            "Unexpected port is open: tcp *:8080 (http-alt) by python3, pid 812, "
                            "user dev, unit demo.service (expected before, by 50-local.rules:7). "
                            "Allow: portwatchctl allow @6");
        pw_entry_free(entry);

        assert_int_equal(pw_record_judge(record, PW_EXPECTED, "50-local.rules:9"), 0);
        assert_null(record->former_rule);
        assert_string_equal(record->rule, "50-local.rules:9");
        assert_int_equal(pw_record_judge(record, PW_EXPECTED, NULL), 0); /* while learning */
        assert_int_equal(pw_record_judge(record, PW_UNEXPECTED, NULL), 0);
        assert_null(record->former_rule);
        pw_record_unref(record);
        pw_record_unref(copy);
}

/* `allow` is only proposed where it will make a rule. */
static void test_advice(void **state)
{
        struct pw_record *record = make(5);
        struct pw_entry *entry;

        (void)state;
        record->owner->traits = PW_TRAIT_FOREIGN_ROOT;
        entry = pw_entry_alert(record);
        assert_non_null(strstr(pw_entry_text(entry), "Look: portwatchctl show @5"));
        pw_entry_free(entry);
        record->owner->container = strdup("docker:web");
        entry = pw_entry_alert(record);
        assert_non_null(strstr(pw_entry_text(entry), "Allow: portwatchctl allow @5"));
        pw_entry_free(entry);
        pw_record_unref(record);
}

static void test_kinds(void **state)
{
        static const struct {
                unsigned reasons;
                const char *head, *tail;
                enum pw_message message;
                const char *priority;
        } cases[] = {
            {PW_REASON_DENIED | PW_REASON_UNEXPECTED, "Denied port", "show @5",
             PW_MESSAGE_ALERT_DENIED, "PRIORITY=3"},
            {PW_REASON_SUSPICIOUS, "Suspicious executable", "show @5", PW_MESSAGE_ALERT_SUSPICIOUS,
             "PRIORITY=3"},
            {PW_REASON_SCOPE_WIDENED | PW_REASON_UNEXPECTED, "Known listener reaches", "allow @5",
             PW_MESSAGE_ALERT_SCOPE_WIDENED, "PRIORITY=4"},
            {PW_REASON_SECOND_OWNER, "Second owner", "allow @5", PW_MESSAGE_ALERT_SECOND_OWNER,
             "PRIORITY=4"},
            {PW_REASON_REQUIRED_MISSING, "Required port", "show @5",
             PW_MESSAGE_ALERT_REQUIRED_MISSING, "PRIORITY=4"},
            {PW_REASON_NO_OWNER | PW_REASON_UNEXPECTED, "Unexpected port is open, owner unknown",
             "show @5", PW_MESSAGE_ALERT_NO_OWNER, "PRIORITY=4"},
        };

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_record *record = make(5);
                struct pw_entry *entry;
                const char *text, *data;
                size_t length;

                record->reasons = cases[i].reasons;
                entry = pw_entry_alert(record);
                text = pw_entry_text(entry);
                assert_int_equal(strncmp(text, cases[i].head, strlen(cases[i].head)), 0);
                assert_string_equal(text + strlen(text) - strlen(cases[i].tail), cases[i].tail);
                data = pw_entry_data(entry, &length);
                assert_true(has(data, length, cases[i].priority));
                assert_true(has(data, length, pw_message_id(cases[i].message)));
                /* What is missing has no verdict, as in JSON. */
                assert_int_equal(!has(data, length, "PORTWATCH_VERDICT="),
                                 pw_record_is_missing(record));
                pw_entry_free(entry);
                pw_record_unref(record);
        }
}

/* Clean text has no newline; should one ever get here, it must not make a field. */
static void test_no_forged_field(void **state)
{
        struct pw_entry *entry = pw_entry_new(PW_MESSAGE_STARTED, LOG_INFO, "x");
        const char *data;
        size_t length, lines = 0;

        (void)state;
        pw_entry_add(entry, "PORTWATCH_COMM", "evil\nPORTWATCH_VERDICT=expected");
        data = pw_entry_data(entry, &length);
        for (size_t i = 0; i < length; i++)
                lines += data[i] == '\n';
        assert_int_equal(lines, 5);
        assert_null(memmem(data, length, "VERDICT", 7));
        pw_entry_free(entry);
}

static void test_waits_and_keeps_order(void **state)
{
        struct pw_journal *journal;
        char buffer[8192], wanted[64];
        int fd;

        (void)state;
        unlink(path);
        n_sent = 0;
        assert_int_equal(pw_journal_new(path, on_sent, NULL, &journal), 0);
        for (int64_t i = 1; i <= 20; i++) /* no socket file: nothing is delivered, nothing lost */
                send_alert(journal, i);
        assert_int_equal(pw_journal_waiting(journal), 20);
        assert_int_equal(n_sent, 0);

        fd = listen_there();
        close(fd); /* the file is there, nobody listens: refused */
        assert_int_equal(pw_journal_flush(journal), 20);

        fd = listen_there();
        pw_journal_flush(journal);
        send_alert(journal, 21);
        for (int64_t i = 1; i <= 21; i++) {
                pw_journal_flush(journal); /* a full receiver takes only some at a time */
                assert_true(receive(fd, buffer, sizeof buffer));
                snprintf(wanted, sizeof wanted, "PORTWATCH_ALERT_ID=%d\n", (int)i);
                assert_non_null(strstr(buffer, wanted));
        }
        assert_false(receive(fd, buffer, sizeof buffer));
        assert_int_equal(n_sent, 21);
        for (size_t i = 0; i < 21; i++)
                assert_int_equal(sent[i], i + 1);
        assert_int_equal(pw_journal_lost(journal), 0);
        pw_journal_free(journal);
        close(fd);
}

/* A journal that is stopped takes a few entries into its buffer and then none: no call may block.
 */
static void test_never_blocks(void **state)
{
        struct pw_journal *journal;
        int fd = listen_there();

        (void)state;
        n_sent = 0;
        alarm(20);
        assert_int_equal(pw_journal_new(path, on_sent, NULL, &journal), 0);
        for (int64_t i = 1; i <= 6000; i++)
                send_alert(journal, i);
        alarm(0);
        assert_int_equal(pw_journal_waiting(journal), 4096);
        assert_int_equal(pw_journal_lost(journal) + n_sent + 4096,
                         6000); /* all are accounted for */
        pw_journal_free(journal);
        close(fd);
}

static int set_up(void **state)
{
        (void)state;
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof path, "%s/socket", directory);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        unlink(path);
        return rmdir(directory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_fields),
            cmocka_unit_test(test_kinds),
            cmocka_unit_test(test_folded),
            cmocka_unit_test(test_former_rule),
            cmocka_unit_test(test_advice),
            cmocka_unit_test(test_no_forged_field),
            cmocka_unit_test(test_waits_and_keeps_order),
            cmocka_unit_test(test_never_blocks),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
