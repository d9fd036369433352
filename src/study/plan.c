/* SPDX-License-Identifier: MIT
 *
 * plan.c - does a study fit into memory, and how long does it take? Answered before it
 * starts, from the sizes of the model and the length of its prompts. What a stage holds is
 * said by the stage (stage.h), what an experiment needs by the experiment.
 *
 * Weights are mapped from their files and are not counted: the system can drop and
 * read them again.
 */
#include "study/plan.h"

#include <stdio.h>

#include "model/model_parts.h"
#include "study/stage.h"
#include "twinlens/log.h"

size_t tl_study_components(const tl_study *study, size_t n_pos)
{
    const tl_dims *d = tl_model_dims(study->session.model);
    return d->n_layers * n_pos * (d->n_heads + d->d_mlp);
}

size_t tl_study_array_bytes(const tl_study *study, size_t n_pos, size_t each)
{
    return study->arrays_in != NULL ? 0 : tl_study_components(study, n_pos) * each;
}

tl_attribution_options tl_study_attribution(const tl_study *study, size_t budget)
{
    tl_attribution_options options = tl_settings_attribution(&study->settings, budget);
    options.folder = study->arrays_in;
    return options;
}

size_t tl_study_input_bytes(const tl_study *study, tl_modality modality, size_t n_pos,
                            size_t n_prompts)
{
    const size_t input = tl_model_input_bytes(study->session.model, n_pos);
    return n_prompts * (input + (modality == TL_IMAGE ? study->pixel_bytes : 0));
}

size_t tl_study_evaluated_together(const tl_study *study, tl_modality modality)
{
    enum { PART = 16 };
    const size_t pair = tl_study_input_bytes(study, modality,
                                             study->spans[modality].n_pos, 2),
                 room = study->memory / PART / pair;
    return study->memory == 0 || room > TL_EVALUATE_TOGETHER ? TL_EVALUATE_TOGETHER
           : room > 0                                        ? room
                                                             : 1;
}

size_t tl_study_budget(const tl_study *study, size_t held)
{
    if (study->memory == 0)
        return 0;
    return study->memory > held ? study->memory - held : 1;
}

tl_status tl_study_least_bytes(const tl_study *study, size_t *out, tl_error *err)
{
    size_t most = 0;
    tl_study_shape shape;
    tl_study_shape_of(study, &shape);
    for (size_t s = 0; s < TL_STAGE_COUNT; s++)
        for (int m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_stage *stage = tl_stages[s];
            size_t bytes = 0;
            if (stage->bytes == NULL || study->spans[m].n_pos == 0 ||
                !tl_stage_is_of(stage, &shape, (tl_modality)m))
                continue;
            const tl_status status = stage->bytes(study, (tl_modality)m, &bytes, err);
            if (status != TL_OK)
                return status;
            most = bytes > most ? bytes : most;
        }
    *out = most;
    return TL_OK;
}

/* What --memory must allow, in MiB, for that much beside the cache. */
static size_t whole_mebibytes(const tl_settings *o, size_t base)
{
    size_t all = base;
    while (all < base + tl_settings_cache_bytes(o, all))
        all += (size_t)1 << 20;
    return (all >> 20) + 1;
}

tl_status tl_study_plan(tl_study *study, tl_error *err)
{
    const tl_settings *o = &study->settings;
    size_t wanted = 0;
    tl_status status = tl_study_least_bytes(study, &wanted, err);
    if (status != TL_OK || study->memory == 0 || wanted <= study->memory)
        return status;
    const size_t in_memory = whole_mebibytes(o, wanted + study->scratch);
    study->arrays_in = o->out;
    status = tl_study_least_bytes(study, &wanted, err);
    if (status == TL_OK && wanted <= study->memory)
        tl_log(
            TL_LOG_INFO,
            "scores and circuits are on the disk, in %s: with %zu MiB they would be in "
            "memory",
            o->out, in_memory);
    if (status != TL_OK || wanted <= study->memory)
        return status;
    const size_t all = whole_mebibytes(o, wanted + study->scratch),
                 text = study->spans[TL_TEXT].n_pos,
                 image = study->spans[TL_IMAGE].n_pos,
                 n_pos = text > image ? text : image;
    if (o->memory > 0)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "prompts of %zu positions need %zu MiB, --memory is %zu MiB: "
                       "wanted --memory %zuM or shorter prompts",
                       n_pos, all, o->memory >> 20, all);
    return tl_fail(err, TL_ERR_NO_MEMORY,
                   "prompts of %zu positions need %zu MiB, the machine has %zu MiB "
                   "free: wanted that much memory or shorter prompts",
                   n_pos, all, (study->memory + study->scratch) >> 20);
}

tl_status tl_study_least_memory(const tl_model *model, size_t n_pos, size_t scratch,
                                const char *arrays_in, size_t *mebibytes, tl_error *err)
{
    /* Nobody knows yet which of the positions are data. */
    const tl_span all = {n_pos, 0, n_pos};
    tl_study study = {.modalities = {true, true},
                      .spans = {all, all},
                      .arrays_in = arrays_in,
                      .n_rows = {1, 1},
                      .n_circuit_rows = {1, 1}};
    tl_settings_init(&study.settings);
    study.session.model = (tl_model *)(uintptr_t)model; /* only its sizes are read */
    size_t wanted = 0;
    const tl_status status = tl_study_least_bytes(&study, &wanted, err);
    if (status == TL_OK)
        *mebibytes = whole_mebibytes(&study.settings, wanted + scratch);
    return status;
}

/* ---- products ---------------------------------------------------------------- */

typedef struct cost_list {
    const tl_study_shape *shape;
    const tl_model *model;
    tl_stage_cost *costs;
    size_t n;
} cost_list;

static tl_status add_cost(void *user, size_t stage, tl_modality modality,
                          const char *name, const tl_stage_guess *guess, tl_error *err)
{
    (void)stage;
    cost_list *list = user;
    const tl_pass_options options = {.last_only = true};
    uint64_t forward = 0;
    const tl_status status =
        tl_pass_flops(list->model, &list->shape->spans[modality].n_pos, NULL, 1,
                      &options, &forward, err);
    tl_stage_cost *cost = &list->costs[list->n++];
    *cost = (tl_stage_cost){.n_units = guess->n_units,
                            .flops = (double)guess->n_units * guess->flops};
    snprintf(cost->name, sizeof cost->name, "%s", name);
    if (status == TL_OK)
        cost->forwards = cost->flops / (double)forward;
    return status;
}

tl_status tl_study_costs(const tl_model *model, const tl_settings *settings,
                         const tl_sizes *fractions, const tl_study_shape *shape,
                         tl_stage_cost costs[TL_STUDY_COSTS], size_t *n, tl_error *err)
{
    cost_list list = {.shape = shape, .model = model, .costs = costs};
    const tl_status status =
        tl_stages_guess(model, settings, fractions, shape, add_cost, &list, err);
    *n = list.n;
    return status;
}
