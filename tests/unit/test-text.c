/* SPDX-License-Identifier: MIT */
/* Bytes from outside: whatever they are, what comes out is valid UTF-8 in one line, fits, and is
 * the same when cleaned again. */

#include <portwatch/text.h>

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_cleaned(const void *text, size_t length, const char *expected)
{
        char buffer[256];
        size_t n = pw_text_clean(buffer, sizeof buffer, text, length);

        assert_string_equal(buffer, expected);
        assert_int_equal(n, strlen(expected));
        assert_true(pw_text_is_clean(buffer));
}

#define ASSERT_CLEANED(text, expected) assert_cleaned(text, sizeof(text) - 1, expected)

/* Would catch any single byte that gets through, or is lost. */
static void test_every_byte(void **state _unused_)
{
        for (int byte = 0; byte <= 0xff; byte++) {
                char text = (char)byte, expected[8];

                if (byte >= 0x20 && byte < 0x7f)
                        snprintf(expected, sizeof expected, "%c", byte);
                else
                        snprintf(expected, sizeof expected, "\\x%02x", (unsigned)byte);
                assert_cleaned(&text, 1, expected);
        }
}

/* Would catch a decoder that takes what RFC 3629 forbids: an overlong slash is no slash. */
static void test_invalid_utf8(void **state _unused_)
{
        ASSERT_CLEANED("\xc0\xaf", "\\xc0\\xaf"); /* overlong, 2 bytes */
        ASSERT_CLEANED("\xc1\xbf", "\\xc1\\xbf");
        ASSERT_CLEANED("\xe0\x80\xaf", "\\xe0\\x80\\xaf"); /* overlong, 3 bytes */
        ASSERT_CLEANED("\xe0\x9f\xbf", "\\xe0\\x9f\\xbf");
        ASSERT_CLEANED("\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf"); /* overlong, 4 bytes */
        ASSERT_CLEANED("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* surrogates */
        ASSERT_CLEANED("\xed\xbf\xbf", "\\xed\\xbf\\xbf");
        ASSERT_CLEANED("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* U+110000 */
        ASSERT_CLEANED("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
        ASSERT_CLEANED("\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80");
        ASSERT_CLEANED("a\x80z", "a\\x80z"); /* a continuation byte alone */
        ASSERT_CLEANED("\xc3", "\\xc3");     /* cut short */
        ASSERT_CLEANED("\xe2\x82", "\\xe2\\x82");
        ASSERT_CLEANED("\xf0\x9f\x98", "\\xf0\\x9f\\x98");
        ASSERT_CLEANED("\xc3"
                       "A",
                       "\\xc3A"); /* the byte behind a broken character is not swallowed */
        ASSERT_CLEANED("\xe2\x82\xc3\xa4", "\\xe2\\x82ä");
}

/* Would catch a decoder that refuses what is valid, at the edges of each length. */
static void test_valid_utf8(void **state _unused_)
{
        ASSERT_CLEANED("\xc2\xa0", "\xc2\xa0"); /* U+00A0 */
        ASSERT_CLEANED("\xdf\xbf", "\xdf\xbf");
        ASSERT_CLEANED("\xe0\xa0\x80", "\xe0\xa0\x80");
        ASSERT_CLEANED("\xed\x9f\xbf", "\xed\x9f\xbf"); /* the last before the surrogates */
        ASSERT_CLEANED("\xee\x80\x80", "\xee\x80\x80");
        ASSERT_CLEANED("\xf0\x90\x80\x80", "\xf0\x90\x80\x80");
        ASSERT_CLEANED("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"); /* U+10FFFF */
        ASSERT_CLEANED("grüße 世界 😀 \\x0a", "grüße 世界 😀 \\x0a");
        ASSERT_CLEANED("", "");
}

/* Would catch a forged line, a terminal escape, and text that shows in another order. */
static void test_harmful(void **state _unused_)
{
        ASSERT_CLEANED("a\nb\r\tc", "a\\x0ab\\x0d\\x09c");
        ASSERT_CLEANED("\x1b[31mred", "\\x1b[31mred");
        ASSERT_CLEANED("\xc2\x9b"
                       "31m",
                       "\\xc2\\x9b31m"); /* CSI as a C1 character */
        ASSERT_CLEANED("a\0b", "a\\x00b");
        ASSERT_CLEANED("\u200b", "\\xe2\\x80\\x8b");
        ASSERT_CLEANED("\u200f", "\\xe2\\x80\\x8f");
        ASSERT_CLEANED("\u2028", "\\xe2\\x80\\xa8");
        ASSERT_CLEANED("exe\u202egnp", "exe\\xe2\\x80\\xaegnp");
        ASSERT_CLEANED("\u2060", "\\xe2\\x81\\xa0");
        ASSERT_CLEANED("\u2066\u2069", "\\xe2\\x81\\xa6\\xe2\\x81\\xa9");
        ASSERT_CLEANED("\ufeff", "\\xef\\xbb\\xbf");
        ASSERT_CLEANED("\u061c", "\\xd8\\x9c");
        ASSERT_CLEANED("\u200a\u2010\u2027\u202f\u206a", "\u200a\u2010\u2027\u202f\u206a");
}

/* Would catch a cut inside a character or an escape, a missing NUL, and a byte too many. */
static void test_cut(void **state _unused_)
{
        static const struct {
                const char *text;
                size_t size;
                const char *expected;
        } cases[] = {
            {"abc", 1, ""},        {"abc", 2, "a"}, /* no room for the ellipsis */
            {"abc", 3, "ab"},      {"abc", 4, "abc"},    {"abcd", 4, "…"},
            {"abcde", 5, "a…"},    {"abcdef", 6, "ab…"}, {"abcdef", 7, "abcdef"},
            {"äöü", 1, ""},        {"äöü", 2, ""},       {"äöü", 3, "ä"},
            {"äöü", 4, "…"},       {"äöü", 5, "…"},      {"äöü", 6, "ä…"},
            {"äöü", 7, "äöü"},     {"\n", 4, "…"},       {"\n", 5, "\\x0a"},
            {"\n\n", 8, "\\x0a…"}, {"\n\n", 7, "…"},     {"😀😀", 8, "😀…"},
            {"😀😀", 7, "…"},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                char buffer[16];
                size_t n;

                memset(buffer, '#', sizeof buffer);
                n = pw_text_clean(buffer, cases[i].size, cases[i].text, strlen(cases[i].text));
                assert_string_equal(buffer, cases[i].expected);
                assert_int_equal(n, strlen(cases[i].expected));
                assert_true(pw_text_is_clean(buffer));
                assert_int_equal(buffer[cases[i].size], '#');
        }
}

/* Would catch a state that two neighbouring bytes can reach and one can't: all pairs, cut at all
 * small sizes, clean and unchanged by cleaning again. */
static void test_all_pairs(void **state _unused_)
{
        for (unsigned pair = 0; pair <= 0xffff; pair++) {
                const unsigned char text[] = {(unsigned char)(pair >> 8), (unsigned char)pair};
                char once[16], twice[16];
                size_t n;

                for (size_t size = 1; size <= 8; size++) {
                        n = pw_text_clean(once, size, text, sizeof text);
                        assert_true(n < size && n == strlen(once));
                        assert_true(pw_text_is_clean(once));
                        pw_text_clean(twice, sizeof twice, once, n);
                        assert_string_equal(once, twice);
                }
        }
}

static void test_clean_dup(void **state _unused_)
{
        _cleanup_(pw_freep) char *plain = pw_text_clean_dup("a\nb", 3, 100);
        _cleanup_(pw_freep) char *cut = pw_text_clean_dup("abcdefgh", 8, 5);
        _cleanup_(pw_freep) char *nothing = pw_text_clean_dup("abc", 3, 0);
        _cleanup_(pw_freep) char *empty = pw_text_clean_dup(NULL, 0, 10);

        assert_string_equal(plain, "a\\x0ab");
        assert_string_equal(cut, "ab…");
        assert_string_equal(nothing, "");
        assert_string_equal(empty, "");
}

static void test_width(void **state _unused_)
{
        assert_int_equal(pw_text_width(""), 0);
        assert_int_equal(pw_text_width("abc"), 3);
        if (!setlocale(LC_CTYPE, "C.UTF-8"))
                skip();
        assert_int_equal(pw_text_width("grüße"), 5);
        assert_int_equal(pw_text_width("世界"), 4);
        assert_int_equal(pw_text_width("e\u0301"), 1); /* combining accent */
        assert_int_equal(pw_text_width("\\x0a…"), 5);
        setlocale(LC_CTYPE, "C");
}

static void test_glob(void **state _unused_)
{
        assert_true(pw_text_glob("/usr/*", "/usr/lib/x/y")); /* `*` crosses `/` */
        assert_true(pw_text_glob("*", ""));
        assert_true(pw_text_glob("ss?", "ssh"));
        assert_true(pw_text_glob("[a-c]x", "bx"));
        assert_false(pw_text_glob("ssh", "sshd"));
        assert_false(pw_text_glob("SSH", "ssh"));
        assert_false(pw_text_glob("*", NULL));
        assert_false(pw_text_glob("[", "x"));
        /* systemd escapes unit names with backslashes */
        assert_true(pw_text_glob("dev-disk\\x2d*.device", "dev-disk\\x2da.device"));
        assert_false(pw_text_glob("\\*", "*"));
}

/* Would catch a match whose time explodes: an attacker may choose the text. */
static void test_glob_time(void **state _unused_)
{
        char text[4096];

        memset(text, 'a', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        assert_false(pw_text_glob("*a*a*a*a*a*a*a*a*b", text));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_byte), cmocka_unit_test(test_invalid_utf8),
            cmocka_unit_test(test_valid_utf8), cmocka_unit_test(test_harmful),
            cmocka_unit_test(test_cut),        cmocka_unit_test(test_all_pairs),
            cmocka_unit_test(test_clean_dup),  cmocka_unit_test(test_width),
            cmocka_unit_test(test_glob),       cmocka_unit_test(test_glob_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
