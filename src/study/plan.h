/* SPDX-License-Identifier: MIT
 * plan.h - what a study costs before it begins: forward passes, and memory. */
#ifndef TWINLENS_STUDY_PLAN_H
#define TWINLENS_STUDY_PLAN_H

#include "twinlens/model.h"
#include "twinlens/study.h"

/* Forward passes that a study of `rows` prompts of each modality takes, more or less, with
 * the default settings. */
double tl_study_forwards(size_t n_layers, size_t rows);

/* Those of them that are for back-patching, all cells or a search among them. */
double tl_study_backpatch_forwards(size_t n_layers, size_t rows, tl_bp_search search);

/* The least that --memory must allow for such a study of prompts of that length; `scratch`
 * is what products and the tower take. */
tl_status tl_study_least_memory(const tl_model *model, size_t n_pos, size_t scratch,
                                size_t *mebibytes, tl_error *err);

#endif
