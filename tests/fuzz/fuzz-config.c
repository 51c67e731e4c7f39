/* SPDX-License-Identifier: MIT */
/* Settings from any bytes: every warning is clean and bounded, and no value leaves its bounds. */

#include "daemon/config.h"

#include <portwatch/text.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(void *userdata, const char *sentence)
{
        size_t *warnings = userdata;

        if (++*warnings > 51 || !pw_text_is_clean(sentence))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct pw_config config = pw_config_default;
        size_t warnings = 0;
        int r = pw_config_parse("fuzz.conf", (const char *)data, size, &config, check, &warnings);

        if (r != (warnings > 0))
                abort();
        if (config.poll_interval_usec > PW_USEC_PER_HOUR || config.cpu_budget_ppm > 1000000 ||
            config.retention_usec < PW_USEC_PER_HOUR || config.max_use_bytes < 1 << 20)
                abort();
        return 0;
}
