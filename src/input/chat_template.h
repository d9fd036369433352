/* SPDX-License-Identifier: MIT
 *
 * chat_template.h - the chat template that a model folder brings, and what it makes of a
 * prompt. Prompts are written by chat.h; this is only to compare.
 */
#ifndef TWINLENS_INPUT_CHAT_TEMPLATE_H
#define TWINLENS_INPUT_CHAT_TEMPLATE_H

#include "input/chat.h"

typedef struct tl_chat_template {
    const char *path;   /* of the file that it stands in */
    const char *source; /* NULL: the folder brings none */
    const char *bos;    /* "" if nobody says */
    json_t *tokens;     /* names and texts of special tokens; the caller's to release */
} tl_chat_template;

/*
 * As transformers looks for it: chat_template.jinja, chat_template.json,
 * processor_config.json, tokenizer_config.json; of several the one named "default". Texts in
 * `arena`. Errors: TL_ERR_FORMAT, TL_ERR_IO, TL_ERR_NO_MEMORY.
 */
tl_status tl_chat_template_read(const char *model_dir, tl_arena *arena,
                                tl_chat_template *out, tl_error *err);
void tl_chat_template_release(tl_chat_template *chat_template);

/*
 * The conversation of one turn: the system's words, if there are any, the picture, the words.
 * A picture is written as tl_chat_build writes it, with one placeholder. Errors: those of
 * jinja.h, with the file in front.
 */
tl_status tl_chat_template_make(const tl_chat_template *chat_template,
                                const tl_chat_format *format,
                                const tl_chat_words *words, bool has_picture,
                                tl_arena *arena, const char **out, tl_error *err);

/* Whether two chats are the same prompt: the token that texts begin with is put there by
 * template or tokenizer. */
bool tl_chat_template_agrees(const tl_chat_template *chat_template, const char *chat,
                             const char *made);

#endif
