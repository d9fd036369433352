/* SPDX-License-Identifier: MIT
 * row_sql.h - what row_sql.c gives to the other files of this folder. */
#ifndef TWINLENS_STORE_ROW_SQL_H
#define TWINLENS_STORE_ROW_SQL_H

#include "store/columns.h"
#include "store/sql.h"

tl_status tl_row_sql_create(const tl_sql *sql, const tl_row_table *table,
                            tl_error *err);

/* What the functions of study_db.h with these names do. */
tl_status tl_row_sql_put(const tl_sql *sql, const tl_rows *units, size_t n,
                         tl_error *err);
tl_status tl_row_sql_get(const tl_sql *sql, tl_row_kind kind, const void *like,
                         size_t n_like, tl_arena *arena, tl_rows *out, tl_error *err);
tl_status tl_row_sql_find(const tl_sql *sql, tl_row_kind kind, void *row,
                          tl_arena *arena, bool *found, tl_error *err);

/* As tl_row_sql_get, but rows may be missing. */
tl_status tl_row_sql_read(const tl_sql *sql, tl_row_kind kind, const void *like,
                          size_t n_like, tl_arena *arena, tl_rows *out, tl_error *err);

#endif
