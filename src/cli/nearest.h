/* SPDX-License-Identifier: MIT
 *
 * nearest.h - of the words that a program knows, the one that was probably meant:
 *
 *     tl_nearest nearest = tl_nearest_begin(word);
 *     tl_nearest_try(&nearest, "study");
 *     ... nearest.name: NULL when nothing is like it
 */
#ifndef TWINLENS_CLI_NEAREST_H
#define TWINLENS_CLI_NEAREST_H

#include <stddef.h>

typedef struct tl_nearest {
    const char *word, *name;
    size_t best; /* less than so many letters must change */
} tl_nearest;

tl_nearest tl_nearest_begin(const char *word);
void tl_nearest_try(tl_nearest *nearest, const char *name);

#endif
