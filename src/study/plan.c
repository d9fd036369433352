/* SPDX-License-Identifier: MIT
 *
 * plan.c - does a study fit into memory? Answered before it starts, from the
 * sizes of the model and the length of its prompts. See study_private.h.
 *
 * Weights are mapped from their files and are not counted: the system can drop and
 * read them again.
 */
#include "study/study_private.h"
#include "study/swaps.h"

#include "model/model_parts.h"
#include "twinlens/pass.h"
#include "twinlens/split.h"

size_t tl_study_cache_bytes(const tl_settings *settings, size_t all)
{
    if (settings->cache > 0)
        return settings->cache;
    return all == 0 || all / 8 > TL_DEFAULT_CACHE_BYTES ? TL_DEFAULT_CACHE_BYTES
                                                        : all / 8;
}

static size_t component_count(const tl_dims *d, size_t n_pos)
{
    return d->n_layers * n_pos * (d->n_heads + d->d_mlp);
}

/* z and mlp_post of one prompt at all layers, f32. */
static size_t site_bytes(const tl_dims *d, size_t n_pos)
{
    return d->n_layers * n_pos * (d->n_heads * d->d_head + d->d_mlp) * sizeof(float);
}

/* Two inputs, and keys and values of what they share. */
static size_t pair_bytes(const tl_dims *d, size_t n_pos)
{
    return n_pos * (2 * d->d_model + 2 * d->n_layers * d->n_kv_heads * d->d_head) *
           sizeof(float);
}

size_t tl_study_attribution_bytes(const tl_study *study, size_t n_pos)
{
    const tl_dims *d = tl_model_dims(study->session.model);
    const tl_settings *o = &study->settings;
    const bool keeps_dims =
        o->prompt_reduce == TL_PROMPT_SIGNED && o->head_reduce == TL_HEAD_ABS_DIM;
    const size_t heads = keeps_dims ? d->n_heads * d->d_head : d->n_heads;
    /* Of scores and magnitudes the total and the block under way. */
    const size_t sums =
        2 * (d->n_layers * n_pos * (heads + d->d_mlp) + component_count(d, n_pos)) *
        sizeof(double);
    const size_t scores = 2 * component_count(d, n_pos) * sizeof(float);
    const size_t buffers = 2 * site_bytes(d, n_pos) + pair_bytes(d, n_pos);
    return sums + (scores > buffers ? scores : buffers);
}

size_t tl_study_pass_budget(const tl_study *study, size_t kept)
{
    if (study->memory == 0)
        return 0;
    return study->memory > kept ? study->memory - kept : 1;
}

size_t tl_study_group(const tl_study *study, size_t n_pos, size_t most)
{
    const tl_dims *d = tl_model_dims(study->session.model);
    const size_t one = 2 * site_bytes(d, n_pos) + pair_bytes(d, n_pos);
    const size_t kept = tl_study_attribution_bytes(study, n_pos);
    const size_t half = study->memory / 2;
    if (study->memory == 0)
        return most;
    const size_t fit = half > kept ? 1 + (half - kept) / one : 1;
    return fit < most ? fit : most;
}

size_t tl_study_evaluation_bytes(const tl_study *study, size_t n_pos)
{
    const tl_dims *d = tl_model_dims(study->session.model);
    /* Three rankings; while one is made, scores and two orders beside them. */
    const size_t ranks = component_count(d, n_pos) * sizeof(uint32_t);
    const size_t buffers = site_bytes(d, n_pos) + pair_bytes(d, n_pos);
    return 3 * ranks + (3 * ranks > buffers ? 3 * ranks : buffers);
}

size_t tl_study_interchange_bytes(const tl_study *study, size_t n_pos)
{
    const tl_dims *d = tl_model_dims(study->session.model);
    /* A byte for each component of every circuit, and of the two that they are made of;
     * one ranking while those are made. */
    const size_t sets =
        component_count(d, n_pos) * (tl_swap_count(study->settings.inter_draws) + 2);
    const size_t ranks = 3 * component_count(d, n_pos) * sizeof(uint32_t);
    const size_t buffers = site_bytes(d, n_pos) + pair_bytes(d, n_pos);
    return sets + (ranks > buffers ? ranks : buffers);
}

