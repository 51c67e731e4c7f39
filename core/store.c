/* SPDX-License-Identifier: MIT */
/* The store's file: opening it, setting it aside when it cannot be used, transactions.
 *
 * Nothing is ever deleted: a file that is foreign, damaged, or no file at all is renamed, together
 * with its -wal and -shm. The files are opened through SQLite only, since closing another
 * descriptor would drop its locks; the one exception makes the file, before SQLite knows of it.
 *
 * The daemon's loop must not wait: a lock that others hold makes a call fail after BUSY_MSEC. */

#include "core/store-internal.h"

#include <portwatch/text.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUSY_MSEC 100

/* 1 MiB of WAL between checkpoints, and the WAL file shrinks back to that; 1 MiB of cache. */
static const char *const settings =
    "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 256;"
    "PRAGMA journal_size_limit = 1048576; PRAGMA cache_size = -1024; PRAGMA foreign_keys = OFF";

/* ---- the file ---- */

/* Makes sure that there is a regular file, 0640 where it is new, whatever the umask.
 * 0; -EBADMSG: what is there is no file of ours; -errno. */
static int prepare_file(const char *file)
{
        _cleanup_(pw_closep) int fd = -EBADF;
        struct stat st;

        if (stat(file, &st) == 0) {
                if (!S_ISREG(st.st_mode))
                        return -EBADMSG;
                if (faccessat(AT_FDCWD, file, R_OK | W_OK, AT_EACCESS) < 0)
                        return -errno;
                if (st.st_size > 0)
                        return 0;
        } else if (errno != ENOENT) {
                return -errno;
        }
        /* SQLite would delete the WAL of an empty or missing file. */
        if (pw_sql_file_size(file, "-wal") > 0)
                return -EBADMSG;
        fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (fd < 0)
                return errno == EEXIST ? 0 : -errno;
        return fchmod(fd, 0640) < 0 ? -errno : 0;
}

static int rename_aside(const char *file, const char *aside, const char *suffix)
{
        _cleanup_(pw_freep) char *from = pw_sql_path(file, suffix);
        _cleanup_(pw_freep) char *to = pw_sql_path(aside, suffix);

        if (!from || !to)
                return -ENOMEM;
        if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
                return errno == ENOENT ? 1 : -errno;
        return 0;
}

/* 1: FILE + suffix is there; 0; -ENOMEM. */
static int is_taken(const char *file, const char *suffix)
{
        _cleanup_(pw_freep) char *path = pw_sql_path(file, suffix);

        if (!path)
                return -ENOMEM;
        return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A name that neither the file nor its companions have taken. */
static int choose_aside(const char *file, char **ret)
{
        time_t now = (time_t)(pw_now_realtime() / PW_USEC_PER_SEC);
        char suffix[64];
        size_t length;
        struct tm tm;

        length = strftime(suffix, sizeof suffix, ".corrupt-%Y%m%dT%H%M%S", gmtime_r(&now, &tm));
        for (unsigned n = 1; n < 1000; n++) {
                _cleanup_(pw_freep) char *aside = pw_sql_path(file, suffix);
                int taken = aside ? is_taken(aside, "") : -ENOMEM;

                if (taken == 0)
                        taken = is_taken(aside, "-wal");
                if (taken == 0)
                        taken = is_taken(aside, "-shm");
                if (taken < 0)
                        return taken;
                if (taken == 0) {
                        *ret = PW_TAKE_PTR(aside);
                        return 0;
                }
                snprintf(suffix + length, sizeof suffix - length, ".%u", n);
        }
        return -EEXIST;
}

int pw_store_set_aside(const char *path, char **ret_moved)
{
        /* The file last: stopped half-way, it is found, and set aside, once more. */
        static const char *const suffixes[] = {"-shm", "-wal", ""};
        _cleanup_(pw_freep) char *file = pw_sql_path(path, "/" PW_STORE_FILE);
        _cleanup_(pw_freep) char *aside = NULL;
        bool moved = false;
        int r;

        if (!file)
                return -ENOMEM;
        r = choose_aside(file, &aside);
        for (size_t i = 0; r >= 0 && i < PW_ELEMENTS(suffixes); i++) {
                r = rename_aside(file, aside, suffixes[i]);
                moved = moved || r == 0;
        }
        if (r < 0)
                return r;
        *ret_moved = moved ? PW_TAKE_PTR(aside) : NULL;
        return 0;
}

/* ---- opening ---- */

/* WAL, and, before the first table, pages that can be given back. */
static int configure(sqlite3 *db, bool fresh)
{
        int64_t ignored;
        int r = 0;

        if (fresh)
                r = pw_sql_exec(db, "PRAGMA auto_vacuum = INCREMENTAL");
        if (r == 0)
                r = pw_sql_number(db, "PRAGMA journal_mode = WAL", &ignored);
        return r < 0 ? r : pw_sql_exec(db, settings);
}

static int prepare_statements(struct pw_store *store)
{
        for (size_t i = 0; i < PW_SQL_COUNT; i++) {
                int rc = sqlite3_prepare_v3(store->db, pw_sql_texts[i], -1,
                                            SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);

                if (rc != SQLITE_OK)
                        return pw_sql_errno(store->db, rc);
        }
        return 0;
}

/* Whether we may write, tried out: a transaction that changes nothing. */
static int try_transaction(struct pw_store *store)
{
        struct pw_call call = pw_call(store, PW_SQL_BEGIN);
        int r = pw_call_run(&call, NULL);

        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_COMMIT);
        return pw_call_run(&call, NULL);
}

