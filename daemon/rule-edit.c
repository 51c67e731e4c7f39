/* SPDX-License-Identifier: MIT */
/* Adds one rule to a file so that it takes effect, and leaves the rest of the file as it is.
 *
 * The new rule is first tried at the end of the file, with all other files as they are: where the
 * whole would be refused, or an earlier rule takes everything that the new one could match, that is
 * the answer. Only a rule of the same file that says something else is stepped in front of; one
 * that ends some day stands in the way as much as any other until then. */

#include "daemon/rule.h"

#include <portwatch/text.h>

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES 20
#define LOCK_PAUSE_USEC 50000

struct edit {
        char *path;       /* the file itself: links are followed, so that they stay */
        const char *name; /* in path */
        int dir_fd;
        char *text; /* the file's content */
        size_t length;
        char *candidate; /* the same with the new line at its end */
        size_t candidate_length;
        size_t line; /* number of the new line there */
        char *place; /* the caller's: where it is told why not */
        size_t place_size;
};

static void edit_done(struct edit *edit)
{
        pw_closep(&edit->dir_fd);
        free(edit->path);
        free(edit->text);
        free(edit->candidate);
}

static void tell(struct edit *edit, const char *what)
{
        pw_text_clean(edit->place, edit->place_size, what, strlen(what));
}

static int _printf_(2, 3) refuse(struct edit *edit, const char *format, ...)
{
        _cleanup_(pw_freep) char *what = NULL;
        va_list arguments;

        va_start(arguments, format);
        if (vasprintf(&what, format, arguments) < 0)
                what = NULL;
        va_end(arguments);
        if (!what)
                return -ENOMEM;
        tell(edit, what);
        return -EINVAL;
}

/* ---- the file ---- */

/* Two that add at the same time must not lose one of the lines. But any user may lock a directory
 * that he can read, so nobody is waited for longer than a second. */
