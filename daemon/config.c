/* SPDX-License-Identifier: MIT */
/* Settings. inih splits a file into (section, name, value); everything else is here.
 *
 * inih's handler is told no line number, and a line longer than inih's buffer reaches it in pieces.
 * Therefore inih reads through read_line(), which counts lines, hands over whole lines only, and
 * removes what inih would understand in its own way: a byte order mark, and the indentation that
 * makes a line a continuation of the one before. Section headings are judged there, too, since inih
 * cuts long ones and says nothing of those without settings.
 *
 * What is left of inih's dialect, and meant to be: `:` may stand for `=`; `;` behind a blank begins
 * a comment; blanks around names and values do not count. As in systemd's files, an empty value
 * restores the default.
 *
 * Bounds are written as people type them and read by the same parser as the value, so that the
 * message that names them cannot differ from them. */

#include "daemon/config.h"

#include <portwatch/text.h>

#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>

#define FILE_BYTES_MAX (256 * 1024)
#define WARNINGS_MAX 50 /* told for one file; the rest is counted */
#define SENTENCE_MAX 1024

/* What inih is given as the heading of a section that was refused: no setting is looked for in it.
 */
#define REFUSED_SECTION "?"

const struct pw_config pw_config_default = {
    .poll_interval_usec = PW_USEC_PER_SEC,
    .cpu_budget_ppm = 2000,
    .events = true,
    .ephemeral_dwell_usec = 30 * PW_USEC_PER_SEC,
    .retention_usec = 90 * PW_USEC_PER_DAY,
    .max_use_bytes = 256ULL << 20,
    .realert_usec = 24 * PW_USEC_PER_HOUR,
};

static const char *const sections[] = {"Watch", "History", "Alerts"};
#define SECTIONS_EXPECTED "[Watch], [History] or [Alerts]"

struct kind {
        const char *what; /* with bounds behind it, where there are more than two values */
        int (*parse)(const char *text, uint64_t *ret);
};
static const struct kind span = {"a time span", pw_parse_span};
static const struct kind size = {"a size", pw_parse_size};
static const struct kind percent = {"a percentage", pw_parse_percent};
static const struct kind answer = {"yes or no", pw_parse_answer};

struct setting {
        const char *section, *name;
        const struct kind *kind;
        size_t offset; /* of a uint64_t in struct pw_config */
        const char *min, *max, *example;
};
#define FIELD(name) offsetof(struct pw_config, name)
static const struct setting settings[] = {
    {"Watch", "PollIntervalSec", &span, FIELD(poll_interval_usec), "0", "1h", "1s"},
    {"Watch", "CPUBudget", &percent, FIELD(cpu_budget_ppm), "0.01%", "100%", "0.2%"},
    {"Watch", "Events", &answer, FIELD(events), "no", "yes", "yes"},
    {"Watch", "EphemeralDwellSec", &span, FIELD(ephemeral_dwell_usec), "0", "1d", "30s"},
    {"History", "RetentionSec", &span, FIELD(retention_usec), "1h", "7300d", "90d"},
    {"History", "MaxUseBytes", &size, FIELD(max_use_bytes), "1M", "1T", "256M"},
    {"Alerts", "RealertSec", &span, FIELD(realert_usec), "0", "365d", "24h"},
};

/* Where values and warnings go. */
struct sink {
        struct pw_config *config;
        void (*warn)(void *userdata, const char *sentence);
        void *userdata;
};

struct reader {
        const struct sink *sink;
        const char *file;
        const char *next, *end; /* what has not been read yet */
        size_t line;            /* number of the line last read, from 1 */
        bool assignment;        /* that line should be NAME=VALUE and has not come to assign() */
        size_t warnings;
};

/* ---- warnings ---- */

static void tell(const struct sink *sink, const char *raw)
{
        char sentence[SENTENCE_MAX];

        pw_text_clean(sentence, sizeof sentence, raw, strlen(raw));
        sink->warn(sink->userdata, sentence);
}

/* One sentence about the line last read. */
static void _printf_(2, 3) refuse(struct reader *reader, const char *format, ...)
{
        char raw[SENTENCE_MAX];
        va_list arguments;
        int length;

        if (++reader->warnings > WARNINGS_MAX)
                return;
        length = snprintf(raw, sizeof raw, "%s:%zu: ", reader->file, reader->line);
        if (length < 0 || (size_t)length >= sizeof raw)
                length = 0; /* the reason matters more than a name as long as that */
        va_start(arguments, format);
        vsnprintf(raw + length, sizeof raw - (size_t)length, format, arguments);
        va_end(arguments);
        tell(reader->sink, raw);
}

