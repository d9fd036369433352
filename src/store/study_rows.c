/* SPDX-License-Identifier: MIT
 *
 * study_rows.c - the rows of a study, in and out (store/study_db.h). Each `put` is
 * one transaction; each `get` counts first, so that the rows make one array.
 */
#include "store/study_db_private.h"

#include <string.h>

const char *const tl_study_modality_names[TL_MODALITY_COUNT] = {"text", "image"};
static const char *const part_names[] = {"discovery", "evaluation"};
static const char *const kind_names[TL_STUDY_KIND_COUNT] = {"circuit", "magnitude",
                                                            "random"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- what gets have in common ------------------------------------------------ */

tl_status tl_study_select(const tl_study_db *db, const char *text,
                          const char *const *parameters, size_t n_parameters,
                          tl_sql_statement *statement, tl_error *err)
{
    tl_status status = tl_sql_prepare(&db->sql, text, statement, err);
    for (size_t i = 0; i < n_parameters && status == TL_OK; i++)
        status = tl_sql_bind(statement, (int)i + 1, tl_sql_text(parameters[i]), err);
    return status;
}

tl_status tl_study_count(const tl_study_db *db, const char *text,
                         const char *const *parameters, size_t n_parameters,
                         size_t *count, tl_error *err)
{
    tl_sql_statement statement = {0};
    bool row = false;
    tl_status status =
        tl_study_select(db, text, parameters, n_parameters, &statement, err);
    if (status == TL_OK)
        status = tl_sql_step(&statement, &row, err);
    if (status == TL_OK)
        *count = row ? tl_sql_get_size(&statement, 0) : 0;
    tl_sql_release(&statement);
    return status;
}

tl_status tl_study_take(const tl_study_db *db, tl_arena *arena, size_t count,
                        size_t size, void *out, tl_error *err)
{
    void *memory = tl_arena_alloc_zero(arena, count, size);
    if (memory == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for %zu rows",
                       db->sql.path, count);
    memcpy(out, &memory, sizeof memory);
    return TL_OK;
}

/* ---- prompts ----------------------------------------------------------------- */

tl_status tl_study_db_get_prompts(const tl_study_db *db, tl_modality modality,
                                  tl_arena *arena, const tl_study_prompt **prompts,
                                  size_t *n_prompts, tl_error *err)
{
    tl_rows all = {0};
    tl_study_prompt *kept = NULL;
    size_t n = 0;
    tl_status status = tl_study_db_get(db, TL_ROW_PROMPT, NULL, 0, arena, &all, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, all.n, sizeof *kept, &kept, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < all.n; i++)
        if (((const tl_study_prompt *)all.rows)[i].modality == modality)
            kept[n++] = ((const tl_study_prompt *)all.rows)[i];
    *prompts = kept;
    *n_prompts = n;
    return TL_OK;
}

/* ---- pairs ------------------------------------------------------------------- */

static tl_status insert_pairs(tl_sql_statement *statement, tl_modality modality,
                              tl_study_part part, const tl_study_pair *pairs,
                              size_t n_pairs, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t i = 0; i < n_pairs && status == TL_OK; i++) {
        const tl_sql_value values[] = {
            tl_sql_text(tl_study_modality_names[modality]),
            tl_sql_text(part_names[part]),
            tl_sql_size(i),
            tl_sql_size(pairs[i].row),
            tl_sql_size(pairs[i].counterfactual),
            tl_sql_int(pairs[i].answer_id),
            tl_sql_int(pairs[i].counterfactual_answer_id),
        };
        status = tl_sql_insert(statement, values, COUNT(values), err);
    }
    return status;
}

tl_status tl_study_db_put_split(tl_study_db *db, tl_modality modality,
                                const tl_study_pair *discovery, size_t n_discovery,
                                const tl_study_pair *evaluation, size_t n_evaluation,
                                tl_error *err)
{
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = tl_sql_prepare(&db->sql,
                            "insert or replace into pair values(?, ?, ?, ?, ?, ?, ?)",
                            &statement, err);
    if (status == TL_OK)
        status = insert_pairs(&statement, modality, TL_STUDY_DISCOVERY, discovery,
                              n_discovery, err);
    if (status == TL_OK)
        status = insert_pairs(&statement, modality, TL_STUDY_EVALUATION, evaluation,
                              n_evaluation, err);
    tl_sql_release(&statement);
    return tl_sql_end(&db->sql, status, err);
}

