/* SPDX-License-Identifier: MIT
 * white_space.c - see white_space.h. */
#include "input/white_space.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Beyond ASCII. */
static const char *const wide_spaces[] = {
    "\xc2\x85", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
    "\u2004",   "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
    "\u2028",   "\u2029", "\u202f", "\u205f", "\u3000",
};

/* Bytes of the white space that [begin, end) starts with, or ends with; 0: none. */
static size_t space_bytes(const char *begin, const char *end, bool at_end)
{
    const size_t bytes = (size_t)(end - begin);
    const char first = bytes == 0 ? 'a' : at_end ? end[-1] : *begin;
    if (first == ' ' || (first >= '\t' && first <= '\r') ||
        (first >= '\x1c' && first <= '\x1f'))
        return 1;
    for (size_t i = 0; i < sizeof wide_spaces / sizeof *wide_spaces; i++) {
        const size_t n = strlen(wide_spaces[i]);
        if (n <= bytes && memcmp(at_end ? end - n : begin, wide_spaces[i], n) == 0)
            return n;
    }
    return 0;
}

void tl_trim_begin(const char **begin, const char *end)
{
    for (size_t n; (n = space_bytes(*begin, end, false)) > 0;)
        *begin += n;
}

void tl_trim_end(const char *begin, const char **end)
{
    for (size_t n; (n = space_bytes(begin, *end, true)) > 0;)
        *end -= n;
}

void tl_trim(const char **begin, const char **end)
{
    tl_trim_begin(begin, *end);
    tl_trim_end(*begin, end);
}
