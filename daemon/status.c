/* SPDX-License-Identifier: MIT */
/* status.json and the lock beside it. One table names every plain value with its key, so that what
 * is written is what is read back. In the file, times are RFC 3339 and an unset one is null.
 *
 * The lock file must be readable by everybody, so that anybody can ask whether the daemon lives.
 * Then anybody can also hold a *read* lock on it. Such a lock neither looks like a daemon (the
 * probe asks as a reader, whom only a writer keeps out) nor keeps one from starting (a file that
 * only readers hold is replaced). */

#include "daemon/status.h"

#include <portwatch/paths.h>
#include <portwatch/text.h>

#include <fcntl.h>
#include <json-c/json.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STATUS_BYTES_MAX (128 * 1024) /* all texts at their longest, every byte escaped */
#define LOCK_ATTEMPTS 8

enum kind { TEXT, NUMBER, TIME, PROCESS };

struct field {
        const char *group; /* NULL: at the top */
        const char *key;
        enum kind kind;
        size_t offset, size;
};
#define AT(member) offsetof(struct pw_status, member), sizeof(((struct pw_status *)NULL)->member)
static const struct field fields[] = {
    {NULL, "version", TEXT, AT(version)},
    {NULL, "pid", PROCESS, AT(pid)},
    {NULL, "started", TIME, AT(started_usec)},
    {NULL, "written", TIME, AT(written_usec)},
    {NULL, "last_poll", TIME, AT(last_poll_usec)},
    {NULL, "engine", TEXT, AT(engine)},
    {NULL, "interval_usec", NUMBER, AT(interval_usec)},
    {NULL, "polls", NUMBER, AT(polls)},
    {NULL, "unchanged_polls", NUMBER, AT(unchanged_polls)},
    {NULL, "incomplete_polls", NUMBER, AT(incomplete_polls)},
    {NULL, "poll_cpu_usec", NUMBER, AT(poll_cpu_usec)},
    {NULL, "poll_wall_usec", NUMBER, AT(poll_wall_usec)},
    {NULL, "others_cpu_nsec", NUMBER, AT(others_cpu_nsec)},
    {NULL, "unchanged_cpu_nsec", NUMBER, AT(unchanged_cpu_nsec)},
    {NULL, "proc_reads", NUMBER, AT(proc_reads)},
    {NULL, "db_writes", NUMBER, AT(db_writes)},
    {NULL, "rss_bytes", NUMBER, AT(rss_bytes)},
    {NULL, "sockets", NUMBER, AT(sockets)},
    {NULL, "listeners", NUMBER, AT(listeners)},
    {NULL, "unexpected", NUMBER, AT(unexpected)},
    {NULL, "alerts_open", NUMBER, AT(alerts_open)},
    {NULL, "events_missed", NUMBER, AT(events_missed)},
    {NULL, "events_lost", NUMBER, AT(events_lost)},
    {NULL, "alerts_suppressed", NUMBER, AT(alerts_suppressed)},
    {NULL, "rows_folded", NUMBER, AT(rows_folded)},
    {NULL, "rules", NUMBER, AT(rules)},
    {NULL, "rules_error", TEXT, AT(rules_error)},
    {"store", "path", TEXT, AT(store_path)},
    {"store", "bytes", NUMBER, AT(store_bytes)},
    {"store", "wal_bytes", NUMBER, AT(store_wal_bytes)},
    {"store", "state", TEXT, AT(store_state)},
    {"store", "writes_waiting", NUMBER, AT(writes_waiting)},
    {NULL, "journal_waiting", NUMBER, AT(journal_waiting)},
};

static void json_putp(struct json_object **object)
{
        json_object_put(*object);
}

static void tokener_freep(struct json_tokener **tokener)
{
        if (*tokener)
                json_tokener_free(*tokener);
}

/* ---- writing ---- */