tl_status tl_study_db_get_pairs(const tl_study_db *db, tl_modality modality,
                                tl_study_part part, tl_arena *arena,
                                const tl_study_pair **pairs, size_t *n_pairs,
                                tl_error *err)
{
    const char *const parameters[] = {tl_study_modality_names[modality],
                                      part_names[part]};
    tl_study_pair *rows = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, n = 0;
    bool row = false;
    tl_status status =
        tl_study_count(db, "select count(*) from pair where modality = ? and part = ?",
                       parameters, 2, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_select(
            db,
            "select row, counterfactual, answer_id, counterfactual_answer_id"
            " from pair where modality = ? and part = ? order by pair",
            parameters, 2, &statement, err);
    while (status == TL_OK && n < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row)
        rows[n++] = (tl_study_pair){
            .row = tl_sql_get_size(&statement, 0),
            .counterfactual = tl_sql_get_size(&statement, 1),
            .answer_id = tl_sql_get_id(&statement, 2),
            .counterfactual_answer_id = tl_sql_get_id(&statement, 3),
        };
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *pairs = rows;
        *n_pairs = n;
    }
    return status;
}

/* ---- scores ------------------------------------------------------------------ */

tl_status tl_study_db_put_scores(tl_study_db *db, tl_modality modality,
                                 const tl_study_scores *scores, tl_error *err)
{
    const tl_sql_value values[] = {
        tl_sql_text(tl_study_modality_names[modality]),
        tl_sql_text(scores->file),
        tl_sql_text(scores->sha256),
        tl_sql_size(scores->n_pairs),
        tl_sql_size(scores->n_layers),
        tl_sql_size(scores->n_pos),
        tl_sql_size(scores->n_heads),
        tl_sql_size(scores->d_mlp),
        tl_sql_size(scores->data_begin),
        tl_sql_size(scores->data_end),
    };
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_prepare(
        &db->sql, "insert or replace into scores values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &statement, err);
    if (status == TL_OK)
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    tl_sql_release(&statement);
    return status;
}

tl_status tl_study_db_get_scores(const tl_study_db *db, tl_modality modality,
                                 tl_arena *arena, tl_study_scores *scores,
                                 tl_error *err)
{
    const char *const parameters[] = {tl_study_modality_names[modality]};
    tl_sql_statement statement = {0};
    tl_study_scores found = {0};
    bool row = false;
    tl_status status =
        tl_study_select(db,
                        "select file, sha256, n_pairs, n_layers, n_pos, n_heads, d_mlp,"
                        " data_begin, data_end from scores where modality = ?",
                        parameters, 1, &statement, err);
    if (status == TL_OK)
        status = tl_sql_step(&statement, &row, err);
    if (status == TL_OK && row) {
        found = (tl_study_scores){
            .n_pairs = tl_sql_get_size(&statement, 2),
            .n_layers = tl_sql_get_size(&statement, 3),
            .n_pos = tl_sql_get_size(&statement, 4),
            .n_heads = tl_sql_get_size(&statement, 5),
            .d_mlp = tl_sql_get_size(&statement, 6),
            .data_begin = tl_sql_get_size(&statement, 7),
            .data_end = tl_sql_get_size(&statement, 8),
        };
        status = tl_sql_get_text(&statement, 0, arena, &found.file, err);
        if (status == TL_OK)
            status = tl_sql_get_text(&statement, 1, arena, &found.sha256, err);
    }
    tl_sql_release(&statement);
    if (status == TL_OK)
        *scores = found;
    return status;
}

/* ---- evaluations ------------------------------------------------------------- */

static tl_status insert_evaluation(const tl_study_db *db, tl_modality modality,
                                   const tl_study_evaluation *e, size_t n_points,
                                   tl_error *err)
{
    const tl_sql_value baseline[] = {tl_sql_text(tl_study_modality_names[modality]),
                                     tl_sql_size(e->pair), tl_sql_real(e->clean),
                                     tl_sql_real(e->none)};
    tl_sql_statement first = {0}, rest = {0};
    tl_status status = tl_sql_prepare(
        &db->sql, "insert or replace into baseline values(?, ?, ?, ?)", &first, err);
    if (status == TL_OK)
        status = tl_sql_insert(&first, baseline, COUNT(baseline), err);
    if (status == TL_OK)
        status = tl_sql_prepare(
            &db->sql, "insert or replace into evaluation values(?, ?, ?, ?, ?)", &rest,
            err);
    for (size_t i = 0; i < TL_STUDY_KIND_COUNT * n_points && status == TL_OK; i++) {
        const size_t kind = i / n_points, point = i % n_points;
        const tl_sql_value values[] = {tl_sql_text(tl_study_modality_names[modality]),
                                       tl_sql_text(kind_names[kind]),
                                       tl_sql_size(e->pair), tl_sql_size(point),
                                       tl_sql_real(e->circuit[kind][point])};
        status = tl_sql_insert(&rest, values, COUNT(values), err);
    }
    tl_sql_release(&first);
    tl_sql_release(&rest);
    return status;
}

tl_status tl_study_db_put_evaluation(tl_study_db *db, tl_modality modality,
                                     const tl_study_evaluation *evaluation,
                                     size_t n_points, tl_error *err)
{
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = insert_evaluation(db, modality, evaluation, n_points, err);
    return tl_sql_end(&db->sql, status, err);
}

/* Logit differences of all pairs, in order of kind, pair, point. */
static tl_status get_circuits(const tl_study_db *db, tl_modality modality,
                              size_t n_expected, tl_arena *arena, double **out,
                              tl_error *err)
{
    const char *const parameters[] = {tl_study_modality_names[modality]};
    tl_sql_statement statement = {0};
    double *values = NULL;
    size_t n = 0;
    bool row = false;
    tl_status status =
        tl_study_take(db, arena, n_expected, sizeof *values, &values, err);
    if (status == TL_OK)
        status = tl_study_select(db,
                                 "select logit_diff from evaluation where modality = ?"
                                 " order by kind, pair, point",
                                 parameters, 1, &statement, err);
    while (status == TL_OK && n <= n_expected &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        if (n < n_expected)
            values[n] = tl_sql_get_real(&statement, 0);
        n++;
    }
    tl_sql_release(&statement);
    if (status == TL_OK && n != n_expected)
        status = tl_fail(
            err, TL_ERR_FORMAT, "%s: wanted %zu evaluations of %s prompts, found %s",
            db->sql.path, n_expected, parameters[0], n < n_expected ? "fewer" : "more");
    if (status == TL_OK)
        *out = values;
    return status;
}

tl_status tl_study_db_get_evaluations(const tl_study_db *db, tl_modality modality,
                                      size_t n_points, tl_arena *arena,
                                      const tl_study_evaluation **evaluations,
                                      size_t *n_evaluations, tl_error *err)
{
    const char *const parameters[] = {tl_study_modality_names[modality]};
    tl_study_evaluation *rows = NULL;
    double *circuits = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, n = 0;
    bool row = false;
    tl_status status =
        tl_study_count(db, "select count(*) from baseline where modality = ?",
                       parameters, 1, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = get_circuits(db, modality, TL_STUDY_KIND_COUNT * count * n_points,
                              arena, &circuits, err);
    if (status == TL_OK)
        status = tl_study_select(
            db,
            "select pair, clean, none from baseline where modality = ? order by pair",
            parameters, 1, &statement, err);
    while (status == TL_OK && n < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        rows[n] = (tl_study_evaluation){
            .pair = tl_sql_get_size(&statement, 0),
            .clean = tl_sql_get_real(&statement, 1),
            .none = tl_sql_get_real(&statement, 2),
        };
        /* The names sort as the kinds do. */
        for (size_t kind = 0; kind < TL_STUDY_KIND_COUNT; kind++)
            rows[n].circuit[kind] = circuits + (kind * count + n) * n_points;
        n++;
    }
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *evaluations = rows;
        *n_evaluations = n;
    }
    return status;
}

/* ---- curves ------------------------------------------------------------------ */

/* The curves of a modality are put together: one that is shorter than another has lost
 * rows. */
static tl_status check_curves(const tl_study_db *db, const char *modality,
                              tl_error *err)
{
    size_t count[TL_STUDY_KIND_COUNT], shortest = 0, longest = 0;
    for (size_t k = 0; k < TL_STUDY_KIND_COUNT; k++) {
        const char *const parameters[] = {modality, kind_names[k]};
        const tl_status status = tl_study_count(
            db, "select count(*) from curve where modality = ? and kind = ?",
            parameters, 2, &count[k], err);
        if (status != TL_OK)
            return status;
        shortest = count[k] < count[shortest] ? k : shortest;
        longest = count[k] > count[longest] ? k : longest;
    }
    if (count[shortest] == count[longest])
        return TL_OK;
    return count[shortest] == 0
               ? tl_fail(err, TL_ERR_FORMAT,
                         "%s: table curve: no rows of kind '%s' for %s", db->sql.path,
                         kind_names[shortest], modality)
               : tl_fail(err, TL_ERR_FORMAT,
                         "%s: table curve: %zu rows of kind '%s' for %s, but %zu of "
                         "kind '%s'",
                         db->sql.path, count[shortest], kind_names[shortest], modality,
                         count[longest], kind_names[longest]);
}

static tl_status insert_curve(tl_sql_statement *statement, tl_modality modality,
                              tl_study_kind kind, const tl_study_point *points,
                              size_t n_points, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t i = 0; i < n_points && status == TL_OK; i++) {
        const tl_study_point *p = &points[i];
        const tl_sql_value values[] = {
            tl_sql_text(tl_study_modality_names[modality]),
            tl_sql_text(kind_names[kind]),
            tl_sql_size(i),
            tl_sql_text(p->fraction),
            tl_sql_size(p->n_heads),
            tl_sql_size(p->n_neurons),
            tl_sql_real(p->mean_of_ratios),
            tl_sql_real(p->ratio_of_means),
            tl_sql_real(p->median),
            tl_sql_size(p->n),
            tl_sql_size(p->n_excluded),
        };
        status = tl_sql_insert(statement, values, COUNT(values), err);
    }
    return status;
}

