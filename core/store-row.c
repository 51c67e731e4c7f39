/* SPDX-License-Identifier: MIT */
/* Records from rows, and pids as text.
 *
 * The file may be somebody else's, or damaged in ways that SQLite does not see: every text is
 * cleaned and bounded, every number is checked before it becomes an enumeration or a port. A row
 * whose endpoint makes no sense is skipped; lesser nonsense becomes "not known". */

#include "core/store-internal.h"

#include <portwatch/iana.h>
#include <portwatch/text.h>

#include <sqlite3.h>

/* In the order of PW_ROW_COLUMNS. */
enum column {
        COLUMN_KEY,
        COLUMN_NETNS,
        COLUMN_PROTOCOL,
        COLUMN_PORT,
        COLUMN_ADDRESS,
        COLUMN_DEVICE,
        COLUMN_EPHEMERAL,
        COLUMN_TRAITS,
        COLUMN_USER,
        COLUMN_EXE,
        COLUMN_UID,
        COLUMN_UNKNOWN,
        COLUMN_COMM,
        COLUMN_CMDLINE,
        COLUMN_UNIT,
        COLUMN_USER_UNIT,
        COLUMN_CONTAINER,
        COLUMN_PIDS,
        COLUMN_HOLDERS,
        COLUMN_VERDICT,
        COLUMN_RULE,
        COLUMN_SOCKETS,
        COLUMN_COOKIE,
        COLUMN_OPENED,
        COLUMN_OPENED_HOW,
        COLUMN_LAST_SEEN,
        COLUMN_CLOSED,
        COLUMN_CLOSED_HOW,
        COLUMN_ALERT,
        COLUMN_REASONS,
        COLUMN_RAISED,
        COLUMN_DELIVERED,
        COLUMN_RESOLVED,
        COLUMN_COUNT,
        COLUMN_FORMER_RULE,
};

#define ALL_REASONS ((1u << PW_REASON_COUNT) - 1)
#define ALL_TRAITS                                                                                 \
        (PW_TRAITS_SUSPICIOUS | (unsigned)PW_TRAIT_FOREIGN_ROOT | (unsigned)PW_TRAIT_KERNEL)
#define NAME_MAX_BYTES 1024 /* users, units, containers, namespaces, rules */

/* ---- cells ---- */

/* Sets *ret to the cleaned cell, NULL where the cell is empty or NULL. 0 or -ENOMEM. */
static int cell_text(sqlite3_stmt *row, enum column column, size_t limit, char **ret)
{
        const void *text = sqlite3_column_text(row, (int)column);
        int length = sqlite3_column_bytes(row, (int)column);

        if (!text || length <= 0)
                return 0;
        *ret = pw_text_clean_dup(text, (size_t)length, limit);
        return *ret ? 0 : -ENOMEM;
}

static int64_t cell_bounded(sqlite3_stmt *row, enum column column, int64_t max, int64_t otherwise)
{
        int64_t value = sqlite3_column_int64(row, (int)column);

        return value >= 0 && value <= max ? value : otherwise;
}

static uint64_t cell_time(sqlite3_stmt *row, enum column column)
{
        return (uint64_t)cell_bounded(row, column, INT64_MAX, 0);
}

/* ---- pids ---- */

char *pw_pids_format(char *buffer, size_t size, const struct pw_owner *owner)
{
        size_t length = 0;

        buffer[0] = '\0';
        for (unsigned i = 0; i < PW_MIN(owner->n_pids, (unsigned)PW_OWNER_PIDS_MAX); i++) {
                int r = snprintf(buffer + length, size - length, "%s%d/%llu", i > 0 ? "," : "",
                                 (int)owner->pids[i], (unsigned long long)owner->started[i]);

                if (r < 0 || (size_t)r >= size - length) {
                        buffer[length] = '\0';
                        break;
                }
                length += (size_t)r;
        }
        return buffer;
}

