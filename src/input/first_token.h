/* SPDX-License-Identifier: MIT
 *
 * first_token.h - first tokens of answers: what a model can be right about. Labels that
 * begin with the same token are one answer to it ("folded").
 */
#ifndef TWINLENS_INPUT_FIRST_TOKEN_H
#define TWINLENS_INPUT_FIRST_TOKEN_H

#include "twinlens/tokenizer.h"

/* TL_ERR_DATA when the answer has no token. */
tl_status tl_first_token(const tl_tokenizer *tokenizer, const char *answer, int32_t *id,
                         tl_error *err);

/* The text of an answer's first n_tokens tokens, in `arena`, to the end of the last
 * character that one of them begins. */
tl_status tl_cut_tokens(const tl_tokenizer *tokenizer, const char *text,
                        size_t n_tokens, tl_arena *arena, const char **out,
                        tl_error *err);

/* Of each of n answers, in `arena`. */
tl_status tl_first_tokens(const tl_tokenizer *tokenizer, const char *const *answers,
                          size_t n, tl_arena *arena, const int32_t **ids,
                          tl_error *err);

/* Whether different labels begin with that token; ids [n] are those of the labels. */
bool tl_is_folded(const char *const *labels, const int32_t *ids, size_t n, int32_t id);

/* "'10', '11' begin with one token, '1'", in `arena`: the different labels that do, at
 * most the first six. NULL: no memory. */
const char *tl_folded_text(const tl_tokenizer *tokenizer, const char *const *labels,
                           const int32_t *ids, size_t n, int32_t id, tl_arena *arena);

#endif
