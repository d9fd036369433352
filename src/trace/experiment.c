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

/* Of a chunk of the arena, what tables of single prompts may take. */
enum { TABLE_BYTES = 48 << 10, MOST_PROMPTS = 128 };

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
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

tl_status tl_experiment_reset(tl_experiment *x, tl_array *buffers, size_t count,
                              size_t others, size_t *room, tl_error *err)
{
    size_t bytes = 0;
    if (!tl_size_muladd(count, sizeof(float), &bytes))
        bytes = SIZE_MAX;
    size_t all = larger(bytes, buffers->capacity);
    if (!tl_size_muladd(others, 1, &all))
        all = SIZE_MAX;
    const tl_status status = tl_experiment_room(x, all, room, err);
    return status == TL_OK ? tl_array_reset(buffers, x->model, TL_F32, count, err)
                           : status;
}

/* Bytes of a pass over n prompts that keeps all layers, and of their buffers. */
static tl_status batch_bytes(const tl_model *model, const tl_pass_options *options,
                             const tl_batch_prompt *prompt, size_t n, size_t *out,
                             tl_error *err)
{
    size_t n_pos[MOST_PROMPTS], n_prefix[MOST_PROMPTS], pass = 0;
    for (size_t i = 0; i < n; i++) {
        n_pos[i] = prompt->n_pos;
        n_prefix[i] = prompt->n_prefix;
    }
    const tl_status status =
        tl_pass_bytes(model, n_pos, n_prefix, n, options, &pass, err);
    if (status == TL_OK)
        *out = pass + n * prompt->buffer_bytes;
    return status;
}

tl_status tl_experiment_batch(const tl_model *model, const tl_pass_options *options,
                              const tl_batch_prompt *prompt, size_t room, size_t *out,
                              tl_error *err)
{
    tl_pass_options unlimited = *options;
    size_t n = 1, bytes = 0;
    unlimited.memory_budget = 0;
    tl_status status = tl_pass_batch_size(model, &unlimited,
                                          prompt->n_pos - prompt->n_prefix, &n, err);
    const size_t most = TABLE_BYTES / larger(prompt->table_bytes, 1);
    n = smaller(n, smaller(larger(most, 1), MOST_PROMPTS));
    /* A single prompt saves memory by itself, or the pass says that it cannot. */
    while (status == TL_OK && room > 0 && n > 1) {
        status = batch_bytes(model, &unlimited, prompt, n, &bytes, err);
        if (status == TL_OK && bytes <= room)
            break;
        n = smaller(n - 1, larger(room / (bytes / n + 1), 1));
    }
    if (status == TL_OK)
        *out = n;
    return status;
}
