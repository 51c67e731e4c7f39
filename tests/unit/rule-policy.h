/* SPDX-License-Identifier: MIT */
#pragma once

/* Rules in force for the tests of them: made from text, and asked about records. */

#include "daemon/rule.h"
#include "tests/unit/rule-records.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW (1800000000 * PW_USEC_PER_SEC)

_unused_ static struct pw_policy *policy_of(const char *text)
{
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        struct pw_policy *policy;

        assert_int_equal(pw_policy_new(&policy), 0);
        if (pw_policy_parse(policy, "test.rules", text, strlen(text), NULL, &refusals) != 0)
                fail_msg("%s", refusals.items[0]);
        return policy;
}

_unused_ static struct pw_ruling judge(const struct pw_policy *policy, struct sample sample)
{
        _cleanup_(pw_record_unrefp) struct pw_record *record = sample_record(&sample);

        return pw_policy_judge(policy, record, NOW);
}
