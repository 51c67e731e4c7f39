/* SPDX-License-Identifier: MIT */
/* portwatchd: the command line. */

#include "daemon/manager.h"
#include "daemon/privileges.h"

#include <portwatch/paths.h>
#include <portwatch/text.h>

#include <getopt.h>
#include <sys/stat.h>

#define RULES_DIRS_MAX 16
#define EXIT_USAGE 2

enum { OPTION_STATE = 256, OPTION_RUN, OPTION_RULES, OPTION_LOG, OPTION_POLLS, OPTION_VERSION };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"state", required_argument, NULL, OPTION_STATE},
    {"run", required_argument, NULL, OPTION_RUN},
    {"rules", required_argument, NULL, OPTION_RULES},
    {"log", required_argument, NULL, OPTION_LOG},
    {"polls", required_argument, NULL, OPTION_POLLS},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static const char help[] =
    "portwatchd watches which TCP and UDP ports are open, and alerts through the journal.\n"
    "\n"
    "portwatchd [OPTIONS]\n"
    "  -c, --config=FILE   settings (" PW_CONFIG_FILE ")\n"
    "      --state=DIR     history and baseline (" PW_STATE_DIR ")\n"
    "      --run=DIR       status and lock (" PW_RUN_DIR "; with --state: the same directory)\n"
    "      --rules=DIR     rules, instead of " PW_RULES_DIR_ETC "\n"
    "                      and " PW_RULES_DIR_LIB "; may be given several times\n"
    "      --log=TARGET    auto (default), journal or stderr\n"
    "      --polls=N       end after N polls\n"
    "  -h, --help\n"
    "      --version\n"
    "\n"
    "SIGHUP reads the rules again, SIGTERM ends it. Ask it with portwatchctl(1).\n";

static int parse_log(const char *text, enum pw_log_target *ret)
{
        static const char *const names[] = {
            [PW_LOG_AUTO] = "auto", [PW_LOG_JOURNAL] = "journal", [PW_LOG_STDERR] = "stderr"};

        for (size_t i = 0; i < PW_ELEMENTS(names); i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret = (enum pw_log_target)i;
                        return 0;
                }
        return -EINVAL;
}

static int usage(const char *problem, const char *value, const char *expected)
{
        char clean[256];

        pw_text_clean(clean, sizeof clean, value, strlen(value));
        fprintf(stderr, "portwatchd: %s \"%s\": expected %s. See portwatchd --help.\n", problem,
                clean, expected);
        return -EINVAL;
}

/* 1: done already (help, version). */
static int parse_option(int option, struct pw_options *parsed, const char **rules_dirs,
                        size_t *n_rules)
{
        switch (option) {
        case 'c':
                parsed->config_path = optarg;
                return 0;
        case OPTION_STATE:
                parsed->state_dir = optarg;
                return 0;
        case OPTION_RUN:
                parsed->run_dir = optarg;
                return 0;
        case OPTION_RULES:
                if (*n_rules == RULES_DIRS_MAX)
                        return usage("one directory too many", optarg, "16 at most");
                rules_dirs[(*n_rules)++] = optarg;
                return 0;
        case OPTION_LOG:
                if (parse_log(optarg, &parsed->log) < 0)
                        return usage("--log", optarg, "auto, journal or stderr");
                return 0;
        case OPTION_POLLS:
                if (pw_parse_number(optarg, 1, UINT64_MAX, &parsed->polls) < 0)
                        return usage("--polls", optarg, "a number from 1");
                return 0;
        case 'h':
                fputs(help, stdout);
                return 1;
        case OPTION_VERSION:
                puts("portwatchd " PORTWATCH_VERSION);
                return 1;
        default:
                fputs("See portwatchd --help.\n", stderr);
                return -EINVAL;
        }
}

int main(int argc, char **argv)
{
        static const char *rules_dirs[RULES_DIRS_MAX + 2];
        struct pw_options parsed = {.config_path = PW_CONFIG_FILE, .rules_dirs = rules_dirs};
        _cleanup_(pw_manager_freep) struct pw_manager *manager = NULL;
        const char *what;
        size_t n_rules = 0;
        int option, r = 0;

        while (r == 0 && (option = getopt_long(argc, argv, "c:h", options, NULL)) >= 0)
                r = parse_option(option, &parsed, rules_dirs, &n_rules);
        if (r == 0 && optind < argc)
                r = usage("unknown argument", argv[optind], "options only");
        if (r != 0)
                return r > 0 ? EXIT_SUCCESS : EXIT_USAGE;
        if (n_rules == 0) {
                rules_dirs[0] = PW_RULES_DIR_ETC;
                rules_dirs[1] = PW_RULES_DIR_LIB;
        }
        if (!parsed.run_dir)
                parsed.run_dir = parsed.state_dir ? parsed.state_dir : PW_RUN_DIR;
        if (!parsed.state_dir)
                parsed.state_dir = PW_STATE_DIR;
        umask(0027);
        r = pw_privileges_become(parsed.state_dir, &what);
        if (r < 0) {
                fprintf(stderr, "portwatchd: cannot %s: %s\n", what, strerror(-r));
                return EXIT_FAILURE;
        }
        r = pw_manager_new(&parsed, &manager);
        if (r == -ENOMEM)
                fputs("portwatchd: out of memory\n", stderr);
        if (r == 0)
                r = pw_manager_run(manager);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
