/* SPDX-License-Identifier: MIT
 * nearest.c - see nearest.h. */
#include "cli/nearest.h"

#include <string.h>

enum { LONGEST = 32 };

/* How many letters must change to turn a into b, two that changed places being one change
 * (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST + 1];
    const size_t n = strlen(b);
    if (n > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= n; j++)
        rows[0][j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        const size_t *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t least = last[j - 1] + (a[i - 1] != b[j - 1]);
            least = last[j] + 1 < least ? last[j] + 1 : least;
            least = row[j - 1] + 1 < least ? row[j - 1] + 1 : least;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < least)
                least = before[j - 2] + 1;
            row[j] = least;
        }
    }
    return rows[strlen(a) % 3][n];
}

tl_nearest tl_nearest_begin(const char *word)
{
    const size_t length = strlen(word), most = 1 + length / 4;
    return (tl_nearest){.word = word, .best = (most < 3 ? most : 3) + 1};
}

void tl_nearest_try(tl_nearest *nearest, const char *name)
{
    const size_t d = distance(nearest->word, name);
    if (d < nearest->best && d < strlen(name)) {
        nearest->best = d;
        nearest->name = name;
    }
}
