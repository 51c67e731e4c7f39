/* SPDX-License-Identifier: MIT */
/* One rule made from one listener.
 *
 * It matches its listener and nothing of another executable, user or scope. What is suspicious or
 * not known gets none: a person has to write it. A wildcard character in a name is put in brackets,
 * `[*]`, so that it stands for itself.
 *
 * A rule should match again after a restart, of the host or of a container. So a path inside a
 * container, which exe= never matches, is left out and the container has to say who it is; and a
 * name that is a number of the kernel's or an id of a container engine's (`net:[4026532001]`,
 * `podman:0123456789ab`) becomes a pattern, `podman:*`, where something else that lasts says who it
 * is: the executable, or the container's own service. Otherwise the container's id stays as it is:
 * it lives as long as the container, over all its restarts, and `*` would take any container. The
 * inode of a nameless namespace never lasts: any namespace without a name will do, `net:[[]*]`. */

#include "daemon/rule.h"

#include <portwatch/text.h>

#include <stdarg.h>

struct out {
        char *buffer;
        size_t size, length;
        bool full;
};

static void _printf_(2, 3) put(struct out *out, const char *format, ...)
{
        va_list arguments;
        int n;

        if (out->full)
                return;
        va_start(arguments, format);
        n = vsnprintf(out->buffer + out->length, out->size - out->length, format, arguments);
        va_end(arguments);
        if (n < 0 || (size_t)n >= out->size - out->length)
                out->full = true;
        else
                out->length += (size_t)n;
}

/* In a value: any text. What is clean has no such character. */
#define ANY "\1"

/* ` key=value`, so that it is read as just this text, with a wildcard for ANY. */
static void put_value(struct out *out, const char *key, const char *value)
{
        bool quoted = strpbrk(value, " #\"");

        put(out, " %s=%s", key, quoted ? "\"" : "");
        for (const char *c = value; *c && !out->full; c++)
                if (*c == ANY[0])
                        put(out, "*");
                else if (strchr("*?[", *c))
                        put(out, "[%c]", *c);
                else
                        put(out, "%s%c", quoted && strchr("\"\\", *c) ? "\\" : "", *c);
        put(out, "%s", quoted ? "\"" : "");
}

static void put_user(struct out *out, const struct pw_owner *owner)
{
        const char *user = owner->user ? owner->user : "";

        /* A name of digits would be read as a uid. */
        if (user[strspn(user, "0123456789")] == '\0')
                put(out, " user=%u", owner->uid);
        else
                put_value(out, "user", user);
}

static bool has_text(const char *text)
{
        return text && text[0];
}

static bool is_unit(const char *unit, const char *type)
{
        const char *dot = unit ? strrchr(unit, '.') : NULL;

        return dot && strcmp(dot, type) == 0;
}

/* A path inside a container says nothing. */
static bool needs_exe(const struct pw_owner *owner)
{
        return !(owner->traits & (PW_TRAIT_KERNEL | PW_TRAIT_FOREIGN_ROOT));
}

/* Whether the unit is a service that runs just this container. Only podman does that; a service of
 * other engines may run them all. */
static bool is_containers_own(const struct pw_owner *owner)
{
        char pattern[PW_UNIT_MAX];

        return has_text(owner->container) && strncmp(owner->container, "podman:", 7) == 0 &&
               is_unit(owner->unit, ".service") &&
               strcmp(pw_unit_pattern(pattern, sizeof pattern, owner->unit), owner->unit) == 0;
}

/* Everything of PID 1 has the same executable: there only the unit says which socket it is. */
static bool needs_unit(const struct pw_owner *owner)
{
        if (!has_text(owner->unit) || owner->traits & PW_TRAIT_KERNEL)
                return false;
        if (!needs_exe(owner))
                return is_containers_own(owner);
        return (owner->n_pids > 0 && owner->pids[0] == 1) || is_unit(owner->unit, ".socket");
}

/* ---- names that do not last ---- */

/* Where the id at the end of a container's name begins, its length where there is none. */
static size_t container_id_at(const char *name)
{
        char pattern[PW_UNIT_MAX];
        size_t stem = strcspn(name, ":") + 1;

        pw_unit_pattern(pattern, sizeof pattern, name);
        if (strcmp(pattern, name) != 0 && strncmp(pattern, name, stem) == 0 &&
            strcmp(pattern + stem, "*") == 0)
                return stem;
        return strlen(name);
}

