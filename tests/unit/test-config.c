/* SPDX-License-Identifier: MIT */
/* Settings: values, bounds, the place that a warning names, inih's dialect, and files that are not
 * what they should be. The files are made in a temporary directory. */

#include "daemon/config.h"

#include <portwatch/text.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOLD_MAX 80

/* What was warned about. */
struct told {
        size_t n;
        char sentences[TOLD_MAX][1024];
};
static struct told told;

static void note(void *userdata, const char *sentence)
{
        struct told *t = userdata;

        assert_true(t->n < TOLD_MAX);
        assert_true(pw_text_is_clean(sentence));
        assert_true(strlen(sentence) < sizeof t->sentences[0]);
        strcpy(t->sentences[t->n++], sentence);
}

static int parse_bytes(const char *text, size_t length, struct pw_config *config)
{
        *config = pw_config_default;
        told.n = 0;
        return pw_config_parse("p.conf", text, length, config, note, &told);
}

static int parse(const char *text, struct pw_config *config)
{
        return parse_bytes(text, strlen(text), config);
}

/* The text is refused with one sentence that begins with `place` and holds `part`, and changes
 * nothing. */
static void assert_refused(const char *text, const char *place, const char *part)
{
        struct pw_config config;

        assert_int_equal(parse(text, &config), 1);
        if (told.n != 1 || strncmp(told.sentences[0], place, strlen(place)) != 0 ||
            !strstr(told.sentences[0], part))
                fail_msg("%zu warnings, first: %s", told.n, told.sentences[0]);
        assert_memory_equal(&config, &pw_config_default, sizeof config);
}

static void all_settings_are_read(void **state _unused_)
{
        struct pw_config config;

        assert_int_equal(parse("# every setting\n"
                               "[Watch]\n"
                               "PollIntervalSec=250ms\n"
                               "CPUBudget=1.5%\n"
                               "Events=off\n"
                               "EphemeralDwellSec=1min\n"
                               "\n"
                               "[History]\n"
                               "RetentionSec=30d\n"
                               "MaxUseBytes=64M\n"
                               "[Alerts]\n"
                               "RealertSec=2h\n",
                               &config),
                         0);
        assert_int_equal(told.n, 0);
        assert_int_equal(config.poll_interval_usec, 250 * PW_USEC_PER_MSEC);
        assert_int_equal(config.cpu_budget_ppm, 15000);
        assert_int_equal(config.events, 0);
        assert_int_equal(config.ephemeral_dwell_usec, PW_USEC_PER_MINUTE);
        assert_int_equal(config.retention_usec, 30 * PW_USEC_PER_DAY);
        assert_int_equal(config.max_use_bytes, 64 << 20);
        assert_int_equal(config.realert_usec, 2 * PW_USEC_PER_HOUR);
}

/* The shipped file names every setting, commented out, with the value that is in force without it:
 * a default that changes in only one of the two places fails here. */
static void shipped_file_shows_the_defaults(void **state _unused_)
{
        struct pw_config config = {0};
        char text[16384], *to = text;
        ssize_t length =
            pw_read_file(AT_FDCWD, PW_SOURCE_DIR "/systemd/portwatch.conf", text, sizeof text);

        assert_true(length > 0);
        for (const char *from = text; *from; from++)
                if (!(*from == '#' && from[1] >= 'A' && from[1] <= 'Z'))
                        *to++ = *from;
        told.n = 0;
        assert_int_equal(
            pw_config_parse("portwatch.conf", text, (size_t)(to - text), &config, note, &told), 0);
        assert_memory_equal(&config, &pw_config_default, sizeof config);
}

