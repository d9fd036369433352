/* SPDX-License-Identifier: MIT
 *
 * validate_rows.c - exact effects beside attributed scores, in and out
 * (store/study_db.h).
 */
#include "store/study_db_private.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static tl_status insert_effects(const tl_study_db *db, tl_modality modality,
                                size_t pair, const tl_study_effect *effects, size_t n,
                                tl_error *err)
{
    tl_sql_statement statement = {0};
    size_t component = 0;
    tl_status status = tl_sql_prepare(
        &db->sql, "insert or replace into effect values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &statement, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const tl_study_effect *e = &effects[i];
        component += i > 0 && e->ig_steps == effects[0].ig_steps;
        const tl_sql_value values[] = {tl_sql_text(tl_study_modality_names[modality]),
                                       tl_sql_size(pair),
                                       tl_sql_size(component),
                                       tl_sql_size(e->ig_steps),
                                       tl_sql_text(e->kind),
                                       tl_sql_size(e->layer),
                                       tl_sql_size(e->pos),
                                       tl_sql_size(e->index),
                                       tl_sql_real(e->exact),
                                       tl_sql_real(e->attributed)};
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    }
    tl_sql_release(&statement);
    return status;
}

static tl_status insert_completeness(const tl_study_db *db, tl_modality modality,
                                     size_t pair, const tl_study_completeness *c,
                                     size_t n, tl_error *err)
{
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_prepare(
        &db->sql, "insert or replace into completeness values(?, ?, ?, ?, ?)",
        &statement, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const tl_sql_value values[] = {tl_sql_text(tl_study_modality_names[modality]),
                                       tl_sql_size(pair), tl_sql_size(c[i].ig_steps),
                                       tl_sql_real(c[i].attributed),
                                       tl_sql_real(c[i].difference)};
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    }
    tl_sql_release(&statement);
    return status;
}

tl_status tl_study_db_put_validation(tl_study_db *db, tl_modality modality, size_t pair,
                                     const tl_study_effect *effects, size_t n_effects,
                                     const tl_study_completeness *completeness,
                                     size_t n_completeness, tl_error *err)
{
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = insert_effects(db, modality, pair, effects, n_effects, err);
    if (status == TL_OK)
        status =
            insert_completeness(db, modality, pair, completeness, n_completeness, err);
    return tl_sql_end(&db->sql, status, err);
}

tl_status tl_study_db_get_effects(const tl_study_db *db, tl_modality modality,
                                  tl_arena *arena, const tl_study_effect **effects,
                                  size_t *n, tl_error *err)
{
    const char *const name = tl_study_modality_names[modality];
    tl_study_effect *rows = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, found = 0;
    bool row = false;
    tl_status status = tl_study_count(
        db, "select count(*) from effect where modality = ?", &name, 1, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_select(
            db,
            "select pair, ig_steps, kind, layer, pos, idx, exact, attributed "
            "from effect where modality = ? order by pair, component, ig_steps",
            &name, 1, &statement, err);
    while (status == TL_OK && found < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        tl_study_effect *e = &rows[found++];
        *e = (tl_study_effect){.pair = tl_sql_get_size(&statement, 0),
                               .ig_steps = tl_sql_get_size(&statement, 1),
                               .layer = tl_sql_get_size(&statement, 3),
                               .pos = tl_sql_get_size(&statement, 4),
                               .index = tl_sql_get_size(&statement, 5),
                               .exact = tl_sql_get_real(&statement, 6),
                               .attributed = tl_sql_get_real(&statement, 7)};
        status = tl_sql_get_text(&statement, 2, arena, &e->kind, err);
    }
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *effects = rows;
        *n = found;
    }
    return status;
}

tl_status tl_study_db_get_completeness(const tl_study_db *db, tl_modality modality,
                                       tl_arena *arena,
                                       const tl_study_completeness **completeness,
                                       size_t *n, tl_error *err)
{
    const char *const name = tl_study_modality_names[modality];
    tl_study_completeness *rows = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, found = 0;
    bool row = false;
    tl_status status =
        tl_study_count(db, "select count(*) from completeness where modality = ?",
                       &name, 1, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_select(
            db,
            "select pair, ig_steps, attributed, difference from completeness "
            "where modality = ? order by pair, ig_steps",
            &name, 1, &statement, err);
    while (status == TL_OK && found < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row)
        rows[found++] = (tl_study_completeness){
            tl_sql_get_size(&statement, 0), tl_sql_get_size(&statement, 1),
            tl_sql_get_real(&statement, 2), tl_sql_get_real(&statement, 3)};
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *completeness = rows;
        *n = found;
    }
    return status;
}
