/* SPDX-License-Identifier: MIT
 *
 * published_prompt.h - the wording of the published prompts: a whole chat string in,
 * the parts of a dataset's row out.
 *
 *     tl_published_prompt prompt;
 *     status = tl_published_prompt_parse(TL_PUBLISHED_QWEN2_VL, TL_TASK_COUNTING,
 *                                        TL_TEXT, chat, arena, &prompt, &err);
 *     prompt.before  "Sequence:"
 *     prompt.data    " dog dog cat dog dog cat dog"
 *     prompt.query   ". How many \"dog\" are in the sequence? Answer in ... "
 *
 * The parts are cut so that the data segment is the published one of each family:
 * "Sequence:" and "Question: " are data for Pixtral and Gemma-3, not for Qwen2-VL; the
 * " ..." behind a description is data for Qwen2-VL and Gemma-3, not for Pixtral, whose
 * tokens for it are partly those of the quotation marks.
 */
#ifndef TWINLENS_TASK_PUBLISHED_PROMPT_H
#define TWINLENS_TASK_PUBLISHED_PROMPT_H

#include "task/published_task.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"
#include "twinlens/terms.h"

/* `model_type` of its config.json: "qwen2_vl", "llava", "gemma3". */
const char *tl_published_family_name(tl_published_family family);

typedef struct tl_published_prompt {
    const char *before;
    const char *data; /* NULL: a picture */
    const char *query;
    const char *asked; /* what differs between questions: "dog"; "" when nothing does */
} tl_published_prompt;

/*
 * Everything in `arena`. TL_ERR_DATA when the prompt is in another chat format, of the
 * other modality or of another task, and says of which.
 */
tl_status tl_published_prompt_parse(tl_published_family family, tl_task task,
                                    tl_modality modality, const char *chat,
                                    tl_arena *arena, tl_published_prompt *out,
                                    tl_error *err);

/*
 * The textual prompt of that content and question, both as a prompt has them. TL_ERR_DATA
 * when they are worded as no prompt of the task is.
 */
tl_status tl_published_prompt_make(tl_published_family family, tl_task task,
                                   const char *content, const char *asked,
                                   tl_arena *arena, tl_published_prompt *out,
                                   tl_error *err);

#endif
