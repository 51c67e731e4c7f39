/* SPDX-License-Identifier: MIT */
/* The column table and its getters. A getter only picks a value out of the record; how a kind of
 * value looks is decided once, by pw_value_text() for tables and by view-json.c for JSON. */

#include "ctl/columns.h"

#include <portwatch/iana.h>
#include <portwatch/text.h>

#include <strings.h>

static void set_text(struct pw_value *value, const char *text)
{
        if (!text)
                return;
        value->kind = PW_VALUE_TEXT;
        value->text = text;
}

static void set_nonempty(struct pw_value *value, const char *text)
{
        set_text(value, text && text[0] ? text : NULL);
}

static void set_number(struct pw_value *value, enum pw_value_kind kind, uint64_t number)
{
        value->kind = kind;
        value->number = number;
}

static void set_time(struct pw_value *value, uint64_t usec)
{
        if (usec > 0)
                set_number(value, PW_VALUE_TIME, usec);
}

static void set_names(struct pw_value *value)
{
        value->kind = PW_VALUE_NAMES;
        value->text = value->buffer;
}

#define GETTER(name)                                                                               \
        static void name(_unused_ const struct pw_record *record,                                  \
                         _unused_ const struct pw_column_context *context, struct pw_value *value)

GETTER(get_protocol)
{
        set_text(value, pw_protocol_name(record->protocol));
}

GETTER(get_endpoint)
{
        set_text(value, pw_address_port_format(value->buffer, sizeof value->buffer,
                                               record->address_text, record->device, record->port));
}

GETTER(get_address)
{
        set_text(value, record->address_text);
}

GETTER(get_port)
{
        if (!pw_record_is_folded(record))
                set_number(value, PW_VALUE_NUMBER, record->port);
}

GETTER(get_device)
{
        set_nonempty(value, record->device);
}

GETTER(get_range)
{
        set_text(value, pw_range_name(record->range));
}

GETTER(get_ephemeral)
{
        set_number(value, PW_VALUE_BOOL, record->ephemeral);
}

GETTER(get_scope)
{
        set_text(value, pw_scope_name(record->scope));
}

GETTER(get_service)
{
        const char *service = record->service;

        /* What comes from the history has IANA's names only. */
        if (!service && context->services)
                service = pw_services_name(context->services, record->protocol, record->port);
        set_text(value, service);
}

GETTER(get_netns)
{
        set_text(value, record->netns);
}

/* For tables: who, and how many sockets. Of an unknown process, the user whose socket it is. */
GETTER(get_process)
{
        const char *process = pw_record_process(record);
        const char *user = record->owner->user;
        char sockets[16] = "";

        if (record->sockets > 1)
                snprintf(sockets, sizeof sockets, context->ascii ? " x%u" : " ×%u",
                         record->sockets);
        if (!process && user && !pw_record_is_missing(record))
                snprintf(value->buffer, sizeof value->buffer, "- (%.64s)%s", user, sockets);
        else
                snprintf(value->buffer, sizeof value->buffer, "%.128s%s", process ? process : "-",
                         sockets);
        set_text(value, value->buffer);
}

GETTER(get_comm)
{
        set_text(value, record->owner->comm);
}

GETTER(get_pids)
{
        value->kind = PW_VALUE_PIDS;
}

GETTER(get_exe)
{
        set_text(value, record->owner->exe);
}

GETTER(get_cmdline)
{
        set_text(value, record->owner->cmdline);
}

GETTER(get_uid)
{
        if (!pw_record_is_missing(record))
                set_number(value, PW_VALUE_NUMBER, record->owner->uid);
}

GETTER(get_user)
{
        set_text(value, pw_record_is_missing(record) ? NULL : record->owner->user);
}

GETTER(get_unit)
{
        set_text(value, record->owner->unit);
}

GETTER(get_user_unit)
{
        set_text(value, record->owner->user_unit);
}

GETTER(get_container)
{
        set_text(value, record->owner->container);
}

GETTER(get_unknown)
{
        set_nonempty(value, pw_unknown_name(record->owner->unknown));
}

GETTER(get_traits)
{
        pw_traits_format(value->buffer, sizeof value->buffer, record->owner->traits);
        set_names(value);
}

GETTER(get_sockets)
{
        set_number(value, PW_VALUE_NUMBER, record->sockets);
}

GETTER(get_verdict)
{
        if (context->judged && !pw_record_is_missing(record))
                set_nonempty(value, pw_verdict_name(record->verdict));
}

GETTER(get_rule)
{
        set_text(value, record->rule);
}

/* For tables: `<` marks a listener that was there before anybody looked. */
GETTER(get_since)
{
        char when[PW_WHEN_MAX];

        if (record->opened_usec == 0)
                return;
        pw_format_when(when, sizeof when, record->opened_usec, context->now_usec);
        snprintf(value->buffer, sizeof value->buffer, "%s%s",
                 record->opened_how == PW_HOW_FIRST_LOOK ? "<" : "", when);
        set_text(value, value->buffer);
}

GETTER(get_opened)
{
        set_time(value, record->opened_usec);
}

