/* SPDX-License-Identifier: MIT
 *
 * processor.h - from a prompt (words and maybe a picture) to an encoding: chat
 * format, tokenizer, image resizing and patches of one model folder.
 *
 *     tl_processor *processor = NULL;
 *     status = tl_processor_open("Qwen2-VL-2B-Instruct", tl_model_dims(model)->n_vocab,
 *                                &processor, &err);
 *     const tl_prompt_text prompt = {.before = "", .image_path = "cat.png",
 *                                    .query = "Which animal is it?"};
 *     status = tl_processor_encode(processor, &prompt, arena, &encoding, &err);
 *     tl_processor_close(processor);
 */
#ifndef TWINLENS_PROCESSOR_H
#define TWINLENS_PROCESSOR_H

#include <stdbool.h>

#include "twinlens/api.h"
#include "twinlens/arena.h"
#include "twinlens/encoding.h"
#include "twinlens/image.h"
#include "twinlens/tokenizer.h"

TL_BEGIN_DECLS

typedef struct tl_processor tl_processor;

/*
 * Reads config.json (family and token ids), tokenizer.json and
 * preprocessor_config.json or processor_config.json of a model folder.
 *
 * n_vocab   how many tokens the model has: tl_model_dims(model)->n_vocab. A prompt or an
 *           answer with a token beyond them is refused, TL_ERR_DATA. 0: not checked
 */
tl_status tl_processor_open(const char *model_dir, size_t n_vocab, tl_processor **out,
                            tl_error *err);
void tl_processor_close(tl_processor *processor);

/* How words become a prompt. */
typedef enum tl_chat_form {
    TL_CHAT_INSTRUCT, /* as a turn of the family's chat */
    TL_CHAT_RAW,      /* as they are, behind the picture: for models that only go on */
} tl_chat_form;

/* Once, before the processor is used; TL_CHAT_INSTRUCT unless it is. */
void tl_processor_set_chat(tl_processor *processor, tl_chat_form form);

/* Valid until the processor is closed. */
const tl_tokenizer *tl_processor_tokenizer(const tl_processor *processor);

typedef struct tl_prompt_text {
    const char *before;     /* user text before the data; "" for none */
    const char *data;       /* the data in words; NULL when the data is the image */
    const char *query;      /* user text after the data */
    const char *image_path; /* NULL without an image */
    size_t resize_width, resize_height; /* first resize to this (bicubic); 0: not */
    const char
        *system; /* the system's words; NULL: those that the family has, if any */
} tl_prompt_text;

/*
 * Encodes before + data + query as the one user turn of the model's chat format,
 * the image in front. The data segment is every token that touches `data`, or
 * the image's tokens. Results live in `arena`.
 */
tl_status tl_processor_encode(const tl_processor *processor,
                              const tl_prompt_text *prompt, tl_arena *arena,
                              tl_encoding *out, tl_error *err);

/* The chat string that tl_processor_encode tokenizes (one image placeholder, not
 * expanded), in `arena`. */
tl_status tl_processor_chat(const tl_processor *processor, const tl_prompt_text *prompt,
                            tl_arena *arena, const char **out, tl_error *err);

/*
 * What the chat template in the model's folder makes of the prompt, in the form of
 * tl_processor_chat, in `arena`; NULL when the folder brings none. *agrees: it is the same
 * prompt, but for a first token that tokenizers put there. The template is never used; this
 * is to compare. Errors: TL_ERR_UNSUPPORTED (what of the template cannot be read),
 * TL_ERR_FORMAT, TL_ERR_DATA (the template refuses the prompt).
 */
tl_status tl_processor_template(const tl_processor *processor,
                                const tl_prompt_text *prompt, tl_arena *arena,
                                const char **out, bool *agrees, tl_error *err);

/* First token id of an answer as it follows the prompt (no blank added). */
tl_status tl_processor_answer_id(const tl_processor *processor, const char *answer,
                                 int32_t *id, tl_error *err);

/* Pixels of an image file, as transformers' image processor makes them, in `arena`. */
tl_status tl_processor_pixels(const tl_processor *processor, const char *image_path,
                              size_t resize_width, size_t resize_height,
                              tl_arena *arena, tl_pixels *out, tl_error *err);

/*
 * What an image file of this size becomes: dimensions (its values are those of a black
 * picture), and how many tokens of a prompt stand for it. The folder needs no tokenizer.
 */
tl_status tl_processor_measure(const char *model_dir, size_t width, size_t height,
                               tl_arena *arena, tl_pixels *out, size_t *n_tokens,
                               tl_error *err);

TL_END_DECLS

#endif
