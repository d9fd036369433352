/* SPDX-License-Identifier: MIT
 *
 * study_check.c - whether the rows that a study goes on from belong to its dataset and its
 * model. The manifest says that they do; a damaged database may say something else. See
 * study_private.h.
 */
#include "study/study_private.h"

static tl_status refuse(const tl_study *study, const char *table, size_t place,
                        const char *what, tl_error *err)
{
    return tl_fail(err, TL_ERR_FORMAT, "%s/" TL_STUDY_DB_NAME ": table %s, row %zu: %s",
                   study->settings.out, table, place, what);
}

static bool is_of(const tl_study *study, size_t row, tl_modality modality)
{
    const tl_dataset *d = study->session.dataset;
    return row < d->n_rows && d->rows[row].modality == modality;
}

static bool is_span(size_t n_pos, size_t begin, size_t end)
{
    return begin < end && end <= n_pos;
}

static tl_status check_prompts(const tl_study *study, tl_arena *arena, tl_error *err)
{
    tl_rows got = {0};
    tl_status status =
        tl_study_db_get(study->db, TL_ROW_PROMPT, NULL, 0, arena, &got, err);
    const tl_study_prompt *p = got.rows;
    for (size_t i = 0; i < got.n && status == TL_OK; i++)
        if (!is_of(study, p[i].row, p[i].modality))
            status = refuse(study, "prompt", i + 1, "the dataset has no such row", err);
        else if (!is_span(p[i].n_pos, p[i].data_begin, p[i].data_end))
            status = refuse(study, "prompt", i + 1, "its data are not in it", err);
    return status;
}

static tl_status check_pairs(const tl_study *study, tl_modality modality,
                             tl_arena *arena, tl_error *err)
{
    const int64_t n_vocab = (int64_t)tl_model_dims(study->session.model)->n_vocab;
    size_t n[] = {0, 0};
    tl_status status = TL_OK;
    for (size_t part = 0; part < 2 && status == TL_OK; part++) {
        const tl_study_pair *p = NULL;
        status = tl_study_db_get_pairs(study->db, modality, (tl_study_part)part, arena,
                                       &p, &n[part], err);
        for (size_t i = 0; status == TL_OK && i < n[part]; i++)
            if (!is_of(study, p[i].row, modality) ||
                !is_of(study, p[i].counterfactual, modality))
                status =
                    refuse(study, "pair", i + 1, "the dataset has no such row", err);
            else if (p[i].answer_id >= n_vocab ||
                     p[i].counterfactual_answer_id >= n_vocab)
                status =
                    refuse(study, "pair", i + 1, "the model has no such token", err);
    }
    if (status == TL_OK && (n[0] > 0) != (n[1] > 0)) /* they are put together */
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s/" TL_STUDY_DB_NAME
                         ": table pair: %s prompts have one part only",
                         study->settings.out, tl_modality_name(modality));
    return status;
}

static tl_status check_circuit(const tl_study *study, tl_modality modality,
                               tl_arena *arena, tl_error *err)
{
    tl_study_minimal minimal = {.modality = modality};
    tl_study_scores scores = {.modality = modality};
    bool found = false;
    tl_status status =
        tl_study_db_find(study->db, TL_ROW_MINIMAL, &minimal, arena, &found, err);
    if (status == TL_OK && found && minimal.found && minimal.point >= study->sizes.n)
        status = refuse(study, "minimal", 1, "the grid has no such point", err);
    if (status == TL_OK)
        status =
            tl_study_db_find(study->db, TL_ROW_SCORES, &scores, arena, &found, err);
    if (status == TL_OK && found &&
        !is_span(scores.n_pos, scores.data_begin, scores.data_end))
        status = refuse(study, "scores", 1, "its data are not in it", err);
    return status;
}

tl_status tl_study_check(const tl_study *study, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to go on");
    tl_status status = check_prompts(study, arena, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        status = check_pairs(study, (tl_modality)m, arena, err);
        if (status == TL_OK)
            status = check_circuit(study, (tl_modality)m, arena, err);
    }
    tl_arena_destroy(arena);
    return status;
}
