/* SPDX-License-Identifier: MIT
 * study_csv.c - the tables of a study as text (store/study_db.h). */
#include <inttypes.h>
#include <string.h>

#include "base/csv_write.h"
#include "store/row_sql.h"
#include "store/study_db_private.h"

static void write_value(const tl_value *v, FILE *out)
{
    switch (v->type) {
    case TL_VALUE_INTEGER: fprintf(out, "%" PRId64, v->integer); break;
    case TL_VALUE_REAL: fprintf(out, "%.17g", v->real); break;
    case TL_VALUE_TEXT: tl_csv_write_text(out, v->bytes); break;
    case TL_VALUE_BLOB:
        for (size_t i = 0; i < v->n_bytes; i++)
            fprintf(out, "%02x", ((const unsigned char *)v->bytes)[i]);
        break;
    case TL_VALUE_NULL: break;
    }
}

const char *tl_study_db_table(tl_row_kind kind)
{
    return tl_row_table_get(kind)->name;
}

tl_status tl_study_db_write_csv(const tl_study_db *db, tl_row_kind kind, FILE *out,
                                tl_error *err)
{
    const tl_row_table *table = tl_row_table_get(kind);
    tl_rows rows = {0};
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", db->sql.path);
    const tl_status status =
        tl_study_db_has_table(db, kind)
            ? tl_row_sql_read(&db->sql, kind, NULL, 0, arena, &rows, err)
            : TL_OK;
    for (size_t c = 0; c < table->n_columns && status == TL_OK; c++)
        fprintf(out, "%s%s", table->columns[c].name,
                c + 1 < table->n_columns ? "," : "\r\n");
    for (size_t i = 0; i < rows.n; i++)
        for (size_t c = 0; c < table->n_columns; c++) {
            const tl_value value = tl_column_get(
                &table->columns[c], (const char *)rows.rows + i * table->row_bytes);
            write_value(&value, out);
            fputs(c + 1 < table->n_columns ? "," : "\r\n", out);
        }
    tl_arena_destroy(arena);
    return status;
}
