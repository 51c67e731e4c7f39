/* SPDX-License-Identifier: MIT */
/* What the journal is told: fields and sentences.
 *
 * The sentence stands alone and in one line; what it tells people to type is an alert's number,
 * never text that somebody else chose. */

#include "daemon/entry.h"
#include "daemon/journal.h"

#include <portwatch/text.h>

#include <stdarg.h>

void pw_entry_free(struct pw_entry *entry)
{
        if (!entry)
                return;
        free(entry->data);
        free(entry->text);
        free(entry);
}

void pw_entry_add(struct pw_entry *entry, const char *key, const char *value)
{
        size_t key_length = strlen(key), value_length;

        if (!value || value[0] == '\0')
                return;
        value_length = strcspn(value, "\n");
        if (pw_array_reserve(&entry->data, &entry->capacity,
                             entry->length + key_length + value_length + 2, 1) < 0) {
                entry->incomplete = true;
                return;
        }
        memcpy(entry->data + entry->length, key, key_length);
        entry->length += key_length;
        entry->data[entry->length++] = '=';
        memcpy(entry->data + entry->length, value, value_length);
        entry->length += value_length;
        entry->data[entry->length++] = '\n';
}

void pw_entry_addf(struct pw_entry *entry, const char *key, const char *format, ...)
{
        char value[512];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(value, sizeof value, format, arguments);
        va_end(arguments);
        pw_entry_add(entry, key, value);
}

struct pw_entry *pw_entry_new(enum pw_message message, int priority, const char *text)
{
        _cleanup_(pw_entry_freep) struct pw_entry *entry = calloc(1, sizeof *entry);

        if (!entry)
                return NULL;
        entry->text = strdup(text);
        if (!entry->text)
                return NULL;
        pw_entry_add(entry, "MESSAGE_ID", pw_message_id(message));
        pw_entry_addf(entry, "PRIORITY", "%d", priority);
        pw_entry_add(entry, "SYSLOG_IDENTIFIER", "portwatchd");
        pw_entry_add(entry, "MESSAGE", text);
        return PW_TAKE_PTR(entry);
}

const char *pw_entry_data(const struct pw_entry *entry, size_t *ret_length)
{
        *ret_length = entry->length;
        return entry->data;
}

const char *pw_entry_text(const struct pw_entry *entry)
{
        return entry->text;
}

static void add_owner(struct pw_entry *entry, const struct pw_owner *owner)
{
        if (owner->n_pids > 0)
                pw_entry_addf(entry, "PORTWATCH_PID", "%d", (int)owner->pids[0]);
        pw_entry_add(entry, "PORTWATCH_COMM", owner->comm);
        pw_entry_add(entry, "PORTWATCH_EXE", owner->exe);
        pw_entry_add(entry, "PORTWATCH_CMDLINE", owner->cmdline);
        if (owner->unknown != PW_UNKNOWN_NOT_ASKED)
                pw_entry_addf(entry, "PORTWATCH_UID", "%u", owner->uid);
        pw_entry_add(entry, "PORTWATCH_USER", owner->user);
        pw_entry_add(entry, "PORTWATCH_UNIT", owner->unit);
        pw_entry_add(entry, "PORTWATCH_USER_UNIT", owner->user_unit);
        pw_entry_add(entry, "PORTWATCH_CONTAINER", owner->container);
        pw_entry_add(entry, "PORTWATCH_OWNER_UNKNOWN", pw_unknown_name(owner->unknown));
}