GETTER(get_opened_how)
{
        set_nonempty(value, pw_how_name(record->opened_how));
}

GETTER(get_last_seen)
{
        set_time(value, record->last_seen_usec);
}

GETTER(get_closed)
{
        set_time(value, record->closed_usec);
}

GETTER(get_closed_how)
{
        set_nonempty(value, pw_how_name(record->closed_how));
}

GETTER(get_duration)
{
        uint64_t end = record->closed_usec ? record->closed_usec : context->now_usec;

        if (record->opened_usec > 0)
                set_number(value, PW_VALUE_SPAN,
                           end > record->opened_usec ? end - record->opened_usec : 0);
}

GETTER(get_listener_id)
{
        set_nonempty(value, record->listener_id);
}

GETTER(get_alert)
{
        if (record->alert_id == 0)
                return;
        snprintf(value->buffer, sizeof value->buffer, "@%lld", (long long)record->alert_id);
        set_text(value, value->buffer);
}

GETTER(get_alert_id)
{
        if (record->alert_id != 0)
                set_number(value, PW_VALUE_NUMBER, (uint64_t)record->alert_id);
}

GETTER(get_reason)
{
        if (record->reasons != 0)
                set_text(value, pw_reason_name(pw_reason_gravest(record->reasons)));
}

GETTER(get_reasons)
{
        pw_reasons_format(value->buffer, sizeof value->buffer, record->reasons);
        set_names(value);
}

GETTER(get_raised)
{
        set_time(value, record->raised_usec);
}

GETTER(get_delivered)
{
        set_time(value, record->delivered_usec);
}

GETTER(get_resolved)
{
        set_time(value, record->resolved_usec);
}

GETTER(get_count)
{
        if (record->alert_id != 0)
                set_number(value, PW_VALUE_NUMBER, record->alert_count);
}

/* In the order of JSON's keys. A default table names its columns where it is made. */
const struct pw_column pw_columns[] = {
    {"protocol", "PROTO", .json = true, .get = get_protocol},
    {"endpoint", "ADDRESS:PORT", .get = get_endpoint},
    {"address", "ADDRESS", .json = true, .get = get_address},
    {"port", "PORT", .json = true, .right = true, .get = get_port},
    {"device", "DEVICE", .json = true, .get = get_device},
    {"scope", "SCOPE", .json = true, .drop = 8, .get = get_scope},
    {"range", "RANGE", .json = true, .drop = 9, .get = get_range},
    {"ephemeral", "EPHEMERAL", .json = true, .get = get_ephemeral},
    {"service", "SERVICE", .json = true, .drop = 3, .shrink = 8, .get = get_service},
    {"netns", "NETNS", .json = true, .often_none = true, .drop = 2, .shrink = 8, .get = get_netns},
    {"process", "PROCESS", .drop = 1, .shrink = 10, .get = get_process},
    {"comm", "COMM", .json = true, .shrink = 10, .get = get_comm},
    {"pids", "PIDS", .json = true, .shrink = 8, .get = get_pids},
    {"exe", "EXE", .json = true, .shrink = 16, .get = get_exe},
    {"cmdline", "CMDLINE", .json = true, .shrink = 16, .get = get_cmdline},
    {"uid", "UID", .json = true, .right = true, .get = get_uid},
    {"user", "USER", .json = true, .drop = 7, .shrink = 8, .get = get_user},
    {"unit", "UNIT", .json = true, .drop = 5, .shrink = 12, .get = get_unit},
    {"user_unit", "USER-UNIT", .json = true, .shrink = 12, .get = get_user_unit},
    {"container", "CONTAINER", .json = true, .often_none = true, .drop = 4, .shrink = 12,
     .get = get_container},
    {"owner_unknown", "OWNER-UNKNOWN", .json = true, .get = get_unknown},
    {"traits", "TRAITS", .json = true, .get = get_traits},
    {"sockets", "SOCKETS", .json = true, .right = true, .get = get_sockets},
    {"verdict", "VERDICT", .json = true, .often_none = true, .get = get_verdict},
    {"rule", "RULE", .json = true, .shrink = 16, .get = get_rule},
    {"since", "SINCE", .right = true, .often_none = true, .drop = 2, .get = get_since},
    {"opened", "OPENED", .json = true, .right = true, .get = get_opened},
    {"opened_how", "OPENED-HOW", .json = true, .get = get_opened_how},
    {"last_seen", "LAST-SEEN", .json = true, .right = true, .get = get_last_seen},
    {"closed", "CLOSED", .json = true, .right = true, .drop = 3, .get = get_closed},
    {"closed_how", "CLOSED-HOW", .json = true, .get = get_closed_how},
    {"duration_usec", "DURATION", .json = true, .right = true, .drop = 6, .get = get_duration},
    {"listener_id", "LISTENER-ID", .json = true, .get = get_listener_id},
    {"alert", "ALERT", .right = true, .get = get_alert},
    {"alert_id", "ALERT-ID", .json = true, .right = true, .get = get_alert_id},
    {"reason", "REASON", .json = true, .get = get_reason},
    {"reasons", "REASONS", .json = true, .shrink = 12, .get = get_reasons},
    {"raised", "RAISED", .json = true, .right = true, .drop = 3, .get = get_raised},
    {"delivered", "DELIVERED", .json = true, .right = true, .get = get_delivered},
    {"resolved", "RESOLVED", .json = true, .right = true, .often_none = true, .drop = 4,
     .get = get_resolved},
    {"count", "COUNT", .json = true, .right = true, .drop = 6, .get = get_count},
};
const size_t pw_columns_count = PW_ELEMENTS(pw_columns);
_Static_assert(PW_ELEMENTS(pw_columns) <= PW_COLUMNS_MAX, "all columns fit a list");