static void tell_left_out(struct reader *reader)
{
        char raw[SENTENCE_MAX];

        if (reader->warnings <= WARNINGS_MAX)
                return;
        snprintf(raw, sizeof raw, "%zu more lines are refused in %s",
                 reader->warnings - WARNINGS_MAX, reader->file);
        tell(reader->sink, raw);
}

/* ---- lines ---- */

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts the next line, without its end and outer blanks, off the text. */
static const char *next_line(struct reader *reader, size_t *ret_length)
{
        const char *start = reader->next;
        const char *newline = memchr(start, '\n', (size_t)(reader->end - start));
        const char *stop = newline ? newline : reader->end;

        reader->next = newline ? newline + 1 : reader->end;
        reader->line++;
        while (start < stop && is_blank(*start))
                start++;
        while (stop > start && is_blank(stop[-1]))
                stop--;
        *ret_length = (size_t)(stop - start);
        return start;
}

static bool is_known_section(const char *line)
{
        size_t length = strlen(line);

        for (size_t i = 0; i < PW_ELEMENTS(sections); i++)
                if (length == strlen(sections[i]) + 2 && line[length - 1] == ']' &&
                    strncmp(line + 1, sections[i], length - 2) == 0)
                        return true;
        return false;
}

/* What inih gets in place of a heading that is not one of ours. */
static void check_section(struct reader *reader, char *line)
{
        if (is_known_section(line))
                return;
        refuse(reader,
               "unknown section %s: expected " SECTIONS_EXPECTED "; its settings are ignored",
               line);
        strcpy(line, "[" REFUSED_SECTION "]");
}

/* inih read the line before this one, and did not find NAME=VALUE in it. */
static void check_assigned(struct reader *reader)
{
        if (reader->assignment)
                refuse(reader, "expected NAME=VALUE, a [Section], or a comment that begins with #");
        reader->assignment = false;
}

/* inih's reader: the next line, ended by a newline, or NULL at the end. A refused line is handed on
 * as an empty one. */
static char *read_line(char *buffer, int buffer_size, void *stream)
{
        struct reader *reader = stream;
        const char *line;
        size_t length;

        check_assigned(reader);
        if (reader->next == reader->end)
                return NULL;
        line = next_line(reader, &length);
        if (memchr(line, '\0', length)) {
                refuse(reader, "a NUL byte is in this line: expected text");
                length = 0;
        } else if (length + 4 > (size_t)buffer_size) { /* 4: "[?]" and a newline fit always */
                refuse(reader, "this line is too long: expected at most %d bytes", buffer_size - 4);
                length = 0;
        }
        memcpy(buffer, line, length);
        buffer[length] = '\0';
        if (buffer[0] == '[')
                check_section(reader, buffer);
        else
                reader->assignment = length > 0 && !strchr("#;", buffer[0]);
        strcat(buffer, "\n");
        return buffer;
}

/* ---- settings ---- */

static const struct setting *find_setting(const char *name)
{
        for (size_t i = 0; i < PW_ELEMENTS(settings); i++)
                if (strcmp(settings[i].name, name) == 0)
                        return &settings[i];
        return NULL;
}

static void refuse_unknown(struct reader *reader, const char *section, const char *name)
{
        char known[256];
        size_t length = 0;

        for (size_t i = 0; i < PW_ELEMENTS(settings); i++)
                if (strcmp(settings[i].section, section) == 0)
                        length +=
                            (size_t)snprintf(known + length, sizeof known - length,
                                             "%s%s=", length > 0 ? ", " : "", settings[i].name);
        refuse(reader, "unknown setting %s= in [%s]: expected one of %s", name, section, known);
}

static uint64_t *field_of(const struct setting *setting, struct pw_config *config)
{
        return (uint64_t *)(void *)((char *)config + setting->offset);
}

/* 0, -EINVAL or -ERANGE. */
static int parse_value(const struct setting *setting, const char *text, uint64_t *ret)
{
        uint64_t min, max, value;
        int r;

        r = setting->kind->parse(setting->min, &min);
        if (r == 0)
                r = setting->kind->parse(setting->max, &max);
        if (r == 0)
                r = setting->kind->parse(text, &value);
        if (r < 0)
                return r;
        if (value < min || value > max)
                return -ERANGE;
        *ret = value;
        return 0;
}

