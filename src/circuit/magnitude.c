/* SPDX-License-Identifier: MIT
 *
 * magnitude.c - how far activations of a pair are apart (include/twinlens/circuit.h).
 * One pass runs both prompts; at each site a tap sees the counterfactual's values first
 * and keeps them for the clean ones.
 */
#include <math.h>
#include <string.h>

#include "circuit/pair.h"

typedef struct work {
    const tl_dims *d;
    size_t n_pos;
    float *other; /* of the site under way, [n_pos, width] */
    double *heads, *neurons;
} work;

static tl_status compare(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const work *w = user;
    const size_t count = e->n_pos * e->width;
    if (e->prompt == 0) {
        memcpy(w->other, e->values, count * sizeof *w->other);
        return TL_OK;
    }
    const bool heads = e->site == TL_SITE_Z;
    const size_t per_component = heads ? e->width / w->d->n_heads : 1,
                 per_pos = e->width / per_component;
    double *sums = (heads ? w->heads : w->neurons) +
                   (e->layer * w->n_pos + e->first_pos) * per_pos;
    for (size_t i = 0; i < count; i++)
        sums[i / per_component] += fabs((double)e->values[i] - (double)w->other[i]);
    return TL_OK;
}

tl_status tl_magnitude_add(tl_model *model, const tl_pair *pair, size_t memory_budget,
                           double *heads, double *neurons, tl_error *err)
{
    const tl_dims *d = tl_model_dims(model);
    const size_t n_pos = pair->clean.n_pos, z_width = d->n_heads * d->d_head;
    tl_status status = tl_pair_check(pair, n_pos, err);
    if (status != TL_OK)
        return status;
    tl_pass *pass = NULL;
    tl_arena *arena = tl_arena_create();
    work w = {.d = d, .n_pos = n_pos, .heads = heads, .neurons = neurons};
    if (arena != NULL)
        w.other = tl_arena_alloc(
            arena, n_pos * (z_width > d->d_mlp ? z_width : d->d_mlp), sizeof *w.other);
    if (w.other == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a site's activations");
    if (status == TL_OK)
        status = tl_pass_create(model, &pass, err);
    const tl_tap tap = {.on_site = compare,
                        .user = &w,
                        .sites =
                            TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_MLP_POST)};
    const tl_pass_options options = {
        .taps = &tap, .n_taps = 1, .last_only = true, .memory_budget = memory_budget};
    const tl_pass_prompt prompts[2] = {{.input = pair->counterfactual},
                                       {.input = pair->clean}};
    if (status == TL_OK)
        status = tl_pass_forward(pass, prompts, 2, &options, err);
    tl_pass_destroy(pass);
    tl_arena_destroy(arena);
    return status;
}
