/* SPDX-License-Identifier: MIT
 *
 * picture_rows.c - what stands at each position, and some image prompts to look at, in
 * and out (store/study_db.h).
 */
#include "store/study_db_private.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- tokens ---------------------------------------------------------------------- */

tl_status tl_study_db_put_tokens(tl_study_db *db, tl_modality modality,
                                 const tl_study_token *tokens, size_t n_pos,
                                 tl_error *err)
{
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = tl_sql_prepare(&db->sql, "insert or replace into token values(?, ?, ?, ?)",
                            &statement, err);
    for (size_t i = 0; i < n_pos && status == TL_OK; i++) {
        const tl_sql_value values[] = {tl_sql_text(tl_study_modality_names[modality]),
                                       tl_sql_size(i), tl_sql_text(tokens[i].text),
                                       tl_sql_size(tokens[i].n_texts)};
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    }
    tl_sql_release(&statement);
    return tl_sql_end(&db->sql, status, err);
}

tl_status tl_study_db_get_tokens(const tl_study_db *db, tl_modality modality,
                                 tl_arena *arena, const tl_study_token **tokens,
                                 size_t *n_pos, tl_error *err)
{
    const char *const name = tl_study_modality_names[modality];
    tl_study_token *rows = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, found = 0;
    bool row = false;
    tl_status status = tl_study_count(
        db, "select count(*) from token where modality = ?", &name, 1, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_select(
            db, "select text, n_texts from token where modality = ? order by pos",
            &name, 1, &statement, err);
    while (status == TL_OK && found < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        status = tl_sql_get_text(&statement, 0, arena, &rows[found].text, err);
        rows[found++].n_texts = tl_sql_get_size(&statement, 1);
    }
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *tokens = rows;
        *n_pos = found;
    }
    return status;
}

/* ---- pictures -------------------------------------------------------------------- */

static tl_status insert_picture_scores(const tl_study_db *db, size_t pair,
                                       const tl_study_picture *p, tl_error *err)
{
    const size_t n_pos = p->n_rows * p->n_columns;
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_prepare(
        &db->sql, "insert or replace into picture_score values(?, ?, ?, ?, ?)",
        &statement, err);
    for (size_t i = 0; i < p->n_layers * n_pos && status == TL_OK; i++) {
        const tl_sql_value values[] = {tl_sql_size(pair), tl_sql_size(i / n_pos),
                                       tl_sql_size(i % n_pos), tl_sql_real(p->heads[i]),
                                       tl_sql_real(p->neurons[i])};
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    }
    tl_sql_release(&statement);
    return status;
}

tl_status tl_study_db_put_picture(tl_study_db *db, size_t pair,
                                  const tl_study_picture *p, tl_error *err)
{
    const tl_sql_value values[] = {
        tl_sql_size(pair),      tl_sql_size(p->row),
        tl_sql_text(p->id),     tl_sql_text(p->query),
        tl_sql_text(p->answer), tl_sql_text(p->counterfactual),
        tl_sql_size(p->n_rows), tl_sql_size(p->n_columns),
        tl_sql_text(p->type),   tl_sql_blob(p->bytes, p->n_bytes)};
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    status = tl_sql_prepare(
        &db->sql, "insert or replace into picture values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &statement, err);
    if (status == TL_OK)
        status = tl_sql_insert(&statement, values, COUNT(values), err);
    tl_sql_release(&statement);
    if (status == TL_OK)
        status = insert_picture_scores(db, pair, p, err);
    return tl_sql_end(&db->sql, status, err);
}

/* The scores of the picture of that pair, which has its size already. */
static tl_status read_picture_scores(const tl_study_db *db, const char *pair,
                                     tl_arena *arena, tl_study_picture *p,
                                     tl_error *err)
{
    const size_t n_pos = p->n_rows * p->n_columns;
    tl_sql_statement statement = {0};
    size_t count = 0, found = 0;
    bool row = false;
    double *scores = NULL;
    tl_status status = tl_study_count(
        db, "select count(*) from picture_score where pair = cast(? as integer)", &pair,
        1, &count, err);
    if (status == TL_OK && (n_pos == 0 || count % n_pos != 0))
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: picture %s has %zu scores, wanted a multiple of %zu",
                       db->sql.path, pair, count, n_pos);
    if (status == TL_OK)
        status = tl_study_take(db, arena, 2 * count, sizeof *scores, &scores, err);
    if (status == TL_OK)
        status = tl_study_select(db,
                                 "select heads, neurons from picture_score where "
                                 "pair = cast(? as integer) order by layer, pos",
                                 &pair, 1, &statement, err);
    while (status == TL_OK && found < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        scores[found] = tl_sql_get_real(&statement, 0);
        scores[count + found++] = tl_sql_get_real(&statement, 1);
    }
    tl_sql_release(&statement);
    if (status == TL_OK) {
        p->n_layers = count / n_pos;
        p->heads = scores;
        p->neurons = scores + count;
    }
    return status;
}

static tl_status read_picture(const tl_study_db *db, const tl_sql_statement *row,
                              tl_arena *arena, tl_study_picture *p, tl_error *err)
{
    const struct {
        int column;
        const char **value;
    } texts[] = {
        {2, &p->id},   {3, &p->query}, {4, &p->answer}, {5, &p->counterfactual},
        {8, &p->type},
    };
    const char *pair = NULL;
    tl_status status = TL_OK;
    p->row = tl_sql_get_size(row, 1);
    p->n_rows = tl_sql_get_size(row, 6);
    p->n_columns = tl_sql_get_size(row, 7);
    for (size_t i = 0; i < COUNT(texts) && status == TL_OK; i++)
        status = tl_sql_get_text(row, texts[i].column, arena, texts[i].value, err);
    if (status == TL_OK)
        status = tl_sql_get_blob(row, 9, arena, &p->bytes, &p->n_bytes, err);
    if (status == TL_OK)
        status = tl_sql_get_text(row, 0, arena, &pair, err);
    return status == TL_OK ? read_picture_scores(db, pair, arena, p, err) : status;
}

tl_status tl_study_db_get_pictures(const tl_study_db *db, tl_arena *arena,
                                   const tl_study_picture **pictures, size_t *n,
                                   tl_error *err)
{
    tl_study_picture *rows = NULL;
    tl_sql_statement statement = {0};
    size_t count = 0, found = 0;
    bool row = false;
    tl_status status =
        tl_study_count(db, "select count(*) from picture", NULL, 0, &count, err);
    if (status == TL_OK)
        status = tl_study_take(db, arena, count, sizeof *rows, &rows, err);
    if (status == TL_OK)
        status = tl_study_select(db, "select * from picture order by pair", NULL, 0,
                                 &statement, err);
    while (status == TL_OK && found < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row)
        status = read_picture(db, &statement, arena, &rows[found++], err);
    tl_sql_release(&statement);
    if (status == TL_OK) {
        *pictures = rows;
        *n = found;
    }
    return status;
}
