/* SPDX-License-Identifier: MIT
 *
 * study_probe.c - what image states are like, and what they are good for. See
 * study_private.h.
 */
#include "cli/study_private.h"

#include "cli/parallel.h"
#include "twinlens/log.h"
#include "twinlens/probe.h"

/* ---- pairs of the same content --------------------------------------------------- */

/* Both prompts of a pair, in `arena`. */
static tl_status read_pair(tl_study *study, const tl_row_pair *rows, tl_arena *arena,
                           tl_parallel *out, tl_error *err)
{
    tl_encoding e;
    tl_status status =
        tl_session_input(&study->session, rows->text, arena, &e, &out->text, err);
    if (status != TL_OK)
        return status;
    out->text_span = (tl_span){e.n_pos, e.data_begin, e.data_end};
    status =
        tl_session_input(&study->session, rows->image, arena, &e, &out->image, err);
    if (status == TL_OK)
        out->image_span = (tl_span){e.n_pos, e.data_begin, e.data_end};
    return status;
}

static bool has_pairs(const tl_dataset *dataset)
{
    bool text = false, image = false;
    for (size_t i = 0; i < dataset->n_rows; i++) {
        text = text || (dataset->rows[i].modality == TL_TEXT && dataset->rows[i].pair);
        image =
            image || (dataset->rows[i].modality == TL_IMAGE && dataset->rows[i].pair);
    }
    return text && image;
}

/* ---- alignment ------------------------------------------------------------------- */

static tl_status align_pair(tl_study *study, tl_alignment *alignment,
                            const tl_row_pair *rows, size_t n, size_t i,
                            tl_arena *arena, tl_error *err)
{
    const size_t n_layers = tl_model_dims(study->session.model)->n_layers;
    double *values = tl_arena_alloc(arena, 4 * n_layers, sizeof *values);
    if (values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to align");
    tl_parallel pair, other;
    tl_status status = read_pair(study, &rows[i], arena, &pair, err);
    if (status == TL_OK)
        status = read_pair(study, &rows[(i + 1) % n], arena, &other, err);
    tl_alignment_values out = {values, values + n_layers, values + 2 * n_layers,
                               values + 3 * n_layers};
    if (status == TL_OK)
        status = tl_alignment_measure(alignment, &pair, &other, &out, err);
    const tl_study_alignment row = {.text_row = rows[i].text,
                                    .image_row = rows[i].image,
                                    .matched = out.matched,
                                    .other = out.other,
                                    .centred_matched = out.centred_matched,
                                    .centred_other = out.centred_other};
    return status != TL_OK
               ? status
               : tl_study_db_put_alignment(study->db, i, &row, n_layers, err);
}

/* The means first, over all pairs, also when some are measured already. */
static tl_status align_all(tl_study *study, const tl_row_pair *rows, size_t n,
                           size_t n_done, tl_arena *arena, tl_error *err)
{
    const size_t stage = study->stages[TL_IMAGE][TL_STAGE_ALIGN];
    tl_alignment *alignment = NULL;
    tl_status status =
        tl_alignment_create(study->session.model, study->memory, &alignment, err);
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        tl_parallel pair;
        status = read_pair(study, &rows[i], arena, &pair, err);
        if (status == TL_OK)
            status = tl_alignment_take(alignment, &pair, err);
        tl_arena_rewind(arena, mark);
    }
    tl_progress_begin(study->progress, stage, n_done);
    for (size_t i = n_done; i < n && status == TL_OK; i++) {
        status = align_pair(study, alignment, rows, n, i, arena, err);
        tl_arena_rewind(arena, mark);
        tl_progress_step(study->progress, stage, i + 1);
    }
    if (status == TL_OK)
        tl_progress_end(study->progress, stage);
    tl_alignment_destroy(alignment);
    return status;
}

tl_status tl_study_align(tl_study *study, tl_error *err)
{
    bool done = false;
    tl_status status = tl_study_db_has_stage(study->db, "align", &done, err);
    if (status != TL_OK)
        return status;
    const bool both = study->modalities[TL_TEXT] && study->modalities[TL_IMAGE];
    if (done || !both || !has_pairs(study->session.dataset)) {
        if (!done && both)
            tl_log(TL_LOG_INFO,
                   "%s: rows name no 'pair' in both modalities: no alignment",
                   study->session.dataset->path);
        if (both)
            tl_progress_resize(study->progress, study->stages[TL_IMAGE][TL_STAGE_ALIGN],
                               0);
        return done ? TL_OK : tl_study_db_put_stage(study->db, "align", err);
    }
    tl_row_pair *rows = NULL;
    const tl_study_alignment *known = NULL;
    size_t n = 0, alone = 0, n_done = 0, n_layers = 0;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to align");
    status = tl_session_row_pairs(&study->session, &rows, &n, &alone, err);
    if (status == TL_OK)
        status = tl_study_db_get_alignments(study->db, arena, &known, &n_done,
                                            &n_layers, err);
    if (status == TL_OK)
        status = align_all(study, rows, n, n_done, arena, err);
    tl_arena_destroy(arena);
    return status != TL_OK ? status : tl_study_db_put_stage(study->db, "align", err);
}
