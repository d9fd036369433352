/* SPDX-License-Identifier: MIT
 *
 * row_bytes.c - see row_bytes.h. Numbers have eight bytes, the lowest first:
 *
 *     magic, number of units, { kind, number of rows, { value of each column } }
 *
 * A value is its type, then nothing (NULL), a number (the bits of a real one), or a
 * length and as many bytes.
 */
#include "store/row_bytes.h"

#include <string.h>

#include "store/columns.h"

static const uint64_t magic = 0x31736c7477776f72; /* "rowwtls1" */

/* ---- out ------------------------------------------------------------------------- */

/* Where the bytes go; `at` is NULL while they are only counted. */
typedef struct writer {
    unsigned char *at;
    size_t n;
} writer;

static void write_number(writer *w, uint64_t number)
{
    for (size_t i = 0; i < 8 && w->at != NULL; i++)
        w->at[w->n + i] = (unsigned char)(number >> 8 * i);
    w->n += 8;
}

static void write_value(writer *w, const tl_value *v)
{
    uint64_t bits = 0;
    write_number(w, v->type);
    switch (v->type) {
    case TL_VALUE_NULL: break;
    case TL_VALUE_INTEGER: write_number(w, (uint64_t)v->integer); break;
    case TL_VALUE_REAL:
        memcpy(&bits, &v->real, sizeof bits);
        write_number(w, bits);
        break;
    case TL_VALUE_TEXT:
    case TL_VALUE_BLOB:
        write_number(w, v->n_bytes);
        if (w->at != NULL && v->n_bytes > 0)
            memcpy(w->at + w->n, v->bytes, v->n_bytes);
        w->n += v->n_bytes;
        break;
    }
}

static void write_units(writer *w, const tl_rows *units, size_t n_units)
{
    write_number(w, magic);
    write_number(w, n_units);
    for (size_t u = 0; u < n_units; u++) {
        const tl_row_table *table = tl_row_table_get(units[u].kind);
        write_number(w, units[u].kind);
        write_number(w, units[u].n);
        for (size_t i = 0; i < units[u].n * table->n_columns; i++) {
            const char *row =
                (const char *)units[u].rows + i / table->n_columns * table->row_bytes;
            const tl_value value =
                tl_column_get(&table->columns[i % table->n_columns], row);
            write_value(w, &value);
        }
    }
}

tl_status tl_rows_pack(const tl_rows *units, size_t n_units, tl_arena *arena,
                       const void **bytes, size_t *n_bytes, tl_error *err)
{
    writer count = {0};
    write_units(&count, units, n_units);
    writer w = {.at = tl_arena_alloc(arena, count.n, 1)};
    if (w.at == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu bytes of rows",
                       count.n);
    write_units(&w, units, n_units);
    *bytes = w.at;
    *n_bytes = w.n;
    return TL_OK;
}

/* ---- in -------------------------------------------------------------------------- */

typedef struct reader {
    const unsigned char *at;
    size_t left;
} reader;

static tl_status read_number(reader *r, uint64_t *out, tl_error *err)
{
    uint64_t number = 0;
    if (r->left < 8)
        return tl_fail(err, TL_ERR_FORMAT, "packed rows end too early");
    for (size_t i = 0; i < 8; i++)
        number |= (uint64_t)r->at[i] << 8 * i;
    r->at += 8;
    r->left -= 8;
    *out = number;
    return TL_OK;
}

static tl_status read_value(reader *r, tl_value *out, tl_error *err)
{
    uint64_t type = 0, number = 0;
    tl_status status = read_number(r, &type, err);
    if (status == TL_OK && type > TL_VALUE_BLOB)
        return tl_fail(err, TL_ERR_FORMAT, "packed rows: no value has the type %llu",
                       (unsigned long long)type);
    if (status == TL_OK && type != TL_VALUE_NULL)
        status = read_number(r, &number, err);
    if (status != TL_OK)
        return status;
    *out = (tl_value){.type = (tl_value_type)type};
    if (type == TL_VALUE_INTEGER) {
        memcpy(&out->integer, &number, sizeof number);
    } else if (type == TL_VALUE_REAL) {
        memcpy(&out->real, &number, sizeof number);
    } else if (type != TL_VALUE_NULL) {
        if (number > r->left)
            return tl_fail(err, TL_ERR_FORMAT, "packed rows end too early");
        out->bytes = r->at;
        out->n_bytes = (size_t)number;
        r->at += number;
        r->left -= (size_t)number;
    }
    return TL_OK;
}

static tl_status read_unit(reader *r, tl_arena *arena, tl_rows *out, tl_error *err)
{
    uint64_t kind = 0, n = 0;
    tl_status status = read_number(r, &kind, err);
    if (status == TL_OK)
        status = read_number(r, &n, err);
    if (status != TL_OK)
        return status;
    if (kind >= TL_ROW_KIND_COUNT)
        return tl_fail(err, TL_ERR_FORMAT, "packed rows: there is no kind %llu",
                       (unsigned long long)kind);
    const tl_row_table *table = tl_row_table_get((tl_row_kind)kind);
    if (n > r->left / (8 * table->n_columns)) /* each value has eight bytes at least */
        return tl_fail(err, TL_ERR_FORMAT, "packed rows end too early");
    char *rows = tl_arena_alloc_zero(arena, (size_t)n, table->row_bytes);
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %llu rows of %s",
                       (unsigned long long)n, table->name);
    for (size_t i = 0; i < n * table->n_columns && status == TL_OK; i++) {
        tl_value value = {0};
        status = read_value(r, &value, err);
        if (status == TL_OK)
            status = tl_column_set(&table->columns[i % table->n_columns], &value, arena,
                                   rows + i / table->n_columns * table->row_bytes, err);
        status = tl_fail_while(err, status, "table %s, row %zu", table->name,
                               i / table->n_columns + 1);
    }
    *out = (tl_rows){(tl_row_kind)kind, rows, (size_t)n};
    return status;
}

tl_status tl_rows_unpack(const void *bytes, size_t n_bytes, tl_arena *arena,
                         const tl_rows **units, size_t *n_units, tl_error *err)
{
    reader r = {bytes, n_bytes};
    uint64_t found = 0, n = 0;
    tl_status status = read_number(&r, &found, err);
    if (status == TL_OK && found != magic)
        status = tl_fail(err, TL_ERR_FORMAT, "these bytes are no packed rows");
    if (status == TL_OK)
        status = read_number(&r, &n, err);
    if (status == TL_OK && n > r.left / 16) /* a unit has a kind and a number */
        status = tl_fail(err, TL_ERR_FORMAT, "packed rows end too early");
    if (status != TL_OK)
        return status;
    tl_rows *all = tl_arena_alloc(arena, (size_t)n, sizeof *all);
    if (all == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %llu units of rows",
                       (unsigned long long)n);
    for (size_t u = 0; u < n && status == TL_OK; u++)
        status = read_unit(&r, arena, &all[u], err);
    if (status == TL_OK && r.left > 0)
        status =
            tl_fail(err, TL_ERR_FORMAT, "%zu bytes behind the packed rows", r.left);
    if (status == TL_OK) {
        *units = all;
        *n_units = (size_t)n;
    }
    return status;
}
