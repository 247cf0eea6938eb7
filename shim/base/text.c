/*
 * Formatting into a fixed buffer: no memory is asked for and a text is whole at any moment.
 */
#include "base.h"

#include <stdio.h>

void kgi_text_add(struct kgi_text *t, const char *format, ...)
{
    size_t room = t->size - t->length;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(t->at + t->length, room, format, arguments);
    va_end(arguments);
    if (length < 0) {
        t->at[t->length] = 0;
        t->cut = true;
    } else if ((size_t)length >= room) {
        t->length = t->size - 1;
        t->cut = true;
    } else {
        t->length += (size_t)length;
    }
}

/* Adds all of these bytes, or none: an escape cut in half would be worse than a missing end. */
static void add_whole(struct kgi_text *t, const char *bytes, size_t count)
{
    if (count >= t->size - t->length) {
        t->cut = true;
        return;
    }
    memcpy(t->at + t->length, bytes, count);
    t->length += count;
    t->at[t->length] = 0;
}

static void add_hex(struct kgi_text *t, const char *prefix, unsigned value, int digits)
{
    char escape[16];
    int length = snprintf(escape, sizeof escape, "%s%0*x", prefix, digits, value);

    add_whole(t, escape, (size_t)length);
}

/* How many bytes the well-formed UTF-8 character at s has, 0 when it is none (RFC 3629: no overlong
 * forms, no surrogates, nothing above U+10FFFF). *code is the character. */
static size_t utf8(const unsigned char *s, unsigned *code)
{
    static const unsigned lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (size <= 1) {
        *code = s[0];
        return size;
    }
    *code = s[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (s[i] & 0x3fu);
    }
    if (s[0] >= 0xf8 || *code < lowest[size] || *code > 0x10ffff || (*code >> 11) == 0x1b)
        return 0;
    return size;
}

/* Adds the printable ASCII characters at s, which are nearly all there ever are, up to the first of
 * `except`; returns how many there are. */
static size_t add_plain(struct kgi_text *t, const unsigned char *s, const char *except)
{
    size_t count = 0, room = t->size - t->length - 1;

    if (t->cut)
        return 0;
    while (s[count] >= 0x20 && s[count] < 0x7f && s[count] != except[0] && s[count] != except[1])
        count++;
    t->cut |= count > room;
    memcpy(t->at + t->length, s, count > room ? room : count);
    t->length += count > room ? room : count;
    t->at[t->length] = 0;
    return count;
}

void kgi_text_add_json(struct kgi_text *t, const char *string)
{
    const unsigned char *s = (const unsigned char *)string;

    while (s += add_plain(t, s, "\"\\"), *s && !t->cut) {
        unsigned code;
        size_t size = utf8(s, &code);

        if (size == 0) /* not UTF-8: the replacement character, as JSON has no raw bytes */
            add_whole(t, "\\ufffd", 6);
        else if (code == '"' || code == '\\')
            add_whole(t, code == '"' ? "\\\"" : "\\\\", 2);
        else if (code == '\n')
            add_whole(t, "\\n", 2);
        else if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            add_hex(t, "\\u", code, 4);
        else
            add_whole(t, (const char *)s, size);
        s += size ? size : 1;
    }
}

/* Characters that change how a terminal shows those after them: C0, C1, and the marks that turn the
 * direction of writing (CVE-2021-42574). */
static bool moves_cursor(unsigned code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c ||
           (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

void kgi_text_add_safe(struct kgi_text *t, const char *string)
{
    const unsigned char *s = (const unsigned char *)string;

    while (s += add_plain(t, s, "\0"), *s && !t->cut) {
        unsigned code;
        size_t size = utf8(s, &code);

        if (size && !moves_cursor(code)) {
            add_whole(t, (const char *)s, size);
        } else {
            size = size ? size : 1;
            for (size_t i = 0; i < size; i++)
                add_hex(t, "\\x", s[i], 2);
        }
        s += size;
    }
}
