/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of attribution share: attribution.c finds the holders of sockets, and
 * attribution-owner.c reads what identifies a process. */

#include "daemon/attribution.h"
#include "daemon/cgroup.h"
#include "daemon/holders.h"
#include "daemon/users.h"

struct pw_attribution {
        struct pw_attribution_roots roots;
        struct pw_proc proc;
        struct pw_users *users;
        bool partial;
};

/* Sets a text to a copy; an empty one to NULL. 0 or -ENOMEM. */
int attribution_set_text(char **field, const char *text);
int attribution_set_names(struct pw_owner *owner, const struct pw_cgroup_names *names);
int attribution_set_user(struct pw_owner *owner, struct pw_users *users, uint32_t uid);

/* Reads what identifies a process, all but its pids. 0 (with NULL where it has ended) or -ENOMEM.
 */
int attribution_read_process(struct pw_attribution *attribution, const struct pw_holder *holder,
                             struct pw_owner **ret);
