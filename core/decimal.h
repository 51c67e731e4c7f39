/* SPDX-License-Identifier: MIT */
#pragma once

/* Decimal fractions in what people type (`1.5h`, `0.2%`, `@1764000000.25`), without floating
 * point: the digits stay text until the unit is known, so that nothing is rounded twice. */

#include <portwatch/base.h>

struct pw_decimal {
        uint64_t whole;
        const char *fraction; /* digits behind the point, in the text that was read */
        size_t n_fraction;
};

/* Reads the longest number (`12`, `12.5`) at *text and moves *text behind it.
 * 0, -EINVAL (no digit, or none behind the point) or -ERANGE. */
int pw_decimal_read(const char **text, struct pw_decimal *ret);

/* The number times `unit`, rounded down. 0 or -ERANGE. */
int pw_decimal_scale(const struct pw_decimal *decimal, uint64_t unit, uint64_t *ret);