static void lock_directory(int fd)
{
        for (int i = 0; i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
                usleep(LOCK_PAUSE_USEC);
}

static int open_directory(struct edit *edit, const char *path)
{
        edit->path = realpath(path, NULL);
        if (!edit->path && errno == ENOENT)
                edit->path = strdup(path);
        if (!edit->path)
                return -errno;
        edit->dir_fd = pw_rule_directory(edit->path, &edit->name);
        return PW_MIN(edit->dir_fd, 0);
}

/* Reads the file, which may be missing. */
static int read_file(struct edit *edit)
{
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        struct stat status;
        int r;

        if (fstatat(edit->dir_fd, edit->name, &status, 0) == 0 && !S_ISREG(status.st_mode))
                return refuse(edit, "%s: is not a plain file; expected one to add to", edit->path);
        r = pw_rule_file_read(edit->path, &edit->text, &edit->length, &refusals);
        if (r == 1)
                return refuse(edit, "%s", refusals.items[0]);
        if (r != -ENOENT)
                return r;
        edit->text = strdup("");
        return edit->text ? 0 : -ENOMEM;
}

static int make_candidate(struct edit *edit, const char *line)
{
        size_t n = edit->length, length = strlen(line);

        edit->candidate = malloc(n + length + 2);
        if (!edit->candidate)
                return -ENOMEM;
        memcpy(edit->candidate, edit->text, n);
        if (n > 0 && edit->candidate[n - 1] != '\n')
                edit->candidate[n++] = '\n';
        edit->line = 1;
        for (size_t i = 0; i < n; i++)
                edit->line += edit->candidate[i] == '\n';
        memcpy(edit->candidate + n, line, length);
        edit->candidate[n + length] = '\n';
        edit->candidate_length = n + length + 1;
        return 0;
}

/* ---- trying ---- */

/* The line by itself: what is wrong with it comes before what is wrong elsewhere. */
static int check_line(struct edit *edit, const char *path, const char *line,
                      const struct pw_services *services)
{
        struct pw_rule_fault fault;
        struct pw_rule rule;
        int r;

        if (strpbrk(line, "\r\n"))
                return refuse(edit, "%s: a line break in a rule; expected one line", path);
        r = pw_rule_parse(line, strlen(line), services, &rule, &fault);
        if (r == 1)
                return refuse(edit, "%s: no rule; expected verdict, protocol and ports", path);
        if (r == -EINVAL)
                return refuse(edit, "%s:%zu:%zu: %s", path, edit->line, fault.column, fault.text);
        if (r == 0)
                pw_rule_done(&rule);
        return r;
}

/* All rules with the new one at the end of its file: rule source->end - 1. */
static int try_candidate(struct edit *edit, const struct pw_policy_paths *paths,
                         const struct pw_services *services, struct pw_rule_source *source,
                         struct pw_policy **ret)
{
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        int r = pw_policy_load_instead(paths, source, services, ret, &refusals);

        if (r == 1)
                return refuse(edit, "%s", refusals.items[0]);
        if (r < 0)
                return r;
        if (source->end > source->first)
                return 0;
        pw_policy_free(*ret);
        *ret = NULL;
        return refuse(edit,
                      "%s: would not be read; expected a *%s file in a directory of rules "
                      "that no earlier one hides",
                      source->path, PW_RULE_SUFFIX);
}

/* ---- deciding ---- */

/* Whether the other rule leaves the new one something to do. */
static bool leaves_room(const struct pw_rule *other, const struct pw_rule *added, uint64_t now_usec)
{
        if (other->until_usec <= now_usec || !pw_rule_covers_until_end(other, added))
                return true;
        if (pw_rule_verdict(other) != pw_rule_verdict(added))
                return false;
        /* The same, but not for as long; and requiring a port is more than allowing it, and holds
         * wherever the rule stands. */
        return other->until_usec < added->until_usec ||
               (added->kind == PW_RULE_REQUIRE && strcmp(other->text, added->text) != 0);
}

/* Where the new line goes: 0 and the number of the line to stand in front of (0: the end), or the
 * positive answers of pw_rule_add(). */
static int decide(struct edit *edit, const struct pw_policy *policy,
                  const struct pw_rule_source *source, uint64_t now_usec, size_t *ret_before)
{
        const struct pw_rule *added = pw_policy_get(policy, source->end - 1);

        *ret_before = 0;
        for (size_t i = 0; i < source->end - 1; i++) {
                const struct pw_rule *other = pw_policy_get(policy, i);
                bool same_verdict = pw_rule_verdict(other) == pw_rule_verdict(added);

                if (leaves_room(other, added, now_usec))
                        continue;
                if (!same_verdict && i >= source->first) {
                        *ret_before = other->line;
                        return 0;
                }
                tell(edit, other->place);
                if (!same_verdict)
                        return 1;
                return strcmp(other->text, added->text) == 0 ? 2 : 3;
        }
        return 0;
}

/* ---- writing ---- */

static bool is_comment(const char *line)
{
        return line[strspn(line, " \t")] == '#';
}

/* The offset of a line; of the comment right above it, which belongs to it, if there is one. */
static size_t offset_of(const struct edit *edit, size_t line)
{
        const char *start = edit->text, *comment = NULL;

        for (size_t i = 1; i < line; i++) {
                if (!is_comment(start))
                        comment = NULL;
                else if (!comment)
                        comment = start;
                start = strchr(start, '\n') + 1;
        }
        return (size_t)((comment ? comment : start) - edit->text);
}

static void tell_line(struct edit *edit, size_t line)
{
        char place[PATH_MAX + 32];

        snprintf(place, sizeof place, "%s:%zu", edit->path, line);
        tell(edit, place);
}

static int write_at(struct edit *edit, const char *line, size_t before)
{
        size_t offset = offset_of(edit, before), length = strlen(line), number = 1;
        _cleanup_(pw_freep) char *data = malloc(edit->length + length + 1);
        int r;

        if (!data)
                return -ENOMEM;
        for (size_t i = 0; i < offset; i++)
                number += edit->text[i] == '\n';
        memcpy(data, edit->text, offset);
        memcpy(data + offset, line, length);
        data[offset + length] = '\n';
        memcpy(data + offset + length + 1, edit->text + offset, edit->length - offset);
        r = pw_write_file_atomic(edit->dir_fd, edit->name, data, edit->length + length + 1, 0644,
                                 true);
        if (r == 0)
                tell_line(edit, number);
        return r;
}

int pw_rule_add(const struct pw_policy_paths *paths, const char *path, const char *line,
                const struct pw_services *services, uint64_t now_usec, char *ret_place,
                size_t place_size)
{
        _cleanup_(edit_done) struct edit edit = {
            .dir_fd = -EBADF,
            .place = ret_place,
            .place_size = place_size,
        };
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        struct pw_rule_source source = {.path = path};
        size_t before;
        int r;

        ret_place[0] = '\0';
        r = open_directory(&edit, path);
        if (r < 0)
                return r;
        lock_directory(edit.dir_fd);
        r = read_file(&edit);
        if (r < 0)
                return r;
        r = make_candidate(&edit, line);
        if (r < 0)
                return r;
        r = check_line(&edit, path, line, services);
        if (r < 0)
                return r;
        source.text = edit.candidate;
        source.length = edit.candidate_length;
        r = try_candidate(&edit, paths, services, &source, &policy);
        if (r < 0)
                return r;
        r = decide(&edit, policy, &source, now_usec, &before);
        if (r != 0)
                return r;
        if (before > 0)
                return write_at(&edit, line, before);
        r = pw_write_file_atomic(edit.dir_fd, edit.name, edit.candidate, edit.candidate_length,
                                 0644, true);
        if (r == 0)
                tell_line(&edit, edit.line);
        return r;
}
