/* SPDX-License-Identifier: MIT
 *
 * stand_in.h - characters of Unicode 15 to 16, and an older one that stands for each:
 * of the same general category, and as many bytes in UTF-8. The tokenizers library
 * knows these characters; a PCRE2 or utf8proc may have older tables. So expressions are
 * matched against a text in which the stand-ins are.
 */
#ifndef TWINLENS_INPUT_STAND_IN_H
#define TWINLENS_INPUT_STAND_IN_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/arena.h"

/* The character itself if it is older, or of a later Unicode. */
int32_t tl_stand_in(int32_t code);

/* Valid UTF-8 with the stand-ins, as long as `text`: `text` itself where there is nothing
 * to replace, else in `arena`. NULL when there is no memory. */
const char *tl_stand_in_text(const char *text, size_t bytes, tl_arena *arena);

#endif
