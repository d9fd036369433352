/* SPDX-License-Identifier: MIT
 * experiment.c - see experiment.h. */
#include "trace/experiment.h"

tl_status tl_experiment_init(tl_experiment *experiment, tl_model *model,
                             size_t memory_budget, tl_error *err)
{
    tl_experiment x = {.model = model,
                       .d = tl_model_dims(model),
                       .memory_budget = memory_budget,
                       .arena = tl_arena_create()};
    const tl_status status =
        x.arena != NULL ? tl_pass_create(model, &x.pass, err)
                        : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an experiment");
    if (status == TL_OK)
        *experiment = x;
    else
        tl_arena_destroy(x.arena);
    return status;
}

void tl_experiment_release(tl_experiment *experiment)
{
    tl_pass_destroy(experiment->pass);
    tl_arena_destroy(experiment->arena);
    *experiment = (tl_experiment){0};
}
