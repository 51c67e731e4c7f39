/* SPDX-License-Identifier: MIT */
/* Dropping privileges, by libcap. */

#include "daemon/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER "portwatch"

/* Those that stay come first, then those that open the event engine. */
static const cap_value_t needed[] = {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_BPF, CAP_PERFMON,
                                     CAP_NET_ADMIN};
#define STAY 2
#define STAY_WITH_BPF 3

static void cap_freep(cap_t *caps)
{
        if (*caps)
                cap_free(*caps);
}

/* The user that the state directory belongs to, where that is ours; it is made where it is missing.
 */
static const struct passwd *user_to_be(const char *state_dir)
{
        const struct passwd *user;
        struct stat dir;

        if (geteuid() != 0)
                return NULL;
        user = getpwnam(USER);
        if (!user)
                return NULL;
        if (mkdir(state_dir, 0750) == 0 && chown(state_dir, user->pw_uid, user->pw_gid) < 0)
                return NULL;
        if (stat(state_dir, &dir) < 0 || dir.st_uid != user->pw_uid)
                return NULL;
        return user;
}

/* Keeps the first `n` of them. */
static int keep_only(size_t n)
{
        _cleanup_(cap_freep) cap_t had = cap_get_proc();
        _cleanup_(cap_freep) cap_t caps = cap_init();
        int differs;

        if (!had || !caps)
                return -errno;
        for (size_t i = 0; i < n; i++) {
                cap_flag_value_t value;

                if (cap_get_flag(had, needed[i], CAP_PERMITTED, &value) < 0)
                        return -errno;
                if (value != CAP_SET)
                        continue;
                if (cap_set_flag(caps, CAP_PERMITTED, 1, &needed[i], CAP_SET) < 0 ||
                    cap_set_flag(caps, CAP_EFFECTIVE, 1, &needed[i], CAP_SET) < 0)
                        return -errno;
        }
        /* A service's system call filter may have no capset(2); what is right already needs none.
         */
        differs = cap_compare(had, caps);
        if (!CAP_DIFFERS(differs, CAP_PERMITTED) && !CAP_DIFFERS(differs, CAP_EFFECTIVE))
                return 0;
        return cap_set_proc(caps) < 0 ? -errno : 0;
}

int pw_privileges_become(const char *state_dir, const char **ret_what)
{
        const struct passwd *user = user_to_be(state_dir);
        int r;

        *ret_what = "become user " USER;
        if (user) {
                if (prctl(PR_SET_KEEPCAPS, 1) < 0 || initgroups(USER, user->pw_gid) < 0 ||
                    setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0)
                        return -errno;
        }
        *ret_what = "drop capabilities";
        r = keep_only(PW_ELEMENTS(needed));
        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return 0;
}

int pw_privileges_drop(bool keep_bpf)
{
        return keep_only(keep_bpf ? STAY_WITH_BPF : STAY);
}
