/* SPDX-License-Identifier: MIT
 *
 * pieces.h - a text on its way to tokens. It is cut into pieces, of which some
 * are tokens already, and each of its bytes knows which bytes of the original
 * text it stands for. Every stage of the tokenizer makes one tl_pieces from
 * another and leaves the pieces alone that are tokens.
 *
 *     text    N a i v e ▁ ▁ ▁ <|im_end|>      origin of ▁: the one blank
 *     pieces  |open     |open |id 151645|
 *
 * All memory is the arena's. When that runs out, what is added is dropped and
 * `no_memory` stays set: a stage is checked once, at its end.
 */
#ifndef TWINLENS_INPUT_PIECES_H
#define TWINLENS_INPUT_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

typedef struct tl_span {
    size_t begin, end; /* half open */
} tl_span;

enum { TL_PIECE_OPEN = -1 }; /* not a token yet */

typedef struct tl_piece {
    tl_span at; /* of the text, never empty */
    int32_t id; /* or TL_PIECE_OPEN */
} tl_piece;

typedef struct tl_pieces {
    tl_arena *arena;
    char *text;      /* [bytes], valid UTF-8 */
    tl_span *origin; /* [bytes], in the original text */
    size_t bytes, text_capacity;
    tl_piece *list; /* [count] */
    size_t count, list_capacity;
    bool no_memory;
} tl_pieces;

/* Without text and pieces. */
tl_pieces tl_pieces_empty(tl_arena *arena);

/* One open piece of the whole text. TL_ERR_DATA if that is not valid UTF-8. */
tl_status tl_pieces_from_text(const char *text, size_t bytes, tl_arena *arena,
                              tl_pieces *out, tl_error *err);

/* The text of `from`, borrowed, still without pieces. */
tl_pieces tl_pieces_recut(const tl_pieces *from);

/* Appends text: `n` bytes that all stand for `origin`, or a copy of a span. */
void tl_pieces_append(tl_pieces *pieces, const char *text, size_t n, tl_span origin);
void tl_pieces_copy(tl_pieces *pieces, const tl_pieces *from, tl_span span);

/* Appends a piece that covers `span` of the text; none if the span is empty. */
void tl_pieces_cut(tl_pieces *pieces, tl_span span, int32_t id);

/* Length of the character that starts at `at` of a valid UTF-8 text. */
size_t tl_utf8_length(const char *at);

#endif