static void bounds_hold_at_both_ends(void **state _unused_)
{
        struct pw_config config;

        assert_int_equal(parse("[Watch]\nPollIntervalSec=0\n", &config), 0);
        assert_int_equal(config.poll_interval_usec, 0);
        assert_int_equal(parse("[Watch]\nPollIntervalSec=1h\n", &config), 0);
        assert_int_equal(parse("[History]\nMaxUseBytes=1M\n", &config), 0);
        assert_int_equal(config.max_use_bytes, 1 << 20);
        assert_int_equal(parse("[History]\nRetentionSec=7300d\n", &config), 0);

        assert_refused("[Watch]\nPollIntervalSec=3601\n", "p.conf:2: PollIntervalSec=3601: ",
                       "expected a time span from 0 to 1h, such as 1s");
        assert_refused("[History]\nMaxUseBytes=1048575\n",
                       "p.conf:2: ", "expected a size from 1M to 1T, such as 256M");
        assert_refused("[Watch]\nCPUBudget=0.001%\n",
                       "p.conf:2: ", "expected a percentage from 0.01% to 100%");
        /* Without an end "older than" would be computed below zero. */
        assert_refused("[History]\nRetentionSec=infinity\n", "p.conf:2: ", "from 1h to 7300d");
}

static void values_that_are_none_are_refused(void **state _unused_)
{
        assert_refused("[Watch]\nPollIntervalSec=soon\n",
                       "p.conf:2: PollIntervalSec=soon: ", "expected a time span");
        assert_refused("[Watch]\nPollIntervalSec=-1\n", "p.conf:2: ", "expected a time span");
        assert_refused("[Watch]\nCPUBudget=0.2\n", "p.conf:2: ", "expected a percentage");
        assert_refused("[Watch]\nEvents=maybe\n", "p.conf:2: Events=maybe: ", "expected yes or no");
        assert_refused("[History]\nMaxUseBytes=99999999999999999999\n",
                       "p.conf:2: ", "expected a size");
        assert_refused("[Watch]\nPollIntervalSec=1s # often\n",
                       "p.conf:2: ", "expected a time span");
}

static void an_empty_value_restores_the_default(void **state _unused_)
{
        struct pw_config config;

        assert_int_equal(parse("[Watch]\nPollIntervalSec=5s\nPollIntervalSec=\n", &config), 0);
        assert_int_equal(config.poll_interval_usec, PW_USEC_PER_SEC);
}

static void a_later_value_wins_and_a_bad_one_does_not(void **state _unused_)
{
        struct pw_config config;

        assert_int_equal(
            parse("[Watch]\nPollIntervalSec=5s\nPollIntervalSec=7s\nPollIntervalSec=x\n", &config),
            1);
        assert_int_equal(config.poll_interval_usec, 7 * PW_USEC_PER_SEC);
}

static void unknown_names_are_told_with_their_line(void **state _unused_)
{
        assert_refused("\n\n[Watch]\nPollInterval=1s\n",
                       "p.conf:4: unknown setting PollInterval= in [Watch]: ",
                       "expected one of PollIntervalSec=, CPUBudget=, Events=, EphemeralDwellSec=");
        assert_refused("[Watch]\npollintervalsec=1s\n", "p.conf:2: unknown setting ", "expected");
        assert_refused("[Watch]\n=1s\n", "p.conf:2: ", "expected one of");
        assert_refused("[Watch]\nRealertSec=1h\n",
                       "p.conf:2: RealertSec= is in [Watch]: ", "expected it in [Alerts]");
        assert_refused("RealertSec=1h\n", "p.conf:1: RealertSec= is in no section",
                       "expected [Watch], [History] or [Alerts]");
}