/* A decimal number of at most `max` that ends at one of `ends`; moves *text behind it. */
static bool take_number(const char **text, uint64_t max, uint64_t *ret)
{
        const char *p = *text;
        uint64_t value = 0;

        if (*p < '0' || *p > '9')
                return false;
        for (; *p >= '0' && *p <= '9'; p++) {
                unsigned digit = (unsigned)(*p - '0');

                if (value > (max - digit) / 10)
                        return false;
                value = value * 10 + digit;
        }
        *text = p;
        *ret = value;
        return true;
}

void pw_pids_parse(struct pw_owner *owner, const char *text)
{
        owner->n_pids = 0;
        while (owner->n_pids < PW_OWNER_PIDS_MAX) {
                uint64_t pid, started;

                if (!take_number(&text, INT32_MAX, &pid) || pid == 0 || *text++ != '/' ||
                    !take_number(&text, UINT64_MAX, &started))
                        return;
                owner->pids[owner->n_pids] = (pid_t)pid;
                owner->started[owner->n_pids++] = started;
                if (*text++ != ',')
                        return;
        }
}

static int cell_shared(sqlite3_stmt *row, enum column column, const char **ret)
{
        _cleanup_(pw_freep) char *text = NULL;
        int r = cell_text(row, column, NAME_MAX_BYTES, &text);

        return r < 0 ? r : pw_shared_set(ret, text);
}

/* ---- parts of a record ---- */

/* No port (0) has only what is folded. */
static bool makes_sense(uint8_t protocol, int64_t port, bool ephemeral)
{
        if (protocol == PW_TCP)
                return port > 0;
        return (protocol == PW_UDP || protocol == PW_UDPLITE) &&
               (port > 0 || (port == 0 && ephemeral));
}

static int read_endpoint(sqlite3_stmt *row, struct pw_record *record)
{
        const unsigned char *key = sqlite3_column_blob(row, COLUMN_KEY);
        const char *address = (const char *)sqlite3_column_text(row, COLUMN_ADDRESS);
        const char *device = (const char *)sqlite3_column_text(row, COLUMN_DEVICE);
        bool ephemeral = sqlite3_column_int(row, COLUMN_EPHEMERAL) != 0;
        int64_t port = cell_bounded(row, COLUMN_PORT, UINT16_MAX, -1);
        int r;

        if (!key || sqlite3_column_bytes(row, COLUMN_KEY) != (PW_LISTENER_ID_MAX - 1) / 2)
                return 1;
        for (size_t i = 0; i < (PW_LISTENER_ID_MAX - 1) / 2; i++)
                sprintf(record->listener_id + 2 * i, "%02x", key[i]);

        record->protocol = (uint8_t)cell_bounded(row, COLUMN_PROTOCOL, UINT8_MAX, 0);
        if (!makes_sense(record->protocol, port, ephemeral))
                return 1;
        record->port = (uint16_t)port;
        if (!address || pw_address_parse(address, &record->address) < 0)
                return 1;
        if (device)
                pw_text_clean(record->device, sizeof record->device, device, strlen(device));

        r = cell_shared(row, COLUMN_NETNS, &record->netns);
        if (r < 0)
                return r;
        if (!record->netns)
                return 1;
        r = pw_record_label(record, PW_EPHEMERAL_DEFAULT);
        if (r < 0)
                return r;
        record->ephemeral = ephemeral;
        record->service = pw_iana_service(record->protocol, record->port);
        return 0;
}

