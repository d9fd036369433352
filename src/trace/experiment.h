/* SPDX-License-Identifier: MIT
 *
 * experiment.h - what every experiment owns from its first prompt to its last: a pass that
 * keeps its memory, and an arena for one call.
 *
 *     struct tl_evaluator {
 *         tl_experiment on;
 *         ...
 *     };
 *     status = tl_experiment_init(&evaluator->on, model, memory_budget, err);
 */
#ifndef TWINLENS_TRACE_EXPERIMENT_H
#define TWINLENS_TRACE_EXPERIMENT_H

#include "twinlens/arena.h"
#include "twinlens/pass.h"

typedef struct tl_experiment {
    tl_model *model;
    const tl_dims *d;
    tl_pass *pass;
    size_t memory_budget; /* bytes for passes; 0: no limit */
    tl_arena *arena;      /* of one call */
} tl_experiment;

/* TL_ERR_NO_MEMORY; nothing is left to release then. */
tl_status tl_experiment_init(tl_experiment *experiment, tl_model *model,
                             size_t memory_budget, tl_error *err);
/* Of a zeroed one does nothing. */
void tl_experiment_release(tl_experiment *experiment);

#endif
