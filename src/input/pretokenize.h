/* SPDX-License-Identifier: MIT
 *
 * pretokenize.h - the pre-tokenizers of a tokenizer.json: Split, Digits, ByteLevel,
 * Metaspace, and Sequences of these. They cut the open pieces into words, which the merges of
 * BPE do not cross.
 */
#ifndef TWINLENS_INPUT_PRETOKENIZE_H
#define TWINLENS_INPUT_PRETOKENIZE_H

#include <jansson.h>
#include <stdint.h>

#include "input/pattern.h"
#include "input/pieces.h"
#include "twinlens/status.h"

typedef struct tl_pretokenizer tl_pretokenizer;

/* `json` may be NULL or null: each open piece is one word. Its patterns go into
 * `set`, the rest into the arena of that. */
tl_status tl_pretokenizer_read(tl_pattern_set *set, const json_t *json,
                               const tl_pretokenizer **out, tl_error *err);
tl_status tl_pretokenizer_apply(const tl_pretokenizer *pretokenizer,
                                const tl_pieces *in, tl_pieces *out, tl_error *err);

/* The pattern of what a Metaspace, also one that decodes, puts in the place of blanks. */
tl_status tl_metaspace_pattern_read(tl_pattern_set *set, const json_t *json,
                                    const tl_pattern **out, tl_error *err);

/*
 * The printable alphabet that byte-level BPE (GPT-2's) writes bytes in: a byte
 * that is printable in Latin-1 stands for itself, the 68 others are U+0100 to
 * U+0143 in order. So a blank is U+0120.
 */
int32_t tl_byte_level_encode(unsigned char byte);
int tl_byte_level_decode(int32_t code); /* -1 if it is not of the alphabet */

#endif