static int read_owner_texts(sqlite3_stmt *row, struct pw_owner *owner)
{
        const struct {
                enum column column;
                size_t limit;
                char **field;
        } texts[] = {
            {COLUMN_USER, NAME_MAX_BYTES, &owner->user},
            {COLUMN_EXE, PW_EXE_MAX, &owner->exe},
            {COLUMN_COMM, PW_COMM_MAX, &owner->comm},
            {COLUMN_CMDLINE, PW_CMDLINE_MAX, &owner->cmdline},
            {COLUMN_UNIT, NAME_MAX_BYTES, &owner->unit},
            {COLUMN_USER_UNIT, NAME_MAX_BYTES, &owner->user_unit},
            {COLUMN_CONTAINER, NAME_MAX_BYTES, &owner->container},
        };

        for (size_t i = 0; i < PW_ELEMENTS(texts); i++) {
                int r = cell_text(row, texts[i].column, texts[i].limit, texts[i].field);

                if (r < 0)
                        return r;
        }
        if (!owner->user && asprintf(&owner->user, "%u", owner->uid) < 0) {
                owner->user = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int read_owner(sqlite3_stmt *row, struct pw_record *record)
{
        struct pw_owner *owner = record->owner = pw_owner_new();
        const char *pids = (const char *)sqlite3_column_text(row, COLUMN_PIDS);

        if (!owner)
                return -ENOMEM;
        owner->uid = (uint32_t)cell_bounded(row, COLUMN_UID, UINT32_MAX, UINT32_MAX);
        owner->traits = (unsigned)sqlite3_column_int64(row, COLUMN_TRAITS) & ALL_TRAITS;
        owner->unknown = (enum pw_unknown)cell_bounded(row, COLUMN_UNKNOWN, PW_UNKNOWN_COUNT - 1,
                                                       PW_UNKNOWN_NOT_ASKED);
        if (pids)
                pw_pids_parse(owner, pids);
        owner->n_holders = (unsigned)cell_bounded(row, COLUMN_HOLDERS, INT32_MAX, 0);
        owner->n_holders = PW_MAX(owner->n_holders, owner->n_pids);
        return read_owner_texts(row, owner);
}

static void read_interval(sqlite3_stmt *row, uint64_t heartbeat, struct pw_record *record)
{
        record->sockets = (unsigned)cell_bounded(row, COLUMN_SOCKETS, INT32_MAX, 0);
        record->cookie = (uint64_t)sqlite3_column_int64(row, COLUMN_COOKIE);
        record->opened_usec = cell_time(row, COLUMN_OPENED);
        record->opened_how =
            (enum pw_how)cell_bounded(row, COLUMN_OPENED_HOW, PW_HOW_COUNT - 1, PW_HOW_NONE);
        record->last_seen_usec = cell_time(row, COLUMN_LAST_SEEN);
        record->closed_usec = cell_time(row, COLUMN_CLOSED);
        record->closed_how =
            (enum pw_how)cell_bounded(row, COLUMN_CLOSED_HOW, PW_HOW_COUNT - 1, PW_HOW_NONE);
        /* A heartbeat says of all that is open that it was still there. */
        if (record->closed_usec == 0 && record->opened_usec > 0)
                record->last_seen_usec = PW_MAX(record->last_seen_usec, heartbeat);
}

static void read_alert(sqlite3_stmt *row, struct pw_record *record)
{
        int64_t id = cell_bounded(row, COLUMN_ALERT, INT64_MAX, 0);

        if (id == 0)
                return;
        record->alert_id = id;
        record->reasons = (unsigned)sqlite3_column_int64(row, COLUMN_REASONS) & ALL_REASONS;
        if (record->reasons == 0)
                record->reasons = PW_REASON_UNEXPECTED;
        record->raised_usec = cell_time(row, COLUMN_RAISED);
        record->delivered_usec = cell_time(row, COLUMN_DELIVERED);
        record->resolved_usec = cell_time(row, COLUMN_RESOLVED);
        record->alert_count = (unsigned)cell_bounded(row, COLUMN_COUNT, INT32_MAX, 1);
}

int pw_row_record(sqlite3_stmt *row, uint64_t heartbeat_usec, struct pw_record **ret)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = pw_record_new();
        int r;

        if (!record)
                return -ENOMEM;
        r = read_endpoint(row, record);
        if (r != 0)
                return r;
        r = read_owner(row, record);
        if (r == 0)
                r = cell_shared(row, COLUMN_RULE, &record->rule);
        if (r == 0)
                r = cell_shared(row, COLUMN_FORMER_RULE, &record->former_rule);
        if (r < 0)
                return r;
        record->verdict =
            (enum pw_verdict)cell_bounded(row, COLUMN_VERDICT, PW_VERDICT_COUNT - 1, PW_UNEXPECTED);
        read_interval(row, heartbeat_usec, record);
        read_alert(row, record);
        *ret = PW_TAKE_PTR(record);
        return 0;
}
