/* SPDX-License-Identifier: MIT */
/* Names of enumerations, both ways; and the ids of journal messages, each of which the catalog must
 * explain. */

#include "core/names.h"

#include <portwatch/endpoint.h>
#include <portwatch/event.h>
#include <portwatch/message-ids.h>
#include <portwatch/record.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <fcntl.h>
#include <syslog.h>

/* Fails for a value without a name, a name that two values share (the first is read back), and a
 * name that is read back as another value. The last one is refused, and leaves the output alone. */
#define CHECK_BOTH_WAYS(type, function, count)                                                     \
        do {                                                                                       \
                type back = (type)0;                                                               \
                                                                                                   \
                for (unsigned i = 0; i < (unsigned)(count); i++) {                                 \
                        assert_int_equal(function##_from_name(function##_name((type)i), &back),    \
                                         0);                                                       \
                        assert_int_equal(back, i);                                                 \
                }                                                                                  \
                assert_string_equal(function##_name((type)(count)), "");                           \
                assert_int_equal(function##_from_name("no such name", &back), -EINVAL);            \
                assert_int_equal(function##_from_name(NULL, &back), -EINVAL);                      \
                assert_int_equal(back, (count)-1);                                                 \
        } while (0)

static void names_are_read_back(void **state _unused_)
{
        CHECK_BOTH_WAYS(enum pw_event, pw_event, PW_EVENT_COUNT);
        CHECK_BOTH_WAYS(enum pw_verdict, pw_verdict, PW_VERDICT_COUNT);
        CHECK_BOTH_WAYS(enum pw_how, pw_how, PW_HOW_COUNT);
        CHECK_BOTH_WAYS(enum pw_scope, pw_scope, PW_SCOPE_COUNT);
        CHECK_BOTH_WAYS(enum pw_range, pw_range, PW_RANGE_COUNT);
        CHECK_BOTH_WAYS(enum pw_unknown, pw_unknown, PW_UNKNOWN_COUNT);
}

/* These words stand in the database, in JSON, in rules and in what people have learned. */
static void words_of_the_interface_stay(void **state _unused_)
{
        assert_string_equal(pw_event_name(PW_EVENT_OPENED), "opened");
        assert_string_equal(pw_event_name(PW_EVENT_BLIND), "blind-spot-begun");
        assert_string_equal(pw_verdict_name(PW_UNEXPECTED), "unexpected");
        assert_string_equal(pw_how_name(PW_HOW_FIRST_LOOK), "first-look");
        assert_string_equal(pw_scope_name(PW_SCOPE_LINK_LOCAL), "link-local");
        assert_string_equal(pw_range_name(PW_RANGE_WELL_KNOWN), "well-known");
        assert_string_equal(pw_reason_name(PW_REASON_SCOPE_WIDENED), "scope-widened");
}

static void reasons_are_a_set(void **state _unused_)
{
        char text[PW_REASONS_MAX];
        unsigned all = (1u << PW_REASON_COUNT) - 1, back;

        for (unsigned set = 0; set <= all; set++) {
                pw_reasons_format(text, sizeof text, set);
                assert_int_equal(pw_reasons_parse(text, &back), 0);
                assert_int_equal(back, set);
        }
        assert_string_equal(
            pw_reasons_format(text, sizeof text, PW_REASON_UNEXPECTED | PW_REASON_DENIED),
            "denied,unexpected");
        back = 42;
        assert_int_equal(pw_reasons_parse("denied,nonsense", &back), -EINVAL);
        assert_int_equal(back, 42);
        assert_string_equal(pw_reason_name((enum pw_reason)0), "");
        assert_string_equal(pw_reason_name((enum pw_reason)(1u << PW_REASON_COUNT)), "");
}

/* A reason added in the wrong place of the enumeration would be outranked by a lesser one. */
static void the_gravest_reason_decides(void **state _unused_)
{
        assert_int_equal(pw_reason_gravest(PW_REASON_UNEXPECTED | PW_REASON_SUSPICIOUS),
                         PW_REASON_SUSPICIOUS);
        assert_int_equal(pw_reason_gravest(PW_REASON_NO_OWNER), PW_REASON_NO_OWNER);
        assert_int_equal(pw_reasons_priority(PW_REASON_UNEXPECTED | PW_REASON_DENIED), LOG_ERR);
        assert_int_equal(pw_reasons_priority(PW_REASON_SUSPICIOUS), LOG_ERR);
        assert_int_equal(pw_reasons_priority(PW_REASON_UNEXPECTED | PW_REASON_REQUIRED_MISSING),
                         LOG_WARNING);
}

/* A list cut in the middle of a word would be read back as another word. */
static void a_short_buffer_is_never_overrun(void **state _unused_)
{
        char buffer[64];

        for (size_t size = 1; size < sizeof buffer; size++) {
                memset(buffer, 'x', sizeof buffer);
                pw_reasons_format(buffer, size, (1u << PW_REASON_COUNT) - 1);
                assert_true(strlen(buffer) < size);
                for (size_t i = size; i < sizeof buffer; i++)
                        assert_int_equal(buffer[i], 'x');
        }
}

static bool is_id(const char *text)
{
        return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

static void message_ids_are_unique(void **state _unused_)
{
        for (unsigned i = 0; i < PW_MESSAGE_COUNT; i++) {
                assert_true(is_id(pw_message_id((enum pw_message)i)));
                for (unsigned k = 0; k < i; k++)
                        assert_string_not_equal(pw_message_id((enum pw_message)i),
                                                pw_message_id((enum pw_message)k));
        }
}

/* ---- the catalog ---- */

#define ENTRIES_MAX (2 * PW_MESSAGE_COUNT)

struct catalog {
        char text[65536];
        const char *ids[ENTRIES_MAX], *subjects[ENTRIES_MAX], *bodies[ENTRIES_MAX];
        size_t n;
};

/* Entries are `-- ID`, headers, an empty line, and text. */
static void read_catalog(const char *path, struct catalog *catalog)
{
        ssize_t length = pw_read_file(AT_FDCWD, path, catalog->text, sizeof catalog->text);
        char *at = catalog->text;

        assert_true(length > 0);
        while ((at = strstr(at, "\n-- "))) {
                char *subject = strstr(at, "\nSubject: "), *body = strstr(at, "\n\n");

                assert_true(catalog->n < ENTRIES_MAX);
                assert_non_null(subject);
                assert_non_null(body);
                assert_true(subject < body);
                *at = *subject = *body = '\0';
                catalog->ids[catalog->n] = at + strlen("\n-- ");
                catalog->subjects[catalog->n] = subject + strlen("\nSubject: ");
                subject[strlen("\nSubject: ") + strcspn(subject + strlen("\nSubject: "), "\n")] =
                    '\0';
                catalog->bodies[catalog->n++] = body + 2;
                at = body + 1;
        }
}

static size_t entries_of(const struct catalog *catalog, const char *id, size_t *ret)
{
        size_t n = 0;

        for (size_t i = 0; i < catalog->n; i++)
                if (strcmp(catalog->ids[i], id) == 0) {
                        *ret = i;
                        n++;
                }
        return n;
}

#define MESSAGE_TEXT(name, id, text) text,
static const char *const message_texts[] = {PW_MESSAGE_IDS(MESSAGE_TEXT)};

/* One entry for each id, and no entry for anything else. `subjects` may be NULL. */
static void check_catalog(const char *path, const char *const *subjects)
{
        static struct catalog catalog;

        memset(&catalog, 0, sizeof catalog);
        read_catalog(path, &catalog);
        for (unsigned i = 0; i < PW_MESSAGE_COUNT; i++) {
                const char *id = pw_message_id((enum pw_message)i);
                size_t entry = 0;

                if (entries_of(&catalog, id, &entry) != 1)
                        fail_msg("%s: %s (%s) has not one entry", path, id, message_texts[i]);
                if (subjects)
                        assert_string_equal(catalog.subjects[entry], subjects[i]);
                assert_true(strlen(catalog.bodies[entry]) > 80);
        }
        assert_int_equal(catalog.n, PW_MESSAGE_COUNT);
}

/* The subjects are the header's words. */
static void the_catalog_explains_each_message(void **state _unused_)
{
        check_catalog(PW_SOURCE_DIR "/systemd/portwatch.catalog", message_texts);
}

static void the_translation_explains_each_message(void **state _unused_)
{
        check_catalog(PW_SOURCE_DIR "/systemd/portwatch.ko.catalog", NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(names_are_read_back),
            cmocka_unit_test(words_of_the_interface_stay),
            cmocka_unit_test(reasons_are_a_set),
            cmocka_unit_test(the_gravest_reason_decides),
            cmocka_unit_test(a_short_buffer_is_never_overrun),
            cmocka_unit_test(message_ids_are_unique),
            cmocka_unit_test(the_catalog_explains_each_message),
            cmocka_unit_test(the_translation_explains_each_message),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
