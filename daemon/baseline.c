/* SPDX-License-Identifier: MIT */
/* The baseline: one rule for each listener that was open at the first start, as rule-format.c makes
 * them. Listeners that get no rule are counted. The text is always accepted by the parser: it stays
 * below the limits of a line and a file, and what does not fit is left out.
 *
 * An owner with many ports (a media server, a test) gets lists of ports instead of a line for each,
 * which would not fit the file; the ports are just those that were open. */

#include "daemon/rule.h"

#include <portwatch/text.h>

#include <fcntl.h>
#include <sys/stat.h>

#define NOTE_MAX 256
#define PORTS_TEXT_MAX 1024
#define LINE_REST_MAX 512     /* bytes of a line beside ports and keys: verdict, note, date */
#define LINES_BEFORE_LISTS 16 /* so many ports of one owner get a line each */

/* ---- what the baseline learns ---- */

/* One learned listener; later one line of the file, which may stand for several. */
struct entry {
        uint8_t protocol;
        bool ephemeral;
        uint16_t port;       /* the first of its ports */
        size_t listeners;    /* how many it stands for */
        const char *service; /* of a single port; as long-lived as the record */
        char *keys;
        char *ports; /* text; only in lines */
        char *note;
};
struct entries {
        struct entry *items;
        size_t n, capacity;
};

static void entry_done(struct entry *entry)
{
        free(entry->keys);
        free(entry->ports);
        free(entry->note);
}

static void entries_done(struct entries *entries)
{
        for (size_t i = 0; i < entries->n; i++)
                entry_done(&entries->items[i]);
        free(entries->items);
}

/* Takes over the strings, on failure too. */
static int add_entry(struct entries *entries, struct entry entry)
{
        if (!entry.keys || !entry.note ||
            pw_array_reserve(&entries->items, &entries->capacity, entries->n + 1,
                             sizeof *entries->items) < 0) {
                entry_done(&entry);
                return -ENOMEM;
        }
        entries->items[entries->n++] = entry;
        return 0;
}

/* Who it is, in a word: the unit, else the process. */
static char *make_note(const struct pw_record *record)
{
        const struct pw_owner *owner = record->owner;
        const char *note = pw_record_process(record);

        if (owner->unit && owner->unit[0])
                note = owner->unit;
        else if (owner->user_unit && owner->user_unit[0])
                note = owner->user_unit;
        return pw_text_clean_dup(note ? note : "", note ? strlen(note) : 0, NOTE_MAX);
}

/* 0, 1 (not to be learned), -ENOMEM. */
static int learn(struct entries *entries, const struct pw_record *record)
{
        char keys[PW_RULE_TEXT_MAX];

        if (pw_rule_format_keys(record, keys, sizeof keys) != 0)
                return 1;
        return add_entry(entries, (struct entry){
                                      .protocol = pw_rule_protocol(record->protocol),
                                      .ephemeral = record->ephemeral,
                                      .port = record->ephemeral ? 0 : record->port,
                                      .listeners = 1,
                                      .service = record->ephemeral ? NULL : record->service,
                                      .keys = strdup(keys),
                                      .note = make_note(record),
                                  });
}

/* ---- from listeners to lines ---- */

/* What could share a line stands together, by port. */
static int compare_learned(const void *a, const void *b)
{
        const struct entry *x = a, *y = b;
        int r = (int)x->protocol - (int)y->protocol;

        if (r == 0)
                r = (int)x->ephemeral - (int)y->ephemeral;
        if (r == 0)
                r = strcmp(x->keys, y->keys);
        if (r == 0)
                r = (int)x->port - (int)y->port;
        return r != 0 ? r : strcmp(x->note, y->note);
}

/* In the file: by protocol and port, the ephemeral ones last. */
static int compare_lines(const void *a, const void *b)
{
        const struct entry *x = a, *y = b;
        int r = (int)x->protocol - (int)y->protocol;

        if (r == 0)
                r = (int)x->ephemeral - (int)y->ephemeral;
        if (r == 0)
                r = (int)x->port - (int)y->port;
        return r != 0 ? r : strcmp(x->keys, y->keys);
}

