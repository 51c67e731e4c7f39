/* SPDX-License-Identifier: MIT */
/* Records: what is said of one listener. The listener id is a hash over names only, so that it is
 * the same on every host and after every restart; SHA-256, since local users choose the names and
 * must not be able to make two listeners look like one. */

#include <portwatch/iana.h>
#include <portwatch/record.h>
#include <portwatch/snapshot.h>
#include <portwatch/text.h>

#include <net/if.h>
#include <sha2.h>

struct pw_record *pw_record_new(void)
{
        struct pw_record *record = calloc(1, sizeof *record);

        if (record)
                record->references = 1;
        return record;
}

struct pw_record *pw_record_copy(const struct pw_record *record)
{
        _cleanup_(pw_record_unrefp) struct pw_record *copy = malloc(sizeof *copy);

        if (!copy)
                return NULL;
        *copy = *record;
        copy->references = 1;
        copy->owner = pw_owner_ref(record->owner);
        copy->netns = copy->rule = copy->former_rule = copy->address_text = NULL;
        if (pw_shared_set(&copy->netns, record->netns) < 0 ||
            pw_record_copy_ruling(copy, record) < 0 ||
            pw_shared_set(&copy->address_text, record->address_text) < 0)
                return NULL;
        return PW_TAKE_PTR(copy);
}

void pw_record_copy_alert(struct pw_record *to, const struct pw_record *from)
{
        to->alert_id = from->alert_id;
        to->reasons = from->reasons;
        to->raised_usec = from->raised_usec;
        to->delivered_usec = from->delivered_usec;
        to->resolved_usec = from->resolved_usec;
        to->alert_count = from->alert_count;
}

int pw_record_copy_ruling(struct pw_record *to, const struct pw_record *from)
{
        int r = pw_shared_set(&to->rule, from->rule);

        if (r == 0)
                r = pw_shared_set(&to->former_rule, from->former_rule);
        if (r == 0)
                to->verdict = from->verdict;
        return r;
}

int pw_record_judge(struct pw_record *record, enum pw_verdict verdict, const char *rule)
{
        int r = 0;

        if (verdict == PW_EXPECTED || verdict == PW_IGNORED)
                pw_shared_unset(&record->former_rule);
        else if (record->verdict == PW_EXPECTED)
                r = pw_shared_set(&record->former_rule, record->rule);
        record->verdict = verdict;
        if (r < 0 || pw_text_equal(record->rule, rule))
                return r;
        return pw_shared_set(&record->rule, rule);
}

struct pw_record *pw_record_ref(struct pw_record *record)
{
        if (record)
                record->references++;
        return record;
}

void pw_record_unref(struct pw_record *record)
{
        if (!record || --record->references > 0)
                return;
        pw_owner_unref(record->owner);
        pw_shared_unset(&record->netns);
        pw_shared_unset(&record->rule);
        pw_shared_unset(&record->former_rule);
        pw_shared_unset(&record->address_text);
        free(record);
}

char *pw_device_name(char *buffer, uint32_t ifindex)
{
        char name[IF_NAMESIZE];

        buffer[0] = '\0';
        if (ifindex == 0)
                return buffer;
        if (!if_indextoname(ifindex, name))
                snprintf(name, sizeof name, "if%u", ifindex);
        pw_text_clean(buffer, PW_DEVICE_MAX, name, strlen(name));
        return buffer;
}

struct pw_record *pw_record_make(const struct pw_socket *socket, struct pw_owner *owner,
                                 const char *netns, const char *device, struct pw_ports ephemeral,
                                 const struct pw_services *services)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = pw_record_new();
        const struct pw_endpoint *endpoint = &socket->endpoint;

        if (!record || pw_shared_set(&record->netns, netns) < 0)
                return NULL;
        record->protocol = endpoint->protocol;
        record->port = endpoint->port;
        record->address = endpoint->address;
        record->owner = pw_owner_ref(owner);
        record->sockets = 1;
        record->cookie = socket->cookie;
        if (device)
                snprintf(record->device, sizeof record->device, "%s", device);
        record->service = pw_services_name(services, record->protocol, record->port);
        if (pw_record_label(record, ephemeral) < 0)
                return NULL;
        return PW_TAKE_PTR(record);
}

