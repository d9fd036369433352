/* SPDX-License-Identifier: MIT
 *
 * backpatch_rows.c - what back-patching did to each prompt, in and out
 * (store/study_db.h).
 */
#include "store/study_db_private.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* One row, one transaction. */
static tl_status put_row(tl_study_db *db, const char *text, const tl_sql_value *values,
                         size_t n, tl_error *err)
{
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = tl_sql_prepare(&db->sql, text, &statement, err);
    if (status == TL_OK)
        status = tl_sql_insert(&statement, values, n, err);
    tl_sql_release(&statement);
    return tl_sql_end(&db->sql, status, err);
}

tl_status tl_study_db_put_cells(tl_study_db *db, const tl_study_cell *cells, size_t n,
                                tl_error *err)
{
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = tl_sql_prepare(&db->sql, "insert or replace into cell values(?, ?, ?, ?)",
                            &statement, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const tl_sql_value values[] = {tl_sql_size(i), tl_sql_size(cells[i].window),
                                       tl_sql_size(cells[i].source),
                                       tl_sql_size(cells[i].destination)};
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    }
    tl_sql_release(&statement);
    return tl_sql_end(&db->sql, status, err);
}

tl_status tl_study_db_get_cells(const tl_study_db *db, tl_arena *arena,
                                const tl_study_cell **cells, size_t *n, tl_error *err)
{
    tl_study_cell *rows = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, found = 0;
    bool row = false;
    tl_status status =
        tl_study_count(db, "select count(*) from cell", NULL, 0, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_select(
            db, "select window, source, destination from cell order by cell", NULL, 0,
            &statement, err);
    while (status == TL_OK && found < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row)
        rows[found++] = (tl_study_cell){tl_sql_get_size(&statement, 0),
                                        tl_sql_get_size(&statement, 1),
                                        tl_sql_get_size(&statement, 2)};
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *cells = rows;
        *n = found;
    }
    return status;
}

tl_status tl_study_db_put_backpatch(tl_study_db *db, tl_modality modality, size_t pair,
                                    const tl_study_outcome *o, tl_error *err)
{
    const tl_sql_value values[] = {tl_sql_text(tl_study_modality_names[modality]),
                                   tl_sql_size(pair), tl_sql_size(o->row),
                                   tl_sql_int(o->is_right), tl_sql_text(o->outcomes)};
    return put_row(db, "insert or replace into backpatch values(?, ?, ?, ?, ?)", values,
                   COUNT(values), err);
}

tl_status tl_study_db_put_iteration(tl_study_db *db, size_t pair, size_t cell,
                                    const tl_study_outcome *o, tl_error *err)
{
    const tl_sql_value values[] = {tl_sql_size(pair), tl_sql_size(cell),
                                   tl_sql_size(o->row), tl_sql_text(o->outcomes)};
    return put_row(db, "insert or replace into iteration values(?, ?, ?, ?)", values,
                   COUNT(values), err);
}

/* Columns of `text`: row, is_right, outcomes, cell. */
static tl_status get_outcomes(const tl_study_db *db, const char *count_text,
                              const char *text, const char *const *parameters,
                              size_t n_parameters, tl_arena *arena,
                              const tl_study_outcome **outcomes, size_t *n,
                              size_t *cell, tl_error *err)
{
    tl_study_outcome *rows = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, found = 0;
    bool row = false;
    tl_status status =
        tl_study_count(db, count_text, parameters, n_parameters, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_select(db, text, parameters, n_parameters, &statement, err);
    while (status == TL_OK && found < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        rows[found] =
            (tl_study_outcome){.row = tl_sql_get_size(&statement, 0),
                               .is_right = tl_sql_get_size(&statement, 1) != 0};
        *cell = tl_sql_get_size(&statement, 3);
        status = tl_sql_get_text(&statement, 2, arena, &rows[found++].outcomes, err);
    }
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *outcomes = rows;
        *n = found;
    }
    return status;
}

tl_status tl_study_db_get_backpatches(const tl_study_db *db, tl_modality modality,
                                      tl_arena *arena,
                                      const tl_study_outcome **outcomes,
                                      size_t *n_pairs, tl_error *err)
{
    const char *const parameters[] = {tl_study_modality_names[modality]};
    size_t unused = 0;
    return get_outcomes(db, "select count(*) from backpatch where modality = ?",
                        "select row, is_right, cells, 0 from backpatch"
                        " where modality = ? order by pair",
                        parameters, 1, arena, outcomes, n_pairs, &unused, err);
}

tl_status tl_study_db_get_iterations(const tl_study_db *db, tl_arena *arena,
                                     const tl_study_outcome **outcomes, size_t *n_pairs,
                                     size_t *cell, tl_error *err)
{
    return get_outcomes(db, "select count(*) from iteration",
                        "select row, 0, times, cell from iteration order by pair", NULL,
                        0, arena, outcomes, n_pairs, cell, err);
}
