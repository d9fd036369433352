/* SPDX-License-Identifier: MIT
 *
 * split.h - which prompts are used, for what, and against which counterfactual:
 * the authors' selection, drawn with the same random numbers.
 *
 *     const tl_split_options options = {.n_prompts = 0, .seed = 42};
 *     tl_split split;
 *     status = tl_dataset_split(dataset, TL_TEXT, correct, &options, processor,
 *                               arena, &split, &err);
 *     for (size_t i = 0; i < split.n_discovery; i++)
 *         printf("%zu beside %zu\n", split.discovery[i].row,
 *                split.discovery[i].counterfactual);
 *
 * Of the rows that the model gets right, at most n_prompts are taken, about equally
 * many of each answer, 3/4 of them for discovery and the rest for evaluation; each
 * gets a counterfactual with another answer from its own part, and from its own
 * group where it has one. Answers are first tokens: two that share one are equal.
 *
 * What a row says itself goes first. With `cf`, the row keeps that counterfactual,
 * whether the model gets that one right or not. As soon as one row has a `split`,
 * nothing is drawn: the rows that have one go where they say, in the order of the
 * file, and the others are left out.
 */
#ifndef TWINLENS_SPLIT_H
#define TWINLENS_SPLIT_H

#include "twinlens/api.h"
#include "twinlens/dataset.h"

TL_BEGIN_DECLS

enum { TL_SPLIT_PROMPTS = 250, TL_SPLIT_SEED = 42 }; /* the defaults */

typedef struct tl_split_options {
    size_t size;      /* sizeof(tl_split_options); 0: that of today */
    size_t n_prompts; /* 0: 250, or all correct ones if they are fewer; a number
                         that is given must be there: TL_ERR_TOO_FEW */
    size_t n_answers; /* possible answers, for the share of each; 0: those of the
                         correct rows */
    uint64_t seed;    /* any: 0 is a seed as well; published: TL_SPLIT_SEED */
} tl_split_options;

typedef struct tl_split_pair {
    size_t row, counterfactual;
} tl_split_pair;

typedef struct tl_split {
    const tl_split_pair *discovery, *evaluation;
    size_t n_discovery, n_evaluation;
    size_t n_rows, n_correct; /* what there was to choose from */
    /* Of the correct ones that are in no part, those with the content of another that is in
     * one, or came before; and those without a split where others have one. */
    size_t n_same, n_unsplit;
} tl_split;

/*
 * Splits the rows of one modality. `correct` has dataset->n_rows entries. The pairs
 * hold row indices of the dataset and live in `arena`. `options` may be NULL:
 * all defaults, and the published seed.
 *
 * Errors: TL_ERR_TOO_FEW when no row is correct, when fewer than n_prompts are, when
 * a row has no possible counterfactual; TL_ERR_DATA when a row has the answer of the
 * counterfactual that it names; and what reading an image can end in.
 */
tl_status tl_dataset_split(const tl_dataset *dataset, tl_modality modality,
                           const bool *correct, const tl_split_options *options,
                           const tl_processor *processor, tl_arena *arena,
                           tl_split *out, tl_error *err);

/* n_answers as published: of the task's answers or labels; 0, those that occur, where
 * labels differ from question to question. */
size_t tl_split_answers(const tl_dataset *dataset);

/* What the drawing needs to know of a row. */
typedef struct tl_split_row {
    const char *id;         /* for messages */
    const char *prompt;     /* with `image_hash` and `answer` the order of the rows
                               that fill up, and what makes two rows the same */
    const char *image_hash; /* SHA-256, in hexadecimal, of the RGB bytes; NULL: none */
    const char *answer;
    int32_t answer_id;
    const char *group; /* NULL: none */
    bool correct;
    tl_part part;          /* TL_PART_NONE: to be drawn */
    size_t counterfactual; /* index of a row; TL_NO_ROW: to be drawn */
} tl_split_row;

/* The drawing alone, for rows from elsewhere; the pairs index `rows`. */
tl_status tl_split_draw(const tl_split_row *rows, size_t n_rows,
                        const tl_split_options *options, tl_arena *arena, tl_split *out,
                        tl_error *err);

TL_END_DECLS

#endif
