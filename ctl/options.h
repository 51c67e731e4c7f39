/* SPDX-License-Identifier: MIT */
#pragma once

/* The tables of verbs and options: they drive parsing, help and error messages. */

#include "ctl/ctl.h"

/* Options that only some verbs have; the others stand before and behind every verb. */
enum pw_option_set {
        PW_OPTION_ALL = 1 << 0,
        PW_OPTION_UNEXPECTED = 1 << 1,
        PW_OPTION_AT = 1 << 2,
        PW_OPTION_SPAN = 1 << 3, /* --since --until -n */
        PW_OPTION_FOR = 1 << 4,
        PW_OPTION_LIVE = 1 << 5, /* --sockets --record --replay */
        PW_OPTION_COLUMNS = 1 << 6,
};

struct pw_verb {
        const char *name;
        int (*run)(struct pw_ctl *ctl);
        unsigned options; /* enum pw_option_set */
        size_t least_words, most_words;
        const char *words; /* how its words are called */
        const char *summary;
        const char *examples; /* lines, each a command and what it does */
};

extern const struct pw_verb pw_verbs[];
extern const size_t pw_verbs_count;

enum pw_option_kind {
        PW_OPTION_FLAG, /* sets a bool */
        PW_OPTION_TEXT, /* sets a const char * */
        PW_OPTION_JSON,
        PW_OPTION_RULES,
};

struct pw_option {
        const char *name;
        char letter; /* 0: none */
        enum pw_option_kind kind;
        size_t offset;        /* of the field in struct pw_ctl */
        unsigned set;         /* enum pw_option_set, 0: every verb has it */
        const char *argument; /* what it is called in the help, NULL: none */
        const char *summary;
};

extern const struct pw_option pw_options[];
extern const size_t pw_options_count;

/* The verb, or NULL. */
const struct pw_verb *pw_verb_find(const char *name);
/* The verb whose name is nearest to a mistyped one, NULL where none is near. */
const struct pw_verb *pw_verb_nearest(const char *word);

/* Prints the help of a verb, or with NULL of the program. */
void pw_ctl_help(const struct pw_verb *verb);
