/* SPDX-License-Identifier: MIT
 * attribution_sums.c - see attribution_sums.h. */
#include "circuit/attribution_sums.h"

#include <math.h>

size_t tl_attribution_sums_per_head(const tl_attribution_options *o, const tl_dims *d)
{
    return !o->raw_sign && o->prompt_reduce == TL_PROMPT_SIGNED &&
                   o->head_reduce == TL_HEAD_ABS_DIM
               ? d->d_head
               : 1;
}

/* The mean over all pairs of element i. */
static double mean_of(const tl_sum_terms *terms, size_t n_pairs, size_t i)
{
    double sum = 0.0;
    for (size_t k = 0; k < sizeof terms->plus / sizeof *terms->plus; k++)
        sum += terms->plus[k] != NULL ? terms->plus[k][i] : 0.0;
    if (terms->minus != NULL)
        sum -= terms->minus[i];
    return sum / (double)n_pairs;
}

tl_status tl_attribution_take_scores(const tl_dims *d, size_t n_pos, size_t n_pairs,
                                     tl_arena *arena, tl_scores *out, tl_error *err)
{
    const size_t places = d->n_layers * n_pos;
    if (n_pairs == 0)
        return tl_fail(err, TL_ERR_DATA, "no pair was attributed: there are no scores");
    tl_scores scores = {d->n_layers, n_pos, d->n_heads, d->d_mlp, NULL, NULL};
    scores.heads = tl_arena_alloc(arena, places * d->n_heads, sizeof *scores.heads);
    scores.neurons = tl_arena_alloc(arena, places * d->d_mlp, sizeof *scores.neurons);
    if (scores.heads == NULL || scores.neurons == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "no memory for the scores of %zu components",
                       places * (d->n_heads + d->d_mlp));
    *out = scores;
    return TL_OK;
}

tl_status tl_attribution_reduce(const tl_attribution_options *options,
                                const tl_dims *dims, size_t n_pos,
                                const tl_attribution_sums *sums, tl_arena *arena,
                                tl_scores *out, tl_error *err)
{
    tl_scores scores;
    const tl_status status =
        tl_attribution_take_scores(dims, n_pos, sums->n_pairs, arena, &scores, err);
    if (status != TL_OK)
        return status;
    const bool sign = options->raw_sign;
    const size_t per_head = tl_attribution_sums_per_head(options, dims),
                 places = dims->n_layers * n_pos;
    for (size_t i = 0; i < places * dims->n_heads; i++) {
        double sum = 0.0;
        for (size_t k = i * per_head; k < (i + 1) * per_head; k++) {
            const double mean = mean_of(&sums->heads, sums->n_pairs, k);
            sum += sign ? mean : fabs(mean);
        }
        scores.heads[i] = (float)sum;
    }
    for (size_t i = 0; i < places * dims->d_mlp; i++) {
        const double mean = mean_of(&sums->neurons, sums->n_pairs, i);
        scores.neurons[i] = (float)(sign ? mean : fabs(mean));
    }
    *out = scores;
    return TL_OK;
}
