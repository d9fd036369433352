/* SPDX-License-Identifier: MIT
 * stage_overlap.c - how far the two smallest circuits are the same parts. See stage.h. */
#include "study/stage.h"

#include "circuit/random_set.h"
#include "study/overlap_rows.h"
#include "study/score_parts.h"
#include "twinlens/log.h"

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    const tl_both_circuits *both = NULL;
    const tl_status status = tl_study_both_circuits(run->study, &both, err);
    run->n_units = both != NULL;
    if (status == TL_OK && both == NULL)
        tl_log(
            TL_LOG_WARNING,
            "no circuit of the grid is faithful enough in both modalities: no overlap, "
            "no interchange");
    return status;
}

/* ---- without some of the prompts ------------------------------------------------- */

static void put_without(const tl_overlap *o, tl_modality modality, size_t part,
                        tl_study_overlap_without *rows)
{
    for (size_t s = 0; s < TL_OVERLAP_PARTS; s++) {
        double sum = 0.0;
        for (size_t k = 0; k <= TL_KIND_COUNT; k++) {
            const bool both = k == TL_KIND_COUNT;
            *rows++ = (tl_study_overlap_without){
                .modality = modality,
                .part = part,
                .segment = tl_overlap_part_name(s),
                .kind = both ? "both" : tl_kind_name((tl_component_kind)k),
                .iou = both ? sum / TL_KIND_COUNT : o->of[s][k].iou};
            sum += both ? 0.0 : o->of[s][k].iou;
        }
    }
}

/* The overlap with a circuit as large as the study's that is found without a part of a
 * modality's pairs. */
static tl_status measure_part(tl_stage_run *run, const tl_score_parts *parts,
                              tl_modality modality, size_t part,
                              tl_study_overlap_without *rows, tl_error *err)
{
    const tl_both_circuits *c = &run->study->circuits;
    const tl_component_set *whole = &c->set[modality];
    tl_component_set sets[TL_MODALITY_COUNT] = {c->set[TL_TEXT], c->set[TL_IMAGE]};
    tl_arena *arena = tl_arena_create_in(run->study->arrays_in); /* for the scores */
    tl_scores scores;
    tl_ranking ranking;
    tl_overlap o;
    tl_status status = arena != NULL
                           ? tl_score_parts_without(run->study, parts, part,
                                                    whole->n_pos, arena, &scores, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    if (status == TL_OK)
        status = tl_ranking_from_scores(&scores, arena, &ranking, err);
    if (status == TL_OK) {
        const tl_circuit circuit = {
            .ranking = &ranking,
            .n_heads = tl_set_count_between(whole, TL_KIND_HEADS, 0, whole->n_pos),
            .n_neurons = tl_set_count_between(whole, TL_KIND_NEURONS, 0, whole->n_pos)};
        status = tl_set_from_circuit(&circuit, arena, &sets[modality], err);
    }
    if (status == TL_OK)
        status = tl_overlap_measure(&sets[TL_TEXT], &sets[TL_IMAGE], &c->map, &o, err);
    if (status == TL_OK)
        put_without(&o, modality, part, rows);
    tl_arena_destroy(arena);
    return status;
}

static tl_status measure_parts(tl_stage_run *run, tl_modality modality,
                               tl_stage_rows *out, tl_error *err)
{
    tl_study_scores about = {.modality = modality};
    tl_score_parts parts = {.n = 0};
    tl_status status =
        tl_study_db_find(run->study->db, TL_ROW_SCORES, &about, run->arena, NULL, err);
    if (status == TL_OK)
        status = tl_score_parts_open(run->study, modality, about.n_pairs, &parts, err);
    tl_study_overlap_without *rows =
        tl_arena_alloc(run->arena, parts.n * TL_OVERLAP_ROWS + 1, sizeof *rows);
    if (status == TL_OK && rows == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu parts", parts.n);
    for (size_t p = 0; p < parts.n && status == TL_OK; p++)
        status =
            measure_part(run, &parts, modality, p, rows + p * TL_OVERLAP_ROWS, err);
    if (status == TL_OK)
        tl_stage_put(out, TL_ROW_OVERLAP_WITHOUT, rows, parts.n * TL_OVERLAP_ROWS);
    tl_score_parts_close(&parts);
    return status;
}

static tl_status remove_parts(tl_study *study, tl_modality modality, tl_error *err)
{
    (void)modality; /* of both */
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && study->team->rank == 0; m++)
        if (status == TL_OK)
            status = tl_score_parts_remove(study, (tl_modality)m, err);
    return status;
}

/* ---- overlap --------------------------------------------------------------------- */

static tl_status measure_overlap(tl_stage_run *run, size_t first, size_t n,
                                 tl_stage_rows *out, tl_error *err)
{
    (void)first;
    (void)n;
    tl_study_overlap *rows = tl_arena_alloc(run->arena, TL_OVERLAP_ROWS, sizeof *rows);
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to compare circuits");
    tl_status status = tl_overlap_rows_measure(&run->study->circuits,
                                               &run->study->settings, rows, err);
    if (status != TL_OK)
        return status;
    tl_stage_put(out, TL_ROW_OVERLAP, rows, TL_OVERLAP_ROWS);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = measure_parts(run, (tl_modality)m, out, err);
    return status;
}

const tl_stage tl_stage_overlap = {.name = "overlap",
                                   .of = TL_STAGE_BOTH,
                                   .of_circuits = true,
                                   .begin = begin,
                                   .run = measure_overlap,
                                   .after = remove_parts};
