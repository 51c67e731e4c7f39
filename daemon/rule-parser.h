/* SPDX-License-Identifier: MIT */
#pragma once

/* The parser of one line, shared by its parts only: rule-words.c cuts the line into words and
 * refuses, rule-ports.c reads the ports, rule-parse.c the rest. */

#include "daemon/rule.h"

struct pw_rule_parser {
        const char *line;
        size_t length;
        size_t at; /* next byte to read */
        const struct pw_services *services;
        struct pw_rule *rule;
        unsigned seen;                    /* keys, a bit each */
        size_t value_at;                  /* where the text in `value` begins in the line */
        char value[PW_RULE_LINE_MAX + 1]; /* the word or value read last */
        struct pw_rule_fault *fault;
};

/* Notes what is wrong at an offset of the line. Returns -EINVAL. */
int pw_rule_refuse(struct pw_rule_parser *p, size_t offset, const char *format, ...) _printf_(3, 4);
/* The same of the text in `value`: `WHAT "VALUE"; expected EXPECTED`. */
int pw_rule_refuse_value(struct pw_rule_parser *p, const char *what, const char *expected);
/* What was written, cut for a message. Returns `buffer`. */
#define PW_RULE_ECHO_MAX 64
const char *pw_rule_echo(char buffer[static PW_RULE_ECHO_MAX], const char *text);

/* Refuses a line that is too long or not clean text. 0 or -EINVAL. */
int pw_rule_check_line(struct pw_rule_parser *p);
bool pw_rule_is_space(char c);
/* True at the next word, false at the end of the line or a comment. */
bool pw_rule_skip_to_word(struct pw_rule_parser *p);
/* Reads up to the next space into `value`. */
void pw_rule_read_bare(struct pw_rule_parser *p);
/* The next word, which has to be there. 0 or -EINVAL. */
int pw_rule_read_word(struct pw_rule_parser *p, const char *expected);
/* What stands behind `=`, quotes resolved. 0 or -EINVAL. */
int pw_rule_read_value(struct pw_rule_parser *p);

/* The word of ports, into the rule. 0, -EINVAL or -ENOMEM. */
int pw_rule_read_ports(struct pw_rule_parser *p);
