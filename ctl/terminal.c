/* SPDX-License-Identifier: MIT */
/* Standard output as a person sees it, and the choice of a view. */

#include "ctl/terminal.h"

#include "ctl/ctl.h"

#include <portwatch/text.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t pager;

bool pw_terminal_colour(void)
{
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

        return isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && term &&
               strcmp(term, "dumb") != 0;
}

unsigned pw_terminal_width(void)
{
        const char *columns = getenv("COLUMNS");
        struct winsize size;
        uint64_t number;

        if (columns && pw_parse_number(columns, 1, 10000, &number) == 0)
                return (unsigned)number;
        if (!isatty(STDOUT_FILENO))
                return 0;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return 80;
        return size.ws_col;
}

void pw_print_wrapped(const char *label, unsigned indent, const char *text)
{
        unsigned terminal = pw_terminal_width();
        size_t width = terminal > indent + 20 ? terminal - indent : SIZE_MAX;

        printf("%-*s", (int)indent, label);
        while (strlen(text) > width) {
                size_t length = width;

                while (length > 0 && text[length] != ' ')
                        length--;
                if (length == 0)
                        length = strcspn(text, " ");
                printf("%.*s\n%*s", (int)length, text, (int)indent, "");
                text += length + (text[length] == ' ');
        }
        puts(text);
}

static const char *pager_command(void)
{
        static const char *const variables[] = {"PORTWATCH_PAGER", "SYSTEMD_PAGER", "PAGER"};

        for (size_t i = 0; i < PW_ELEMENTS(variables); i++) {
                const char *command = getenv(variables[i]);

                if (command)
                        return command;
        }
        return "less";
}

/* In the child: becomes the pager, or, where there is none, a plain copier. */
static void run_pager(const char *command)
{
        setenv("LESS", "FRSXMK", 0);
        setenv("LESSCHARSET", "utf-8", 0);
        /* Who got here through sudo was allowed to read, not to start a root shell from less. */
        if (getenv("SUDO_UID") || geteuid() != getuid())
                setenv("LESSSECURE", "1", 1);
        execlp("sh", "sh", "-c", command, (char *)NULL);
        execlp("cat", "cat", (char *)NULL);
        _exit(127);
}

void pw_pager_open(const struct pw_ctl *ctl)
{
        const char *command = pager_command();
        int fds[2];

        if (pager > 0 || ctl->no_pager || !isatty(STDOUT_FILENO) || command[0] == '\0' ||
            strcmp(command, "cat") == 0)
                return;
        if (strcmp(command, "less") == 0 && access("/usr/bin/less", X_OK) < 0 &&
            access("/bin/less", X_OK) < 0)
                return;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        fflush(stdout);
        pager = fork();
        if (pager == 0) {
                dup2(fds[0], STDIN_FILENO);
                run_pager(command);
        }
        if (pager > 0) {
                signal(SIGPIPE, SIG_IGN); /* the pager may be left before the end */
                dup2(fds[1], STDOUT_FILENO);
        }
        close(fds[0]);
        close(fds[1]);
}

int pw_pager_close(void)
{
        int r = 0;

        if (fflush(stdout) != 0 || ferror(stdout))
                r = errno == EPIPE ? 0 : -errno;
        if (pager > 0) {
                close(STDOUT_FILENO);
                while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        return r;
}

int pw_ctl_view(struct pw_ctl *ctl, const char *columns, bool judged, struct pw_view **ret)
{
        struct pw_view_options options = {
            .out = stdout,
            .chosen = ctl->columns != NULL,
            .context = {.now_usec = ctl->now_usec, .judged = judged},
            .width = pw_terminal_width(),
            .colour = pw_terminal_colour(),
            .legend = !ctl->no_legend,
            .pretty = ctl->json == PW_JSON_PRETTY,
        };
        char error[1024];
        int r;

        r = pw_column_list_parse(ctl->columns ? ctl->columns : columns, &options.columns, error,
                                 sizeof error);
        if (r < 0)
                return pw_ctl_fail(PW_EXIT_FAILED, "%s", error);
        if (ctl->json != PW_JSON_OFF)
                r = pw_view_json_new(&options, ret);
        else if (options.width > 0)
                r = pw_view_table_new(&options, ret);
        else
                r = pw_view_plain_new(&options, ret);
        if (ctl->json == PW_JSON_OFF)
                pw_pager_open(ctl);
        return r < 0 ? pw_ctl_no_memory() : 0;
}

int pw_view_list(struct pw_view *view, const char *key, const struct pw_records *records)
{
        int r = view->begin(view, key);

        for (size_t i = 0; r == 0 && i < records->n; i++)
                r = view->row(view, records->items[i]);
        return r < 0 ? r : view->end(view);
}

int pw_ctl_print(struct pw_view *view, const char *key, const struct pw_records *records,
                 const char *footer)
{
        if (pw_view_list(view, key, records) < 0 || view->footer(view, footer) < 0)
                return pw_ctl_no_memory();
        return 0;
}
