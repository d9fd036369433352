/* SPDX-License-Identifier: MIT
 *
 * validate_sample.c - which components of a pair to patch (include/twinlens/validate.h).
 */
#include "twinlens/validate.h"

#include <math.h>

#include "base/random.h"

enum { STRATA = 3 };

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