void pw_entry_add_record(struct pw_entry *entry, const struct pw_record *record)
{
        char port[PW_PORT_MAX];

        if (record->alert_id != 0)
                pw_entry_addf(entry, "PORTWATCH_ALERT_ID", "%lld", (long long)record->alert_id);
        if (record->reasons != 0) {
                char reasons[PW_REASONS_MAX];

                pw_entry_add(entry, "PORTWATCH_REASON",
                             pw_reason_name(pw_reason_gravest(record->reasons)));
                pw_entry_add(entry, "PORTWATCH_REASONS",
                             pw_reasons_format(reasons, sizeof reasons, record->reasons));
        }
        pw_entry_add(entry, "PORTWATCH_PROTOCOL", pw_protocol_name(record->protocol));
        pw_entry_add(entry, "PORTWATCH_ADDRESS", record->address_text);
        pw_entry_add(entry, "PORTWATCH_PORT", pw_port_format(port, sizeof port, record->port));
        pw_entry_add(entry, "PORTWATCH_DEVICE", record->device);
        pw_entry_add(entry, "PORTWATCH_SCOPE", pw_scope_name(record->scope));
        pw_entry_add(entry, "PORTWATCH_RANGE", pw_range_name(record->range));
        pw_entry_add(entry, "PORTWATCH_SERVICE", record->service);
        pw_entry_add(entry, "PORTWATCH_NETNS", record->netns);
        if (!pw_record_is_missing(record)) /* then there is nothing that could have one */
                pw_entry_add(entry, "PORTWATCH_VERDICT", pw_verdict_name(record->verdict));
        pw_entry_add(entry, "PORTWATCH_RULE", record->rule);
        pw_entry_add(entry, "PORTWATCH_LISTENER_ID", record->listener_id);
        add_owner(entry, record->owner);
}

/* Appends to `buffer` from `length` on; stops where it is full. */
static size_t append(char *buffer, size_t size, size_t length, const char *format, ...)
    _printf_(4, 5);
static size_t append(char *buffer, size_t size, size_t length, const char *format, ...)
{
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = vsnprintf(buffer + length, size - length, format, arguments);
        va_end(arguments);
        if (r < 0)
                return length;
        return PW_MIN(length + (size_t)r, size - 1);
}

static size_t append_owner(char *buffer, size_t size, size_t n, const struct pw_record *record)
{
        const struct pw_owner *owner = record->owner;
        const char *process = pw_record_process(record);

        if (owner->traits & PW_TRAIT_KERNEL)
                return append(buffer, size, n, " by the kernel");
        if (process)
                n = append(buffer, size, n, " by %s", process);
        else
                n = append(buffer, size, n, " by an unknown process");
        if (owner->n_pids > 0)
                n = append(buffer, size, n, ", pid %d", (int)owner->pids[0]);
        if (owner->user)
                n = append(buffer, size, n, ", user %s", owner->user);
        if (owner->container)
                n = append(buffer, size, n, ", container %s", owner->container);
        else if (owner->user_unit)
                n = append(buffer, size, n, ", user unit %s", owner->user_unit);
        else if (owner->unit)
                n = append(buffer, size, n, ", unit %s", owner->unit);
        if (!process)
                n = append(buffer, size, n, " (%s)", pw_unknown_reason(owner->unknown));
        return n;
}

static size_t append_place(char *buffer, size_t size, size_t n, const struct pw_record *record)
{
        char place[PW_ADDRESS_PORT_MAX];

        n = append(buffer, size, n, "%s %s", pw_protocol_name(record->protocol),
                   pw_address_port_format(place, sizeof place, record->address_text, record->device,
                                          record->port));
        if (record->service)
                n = append(buffer, size, n, " (%s)", record->service);
        if (pw_record_is_folded(record))
                n = append(buffer, size, n, " (one port after another, %u so far)",
                           record->sockets);
        if (!pw_text_equal(record->netns, PW_NETNS_HOST))
                n = append(buffer, size, n, " in namespace %s", record->netns);
        return n;
}

char *pw_describe(char *buffer, size_t size, const struct pw_record *record)
{
        size_t n = append_place(buffer, size, 0, record);

        if (record->owner->unknown != PW_UNKNOWN_NOT_ASKED)
                append_owner(buffer, size, n, record);
        return buffer;
}

struct kind {
        enum pw_reason reason;
        enum pw_message message;
        const char *head;
};

