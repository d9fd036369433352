/* SPDX-License-Identifier: MIT
 *
 * scene.h - made-up prompts of the five tasks: one scene, told in words and shown in a
 * picture, a question about it, and the answer.
 *
 *     const tl_scene_options options = {.task = TL_TASK_COUNTING};
 *     status = tl_scene_write(&options, 1000, seed, "my-task", &err);
 *
 * writes a dataset folder of 1000 pairs (dataset.h) and, beside it, drawing.jsonl: what
 * is where in every picture. The same options and seed give the same bytes.
 */
#ifndef TWINLENS_SCENE_H
#define TWINLENS_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/api.h"
#include "twinlens/status.h"
#include "twinlens/tokenizer.h"

TL_BEGIN_DECLS

/* In the order of the paper's tables. */
typedef enum tl_task {
    TL_TASK_COUNTING,
    TL_TASK_ARITHMETIC,
    TL_TASK_COLOR_ORDERING,
    TL_TASK_FACTUAL_RECALL,
    TL_TASK_SENTIMENT,
    TL_TASKS,
} tl_task;

typedef enum tl_style {
    TL_STYLE_PUBLISHED, /* the published wording and quantities */
    TL_STYLE_SMALL,     /* short wording, fewer things: what the bundled model knows */
} tl_style;

/* One scene in eight, chosen by what it contains, is held out of training; words and
 * icons occur on both sides. */
typedef enum tl_content {
    TL_CONTENT_ALL,
    TL_CONTENT_TRAIN,
    TL_CONTENT_HELD_OUT,
} tl_content;

typedef struct tl_scene_options {
    size_t size; /* sizeof(tl_scene_options); 0: that of today */
    tl_task task;
    tl_style style;
    tl_content content;
    size_t width, height; /* of the pictures, pixels; 0: tl_scene_default_size */
    /* Only prompts that are as long as most, in its tokens, and whose answer begins with
     * another token than every other label; NULL: all. Circuits are found at positions,
     * which all prompts must share. The caller's, needed as long as the call. */
    const tl_tokenizer *tokenizer;
    bool replace;              /* a dataset that is in the folder */
    bool no_text, no_pictures; /* rows of the other modality only */
} tl_scene_options;

/* "counting", "arithmetic", "color_ordering", "factual_recall", "sentiment". */
const char *tl_task_name(tl_task task);

/* The size that pictures have unless another is wanted. */
void tl_scene_default_size(tl_task task, tl_style style, size_t *width, size_t *height);

/*
 * Writes `n` scenes with different prompts into `folder`, which must be new or empty:
 * dataset.jsonl (rows text-0, image-0, text-1, ...), task.json, drawing.jsonl and
 * images/0.png ... dataset.jsonl appears last, when all is there.
 *
 * Errors   TL_ERR_ARGUMENT when there is no such task, style or content, the folder is
 *          not empty (and nothing is to be replaced), the picture is too small to read
 *          or larger than 1024, or both kinds of rows are left out; TL_ERR_DATA when
 *          there are not n different prompts; TL_ERR_NOT_FOUND naming the font's package
 *          when a font is not installed; TL_ERR_IO
 */
tl_status tl_scene_write(const tl_scene_options *options, size_t n, uint64_t seed,
                         const char *folder, tl_error *err);

/* The first scenes that tl_scene_write() would make, on one page, with their prompts
 * and answers: a PNG file. Errors as there. */
tl_status tl_scene_sheet(const tl_scene_options *options, size_t n, uint64_t seed,
                         const char *path, tl_error *err);

TL_END_DECLS

#endif
