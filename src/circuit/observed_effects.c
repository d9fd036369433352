/* SPDX-License-Identifier: MIT
 * observed_effects.c - see observed_effects.h. */
#include "circuit/observed_effects.h"

#include <math.h>

/* ---- observing ------------------------------------------------------------------- */

static tl_status observe(tl_validator *validator, const tl_pair *pair, size_t prompt,
                         size_t n_components, tl_observed_effects *r, tl_arena *arena,
                         tl_error *err)
{
    const tl_validate_options how = {
        .others = r->ways, .n_others = r->n_ways, .n_components = n_components};
    tl_validation v;
    const tl_status status = tl_validator_pair(
        validator, pair, &how, r->seed + 2 * r->places[prompt], arena, &v, err);
    if (status != TL_OK)
        return status;
    r->difference[prompt] = v.difference;
    for (size_t m = 0; m < r->n_ways; m++)
        r->attributed[prompt * r->n_ways + m] = v.gradient[m];
    for (size_t i = 0; i < v.n; i++) {
        tl_observed_effect *seen = &r->all[r->n++];
        *seen = (tl_observed_effect){
            .prompt = prompt, .component = v.components[i], .exact = v.exact[i]};
        for (size_t m = 0; m < r->n_ways; m++)
            seen->attributed[m] = v.attributed[m * v.n + i];
    }
    return TL_OK;
}

tl_status tl_observe_effects(tl_model *model, size_t memory, const tl_pair *pairs,
                             size_t n_components, tl_arena *arena,
                             tl_observed_effects *out, tl_error *err)
{
    tl_observed_effects *r = out;
    tl_validator *validator = NULL;
    r->n = 0;
    r->all = tl_arena_alloc(arena, r->n_prompts * TL_KIND_COUNT * n_components,
                            sizeof *r->all);
    r->attributed =
        tl_arena_alloc(arena, r->n_prompts * r->n_ways, sizeof *r->attributed);
    r->difference = tl_arena_alloc(arena, r->n_prompts, sizeof *r->difference);
    tl_arena *own = tl_arena_create(); /* of one prompt */
    tl_status status =
        r->all != NULL && r->attributed != NULL && r->difference != NULL && own != NULL
            ? tl_validator_create(model, memory, &validator, err)
            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", r->n_prompts);
    for (size_t p = 0; p < r->n_prompts && status == TL_OK; p++) {
        const tl_arena_mark mark = tl_arena_get_mark(own);
        status = observe(validator, &pairs[p], p, n_components, r, own, err);
        tl_arena_rewind(own, mark);
    }
    tl_validator_destroy(validator);
    tl_arena_destroy(own);
    return status;
}

/* ---- agreement ------------------------------------------------------------------- */

tl_status tl_observed_correlate(const tl_observed_effects *r, tl_component_kind kind,
                                int layer, size_t way, tl_arena *arena,
                                tl_correlation *out, tl_error *err)
{
    double *x = tl_arena_alloc(arena, r->n, sizeof *x),
           *y = tl_arena_alloc(arena, r->n, sizeof *y);
    size_t *prompts = tl_arena_alloc(arena, r->n, sizeof *prompts), n = 0;
    if (x == NULL || y == NULL || prompts == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu observations", r->n);
    for (size_t i = 0; i < r->n; i++) {
        const tl_observed_effect *seen = &r->all[i];
        if (seen->component.kind != kind ||
            (layer >= 0 && seen->component.layer != (size_t)layer))
            continue;
        prompts[n] = seen->prompt;
        x[n] = seen->exact;
        y[n++] = seen->attributed[way];
    }
    return tl_correlate(x, y, prompts, n, layer < 0, out, err);
}

tl_status tl_observed_gap(const tl_observed_effects *r, size_t way, tl_arena *arena,
                          tl_interval *out, tl_error *err)
{
    double *gaps = tl_arena_alloc(arena, r->n_prompts, sizeof *gaps);
    size_t n = 0;
    if (gaps == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts",
                       r->n_prompts);
    for (size_t p = 0; p < r->n_prompts; p++) {
        const double attributed = r->attributed[p * r->n_ways + way],
                     gap = tl_completeness_gap(attributed, r->difference[p]);
        if (!isnan(gap) || isnan(attributed))
            gaps[n++] = gap;
    }
    return tl_bootstrap(tl_statistic_mean, gaps, n, NULL, out, err);
}