/* Takes the value over, on failure too. A NULL value is JSON's null. */
static int add(struct json_object *object, const char *key, struct json_object *value)
{
        if (json_object_object_add(object, key, value) == 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

/* Like add(), of a value that must not be NULL: NULL says that there was no memory. */
static int add_new(struct json_object *object, const char *key, struct json_object *value)
{
        return value ? add(object, key, value) : -ENOMEM;
}

/* `text` may come from the command line, as the path of the state directory does. */
static int add_text(struct json_object *object, const char *key, const char *text, size_t size)
{
        _cleanup_(pw_freep) char *clean = pw_text_clean_dup(text, strnlen(text, size), size - 1);

        return clean ? add_new(object, key, json_object_new_string(clean)) : -ENOMEM;
}

static int add_time(struct json_object *object, const char *key, uint64_t usec)
{
        char text[PW_RFC3339_MAX];

        if (usec == 0)
                return add(object, key, NULL);
        return add_new(object, key,
                       json_object_new_string(pw_format_rfc3339(text, sizeof text, usec)));
}

static int add_field(struct json_object *object, const struct field *field,
                     const struct pw_status *status)
{
        const void *value = (const char *)status + field->offset;

        switch (field->kind) {
        case TEXT:
                return add_text(object, field->key, value, field->size);
        case TIME:
                return add_time(object, field->key, *(const uint64_t *)value);
        case PROCESS:
                return add_new(object, field->key, json_object_new_int(*(const pid_t *)value));
        case NUMBER:
                break;
        }
        return add_new(object, field->key, json_object_new_uint64(*(const uint64_t *)value));
}

/* The object that holds the group's fields; made where it is not there yet. */
static struct json_object *group_of(struct json_object *root, const char *group)
{
        struct json_object *object;

        if (!group || json_object_object_get_ex(root, group, &object))
                return group ? object : root;
        object = json_object_new_object();
        return add_new(root, group, object) < 0 ? NULL : object;
}

static int add_blind_spot(struct json_object *array, const struct pw_blind_spot *spot)
{
        _cleanup_(json_putp) struct json_object *object = json_object_new_object();
        int r;

        if (!object)
                return -ENOMEM;
        r = add_text(object, "what", spot->what, sizeof spot->what);
        if (r == 0)
                r = add_text(object, "lift", spot->lift, sizeof spot->lift);
        if (r == 0 && json_object_array_add(array, object) != 0)
                r = -ENOMEM;
        if (r == 0)
                object = NULL;
        return r;
}

static int add_blind_spots(struct json_object *root, const struct pw_status *status)
{
        struct json_object *array = json_object_new_array();
        int r = add_new(root, "blind_spots", array);

        for (size_t i = 0; r == 0 && i < PW_MIN(status->n_blind_spots, PW_BLIND_SPOTS_MAX); i++)
                r = add_blind_spot(array, &status->blind_spots[i]);
        return r;
}

int pw_status_write(int run_fd, const struct pw_status *status)
{
        _cleanup_(json_putp) struct json_object *root = json_object_new_object();
        const char *json;
        _cleanup_(pw_freep) char *text = NULL;
        int r = 0, length;

        if (!root)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < PW_ELEMENTS(fields); i++) {
                struct json_object *object = group_of(root, fields[i].group);

                r = object ? add_field(object, &fields[i], status) : -ENOMEM;
        }
        if (r == 0)
                r = add_blind_spots(root, status);
        if (r < 0)
                return r;
        json = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
                                                        JSON_C_TO_STRING_NOSLASHESCAPE);
        length = json ? asprintf(&text, "%s\n", json) : -1;
        if (length < 0)
                return -ENOMEM;
        return pw_write_file_atomic(run_fd, PW_STATUS_FILE, text, (size_t)length, 0644, false);
}

/* ---- reading ---- */

static void get_text(struct json_object *value, char *buffer, size_t size)
{
        if (json_object_is_type(value, json_type_string))
                pw_text_clean(buffer, size, json_object_get_string(value),
                              (size_t)json_object_get_string_len(value));
}

/* What pw_format_rfc3339() writes; 0 for anything else. */
static uint64_t get_time(struct json_object *value)
{
        struct tm tm = {0};
        const char *rest;
        unsigned usec;
        int end = 0;
        time_t seconds;

        if (!json_object_is_type(value, json_type_string))
                return 0;
        rest = strptime(json_object_get_string(value), "%Y-%m-%dT%H:%M:%S", &tm);
        if (!rest || sscanf(rest, ".%6uZ%n", &usec, &end) != 1 || end != 8 || rest[end])
                return 0;
        seconds = timegm(&tm);
        return seconds < 0 ? 0 : (uint64_t)seconds * PW_USEC_PER_SEC + usec;
}

