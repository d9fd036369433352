/* SPDX-License-Identifier: MIT
 * stage_evaluate.c - from scores to faithfulness curves and the smallest faithful circuit.
 * See stage.h. */
#include "study/stage.h"

#include "circuit/circuit_work.h"

#include "twinlens/statistics.h"

typedef struct evaluate_stage {
    tl_part_pairs pairs;
    tl_circuit *circuits; /* [kinds, fractions] */
    tl_evaluator *evaluator;
} evaluate_stage;

/* The circuits of the grid, then as many of the same sizes chosen otherwise. */
static tl_status make_circuits(tl_stage_run *run, tl_circuit **out, tl_error *err)
{
    tl_study *study = run->study;
    const size_t n = study->sizes.n;
    tl_ranking *rankings =
        tl_arena_alloc(run->arena, TL_STUDY_KIND_COUNT, sizeof *rankings);
    tl_circuit *circuits =
        tl_arena_alloc(run->arena, TL_STUDY_KIND_COUNT * n, sizeof *circuits);
    if (rankings == NULL || circuits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu circuits", n);
    tl_status status = tl_study_rank(study, run->modality, false, run->arrays,
                                     &rankings[TL_STUDY_CIRCUIT], err);
    if (status == TL_OK)
        status = tl_study_rank(study, run->modality, true, run->arrays,
                               &rankings[TL_STUDY_MAGNITUDE], err);
    if (status == TL_OK)
        status = tl_ranking_random(&rankings[TL_STUDY_CIRCUIT],
                                   study->settings.seed + (uint64_t)run->modality,
                                   run->arrays, &rankings[TL_STUDY_RANDOM], err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < TL_STUDY_KIND_COUNT * n; i++)
        circuits[i] = tl_circuit_at(&rankings[i / n], study->sizes.fractions[i % n],
                                    (tl_fraction_rounding)study->settings.rounding);
    *out = circuits;
    return TL_OK;
}

static size_t rankings(const tl_study *study, tl_modality modality)
{
    const size_t n_pos = study->spans[modality].n_pos;
    return tl_study_array_bytes(study, n_pos, TL_STUDY_KIND_COUNT * sizeof(uint32_t));
}

/* Beside the rankings: the inputs of pairs, and the smallest circuits, a byte for each
 * component. */
static size_t held(const tl_study *study, tl_modality modality, size_t n_pairs)
{
    const size_t n_pos = study->spans[modality].n_pos;
    return tl_study_input_bytes(study, modality, n_pos, 2 * n_pairs) +
           tl_study_array_bytes(study, n_pos, TL_MODALITY_COUNT);
}

/* While a ranking is made, there are scores and an order beside it. */
static tl_status bytes(const tl_study *study, tl_modality modality, size_t *out,
                       tl_error *err)
{
    const size_t n_pos = study->spans[modality].n_pos,
                 made = tl_study_array_bytes(study, n_pos, 2 * sizeof(uint32_t));
    size_t run = 0;
    const tl_status status = tl_stage_evaluator_bytes(study, modality, &run, err);
    run += held(study, modality, 1);
    *out = rankings(study, modality) + (made > run ? made : run);
    return status;
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    tl_study *study = run->study;
    tl_study_evaluations done = {0};
    evaluate_stage *e = run->state = tl_arena_alloc_zero(run->arena, 1, sizeof *e);
    if (e == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to evaluate");
    tl_status status = tl_study_find_pairs(study, run->modality, TL_STUDY_EVALUATION,
                                           run->arena, &e->pairs, err);
    if (status == TL_OK)
        status = tl_study_db_get_evaluations(study->db, run->modality, study->sizes.n,
                                             run->arena, &done, err);
    if (status == TL_OK)
        status = make_circuits(run, &e->circuits, err);
    if (status != TL_OK)
        return status;
    run->n_units = e->pairs.n;
    run->n_done = done.n_pairs;
    run->n_together = tl_study_evaluated_together(study, run->modality);
    return tl_stage_evaluator(run, &e->pairs,
                              rankings(study, run->modality) +
                                  held(study, run->modality, run->n_together),
                              false, &e->evaluator, err);
}

/* Pairs under all circuits. */
static tl_status evaluate_pairs(tl_stage_run *run, size_t first, size_t n,
                                tl_stage_rows *rows, tl_error *err)
{
    evaluate_stage *e = run->state;
    const size_t n_points = run->study->sizes.n,
                 n_circuits = TL_STUDY_KIND_COUNT * n_points;
    const tl_study_pair *pairs = e->pairs.pairs + first;
    tl_pair *made = NULL;
    double *ld = tl_arena_alloc(run->arena, n * n_circuits, sizeof *ld);
    tl_evaluation *results = tl_arena_alloc(run->arena, n, sizeof *results);
    tl_study_baseline *baselines = tl_arena_alloc(run->arena, n, sizeof *baselines);
    tl_study_evaluation *found =
        tl_arena_alloc(run->arena, n * n_circuits, sizeof *found);
    if (ld == NULL || results == NULL || baselines == NULL || found == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to evaluate");
    for (size_t p = 0; p < n; p++)
        results[p] = (tl_evaluation){.circuit = ld + p * n_circuits};
    tl_status status =
        tl_study_make_pairs(run->study, pairs, n, run->arena, &made, err);
    if (status == TL_OK)
        status = tl_evaluator_run(e->evaluator, made, n, e->circuits, n_circuits,
                                  results, err);
    if (status != TL_OK)
        return status;
    for (size_t p = 0; p < n; p++)
        baselines[p] = (tl_study_baseline){run->modality, pairs[p].pair,
                                           results[p].clean, results[p].none};
    for (size_t k = 0; k < n * n_circuits; k++) {
        const size_t i = k % n_circuits;
        found[k] =
            (tl_study_evaluation){run->modality, (tl_study_kind)(i / n_points),
                                  pairs[k / n_circuits].pair, i % n_points, ld[k]};
    }
    tl_stage_put(rows, TL_ROW_BASELINE, baselines, n);
    tl_stage_put(rows, TL_ROW_EVALUATION, found, n * n_circuits);
    return TL_OK;
}

/* ---- curves ------------------------------------------------------------------ */

static double chosen(const tl_study *study, const tl_study_point *point)
{
    return study->settings.faith == TL_FAITH_MEAN_RATIO ? point->mean_of_ratios
                                                        : point->ratio_of_means;
}

/* The faithfulness of a circuit over all pairs; `room` [4, n_pairs]. */
static tl_study_point measure_point(const tl_stage_run *run,
                                    const tl_study_evaluations *all, tl_study_kind kind,
                                    size_t point, double *room)
{
    const evaluate_stage *e = run->state;
    const size_t n = all->n_pairs;
    const tl_circuit *circuit = &e->circuits[(size_t)kind * all->n_points + point];
    double *clean = room, *none = room + n, *ablated = room + 2 * n;
    for (size_t i = 0; i < n; i++) {
        clean[i] = all->pairs[i].clean;
        none[i] = all->pairs[i].none;
        ablated[i] = tl_study_evaluations_at(all, kind, i, point);
    }
    const tl_faithfulness f =
        tl_faithfulness_summary(clean, none, ablated, n, room + 3 * n);
    return (tl_study_point){.modality = run->modality,
                            .kind = kind,
                            .point = point,
                            .fraction = run->study->sizes.texts[point],
                            .n_heads = circuit->n_heads,
                            .n_neurons = circuit->n_neurons,
                            .mean_of_ratios = f.mean_of_ratios,
                            .ratio_of_means = f.ratio_of_means,
                            .median = f.median,
                            .n = f.n,
                            .n_excluded = f.n_excluded};
}

/* The smallest of the circuits that are faithful. */
static tl_study_minimal find_minimal(const tl_study *study, tl_modality modality,
                                     const tl_study_point *points)
{
    const tl_fraction *fractions = study->sizes.fractions;
    tl_study_minimal minimal = {.modality = modality};
    for (size_t i = 0; i < study->sizes.n; i++)
        if (chosen(study, &points[i]) > study->settings.threshold &&
            (!minimal.found || tl_fraction_value(fractions[i]) <
                                   tl_fraction_value(fractions[minimal.point])))
            minimal = (tl_study_minimal){modality, true, i};
    return minimal;
}

static tl_status summarise(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    tl_study *study = run->study;
    const evaluate_stage *e = run->state;
    const size_t n = study->sizes.n, n_points = TL_STUDY_KIND_COUNT * n;
    tl_study_evaluations all;
    tl_study_point *points = tl_arena_alloc(run->arena, n_points, sizeof *points);
    tl_study_minimal *minimal = tl_arena_alloc(run->arena, 1, sizeof *minimal);
    double *room = tl_arena_alloc(run->arena, 4 * run->n_units, sizeof *room);
    if (points == NULL || minimal == NULL || room == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for curves");
    const tl_status status =
        tl_study_db_get_evaluations(study->db, run->modality, n, run->arena, &all, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < n_points; i++)
        points[i] = measure_point(run, &all, (tl_study_kind)(i / n), i % n, room);
    *minimal = find_minimal(study, run->modality, points);
    tl_stage_put(rows, TL_ROW_POINT, points, n_points);
    tl_stage_put(rows, TL_ROW_MINIMAL, minimal, 1);
    return minimal->found ? tl_study_keep_circuit(study, run->modality,
                                                  &e->circuits[minimal->point], err)
                          : TL_OK;
}

static void release(tl_stage_run *run)
{
    evaluate_stage *e = run->state;
    tl_evaluator_destroy(e->evaluator);
}

/* Every circuit of a size is taken to cost as much as a random one. */
static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const tl_modality m = sizes->modality;
    const tl_span *span = &sizes->shape->spans[m];
    const size_t n_prefix = tl_stage_prefix(sizes);
    out->n_units = sizes->n_evaluation;
    tl_status status =
        tl_stage_add_pair(sizes, out->n_units, false, &out->flops, err);
    if (status == TL_OK && sizes->shape->circuits[m] != NULL)
        return tl_stage_add_circuits(sizes, sizes->shape->circuits[m],
                                     sizes->shape->n_circuits[m], &out->flops, err);
    for (size_t i = 0; i < sizes->fractions->n && status == TL_OK; i++) {
        const double share = tl_fraction_value(sizes->fractions->fractions[i]);
        const tl_circuit_share all = {.data = share, .rest = share};
        double one = 0.0;
        status = tl_circuit_flops(sizes->model, span, n_prefix, 0, &all, &one, err);
        out->flops += TL_STUDY_KIND_COUNT * one;
    }
    return status;
}

const tl_stage tl_stage_evaluate = {.name = "evaluate",
                                    .of = TL_STAGE_EACH,
                                    .of_circuits = true,
                                    .guess = guess,
                                    .bytes = bytes,
                                    .begin = begin,
                                    .run = evaluate_pairs,
                                    .end = summarise,
                                    .release = release};