/* ` key=NAME` of a container; `lasting`: something else says who it is. */
static void put_container(struct out *out, const char *key, const char *name, bool lasting)
{
        char value[PW_RULE_TEXT_MAX];
        size_t at = container_id_at(name);

        if (!lasting || name[at] == '\0') {
                put_value(out, key, name);
                return;
        }
        snprintf(value, sizeof value, "%.*s" ANY, (int)at, name);
        put_value(out, key, value);
}

/* Where `net:[INODE]` at the end of a namespace's name begins, its length where it has none. */
static size_t inode_at(const char *name)
{
        static const char head[] = "net:[";
        const size_t length = strlen(name), head_length = strlen(head);
        size_t at = length;

        if (at == 0 || name[--at] != ']')
                return length;
        while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
                at--;
        if (at + 1 == length || at < head_length ||
            memcmp(name + at - head_length, head, head_length) != 0)
                return length;
        at -= head_length;
        return at == 0 || name[at - 1] == ' ' ? at : length;
}

/* Namespaces are named as daemon/namespaces.h says: by a container, by `ip netns`, by their inode,
 * or by a name and the inode. */
static void put_netns(struct out *out, const char *name, bool lasting)
{
        char value[PW_RULE_TEXT_MAX], stem[PW_RULE_TEXT_MAX];
        size_t at = inode_at(name), id;

        if (name[at] == '\0') {
                put_container(out, "netns", name, lasting);
                return;
        }
        snprintf(stem, sizeof stem, "%.*s", at > 0 ? (int)at - 1 : 0, name);
        id = lasting ? container_id_at(stem) : strlen(stem);
        snprintf(value, sizeof value, "%.*s%s%snet:[%s]", (int)id, stem, stem[id] ? ANY : "",
                 at > 0 ? " " : "", ANY);
        put_value(out, "netns", value);
}

/* ---- the keys ---- */

/* The keys that name the owner and the place, without verdict, protocol and ports. */
static void put_keys(struct out *out, const struct pw_record *record)
{
        const struct pw_owner *owner = record->owner;
        bool kernel = owner->traits & PW_TRAIT_KERNEL;
        bool lasting = kernel || needs_exe(owner) || needs_unit(owner);

        if (kernel)
                put(out, " owner=kernel");
        if (needs_exe(owner))
                put_value(out, "exe", owner->exe);
        if (!kernel)
                put_user(out, owner);
        if (needs_unit(owner))
                put_value(out, "unit", owner->unit);
        put(out, " scope=%s", pw_scope_name(record->scope));
        if (has_text(record->device))
                put_value(out, "device", record->device);
        if (has_text(owner->container))
                put_container(out, "container", owner->container, lasting);
        if (has_text(record->netns) && strcmp(record->netns, PW_NETNS_HOST) != 0)
                put_netns(out, record->netns, lasting);
}

static const char *protocol_word(const struct pw_record *record)
{
        return pw_rule_protocol(record->protocol) == PW_RULE_TCP ? "tcp" : "udp";
}

int pw_rule_format_keys(const struct pw_record *record, char *buffer, size_t size)
{
        struct out out = {.buffer = buffer, .size = size};

        if (pw_owner_obstacle(record->owner))
                return 1;
        put_keys(&out, record);
        return out.full ? -E2BIG : 0;
}

int pw_rule_format(const struct pw_record *record, const char *verdict, char *buffer, size_t size)
{
        char text[PW_RULE_TEXT_MAX];
        struct out out = {.buffer = text, .size = sizeof text};

        if (pw_owner_obstacle(record->owner))
                return 1;
        put(&out, "%s %s ", verdict, protocol_word(record));
        /* Only a port of its own can be required; of what is folded, the parser says so. */
        if (pw_record_is_folded(record) || (record->ephemeral && strcmp(verdict, "require") != 0))
                put(&out, "ephemeral");
        else
                put(&out, "%u", record->port);
        put_keys(&out, record);
        if (out.full || out.length >= size)
                return -E2BIG;
        strcpy(buffer, text);
        return 0;
}
