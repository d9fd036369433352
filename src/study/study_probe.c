/* SPDX-License-Identifier: MIT
 *
 * study_probe.c - what image states are like, and what they are good for. See
 * study_private.h.
 */
#include "study/study_private.h"

#include <string.h>

#include "study/row_pairs.h"
#include "study/answers.h"
#include "study/cells.h"
#include "twinlens/log.h"
#include "twinlens/probe.h"

/* ---- pairs of the same content --------------------------------------------------- */

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

/* Runs pair number i again if its states were not kept. */
static tl_status get_pair(tl_study *study, const tl_alignment *alignment,
                          const tl_row_pair *rows, size_t i, bool text_alone,
                          tl_arena *arena, tl_parallel *made, const tl_parallel **out,
                          tl_error *err)
{
    *out = NULL;
    if (tl_alignment_keeps(alignment, i))
        return TL_OK;
    *out = made;
    return text_alone
               ? tl_session_parallel_text(&study->session, &rows[i], arena, made, err)
               : tl_session_parallel(&study->session, &rows[i], arena, made, err);
}

static tl_status align_pair(tl_study *study, tl_alignment *alignment,
                            const tl_row_pair *rows, size_t n, size_t i,
                            tl_arena *arena, tl_error *err)
{
    const size_t n_layers = tl_model_dims(study->session.model)->n_layers;
    double *values = tl_arena_alloc(arena, 4 * n_layers, sizeof *values);
    tl_study_alignment *layers = tl_arena_alloc(arena, n_layers, sizeof *layers);
    if (values == NULL || layers == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to align");
    const size_t next = (i + 1) % n;
    tl_parallel made[2];
    const tl_parallel *pair = NULL, *other = NULL;
    tl_status status =
        get_pair(study, alignment, rows, i, false, arena, &made[0], &pair, err);
    if (status == TL_OK)
        status =
            get_pair(study, alignment, rows, next, true, arena, &made[1], &other, err);
    tl_alignment_values out = {values, values + n_layers, values + 2 * n_layers,
                               values + 3 * n_layers};
    if (status == TL_OK)
        status = tl_alignment_measure(alignment, i, pair, next, other, &out, err);
    if (status != TL_OK)
        return status;
    for (size_t l = 0; l < n_layers; l++)
        layers[l] = (tl_study_alignment){.pair = i,
                                         .layer = l,
                                         .text_row = rows[i].text,
                                         .image_row = rows[i].image,
                                         .matched = out.matched[l],
                                         .other = out.other[l],
                                         .centred_matched = out.centred_matched[l],
                                         .centred_other = out.centred_other[l]};
    return tl_study_db_put(study->db, &(tl_rows){TL_ROW_ALIGNMENT, layers, n_layers}, 1,
                           err);
}

/* The means first, over all pairs, also when some are measured already. */
static tl_status align_all(tl_study *study, const tl_row_pair *rows, size_t n,
                           size_t n_done, tl_arena *arena, tl_error *err)
{
    const size_t stage = study->stages[TL_IMAGE][TL_STAGE_ALIGN];
    tl_alignment *alignment = NULL;
    tl_status status =
        tl_alignment_create(study->session.model, (tl_align)study->settings.align,
                            study->memory, &alignment, err);
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        tl_parallel pair;
        status = tl_session_parallel(&study->session, &rows[i], arena, &pair, err);
        if (status == TL_OK)
            status = tl_alignment_add(alignment, &pair, err);
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
    tl_row_pairs pairs;
    const size_t n_layers = tl_model_dims(study->session.model)->n_layers;
    tl_rows known = {0};
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to align");
    status = tl_session_row_pairs(&study->session,
                                  (tl_bp_filter)study->settings.bp_filter, &pairs, err);
    if (status == TL_OK) {
        tl_pairing_log(&study->session, pairs.counts, pairs.length);
        status =
            tl_study_db_get(study->db, TL_ROW_ALIGNMENT, NULL, 0, arena, &known, err);
    }
    if (status == TL_OK)
        status = align_all(study, pairs.rows, pairs.n, known.n / n_layers, arena, err);
    tl_arena_destroy(arena);
    return status != TL_OK ? status : tl_study_db_put_stage(study->db, "align", err);
}

/* ---- back-patching --------------------------------------------------------------- */

enum { ITERATIONS = 10 /* without patching, and patched one to nine times */ };

/* Windows of 5, 3, 1: the order in which the best cell is looked for. */
static tl_status make_cells(const tl_study *study, tl_arena *arena,
                            tl_backpatch_cell **cells, size_t *n, tl_error *err)
{
    static const size_t windows[] = {5, 3, 1};
    const tl_cell_options options = {.grid = (tl_bp_grid)study->settings.bp_grid,
                                     .windows = {windows, 3},
                                     .times = 1,
                                     .restore =
                                         study->settings.bp_repeat == TL_BP_REPEAT_OFF};
    return tl_cells_make(&options, tl_model_dims(study->session.model)->n_layers, arena,
                         cells, n, err);
}

/* A prompt under cells, or under one of them again and again: a character for each run.
 * The answer is one of `labels`, or (NULL) of its own. */
static tl_status patch_prompt(tl_study *study, tl_backpatcher *backpatcher, size_t row,
                              const tl_labels *labels, const tl_backpatch_cell *cells,
                              size_t n_cells, size_t times, tl_arena *arena,
                              bool *is_right, const char **runs, tl_error *err)
{
    tl_session *s = &study->session;
    tl_encoding e;
    tl_input input;
    tl_answers w;
    tl_status status = tl_session_input(s, row, arena, &e, &input, err);
    if (status == TL_OK)
        status = tl_answers_find(s, row, labels, arena, &w, err);
    if (status != TL_OK)
        return status;
    const size_t n_runs = n_cells * times;
    double *clean = tl_arena_alloc(arena, w.n_ids, sizeof *clean),
           *patched = tl_arena_alloc(arena, n_runs * w.n_ids, sizeof *patched);
    char *text = tl_arena_alloc(arena, n_runs + 2, 1);
    if (clean == NULL || patched == NULL || text == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu runs", n_runs);
    status = tl_backpatcher_run(backpatcher, &input, e.data_begin, e.data_end, cells,
                                n_cells, w.ids, w.n_ids, clean, patched, err);
    bool right = false;
    if (status == TL_OK)
        status = tl_fail_while(err, tl_answers_is_right(&w, clean, is_right, err),
                               "prompt '%s'", s->dataset->rows[row].id);
    char *at = text;
    if (status == TL_OK && times > 1)
        *at++ = *is_right ? '1' : '0';
    for (size_t i = 0; i < n_runs && status == TL_OK; i++) {
        const tl_backpatch_cell *cell = &cells[i / times];
        status = tl_fail_while(
            err, tl_answers_is_right(&w, patched + i * w.n_ids, &right, err),
            "prompt '%s', layer %zu written into layer %zu", s->dataset->rows[row].id,
            cell->source, cell->destination);
        *at++ = right ? '1' : '0';
    }
    *at = '\0';
    *runs = text;
    return status;
}

/* Pairs whose prompts have labels to choose from; none when some have not. */
static tl_status read_labelled(tl_study *study, tl_row_pairs *out, tl_error *err)
{
    const tl_dataset_row *rows = study->session.dataset->rows;
    const tl_status status = tl_session_row_pairs(
        &study->session, (tl_bp_filter)study->settings.bp_filter, out, err);
    for (size_t i = 0; status == TL_OK && i < out->n; i++)
        if (rows[out->rows[i].text].n_labels == 0 ||
            rows[out->rows[i].image].n_labels == 0)
            out->n = 0;
    return status;
}

/* The first cell that leaves most image prompts right. */
static size_t best_cell(const tl_study_patched *prompts, size_t n, size_t n_cells)
{
    size_t best = 0, most = 0;
    for (size_t c = 0; c < n_cells; c++) {
        size_t right = 0;
        for (size_t i = 0; i < n; i++)
            right += prompts[i].cells[c] == '1';
        if (right > most) {
            most = right;
            best = c;
        }
    }
    return best;
}

static tl_status patch_modality(tl_study *study, tl_backpatcher *backpatcher,
                                tl_modality modality, const tl_row_pair *rows, size_t n,
                                const tl_backpatch_cell *cells, size_t n_cells,
                                tl_arena *arena, tl_error *err)
{
    const size_t stage = study->stages[modality][TL_STAGE_BACKPATCH];
    const tl_study_patched like = {.modality = modality};
    tl_rows known = {0};
    tl_status status =
        tl_study_db_get(study->db, TL_ROW_PATCHED, &like, 1, arena, &known, err);
    tl_progress_begin(study->progress, stage, known.n);
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t i = known.n; i < n && status == TL_OK; i++) {
        tl_study_patched row = {.modality = modality,
                                .pair = i,
                                .row =
                                    modality == TL_TEXT ? rows[i].text : rows[i].image};
        status = patch_prompt(study, backpatcher, row.row, NULL, cells, n_cells, 1,
                              arena, &row.is_right, &row.cells, err);
        if (status == TL_OK)
            status =
                tl_study_db_put(study->db, &(tl_rows){TL_ROW_PATCHED, &row, 1}, 1, err);
        tl_arena_rewind(arena, mark);
        tl_progress_step(study->progress, stage, i + 1);
    }
    if (status == TL_OK)
        tl_progress_end(study->progress, stage);
    return status;
}

static tl_status unite_labels(tl_study *study, const tl_row_pair *pairs, size_t n,
                              tl_arena *arena, tl_labels *out, tl_error *err)
{
    size_t *rows = tl_arena_alloc(arena, n, sizeof *rows);
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows", n);
    for (size_t i = 0; i < n; i++)
        rows[i] = pairs[i].image;
    return tl_labels_unite(&study->session, rows, n, arena, out, err);
}

static tl_status iterate(tl_study *study, tl_backpatcher *backpatcher,
                         const tl_row_pair *rows, size_t n,
                         const tl_backpatch_cell *cells, size_t n_cells,
                         tl_arena *arena, tl_error *err)
{
    const bool own = study->settings.iter_labels == TL_ITER_LABELS_QUESTION;
    tl_labels all = {0};
    const tl_labels *labels = own ? NULL : &all;
    const tl_study_patched like = {.modality = TL_IMAGE};
    tl_rows patched = {0}, known = {0};
    tl_status status =
        tl_study_db_get(study->db, TL_ROW_PATCHED, &like, 1, arena, &patched, err);
    if (status == TL_OK)
        status =
            tl_study_db_get(study->db, TL_ROW_ITERATION, NULL, 0, arena, &known, err);
    if (status == TL_OK && !own)
        status = unite_labels(study, rows, n, arena, &all, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < patched.n; i++)
        if (strlen(((const tl_study_patched *)patched.rows)[i].cells) != n_cells)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s/" TL_STUDY_DB_NAME
                           ": table backpatch, pair %zu: wanted %zu cells",
                           study->settings.out, i, n_cells);
    const size_t cell = best_cell(patched.rows, patched.n, n_cells);
    tl_backpatch_cell again = cells[cell];
    again.times = ITERATIONS - 1;
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t i = known.n; i < n && status == TL_OK; i++) {
        tl_study_iteration row = {.pair = i, .cell = cell, .row = rows[i].image};
        bool is_right;
        status = patch_prompt(study, backpatcher, row.row, labels, &again, 1,
                              again.times, arena, &is_right, &row.times, err);
        if (status == TL_OK)
            status = tl_study_db_put(study->db, &(tl_rows){TL_ROW_ITERATION, &row, 1},
                                     1, err);
        tl_arena_rewind(arena, mark);
    }
    return status;
}

