/* SPDX-License-Identifier: MIT */
#pragma once

/* Enumerations and their names: one table each, looked up both ways. */

#include <portwatch/base.h>

/* The index of `name` in the table, or -EINVAL. */
static inline int pw_name_index(const char *const *names, size_t n, const char *name)
{
        for (size_t i = 0; name && i < n; i++)
                if (names[i] && strcmp(names[i], name) == 0)
                        return (int)i;
        return -EINVAL;
}

/* Defines NAME_name() and NAME_from_name() for an enumeration of `count` values from 0. */
#define PW_DEFINE_NAMES(type, function, names, count)                                              \
        _Static_assert(PW_ELEMENTS(names) == (count), "every value has a name");                   \
        const char *function##_name(type value)                                                    \
        {                                                                                          \
                return (unsigned)value < (unsigned)(count) ? names[value] : "";                    \
        }                                                                                          \
        int function##_from_name(const char *name, type *ret)                                      \
        {                                                                                          \
                int i = pw_name_index(names, count, name);                                         \
                                                                                                   \
                if (i < 0)                                                                         \
                        return i;                                                                  \
                *ret = (type)i;                                                                    \
                return 0;                                                                          \
        }

/* Appends the names of the bits set in `set`, in order, as a comma list. Returns `buffer`. */
char *pw_names_format(char *buffer, size_t size, const char *const *names, size_t n, unsigned set);