static bool could_share_line(const struct entry *a, const struct entry *b)
{
        return a->protocol == b->protocol && a->ephemeral == b->ephemeral &&
               strcmp(a->keys, b->keys) == 0;
}

static void merge_duplicates(struct entries *entries)
{
        size_t n = 0;

        for (size_t i = 0; i < entries->n; i++) {
                struct entry *entry = &entries->items[i];
                struct entry *last = n > 0 ? &entries->items[n - 1] : NULL;

                if (last && could_share_line(last, entry) && last->port == entry->port) {
                        last->listeners += entry->listeners;
                        entry_done(entry);
                } else {
                        entries->items[n++] = *entry;
                }
        }
        entries->n = n;
}

/* Writes the ports of n entries as a list in which neighbours are a range, for as long as it fits.
 * Returns how many it took, at least one. */
static size_t put_ports(char *buffer, size_t size, const struct entry *items, size_t n)
{
        const size_t room = sizeof ",65535-65535";
        size_t i = 0, length = 0;

        if (items[0].ephemeral) {
                snprintf(buffer, size, "ephemeral");
                return 1;
        }
        while (i < n && length + room < size) {
                size_t last = i;

                while (last + 1 < n && items[last + 1].port == items[last].port + 1)
                        last++;
                length += (size_t)sprintf(buffer + length, "%s%u", i > 0 ? "," : "", items[i].port);
                if (last > i)
                        length += (size_t)sprintf(buffer + length, "-%u", items[last].port);
                i = last + 1;
        }
        return i;
}

/* Makes a line for the first of n entries, as many as it can list. Returns how many, or -ENOMEM. */
static ssize_t add_line(struct entries *lines, const struct entry *items, size_t n)
{
        char ports[PORTS_TEXT_MAX];
        size_t taken = put_ports(ports, sizeof ports, items, n);
        struct entry line = items[0];

        line.listeners = 0;
        for (size_t i = 0; i < taken; i++)
                line.listeners += items[i].listeners;
        if (taken > 1)
                line.service = NULL;
        line.keys = strdup(items[0].keys);
        line.ports = strdup(ports);
        line.note = strdup(items[0].note);
        if (!line.ports) {
                entry_done(&line);
                return -ENOMEM;
        }
        return add_entry(lines, line) < 0 ? -ENOMEM : (ssize_t)taken;
}

static int add_group(struct entries *lines, const struct entry *items, size_t n)
{
        bool list = n > LINES_BEFORE_LISTS;

        for (size_t i = 0; i < n;) {
                ssize_t taken = add_line(lines, items + i, list ? n - i : 1);

                if (taken < 0)
                        return (int)taken;
                i += (size_t)taken;
        }
        return 0;
}

static int make_lines(struct entries *learned, struct entries *lines)
{
        if (learned->n == 0)
                return 0;
        qsort(learned->items, learned->n, sizeof *learned->items, compare_learned);
        merge_duplicates(learned);
        for (size_t i = 0, end; i < learned->n; i = end) {
                int r;

                for (end = i + 1; end < learned->n; end++)
                        if (!could_share_line(&learned->items[i], &learned->items[end]))
                                break;
                r = add_group(lines, learned->items + i, end - i);
                if (r < 0)
                        return r;
        }
        qsort(lines->items, lines->n, sizeof *lines->items, compare_lines);
        return 0;
}

/* ---- the text ---- */

