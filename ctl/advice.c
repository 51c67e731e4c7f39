/* SPDX-License-Identifier: MIT */
/* Shell lines for people to copy. Only stopping a unit or ending a process really closes a port:
 * destroying the socket from outside leaves UDP bound, so it is not proposed. */

#include "ctl/advice.h"

#include "ctl/ctl.h"

#include <portwatch/paths.h>

#include <stdarg.h>

static void add(struct pw_advice *advice, bool command, const char *label, const char *format, ...)
    _printf_(4, 5);

static void add(struct pw_advice *advice, bool command, const char *label, const char *format, ...)
{
        va_list arguments;

        if (advice->n == PW_ADVICE_MAX)
                return;
        snprintf(advice->items[advice->n].label, sizeof advice->items[0].label, "%s", label);
        va_start(arguments, format);
        vsnprintf(advice->items[advice->n].text, sizeof advice->items[0].text, format, arguments);
        va_end(arguments);
        advice->items[advice->n++].command = command;
}

static bool ends_with(const char *text, const char *end)
{
        size_t n = text ? strlen(text) : 0, m = strlen(end);

        return n > m && strcmp(text + n - m, end) == 0;
}

static bool starts_with(const char *text, const char *start)
{
        return text && strncmp(text, start, strlen(start)) == 0;
}

/* ---- allow ---- */

/* Whether a rule stands in front of all that `portwatchctl allow` writes. */
static bool comes_first(const char *place)
{
        const char *slash = strrchr(place, '/'), *name = slash ? slash + 1 : place;
        size_t length = strlen(PW_LOCAL_RULES_FILE);

        return strncmp(name, PW_LOCAL_RULES_FILE, length) < 0;
}

void pw_advice_allow(const struct pw_record *record, int64_t alert_id, struct pw_advice *ret)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "@%+=:,./_- ";
        char rule[PW_RULE_TEXT_MAX], quoted[2 * PW_RULE_TEXT_MAX];
        const char *words = rule + strlen("allow ");

        ret->n = 0;
        if (record->verdict == PW_DENIED && record->rule && comes_first(record->rule)) {
                add(ret, false, "allow it",
                    "by a change of %s: it comes before what portwatchctl allow writes",
                    record->rule);
                return;
        }
        if (pw_rule_format(record, "allow", rule, sizeof rule) != 0) {
                const char *obstacle = pw_owner_obstacle(record->owner);

                add(ret, false, "allow it", "only by a rule of your own: %s",
                    obstacle ? obstacle : "its names are too long for one made from it");
                return;
        }
        if (alert_id != 0)
                add(ret, true, "allow it", "portwatchctl allow @%lld", (long long)alert_id);
        else if (words[strspn(words, plain)] == '\0')
                add(ret, true, "allow it", "portwatchctl %s", rule);
        else
                add(ret, true, "allow it", "portwatchctl allow %s",
                    pw_shell_quote(quoted, sizeof quoted, words));
}

/* ---- close and start ---- */

enum action {
        ACTION_CLOSE,
        ACTION_START,
        ACTION_COUNT,
};
static const char *const labels[ACTION_COUNT] = {"close it", "start it"};

static bool act_on_container(const char *container, enum action action, struct pw_advice *ret)
{
        static const struct {
                const char *kind, *commands[ACTION_COUNT];
        } commands[] = {
            {"docker:", {"docker stop", "docker start"}},
            {"podman:", {"podman stop", "podman start"}},
            {"machine:", {"machinectl poweroff", "machinectl start"}},
            {"lxc:", {"lxc-stop -n", "lxc-start -n"}},
        };
        char quoted[PW_SHELL_MAX];

        for (size_t i = 0; i < PW_ELEMENTS(commands); i++) {
                if (!starts_with(container, commands[i].kind))
                        continue;
                pw_shell_quote(quoted, sizeof quoted, container + strlen(commands[i].kind));
                add(ret, true, labels[action], "%s %s", commands[i].commands[action], quoted);
                return true;
        }
        return false;
}

/* Scopes and users' managers are left alone: to stop them would end whole sessions. */
static bool is_stoppable(const char *unit)
{
        return ends_with(unit, ".socket") ||
               (ends_with(unit, ".service") && !starts_with(unit, "user@"));
}