static void get_field(struct json_object *value, const struct field *field,
                      struct pw_status *status)
{
        void *target = (char *)status + field->offset;

        switch (field->kind) {
        case TEXT:
                get_text(value, target, field->size);
                break;
        case TIME:
                *(uint64_t *)target = get_time(value);
                break;
        case PROCESS:
                *(pid_t *)target = json_object_get_int(value);
                break;
        case NUMBER:
                *(uint64_t *)target = json_object_get_uint64(value);
                break;
        }
}

static void get_blind_spots(struct json_object *array, struct pw_status *status)
{
        size_t n;

        if (!json_object_is_type(array, json_type_array))
                return;
        n = PW_MIN(json_object_array_length(array), (size_t)PW_BLIND_SPOTS_MAX);
        for (size_t i = 0; i < n; i++) {
                struct json_object *object = json_object_array_get_idx(array, i);
                struct pw_blind_spot *spot = &status->blind_spots[i];

                get_text(json_object_object_get(object, "what"), spot->what, sizeof spot->what);
                get_text(json_object_object_get(object, "lift"), spot->lift, sizeof spot->lift);
        }
        status->n_blind_spots = n;
}

static int parse(const char *text, size_t length, struct pw_status *ret)
{
        _cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(8);
        _cleanup_(json_putp) struct json_object *root = NULL;

        if (!tokener)
                return -ENOMEM;
        root = json_tokener_parse_ex(tokener, text, (int)length);
        if (!json_object_is_type(root, json_type_object))
                return -EBADMSG;
        for (size_t i = 0; i < PW_ELEMENTS(fields); i++) {
                struct json_object *object = root, *value;

                if (fields[i].group)
                        object = json_object_object_get(root, fields[i].group);
                if (json_object_object_get_ex(object, fields[i].key, &value))
                        get_field(value, &fields[i], ret);
        }
        get_blind_spots(json_object_object_get(root, "blind_spots"), ret);
        return 0;
}

/* Whether a writer holds the lock. */
static bool is_locked(int fd)
{
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

        return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
}

int pw_status_read(const char *run_dir, struct pw_status *ret, bool *ret_alive)
{
        _cleanup_(pw_closep) int dir_fd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(pw_closep) int lock_fd = -EBADF;
        _cleanup_(pw_freep) char *text = malloc(STATUS_BYTES_MAX);
        _cleanup_(pw_freep) struct pw_status *status = calloc(1, sizeof *status);
        ssize_t length;
        int r;

        if (dir_fd < 0)
                return -errno;
        if (!text || !status)
                return -ENOMEM;
        length = pw_read_file(dir_fd, PW_STATUS_FILE, text, STATUS_BYTES_MAX);
        if (length < 0)
                return length == -E2BIG ? -EBADMSG : (int)length;
        r = parse(text, (size_t)length, status);
        if (r < 0)
                return r;
        lock_fd = openat(dir_fd, PW_LOCK_FILE, O_RDONLY | O_CLOEXEC);
        *ret = *status;
        *ret_alive = lock_fd >= 0 && is_locked(lock_fd);
        return 0;
}

/* ---- the lock ---- */

/* Whether `fd` is still the file that others will find by its name. */
static bool is_current(int run_fd, int fd)
{
        struct stat ours, named;

        return fstat(fd, &ours) == 0 &&
               fstatat(run_fd, PW_LOCK_FILE, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
               ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

/* Returns the descriptor, -EAGAIN to try again, or another errno. */
static int try_lock(int run_fd)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _cleanup_(pw_closep) int fd =
            openat(run_fd, PW_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0 || fchmod(fd, 0644) < 0) /* whatever the umask */
                return -errno;
        if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
                return is_current(run_fd, fd) ? PW_TAKE_FD(fd) : -EAGAIN;
        if (errno != EAGAIN && errno != EACCES)
                return -errno;
        if (is_locked(fd))
                return -EBUSY;
        if (unlinkat(run_fd, PW_LOCK_FILE, 0) < 0 && errno != ENOENT)
                return -errno;
        return -EAGAIN;
}

int pw_status_lock(int run_fd)
{
        int r = -EAGAIN;

        for (int i = 0; i < LOCK_ATTEMPTS && r == -EAGAIN; i++)
                r = try_lock(run_fd);
        return r == -EAGAIN ? -EBUSY : r;
}
