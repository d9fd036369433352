/* SPDX-License-Identifier: MIT
 *
 * published_parallel.h - what the published pictures show, in words: the parallel text
 * prompts of the paper, which were not published but follow from other files.
 *
 *     counting         3_people_1_bag_3_chair.png    the words, shuffled with seed 42
 *     arithmetic       13plus45.png                  13+45
 *     factual_recall   Andreas_Ivanschitz.png        Andreas Ivanschitz
 *     color_ordering   CLEVR_val_000714.png          its scene, from the left
 *     sentiment        happy_0.jpeg                  its description, 19 tokens of it
 */
#ifndef TWINLENS_TASK_PUBLISHED_PARALLEL_H
#define TWINLENS_TASK_PUBLISHED_PARALLEL_H

#include "task/published_prompt.h"
#include "twinlens/tokenizer.h"

/* Files beside the tables; NULL: not at hand. */
typedef struct tl_published_files {
    const char *scenes; /* CLEVR_val_scenes.json */
    const char
        *descriptions;    /* [{"image_path": "happy_0.jpeg", "text_data": "A ..."}] */
    const char *entities; /* {"question": [["entity", "answer"], ...]} */
    const tl_tokenizer *tokenizer; /* that descriptions and answers are cut with */
} tl_published_files;

/*
 * contents[n] of the pictures with these paths, in the order of the table; NULL where no
 * file tells, as for colours without scenes. Everything in `arena`.
 *
 * Errors: TL_ERR_DATA when the name of a picture does not say what it has to, or a scene is
 * not of four objects; TL_ERR_FORMAT, TL_ERR_NOT_FOUND of the files; TL_ERR_ARGUMENT for
 * descriptions without a tokenizer.
 */
tl_status tl_published_contents(tl_task task, const tl_published_files *files,
                                const char *const *paths, size_t n, tl_arena *arena,
                                const char **contents, tl_error *err);

/*
 * The first tokens of all answers to a question in files->entities, each once, ending with
 * NULL; *labels is NULL when there is no such file. TL_ERR_DATA when it lacks the question.
 */
tl_status tl_published_listed_answers(const tl_published_files *files,
                                      const char *question, tl_arena *arena,
                                      const char *const **labels, tl_error *err);

#endif
