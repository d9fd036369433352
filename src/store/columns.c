/* SPDX-License-Identifier: MIT
 * columns.c - see columns.h. */
#include "store/columns.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(tl_modality) == sizeof(unsigned), "words are read as unsigned");

/* ---- out of a struct ------------------------------------------------------------- */

static const void *field(const void *row, size_t offset)
{
    return (const char *)row + offset;
}

static tl_value of_integer(int64_t value)
{
    return (tl_value){.type = TL_VALUE_INTEGER, .integer = value};
}

static tl_value of_text(const char *text)
{
    return text == NULL ? (tl_value){.type = TL_VALUE_NULL}
                        : (tl_value){.type = TL_VALUE_TEXT,
                                     .bytes = text,
                                     .n_bytes = strlen(text)};
}

tl_value tl_column_get(const tl_column *c, const void *row)
{
    static const tl_value null = {.type = TL_VALUE_NULL};
    const void *at = field(row, c->offset);
    switch (c->type) {
    case TL_COLUMN_SIZE:
        return c->is_optional && !*(const bool *)field(row, c->beside)
                   ? null
                   : of_integer((int64_t) * (const size_t *)at);
    case TL_COLUMN_ID:
        return c->is_optional && *(const int32_t *)at < 0
                   ? null
                   : of_integer(*(const int32_t *)at);
    case TL_COLUMN_INTEGER: return of_integer(*(const int64_t *)at);
    case TL_COLUMN_BOOL: return of_integer(*(const bool *)at);
    case TL_COLUMN_REAL:
        return isnan(*(const double *)at)
                   ? null
                   : (tl_value){.type = TL_VALUE_REAL, .real = *(const double *)at};
    case TL_COLUMN_TEXT: return of_text(*(const char *const *)at);
    case TL_COLUMN_BLOB:
        return (tl_value){.type = TL_VALUE_BLOB,
                          .bytes = *(const void *const *)at,
                          .n_bytes = *(const size_t *)field(row, c->beside)};
    case TL_COLUMN_WORD: {
        const size_t word = *(const unsigned *)at;
        return word < c->n_words ? of_text(c->words[word]) : null;
    }
    }
    return null;
}

/* ---- into a struct --------------------------------------------------------------- */

enum { SHOWN = 40 };

/* Says what the value is, and what it should have been. */
static tl_status refuse(const tl_column *c, const tl_value *v, tl_error *err)
{
    char is[64] = "NULL", wanted[160] = "";
    if (v->type == TL_VALUE_INTEGER)
        snprintf(is, sizeof is, "%" PRId64, v->integer);
    else if (v->type == TL_VALUE_REAL)
        snprintf(is, sizeof is, "%.9g", v->real);
    else if (v->type == TL_VALUE_TEXT)
        snprintf(is, sizeof is, "'%.*s'%s",
                 (int)(v->n_bytes < SHOWN ? v->n_bytes : SHOWN), (const char *)v->bytes,
                 v->n_bytes > SHOWN ? "..." : "");
    else if (v->type == TL_VALUE_BLOB)
        snprintf(is, sizeof is, "%zu bytes", v->n_bytes);
    for (size_t i = 0; i < c->n_words; i++) {
        const size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s%s",
                 i == 0               ? ""
                 : i + 1 < c->n_words ? ", "
                                      : " or ",
                 c->words[i]);
    }
    if (c->type == TL_COLUMN_SIZE || c->type == TL_COLUMN_ID)
        snprintf(wanted, sizeof wanted, "an integer from 0 to %d", TL_COLUMN_MOST);
    else if (c->type == TL_COLUMN_BOOL)
        snprintf(wanted, sizeof wanted, "0 or 1");
    else if (c->n_words == 0)
        snprintf(wanted, sizeof wanted, "%s",
                 c->type == TL_COLUMN_INTEGER ? "an integer"
                 : c->type == TL_COLUMN_REAL  ? "a real number"
                 : c->type == TL_COLUMN_TEXT  ? "a text"
                                              : "a blob");
    return tl_fail(err, TL_ERR_FORMAT, "%s is %s, wanted %s%s", c->name, is, wanted,
                   c->is_optional || c->type == TL_COLUMN_REAL ? " or NULL" : "");
}

/* The place of a text among the column's words; n_words if it is none of them. */
static size_t find_word(const tl_column *c, const tl_value *v)
{
    size_t i = 0;
    while (i < c->n_words && (strlen(c->words[i]) != v->n_bytes ||
                              memcmp(c->words[i], v->bytes, v->n_bytes) != 0))
        i++;
    return i;
}

