/* SPDX-License-Identifier: MIT */
#pragma once

/* Privileges at the start: which user to be, and which capabilities to keep. */

#include <portwatch/base.h>

/* Started as root with a state directory that belongs to the system user `portwatch`: becomes that
 * user. In any case no capability is kept but those that pw_privileges_drop() keeps and those that
 * the event engine takes to be opened; nothing can be gained later. 0 or -errno; `ret_what`
 * (static) says which step failed. */
int pw_privileges_become(const char *state_dir, const char **ret_what);

/* Once the event engine is open: only CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH are kept, as far as
 * they are there (looking into other users' processes takes both), and CAP_BPF where `keep_bpf`. 0
 * or -errno. */
int pw_privileges_drop(bool keep_bpf);
