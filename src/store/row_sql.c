/* SPDX-License-Identifier: MIT
 *
 * row_sql.c - rows of every kind into the database and out of it (store/study_db.h). All
 * statements are made from the tables of columns.h. What is read is not trusted: each
 * value must be one that its column can have, no key may be there twice, and where keys
 * count, none may be missing.
 */
#include "store/row_sql.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { STATEMENT = 1024 };

/* Appends to a statement. The longest, of the prompts, has 600 characters. */
static void TL_PRINTF(2, 3) say(char text[STATEMENT], const char *format, ...)
{
    const size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, STATEMENT - used, format, arguments);
    va_end(arguments);
}

/* "a, b, c" of the first n columns. */
static void say_names(char text[STATEMENT], const tl_row_table *table, size_t n)
{
    for (size_t c = 0; c < n; c++)
        say(text, "%s%s", c > 0 ? ", " : "", table->columns[c].name);
}

/* ---- create ---------------------------------------------------------------------- */

static const char *sql_type(const tl_column *c)
{
    switch (c->type) {
    case TL_COLUMN_TEXT:
    case TL_COLUMN_WORD: return "text";
    case TL_COLUMN_REAL: return "real";
    case TL_COLUMN_BLOB: return "blob";
    case TL_COLUMN_SIZE:
    case TL_COLUMN_ID:
    case TL_COLUMN_INTEGER:
    case TL_COLUMN_BOOL: break;
    }
    return "integer";
}

/* A single integer key is SQLite's own row number. Tables of other keys lie in the order
 * of the key. */
tl_status tl_row_sql_create(const tl_sql *sql, const tl_row_table *table, tl_error *err)
{
    const bool is_rowid =
        table->n_keys == 1 && table->columns[0].type == TL_COLUMN_SIZE;
    char text[STATEMENT] = "";
    say(text, "create table %s(", table->name);
    for (size_t i = 0; i < table->n_columns; i++) {
        const tl_column *c = &table->columns[i];
        say(text, "%s %s %s%s%s", i > 0 ? "," : "", c->name, sql_type(c),
            i == 0 && table->n_keys == 1 ? " primary key" : "",
            c->is_optional || c->type == TL_COLUMN_REAL ? "" : " not null");
    }
    if (table->n_keys > 1) {
        say(text, ", primary key(");
        say_names(text, table, table->n_keys);
        say(text, ")");
    }
    say(text, ") strict%s", is_rowid ? "" : ", without rowid");
    return tl_sql_run(sql, text, err);
}

/* ---- put ------------------------------------------------------------------------- */

static tl_status insert(const tl_sql *sql, const tl_rows *rows, tl_error *err)
{
    const tl_row_table *table = tl_row_table_get(rows->kind);
    char text[STATEMENT] = "";
    say(text, "insert or replace into %s(", table->name);
    say_names(text, table, table->n_columns);
    say(text, ") values(");
    for (size_t c = 0; c < table->n_columns; c++)
        say(text, "%s?", c > 0 ? ", " : "");
    say(text, ")");
    tl_sql_statement statement = {0};
    tl_status status = tl_sql_prepare(sql, text, &statement, err);
    for (size_t i = 0; i < rows->n && status == TL_OK; i++) {
        const char *row = (const char *)rows->rows + i * table->row_bytes;
        for (size_t c = 0; c < table->n_columns && status == TL_OK; c++) {
            const tl_value value = tl_column_get(&table->columns[c], row);
            status = tl_sql_bind(&statement, (int)c + 1, &value, err);
        }
        if (status == TL_OK)
            status = tl_sql_execute(&statement, err);
    }
    tl_sql_release(&statement);
    return status;
}

