/* SPDX-License-Identifier: MIT
 *
 * study_compare.c - the two minimal circuits beside each other: how far they are the
 * same parts, and whether parts of one do the other's job. See study_private.h.
 */
#include "study/study_private.h"

#include "study/both_circuits.h"
#include "study/swaps.h"
#include "twinlens/log.h"

/* ---- the two circuits ------------------------------------------------------------ */

tl_status tl_study_can_compare(const tl_study *study, bool *out, tl_error *err)
{
    *out = study->modalities[TL_TEXT] && study->modalities[TL_IMAGE];
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && *out && status == TL_OK; m++) {
        tl_study_minimal minimal = {.modality = (tl_modality)m};
        bool done = false;
        status = tl_study_db_find(study->db, TL_ROW_MINIMAL, &minimal,
                                  study->session.arena, &done, err);
        *out = *out && done && minimal.found;
    }
    return status;
}

static tl_status read_circuit(const tl_study *study, tl_modality modality,
                              tl_arena *arena, tl_component_set *set, tl_span *span,
                              tl_error *err)
{
    tl_study_minimal minimal = {.modality = modality};
    tl_study_scores scores = {.modality = modality};
    tl_ranking ranking;
    tl_arena *own = tl_arena_create(); /* the ranking is not needed once it is a set */
    tl_status status =
        own != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a circuit");
    if (status == TL_OK)
        status = tl_study_db_find(study->db, TL_ROW_MINIMAL, &minimal, own, NULL, err);
    if (status == TL_OK)
        status = tl_study_db_find(study->db, TL_ROW_SCORES, &scores, own, NULL, err);
    if (status == TL_OK)
        status = tl_study_rank(study, modality, false, own, &ranking, err);
    if (status == TL_OK) {
        *span = (tl_span){scores.n_pos, scores.data_begin, scores.data_end};
        const tl_circuit circuit =
            tl_circuit_at(&ranking, study->sizes.fractions[minimal.point],
                          (tl_fraction_rounding)study->settings.rounding);
        status = tl_set_from_circuit(&circuit, arena, set, err);
    }
    tl_arena_destroy(own);
    return status;
}

static tl_status read_circuits(const tl_study *study, tl_arena *arena,
                               tl_both_circuits *out, tl_error *err)
{
    tl_span span[TL_MODALITY_COUNT];
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status =
            read_circuit(study, (tl_modality)m, arena, &out->set[m], &span[m], err);
    return status != TL_OK ? status
                           : tl_position_map_init(&out->map, &span[TL_TEXT],
                                                  &span[TL_IMAGE], arena, err);
}

/* ---- overlap --------------------------------------------------------------------- */

static tl_study_overlap both_kinds(const tl_overlap *o, const tl_overlap_baseline *b,
                                   size_t s)
{
    const tl_iou *heads = &o->of[s][TL_KIND_HEADS],
                 *neurons = &o->of[s][TL_KIND_NEURONS];
    return (tl_study_overlap){.segment = tl_segment_name((tl_segment)s),
                              .kind = "both",
                              .iou = (heads->iou + neurons->iou) / 2,
                              .in_text = (heads->in_text + neurons->in_text) / 2,
                              .in_image = (heads->in_image + neurons->in_image) / 2,
                              .is_empty = heads->empty && neurons->empty,
                              .random = b->segment[s].mean,
                              .deviation = b->segment[s].deviation};
}

static tl_status measure_overlap(tl_study *study, const tl_both_circuits *c,
                                 tl_error *err)
{
    const tl_settings *how = &study->settings;
    tl_overlap o;
    tl_overlap_baseline b;
    tl_study_overlap rows[TL_SEGMENT_COUNT * (TL_KIND_COUNT + 1)];
    size_t n = 0;
    tl_status status =
        tl_overlap_measure(&c->set[TL_TEXT], &c->set[TL_IMAGE], &c->map, &o, err);
    if (status == TL_OK)
        status = tl_overlap_random(&c->set[TL_TEXT], &c->set[TL_IMAGE], &c->map,
                                   (tl_random_match)how->rand_match, how->rand_draws,
                                   study->settings.seed, &b, err);
    if (status != TL_OK)
        return status;
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            rows[n++] = (tl_study_overlap){.segment = tl_segment_name((tl_segment)s),
                                           .kind = tl_kind_name((tl_component_kind)k),
                                           .iou = o.of[s][k].iou,
                                           .in_text = o.of[s][k].in_text,
                                           .in_image = o.of[s][k].in_image,
                                           .is_empty = o.of[s][k].empty,
                                           .random = b.of[s][k].mean,
                                           .deviation = b.of[s][k].deviation};
        rows[n++] = both_kinds(&o, &b, s);
    }
    const tl_study_stage stage = {"overlap"};
    const tl_rows done[] = {{TL_ROW_OVERLAP, rows, n}, {TL_ROW_STAGE, &stage, 1}};
    return tl_study_db_put(study->db, done, 2, err);
}

/* Why the rest is left out, once. */
static void log_why_not(const tl_study *study)
{
    if (!study->modalities[TL_TEXT] || !study->modalities[TL_IMAGE])
        tl_log(TL_LOG_INFO, "one modality only: no overlap, no interchange");
    else
        tl_log(
            TL_LOG_WARNING,
            "no circuit of the grid is faithful enough in both modalities: no overlap, "
            "no interchange");
}

