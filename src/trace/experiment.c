/* SPDX-License-Identifier: MIT
 * experiment.c - see experiment.h. */
#include "trace/experiment.h"

#include "twinlens/alloc.h"

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

static double mebibytes(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

tl_status tl_budget_check(size_t budget, size_t need, const char *what, size_t n_pos,
                          tl_error *err)
{
    return budget == 0 || need <= budget
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY,
                         "%s of %zu positions needs %.3f MiB, the budget is %.3f MiB",
                         what, n_pos, mebibytes(need), mebibytes(budget));
}

tl_status tl_pass_room(tl_pass *pass, size_t budget, size_t buffers, size_t *out,
                       tl_error *err)
{
    size_t held = TL_EXPERIMENT_BYTES;
    if (budget == 0) {
        *out = 0;
        return TL_OK;
    }
    if (!tl_size_muladd(buffers, 1, &held) || held >= budget)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "the buffers of an experiment need %.3f MiB and a pass beside "
                       "them, the budget is %.3f MiB",
                       mebibytes(buffers), mebibytes(budget));
    tl_pass_shrink(pass, budget - held);
    *out = budget - held;
    return TL_OK;
}

tl_status tl_experiment_room(tl_experiment *x, size_t buffers, size_t *out,
                             tl_error *err)
{
    return tl_pass_room(x->pass, x->memory_budget, buffers, out, err);
}
