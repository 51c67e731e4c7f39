/* SPDX-License-Identifier: MIT */
/* Opening the history for reading, in whatever state its writer left it.
 *
 * A reader may not be permitted to write: not the file, not the directory. As long as -wal and
 * -shm are there, SQLite reads beside a living writer. Without them (a copy, a file system that is
 * read-only) there is no living writer: a file without a WAL is read as one that does not change;
 * one with a WAL that nobody could index is copied to a private directory and read there. */

#include "core/query-internal.h"
#include "core/store-internal.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MSEC 2000

/* ---- one way of opening ---- */

/* `file:` URI of an absolute or relative path, with `parameters` behind it. */
static char *uri_of(const char *path, const char *parameters)
{
        static const char *const hex = "0123456789abcdef";
        char *uri = malloc(strlen("file:") + 3 * strlen(path) + strlen(parameters) + 1);
        char *end;

        if (!uri)
                return NULL;
        end = stpcpy(uri, "file:");
        for (const char *p = path; *p; p++) {
                unsigned char c = (unsigned char)*p;

                if (c == '%' || c == '?' || c == '#') {
                        *end++ = '%';
                        *end++ = hex[c >> 4];
                        *end++ = hex[c & 15];
                } else {
                        *end++ = *p;
                }
        }
        strcpy(end, parameters);
        return uri;
}

/* Opens and looks at the first pages, so that what will not work fails here. */
static int try_open(struct pw_query *query, const char *file, int flags, const char *parameters)
{
        _cleanup_(pw_freep) char *uri = uri_of(file, parameters);
        int rc, r;

        if (!uri)
                return -ENOMEM;
        sqlite3_close(query->db);
        query->db = NULL;
        rc = sqlite3_open_v2(uri, &query->db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
        r = pw_sql_errno(query->db, rc);
        if (r == 0)
                r = pw_sql_configure(query->db, BUSY_MSEC);
        if (r == 0)
                r = pw_schema_identify(query->db, &query->schema);
        return r > 0 ? -ENOENT : r; /* empty: nothing was ever written */
}

/* ---- a private copy ---- */

static int copy_file(const char *from, const char *to)
{
        _cleanup_(pw_closep) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_(pw_closep) int out = -EBADF;

        if (in < 0)
                return -errno;
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (out < 0)
                return -errno;
        for (;;) {
                char buffer[65536];
                ssize_t n = read(in, buffer, sizeof buffer);

                if (n <= 0)
                        return n < 0 ? -errno : 0;
                for (ssize_t done = 0; done < n;) {
                        ssize_t written = write(out, buffer + done, (size_t)(n - done));

                        if (written < 0)
                                return -errno;
                        done += written;
                }
        }
}

static int copy_with_suffix(const char *from, const char *to, const char *suffix)
{
        _cleanup_(pw_freep) char *source = pw_sql_path(from, suffix);
        _cleanup_(pw_freep) char *target = pw_sql_path(to, suffix);

        return source && target ? copy_file(source, target) : -ENOMEM;
}

static int open_copy_as(struct pw_query *query, const char *file, const char *copy)
{
        static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
        int r = copy_with_suffix(file, copy, "");

        if (r == 0)
                r = copy_with_suffix(file, copy, "-wal");
        if (r == 0)
                r = try_open(query, copy, SQLITE_OPEN_READWRITE, "");
        for (size_t i = 0; i < PW_ELEMENTS(suffixes); i++) {
                _cleanup_(pw_freep) char *path = pw_sql_path(copy, suffixes[i]);

                if (path)
                        unlink(path);
        }
        return r;
}

/* The copy's names are removed at once; the open descriptors keep it until the query is closed. */
static int open_copy(struct pw_query *query, const char *file)
{
        const char *base = getenv("TMPDIR");
        _cleanup_(pw_freep) char *dir =
            pw_sql_path(base && base[0] ? base : "/tmp", "/portwatch-XXXXXX");
        _cleanup_(pw_freep) char *copy = NULL;
        int r;

        if (!dir)
                return -ENOMEM;
        if (!mkdtemp(dir))
                return -errno;
        copy = pw_sql_path(dir, "/" PW_STORE_FILE);
        r = copy ? open_copy_as(query, file, copy) : -ENOMEM;
        rmdir(dir);
        return r;
}

/* ---- choosing ---- */

/* Whether SQLite failed for want of -wal and -shm, which it may not make. */
static bool wants_companions(int r)
{
        return r == -EACCES || r == -EROFS || r == -EPERM || r == -EIO || r == -ENOSPC;
}

static int open_file(struct pw_query *query)
{
        struct stat st;
        int r;

        if (stat(query->file, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADMSG; /* opening a pipe would wait */
        if (faccessat(AT_FDCWD, query->file, R_OK, AT_EACCESS) < 0)
                return -errno;
        r = try_open(query, query->file, SQLITE_OPEN_READONLY, "");
        if (!wants_companions(r))
                return r;
        return pw_sql_file_size(query->file, "-wal") > 0
                   ? open_copy(query, query->file)
                   : try_open(query, query->file, SQLITE_OPEN_READONLY, "?immutable=1");
}

int pw_query_open(const char *path, struct pw_query **ret, int *ret_schema)
{
        _cleanup_(pw_query_closep) struct pw_query *query = calloc(1, sizeof *query);
        int r;

        if (!query)
                return -ENOMEM;
        query->file = pw_sql_path(path, "/" PW_STORE_FILE);
        if (!query->file)
                return -ENOMEM;
        r = open_file(query);
        if (r == -EPROTO)
                *ret_schema = query->schema;
        if (r < 0)
                return r;
        *ret_schema = query->schema;
        *ret = PW_TAKE_PTR(query);
        return 0;
}

void pw_query_close(struct pw_query *query)
{
        if (!query)
                return;
        sqlite3_close(query->db);
        free(query->file);
        free(query);
}
