/* SPDX-License-Identifier: MIT
 * study_pairs.c - the pairs of a study, and their circuits. See study_private.h. */
#include "study/study_private.h"

#include <stdio.h>

#include "base/file.h"
#include "study/stage.h"
#include "store/score_file.h"

/* ---- pairs ------------------------------------------------------------------- */

tl_status tl_study_find_pairs(const tl_study *study, tl_modality modality,
                              tl_study_part part, tl_arena *arena, tl_part_pairs *out,
                              tl_error *err)
{
    tl_part_pairs found = {0};
    const tl_study_prompt *prompts = NULL;
    size_t n_prompts = 0;
    tl_status status = tl_study_db_get_pairs(study->db, modality, part, arena,
                                             &found.pairs, &found.n, err);
    if (status == TL_OK)
        status = tl_study_db_get_prompts(study->db, modality, arena, &prompts,
                                         &n_prompts, err);
    for (size_t i = 0; i < n_prompts && status == TL_OK && found.n > 0; i++)
        if (prompts[i].row == found.pairs[0].row) {
            found.span =
                (tl_span){prompts[i].n_pos, prompts[i].data_begin, prompts[i].data_end};
            *out = found;
            return TL_OK;
        }
    return status != TL_OK
               ? status
               : tl_fail(err, TL_ERR_FORMAT,
                         "%s/" TL_STUDY_DB_NAME ": no %s pairs, or not their prompts",
                         study->settings.out, tl_modality_name(modality));
}

tl_status tl_study_make_pairs(tl_study *study, const tl_study_pair *pairs, size_t n,
                              tl_arena *arena, tl_pair **out, tl_error *err)
{
    tl_status status = TL_OK;
    tl_pair *made = tl_arena_alloc_zero(arena, n, sizeof *made);
    if (made == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        made[i].answer = pairs[i].answer_id;
        made[i].counterfactual_answer = pairs[i].counterfactual_answer_id;
        status = tl_session_input(&study->session, pairs[i].row, arena, NULL,
                                  &made[i].clean, err);
        if (status == TL_OK)
            status = tl_session_input(&study->session, pairs[i].counterfactual, arena,
                                      NULL, &made[i].counterfactual, err);
    }
    *out = made;
    return status;
}

tl_status tl_stage_put_left_out(const tl_stage_run *run, tl_modality modality,
                                const char *use, const tl_row_pairs *pairs,
                                tl_stage_rows *rows, tl_error *err)
{
    static const char *const reasons[TL_PAIRING_COUNT] = {
        NULL, "no prompt of the other modality has the same pair",
        "the text of the pair is not as long as most"};
    const tl_dataset *d = run->study->session.dataset;
    tl_study_left_out *out = tl_arena_alloc(run->arena, TL_PAIRING_COUNT, sizeof *out);
    size_t n = 0;
    if (out == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to count prompts");
    for (size_t p = 0; p < TL_PAIRING_COUNT; p++) {
        if (reasons[p] == NULL)
            continue;
        out[n] = (tl_study_left_out){use, reasons[p], modality, 0};
        for (size_t i = 0; i < d->n_rows; i++)
            out[n].n +=
                d->rows[i].modality == modality && pairs->pairings[i] == (tl_pairing)p;
        n++;
    }
    tl_stage_put(rows, TL_ROW_LEFT_OUT, out, n);
    return TL_OK;
}

/* ---- circuits ---------------------------------------------------------------- */

const char *tl_study_path(const tl_study *study, const char *what, tl_modality modality)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s.safetensors", what, tl_modality_name(modality));
    return tl_path_join(study->session.arena, study->settings.out, name);
}

