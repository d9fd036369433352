/* SPDX-License-Identifier: MIT
 *
 * sql.h - SQLite with our errors: every failure names the file and says what
 * SQLite, and below it the operating system, had to say.
 *
 *     tl_sql_statement statement = {0};
 *     status = tl_sql_prepare(sql, "select a from t where b = ?", &statement, err);
 *     if (status == TL_OK)
 *         status = tl_sql_bind(&statement, 1, tl_sql_size(7), err);
 *     bool row = false;
 *     while (status == TL_OK &&
 *            (status = tl_sql_step(&statement, &row, err)) == TL_OK && row)
 *         use(tl_sql_get_size(&statement, 0));
 *     tl_sql_release(&statement);
 *
 * Only for the files of this folder.
 */
#ifndef TWINLENS_STORE_SQL_H
#define TWINLENS_STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/columns.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"

typedef struct tl_sql {
    sqlite3 *handle;
    const char *path; /* for messages */
} tl_sql;

typedef struct tl_sql_statement {
    const tl_sql *sql;
    sqlite3_stmt *handle; /* NULL when there is nothing to release */
} tl_sql_statement;

/* A value on its way into a statement. */
typedef struct tl_sql_value {
    int type; /* SQLITE_INTEGER, SQLITE_FLOAT, SQLITE_TEXT, SQLITE_BLOB, SQLITE_NULL */
    int64_t integer; /* of a blob: its bytes */
    double real;
    const void *text; /* or blob; must live until the statement has been stepped */
} tl_sql_value;

static inline tl_sql_value tl_sql_null(void)
{
    return (tl_sql_value){.type = SQLITE_NULL};
}

static inline tl_sql_value tl_sql_int(int64_t value)
{
    return (tl_sql_value){.type = SQLITE_INTEGER, .integer = value};
}

/* Sizes that we store are counts of things in memory, far below 2^63. */
static inline tl_sql_value tl_sql_size(size_t value)
{
    return tl_sql_int((int64_t)value);
}

/* All eight bytes are kept. NaN becomes NULL, which reads as NaN. */
static inline tl_sql_value tl_sql_real(double value)
{
    return (tl_sql_value){.type = SQLITE_FLOAT, .real = value};
}

static inline tl_sql_value tl_sql_text(const char *text)
{
    return text != NULL ? (tl_sql_value){.type = SQLITE_TEXT, .text = text}
                        : tl_sql_null();
}

static inline tl_sql_value tl_sql_blob(const void *bytes, size_t n_bytes)
{
    return (tl_sql_value){
        .type = SQLITE_BLOB, .integer = (int64_t)n_bytes, .text = bytes};
}

/* Fails with what went wrong last; `code` is what SQLite returned. */
tl_status tl_sql_fail(const tl_sql *sql, int code, tl_error *err);

/* Runs statements that return nothing we look at. */
tl_status tl_sql_run(const tl_sql *sql, const char *text, tl_error *err);

/* The first column of the first row; 0 if there is no row. */
tl_status tl_sql_query_int(const tl_sql *sql, const char *text, int64_t *out,
                           tl_error *err);

/* `statement` must be empty. */
tl_status tl_sql_prepare(const tl_sql *sql, const char *text,
                         tl_sql_statement *statement, tl_error *err);
void tl_sql_release(tl_sql_statement *statement);

/* Parameters count from 1, columns from 0. */
tl_status tl_sql_bind(tl_sql_statement *statement, int parameter, tl_sql_value value,
                      tl_error *err);
tl_status tl_sql_bind_value(tl_sql_statement *statement, int parameter,
                            const tl_value *value, tl_error *err);
tl_status tl_sql_step(tl_sql_statement *statement, bool *row, tl_error *err);

/* Binds all of `values`, runs the statement to its end and makes it ready again. */
tl_status tl_sql_insert(tl_sql_statement *statement, const tl_sql_value *values,
                        size_t count, tl_error *err);

/* Runs the statement to its end and makes it ready again. */
tl_status tl_sql_execute(tl_sql_statement *statement, tl_error *err);

/* Of the row that was stepped to; its bytes live until the next step. */
tl_value tl_sql_column(const tl_sql_statement *statement, int column);

size_t tl_sql_get_size(const tl_sql_statement *statement, int column);
int32_t tl_sql_get_id(const tl_sql_statement *statement, int column);
double tl_sql_get_real(const tl_sql_statement *statement, int column);
/* A copy in `arena`; *out is NULL when the value is. */
tl_status tl_sql_get_text(const tl_sql_statement *statement, int column,
                          tl_arena *arena, const char **out, tl_error *err);

tl_status tl_sql_get_blob(const tl_sql_statement *statement, int column,
                          tl_arena *arena, const void **out, size_t *n_bytes,
                          tl_error *err);

/* One unit of work. `end` commits when `status` is TL_OK and takes everything back
 * when it is not; it returns `status`, or why the commit failed. */
tl_status tl_sql_begin(const tl_sql *sql, tl_error *err);
tl_status tl_sql_end(const tl_sql *sql, tl_status status, tl_error *err);

#endif
