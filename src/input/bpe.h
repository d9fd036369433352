/* SPDX-License-Identifier: MIT
 *
 * bpe.h - the BPE model of a tokenizer.json: each open piece is a word; its
 * characters are tokens at first, and then the neighbours with the best rank
 * merge, leftmost first, until none can.
 */
#ifndef TWINLENS_INPUT_BPE_H
#define TWINLENS_INPUT_BPE_H

#include <jansson.h>

#include "input/pieces.h"
#include "input/vocabulary.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"

typedef struct tl_bpe tl_bpe;

tl_status tl_bpe_read(const json_t *json, tl_arena *arena, const tl_bpe **out,
                      tl_error *err);
const tl_vocabulary *tl_bpe_vocabulary(const tl_bpe *bpe);

/* Makes tokens of all open pieces. A word of n bytes takes O(n log n). */
tl_status tl_bpe_apply(const tl_bpe *bpe, const tl_pieces *in, tl_pieces *out,
                       tl_error *err);

#endif
