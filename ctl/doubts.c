/* SPDX-License-Identifier: MIT */
/* What rules name and this host does not have. */

#include "ctl/doubts.h"

#include <portwatch/base.h>

#include <limits.h>
#include <pwd.h>

char *pw_link_target(const char *exe)
{
        char *target = exe[0] == '/' ? realpath(exe, NULL) : NULL;

        if (!target || strcmp(target, exe) != 0)
                return target;
        free(target);
        return NULL;
}

void pw_doubt(const char *exe, const char *user, void (*tell)(void *userdata, const char *sentence),
              void *userdata)
{
        _cleanup_(pw_freep) char *target = exe ? pw_link_target(exe) : NULL;
        char sentence[2 * PATH_MAX + 128];

        if (target) {
                snprintf(sentence, sizeof sentence,
                         "exe=%s is a symbolic link and matches nothing; what runs is exe=%s", exe,
                         target);
                tell(userdata, sentence);
        }
        if (user && !getpwnam(user)) {
                snprintf(sentence, sizeof sentence, "user=%s: there is no such user here", user);
                tell(userdata, sentence);
        }
}