int pw_record_label(struct pw_record *record, struct pw_ports ephemeral)
{
        char address[PW_ADDRESS_MAX];

        record->scope = pw_address_scope(&record->address);
        record->range =
            pw_record_is_folded(record) ? PW_RANGE_DYNAMIC : pw_port_range(record->port);
        record->ephemeral =
            pw_record_is_folded(record) || pw_ports_contain(ephemeral, record->port);
        return pw_shared_set(&record->address_text,
                             pw_address_format(address, sizeof address, &record->address));
}

static void hash_part(SHA2_CTX *hash, const char *text)
{
        SHA256Update(hash, (const uint8_t *)(text ? text : ""), text ? strlen(text) + 1 : 1);
}

static void hash_pattern(SHA2_CTX *hash, const char *unit)
{
        char pattern[PW_UNIT_MAX];

        hash_part(hash, unit ? pw_unit_pattern(pattern, sizeof pattern, unit) : NULL);
}

void pw_record_identify(struct pw_record *record)
{
        const struct pw_owner *owner = record->owner;
        char text[PW_TRAITS_MAX];
        uint8_t digest[SHA256_DIGEST_LENGTH];
        SHA2_CTX hash;

        SHA256Init(&hash);
        hash_part(&hash, record->netns);
        hash_part(&hash, pw_protocol_name(record->protocol));
        hash_part(&hash, record->address_text);
        snprintf(text, sizeof text, "%u", record->port);
        hash_part(&hash, text);
        hash_part(&hash, record->device);
        hash_part(&hash, owner->user);
        hash_part(&hash, owner->exe);
        hash_pattern(&hash, owner->unit);
        hash_pattern(&hash, owner->user_unit);
        hash_pattern(&hash, owner->container);
        hash_part(&hash, pw_traits_format(text, sizeof text, owner->traits));
        SHA256Final(digest, &hash);
        for (size_t i = 0; i < (PW_LISTENER_ID_MAX - 1) / 2; i++)
                sprintf(record->listener_id + 2 * i, "%02x", digest[i]);
}

bool pw_record_may_be_client(const struct pw_record *record)
{
        return record->protocol != PW_TCP && record->ephemeral && !pw_record_is_folded(record) &&
               record->opened_how != PW_HOW_EVENT;
}

bool pw_record_is_unexpected(const struct pw_record *record)
{
        return record->verdict == PW_DENIED ||
               (record->verdict == PW_UNEXPECTED && !pw_record_may_be_client(record));
}

int pw_record_compare(const struct pw_record *a, const struct pw_record *b)
{
        int r;

        if (a->protocol != b->protocol)
                return a->protocol < b->protocol ? -1 : 1;
        if (a->port != b->port)
                return a->port < b->port ? -1 : 1;
        r = strcmp(a->netns, b->netns);
        if (r == 0)
                r = strcmp(a->address_text, b->address_text);
        if (r == 0)
                r = strcmp(a->device, b->device);
        return r != 0 ? r : strcmp(a->listener_id, b->listener_id);
}

const char *pw_record_process(const struct pw_record *record)
{
        const struct pw_owner *owner = record->owner;
        const char *slash;

        if (owner->comm && owner->comm[0])
                return owner->comm;
        if (owner->exe) {
                slash = strrchr(owner->exe, '/');
                return slash ? slash + 1 : owner->exe;
        }
        if (owner->n_pids > 0 && owner->pids[0] == 1)
                return "systemd";
        return owner->traits & PW_TRAIT_KERNEL ? "kernel" : NULL;
}

int pw_records_add(struct pw_records *records, struct pw_record *record)
{
        if (pw_array_reserve(&records->items, &records->capacity, records->n + 1,
                             sizeof *records->items) < 0) {
                pw_record_unref(record);
                return -ENOMEM;
        }
        records->items[records->n++] = record;
        return 0;
}

static int compare_items(const void *a, const void *b)
{
        return pw_record_compare(*(struct pw_record *const *)a, *(struct pw_record *const *)b);
}

void pw_records_sort(struct pw_records *records)
{
        if (records->n > 1)
                qsort(records->items, records->n, sizeof *records->items, compare_items);
}

void pw_records_done(struct pw_records *records)
{
        for (size_t i = 0; i < records->n; i++)
                pw_record_unref(records->items[i]);
        free(records->items);
        *records = (struct pw_records){0};
}