static const struct pw_column *find(const char *word, size_t length)
{
        for (size_t i = 0; i < pw_columns_count; i++) {
                const struct pw_column *column = &pw_columns[i];

                if ((strlen(column->name) == length &&
                     strncasecmp(column->name, word, length) == 0) ||
                    (strlen(column->heading) == length &&
                     strncasecmp(column->heading, word, length) == 0))
                        return column;
        }
        return NULL;
}

static void refuse(char *error, size_t size, const char *word, size_t length)
{
        char clean[64];
        size_t used;

        pw_text_clean(clean, sizeof clean, word, length);
        used = (size_t)snprintf(error, size, "'%s' is not a column; known are", clean);
        for (size_t i = 0; i < pw_columns_count && used < size; i++)
                used += (size_t)snprintf(error + used, size - used, "%s %s", i ? "," : "",
                                         pw_columns[i].name);
}

int pw_column_list_parse(const char *text, struct pw_column_list *ret, char *error,
                         size_t error_size)
{
        struct pw_column_list list = {0};

        for (const char *word = text;; word++) {
                size_t length = strcspn(word, ",");
                const struct pw_column *column = find(word, length);

                if (!column) {
                        refuse(error, error_size, word, length);
                        return -EINVAL;
                }
                if (list.n == PW_COLUMNS_MAX) {
                        snprintf(error, error_size, "more than %d columns", PW_COLUMNS_MAX);
                        return -E2BIG;
                }
                list.items[list.n++] = column;
                word += length;
                if (*word == '\0')
                        break;
        }
        *ret = list;
        return 0;
}

void pw_column_value(const struct pw_column *column, const struct pw_record *record,
                     const struct pw_column_context *context, struct pw_value *ret)
{
        ret->kind = PW_VALUE_NONE;
        ret->number = 0;
        ret->text = NULL;
        ret->buffer[0] = '\0';
        column->get(record, context, ret);
}

char *pw_format_age(char *buffer, size_t size, uint64_t usec)
{
        uint64_t unit = usec < PW_USEC_PER_SEC ? PW_USEC_PER_MSEC : PW_USEC_PER_SEC;

        if (usec > 0 && usec < PW_USEC_PER_MSEC) {
                snprintf(buffer, size, "<1ms");
                return buffer;
        }
        return pw_format_span(buffer, size, usec / unit * unit);
}

static const char *pids_text(struct pw_value *value, const struct pw_owner *owner, bool ascii)
{
        size_t used = 0;

        for (unsigned i = 0; i < owner->n_pids; i++)
                used += (size_t)snprintf(value->buffer + used, sizeof value->buffer - used, "%s%d",
                                         i ? "," : "", (int)owner->pids[i]);
        if (owner->n_holders > owner->n_pids)
                snprintf(value->buffer + used, sizeof value->buffer - used, ascii ? ",~" : ",…");
        return value->buffer[0] ? value->buffer : "-";
}

const char *pw_value_text(struct pw_value *value, const struct pw_record *record,
                          const struct pw_column_context *context)
{
        switch (value->kind) {
        case PW_VALUE_NONE:
                return "-";
        case PW_VALUE_TEXT:
        case PW_VALUE_NAMES:
                return value->text[0] ? value->text : "-";
        case PW_VALUE_NUMBER:
                snprintf(value->buffer, sizeof value->buffer, "%llu",
                         (unsigned long long)value->number);
                return value->buffer;
        case PW_VALUE_BOOL:
                return value->number ? "yes" : "no";
        case PW_VALUE_TIME:
                return pw_format_when(value->buffer, sizeof value->buffer, value->number,
                                      context->now_usec);
        case PW_VALUE_SPAN:
                return pw_format_age(value->buffer, sizeof value->buffer, value->number);
        case PW_VALUE_PIDS:
                return pids_text(value, record->owner, context->ascii);
        }
        return "-";
}

bool pw_column_says_something(const struct pw_column *column, const struct pw_record *record,
                              const struct pw_value *value)
{
        if (!column->often_none)
                return true;
        if (value->kind == PW_VALUE_NONE)
                return false;
        if (column->get == get_netns)
                return strcmp(value->text, PW_NETNS_HOST) != 0;
        /* A container's namespace is called as the container is. */
        return column->get != get_container || strcmp(value->text, record->netns) != 0;
}