/* With a 0 behind it, which a blob does not need. */
static tl_status copy_bytes(const tl_column *c, const tl_value *v, tl_arena *arena,
                            const void **out, tl_error *err)
{
    char *copy = tl_arena_alloc(arena, v->n_bytes + 1, 1);
    if (copy == NULL || (v->bytes == NULL && v->n_bytes > 0))
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for %zu bytes", c->name,
                       v->n_bytes);
    if (v->n_bytes > 0)
        memcpy(copy, v->bytes, v->n_bytes);
    copy[v->n_bytes] = '\0';
    *out = copy;
    return TL_OK;
}

/* Where the field lies, as what it is. */
#define FIELD(type, offset) (*(type *)(void *)((char *)row + (offset)))

static tl_status set_null(const tl_column *c, const tl_value *v, void *row,
                          tl_error *err)
{
    if (c->type == TL_COLUMN_REAL)
        FIELD(double, c->offset) = NAN;
    else if (!c->is_optional)
        return refuse(c, v, err);
    else if (c->type == TL_COLUMN_ID)
        FIELD(int32_t, c->offset) = -1;
    else if (c->type == TL_COLUMN_TEXT)
        FIELD(const char *, c->offset) = NULL;
    else if (c->type == TL_COLUMN_SIZE) {
        FIELD(size_t, c->offset) = 0;
        FIELD(bool, c->beside) = false;
    }
    return TL_OK;
}

static tl_status set_integer(const tl_column *c, const tl_value *v, void *row,
                             tl_error *err)
{
    const int64_t most = c->type == TL_COLUMN_BOOL ? 1 : TL_COLUMN_MOST;
    if (v->type != TL_VALUE_INTEGER ||
        (c->type != TL_COLUMN_INTEGER && (v->integer < 0 || v->integer > most)))
        return refuse(c, v, err);
    if (c->type == TL_COLUMN_BOOL)
        FIELD(bool, c->offset) = v->integer != 0;
    else if (c->type == TL_COLUMN_INTEGER)
        FIELD(int64_t, c->offset) = v->integer;
    else if (c->type == TL_COLUMN_ID)
        FIELD(int32_t, c->offset) = (int32_t)v->integer;
    else
        FIELD(size_t, c->offset) = (size_t)v->integer;
    if (c->type == TL_COLUMN_SIZE && c->is_optional)
        FIELD(bool, c->beside) = true;
    return TL_OK;
}

static tl_status set_text(const tl_column *c, const tl_value *v, tl_arena *arena,
                          void *row, tl_error *err)
{
    const void *copy = NULL;
    if (v->type == TL_VALUE_TEXT && v->bytes == NULL && v->n_bytes > 0)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for %zu bytes", c->name,
                       v->n_bytes);
    const size_t word = v->type == TL_VALUE_TEXT ? find_word(c, v) : c->n_words;
    if (v->type != TL_VALUE_TEXT || (c->n_words > 0 && word == c->n_words) ||
        (v->n_bytes > 0 && memchr(v->bytes, 0, v->n_bytes) != NULL))
        return refuse(c, v, err);
    if (c->type == TL_COLUMN_WORD) {
        FIELD(unsigned, c->offset) = (unsigned)word;
        return TL_OK;
    }
    const tl_status status = copy_bytes(c, v, arena, &copy, err);
    if (status == TL_OK)
        FIELD(const char *, c->offset) = copy;
    return status;
}

tl_status tl_column_set(const tl_column *c, const tl_value *v, tl_arena *arena,
                        void *row, tl_error *err)
{
    if (v->type == TL_VALUE_NULL)
        return set_null(c, v, row, err);
    switch (c->type) {
    case TL_COLUMN_SIZE:
    case TL_COLUMN_ID:
    case TL_COLUMN_INTEGER:
    case TL_COLUMN_BOOL: return set_integer(c, v, row, err);
    case TL_COLUMN_TEXT:
    case TL_COLUMN_WORD: return set_text(c, v, arena, row, err);
    case TL_COLUMN_REAL:
        if (v->type != TL_VALUE_REAL)
            return refuse(c, v, err);
        FIELD(double, c->offset) = v->real;
        return TL_OK;
    case TL_COLUMN_BLOB: break;
    }
    if (v->type != TL_VALUE_BLOB)
        return refuse(c, v, err);
    const void *copy = NULL;
    const tl_status status = copy_bytes(c, v, arena, &copy, err);
    if (status == TL_OK) {
        FIELD(const void *, c->offset) = copy;
        FIELD(size_t, c->beside) = v->n_bytes;
    }
    return status;
}
