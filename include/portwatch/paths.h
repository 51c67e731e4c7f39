/* SPDX-License-Identifier: MIT */
#pragma once

/* Where things are. Every one of them can be set on the command line, for tests and for a start
 * without privileges. */

#define PW_STATE_DIR "/var/lib/portwatch"
#define PW_RUN_DIR "/run/portwatch"
#define PW_CONFIG_FILE "/etc/portwatch/portwatch.conf"
#define PW_RULES_DIR_ETC "/etc/portwatch/rules.d"
#define PW_RULES_DIR_LIB "/usr/lib/portwatch/rules.d"

#define PW_BASELINE_FILE "baseline.rules"    /* in the state directory */
#define PW_LOCAL_RULES_FILE "50-local.rules" /* in the first rules directory */
#define PW_STATUS_FILE "status.json"         /* in the run directory */
#define PW_LOCK_FILE "portwatchd.lock" /* likewise; locked (F_OFD_SETLK) while the daemon lives */

#define PW_JOURNAL_SOCKET "/run/systemd/journal/socket"
#define PW_CGROUP2_DIRS "/sys/fs/cgroup/unified", "/sys/fs/cgroup"
