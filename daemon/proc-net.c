/* SPDX-License-Identifier: MIT */
/* The text tables of sockets, as net/ipv4/tcp_ipv4.c and udp.c of the kernel write them, and their
 * IPv6 twins. A line that is not exactly of that form is refused, and then the table is not
 * complete: what cannot be understood is not known to be no listener.
 *
 * Anybody can fill a namespace of his own with sockets, so that a table is only read up to a bound.
 *
 * The tables of TCP are dear. Listeners come first, and what follows them is of no interest; but to
 * find out that there is no more, the kernel walks its table of all connections of all namespaces:
 * 2 ms where that has 262,144 buckets, again for each read(2) at the end. So they are not read
 * where the counts of sockets say that there are none, and no read is made behind the last line. */

#include "daemon/proc-net.h"

#include "daemon/namespaces.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define TABLE_BYTES_MAX (4u << 20) /* about 25,000 sockets */
#define LINE_MAX_BYTES 512u
#define READ_BYTES 4096u /* seq_file of the kernel gives a page at most */

const uint8_t pw_proc_net_protocols[PW_PROC_NET_PROTOCOLS] = {PW_TCP, PW_UDP, PW_UDPLITE};

bool pw_proc_net_is_exhausted(const struct pw_proc_net_limits *limits)
{
        return limits->bytes == 0 || pw_now_boottime() >= limits->deadline_usec;
}

/* ---- one line ---- */

/* What is left of a line; NULL once it has shown not to be of the form. */
struct cursor {
        const char *at;
};

static void skip(struct cursor *cursor, char c)
{
        if (cursor->at)
                cursor->at = *cursor->at == c ? cursor->at + 1 : NULL;
}

/* One blank or more. */
static void skip_blanks(struct cursor *cursor)
{
        skip(cursor, ' ');
        if (cursor->at)
                cursor->at += strspn(cursor->at, " ");
}

static unsigned digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return (unsigned)(c - '0');
        return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : UINT32_MAX;
}

/* A number of at least one digit and at most `digits`. */
static uint64_t take(struct cursor *cursor, unsigned base, unsigned digits)
{
        uint64_t number = 0;
        unsigned n = 0;

        if (!cursor->at)
                return 0;
        for (; n < digits && digit_value(cursor->at[n]) < base; n++)
                number = number * base + digit_value(cursor->at[n]);
        cursor->at = n > 0 ? cursor->at + n : NULL;
        return number;
}

/* Exactly so many hexadecimal digits. */
static uint32_t take_hex(struct cursor *cursor, unsigned digits)
{
        const char *begin = cursor->at;
        uint64_t number = take(cursor, 16, digits);

        if (cursor->at && cursor->at != begin + digits)
                cursor->at = NULL;
        return (uint32_t)number;
}

/* A decimal number up to UINT32_MAX. */
static uint32_t take_u32(struct cursor *cursor)
{
        uint64_t number = take(cursor, 10, 11);

        if (number > UINT32_MAX)
                cursor->at = NULL;
        return (uint32_t)number;
}

/* An address is written word by word, each as a number of this machine's byte order. */
static void take_address(struct cursor *cursor, uint8_t family, struct pw_address *ret)
{
        unsigned words = family == AF_INET ? 1 : 4;

        *ret = (struct pw_address){.family = family};
        for (unsigned i = 0; i < words; i++) {
                uint32_t word = take_hex(cursor, 8);

                memcpy(ret->bytes + sizeof word * i, &word, sizeof word);
        }
}

/* "00000000:00000000 00:00000000 00000000": queues, timer, retransmits. */
static void skip_counters(struct cursor *cursor)
{
        take_hex(cursor, 8);
        skip(cursor, ':');
        take_hex(cursor, 8);
        skip_blanks(cursor);
        take_hex(cursor, 2);
        skip(cursor, ':');
        take(cursor, 16, 16);
        skip_blanks(cursor);
        take(cursor, 16, 16);
        skip_blanks(cursor);
}

/* A number of which only the form matters. */
static void skip_number(struct cursor *cursor)
{
        if (cursor->at && *cursor->at == '-')
                cursor->at++;
        take(cursor, 10, 20);
}

int pw_proc_net_parse(const char *line, uint8_t protocol, uint8_t family, struct pw_socket *ret)
{
        unsigned wanted = protocol == PW_TCP ? TCP_LISTEN : TCP_CLOSE, state;
        struct cursor cursor = {line + strspn(line, " ")};
        struct pw_socket row = {.endpoint.protocol = protocol};
        struct pw_address peer;

        take(&cursor, 10, 20);
        skip(&cursor, ':');
        skip_blanks(&cursor);
        take_address(&cursor, family, &row.endpoint.address);
        skip(&cursor, ':');
        row.endpoint.port = (uint16_t)take_hex(&cursor, 4);
        skip_blanks(&cursor);
        take_address(&cursor, family, &peer);
        skip(&cursor, ':');
        take_hex(&cursor, 4);
        skip_blanks(&cursor);
        state = take_hex(&cursor, 2);
        skip_blanks(&cursor);
        skip_counters(&cursor);
        row.uid = take_u32(&cursor);
        skip_blanks(&cursor);
        skip_number(&cursor);
        skip_blanks(&cursor);
        row.inode = take_u32(&cursor);
        if (!cursor.at || (*cursor.at != ' ' && *cursor.at != '\0'))
                return -EBADMSG;
        if (state != wanted || row.endpoint.port == 0)
                return 1;
        *ret = row;
        return 0;
}