/* One warning for a section, not one for each of its settings; and none of those takes effect. */
static void unknown_sections_are_told_once(void **state _unused_)
{
        assert_refused("[Watcher]\nPollIntervalSec=5s\nCPUBudget=1%\n",
                       "p.conf:1: unknown section [Watcher]: ", "expected [Watch], [History]");
        assert_refused("[Alerts\nRealertSec=5s\n",
                       "p.conf:1: unknown section [Alerts: ", "expected");
        assert_refused("[Watch][History]\n", "p.conf:1: ", "expected");
        assert_refused("[]\nRealertSec=5s\n", "p.conf:1: ", "expected");
        assert_refused("[?]\nRealertSec=5s\n", "p.conf:1: ", "expected");
        /* inih keeps 49 bytes of a section's name: behind these there must not be a match. */
        assert_refused("[Watch                                                        x]\n"
                       "PollIntervalSec=5s\n",
                       "p.conf:1: ", "expected");
}

static void lines_without_a_value_are_told(void **state _unused_)
{
        assert_refused("[Watch]\nPollIntervalSec\n", "p.conf:2: ", "expected NAME=VALUE");
        assert_refused("[Watch]\nnonsense", "p.conf:2: ", "expected NAME=VALUE");
}

/* Each of these is read by inih as something else unless the reader helps. */
static void the_dialect_is_as_promised(void **state _unused_)
{
        static const char *const five_seconds[] = {
            "[Watch]\nPollIntervalSec=5s",                 /* no newline at the end */
            "[Watch]\r\nPollIntervalSec=5s\r\n",           /* CRLF */
            "\xef\xbb\xbf[Watch]\nPollIntervalSec=5s\n",   /* byte order mark */
            "  [Watch]  \n\t PollIntervalSec \t=  5s  \n", /* blanks */
            "[Watch]\nPollIntervalSec: 5s\n",              /* colon */
            "[Watch]\nPollIntervalSec=5s ; fast enough\n", /* comment behind the value */
            "[Watch]\n; one\n# two\n  # three\nPollIntervalSec=5s\n",
            "[Watch]\nCPUBudget=0.2%\n  PollIntervalSec=5s\n", /* not a continuation */
        };

        for (size_t i = 0; i < PW_ELEMENTS(five_seconds); i++) {
                struct pw_config config;

                if (parse(five_seconds[i], &config) != 0)
                        fail_msg("text %zu: %s", i, told.sentences[0]);
                assert_int_equal(config.poll_interval_usec, 5 * PW_USEC_PER_SEC);
                assert_int_equal(config.cpu_budget_ppm, pw_config_default.cpu_budget_ppm);
        }
}

/* inih would hand over a long line in pieces, the second of which could be a setting of its own. */
static void a_long_line_is_refused_whole(void **state _unused_)
{
        char text[4096];
        struct pw_config config;

        for (size_t pad = 150; pad < 450; pad++) {
                int length = snprintf(text, sizeof text,
                                      "[Watch]\n#%*sPollIntervalSec=9s\n[Alerts]\nRealertSec=5s\n",
                                      (int)pad, "");

                assert_in_range(parse_bytes(text, (size_t)length, &config), 0, 1);
                assert_int_equal(config.poll_interval_usec, PW_USEC_PER_SEC);
                assert_int_equal(config.realert_usec, 5 * PW_USEC_PER_SEC);
        }
        snprintf(text, sizeof text, "[Watch]\nPollIntervalSec=%0300d\n", 5);
        assert_refused(text, "p.conf:2: ", "too long: expected at most");
        /* Blanks around a line do not count. */
        snprintf(text, sizeof text, "[Watch]\n%300sPollIntervalSec=5s%300s\n", "", "");
        assert_int_equal(parse(text, &config), 0);
        assert_int_equal(config.poll_interval_usec, 5 * PW_USEC_PER_SEC);
}