tl_status tl_row_sql_put(const tl_sql *sql, const tl_rows *units, size_t n,
                         tl_error *err)
{
    tl_status status = tl_sql_begin(sql, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = insert(sql, &units[i], err);
    return tl_sql_end(sql, status, err);
}

/* ---- get ------------------------------------------------------------------------- */

/* "select WHAT from TABLE where KEY = ? ...", its parameters bound. */
static tl_status select_rows(const tl_sql *sql, const tl_row_table *table,
                             const void *like, size_t n_like, bool count_only,
                             tl_sql_statement *statement, tl_error *err)
{
    char text[STATEMENT] = "select ";
    if (count_only)
        say(text, "count(*)");
    else
        say_names(text, table, table->n_columns);
    say(text, " from %s", table->name);
    for (size_t c = 0; c < n_like; c++)
        say(text, " %s %s = ?", c > 0 ? "and" : "where", table->columns[c].name);
    if (!count_only) {
        say(text, " order by ");
        say_names(text, table, table->n_keys);
    }
    tl_status status = tl_sql_prepare(sql, text, statement, err);
    for (size_t c = 0; c < n_like && status == TL_OK; c++) {
        const tl_value value = tl_column_get(&table->columns[c], like);
        status = tl_sql_bind(statement, (int)c + 1, &value, err);
    }
    return status;
}

static tl_status count_rows(const tl_sql *sql, const tl_row_table *table,
                            const void *like, size_t n_like, size_t *out, tl_error *err)
{
    tl_sql_statement statement = {0};
    bool row = false;
    tl_status status = select_rows(sql, table, like, n_like, true, &statement, err);
    if (status == TL_OK)
        status = tl_sql_step(&statement, &row, err);
    if (status == TL_OK)
        *out = (size_t)tl_sql_column(&statement, 0).integer;
    tl_sql_release(&statement);
    return status;
}

static bool same_key(const tl_row_table *table, const char *a, const char *b)
{
    for (size_t c = 0; c < table->n_keys; c++) {
        const tl_value x = tl_column_get(&table->columns[c], a),
                       y = tl_column_get(&table->columns[c], b);
        if (x.integer != y.integer || x.n_bytes != y.n_bytes ||
            (x.n_bytes > 0 && memcmp(x.bytes, y.bytes, x.n_bytes) != 0))
            return false;
    }
    return true;
}

static tl_status read_row(const tl_sql_statement *statement, const tl_row_table *table,
                          tl_arena *arena, char *row, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t c = 0; c < table->n_columns && status == TL_OK; c++) {
        const tl_value value = tl_sql_column(statement, (int)c);
        status = tl_column_set(&table->columns[c], &value, arena, row, err);
    }
    return status;
}

tl_status tl_row_sql_read(const tl_sql *sql, tl_row_kind kind, const void *like,
                          size_t n_like, tl_arena *arena, tl_rows *out, tl_error *err)
{
    const tl_row_table *table = tl_row_table_get(kind);
    tl_sql_statement statement = {0};
    char *rows = NULL;
    size_t count = 0, n = 0;
    bool row = false;
    tl_status status = count_rows(sql, table, like, n_like, &count, err);
    if (status == TL_OK &&
        (rows = tl_arena_alloc_zero(arena, count, table->row_bytes)) == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for %zu rows of %s",
                         sql->path, count, table->name);
    if (status == TL_OK)
        status = select_rows(sql, table, like, n_like, false, &statement, err);
    while (status == TL_OK && n < count &&
           (status = tl_sql_step(&statement, &row, err)) == TL_OK && row) {
        char *at = rows + n * table->row_bytes;
        status = read_row(&statement, table, arena, at, err);
        if (status == TL_OK && n > 0 && same_key(table, at - table->row_bytes, at))
            status = tl_fail(err, TL_ERR_FORMAT, "its key is there twice");
        status = tl_fail_while(err, status, "%s: table %s, row %zu", sql->path,
                               table->name, ++n);
    }
    tl_sql_release(&statement);
    if (status == TL_OK)
        *out = (tl_rows){kind, rows, n};
    return status;
}

/* ---- keys that count ------------------------------------------------------------- */

/* A key as a number: what it counts, or the place of its word. */
static size_t key_of(const tl_column *c, const void *row)
{
    const void *at = (const char *)row + c->offset;
    return c->type == TL_COLUMN_WORD ? *(const unsigned *)at : *(const size_t *)at;
}

