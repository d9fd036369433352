/* SPDX-License-Identifier: MIT
 * stage_interchange.c - whether parts of one modality's circuit do the other's job. See
 * stage.h. */
#include "study/stage.h"

#include <math.h>

#include "circuit/circuit_work.h"
#include "study/swaps.h"

typedef struct interchange_stage {
    tl_part_pairs pairs; /* of the host */
    tl_circuit *swapped; /* [n_swaps] */
    size_t n_swaps;
    tl_evaluator *evaluator;
} interchange_stage;

/* The circuits, and the rows that say what they are. */
static tl_status make_swaps(tl_stage_run *run, const tl_both_circuits *both,
                            tl_stage_rows *out, tl_error *err)
{
    interchange_stage *x = run->state;
    tl_swap *swaps = tl_arena_alloc(run->arena, x->n_swaps, sizeof *swaps);
    tl_study_swap *rows = tl_arena_alloc(run->arena, x->n_swaps, sizeof *rows);
    x->swapped = tl_arena_alloc(run->arena, x->n_swaps, sizeof *x->swapped);
    if (swaps == NULL || rows == NULL || x->swapped == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu swaps", x->n_swaps);
    tl_status status = TL_OK;
    tl_stage_make_room(run->arrays, x->n_swaps,
                       tl_study_components(run->study, x->pairs.span.n_pos));
    for (size_t i = 0; i < x->n_swaps && status == TL_OK; i++) {
        const tl_swap *s = &swaps[i];
        status = tl_swap_make(both, run->modality, i, &run->study->settings,
                              run->arrays, &swaps[i], err);
        if (status != TL_OK)
            break;
        rows[i] = tl_swap_row(s, i);
        x->swapped[i] = (tl_circuit){.set = &s->set};
    }
    tl_stage_put(out, TL_ROW_SWAP, rows, x->n_swaps);
    return status;
}

/* A byte for each component of every circuit and of the two that they are made of, and the
 * inputs of pairs. */
static size_t held(const tl_study *study, tl_modality host, size_t n_pairs)
{
    const size_t n_pos = study->spans[host].n_pos;
    const size_t n_sets =
        tl_swap_count(study->settings.inter_draws) + TL_MODALITY_COUNT;
    return tl_study_array_bytes(study, n_pos, n_sets) +
           tl_study_input_bytes(study, host, n_pos, 2 * n_pairs);
}

/* A study that goes on makes rankings first, one after the other. */
static tl_status bytes(const tl_study *study, tl_modality host, size_t *out,
                       tl_error *err)
{
    const size_t made = tl_stage_ranking_bytes(study, host);
    size_t run = 0;
    const tl_status status = tl_stage_evaluator_bytes(study, host, &run, err);
    run += held(study, host, 1);
    *out = made > run ? made : run;
    return status;
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    tl_study *study = run->study;
    const tl_both_circuits *both = NULL;
    const tl_study_swap_run like = {.host = run->modality};
    tl_rows known = {0};
    tl_status status = tl_study_both_circuits(study, &both, err);
    if (status != TL_OK || both == NULL)
        return status;
    interchange_stage *x = run->state = tl_arena_alloc_zero(run->arena, 1, sizeof *x);
    if (x == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to interchange circuits");
    x->n_swaps = tl_swap_count(study->settings.inter_draws);
    status = tl_study_find_pairs(study, run->modality, TL_STUDY_EVALUATION, run->arena,
                                 &x->pairs, err);
    if (status == TL_OK)
        status = tl_study_db_get(study->db, TL_ROW_SWAP_RUN, &like, 1, run->arena,
                                 &known, err);
    if (status == TL_OK)
        status = make_swaps(run, both, rows, err);
    if (status != TL_OK)
        return status;
    run->n_units = x->pairs.n;
    run->n_done = known.n / x->n_swaps;
    run->n_together = tl_study_evaluated_together(study, run->modality);
    /* The stage that makes curves has the clean runs. */
    return tl_stage_evaluator(run, &x->pairs,
                              held(study, run->modality, run->n_together), true,
                              &x->evaluator, err);
}

static tl_status swap_pairs(tl_stage_run *run, size_t first, size_t n,
                            tl_stage_rows *rows, tl_error *err)
{
    interchange_stage *x = run->state;
    const tl_study_pair *pairs = x->pairs.pairs + first;
    tl_pair *made = NULL;
    double *ld = tl_arena_alloc(run->arena, n * x->n_swaps, sizeof *ld);
    tl_evaluation *results = tl_arena_alloc(run->arena, n, sizeof *results);
    tl_study_swap_run *found =
        tl_arena_alloc(run->arena, n * x->n_swaps, sizeof *found);
    if (ld == NULL || results == NULL || found == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu swaps", x->n_swaps);
    for (size_t p = 0; p < n; p++)
        results[p] = (tl_evaluation){.circuit = ld + p * x->n_swaps};
    tl_status status =
        tl_study_make_pairs(run->study, pairs, n, run->arena, &made, err);
    if (status == TL_OK)
        status = tl_evaluator_run(x->evaluator, made, n, x->swapped, x->n_swaps,
                                  results, err);
    for (size_t i = 0; i < n * x->n_swaps && status == TL_OK; i++)
        found[i] = (tl_study_swap_run){run->modality, pairs[i / x->n_swaps].pair,
                                       i % x->n_swaps, ld[i]};
    tl_stage_put(rows, TL_ROW_SWAP_RUN, found, n * x->n_swaps);
    return status;
}

static void release(tl_stage_run *run)
{
    interchange_stage *x = run->state;
    tl_evaluator_destroy(x->evaluator);
}

/* A foreign part of the data is, at every data position, what the other circuit has at any
 * of its own. Up to the part that is swapped all circuits are the host's. */
static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const tl_modality m = sizes->modality, other = m == TL_TEXT ? TL_IMAGE : TL_TEXT;
    const tl_study_shape *shape = sizes->shape;
    const tl_span *span = &shape->spans[m], *foreign = &shape->spans[other];
    const double own = shape->circuit,
                 n_foreign = (double)(foreign->data_end - foreign->data_begin),
                 each = 1.0 + (double)sizes->settings->inter_draws;
    const struct {
        double times;
        size_t n_shared;
        tl_circuit_share share;
    } parts[] = {{1.0, 0, {own, own, true}},
                 {each, span->data_begin, {1.0 - pow(1.0 - own, n_foreign), own, true}},
                 {each, span->data_end, {own, own, true}},
                 {each, span->n_pos - 1, {own, own, true}}};
    out->n_units = sizes->n_evaluation;
    tl_status status = tl_stage_add_pair(sizes, out->n_units, true, &out->flops, err);
    if (status == TL_OK && shape->swaps[m] != NULL)
        return tl_stage_add_circuits(sizes, shape->swaps[m], shape->n_swaps[m],
                                     &out->flops, err);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == TL_OK; i++) {
        double one = 0.0;
        status = tl_circuit_flops(sizes->model, span, tl_stage_prefix(sizes),
                                  parts[i].n_shared, &parts[i].share, &one, err);
        out->flops += parts[i].times * one;
    }
    return status;
}

const tl_stage tl_stage_interchange = {.name = "interchange",
                                       .of = TL_STAGE_EACH_OF_BOTH,
                                       .of_circuits = true,
                                       .guess = guess,
                                       .bytes = bytes,
                                       .begin = begin,
                                       .run = swap_pairs,
                                       .release = release};
