/* SPDX-License-Identifier: MIT
 *
 * tokenizer.h - text to token ids, as the Hugging Face `tokenizers` library does
 * it from a tokenizer.json: byte-level BPE (Qwen2, Tekken, GPT-2) and metaspace BPE
 * with byte fallback (Gemma, Llama), added tokens, the normal forms of Unicode,
 * ignore_merges. No tokens are added
 * (post-processors are not run): the chat format spells out its BOS.
 *
 *     tl_tokenizer *tokenizer = NULL;
 *     status = tl_tokenizer_open("Qwen2-VL-2B-Instruct/tokenizer.json", &tokenizer, &err);
 *     status = tl_tokenizer_encode(tokenizer, text, strlen(text), arena, &tokens,
 *                                  &n_tokens, &err);
 *     for (size_t i = 0; i < n_tokens; i++)
 *         printf("%d %s\n", tokens[i].id,
 *                tl_tokenizer_text(tokenizer, tokens[i].id, arena));
 *     tl_tokenizer_close(tokenizer);
 */
#ifndef TWINLENS_TOKENIZER_H
#define TWINLENS_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/api.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

typedef struct tl_tokenizer tl_tokenizer;

/* `path` is the tokenizer.json. What it asks for and cannot be honoured is
 * refused by name: TL_ERR_UNSUPPORTED. */
tl_status tl_tokenizer_open(const char *path, tl_tokenizer **out, tl_error *err);
void tl_tokenizer_close(tl_tokenizer *tokenizer);

/* One token and the half-open byte range of the text that it stands for. */
typedef struct tl_token {
    int32_t id;
    size_t begin, end;
} tl_token;

/*
 * Encodes UTF-8 `text` of `bytes` bytes. `tokens` receives [*count] in `arena`.
 * Byte ranges refer to `text` as given, before normalisation, and cover what
 * transformers' offset_mapping covers (in bytes, not characters).
 * TL_ERR_DATA if the text is not valid UTF-8.
 */
tl_status tl_tokenizer_encode(const tl_tokenizer *tokenizer, const char *text,
                              size_t bytes, tl_arena *arena, const tl_token **tokens,
                              size_t *count, tl_error *err);

/* Id of an exact vocabulary or added-token string ("<|im_start|>"); -1 if none. */
int32_t tl_tokenizer_id(const tl_tokenizer *tokenizer, const char *token);

/* Largest id + 1. */
size_t tl_tokenizer_size(const tl_tokenizer *tokenizer);

/* The text of one token, decoded (byte-level and metaspace undone), in `arena`;
 * bytes that are not valid UTF-8 alone become U+FFFD. "" for an unused id, NULL when there
 * is no memory. */
const char *tl_tokenizer_text(const tl_tokenizer *tokenizer, int32_t id,
                              tl_arena *arena);

TL_END_DECLS

#endif
