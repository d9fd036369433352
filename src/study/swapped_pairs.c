/* SPDX-License-Identifier: MIT
 * swapped_pairs.c - see swapped_pairs.h. */
#include "study/swapped_pairs.h"

/* The circuits, whose sets are in the arena, and the rows that say what they are. */
static tl_status make_swaps(const tl_session *s, const tl_both_circuits *both,
                            tl_modality host, tl_circuit *circuits, tl_swapped_pairs *x,
                            tl_error *err)
{
    tl_swap *swaps = tl_arena_alloc(s->arena, x->n_swaps, sizeof *swaps);
    if (swaps == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu swaps", x->n_swaps);
    for (size_t i = 0; i < x->n_swaps; i++) {
        const tl_status status =
            tl_swap_make(both, host, i, &s->settings, s->arena, &swaps[i], err);
        if (status != TL_OK)
            return status;
        x->swaps[i] = tl_swap_row(&swaps[i], i);
        circuits[i].set = &swaps[i].set;
    }
    return TL_OK;
}

tl_status tl_swapped_pairs_run(tl_session *s, const tl_both_circuits *both,
                               const tl_selection *selection, tl_swapped_pairs *out,
                               tl_error *err)
{
    const tl_modality host = (tl_modality)selection->modality;
    tl_swapped_pairs x = {.n_swaps = tl_swap_count(s->settings.inter_draws)};
    tl_pair *pairs = NULL;
    tl_status status =
        tl_session_pairs(s, selection, "interchange", &pairs, &x.n_pairs, err);
    if (status != TL_OK)
        return status;
    const size_t n = x.n_pairs, n_runs = n * x.n_swaps;
    x.swaps = tl_arena_alloc(s->arena, x.n_swaps, sizeof *x.swaps);
    x.runs = tl_arena_alloc(s->arena, n_runs, sizeof *x.runs);
    x.base = tl_arena_alloc(s->arena, n, sizeof *x.base);
    tl_evaluation *results = tl_arena_alloc(s->arena, n, sizeof *results);
    double *ld = tl_arena_alloc(s->arena, n_runs, sizeof *ld);
    tl_circuit *circuits = tl_arena_alloc_zero(s->arena, x.n_swaps, sizeof *circuits);
    if (x.swaps == NULL || x.runs == NULL || x.base == NULL || results == NULL ||
        ld == NULL || circuits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu runs", n_runs);
    for (size_t p = 0; p < n; p++)
        results[p].circuit = ld + p * x.n_swaps;
    const tl_evaluate_options how = {.memory_budget = s->settings.memory,
                                     .ablate = (tl_ablate)s->settings.ablate};
    status = make_swaps(s, both, host, circuits, &x, err);
    if (status == TL_OK)
        status =
            tl_evaluate(s->model, pairs, n, circuits, x.n_swaps, &how, results, err);
    for (size_t p = 0; p < n && status == TL_OK; p++)
        x.base[p] = (tl_study_baseline){host, p, results[p].clean, results[p].none};
    for (size_t i = 0; i < n_runs && status == TL_OK; i++)
        x.runs[i] = (tl_study_swap_run){host, i / x.n_swaps, i % x.n_swaps, ld[i]};
    if (status == TL_OK)
        *out = x;
    return status;
}