/* `printed`: for somebody who will make a file of it, not the file itself. */
static void write_head(FILE *file, const char *when, bool printed)
{
        fprintf(file,
                printed
                    ? "# What was open on %s,\n"
                      "# printed by portwatch " PORTWATCH_VERSION ".\n"
                      "#\n"
                      "# A port that matches a line here would be expected. Delete the lines of\n"
                      "# ports that should not be open, change what is too narrow, and put the\n"
                      "# file into rules.d.\n"
                    : "# Baseline: what was open on %s,\n"
                      "# written once by portwatch " PORTWATCH_VERSION ".\n"
                      "#\n"
                      "# A port that matches a line here is expected. Delete the lines of ports\n"
                      "# that should not be open, change what is too narrow: the file is read\n"
                      "# again at once and never overwritten. Rules in rules.d come first; the\n"
                      "# first match wins.\n",
                when);
        fputs("# A listener that was suspicious or whose owner was not known has no line.\n"
              "#\n"
              "# verdict protocol ports key=value ...  # service, unit or process, date learned\n"
              "\n",
              file);
}

static void write_line(FILE *file, const struct entry *line, const char *date)
{
        fprintf(file, "allow %s %s%s  # %s%s%s%s%s\n",
                line->protocol == PW_RULE_TCP ? "tcp" : "udp", line->ports, line->keys,
                line->service ? line->service : "", line->service ? ", " : "", line->note,
                line->note[0] ? ", " : "", date);
}

/* Counts what was written; a file that is too large would be refused as a whole. */
static size_t write_lines(FILE *file, const struct entries *lines, const char *date)
{
        size_t learned = 0;

        for (size_t i = 0; i < lines->n; i++) {
                const struct entry *line = &lines->items[i];
                size_t length = strlen(line->ports) + strlen(line->keys) + LINE_REST_MAX;

                if ((size_t)ftell(file) + length > PW_RULE_FILE_MAX)
                        continue;
                write_line(file, line, date);
                learned += line->listeners;
        }
        return learned;
}

static char *write_text(const struct entries *lines, uint64_t now_usec, bool printed,
                        size_t *ret_learned)
{
        _cleanup_(pw_freep) char *text = NULL;
        char when[PW_WHEN_MAX], date[] = "2026-11-24";
        size_t size, learned;
        FILE *file = open_memstream(&text, &size);

        if (!file)
                return NULL;
        pw_format_timestamp(when, sizeof when, now_usec);
        snprintf(date, sizeof date, "%.10s", when);
        write_head(file, when, printed);
        learned = write_lines(file, lines, date);
        if (fclose(file) != 0)
                return NULL;
        *ret_learned = learned;
        return PW_TAKE_PTR(text);
}

static char *make_text(const struct pw_records *records, uint64_t now_usec, bool printed,
                       size_t *ret_learned, size_t *ret_left_out)
{
        _cleanup_(entries_done) struct entries learned = {0}, lines = {0};
        char *text;

        for (size_t i = 0; i < records->n; i++)
                if (learn(&learned, records->items[i]) < 0)
                        return NULL;
        if (make_lines(&learned, &lines) < 0)
                return NULL;
        text = write_text(&lines, now_usec, printed, ret_learned);
        if (text)
                *ret_left_out = records->n - *ret_learned;
        return text;
}

char *pw_baseline_text(const struct pw_records *records, uint64_t now_usec, size_t *ret_learned,
                       size_t *ret_left_out)
{
        return make_text(records, now_usec, true, ret_learned, ret_left_out);
}

int pw_baseline_write(const char *path, const struct pw_records *records, uint64_t now_usec,
                      size_t *ret_learned, size_t *ret_left_out)
{
        _cleanup_(pw_freep) char *text = NULL;
        _cleanup_(pw_closep) int dir_fd = -EBADF;
        size_t learned, left_out;
        const char *name;
        struct stat status;
        int r;

        dir_fd = pw_rule_directory(path, &name);
        if (dir_fd < 0)
                return dir_fd;
        if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
                return -EEXIST;
        text = make_text(records, now_usec, false, &learned, &left_out);
        if (!text)
                return -ENOMEM;
        r = pw_write_file_atomic(dir_fd, name, text, strlen(text), 0644, true);
        if (r < 0)
                return r;
        *ret_learned = learned;
        *ret_left_out = left_out;
        return 0;
}
