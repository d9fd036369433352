/* SPDX-License-Identifier: MIT
 *
 * chat.h - the words around a prompt: how each model family writes one user turn,
 * with or without a picture, and the start of the answer.
 *
 * The formats are built in, not read from the model's chat template, so that a
 * study does not change when somebody edits a template.
 */
#ifndef TWINLENS_INPUT_CHAT_H
#define TWINLENS_INPUT_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "input/image_kind.h"
#include "input/picture_text.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"
#include "twinlens/tokenizer.h"

typedef struct tl_chat_format {
    const char *model_type; /* of config.json */
    const char *tower_type; /* of its vision_config; NULL: any */
    const char *text_type;  /* of its text_config; NULL: any */
    const char *before;     /* what precedes the user's words, or the picture */
    const char *image;      /* stands for the picture, `placeholder` once in it */
    const char *no_image;   /* stands in its place in a prompt without; NULL: nothing */
    const char *after;
    /* What precedes and follows the system's words; both stand in the place of `before`.
     * NULL: the family knows no such words. */
    const char *before_system, *after_system;
    const char *system_token; /* that they are made of beside `tokens`; NULL: none */
    /* Of a prompt without chat: what the tokenizer puts in front of words, and of a
     * picture; NULL: nothing. */
    const char *raw, *raw_picture;
    const char *placeholder; /* the token that becomes one per image feature */
    /* What a chat template writes for a picture, and what the family's processor makes of
     * it; NULL: the same as `image` has. */
    const char *template_image, *image_of_template;
    /* What stands for the placeholder in a prompt; NULL: one for each feature. */
    void (*put_picture)(const tl_pixels *pixels, tl_picture_text *out);
    bool trims;                  /* drops white space around the user's words */
    size_t n_before;             /* positions in front of the first feature that belong
                                    to the picture as well */
    const tl_image_kind *images; /* from a picture to pixels */
    /* Tokens that the format is made of; the vocabulary must have them. */
    const char *const *tokens;
    /* What a user's words must not contain: the model would take it for a picture. */
    const char *const *reserved;
} tl_chat_format;

/* NULL when the family is not known; tl_chat_known() lists those that are. `tower_type`
 * NULL: the first of the family, which transformers takes then. */
const tl_chat_format *tl_chat_find(const char *model_type, const char *tower_type);
const char *tl_chat_known(void);

/* Some families have a chat for each decoder: of the formats from `first` on of its family and
 * for `text_type` (NULL: the first one's, which transformers takes then) the first whose
 * tokens the vocabulary has, the last of them if there is none. NULL when there are none for
 * that decoder. `tokenizer` NULL: it has all. */
const tl_chat_format *tl_chat_of_decoder(const tl_chat_format *first,
                                         const char *text_type,
                                         const tl_tokenizer *tokenizer);

typedef struct tl_chat {
    const char *text;
    size_t bytes;
    size_t data_begin, data_end; /* bytes of `data`, less what was trimmed; equal for
                                    an image */
} tl_chat;

/* What stands for the placeholder in a prompt with this picture, in `arena`; n_tokens
 * receives how many tokens it is. Errors: TL_ERR_NO_MEMORY. */
tl_status tl_chat_picture(const tl_chat_format *format, const tl_pixels *pixels,
                          tl_arena *arena, const char **out, size_t *n_tokens,
                          tl_error *err);

typedef struct tl_chat_words {
    const char *before, *data, *query; /* the user's; NULL is "" */
    const char *system;                /* NULL: what the family has */
    bool raw; /* no chat: what follows goes on from the words */
} tl_chat_words;

/*
 * before + data + query as the user's turn, behind the picture if there is one: `picture`
 * takes the placeholder's place. TL_ERR_DATA if words contain a reserved token,
 * TL_ERR_UNSUPPORTED if the family, or a prompt without chat, has no place for a system's.
 */
tl_status tl_chat_build(const tl_chat_format *format, const tl_chat_words *words,
                        const char *picture, tl_arena *arena, tl_chat *out,
                        tl_error *err);

#endif
