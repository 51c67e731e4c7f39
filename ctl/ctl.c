/* SPDX-License-Identifier: MIT */
/* The program's frame: locale, surroundings, help, and the verb. */

#include "ctl/ctl.h"

#include "ctl/columns.h"
#include "ctl/options.h"
#include "ctl/terminal.h"

#include <portwatch/paths.h>
#include <portwatch/text.h>

#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>

const char *pw_ctl_verb_name(const struct pw_ctl *ctl)
{
        return ctl->verb->name;
}

/* ---- help ---- */

static void print_option(const struct pw_option *option)
{
        char left[64];
        bool optional = option->kind == PW_OPTION_JSON;

        if (option->letter)
                snprintf(left, sizeof left, "-%c, --%s", option->letter, option->name);
        else
                snprintf(left, sizeof left, "    --%s", option->name);
        if (option->argument)
                snprintf(left + strlen(left), sizeof left - strlen(left), "%s=%s%s",
                         optional ? "[" : "", option->argument, optional ? "]" : "");
        printf("  %-22s  %s\n", left, option->summary);
}

static void print_options(unsigned sets)
{
        for (size_t i = 0; i < pw_options_count; i++)
                if (sets ? pw_options[i].set & sets : pw_options[i].set == 0)
                        print_option(&pw_options[i]);
}

static void help_filters(void)
{
        printf("\nFilters: 80  :80  tcp/80  80-90  http  ephemeral  tcp  udp, and KEY=VALUE with");
        for (size_t i = 0; pw_filter_keys[i]; i++)
                printf("%s%s=", i % 7 ? " " : "\n  ", pw_filter_keys[i]);
        puts("\nThe same key twice means or, different keys mean and; globs work: user=web*");
}

static void help_verb(const struct pw_verb *verb)
{
        printf("portwatchctl %s%s%s\n\n%s.\n\nExamples:\n", verb->name, verb->words[0] ? " " : "",
               verb->words, verb->summary);
        for (const char *line = verb->examples; *line; line = strchr(line, '\n') + 1)
                printf("  %.*s\n", (int)strcspn(line, "\n"), line);
        if (strcmp(verb->words, "[FILTER...]") == 0)
                help_filters();
        if (verb->options & PW_OPTION_COLUMNS) {
                printf("\nColumns for -o:");
                for (size_t i = 0; i < pw_columns_count; i++)
                        printf("%s%s", i % 7 ? " " : "\n  ", pw_columns[i].name);
                printf("\n");
        }
        if (verb->options) {
                puts("\nOptions:");
                print_options(verb->options);
        }
        puts("\nMore options: portwatchctl --help");
}

void pw_ctl_help(const struct pw_verb *verb)
{
        if (verb) {
                help_verb(verb);
                return;
        }
        puts("portwatchctl [OPTIONS] [VERB] [WORDS...]\n\n"
             "Which ports are open on this host, who opened them, and whether they should be.\n");
        for (size_t i = 0; i < pw_verbs_count; i++)
                printf("  %-10s  %s\n", pw_verbs[i].name, pw_verbs[i].summary);
        puts("\nOptions:");
        print_options(0);
        puts("\nExit: 0 done, 1 failed or found, 2 usage, 3 nothing there, 4 not permitted,\n"
             "      5 cannot judge. Options and examples of a verb: portwatchctl VERB --help");
}

/* ---- frame ---- */

/* Widths need UTF-8, which names may have; numbers and messages are never translated. Returns
 * whether the user's own locale has it. */
static bool set_locale(void)
{
        setlocale(LC_CTYPE, "");
        if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
                return true;
        setlocale(LC_CTYPE, "C.UTF-8");
        return false;
}

/* Before anything is looked up, so that a mistake costs nothing. */
static int check_columns(const struct pw_ctl *ctl)
{
        struct pw_column_list columns;
        char error[1024];

        if (ctl->columns && pw_column_list_parse(ctl->columns, &columns, error, sizeof error) < 0)
                return pw_ctl_fail(PW_EXIT_USAGE, "-o: %s", error);
        return 0;
}

static int prepare(struct pw_ctl *ctl)
{
        _cleanup_(pw_closep) int etc = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = snprintf(ctl->baseline, sizeof ctl->baseline, "%s/%s", ctl->state_dir,
                         PW_BASELINE_FILE);

        if (r < 0 || (size_t)r >= sizeof ctl->baseline)
                return pw_ctl_fail(PW_EXIT_USAGE, "--state: the path is too long");
        ctl->now_usec = pw_now_realtime();
        if (etc >= 0 && pw_services_load(etc, &ctl->services) == -ENOMEM)
                return pw_ctl_no_memory();
        return 0;
}

int pw_ctl_main(int argc, char **argv)
{
        struct pw_ctl ctl = {.ascii = !set_locale()};
        int code, r;

        code = pw_ctl_parse(&ctl, argc, argv);
        if (code < 0) {
                code = check_columns(&ctl);
                if (code == 0)
                        code = prepare(&ctl);
                if (code == 0)
                        code = ctl.verb->run(&ctl);
                pw_services_free(ctl.services);
        }
        r = pw_pager_close();
        if (r < 0)
                return pw_ctl_fail(PW_EXIT_FAILED, "cannot write the output: %s", strerror(-r));
        return code;
}
