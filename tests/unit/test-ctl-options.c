/* SPDX-License-Identifier: MIT */
/* The command line: would catch an option that only works on one side of the verb, one that is
 * taken silently where it means nothing, a mistake without a sentence, the wrong exit code. */

#include "ctl/ctl.h"
#include "ctl/options.h"

#include <portwatch/paths.h>
#include <portwatch/text.h>

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS_MAX 16

/* Parses a command line whose words are separated by `|`; what it says on standard error goes to
 * `said`. Returns what pw_ctl_parse() does. */
static char said[4096];

static int parse(struct pw_ctl *ctl, const char *line)
{
        static char copy[1024];
        static char *argv[WORDS_MAX + 1]; /* what was parsed points into it */
        char *rest = copy;
        FILE *file = tmpfile();
        int argc = 0, saved = dup(STDERR_FILENO), r;
        size_t length;

        snprintf(copy, sizeof copy, "%s", line);
        memset(argv, 0, sizeof argv);
        argv[argc++] = (char *)(uintptr_t) "portwatchctl";
        while (rest && argc < WORDS_MAX)
                argv[argc++] = strsep(&rest, "|");
        *ctl = (struct pw_ctl){0};
        fflush(stderr);
        dup2(fileno(file), STDERR_FILENO);
        r = pw_ctl_parse(ctl, argc, argv);
        fflush(stderr);
        dup2(saved, STDERR_FILENO);
        close(saved);
        rewind(file);
        length = fread(said, 1, sizeof said - 1, file);
        said[length] = '\0';
        fclose(file);
        return r;
}

static void test_defaults(_unused_ void **state)
{
        char *argv[] = {(char *)(uintptr_t) "portwatchctl", NULL};
        struct pw_ctl ctl = {0};

        assert_int_equal(pw_ctl_parse(&ctl, 1, argv), -1);
        assert_string_equal(ctl.verb->name, "list");
        assert_string_equal(ctl.state_dir, PW_STATE_DIR);
        assert_string_equal(ctl.run_dir, PW_RUN_DIR);
        assert_string_equal(ctl.rules_dirs[0], PW_RULES_DIR_ETC);
        assert_string_equal(ctl.rules_dirs[1], PW_RULES_DIR_LIB);
        assert_null(ctl.rules_dirs[2]);
        assert_int_equal(ctl.json, PW_JSON_OFF);
}

static void test_options_on_both_sides(_unused_ void **state)
{
        static const char *const lines[] = {
            "--json|-q|--state=/s|history|80|-n|5",
            "history|80|-n5|-q|--json|--state|/s",
            "-q|history|--lines=5|--json=short|80|--state=/s",
        };

        for (size_t i = 0; i < PW_ELEMENTS(lines); i++) {
                struct pw_ctl ctl;

                assert_int_equal(parse(&ctl, lines[i]), -1);
                assert_string_equal(ctl.verb->name, "history");
                assert_int_equal(ctl.n_words, 1);
                assert_string_equal(ctl.words[0], "80");
                assert_string_equal(ctl.count, "5");
                assert_true(ctl.quiet);
                assert_int_equal(ctl.json, PW_JSON_SHORT);
                assert_string_equal(ctl.state_dir, "/s");
                assert_string_equal(ctl.run_dir, "/s");
        }
}

static void test_directories(_unused_ void **state)
{
        struct pw_ctl ctl;

        assert_int_equal(parse(&ctl, "--state=/s|--run=/r|--rules=/a|--rules=/b|rules"), -1);
        assert_string_equal(ctl.run_dir, "/r");
        assert_int_equal(ctl.n_rules_dirs, 2);
        assert_string_equal(ctl.rules_dirs[0], "/a");
        assert_string_equal(ctl.rules_dirs[1], "/b");
        assert_null(ctl.rules_dirs[2]);
}

static void test_words_that_look_like_options(_unused_ void **state)
{
        struct pw_ctl ctl;

        assert_int_equal(parse(&ctl, "list|--|-1"), -1);
        assert_int_equal(ctl.n_words, 1);
        assert_string_equal(ctl.words[0], "-1");
        assert_int_equal(parse(&ctl, "history|--since|-1h"), -1);
        assert_string_equal(ctl.since, "-1h");
}

