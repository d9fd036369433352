/* SPDX-License-Identifier: MIT
 *
 * added_tokens.h - the tokens of a tokenizer.json that are found in the text
 * before the model sees it: "<|im_start|>", or a run of newlines. Some are found
 * in the text as it is, the others ("normalized") once it is normalized.
 */
#ifndef TWINLENS_INPUT_ADDED_TOKENS_H
#define TWINLENS_INPUT_ADDED_TOKENS_H

#include <jansson.h>
#include <stdbool.h>

#include "input/normalize.h"
#include "input/pieces.h"
#include "input/vocabulary.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"

typedef struct tl_added_tokens tl_added_tokens;

/* `json` may be NULL or null: none. `model` is the vocabulary of the model. */
tl_status tl_added_tokens_read(const json_t *json, const tl_vocabulary *model,
                               const tl_normalizer *normalizer, tl_arena *arena,
                               const tl_added_tokens **out, tl_error *err);
const tl_vocabulary *tl_added_tokens_vocabulary(const tl_added_tokens *added);

/* Cuts the tokens of one kind out of all open pieces: leftmost first, of several
 * at one place the longest. */
tl_status tl_added_tokens_apply(const tl_added_tokens *added, bool normalized,
                                const tl_pieces *in, tl_pieces *out, tl_error *err);

#endif
