/* SPDX-License-Identifier: MIT */
/* The units and containers that a cgroup's path names.
 *
 * A path is made of names that others chose. Units count only where systemd itself makes them: the
 * first component below the slices, and, below a user's manager, the first one of its own tree.
 * Whatever is further down was delegated, and may be called anything. So a container found in a
 * user's tree names the user, too: it cannot pass for the system's. */

#include "daemon/attribution.h"

#include <portwatch/text.h>

#define CONTAINER_ID_LENGTH 64 /* hex digits of SHA-256 */
#define CONTAINER_ID_SHOWN 12

/* A component of a path: not NUL-terminated. */
struct part {
        const char *text;
        size_t length;
};

static bool part_begins(struct part part, const char *prefix)
{
        size_t length = strlen(prefix);

        return part.length >= length && memcmp(part.text, prefix, length) == 0;
}

static bool part_ends(struct part part, const char *suffix)
{
        size_t length = strlen(suffix);

        return part.length > length &&
               memcmp(part.text + part.length - length, suffix, length) == 0;
}

static bool part_is(struct part part, const char *text)
{
        return part.length == strlen(text) && memcmp(part.text, text, part.length) == 0;
}

/* Without its first `front` and last `back` characters. */
static struct part part_cut(struct part part, size_t front, size_t back)
{
        return (struct part){part.text + front, part.length - front - back};
}

/* The next component; false at the end. A leading '_' is systemd's escape for names that the
 * kernel's own files might have (cgroup.procs). */
static bool next_part(const char **path, struct part *ret)
{
        *path += strspn(*path, "/");
        ret->text = *path;
        ret->length = strcspn(*path, "/");
        *path += ret->length;
        if (ret->length == 0)
                return false;
        if (ret->text[0] == '_')
                *ret = part_cut(*ret, 1, 0);
        return true;
}

/* A name as systemd allows it, of one of the types that can have processes or sockets. */
static bool is_unit(struct part part)
{
        static const char *const types[] = {".service", ".scope", ".socket", ".mount", ".swap"};
        static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\@";

        if (part.length >= PW_UNIT_MAX)
                return false;
        for (size_t i = 0; i < part.length; i++)
                if (!memchr(allowed, part.text[i], sizeof allowed - 1))
                        return false;
        for (size_t i = 0; i < PW_ELEMENTS(types); i++)
                if (part_ends(part, types[i]))
                        return true;
        return false;
}

/* user@1000.service: where the tree of a user's own manager begins. */
static bool is_user_manager(struct part part)
{
        return part_begins(part, "user@") && part_ends(part, ".service");
}

static bool is_container_id(struct part part)
{
        if (part.length != CONTAINER_ID_LENGTH)
                return false;
        for (size_t i = 0; i < part.length; i++)
                if (!memchr("0123456789abcdef", part.text[i], 16))
                        return false;
        return true;
}

static int hex_digit(char c)
{
        static const char digits[] = "0123456789abcdef";
        const char *found = memchr(digits, c, 16);

        return found ? (int)(found - digits) : -1;
}

/* Undoes systemd's \xNN. Returns the length. */
static size_t unescape(struct part part, char *buffer, size_t size)
{
        size_t length = 0;

        for (size_t i = 0; i < part.length && length < size; length++) {
                bool escaped = part.length - i >= 4 && part.text[i] == '\\' &&
                               part.text[i + 1] == 'x' && hex_digit(part.text[i + 2]) >= 0 &&
                               hex_digit(part.text[i + 3]) >= 0;

                buffer[length] =
                    escaped ? (char)(hex_digit(part.text[i + 2]) * 16 + hex_digit(part.text[i + 3]))
                            : part.text[i];
                i += escaped ? 4 : 1;
        }
        return length;
}

static void put_container(struct pw_cgroup_names *names, const char *kind, struct part user,
                          struct part name)
{
        char raw[PW_UNIT_MAX], text[PW_UNIT_MAX - 48];

        if (name.length == 0)
                return;
        pw_text_clean(text, sizeof text, raw, unescape(name, raw, sizeof raw));
        snprintf(names->container, sizeof names->container, "%s%s%.*s:%s", kind,
                 user.text ? "@" : "", (int)PW_MIN(user.length, (size_t)16),
                 user.text ? user.text : "", text);
}