static void hostile_bytes_are_told_in_clean_text(void **state _unused_)
{
        static const char nul[] = "[Watch]\nPollIntervalSec=5s\0 9s\n[Alerts]\nRealertSec=1h\n";
        struct pw_config config;

        assert_int_equal(parse_bytes(nul, sizeof nul - 1, &config), 1);
        assert_int_equal(told.n, 1);
        assert_non_null(strstr(told.sentences[0], "p.conf:2: a NUL byte"));
        assert_int_equal(config.poll_interval_usec, PW_USEC_PER_SEC);
        assert_int_equal(config.realert_usec, PW_USEC_PER_HOUR);

        assert_refused("[Watch]\nPollIntervalSec=\xff\x1b[31m\n",
                       "p.conf:2: PollIntervalSec=\\xff\\x1b[31m: ", "expected");
        assert_refused("[Wa\xc3\x28tch]\n", "p.conf:1: unknown section [Wa\\xc3(tch]", "expected");
}

static void empty_texts_are_fine(void **state _unused_)
{
        struct pw_config config;

        assert_int_equal(parse("", &config), 0);
        assert_int_equal(parse("\n", &config), 0);
        assert_int_equal(parse("\xef\xbb\xbf", &config), 0);
        assert_int_equal(parse("# only this", &config), 0);
}

/* A file full of bad lines must not fill the journal. */
static void warnings_are_bounded(void **state _unused_)
{
        char text[2001];
        struct pw_config config;

        for (size_t i = 0; i < sizeof text - 1; i += 2)
                memcpy(text + i, "x\n", 2);
        text[sizeof text - 1] = '\0';
        assert_int_equal(parse(text, &config), 1);
        assert_int_equal(told.n, 51);
        assert_string_equal(told.sentences[50], "950 more lines are refused in p.conf");
}

/* ---- files ---- */

struct tree {
        char root[64], conf[128], dropins[256];
};

static int make_tree(void **state)
{
        static struct tree tree;

        strcpy(tree.root, "/tmp/portwatch-test-config.XXXXXX");
        assert_non_null(mkdtemp(tree.root));
        snprintf(tree.conf, sizeof tree.conf, "%s/portwatch.conf", tree.root);
        snprintf(tree.dropins, sizeof tree.dropins, "%s.d", tree.conf);
        *state = &tree;
        return 0;
}

static int remove_entry(const char *path, const struct stat *status _unused_, int type _unused_,
                        struct FTW *place _unused_)
{
        return remove(path);
}