static const struct kind kinds[] = {
    {PW_REASON_DENIED, PW_MESSAGE_ALERT_DENIED, "Denied port is open"},
    {PW_REASON_SUSPICIOUS, PW_MESSAGE_ALERT_SUSPICIOUS, "Suspicious executable has opened a port"},
    {PW_REASON_SCOPE_WIDENED, PW_MESSAGE_ALERT_SCOPE_WIDENED,
     "Known listener reaches further than before"},
    {PW_REASON_SECOND_OWNER, PW_MESSAGE_ALERT_SECOND_OWNER, "Second owner on a port that is taken"},
    {PW_REASON_REQUIRED_MISSING, PW_MESSAGE_ALERT_REQUIRED_MISSING, "Required port is not open"},
    {PW_REASON_NO_OWNER, PW_MESSAGE_ALERT_NO_OWNER, "Unexpected port is open, owner unknown"},
    {PW_REASON_UNEXPECTED, PW_MESSAGE_ALERT_UNEXPECTED, "Unexpected port is open"},
};

static const struct kind *kind_of(unsigned reasons)
{
        enum pw_reason gravest = pw_reason_gravest(reasons);

        for (size_t i = 0; i < PW_ELEMENTS(kinds); i++)
                if (kinds[i].reason == gravest)
                        return &kinds[i];
        return &kinds[PW_ELEMENTS(kinds) - 1];
}

/* Whether `allow @ALERT` is right to propose: it makes no rule of an owner that is not known or not
 * to be trusted, and what a rule denies deserves a look first. */
static bool may_be_allowed(const struct pw_record *record)
{
        return !(record->reasons & (PW_REASON_REQUIRED_MISSING | PW_REASON_DENIED |
                                    PW_REASON_SUSPICIOUS | PW_REASON_NO_OWNER)) &&
               !pw_owner_obstacle(record->owner);
}

/* What to do: never more than the alert's number is put into a command. */
static void append_advice(char *text, size_t size, size_t n, const struct pw_record *record)
{
        long long id = (long long)record->alert_id;

        if (record->reasons & PW_REASON_REQUIRED_MISSING && record->rule)
                n = append(text, size, n, " (required by %s)", record->rule);
        if (record->former_rule)
                n = append(text, size, n, " (expected before, by %s)", record->former_rule);
        if (may_be_allowed(record))
                append(text, size, n, ". Allow: portwatchctl allow @%lld", id);
        else
                append(text, size, n, ". Look: portwatchctl show @%lld", id);
}

struct pw_entry *pw_entry_alert(const struct pw_record *record)
{
        const struct kind *kind = kind_of(record->reasons);
        char what[PW_DESCRIPTION_MAX], text[PW_DESCRIPTION_MAX + 512];
        struct pw_entry *entry;
        size_t n;

        n = append(text, sizeof text, 0, "%s: %s", kind->head,
                   pw_describe(what, sizeof what, record));
        append_advice(text, sizeof text, n, record);
        entry = pw_entry_new(kind->message, pw_reasons_priority(record->reasons), text);
        if (!entry)
                return NULL;
        entry->alert_id = record->alert_id;
        pw_entry_add(entry, "PORTWATCH_ALERT", "1");
        pw_entry_add(entry, "PORTWATCH_EVENT", pw_event_name(PW_EVENT_ALERT));
        pw_entry_add_record(entry, record);
        return entry;
}

struct pw_entry *pw_entry_resolved(const struct pw_record *record, const char *how)
{
        char what[PW_DESCRIPTION_MAX], text[PW_DESCRIPTION_MAX + 256];
        struct pw_entry *entry;

        append(text, sizeof text, 0, "Alert @%lld is over: %s: %s", (long long)record->alert_id,
               pw_describe(what, sizeof what, record), how);
        entry = pw_entry_new(PW_MESSAGE_ALERT_RESOLVED, 6, text);
        if (!entry)
                return NULL;
        pw_entry_add(entry, "PORTWATCH_EVENT", pw_event_name(PW_EVENT_RESOLVED));
        pw_entry_add_record(entry, record);
        return entry;
}
