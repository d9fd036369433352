/* SPDX-License-Identifier: MIT
 * word_list.h - lists of words separated by commas: "0.01,0.05". */
#ifndef TWINLENS_BASE_WORD_LIST_H
#define TWINLENS_BASE_WORD_LIST_H

#include <stddef.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

/* The words, in `arena`. TL_ERR_ARGUMENT when one is empty. */
tl_status tl_word_list_split(const char *text, tl_arena *arena,
                             const char *const **words, size_t *count, tl_error *err);

#endif