/* Every mistake: exit 2, one clean line that names the word. */
static void test_mistakes(_unused_ void **state)
{
        static const struct {
                const char *line, *names;
        } mistakes[] = {
            {"lst", "portwatchctl list"},
            {"histroy", "portwatchctl history"},
            {"wibble", "wibble"},
            {"80", "portwatchctl show 80"},
            {"tcp/80", "portwatchctl show tcp/80"},
            {"\x1b[31m\n", "\\x1b"},
            {"\xff\xfe", "\\xff"},
            {"", "''"},
            {"--wobble", "--wobble"},
            {"list|--wobble=3", "--wobble"},
            {"list|-x", "-x"},
            {"list|-qx", "-x"},
            {"show|-1", "-1"},
            {"show|-80", "-8"},
            {"list|-o", "-o"},
            {"list|--at", "--at"},
            {"list|--at=", "--at"},
            {"list|--json=maybe", "maybe"},
            {"list|--quiet=yes", "--quiet"},
            {"list|--since|today", "--since"},
            {"history|--at|today", "--at"},
            {"status|-o|port", "--columns"},
            {"scan|--for|8h", "--for"},
            {"show", "PORT"},
            {"show|80|81", "81"},
            {"status|now", "now"},
            {"allow", "RULE"},
        };

        for (size_t i = 0; i < PW_ELEMENTS(mistakes); i++) {
                struct pw_ctl ctl;

                assert_int_equal(parse(&ctl, mistakes[i].line), PW_EXIT_USAGE);
                if (!strstr(said, mistakes[i].names))
                        fail_msg("'%s' says: %s", mistakes[i].line, said);
                assert_true(strchr(said, '\n') == said + strlen(said) - 1);
                said[strlen(said) - 1] = '\0';
                assert_true(pw_text_is_clean(said));
        }
}

static void test_too_many_rules_directories(_unused_ void **state)
{
        struct pw_ctl ctl = {0};
        char *argv[PW_RULES_DIRS_MAX + 3] = {(char *)(uintptr_t) "portwatchctl"};

        for (size_t i = 1; i <= PW_RULES_DIRS_MAX; i++)
                argv[i] = (char *)(uintptr_t) "--rules=/x";
        assert_int_equal(pw_ctl_parse(&ctl, PW_RULES_DIRS_MAX + 1, argv), -1);
        assert_null(ctl.rules_dirs[PW_RULES_DIRS_MAX]);
        argv[PW_RULES_DIRS_MAX + 1] = (char *)(uintptr_t) "--rules=/x";
        ctl = (struct pw_ctl){0};
        assert_int_equal(pw_ctl_parse(&ctl, PW_RULES_DIRS_MAX + 2, argv), PW_EXIT_USAGE);
}

/* A verb is found by its whole name only, and a guess is near, never merely something. */
static void test_verbs(_unused_ void **state)
{
        for (size_t i = 0; i < pw_verbs_count; i++) {
                assert_ptr_equal(pw_verb_find(pw_verbs[i].name), &pw_verbs[i]);
                assert_non_null(pw_verbs[i].run);
        }
        assert_null(pw_verb_find("lis"));
        assert_null(pw_verb_find(""));
        assert_null(pw_verb_nearest("xyzzy"));
        assert_null(pw_verb_nearest(""));
        assert_null(pw_verb_nearest("a-word-that-is-longer-than-any-verb-of-ours"));
        assert_string_equal(pw_verb_nearest("sttus")->name, "status");
}

/* What somebody else chose can never become more than one word of a shell. */
static void test_shell_quote(_unused_ void **state)
{
        static const struct {
                const char *word, *quoted;
        } cases[] = {
            {"ssh.service", "ssh.service"},
            {"user@1000.service", "user@1000.service"},
            {"a\\x2db.service", "'a\\x2db.service'"},
            {"a b", "'a b'"},
            {"$(reboot)", "'$(reboot)'"},
            {"a';reboot;'", "'a'\\'';reboot;'\\'''"},
            {"", "''"},
            {"-rf", "'-rf'"},
            {"~root", "'~root'"},
        };
        char buffer[64];

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++)
                assert_string_equal(pw_shell_quote(buffer, sizeof buffer, cases[i].word),
                                    cases[i].quoted);
        /* What does not fit is cut, and the quote still closed. */
        pw_shell_quote(buffer, 16, "''''''''''''''''''''");
        assert_true(strlen(buffer) < 16);
        assert_int_equal(buffer[strlen(buffer) - 1], '\'');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_defaults),    cmocka_unit_test(test_options_on_both_sides),
            cmocka_unit_test(test_directories), cmocka_unit_test(test_words_that_look_like_options),
            cmocka_unit_test(test_mistakes),    cmocka_unit_test(test_too_many_rules_directories),
            cmocka_unit_test(test_verbs),       cmocka_unit_test(test_shell_quote),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
