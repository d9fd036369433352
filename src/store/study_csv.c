/* SPDX-License-Identifier: MIT
 * study_csv.c - the tables of a study as text (store/study_db.h). */
#include "store/study_db_private.h"

#include <inttypes.h>
#include <string.h>

#include "base/csv_write.h"

const char *const tl_study_tables[] = {
    "manifest",    "prompt",        "pair",    "token",        "scores",
    "picture",     "picture_score", "effect",  "completeness", "baseline",
    "evaluation",  "curve",         "minimal", "overlap",      "swap",
    "interchange", "alignment",     "cell",    "backpatch",    "iteration",
    NULL};

static void write_hex(sqlite3_stmt *row, int column, FILE *out)
{
    const unsigned char *bytes = sqlite3_column_blob(row, column);
    const int n = sqlite3_column_bytes(row, column);
    for (int i = 0; i < n; i++)
        fprintf(out, "%02x", bytes[i]);
}

static void write_value(sqlite3_stmt *row, int column, FILE *out)
{
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
        fprintf(out, "%" PRId64, (int64_t)sqlite3_column_int64(row, column));
        break;
    case SQLITE_FLOAT: fprintf(out, "%.17g", sqlite3_column_double(row, column)); break;
    case SQLITE_TEXT:
        tl_csv_write_text(out, (const char *)sqlite3_column_text(row, column));
        break;
    case SQLITE_BLOB: write_hex(row, column, out); break;
    default: /* NULL */ break;
    }
}

tl_status tl_study_db_write_csv(const tl_study_db *db, const char *table, FILE *out,
                                tl_error *err)
{
    char text[160];
    bool known = false, row = false;
    for (size_t i = 0; tl_study_tables[i] != NULL; i++)
        known = known || strcmp(tl_study_tables[i], table) == 0;
    if (!known)
        return tl_fail(err, TL_ERR_ARGUMENT, "a study has no table '%s'", table);
    /* Tables without rowid lie in the order of their key; the others by it. */
    snprintf(text, sizeof text, "select * from \"%s\" order by 1, 2, 3, 4", table);
    if (strcmp(table, "minimal") == 0 || strcmp(table, "manifest") == 0)
        snprintf(text, sizeof text, "select * from \"%s\" order by 1", table);
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_prepare(&db->sql, text, &statement, err);
    const int n = status == TL_OK ? sqlite3_column_count(statement.handle) : 0;
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%s", sqlite3_column_name(statement.handle, i),
                i + 1 < n ? "," : "\r\n");
    while (status == TL_OK && (status = tl_sql_step(&statement, &row, err)) == TL_OK &&
           row)
        for (int i = 0; i < n; i++) {
            write_value(statement.handle, i, out);
            fputs(i + 1 < n ? "," : "\r\n", out);
        }
    tl_sql_release(&statement);
    return status;
}
