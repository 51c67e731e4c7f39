/* SPDX-License-Identifier: MIT */
/* Reasons for alerts, and the steps of an alert's life. */

#include "daemon/alert.h"

#include <portwatch/text.h>

/* Folded listeners share a name for their ports, not the ports. */
static bool same_place(const struct pw_record *a, const struct pw_record *b)
{
        return !pw_record_is_folded(a) && a->port == b->port && a->protocol == b->protocol &&
               pw_text_equal(a->netns, b->netns);
}

bool pw_alert_widens(const struct pw_record *record, const struct pw_record *earlier)
{
        return same_place(record, earlier) && earlier->verdict == PW_EXPECTED &&
               earlier->scope != PW_SCOPE_MULTICAST && record->scope != PW_SCOPE_MULTICAST &&
               record->scope > earlier->scope && pw_owner_same(record->owner, earlier->owner);
}

static bool is_any(const struct pw_record *record)
{
        return record->scope == PW_SCOPE_ANY;
}

/* An IPv4-mapped address is its IPv4 address. */
static struct pw_address unmapped(const struct pw_address *address)
{
        struct pw_address v4 = {.family = AF_INET};
        struct in6_addr v6;

        memcpy(&v6, address->bytes, sizeof v6);
        if (address->family == AF_INET || !IN6_IS_ADDR_V4MAPPED(&v6))
                return *address;
        memcpy(v4.bytes, address->bytes + 12, 4);
        return v4;
}

static bool same_address(const struct pw_record *a, const struct pw_record *b)
{
        struct pw_address x = unmapped(&a->address), y = unmapped(&b->address);

        return x.family == y.family && memcmp(x.bytes, y.bytes, sizeof x.bytes) == 0;
}

/* Families that a listener takes traffic of: bit 0 IPv4, bit 1 IPv6. */
static unsigned families(const struct pw_record *record)
{
        if (unmapped(&record->address).family == AF_INET)
                return 1;
        return is_any(record) && !record->address.v6only ? 3 : 2;
}

bool pw_alert_rivals(const struct pw_record *record, const struct pw_record *other)
{
        const struct pw_owner *a = record->owner, *b = other->owner;

        if (!same_place(record, other) || record == other)
                return false;
        if (a->uid == b->uid && (pw_text_equal(a->exe, b->exe) || !a->exe || !b->exe))
                return false;
        if (!(families(record) & families(other)))
                return false;
        return is_any(record) || is_any(other) || same_address(record, other);
}

unsigned pw_alert_reasons(const struct pw_record *record, struct pw_surroundings around,
                          bool may_be_client)
{
        unsigned reasons = 0;

        if (record->verdict == PW_DENIED)
                reasons |= PW_REASON_DENIED;
        else if (record->verdict != PW_UNEXPECTED || may_be_client)
                return 0;
        else
                reasons |= PW_REASON_UNEXPECTED;
        if (record->owner->traits & PW_TRAITS_SUSPICIOUS)
                reasons |= PW_REASON_SUSPICIOUS;
        if (record->owner->unknown != PW_KNOWN && !(record->owner->traits & PW_TRAIT_KERNEL))
                reasons |= PW_REASON_NO_OWNER;
        if (around.scope_widened)
                reasons |= PW_REASON_SCOPE_WIDENED;
        if (around.second_owner)
                reasons |= PW_REASON_SECOND_OWNER;
        return reasons;
}

enum pw_alert_step pw_alert_step(const struct pw_record *record, unsigned reasons,
                                 uint64_t now_usec, uint64_t realert_usec)
{
        bool open = record->alert_id != 0 && record->resolved_usec == 0;
        bool known = record->alert_id != 0;

        if (reasons == 0)
                return open ? PW_ALERT_RESOLVE : PW_ALERT_NOTHING;
        if (!open && known && now_usec < record->resolved_usec)
                known = true; /* the clock was set back: not a reason to alert again */
        else if (!open && known)
                known = now_usec - record->resolved_usec < realert_usec;
        if (!known)
                return PW_ALERT_RAISE;
        if (pw_reason_gravest(reasons) < pw_reason_gravest(record->reasons))
                return PW_ALERT_ESCALATE;
        if (!open)
                return PW_ALERT_REOPEN;
        return reasons != record->reasons ? PW_ALERT_UPDATE : PW_ALERT_NOTHING;
}
