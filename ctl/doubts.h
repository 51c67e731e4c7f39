/* SPDX-License-Identifier: MIT */
#pragma once

/* A rule may be well written and yet match nothing, as what it names is not so on this host. That
 * is no mistake (a package may come later), so it is told and not refused. */

/* The file that a path leads to, where that has another path: a process is known by the path of the
 * file that it runs. A new string; NULL where there is none. */
char *pw_link_target(const char *exe);

/* Hands over one sentence for each doubt about exe= and user=; either may be NULL. */
void pw_doubt(const char *exe, const char *user, void (*tell)(void *userdata, const char *sentence),
              void *userdata);