/* Names such as docker-ID.scope, and, where the manager makes no scopes, prefix:docker:ID. */
static bool find_by_id(struct pw_cgroup_names *names, struct part user, struct part above,
                       struct part part)
{
        static const struct {
                const char *prefix, *above, *kind;
        } engines[] = {
            {"docker-", "docker", "docker"},
            {"libpod-", "libpod", "podman"},
            {"cri-containerd-", "cri-containerd", "containerd"},
            {"nerdctl-", "nerdctl", "containerd"},
            {"crio-", "crio", "crio"},
        };
        const char *colon;

        if (part_ends(part, ".scope"))
                part = part_cut(part, 0, strlen(".scope"));
        colon = memrchr(part.text, ':', part.length);
        if (colon) {
                above = part_cut(part, 0, part.length - (size_t)(colon - part.text));
                part = part_cut(part, (size_t)(colon + 1 - part.text), 0);
                colon = memrchr(above.text, ':', above.length);
                if (colon)
                        above = part_cut(above, (size_t)(colon + 1 - above.text), 0);
        }
        for (size_t i = 0; i < PW_ELEMENTS(engines); i++) {
                struct part id = part;

                if (part_begins(part, engines[i].prefix))
                        id = part_cut(part, strlen(engines[i].prefix), 0);
                else if (!part_is(above, engines[i].above))
                        continue;
                if (!is_container_id(id))
                        continue;
                id.length = CONTAINER_ID_SHOWN;
                put_container(names, engines[i].kind, user, id);
                return true;
        }
        /* Kubernetes without scopes: /kubepods/burstable/podUID/ID, whatever the engine. */
        if (!part_begins(above, "pod") || !is_container_id(part))
                return false;
        part.length = CONTAINER_ID_SHOWN;
        put_container(names, "kubernetes", user, part);
        return true;
}

static bool find_by_name(struct pw_cgroup_names *names, struct part above, struct part part)
{
        if (part_begins(part, "machine-") && part_ends(part, ".scope"))
                put_container(names, "machine", (struct part){NULL, 0},
                              part_cut(part, strlen("machine-"), strlen(".scope")));
        else if (part_begins(part, "systemd-nspawn@") && part_ends(part, ".service"))
                put_container(names, "machine", (struct part){NULL, 0},
                              part_cut(part, strlen("systemd-nspawn@"), strlen(".service")));
        else if (part_begins(part, "lxc.payload."))
                put_container(names, "lxc", (struct part){NULL, 0},
                              part_cut(part, strlen("lxc.payload."), 0));
        else if (part_is(above, "lxc") || part_is(above, "lxc.payload"))
                put_container(names, "lxc", (struct part){NULL, 0}, part);
        else
                return false;
        return true;
}

static void put_unit(char *buffer, struct part part)
{
        memcpy(buffer, part.text, part.length);
        buffer[part.length] = '\0';
}

void pw_cgroup_names_parse(const char *path, struct pw_cgroup_names *ret)
{
        enum { SYSTEM, USER, DELEGATED } tree = SYSTEM;
        struct part part, above = {"", 0}, user = {NULL, 0};

        *ret = (struct pw_cgroup_names){0};
        for (; next_part(&path, &part); above = part) {
                /* Seen from inside a cgroup namespace: what is above is not known. */
                if (part_is(part, "..")) {
                        *ret = (struct pw_cgroup_names){0};
                        return;
                }
                if (!ret->container[0] && !find_by_id(ret, user, above, part) && !user.text)
                        find_by_name(ret, above, part);
                if (tree == DELEGATED || part_ends(part, ".slice"))
                        continue;
                if (tree == SYSTEM && is_unit(part)) {
                        put_unit(ret->unit, part);
                        tree = is_user_manager(part) ? USER : DELEGATED;
                        if (tree == USER)
                                user = part_cut(part, strlen("user@"), strlen(".service"));
                        continue;
                }
                if (tree == USER && is_unit(part))
                        put_unit(ret->user_unit, part);
                tree = DELEGATED;
        }
}