static int remove_tree(void **state)
{
        const struct tree *tree = *state;

        return nftw(tree->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, const char *text)
{
        assert_int_equal(pw_write_file_atomic(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

static void put_dropin(const struct tree *tree, const char *name, const char *text)
{
        char path[512];

        mkdir(tree->dropins, 0755);
        snprintf(path, sizeof path, "%s/%s", tree->dropins, name);
        put(path, text);
}

static int load(const struct tree *tree, struct pw_config *config)
{
        *config = pw_config_default;
        told.n = 0;
        return pw_config_load(tree->conf, config, note, &told);
}

static void missing_files_are_fine(void **state)
{
        struct pw_config config;

        assert_int_equal(load(*state, &config), 0);
        assert_memory_equal(&config, &pw_config_default, sizeof config);
}

static void dropins_come_later_by_name(void **state)
{
        const struct tree *tree = *state;
        struct pw_config config;

        put(tree->conf, "[Watch]\nPollIntervalSec=2s\n[Alerts]\nRealertSec=3h\n");
        put_dropin(tree, "90-b.conf", "[Watch]\nPollIntervalSec=9s\n");
        put_dropin(tree, "10-a.conf", "[Watch]\nPollIntervalSec=4s\nEphemeralDwellSec=4s\n");
        put_dropin(tree, "99.conf.bak", "[Watch]\nPollIntervalSec=5s\n");
        put_dropin(tree, ".99.conf", "[Watch]\nPollIntervalSec=6s\n");
        assert_int_equal(load(tree, &config), 0);
        assert_int_equal(config.poll_interval_usec, 9 * PW_USEC_PER_SEC);
        assert_int_equal(config.ephemeral_dwell_usec, 4 * PW_USEC_PER_SEC);
        assert_int_equal(config.realert_usec, 3 * PW_USEC_PER_HOUR);
}

static void a_warning_names_the_dropin(void **state)
{
        const struct tree *tree = *state;
        struct pw_config config;

        put_dropin(tree, "a.conf", "[Watch]\n\nBogus=1\n");
        assert_int_equal(load(tree, &config), 1);
        assert_int_equal(told.n, 1);
        assert_non_null(strstr(told.sentences[0], "/portwatch.conf.d/a.conf:3: unknown setting"));
}

/* What cannot be read is named, and the other files are read all the same. */
static void a_directory_in_place_of_the_file(void **state)
{
        const struct tree *tree = *state;
        struct pw_config config;

        assert_int_equal(mkdir(tree->conf, 0755), 0);
        put_dropin(tree, "a.conf", "[Watch]\nPollIntervalSec=4s\n");
        assert_int_equal(load(tree, &config), -EISDIR);
        assert_int_equal(told.n, 1);
        assert_non_null(strstr(told.sentences[0], "portwatch.conf: cannot be read: "));
        assert_int_equal(config.poll_interval_usec, 4 * PW_USEC_PER_SEC);
}

static void a_file_in_place_of_the_directory(void **state)
{
        const struct tree *tree = *state;
        struct pw_config config;

        put(tree->dropins, "");
        assert_int_equal(load(tree, &config), -ENOTDIR);
        assert_int_equal(told.n, 1);
}

/* Root reads everything: it becomes somebody else for a moment. */
static void an_unreadable_file(void **state)
{
        const struct tree *tree = *state;
        struct pw_config config;
        uid_t before = geteuid();
        int r;

        put(tree->conf, "[Watch]\nPollIntervalSec=4s\n");
        assert_int_equal(chmod(tree->root, 0755), 0);
        assert_int_equal(chmod(tree->conf, 0), 0);
        assert_int_equal(seteuid(before == 0 ? 65534 : before), 0);
        r = load(tree, &config);
        assert_int_equal(seteuid(before), 0);
        assert_int_equal(r, -EACCES);
        assert_int_equal(told.n, 1);
        assert_int_equal(config.poll_interval_usec, PW_USEC_PER_SEC);
}

static void a_huge_file_is_refused(void **state)
{
        const struct tree *tree = *state;
        struct pw_config config;

        put(tree->conf, "[Watch]\nPollIntervalSec=4s\n");
        assert_int_equal(truncate(tree->conf, 1 << 30), 0);
        assert_int_equal(load(tree, &config), -E2BIG);
        assert_non_null(strstr(told.sentences[0], "expected at most"));
        assert_int_equal(config.poll_interval_usec, PW_USEC_PER_SEC);
}

#define file_test(function) cmocka_unit_test_setup_teardown(function, make_tree, remove_tree)

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(all_settings_are_read),
            cmocka_unit_test(shipped_file_shows_the_defaults),
            cmocka_unit_test(bounds_hold_at_both_ends),
            cmocka_unit_test(values_that_are_none_are_refused),
            cmocka_unit_test(an_empty_value_restores_the_default),
            cmocka_unit_test(a_later_value_wins_and_a_bad_one_does_not),
            cmocka_unit_test(unknown_names_are_told_with_their_line),
            cmocka_unit_test(unknown_sections_are_told_once),
            cmocka_unit_test(lines_without_a_value_are_told),
            cmocka_unit_test(the_dialect_is_as_promised),
            cmocka_unit_test(a_long_line_is_refused_whole),
            cmocka_unit_test(hostile_bytes_are_told_in_clean_text),
            cmocka_unit_test(empty_texts_are_fine),
            cmocka_unit_test(warnings_are_bounded),
            file_test(missing_files_are_fine),
            file_test(dropins_come_later_by_name),
            file_test(a_warning_names_the_dropin),
            file_test(a_directory_in_place_of_the_file),
            file_test(a_file_in_place_of_the_directory),
            file_test(an_unreadable_file),
            file_test(a_huge_file_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
