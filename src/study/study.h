/* SPDX-License-Identifier: MIT
 *
 * study.h - the main job, from a model and a dataset to a study folder: predict,
 * keep what is right, split, attribute, faithfulness curve, minimal circuit; then overlap
 * and interchange of the two circuits, alignment, back-patching.
 *
 *     tl_study_options options = {.session = {.model = "m", ...}, .out = "runs/a", ...};
 *     status = tl_study_run(&options, NULL, NULL, &err);
 *
 * Every unit of work is on the disk before the next begins, so a study that was
 * killed goes on where it was, and ends with the same bytes as one left alone.
 */
#ifndef TWINLENS_STUDY_STUDY_H
#define TWINLENS_STUDY_STUDY_H

#include "study/choices.h"
#include "study/progress.h"
#include "study/session.h"
#include "twinlens/split.h"

typedef enum tl_study_faith {
    TL_FAITH_MEAN_RATIO, /* mean of the prompts' ratios */
    TL_FAITH_RATIO_MEAN, /* ratio of the sums */
} tl_study_faith;

typedef enum tl_study_keep {
    TL_KEEP_LIMITED, /* rows whose answer beats the other labels */
    TL_KEEP_FULL,    /* rows whose answer beats the whole vocabulary */
    TL_KEEP_ALL,     /* all rows, right or wrong */
    TL_KEEP_STORED,  /* rows whose answer is what the dataset says was predicted */
} tl_study_keep;

typedef enum tl_bp_grid {
    TL_BP_TRIANGLE, /* all destinations below their source */
    TL_BP_PAPER,    /* from the upper half of the layers into the lower */
    TL_BP_NONE,     /* no back-patching */
} tl_bp_grid;

enum { TL_STUDY_PICTURES = 4, TL_STUDY_VALIDATED = 4 }; /* the defaults */

typedef struct tl_study_options {
    tl_session_options session; /* the backend must be named */
    const char *out;
    bool modalities[TL_MODALITY_COUNT]; /* none: those that the dataset has */
    tl_study_keep keep;
    size_t n_prompts; /* 0: at most 250 */
    uint64_t seed;
    tl_attribution_options attribution; /* without the memory budget */
    const char *const *fractions;       /* as written, ascending */
    size_t n_fractions;
    tl_fraction_rounding rounding;
    tl_study_faith faith;
    double threshold;
    size_t n_pictures;  /* image prompts kept to look at, with scores of their own */
    size_t n_validated; /* pairs of each modality with exact effects */
    tl_overlap_options overlap;
    tl_interchange_options interchange;
    tl_probe_options probe;
    tl_bp_grid bp_grid;
} tl_study_options;

/* Forward passes that a study of `rows` prompts of one modality takes, more or less, with
 * the default options and the other modality beside it. */
double tl_study_forwards(size_t n_layers, size_t rows);

/* The least that --memory must allow for such a study of prompts of that length; `scratch`
 * is what products and the tower take. */
tl_status tl_study_least_memory(const tl_model *model, size_t n_pos, size_t scratch,
                                size_t *mebibytes, tl_error *err);

/* `report` is told of the progress, with `user`; NULL: nobody is. Errors: those of what
 * it calls; TL_ERR_NO_MEMORY when the plan does not fit; TL_ERR_DATA when the folder
 * holds a study made otherwise. */
tl_status tl_study_run(const tl_study_options *options, tl_progress_fn *report,
                       void *user, tl_error *err);

#endif
