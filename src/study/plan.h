/* SPDX-License-Identifier: MIT
 * plan.h - what a study costs before it begins: products, and memory. */
#ifndef TWINLENS_STUDY_PLAN_H
#define TWINLENS_STUDY_PLAN_H

#include "study/settings.h"
#include "study/shape.h"

/*
 * What a study is expected to take. All prompts are taken to be used and answered right, and
 * to have a partner of the other modality; of cells that a search leaves, that they cost as
 * much as the others; of circuits, that their components are anywhere (circuit_work.h).
 */
tl_status tl_study_costs(const tl_model *model, const tl_settings *settings,
                         const tl_sizes *fractions, const tl_study_shape *shape,
                         tl_stage_cost costs[TL_STUDY_COSTS], size_t *n, tl_error *err);

/* The least that --memory must allow for such a study of prompts of that length; `scratch`
 * is what products and the tower take, `arrays_in` the folder of arrays of all components, or
 * NULL when they are to be in memory. */
tl_status tl_study_least_memory(const tl_model *model, size_t n_pos, size_t scratch,
                                const char *arrays_in, size_t *mebibytes,
                                tl_error *err);

#endif
