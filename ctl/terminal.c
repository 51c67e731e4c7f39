/* SPDX-License-Identifier: MIT */
/* Standard output as a person sees it, and the choice of a view. */

#include "ctl/terminal.h"

#include "ctl/ctl.h"

#include <portwatch/text.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The terminal, while standard output is kept for the pager in a file of memory; else negative. */
static int real_stdout = -EBADF;

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

/* In the child: becomes the pager, or, where there is no shell, a plain copier. */
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

static bool wants_pager(const struct pw_ctl *ctl, const char *command)
{
        const char *term = getenv("TERM");

        if (ctl->no_pager || !isatty(STDOUT_FILENO) || command[0] == '\0' ||
            strcmp(command, "cat") == 0 || (term && strcmp(term, "dumb") == 0))
                return false;
        return strcmp(command, "less") != 0 || access("/usr/bin/less", X_OK) == 0 ||
               access("/bin/less", X_OK) == 0;
}

static void forget_stdout(void)
{
        close(real_stdout);
        real_stdout = -EBADF;
}

void pw_pager_open(const struct pw_ctl *ctl)
{
        _cleanup_(pw_closep) int memory = -EBADF;

        if (real_stdout >= 0 || !wants_pager(ctl, pager_command()))
                return;
        memory = memfd_create("output", MFD_CLOEXEC);
        if (memory < 0)
                return;
        fflush(stdout);
        real_stdout = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        if (real_stdout >= 0 && dup2(memory, STDOUT_FILENO) < 0)
                forget_stdout();
}

/* Copies what is left of a file to standard output. 0 or -errno. */
static int copy_rest(int fd)
{
        char buffer[16384];
        ssize_t n;

        while ((n = read(fd, buffer, sizeof buffer)) > 0)
                for (ssize_t done = 0, m; done < n; done += m) {
                        m = write(STDOUT_FILENO, buffer + done, (size_t)(n - done));
                        if (m < 0)
                                return -errno;
                }
        return n < 0 ? -errno : 0;
}

/* Shows the kept output. A pager that read nothing of it (it is not there, or fails) has shown
 * nothing: the output then goes to the terminal as it is. */
static int page(int memory)
{
        pid_t pager;

        if (lseek(memory, 0, SEEK_SET) < 0)
                return -errno;
        pager = fork();
        if (pager == 0) {
                dup2(memory, STDIN_FILENO);
                run_pager(pager_command());
        }
        while (pager > 0 && waitpid(pager, NULL, 0) < 0 && errno == EINTR)
                ;
        return lseek(memory, 0, SEEK_CUR) == 0 ? copy_rest(memory) : 0;
}

int pw_pager_close(void)
{
        _cleanup_(pw_closep) int memory = -EBADF;

        if (fflush(stdout) != 0 || ferror(stdout))
                return errno == EPIPE ? 0 : -errno;
        if (real_stdout < 0)
                return 0;
        memory = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        if (memory < 0 || dup2(real_stdout, STDOUT_FILENO) < 0)
                return -errno;
        forget_stdout();
        return page(memory);
}

int pw_ctl_view(struct pw_ctl *ctl, const char *columns, bool judged, struct pw_view **ret)
{
        struct pw_view_options options = {
            .out = stdout,
            .chosen = ctl->columns != NULL,
            .context = {.now_usec = ctl->now_usec,
                        .judged = judged,
                        .ascii = ctl->ascii,
                        .services = ctl->services},
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
