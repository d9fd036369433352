/* SPDX-License-Identifier: MIT
 *
 * columns.h - how the rows of include/twinlens/rows.h lie in memory: for each kind its
 * table, for each field of the struct a column. Whatever moves rows (SQL, CSV, bytes for
 * another process) goes through these tables and knows no kind by name.
 *
 *     const tl_row_table *table = tl_row_table_get(TL_ROW_PAIR);
 *     for (size_t c = 0; c < table->n_columns; c++) {
 *         const tl_value value = tl_column_get(&table->columns[c], &pair);
 *         status = tl_column_set(&table->columns[c], &value, arena, &copy, err);
 *     }
 */
#ifndef TWINLENS_STORE_COLUMNS_H
#define TWINLENS_STORE_COLUMNS_H

#include "twinlens/arena.h"
#include "twinlens/rows.h"
#include "twinlens/status.h"

/* One value on its way. Bytes belong to the row, the statement or the packet. */
typedef enum tl_value_type {
    TL_VALUE_NULL,
    TL_VALUE_INTEGER,
    TL_VALUE_REAL,
    TL_VALUE_TEXT,
    TL_VALUE_BLOB
} tl_value_type;

typedef struct tl_value {
    tl_value_type type;
    int64_t integer;
    double real;
    const void *bytes; /* of a text or a blob; NULL though n_bytes > 0: no memory */
    size_t n_bytes;
} tl_value;

/* What a field of a struct is, and its values outside. */
typedef enum tl_column_type {
    TL_COLUMN_SIZE,    /* size_t: an integer from 0 to TL_COLUMN_MOST */
    TL_COLUMN_ID,      /* int32_t of a token: the same; optional: -1 is NULL */
    TL_COLUMN_INTEGER, /* int64_t */
    TL_COLUMN_BOOL,    /* 0 or 1 */
    TL_COLUMN_REAL,    /* double, all bits; NaN is NULL */
    TL_COLUMN_TEXT,    /* const char *; optional: NULL */
    TL_COLUMN_BLOB,    /* const void *, and its size_t beside it */
    TL_COLUMN_WORD     /* an enum: one of `words` as text */
} tl_column_type;

/* Sizes count things that were in memory once; products of two fit into a size_t. */
#define TL_COLUMN_MOST INT32_MAX

typedef struct tl_column {
    const char *name;
    tl_column_type type;
    size_t offset; /* of the field in its struct */
    bool is_optional;
    size_t beside; /* offset of a blob's size; of the bool that says if an optional size
                    * is there */
    const char *const *words; /* [n_words]: the only ones, for WORD and TEXT */
    size_t n_words;
    bool counts; /* a key: 0, 1, 2, ... (or each word) without a gap */
} tl_column;

enum { TL_ROW_KEYS = 4 }; /* the longest key */

typedef struct tl_row_table {
    const char *name;
    size_t row_bytes;
    const tl_column *columns; /* the first n_keys are the primary key */
    size_t n_columns, n_keys;
} tl_row_table;

const tl_row_table *tl_row_table_get(tl_row_kind kind);

/* The value of a field. A word that is not one of `words` is NULL. */
tl_value tl_column_get(const tl_column *column, const void *row);

/* Puts a value into the field, texts and blobs copied into `arena`. TL_ERR_FORMAT when it
 * is none that the column can have, TL_ERR_NO_MEMORY. */
tl_status tl_column_set(const tl_column *column, const tl_value *value, tl_arena *arena,
                        void *row, tl_error *err);

#endif
