/* SPDX-License-Identifier: MIT */
/* Owners: counted, immutable once published. What makes two of them the same is names only, and
 * names that systemd makes up anew at every start count by their pattern. */

#include <portwatch/owner.h>
#include <portwatch/text.h>

#include "core/names.h"

#include <assert.h>

/* By bit. */
static const char *const trait_names[] = {"foreign-root", "deleted", "memfd", "temporary",
                                          "kernel"};
_Static_assert(PW_TRAIT_KERNEL == 1 << (PW_ELEMENTS(trait_names) - 1), "every trait has a name");

static const char *const unknown_names[] = {
    [PW_KNOWN] = "",
    [PW_UNKNOWN_HIDDEN] = "hidden",
    [PW_UNKNOWN_NO_HOLDER] = "no-holder",
    [PW_UNKNOWN_NOT_ASKED] = "not-asked",
};
PW_DEFINE_NAMES(enum pw_unknown, pw_unknown, unknown_names, PW_UNKNOWN_COUNT)

static const char *const unknown_reasons[] = {
    [PW_KNOWN] = "",
    [PW_UNKNOWN_HIDDEN] = "its process may not be looked into",
    [PW_UNKNOWN_NO_HOLDER] = "no process holds it: just ended, being handed over, or the kernel's",
    [PW_UNKNOWN_NOT_ASKED] = "its process was not looked for",
};
_Static_assert(PW_ELEMENTS(unknown_reasons) == PW_UNKNOWN_COUNT, "every one has a reason");

const char *pw_trait_name(enum pw_trait trait)
{
        for (size_t i = 0; i < PW_ELEMENTS(trait_names); i++)
                if ((unsigned)trait == 1u << i)
                        return trait_names[i];
        return "";
}

char *pw_traits_format(char *buffer, size_t size, unsigned traits)
{
        return pw_names_format(buffer, size, trait_names, PW_ELEMENTS(trait_names), traits);
}

const char *pw_unknown_reason(enum pw_unknown unknown)
{
        return (unsigned)unknown < PW_UNKNOWN_COUNT ? unknown_reasons[unknown] : "";
}

struct pw_owner *pw_owner_new(void)
{
        struct pw_owner *owner = calloc(1, sizeof *owner);

        if (owner)
                owner->references = 1;
        return owner;
}

struct pw_owner *pw_owner_ref(struct pw_owner *owner)
{
        if (owner)
                owner->references++;
        return owner;
}

void pw_owner_unref(struct pw_owner *owner)
{
        if (!owner)
                return;
        assert(owner->references > 0);
        if (--owner->references > 0)
                return;
        free(owner->user);
        free(owner->exe);
        free(owner->unit);
        free(owner->user_unit);
        free(owner->container);
        free(owner->comm);
        free(owner->cmdline);
        free(owner);
}

/* ---- patterns of names that change every time ---- */

static size_t span_digits(const char *text)
{
        return strspn(text, "0123456789");
}

static size_t span_hex(const char *text)
{
        return strspn(text, "0123456789abcdef");
}

/* `length` characters that are all digits, at least one. */
static bool is_digits(const char *text, size_t length)
{
        return length > 0 && span_digits(text) >= length;
}

static bool is_hex(const char *text, size_t length)
{
        return span_hex(text) >= length;
}

/* 01234567-89ab-cdef-0123-456789abcdef */
static bool is_uuid(const char *text, size_t length)
{
        static const uint8_t groups[] = {8, 4, 4, 4, 12};

        if (length != 36)
                return false;
        for (size_t i = 0; i < PW_ELEMENTS(groups); i++) {
                if (span_hex(text) < groups[i] ||
                    (i + 1 < PW_ELEMENTS(groups) && text[groups[i]] != '-'))
                        return false;
                text += groups[i] + 1;
        }
        return true;
}

