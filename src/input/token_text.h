/* SPDX-License-Identifier: MIT
 *
 * token_text.h - the decoder of a tokenizer.json, for one token at a time:
 * ByteLevel, ByteFallback, Metaspace, Replace of a string. Fuse and Strip concern whole
 * texts and are not done to a token.
 */
#ifndef TWINLENS_INPUT_TOKEN_TEXT_H
#define TWINLENS_INPUT_TOKEN_TEXT_H

#include <jansson.h>

#include "input/pattern.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"

typedef struct tl_token_decoder tl_token_decoder;

/* `json` may be NULL or null: a token is its text. */
tl_status tl_token_decoder_read(tl_pattern_set *set, const json_t *json,
                                const tl_token_decoder **out, tl_error *err);

/* The decoded text in `arena`, bytes that are not UTF-8 as U+FFFD; NULL when
 * there is no memory. */
const char *tl_token_decode(const tl_token_decoder *decoder, const char *token,
                            size_t bytes, tl_arena *arena);

#endif
