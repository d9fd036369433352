/* SPDX-License-Identifier: MIT
 *
 * made_rows.h - rows of every kind, made up from the tables of columns: all keys that there
 * can be with two of everything that counts, and values that are easily damaged.
 */
#ifndef TESTS_MADE_ROWS_H
#define TESTS_MADE_ROWS_H

#include "store/columns.h"
#include "testing.h"

static inline tl_value of_integer(size_t value)
{
    return (tl_value){.type = TL_VALUE_INTEGER, .integer = (int64_t)value};
}

static inline tl_value of_text(const char *text)
{
    return (tl_value){.type = TL_VALUE_TEXT, .bytes = text, .n_bytes = strlen(text)};
}

/* Something for column c of row i: each type's odd values come up. */
static inline tl_value make_value(const tl_column *c, size_t i, size_t number)
{
    static const char *const texts[] = {"", "one", "\xc3\xa9 \"x\",\n'y'", "NULL"};
    static const double reals[] = {0.1 + 0.2, 5e-324, -1.0 / 3, 1e300, 3.0, NAN};
    static const char blob[] = {0, 'P', 'N', 'G', 0, (char)0x89};
    const bool is_null = c->is_optional && i % 2 == 1;
    switch (c->type) {
    case TL_COLUMN_TEXT:
    case TL_COLUMN_WORD:
        return is_null          ? (tl_value){0}
               : c->n_words > 0 ? of_text(c->words[i % c->n_words])
                                : of_text(texts[(i + number) % 4]);
    case TL_COLUMN_REAL:
        return isnan(reals[(i + number) % 6])
                   ? (tl_value){0}
                   : (tl_value){.type = TL_VALUE_REAL, .real = reals[(i + number) % 6]};
    case TL_COLUMN_BLOB:
        return (tl_value){.type = TL_VALUE_BLOB, .bytes = blob, .n_bytes = i % 7};
    case TL_COLUMN_INTEGER:
        return (tl_value){.type = TL_VALUE_INTEGER, .integer = -(INT64_C(1) << 40)};
    case TL_COLUMN_BOOL: return of_integer((i + number) % 2);
    case TL_COLUMN_SIZE:
    case TL_COLUMN_ID: break;
    }
    return is_null  ? (tl_value){0}
           : i == 0 ? of_integer(TL_COLUMN_MOST)
                    : of_integer(1000 * number + i);
}

/* Key k of row i: all combinations of all words and of two of everything else. */
static inline tl_value make_key(const tl_row_table *table, size_t k, size_t i)
{
    const tl_column *c = &table->columns[k];
    size_t extent = 1;
    for (size_t later = k + 1; later < table->n_keys; later++)
        extent *= table->columns[later].n_words > 0 ? table->columns[later].n_words : 2;
    i /= extent;
    return c->n_words > 0              ? of_text(c->words[i % c->n_words])
           : c->type == TL_COLUMN_TEXT ? of_text(i % 2 == 0 ? "a" : "b")
                                       : of_integer(i % 2);
}

/* Rows of one kind: as many as there are such keys. */
static inline tl_rows make_rows(tl_row_kind kind, tl_arena *arena)
{
    const tl_row_table *table = tl_row_table_get(kind);
    tl_error err = {0};
    size_t n = 1;
    for (size_t k = 0; k < table->n_keys; k++)
        n *= table->columns[k].n_words > 0 ? table->columns[k].n_words : 2;
    char *rows = tl_arena_alloc_zero(arena, n, table->row_bytes);
    assert_non_null(rows);
    for (size_t i = 0; i < n * table->n_columns; i++) {
        const size_t row = i / table->n_columns, c = i % table->n_columns;
        const tl_value value = c < table->n_keys
                                   ? make_key(table, c, row)
                                   : make_value(&table->columns[c], row, c);
        if (tl_column_set(&table->columns[c], &value, arena,
                          rows + row * table->row_bytes, &err) != TL_OK)
            fail_msg("%s: %s", table->name, err.text);
    }
    return (tl_rows){kind, rows, n};
}

/* Rows of every kind. */
static inline void make_all_rows(tl_rows units[TL_ROW_KIND_COUNT], tl_arena *arena)
{
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++)
        units[k] = make_rows((tl_row_kind)k, arena);
}

static inline const void *row_at(const tl_rows *rows, size_t i)
{
    return (const char *)rows->rows + i * tl_row_table_get(rows->kind)->row_bytes;
}

/* Bit for bit. */
static inline void expect_same_row(tl_row_kind kind, const void *got, const void *want)
{
    const tl_row_table *table = tl_row_table_get(kind);
    for (size_t c = 0; c < table->n_columns; c++) {
        const tl_value a = tl_column_get(&table->columns[c], got),
                       b = tl_column_get(&table->columns[c], want);
        if (a.type != b.type || a.integer != b.integer || a.n_bytes != b.n_bytes ||
            memcmp(&a.real, &b.real, sizeof a.real) != 0 ||
            (a.n_bytes > 0 && memcmp(a.bytes, b.bytes, a.n_bytes) != 0))
            fail_msg("table %s: column %s does not come back", table->name,
                     table->columns[c].name);
    }
}

#endif
