/* SPDX-License-Identifier: MIT */
/* Bytes from outside become text that any terminal, journal or JSON reader may be shown.
 *
 * One decoder knows what valid UTF-8 is (RFC 3629); everything here asks it. Cleaning works on
 * units: a character that is kept, or the escape of one byte. A unit is written whole or not at
 * all, so neither a character nor an escape is ever cut in two. */

#include <portwatch/text.h>

#include <fnmatch.h>
#include <wchar.h>

static const char ellipsis[] = "…"; /* 3 bytes */
#define ELLIPSIS_LENGTH (sizeof ellipsis - 1)
#define ESCAPE_LENGTH 4 /* \xNN */

/* The length of the valid character at the front of `text`, 0 where there is none. */
static size_t decode(const unsigned char *text, size_t length, uint32_t *ret)
{
        static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length */
        uint32_t character;
        size_t n;

        if (length == 0)
                return 0;
        if (text[0] < 0x80) {
                *ret = text[0];
                return 1;
        }
        if (text[0] < 0xc2 || text[0] > 0xf4)
                return 0;
        n = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
        if (length < n)
                return 0;
        character = text[0] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
                if ((text[i] & 0xc0) != 0x80)
                        return 0;
                character = character << 6 | (text[i] & 0x3fu);
        }
        if (character < smallest[n] || character > 0x10ffff ||
            (character >= 0xd800 && character <= 0xdfff))
                return 0;
        *ret = character;
        return n;
}

/* Characters that do not show, move the cursor, reorder what follows, or break the line. */
static bool is_harmful(uint32_t character)
{
        static const struct {
                uint32_t first, last;
        } harmful[] = {
            {0x0, 0x1f},      {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200b, 0x200f},
            {0x2028, 0x202e}, {0x2060, 0x2069}, {0xfeff, 0xfeff},
        };

        for (size_t i = 0; i < PW_ELEMENTS(harmful); i++)
                if (character >= harmful[i].first && character <= harmful[i].last)
                        return true;
        return false;
}

/* The length of the character at the front that may stay as it is; 0: its first byte must be
 * escaped. The rest of a refused character is refused byte by byte, being no character. */
static size_t keepable(const unsigned char *text, size_t length)
{
        uint32_t character;
        size_t n = decode(text, length, &character);

        return n > 0 && !is_harmful(character) ? n : 0;
}

static void escape(char *buffer, unsigned char byte)
{
        static const char digits[] = "0123456789abcdef";

        buffer[0] = '\\';
        buffer[1] = 'x';
        buffer[2] = digits[byte >> 4];
        buffer[3] = digits[byte & 15];
}

size_t pw_text_clean(char *buffer, size_t size, const void *text, size_t length)
{
        const unsigned char *bytes = text;
        size_t room = size - 1, written = 0, cut = 0;

        while (length > 0) {
                size_t kept = keepable(bytes, length);
                size_t unit = kept > 0 ? kept : ESCAPE_LENGTH;

                if (unit > room - written)
                        break;
                if (kept > 0)
                        memcpy(buffer + written, bytes, kept);
                else
                        escape(buffer + written, *bytes);
                bytes += PW_MAX(kept, (size_t)1);
                length -= PW_MAX(kept, (size_t)1);
                written += unit;
                if (written + ELLIPSIS_LENGTH <= room)
                        cut = written; /* here the ellipsis would fit */
        }
        if (length > 0 && room >= ELLIPSIS_LENGTH) {
                memcpy(buffer + cut, ellipsis, ELLIPSIS_LENGTH);
                written = cut + ELLIPSIS_LENGTH;
        }
        buffer[written] = '\0';
        return written;
}

char *pw_text_clean_dup(const void *text, size_t length, size_t limit)
{
        size_t most = length > SIZE_MAX / ESCAPE_LENGTH ? limit : length * ESCAPE_LENGTH;
        size_t size = PW_MIN(most, limit) + 1;
        char *buffer = malloc(size), *fitted;

        if (!buffer)
                return NULL;
        size = pw_text_clean(buffer, size, text, length) + 1;
        fitted = realloc(buffer, size);
        return fitted ? fitted : buffer;
}

bool pw_text_is_clean(const char *text)
{
        size_t length = strlen(text);

        while (length > 0) {
                size_t n = keepable((const unsigned char *)text, length);

                if (n == 0)
                        return false;
                text += n;
                length -= n;
        }
        return true;
}

size_t pw_text_width(const char *text)
{
        size_t length = strlen(text), columns = 0;

        while (length > 0) {
                uint32_t character = 0;
                size_t n =
                    PW_MAX(decode((const unsigned char *)text, length, &character), (size_t)1);
                int width = wcwidth((wchar_t)character);

                columns += width < 0 ? 1 : (size_t)width;
                text += n;
                length -= n;
        }
        return columns;
}

bool pw_text_glob(const char *pattern, const char *text)
{
        return text && fnmatch(pattern, text, FNM_NOESCAPE) == 0;
}