static int open_database(struct pw_store *store, int *ret_schema)
{
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
        int rc = sqlite3_open_v2(store->file, &store->db, flags, NULL);
        int r = pw_sql_errno(store->db, rc);
        int schema = 0;
        bool fresh;

        if (r == 0)
                r = pw_sql_configure(store->db, BUSY_MSEC);
        if (r < 0)
                return r;
        if (sqlite3_db_readonly(store->db, "main") == 1)
                return -EROFS;
        r = pw_schema_identify(store->db, &schema);
        fresh = r > 0;
        if (r == -EPROTO && schema > PW_STORE_SCHEMA)
                *ret_schema = schema;
        else if (r == -EPROTO)
                r = 0; /* older: to be migrated */
        if (r < 0)
                return r;
        r = configure(store->db, fresh);
        if (r == 0)
                r = pw_schema_migrate(store->db, schema);
        if (r == 0)
                r = prepare_statements(store);
        return r < 0 ? r : try_transaction(store);
}

static int open_store(const char *path, struct pw_store **ret, int *ret_schema)
{
        _cleanup_(pw_store_closep) struct pw_store *store = calloc(1, sizeof *store);
        int r;

        if (!store)
                return -ENOMEM;
        store->file = pw_sql_path(path, "/" PW_STORE_FILE);
        if (!store->file)
                return -ENOMEM;
        r = prepare_file(store->file);
        if (r == 0)
                r = open_database(store, ret_schema);
        if (r < 0)
                return r;
        *ret = PW_TAKE_PTR(store);
        return 0;
}

int pw_store_open(const char *path, struct pw_store **ret, char **ret_moved, int *ret_schema)
{
        _cleanup_(pw_freep) char *moved = NULL;
        int r = open_store(path, ret, ret_schema);

        if (r != -EBADMSG) {
                if (r == 0)
                        *ret_moved = NULL;
                return r;
        }
        r = pw_store_set_aside(path, &moved);
        if (r == 0)
                r = open_store(path, ret, ret_schema);
        if (r < 0)
                return r;
        *ret_moved = PW_TAKE_PTR(moved);
        return PW_STORE_REPLACED;
}

void pw_store_close(struct pw_store *store)
{
        if (!store)
                return;
        for (size_t i = 0; i < PW_SQL_COUNT; i++)
                sqlite3_finalize(store->statements[i]);
        sqlite3_close(store->db);
        free(store->file);
        free(store);
}

/* ---- transactions ---- */

static void keep_words(struct pw_store *store, const char *words)
{
        pw_text_clean(store->error, sizeof store->error, words, strlen(words));
}

int pw_store_begin(struct pw_store *store)
{
        struct pw_call call = pw_call(store, PW_SQL_BEGIN);
        int moved = 0;

        /* Somebody deleted or replaced the file: what we would write, nobody would find. */
        if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
            moved)
                return -ESTALE;
        return pw_call_run(&call, NULL);
}

int pw_store_end(struct pw_store *store, int r)
{
        if (r >= 0) {
                struct pw_call call = pw_call(store, PW_SQL_COMMIT);
                int committed = pw_call_run(&call, NULL);

                if (committed < 0)
                        r = committed;
        }
        if (r >= 0)
                return r;
        keep_words(store,
                   r == -ESTALE ? "the file was moved or deleted" : sqlite3_errmsg(store->db));
        if (!sqlite3_get_autocommit(store->db))
                sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        return r == -EBUSY ? PW_STORE_BUSY : r;
}

int pw_store_meta_get(struct pw_store *store, const char *name, int64_t *ret)
{
        struct pw_call call = pw_call(store, PW_SQL_META_GET);
        int r;

        pw_call_text(&call, name);
        r = pw_call_number(&call, ret);
        if (r == 0)
                *ret = 0;
        return PW_MIN(r, 0);
}

int pw_store_meta_set(struct pw_store *store, const char *name, int64_t value)
{
        struct pw_call call = pw_call(store, PW_SQL_META_SET);

        pw_call_text(&call, name);
        pw_call_int(&call, value);
        return pw_call_run(&call, NULL);
}

/* ---- the rest ---- */

int pw_store_checkpoint(struct pw_store *store)
{
        int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        int r = pw_sql_errno(store->db, rc);

        if (r == 0)
                store->checkpoint_at = 0;
        else
                keep_words(store, sqlite3_errmsg(store->db));
        return r == -EBUSY ? PW_STORE_BUSY : r;
}

uint64_t pw_store_bytes(struct pw_store *store, uint64_t *ret_wal_bytes)
{
        uint64_t wal = pw_sql_file_size(store->file, "-wal");

        if (ret_wal_bytes)
                *ret_wal_bytes = wal;
        return pw_sql_file_size(store->file, "") + wal;
}

const char *pw_store_error(struct pw_store *store)
{
        return store->error;
}