tl_status
tl_study_db_put_curves(tl_study_db *db, tl_modality modality,
                       const tl_study_point *const curves[TL_STUDY_KIND_COUNT],
                       size_t n_points, const tl_study_minimal *minimal, tl_error *err)
{
    const tl_sql_value values[] = {tl_sql_text(tl_study_modality_names[modality]),
                                   minimal->found ? tl_sql_size(minimal->point)
                                                  : tl_sql_null()};
    tl_sql_statement points = {0}, smallest = {0};
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = tl_sql_prepare(
        &db->sql,
        "insert or replace into curve values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", &points,
        err);
    for (size_t kind = 0; kind < TL_STUDY_KIND_COUNT && status == TL_OK; kind++)
        status = insert_curve(&points, modality, (tl_study_kind)kind, curves[kind],
                              n_points, err);
    if (status == TL_OK)
        status = tl_sql_prepare(&db->sql, "insert or replace into minimal values(?, ?)",
                                &smallest, err);
    if (status == TL_OK)
        status = tl_sql_insert(&smallest, values, COUNT(values), err);
    tl_sql_release(&points);
    tl_sql_release(&smallest);
    return tl_sql_end(&db->sql, status, err);
}

tl_status tl_study_db_get_curve(const tl_study_db *db, tl_modality modality,
                                tl_study_kind kind, tl_arena *arena,
                                const tl_study_point **points, size_t *n_points,
                                tl_error *err)
{
    const char *const parameters[] = {tl_study_modality_names[modality],
                                      kind_names[kind]};
    tl_study_point *rows = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, n = 0;
    bool row = false;
    tl_status status =
        tl_study_count(db, "select count(*) from curve where modality = ? and kind = ?",
                       parameters, 2, &count, err);
    if (status == TL_OK)
        status = check_curves(db, parameters[0], err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_select(
            db,
            "select fraction, n_heads, n_neurons, mean_of_ratios, ratio_of_means,"
            " median, n, n_excluded from curve where modality = ? and kind = ?"
            " order by point",
            parameters, 2, &statement, err);
    while (status == TL_OK && n < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        rows[n] = (tl_study_point){
            .n_heads = tl_sql_get_size(&statement, 1),
            .n_neurons = tl_sql_get_size(&statement, 2),
            .mean_of_ratios = tl_sql_get_real(&statement, 3),
            .ratio_of_means = tl_sql_get_real(&statement, 4),
            .median = tl_sql_get_real(&statement, 5),
            .n = tl_sql_get_size(&statement, 6),
            .n_excluded = tl_sql_get_size(&statement, 7),
        };
        status = tl_sql_get_text(&statement, 0, arena, &rows[n++].fraction, err);
    }
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *points = rows;
        *n_points = n;
    }
    return status;
}

tl_status tl_study_db_get_minimal(const tl_study_db *db, tl_modality modality,
                                  tl_study_minimal *minimal, bool *done, tl_error *err)
{
    const char *const parameters[] = {tl_study_modality_names[modality]};
    tl_sql_statement statement = {0};
    bool row = false;
    tl_status status = tl_study_select(
        db,
        "select point is not null, ifnull(point, 0) from minimal where modality = ?",
        parameters, 1, &statement, err);
    if (status == TL_OK)
        status = tl_sql_step(&statement, &row, err);
    if (status == TL_OK) {
        *done = row;
        if (row)
            *minimal = (tl_study_minimal){
                .found = tl_sql_get_size(&statement, 0) != 0,
                .point = tl_sql_get_size(&statement, 1),
            };
    }
    tl_sql_release(&statement);
    return status;
}
