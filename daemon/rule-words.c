/* SPDX-License-Identifier: MIT */
/* Cuts a line into words.
 *
 * Words are separated by spaces and tabs; a `#` at the start of a word begins a comment. A value
 * may stand in double quotes, in which \" and \\ are the only escapes; outside of them a backslash
 * is itself, as unit names need it. The line has to be clean text (text.h), since all that it is
 * compared with is. */

#include "daemon/rule-parser.h"

#include <portwatch/text.h>

#include <stdarg.h>

/* ---- refusing ---- */

static size_t column_of(const struct pw_rule_parser *p, size_t offset)
{
        size_t column = 1;

        for (size_t i = 0; i < offset && i < p->length; i++)
                column += ((unsigned char)p->line[i] & 0xc0) != 0x80;
        return column;
}

int pw_rule_refuse(struct pw_rule_parser *p, size_t offset, const char *format, ...)
{
        va_list arguments;

        p->fault->column = column_of(p, offset);
        va_start(arguments, format);
        vsnprintf(p->fault->text, sizeof p->fault->text, format, arguments);
        va_end(arguments);
        return -EINVAL;
}

const char *pw_rule_echo(char buffer[static PW_RULE_ECHO_MAX], const char *text)
{
        pw_text_clean(buffer, PW_RULE_ECHO_MAX, text, strlen(text));
        return buffer;
}

int pw_rule_refuse_value(struct pw_rule_parser *p, const char *what, const char *expected)
{
        char shown[PW_RULE_ECHO_MAX];

        return pw_rule_refuse(p, p->value_at, "%s \"%s\"; expected %s", what,
                              pw_rule_echo(shown, p->value), expected);
}

/* ---- words ---- */

bool pw_rule_is_space(char c)
{
        return c == ' ' || c == '\t';
}

int pw_rule_check_line(struct pw_rule_parser *p)
{
        char plain[PW_RULE_LINE_MAX], clean[4 * PW_RULE_LINE_MAX + 1];

        if (p->length > PW_RULE_LINE_MAX)
                return pw_rule_refuse(p, PW_RULE_LINE_MAX,
                                      "the line is too long; expected at most %d bytes",
                                      PW_RULE_LINE_MAX);
        for (size_t i = 0; i < p->length; i++)
                plain[i] = p->line[i] == '\t' ? ' ' : p->line[i];
        pw_text_clean(clean, sizeof clean, plain, p->length);
        /* Equal up to the first byte that cleaning replaces: that one is no backslash. */
        for (size_t i = 0; i < p->length; i++)
                if (clean[i] != plain[i])
                        return pw_rule_refuse(p, i, "%.4s is not text; expected printable UTF-8",
                                              clean + i);
        return 0;
}

bool pw_rule_skip_to_word(struct pw_rule_parser *p)
{
        while (p->at < p->length && pw_rule_is_space(p->line[p->at]))
                p->at++;
        return p->at < p->length && p->line[p->at] != '#';
}

void pw_rule_read_bare(struct pw_rule_parser *p)
{
        size_t n = 0;

        p->value_at = p->at;
        while (p->at < p->length && !pw_rule_is_space(p->line[p->at]))
                p->value[n++] = p->line[p->at++];
        p->value[n] = '\0';
}

int pw_rule_read_word(struct pw_rule_parser *p, const char *expected)
{
        if (!pw_rule_skip_to_word(p))
                return pw_rule_refuse(p, p->at, "the rule ends too early; expected %s", expected);
        pw_rule_read_bare(p);
        return 0;
}

/* Reads the character at `at`, an escape resolved, and leaves `at` on its last byte. */
static int read_quoted_char(struct pw_rule_parser *p, char *ret)
{
        char c = p->line[p->at];

        if (c == '\t')
                return pw_rule_refuse(p, p->at, "a tab in a value; expected it as \\\\x09");
        if (c == '\\') {
                c = p->at + 1 < p->length ? p->line[p->at + 1] : '\0';
                if (c != '"' && c != '\\')
                        return pw_rule_refuse(p, p->at,
                                              "unknown escape; expected \\\" or \\\\ in quotes");
                p->at++;
        }
        *ret = c;
        return 0;
}

static int read_quoted(struct pw_rule_parser *p)
{
        size_t n = 0;

        p->value_at = p->at++;
        for (; p->at < p->length && p->line[p->at] != '"'; p->at++) {
                int r = read_quoted_char(p, &p->value[n++]);

                if (r < 0)
                        return r;
        }
        p->value[n] = '\0';
        if (p->at == p->length)
                return pw_rule_refuse(p, p->value_at,
                                      "the quote is not closed; expected another \"");
        p->at++;
        if (p->at < p->length && !pw_rule_is_space(p->line[p->at]))
                return pw_rule_refuse(p, p->at, "text behind the closing quote; expected a space");
        return 0;
}

int pw_rule_read_value(struct pw_rule_parser *p)
{
        const char *quote;

        if (p->at < p->length && p->line[p->at] == '"')
                return read_quoted(p);
        pw_rule_read_bare(p);
        quote = strchr(p->value, '"');
        if (quote)
                return pw_rule_refuse(
                    p, p->value_at + (size_t)(quote - p->value),
                    "a quote within a value; expected quotes around the whole value");
        return 0;
}
