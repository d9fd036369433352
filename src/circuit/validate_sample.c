/* SPDX-License-Identifier: MIT
 *
 * validate_sample.c - which components of a pair to patch, and what attribution says of
 * them (include/twinlens/validate.h).
 */
#include "twinlens/validate.h"

#include <math.h>

#include "base/random.h"
#include "base/sized.h"

enum { STRATA = 3 };

/* ---- the sample ------------------------------------------------------------------ */

static const float *scores_of(const tl_scores *s, tl_component_kind kind,
                              size_t *per_pos)
{
    *per_pos = kind == TL_KIND_HEADS ? s->n_heads : s->d_mlp;
    return kind == TL_KIND_HEADS ? s->heads : s->neurons;
}

/* order[0 .. count - 1]: components by the size of their score, the largest first. */
static tl_status sort_by_size(const tl_scores *s, tl_component_kind kind,
                              tl_arena *arena, const uint32_t **order, size_t *n_scored,
                              tl_error *err)
{
    size_t per_pos;
    const float *scores = scores_of(s, kind, &per_pos);
    const size_t count = s->n_layers * s->n_pos * per_pos;
    const bool heads = kind == TL_KIND_HEADS;
    float *sizes = tl_arena_alloc(arena, count, sizeof *sizes), nothing = 0.0f;
    uint32_t *sorted = tl_arena_alloc(arena, count, sizeof *sorted);
    tl_ranking ranking;
    if (sizes == NULL || sorted == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu scores", count);
    *n_scored = 0;
    for (size_t i = 0; i < count; i++) {
        sizes[i] = fabsf(scores[i]);
        *n_scored += sizes[i] > 0.0f;
    }
    const tl_scores one = {s->n_layers,
                           s->n_pos,
                           heads ? per_pos : 0,
                           heads ? 0 : per_pos,
                           heads ? sizes : &nothing,
                           heads ? &nothing : sizes};
    const tl_status status = tl_ranking_from_scores(&one, arena, &ranking, err);
    if (status != TL_OK)
        return status;
    const uint32_t *rank = heads ? ranking.heads : ranking.neurons;
    for (size_t i = 0; i < count; i++)
        sorted[rank[i]] = (uint32_t)i;
    *order = sorted;
    return TL_OK;
}

tl_status tl_validate_sample(const tl_scores *s, tl_component_kind kind, size_t n,
                             uint64_t seed, tl_component *out, tl_error *err)
{
    size_t per_pos, n_scored = 0;
    (void)scores_of(s, kind, &per_pos);
    const size_t count = s->n_layers * s->n_pos * per_pos;
    const uint32_t *order = NULL;
    tl_random random = {seed};
    tl_arena *arena = tl_arena_create();
    tl_status status =
        arena != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory to sample");
    if (status == TL_OK)
        status = sort_by_size(s, kind, arena, &order, &n_scored, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        size_t place = i / STRATA;
        if (i % STRATA == 1 && n_scored >= STRATA)
            place = n_scored / 3 + (size_t)tl_random_below(&random, n_scored / 3);
        else if (i % STRATA == 2)
            place = (size_t)tl_random_below(&random, count);
        const size_t at = order[place < count ? place : count - 1];
        out[i] = (tl_component){kind, at / per_pos / s->n_pos, at / per_pos % s->n_pos,
                                at % per_pos};
    }
    tl_arena_destroy(arena);
    return status;
}

/* ---- one pair -------------------------------------------------------------------- */

static tl_status attribute(tl_model *model, const tl_pair *pair, size_t steps,
                           size_t memory_budget, tl_arena *arena, tl_scores *out,
                           tl_error *err)
{
    const tl_attribution_options how = {
        .ig_steps = steps, .raw_sign = true, .memory_budget = memory_budget};
    tl_attribution *attribution = NULL;
    tl_status status =
        tl_attribution_create(model, pair->clean.n_pos, &how, &attribution, err);
    if (status == TL_OK)
        status = tl_attribution_add(attribution, pair, 1, err);
    if (status == TL_OK)
        status = tl_attribution_scores(attribution, arena, out, err);
    tl_attribution_destroy(attribution);
    return status;
}

static double score_of(const tl_scores *s, const tl_component *c)
{
    size_t per_pos;
    const float *scores = scores_of(s, c->kind, &per_pos);
    return (double)scores[(c->layer * s->n_pos + c->pos) * per_pos + c->index];
}

/* The attributions last only as long as they are looked up. */
static tl_status attribute_sample(tl_model *model, const tl_pair *pair,
                                  const tl_validate_options *o, uint64_t seed,
                                  tl_component *components, double *attributed,
                                  tl_error *err)
{
    const size_t n = TL_KIND_COUNT * o->n_components;
    tl_status status = TL_OK;
    for (size_t m = o->n_ig_steps; m-- > 0 && status == TL_OK;) {
        tl_scores scores;
        tl_arena *arena = tl_arena_create();
        status = arena != NULL
                     ? attribute(model, pair, o->ig_steps[m], o->memory_budget, arena,
                                 &scores, err)
                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory to attribute");
        for (size_t k = 0; k < TL_KIND_COUNT && m + 1 == o->n_ig_steps; k++)
            if (status == TL_OK)
                status =
                    tl_validate_sample(&scores, (tl_component_kind)k, o->n_components,
                                       seed + k, components + k * o->n_components, err);
        for (size_t i = 0; i < n && status == TL_OK; i++)
            attributed[m * n + i] = score_of(&scores, &components[i]);
        tl_arena_destroy(arena);
    }
    return status;
}

tl_status tl_validate_pair(tl_model *model, const tl_pair *pair,
                           const tl_validate_options *options, uint64_t seed,
                           tl_arena *arena, tl_validation *out, tl_error *err)
{
    tl_validate_options copy;
    const tl_validate_options *o = &copy;
    tl_status status =
        tl_sized_copy(options, &copy, sizeof copy, "tl_validate_options", err);
    if (status != TL_OK)
        return status;
    const size_t n = TL_KIND_COUNT * o->n_components, n_steps = o->n_ig_steps;
    tl_component *components = tl_arena_alloc(arena, n, sizeof *components);
    double *exact = tl_arena_alloc(arena, n, sizeof *exact),
           *attributed = tl_arena_alloc(arena, n * n_steps, sizeof *attributed),
           *gradient = tl_arena_alloc(arena, n_steps, sizeof *gradient);
    double difference = NAN, clean = NAN;
    if (components == NULL || exact == NULL || attributed == NULL || gradient == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu components", n);
    status = attribute_sample(model, pair, o, seed, components, attributed, err);
    for (size_t m = 0; m < n_steps && status == TL_OK; m++)
        status = tl_completeness(model, pair, o->ig_steps[m], o->memory_budget,
                                 &gradient[m], &difference, err);
    if (status == TL_OK)
        status = tl_patch_effects(model, pair, components, n, o->memory_budget, exact,
                                  &clean, err);
    if (status == TL_OK)
        *out = (tl_validation){n, components, exact, attributed, gradient, difference};
    return status;
}