static void act_on_unit(const char *unit, const char *manager, enum action action,
                        struct pw_advice *ret)
{
        char quoted[PW_SHELL_MAX], service[PW_UNIT_MAX + 16], quoted_service[PW_SHELL_MAX];
        const char *end = unit[0] == '-' ? "-- " : "";

        pw_shell_quote(quoted, sizeof quoted, unit);
        if (action == ACTION_START || !ends_with(unit, ".socket")) {
                add(ret, true, labels[action], "systemctl %s%s %s%s", manager,
                    action == ACTION_START ? "start" : "stop", end, quoted);
                return;
        }
        /* The socket first, or the next packet would start the service again. */
        snprintf(service, sizeof service, "%.*s.service", (int)(strlen(unit) - strlen(".socket")),
                 unit);
        add(ret, true, "close it", "systemctl %sstop %s%s %s", manager, end, quoted,
            pw_shell_quote(quoted_service, sizeof quoted_service, service));
}

static void close_process(const struct pw_owner *owner, struct pw_advice *ret)
{
        char pids[256] = "";
        size_t used = 0;

        for (unsigned i = 0; i < owner->n_pids && used < sizeof pids - 16; i++)
                if (owner->pids[i] > 1)
                        used += (size_t)snprintf(pids + used, sizeof pids - used, " %d",
                                                 (int)owner->pids[i]);
        if (used > 0)
                add(ret, true, ret->n > 0 ? "or only" : "close it", "kill%s", pids);
}

/* The user's unit, else the system's; a container's is left to what manages the container. */
static void act_on_units(const struct pw_owner *owner, enum action action, struct pw_advice *ret)
{
        char manager[PW_SHELL_MAX + 32], who[80], quoted[PW_SHELL_MAX];

        if (is_stoppable(owner->user_unit)) {
                snprintf(who, sizeof who, "%.64s@", owner->user ? owner->user : "");
                snprintf(manager, sizeof manager, "--user -M %s ",
                         pw_shell_quote(quoted, sizeof quoted, who));
                act_on_unit(owner->user_unit, manager, action, ret);
        } else if (is_stoppable(owner->unit)) {
                act_on_unit(owner->unit, "", action, ret);
        }
}

void pw_advice_start(const struct pw_record *record, struct pw_advice *ret)
{
        ret->n = 0;
        if (!act_on_container(record->owner->container, ACTION_START, ret))
                act_on_units(record->owner, ACTION_START, ret);
}

void pw_advice_close(const struct pw_record *record, struct pw_advice *ret)
{
        const struct pw_owner *owner = record->owner;

        ret->n = 0;
        if (act_on_container(owner->container, ACTION_CLOSE, ret))
                return;
        act_on_units(owner, ACTION_CLOSE, ret);
        close_process(owner, ret);
        if (ret->n > 0)
                return;
        if (owner->traits & PW_TRAIT_KERNEL)
                add(ret, false, "close it",
                    "the kernel holds it itself (a tunnel, a file server): "
                    "undo what set that up");
        else
                add(ret, false, "close it", "no process is known that could be ended");
}

/* ---- prevent ---- */

void pw_advice_prevent(const struct pw_record *record, struct pw_advice *ret)
{
        const struct pw_owner *owner = record->owner;
        const char *protocol = pw_protocol_name(record->protocol);
        char quoted[PW_SHELL_MAX];

        ret->n = 0;
        /* The answers to what it sends come back to any of these ports, and not to it alone. */
        if (pw_record_is_folded(record))
                return;
        if (record->protocol != PW_UDPLITE && is_stoppable(owner->unit) && !owner->container)
                add(ret, false, "keep closed",
                    "SocketBindDeny=%s:%u   (a line for: systemctl edit %s%s)", protocol,
                    record->port, owner->unit[0] == '-' ? "-- " : "",
                    pw_shell_quote(quoted, sizeof quoted, owner->unit));
        if (strcmp(record->netns, PW_NETNS_HOST) != 0)
                return;
        /* A table of its own: what a host has already is not known. */
        add(ret, true, "refuse",
            "nft 'add table inet portwatch; add chain inet portwatch input { type filter hook "
            "input "
            "priority 0; }; add rule inet portwatch input %s dport %u drop'",
            protocol, record->port);
        add(ret, false, "", "(until the next boot, or: nft delete table inet portwatch)");
}