static tl_status patch_all(tl_study *study, const tl_row_pair *rows, size_t n,
                           tl_arena *arena, tl_error *err)
{
    tl_backpatch_cell *cells = NULL;
    size_t n_cells = 0;
    tl_status status = make_cells(study, arena, &cells, &n_cells, err);
    tl_study_cell *made =
        status == TL_OK ? tl_arena_alloc(arena, n_cells, sizeof *made) : NULL;
    if (status == TL_OK && made == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", n_cells);
    for (size_t i = 0; i < n_cells && status == TL_OK; i++)
        made[i] =
            (tl_study_cell){i, cells[i].window, cells[i].source, cells[i].destination};
    if (status == TL_OK)
        status =
            tl_study_db_put(study->db, &(tl_rows){TL_ROW_CELL, made, n_cells}, 1, err);
    tl_backpatcher *backpatcher = NULL;
    if (status == TL_OK)
        status = tl_backpatcher_create(study->session.model, study->memory,
                                       &backpatcher, err);
    for (size_t m = TL_MODALITY_COUNT; m-- > 0 && status == TL_OK;)
        status = patch_modality(study, backpatcher, (tl_modality)m, rows, n, cells,
                                n_cells, arena, err);
    if (status == TL_OK)
        status = iterate(study, backpatcher, rows, n, cells, n_cells, arena, err);
    tl_backpatcher_destroy(backpatcher);
    return status;
}

tl_status tl_study_backpatch(tl_study *study, tl_error *err)
{
    bool done = false;
    tl_status status = tl_study_db_has_stage(study->db, "backpatch", &done, err);
    if (status != TL_OK || done)
        return status;
    tl_row_pairs pairs = {0};
    const bool wanted = study->modalities[TL_TEXT] && study->modalities[TL_IMAGE] &&
                        study->settings.bp_grid != TL_BP_NONE &&
                        has_pairs(study->session.dataset) &&
                        tl_model_dims(study->session.model)->n_layers > 1;
    if (wanted)
        status = read_labelled(study, &pairs, err);
    if (status == TL_OK && wanted && pairs.n == 0)
        tl_log(TL_LOG_INFO, "%s: not all prompts have labels: no back-patching",
               study->session.dataset->path);
    if (status == TL_OK && pairs.n > 0) {
        tl_arena *arena = tl_arena_create();
        status = arena != NULL ? patch_all(study, pairs.rows, pairs.n, arena, err)
                               : tl_fail(err, TL_ERR_NO_MEMORY, "no memory to patch");
        tl_arena_destroy(arena);
    }
    return status != TL_OK ? status
                           : tl_study_db_put_stage(study->db, "backpatch", err);
}
