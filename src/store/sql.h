/* SPDX-License-Identifier: MIT
 *
 * sql.h - SQLite with our errors: every failure names the file and says what
 * SQLite, and below it the operating system, had to say.
 *
 *     tl_sql_statement statement = {0};
 *     status = tl_sql_prepare(sql, "select a from t where b = ?", &statement, err);
 *     if (status == TL_OK)
 *         status = tl_sql_bind(&statement, 1, &value, err);
 *     bool row = false;
 *     while (status == TL_OK &&
 *            (status = tl_sql_step(&statement, &row, err)) == TL_OK && row)
 *         use(tl_sql_column(&statement, 0).integer);
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

/* Parameters count from 1, columns from 0. Bytes must live until the statement has been
 * executed; NaN becomes NULL. */
tl_status tl_sql_bind(tl_sql_statement *statement, int parameter, const tl_value *value,
                      tl_error *err);
tl_status tl_sql_step(tl_sql_statement *statement, bool *row, tl_error *err);

/* Runs the statement to its end and makes it ready again. */
tl_status tl_sql_execute(tl_sql_statement *statement, tl_error *err);

/* Of the row that was stepped to; its bytes live until the next step. */
tl_value tl_sql_column(const tl_sql_statement *statement, int column);

/* One unit of work. `end` commits when `status` is TL_OK and takes everything back
 * when it is not; it returns `status`, or why the commit failed. */
tl_status tl_sql_begin(const tl_sql *sql, tl_error *err);
tl_status tl_sql_end(const tl_sql *sql, tl_status status, tl_error *err);

#endif
