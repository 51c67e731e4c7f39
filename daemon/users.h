/* SPDX-License-Identifier: MIT */
#pragma once

/* Names of users: of passwd in a directory, else of the system's name service, else decimal. */

#include <portwatch/base.h>

struct pw_users;

/* `etc_fd` stays the caller's. 0 or -ENOMEM. */
int pw_users_new(int etc_fd, struct pw_users **ret);
void pw_users_free(struct pw_users *users);
PW_DEFINE_CLEANUP(struct pw_users *, pw_users_free)

/* Forgets what may have changed since the last call: everything when passwd is another file now,
 * else only the users that had no name. */
void pw_users_refresh(struct pw_users *users);

/* The user's name as a new string, clean; NULL when out of memory. */
char *pw_users_name(struct pw_users *users, uint32_t uid);