tl_status tl_study_compare_overlap(tl_study *study, tl_error *err)
{
    bool can = false, done = false;
    tl_status status = tl_study_db_has_stage(study->db, "overlap", &done, err);
    if (status == TL_OK && !done)
        status = tl_study_can_compare(study, &can, err);
    if (status != TL_OK || done)
        return status;
    if (!can) {
        log_why_not(study);
        return tl_study_db_put_stage(study->db, "overlap", err);
    }
    tl_arena *arena = tl_arena_create();
    tl_both_circuits both;
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to compare circuits");
    status = read_circuits(study, arena, &both, err);
    if (status == TL_OK)
        status = measure_overlap(study, &both, err);
    tl_arena_destroy(arena);
    return status;
}

/* ---- interchange ----------------------------------------------------------------- */

static tl_status swap_pair(tl_study *study, tl_evaluator **evaluator, tl_modality host,
                           const tl_study_pair *pair, const tl_circuit *swapped,
                           tl_arena *arena, tl_error *err)
{
    const size_t n_swaps = tl_swap_count(study->settings.inter_draws);
    tl_pair *made = NULL;
    tl_evaluation result = {.circuit = tl_arena_alloc(arena, n_swaps, sizeof(double))};
    tl_study_swap_run *rows = tl_arena_alloc(arena, n_swaps, sizeof *rows);
    tl_status status =
        result.circuit != NULL && rows != NULL
            ? tl_study_make_pairs(study, pair, 1, arena, &made, err)
            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu swaps", n_swaps);
    if (status != TL_OK)
        return status;
    status = tl_study_make_evaluator(
        study, tl_study_interchange_bytes(study, made->clean.n_pos), evaluator, err);
    if (status == TL_OK)
        status = tl_evaluator_run(*evaluator, made, 1, swapped, n_swaps, &result, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < n_swaps; i++)
        rows[i] = (tl_study_swap_run){host, pair->pair, i, result.circuit[i]};
    return tl_study_db_put(study->db, &(tl_rows){TL_ROW_SWAP_RUN, rows, n_swaps}, 1,
                           err);
}

static tl_status swap_all(tl_study *study, tl_modality host, tl_arena *arena,
                          tl_error *err)
{
    const size_t stage = study->stages[host][TL_STAGE_INTERCHANGE];
    const tl_study_pair *pairs = NULL;
    const tl_study_swap_run like = {.host = host};
    const size_t n_swaps = tl_swap_count(study->settings.inter_draws);
    tl_rows known = {0};
    size_t n_pairs = 0;
    tl_both_circuits both;
    tl_swap *swaps = tl_arena_alloc(arena, n_swaps, sizeof *swaps);
    tl_study_swap *rows = tl_arena_alloc(arena, n_swaps, sizeof *rows);
    tl_circuit *swapped = tl_arena_alloc(arena, n_swaps, sizeof *swapped);
    if (swaps == NULL || rows == NULL || swapped == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu swaps", n_swaps);
    tl_status status = tl_study_db_get_pairs(study->db, host, TL_STUDY_EVALUATION,
                                             arena, &pairs, &n_pairs, err);
    if (status == TL_OK)
        status =
            tl_study_db_get(study->db, TL_ROW_SWAP_RUN, &like, 1, arena, &known, err);
    const size_t n_done = known.n / n_swaps;
    if (status == TL_OK)
        status = read_circuits(study, arena, &both, err);
    for (size_t i = 0; i < n_swaps && status == TL_OK; i++) {
        const tl_swap *s = &swaps[i];
        status = tl_swap_make(&both, host, i, &study->settings, arena, &swaps[i], err);
        if (status != TL_OK)
            break;
        rows[i] = (tl_study_swap){.host = host,
                                  .swap = i,
                                  .swapped = tl_swap_name(s),
                                  .is_random = s->is_random,
                                  .draw = s->draw,
                                  .n_heads = s->n_heads,
                                  .n_neurons = s->n_neurons};
        swapped[i] = (tl_circuit){.set = &s->set};
    }
    if (status == TL_OK)
        status =
            tl_study_db_put(study->db, &(tl_rows){TL_ROW_SWAP, rows, n_swaps}, 1, err);
    tl_progress_begin(study->progress, stage, n_done);
    tl_evaluator *evaluator = NULL;
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t i = n_done; i < n_pairs && status == TL_OK; i++) {
        status = swap_pair(study, &evaluator, host, &pairs[i], swapped, arena, err);
        tl_arena_rewind(arena, mark);
        tl_progress_step(study->progress, stage, i + 1);
    }
    tl_evaluator_destroy(evaluator);
    if (status == TL_OK)
        tl_progress_end(study->progress, stage);
    return status;
}

tl_status tl_study_interchange(tl_study *study, tl_modality host, tl_error *err)
{
    const char *name = host == TL_TEXT ? "interchange text" : "interchange image";
    bool can = false, done = false;
    tl_status status = tl_study_db_has_stage(study->db, name, &done, err);
    if (status == TL_OK && !done)
        status = tl_study_can_compare(study, &can, err);
    if (status != TL_OK)
        return status;
    if (done || !can) {
        tl_progress_resize(study->progress, study->stages[host][TL_STAGE_INTERCHANGE],
                           0);
        return done ? TL_OK : tl_study_db_put_stage(study->db, name, err);
    }
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to interchange circuits");
    status = swap_all(study, host, arena, err);
    tl_arena_destroy(arena);
    return status != TL_OK ? status : tl_study_db_put_stage(study->db, name, err);
}