/* ---- one table ---- */

struct table {
        uint8_t protocol, family;
        const char *path;
        const char *counts, *none; /* a file, and the beginning of its line that says: empty */
};

struct reader {
        int fd;
        size_t at, length, bytes; /* `bytes`: read so far */
        bool ended;
        struct pw_proc_net_limits *limits;
        char buffer[READ_BYTES + LINE_MAX_BYTES];
};

/* Reads on, behind what is left. 0 at the end, 1, or -errno. What is returned ends with a whole
 * line, and is only shorter than asked for by more than a line where there was none left. */
static int reader_fill(struct reader *reader)
{
        size_t left = reader->length - reader->at;
        ssize_t n;

        if (left >= LINE_MAX_BYTES || (left > 0 && reader->ended))
                return -EBADMSG; /* too long, or cut */
        if (reader->ended)
                return 0;
        if (reader->bytes >= TABLE_BYTES_MAX || pw_proc_net_is_exhausted(reader->limits))
                return -EOVERFLOW;
        memmove(reader->buffer, reader->buffer + reader->at, left);
        reader->at = 0;
        reader->length = left;
        do
                n = read(reader->fd, reader->buffer + left, READ_BYTES);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        reader->length += (size_t)n;
        reader->bytes += (size_t)n;
        reader->limits->bytes -= PW_MIN((size_t)n, reader->limits->bytes);
        reader->ended = (size_t)n < READ_BYTES - LINE_MAX_BYTES;
        if (n == 0 && left > 0)
                return -EBADMSG;
        return n > 0;
}

/* 1 and the next line, valid until the next call; 0 at the end, or -errno. */
static int reader_line(struct reader *reader, const char **ret)
{
        for (;;) {
                char *line = reader->buffer + reader->at, *end;
                int r;

                end = memchr(line, '\n', reader->length - reader->at);
                if (end) {
                        *end = '\0';
                        reader->at += (size_t)(end - line) + 1;
                        *ret = line;
                        return 1;
                }
                r = reader_fill(reader);
                if (r <= 0)
                        return r;
        }
}

static int add_row(struct pw_snapshot *snapshot, const struct pw_socket *row, uint64_t netns)
{
        struct pw_socket *added = pw_snapshot_add(snapshot);

        if (!added)
                return -ENOMEM;
        *added = *row;
        added->endpoint.netns = netns;
        added->cookie = PW_COOKIE_BY_INODE | row->inode;
        return 0;
}

/* 0 where it was read to its end, else -errno. */
static int read_lines(struct reader *reader, const struct table *table, uint64_t netns,
                      struct pw_snapshot *snapshot)
{
        const char *line;
        int r = reader_line(reader, &line);

        if (r <= 0) /* not even the heading */
                return r == 0 ? -EBADMSG : r;
        while ((r = reader_line(reader, &line)) > 0) {
                struct pw_socket row;

                r = pw_proc_net_parse(line, table->protocol, table->family, &row);
                if (r > 0 && table->protocol == PW_TCP)
                        return 0; /* the listeners are over */
                if (r == 0)
                        r = add_row(snapshot, &row, netns);
                if (r < 0)
                        return r;
        }
        return r;
}

/* Whether the namespace has no socket of the table's kind at all. */
static bool has_none(int dir_fd, const struct table *table)
{
        char text[1024], *found;

        if (!table->counts || pw_read_file(dir_fd, table->counts, text, sizeof text) < 0)
                return false;
        found = strstr(text, table->none);
        return found && (found == text || found[-1] == '\n');
}

static int read_table(int dir_fd, const struct table *table, uint64_t netns,
                      struct pw_proc_net_limits *limits, struct pw_snapshot *snapshot)
{
        _cleanup_(pw_closep) int fd = -EBADF;
        struct reader reader;

        if (pw_proc_net_is_exhausted(limits))
                return -EOVERFLOW;
        if (has_none(dir_fd, table))
                return 0;
        fd = openat(dir_fd, table->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        reader.fd = fd;
        reader.at = reader.length = reader.bytes = 0;
        reader.ended = false;
        reader.limits = limits;
        return read_lines(&reader, table, netns, snapshot);
}

int pw_proc_net_read(int dir_fd, uint64_t netns, struct pw_proc_net_limits *limits,
                     struct pw_snapshot *snapshot, bool ret_complete[PW_PROC_NET_PROTOCOLS])
{
        static const struct table tables[] = {
            {PW_TCP, AF_INET, "net/tcp", "net/sockstat", "TCP: inuse 0 "},
            {PW_TCP, AF_INET6, "net/tcp6", "net/sockstat6", "TCP6: inuse 0\n"},
            {PW_UDP, AF_INET, "net/udp", NULL, NULL},
            {PW_UDP, AF_INET6, "net/udp6", NULL, NULL},
            {PW_UDPLITE, AF_INET, "net/udplite", NULL, NULL},
            {PW_UDPLITE, AF_INET6, "net/udplite6", NULL, NULL},
        };

        for (size_t i = 0; i < PW_PROC_NET_PROTOCOLS; i++) {
                int v4 = read_table(dir_fd, &tables[2 * i], netns, limits, snapshot);
                int v6 = read_table(dir_fd, &tables[2 * i + 1], netns, limits, snapshot);

                if (v4 == -ENOMEM || v6 == -ENOMEM)
                        return -ENOMEM;
                ret_complete[i] = v4 == 0 && v6 == 0;
        }
        return 0;
}