/* Moves on to the next combination of keys [first, n), the last key fastest; false when
 * there is none. */
static bool advance(size_t *at, const size_t *extent, size_t first, size_t n)
{
    for (size_t k = n; k-- > first;) {
        if (++at[k] < extent[k])
            return true;
        at[k] = 0;
    }
    return false;
}

/* "table curve: no row for modality 'text', kind 'circuit', point 3": the first n_like keys
 * are those of `like`, the others those of `at`. */
static tl_status miss(const tl_sql *sql, const tl_row_table *table, const void *like,
                      size_t n_like, const size_t *at, tl_error *err)
{
    char keys[STATEMENT] = "";
    for (size_t k = 0; k < table->n_keys; k++) {
        const tl_column *c = &table->columns[k];
        const tl_value v =
            k < n_like ? tl_column_get(c, like) : (tl_value){.integer = (int64_t)at[k]};
        const char *word = k < n_like                  ? v.bytes
                           : c->type == TL_COLUMN_WORD ? c->words[at[k]]
                                                       : NULL;
        say(keys, "%s%s ", k > 0 ? ", " : "", c->name);
        if (word != NULL)
            say(keys, "'%s'", word);
        else
            say(keys, "%" PRId64, v.integer);
    }
    return tl_fail(err, TL_ERR_FORMAT, "%s: table %s: no row for %s", sql->path,
                   table->name, keys);
}

/* Where all keys behind the first n_like count, the rows must be all combinations of them,
 * as far as each of them goes. */
static tl_status check_counts(const tl_sql *sql, const tl_rows *rows, const void *like,
                              size_t n_like, tl_error *err)
{
    const tl_row_table *table = tl_row_table_get(rows->kind);
    const char *first = rows->rows;
    size_t at[TL_ROW_KEYS] = {0}, extent[TL_ROW_KEYS] = {0};
    for (size_t k = n_like; k < table->n_keys; k++) {
        const tl_column *c = &table->columns[k];
        if (!c->counts)
            return TL_OK;
        extent[k] = c->n_words;
        for (size_t i = 0; i < rows->n; i++) {
            const size_t end = key_of(c, first + i * table->row_bytes) + 1;
            extent[k] = end > extent[k] ? end : extent[k];
        }
    }
    bool more = rows->n > 0;
    for (size_t i = 0; i < rows->n; i++) {
        const char *row = first + i * table->row_bytes;
        for (size_t k = n_like; k < table->n_keys; k++)
            if (key_of(&table->columns[k], row) != at[k])
                return miss(sql, table, like, n_like, at, err);
        more = advance(at, extent, n_like, table->n_keys);
    }
    return more ? miss(sql, table, like, n_like, at, err) : TL_OK;
}

tl_status tl_row_sql_get(const tl_sql *sql, tl_row_kind kind, const void *like,
                         size_t n_like, tl_arena *arena, tl_rows *out, tl_error *err)
{
    tl_rows rows = {0};
    tl_status status = tl_row_sql_read(sql, kind, like, n_like, arena, &rows, err);
    if (status == TL_OK)
        status = check_counts(sql, &rows, like, n_like, err);
    if (status == TL_OK)
        *out = rows;
    return status;
}

tl_status tl_row_sql_find(const tl_sql *sql, tl_row_kind kind, void *row,
                          tl_arena *arena, bool *found, tl_error *err)
{
    const tl_row_table *table = tl_row_table_get(kind);
    tl_rows rows = {0};
    const tl_status status =
        tl_row_sql_read(sql, kind, row, table->n_keys, arena, &rows, err);
    if (status != TL_OK)
        return status;
    if (rows.n > 0)
        memcpy(row, rows.rows, table->row_bytes);
    if (found != NULL)
        *found = rows.n > 0;
    else if (rows.n == 0)
        return miss(sql, table, row, table->n_keys, NULL, err);
    return TL_OK;
}
