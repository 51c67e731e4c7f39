/* SPDX-License-Identifier: MIT */
#pragma once

/* What the two files of the query side share. */

#include <portwatch/query.h>

struct sqlite3;

struct pw_query {
        struct sqlite3 *db;
        char *file; /* path of history.db */
        int schema;
};
