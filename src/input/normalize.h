/* SPDX-License-Identifier: MIT
 *
 * normalize.h - the normalizers of a tokenizer.json: NFC, NFD, NFKC, NFKD, Replace,
 * Prepend, and Sequences of these. Every byte keeps its origin, as the
 * tokenizers library tracks it: a character that composes others takes the
 * origin of the first.
 */
#ifndef TWINLENS_INPUT_NORMALIZE_H
#define TWINLENS_INPUT_NORMALIZE_H

#include <jansson.h>

#include "input/pattern.h"
#include "input/pieces.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"

typedef struct tl_normalizer tl_normalizer;

/* `json` may be NULL or null: nothing to do. Its patterns go into `set`, the
 * rest into the arena of that. */
tl_status tl_normalizer_read(tl_pattern_set *set, const json_t *json,
                             const tl_normalizer **out, tl_error *err);

/* Normalizes each open piece by itself. */
tl_status tl_normalizer_apply(const tl_normalizer *normalizer, const tl_pieces *in,
                              tl_pieces *out, tl_error *err);

#endif