static void set_value(struct reader *reader, const struct setting *setting, const char *text)
{
        uint64_t *field = field_of(setting, reader->sink->config);
        struct pw_config preset = pw_config_default;

        if (!*text)
                *field = *field_of(setting, &preset);
        else if (parse_value(setting, text, field) == 0)
                return;
        else if (setting->kind == &answer)
                refuse(reader, "%s=%s: expected %s", setting->name, text, answer.what);
        else
                refuse(reader, "%s=%s: expected %s from %s to %s, such as %s", setting->name, text,
                       setting->kind->what, setting->min, setting->max, setting->example);
}

/* inih's handler; it goes on whatever this returns, and nobody asks for its count of errors. */
static int assign(void *userdata, const char *section, const char *name, const char *value)
{
        struct reader *reader = userdata;
        const struct setting *setting = find_setting(name);

        reader->assignment = false;
        if (strcmp(section, REFUSED_SECTION) == 0)
                return 1;
        if (!*section)
                refuse(reader, "%s= is in no section: expected " SECTIONS_EXPECTED " before it",
                       name);
        else if (!setting)
                refuse_unknown(reader, section, name);
        else if (strcmp(setting->section, section) != 0)
                refuse(reader, "%s= is in [%s]: expected it in [%s]", name, section,
                       setting->section);
        else
                set_value(reader, setting, value);
        return 1;
}

static int parse(const struct sink *sink, const char *file, const char *text, size_t length)
{
        struct reader reader = {.sink = sink, .file = file, .next = text, .end = text + length};

        if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
                reader.next += 3;
        if (ini_parse_stream(read_line, &reader, assign, &reader) == -2)
                return -ENOMEM;
        tell_left_out(&reader);
        return reader.warnings > 0;
}

int pw_config_parse(const char *file, const char *text, size_t length, struct pw_config *config,
                    void (*warn)(void *userdata, const char *sentence), void *userdata)
{
        const struct sink sink = {config, warn, userdata};

        return parse(&sink, file, text, length);
}

/* ---- files ---- */

static int cannot_read(const struct sink *sink, const char *path, int error)
{
        char raw[SENTENCE_MAX];

        if (error == -E2BIG)
                snprintf(raw, sizeof raw, "%s: expected at most %d bytes", path, FILE_BYTES_MAX);
        else
                snprintf(raw, sizeof raw, "%s: cannot be read: %s", path, strerror(-error));
        tell(sink, raw);
        return error;
}

static int load_file(const struct sink *sink, const char *path)
{
        _cleanup_(pw_freep) char *text = malloc(FILE_BYTES_MAX + 1);
        ssize_t length;

        if (!text)
                return -ENOMEM;
        length = pw_read_file(AT_FDCWD, path, text, FILE_BYTES_MAX + 1);
        if (length == -ENOENT)
                return 0;
        if (length < 0)
                return cannot_read(sink, path, (int)length);
        return parse(sink, path, text, (size_t)length);
}

static int is_conf(const struct dirent *entry)
{
        size_t length = strlen(entry->d_name);

        return entry->d_name[0] != '.' && length > 5 &&
               strcmp(entry->d_name + length - 5, ".conf") == 0;
}

/* By bytes: alphasort() follows the locale, and the order decides which value wins. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

/* The graver of two outcomes: an error, then a warning, then nothing. */
static int graver(int a, int b)
{
        return a < 0 || b == 0 ? a : b;
}

static int load_directory(const struct sink *sink, const char *path)
{
        struct dirent **entries = NULL;
        int n = scandir(path, &entries, is_conf, by_name), result = 0;

        if (n < 0)
                return errno == ENOENT ? 0 : cannot_read(sink, path, -errno);
        for (int i = 0; i < n; i++) {
                char file[4096];
                int r = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);

                free(entries[i]);
                if (r < 0 || (size_t)r >= sizeof file)
                        r = -ENAMETOOLONG;
                else
                        r = load_file(sink, file);
                result = graver(result, r);
        }
        free(entries);
        return result;
}

int pw_config_load(const char *path, struct pw_config *config,
                   void (*warn)(void *userdata, const char *sentence), void *userdata)
{
        const struct sink sink = {config, warn, userdata};
        char directory[4096];
        int r = snprintf(directory, sizeof directory, "%s.d", path);

        if (r < 0 || (size_t)r >= sizeof directory)
                return -ENAMETOOLONG;
        r = load_file(&sink, path);
        return graver(r, load_directory(&sink, directory));
}