/* The least that a pass over one prompt can do with. */
static tl_status least_pass_bytes(const tl_model *model, size_t n_pos,
                                  bool for_backward, size_t *out, tl_error *err)
{
    tl_pass_options options = {.last_only = true, .for_backward = for_backward};
    size_t bytes = 0;
    tl_status status = tl_pass_bytes(model, &n_pos, NULL, 1, &options, &bytes, err);
    if (status != TL_OK)
        return status;
    /* Asking for a little less each time makes it keep fewer layers. */
    do {
        *out = bytes;
        options.memory_budget = bytes - 1;
    } while (bytes > 1 &&
             tl_pass_bytes(model, &n_pos, NULL, 1, &options, &bytes, NULL) == TL_OK);
    return TL_OK;
}

tl_status tl_study_least_bytes(const tl_study *study, size_t n_pos, size_t *out,
                               tl_error *err)
{
    const tl_model *model = study->session.model;
    size_t forward = 0, backward = 0;
    tl_status status = least_pass_bytes(model, n_pos, false, &forward, err);
    if (status == TL_OK)
        status = least_pass_bytes(model, n_pos, true, &backward, err);
    if (status != TL_OK)
        return status;
    const size_t attribution = tl_study_attribution_bytes(study, n_pos) + backward;
    const size_t evaluation = tl_study_evaluation_bytes(study, n_pos) + forward;
    *out = attribution > evaluation ? attribution : evaluation;
    const size_t interchange = tl_study_interchange_bytes(study, n_pos) + forward;
    if (study->modalities[TL_TEXT] && study->modalities[TL_IMAGE] && interchange > *out)
        *out = interchange;
    return TL_OK;
}

/* What --memory must allow, in MiB, for that much beside the cache. */
static size_t whole_mebibytes(const tl_settings *o, size_t base)
{
    size_t all = base;
    while (all < base + tl_study_cache_bytes(o, all))
        all += (size_t)1 << 20;
    return (all >> 20) + 1;
}

tl_status tl_study_plan(const tl_study *study, tl_modality modality, size_t n_pos,
                        tl_error *err)
{
    size_t wanted = 0;
    const tl_status status = tl_study_least_bytes(study, n_pos, &wanted, err);
    if (status != TL_OK || study->memory == 0 || wanted <= study->memory)
        return status;
    const tl_settings *o = &study->settings;
    const size_t all = whole_mebibytes(o, wanted + study->scratch);
    if (o->memory > 0)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "%s prompts of %zu positions need %zu MiB, --memory is %zu MiB: "
                       "wanted --memory %zuM or shorter prompts",
                       tl_modality_name(modality), n_pos, all, o->memory >> 20, all);
    return tl_fail(err, TL_ERR_NO_MEMORY,
                   "%s prompts of %zu positions need %zu MiB, the machine has %zu MiB "
                   "free: wanted that much memory or shorter prompts",
                   tl_modality_name(modality), n_pos, all,
                   (study->memory + study->scratch) >> 20);
}

tl_status tl_study_least_memory(const tl_model *model, size_t n_pos, size_t scratch,
                                size_t *mebibytes, tl_error *err)
{
    tl_study study = {.modalities = {true, true}};
    tl_settings_init(&study.settings);
    study.session.model = (tl_model *)(uintptr_t)model; /* only its sizes are read */
    size_t wanted = 0;
    const tl_status status = tl_study_least_bytes(&study, n_pos, &wanted, err);
    if (status == TL_OK)
        *mebibytes = whole_mebibytes(&study.settings, wanted + scratch);
    return status;
}

void tl_study_costs(const tl_settings *o, size_t n_sizes, size_t n_layers, size_t rows,
                    bool both, tl_study_cost *out)
{
    const size_t most = o->prompts > 0 ? o->prompts : TL_SPLIT_PROMPTS,
                 used = rows < most ? rows : most, evaluated = used - used * 3 / 4;
    const double steps = (double)o->ig_steps;
    *out = (tl_study_cost){
        .units = {rows, used * 3 / 4, evaluated, o->pictures, o->validate,
                  both ? evaluated : 0, rows, rows},
        .forwards = {1.0, 1.0 + 3.0 * steps,
                     2.0 + (double)(TL_STUDY_KIND_COUNT * n_sizes), 1.0 + 3.0 * steps,
                     200.0, 2.0 + (double)tl_swap_count(o->inter_draws), 5.0,
                     3.0 * (double)(n_layers * n_layers) / 6.0}};
}

double tl_study_forwards(size_t n_layers, size_t rows)
{
    enum { SIZES = 27 }; /* of the default grid */
    tl_settings settings;
    tl_settings_init(&settings);
    tl_study_cost cost;
    double sum = 0.0;
    tl_study_costs(&settings, SIZES, n_layers, rows, true, &cost);
    for (size_t s = 0; s < TL_STAGE_COUNT; s++)
        sum += (double)cost.units[s] * cost.forwards[s];
    return sum;
}
