/* SPDX-License-Identifier: MIT
 *
 * compare_rows.c - what a study found of both modalities together, in and out
 * (store/study_db.h).
 */
#include "store/study_db_private.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- interchange ------------------------------------------------------------- */

tl_status tl_study_db_put_swaps(tl_study_db *db, tl_modality host,
                                const tl_study_swap *swaps, size_t n, tl_error *err)
{
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status =
        tl_sql_prepare(&db->sql, "insert or replace into swap values(?, ?, ?, ?, ?, ?)",
                       &statement, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const tl_sql_value values[] = {tl_sql_text(tl_study_modality_names[host]),
                                       tl_sql_size(i),
                                       tl_sql_text(swaps[i].swapped),
                                       swaps[i].is_random ? tl_sql_size(swaps[i].draw)
                                                          : tl_sql_null(),
                                       tl_sql_size(swaps[i].n_heads),
                                       tl_sql_size(swaps[i].n_neurons)};
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    }
    tl_sql_release(&statement);
    return tl_sql_end(&db->sql, status, err);
}

tl_status tl_study_db_get_swaps(const tl_study_db *db, tl_modality host,
                                tl_arena *arena, const tl_study_swap **swaps, size_t *n,
                                tl_error *err)
{
    const char *const parameters[] = {tl_study_modality_names[host]};
    tl_study_swap *rows = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, found = 0;
    bool row = false;
    tl_status status = tl_study_count(db, "select count(*) from swap where host = ?",
                                      parameters, 1, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_select(
            db,
            "select swapped, draw is not null, ifnull(draw, 0), n_heads, n_neurons"
            " from swap where host = ? order by swap",
            parameters, 1, &statement, err);
    while (status == TL_OK && found < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        rows[found] = (tl_study_swap){.is_random = tl_sql_get_size(&statement, 1) != 0,
                                      .draw = tl_sql_get_size(&statement, 2),
                                      .n_heads = tl_sql_get_size(&statement, 3),
                                      .n_neurons = tl_sql_get_size(&statement, 4)};
        status = tl_sql_get_text(&statement, 0, arena, &rows[found++].swapped, err);
    }
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *swaps = rows;
        *n = found;
    }
    return status;
}

tl_status tl_study_db_put_interchange(tl_study_db *db, tl_modality host, size_t pair,
                                      const double *logit_diff, size_t n_swaps,
                                      tl_error *err)
{
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = tl_sql_prepare(&db->sql,
                            "insert or replace into interchange values(?, ?, ?, ?)",
                            &statement, err);
    for (size_t i = 0; i < n_swaps && status == TL_OK; i++) {
        const tl_sql_value values[] = {tl_sql_text(tl_study_modality_names[host]),
                                       tl_sql_size(pair), tl_sql_size(i),
                                       tl_sql_real(logit_diff[i])};
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    }
    tl_sql_release(&statement);
    return tl_sql_end(&db->sql, status, err);
}

tl_status tl_study_db_get_interchange(const tl_study_db *db, tl_modality host,
                                      size_t n_swaps, tl_arena *arena,
                                      const double **logit_diff, size_t *n_pairs,
                                      tl_error *err)
{
    const char *const parameters[] = {tl_study_modality_names[host]};
    tl_sql_statement statement = {0};
    double *values = NULL;
    size_t count = 0, n = 0;
    bool row = false;
    tl_status status =
        tl_study_count(db, "select count(*) from interchange where host = ?",
                       parameters, 1, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *values, &values, err);
    if (status == TL_OK)
        status = tl_study_select(
            db, "select logit_diff from interchange where host = ? order by pair, swap",
            parameters, 1, &statement, err);
    while (status == TL_OK && n < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row)
        values[n++] = tl_sql_get_real(&statement, 0);
    tl_sql_release(&statement);
    if (status == TL_OK && (n_swaps == 0 ? n > 0 : n % n_swaps != 0))
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s: %zu runs of an interchange of %zu circuits a pair",
                         db->sql.path, n, n_swaps);
    if (status == TL_OK) {
        *logit_diff = values;
        *n_pairs = n_swaps > 0 ? n / n_swaps : 0;
    }
    return status;
}

/* ---- alignment --------------------------------------------------------------- */

tl_status tl_study_db_put_alignment(tl_study_db *db, size_t pair,
                                    const tl_study_alignment *a, size_t n_layers,
                                    tl_error *err)
{
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = tl_sql_prepare(
        &db->sql, "insert or replace into alignment values(?, ?, ?, ?, ?, ?, ?, ?)",
        &statement, err);
    for (size_t l = 0; l < n_layers && status == TL_OK; l++) {
        const tl_sql_value values[] = {tl_sql_size(pair),
                                       tl_sql_size(l),
                                       tl_sql_size(a->text_row),
                                       tl_sql_size(a->image_row),
                                       tl_sql_real(a->matched[l]),
                                       tl_sql_real(a->other[l]),
                                       tl_sql_real(a->centred_matched[l]),
                                       tl_sql_real(a->centred_other[l])};
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    }
    tl_sql_release(&statement);
    return tl_sql_end(&db->sql, status, err);
}

tl_status tl_study_db_get_alignments(const tl_study_db *db, tl_arena *arena,
                                     const tl_study_alignment **alignments,
                                     size_t *n_pairs, size_t *n_layers, tl_error *err)
{
    tl_study_alignment *rows = NULL;
    double *values = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, pairs = 0, n = 0;
    bool row = false;
    tl_status status =
        tl_study_count(db, "select count(*) from alignment", NULL, 0, &count, err);
    if (status == TL_OK)
        status = tl_study_count(db, "select count(distinct pair) from alignment", NULL,
                                0, &pairs, err);
    if (status == TL_OK && pairs > 0 && count % pairs != 0)
        status = tl_fail(err, TL_ERR_FORMAT, "%s: %zu alignments of %zu pairs",
                         db->sql.path, count, pairs);
    const size_t layers = pairs > 0 ? count / pairs : 0;
    if (status == TL_OK)
        status = tl_study_take(db, arena, pairs, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, 4 * count, sizeof *values, &values, err);
    if (status == TL_OK)
        status = tl_study_select(
            db,
            "select matched, other, centred_matched, centred_other, text_row, image_row"
            " from alignment order by pair, layer",
            NULL, 0, &statement, err);
    while (status == TL_OK && n < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        for (size_t k = 0; k < 4; k++)
            values[k * count + n] = tl_sql_get_real(&statement, (int)k);
        if (n % layers == 0) {
            const double *first = values + n;
            rows[n / layers] =
                (tl_study_alignment){.text_row = tl_sql_get_size(&statement, 4),
                                     .image_row = tl_sql_get_size(&statement, 5),
                                     .matched = first,
                                     .other = first + count,
                                     .centred_matched = first + 2 * count,
                                     .centred_other = first + 3 * count};
        }
        n++;
    }
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *alignments = rows;
        *n_pairs = pairs;
        *n_layers = layers;
    }
    return status;
}