tl_status tl_study_rank(const tl_study *study, tl_modality modality, bool by_magnitude,
                        tl_arena *arena, tl_ranking *out, tl_error *err)
{
    const tl_dims *dims = tl_model_dims(study->session.model);
    tl_study_scores wanted = {.modality = modality};
    tl_scores scores;
    const char *path = tl_study_path(study, "scores", modality);
    tl_arena *own = tl_arena_create_like(arena); /* the scores go once ranked */
    tl_status status = TL_OK;
    if (path == NULL || own == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    if (status == TL_OK)
        status = tl_study_db_find(study->db, TL_ROW_SCORES, &wanted, own, NULL, err);
    if (status == TL_OK)
        status = tl_score_file_check(path, wanted.sha256, err);
    if (status == TL_OK)
        status = by_magnitude
                     ? tl_score_file_read_magnitudes(path, dims, wanted.n_pos, own,
                                                     &scores, err)
                     : tl_score_file_read(path, dims, wanted.n_pos, own, &scores, err);
    if (status == TL_OK)
        status = tl_fail_while(err, tl_ranking_from_scores(&scores, arena, out, err),
                               "%s", path);
    tl_arena_destroy(own);
    return status;
}

tl_status tl_study_keep_circuit(tl_study *study, tl_modality modality,
                                const tl_circuit *circuit, tl_error *err)
{
    study->has_circuit[modality] = false;
    if (study->sets == NULL)
        study->sets = tl_arena_create_in(study->arrays_in);
    const tl_status status =
        study->sets != NULL ? tl_set_from_circuit(circuit, study->sets,
                                                  &study->circuits.set[modality], err)
                            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a circuit");
    study->has_circuit[modality] = status == TL_OK;
    return status;
}

/* Of an earlier run's scores. */
static tl_status read_circuit(tl_study *study, tl_modality modality,
                              const tl_study_minimal *minimal, tl_error *err)
{
    tl_ranking ranking;
    /* The ranking is not needed once it is a set. */
    tl_arena *own = tl_arena_create_in(study->arrays_in);
    tl_status status = own != NULL
                           ? tl_study_rank(study, modality, false, own, &ranking, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a circuit");
    if (status == TL_OK) {
        const tl_circuit circuit =
            tl_circuit_at(&ranking, study->sizes.fractions[minimal->point],
                          (tl_fraction_rounding)study->settings.rounding);
        status = tl_study_keep_circuit(study, modality, &circuit, err);
    }
    tl_arena_destroy(own);
    return status;
}

tl_status tl_study_circuit(tl_study *study, tl_modality modality,
                           const tl_component_set **out, tl_error *err)
{
    tl_study_minimal minimal = {.modality = modality};
    tl_status status = TL_OK;
    *out = NULL;
    if (!study->has_circuit[modality]) { /* by the stage that found it */
        status = tl_study_db_find(study->db, TL_ROW_MINIMAL, &minimal,
                                  study->session.arena, NULL, err);
        if (status != TL_OK || !minimal.found)
            return status;
        status = read_circuit(study, modality, &minimal, err);
    }
    if (status == TL_OK)
        *out = &study->circuits.set[modality];
    return status;
}

tl_status tl_study_both_circuits(tl_study *study, const tl_both_circuits **out,
                                 tl_error *err)
{
    tl_span span[TL_MODALITY_COUNT];
    tl_status status = TL_OK;
    *out = study->has_map ? &study->circuits : NULL;
    if (study->has_map) /* by a stage before */
        return TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        const tl_component_set *circuit = NULL;
        tl_study_scores scores = {.modality = (tl_modality)m};
        status = tl_study_circuit(study, (tl_modality)m, &circuit, err);
        if (status == TL_OK && circuit == NULL)
            return TL_OK;
        if (status == TL_OK)
            status = tl_study_db_find(study->db, TL_ROW_SCORES, &scores,
                                      study->session.arena, NULL, err);
        span[m] = (tl_span){scores.n_pos, scores.data_begin, scores.data_end};
    }
    if (status == TL_OK)
        status = tl_position_map_init(&study->circuits.map, &span[TL_TEXT],
                                      &span[TL_IMAGE], study->session.arena, err);
    study->has_map = status == TL_OK;
    if (status != TL_OK)
        return status;
    tl_both_circuits_warn(&study->circuits);
    *out = &study->circuits;
    return TL_OK;
}