/* What systemd-run puts behind "run-": u12, r + 32 hex digits, a pid, p4711-i4712. */
static bool is_run_id(const char *text, size_t length)
{
        size_t pid;

        switch (text[0]) {
        case 'u':
                return is_digits(text + 1, length - 1);
        case 'r':
                return length > 8 && is_hex(text + 1, length - 1);
        case 'p':
                pid = span_digits(text + 1);
                return pid > 0 && strncmp(text + 1 + pid, "-i", 2) == 0 && length > pid + 3 &&
                       is_digits(text + pid + 3, length - pid - 3);
        default:
                return is_digits(text, length);
        }
}

/* Where the part of the name that changes begins: it ends with the stem, at `length`. Equal to
 * `length` where nothing changes. A number at the end says so only in scopes, which never come from
 * a file: postgresql-15.service is a name. */
static size_t changing_part(const char *name, size_t length, bool scope)
{
        size_t tail;

        if (scope && length > 8 && strncmp(name, "session-", 8) == 0) {
                tail = 8 + (name[8] == 'c'); /* c1: sessions of the display manager */
                if (is_digits(name + tail, length - tail))
                        return 8;
        }
        if (length > 4 && strncmp(name, "run-", 4) == 0 && is_run_id(name + 4, length - 4))
                return 4;
        if (length > 37 && name[length - 37] == '-' && is_uuid(name + length - 36, 36))
                return length - 36;
        for (tail = length; tail > 0 && name[tail - 1] != '-' && name[tail - 1] != '@';)
                tail--;
        if (tail < 2 || name[tail - 1] == '@')
                return length;
        if (length - tail >= 32 && is_hex(name + tail, length - tail))
                return tail;
        return scope && is_digits(name + tail, length - tail) ? tail : length;
}

/* The id in a container's name, `docker:0123456789ab`. */
static size_t changing_container(const char *name, size_t length)
{
        const char *colon = memchr(name, ':', length);
        size_t start = colon ? (size_t)(colon + 1 - name) : length;

        return length - start >= 12 && is_hex(name + start, length - start) ? start : length;
}

char *pw_unit_pattern(char *buffer, size_t size, const char *unit)
{
        const char *suffix = strrchr(unit, '.');
        bool scope = suffix && strcmp(suffix, ".scope") == 0;
        size_t length = suffix ? (size_t)(suffix - unit) : strlen(unit), start;

        if (scope || (suffix && strcmp(suffix, ".service") == 0)) {
                start = changing_part(unit, length, scope);
        } else {
                suffix = "";
                length = strlen(unit);
                start = changing_container(unit, length);
        }
        snprintf(buffer, size, "%.*s%s%s", (int)PW_MIN(start, size), unit,
                 start < length ? "*" : "", suffix);
        return buffer;
}

static bool same_pattern(const char *a, const char *b)
{
        char pattern_a[PW_UNIT_MAX], pattern_b[PW_UNIT_MAX];

        if (pw_text_equal(a, b))
                return true;
        return a && b &&
               strcmp(pw_unit_pattern(pattern_a, sizeof pattern_a, a),
                      pw_unit_pattern(pattern_b, sizeof pattern_b, b)) == 0;
}

bool pw_owner_same(const struct pw_owner *a, const struct pw_owner *b)
{
        return a == b || (a->traits == b->traits && pw_text_equal(a->user, b->user) &&
                          pw_text_equal(a->exe, b->exe) && same_pattern(a->unit, b->unit) &&
                          same_pattern(a->user_unit, b->user_unit) &&
                          same_pattern(a->container, b->container));
}

const char *pw_owner_obstacle(const struct pw_owner *owner)
{
        if (owner->traits & PW_TRAITS_SUSPICIOUS)
                return "its executable is deleted, in memory, or where anybody may write";
        if (owner->traits & PW_TRAIT_KERNEL)
                return NULL;
        if (owner->unknown != PW_KNOWN || !owner->exe || owner->exe[0] != '/')
                return "its executable is not known";
        if (owner->traits & PW_TRAIT_FOREIGN_ROOT && (!owner->container || !owner->container[0]))
                return "its executable is not this host's file of that path, so that exe= would "
                       "not match, and no container is named";
        return NULL;
}
