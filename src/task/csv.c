/* SPDX-License-Identifier: MIT
 *
 * csv.c - see csv.h.
 *
 * Fields are unquoted into one buffer as long as the text: a field never grows, and
 * its separator leaves room for the 0 behind it.
 */
#include "task/csv.h"

#include <stdbool.h>
#include <string.h>

#include "base/file.h"

typedef struct reader {
    const char *at, *end;
    const char *where;
    size_t line;
    char *text; /* where the next field goes */
} reader;

typedef enum ending { AFTER_COMMA, AFTER_RECORD } ending;

/* Steps over a line break, if there is one, and counts it. */
static bool take_break(reader *r)
{
    if (r->at < r->end && *r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n')
        r->at += 2;
    else if (r->at < r->end && *r->at == '\n')
        r->at++;
    else
        return false;
    r->line++;
    return true;
}

static tl_status read_quoted(reader *r, tl_error *err)
{
    const size_t first_line = r->line;
    for (r->at++; r->at < r->end; r->at++) {
        if (*r->at == '"') {
            if (r->at + 1 == r->end || r->at[1] != '"') {
                r->at++;
                return TL_OK;
            }
            r->at++;
        } else if (*r->at == '\n') {
            r->line++;
        }
        *r->text++ = *r->at;
    }
    return tl_fail(err, TL_ERR_FORMAT, "%s:%zu: a quoted field is not closed", r->where,
                   first_line);
}

static bool at_break(const reader *r)
{
    return *r->at == '\n' || (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n');
}

static tl_status read_field(reader *r, const char **field, ending *how, tl_error *err)
{
    *field = r->text;
    if (r->at < r->end && *r->at == '"') {
        const tl_status status = read_quoted(r, err);
        if (status != TL_OK)
            return status;
    } else {
        while (r->at < r->end && *r->at != ',' && *r->at != '"' && !at_break(r))
            *r->text++ = *r->at++;
    }
    *r->text++ = '\0';
    if (r->at < r->end && *r->at == ',') {
        r->at++;
        *how = AFTER_COMMA;
    } else if (r->at == r->end || take_break(r)) {
        *how = AFTER_RECORD;
    } else {
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s:%zu: wanted a comma or the end of the line after a field, "
                       "found '%c'",
                       r->where, r->line, *r->at);
    }
    return TL_OK;
}

/* An upper bound of the number of fields: one behind every comma and line break. */
static size_t count_fields(const char *text, size_t bytes)
{
    size_t n = 1;
    for (size_t i = 0; i < bytes; i++)
        n += text[i] == ',' || text[i] == '\n';
    return n;
}

tl_status tl_csv_parse(const char *text, size_t bytes, const char *where,
                       tl_arena *arena, tl_csv *out, tl_error *err)
{
    if (memchr(text, '\0', bytes) != NULL)
        return tl_fail(err, TL_ERR_FORMAT, "%s: has a zero byte, so it is not a text",
                       where);
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
        text += 3;
        bytes -= 3;
    }
    const size_t limit = count_fields(text, bytes);
    const char **fields = tl_arena_alloc(arena, limit, sizeof *fields);
    size_t *lines = tl_arena_alloc(arena, limit, sizeof *lines);
    /* At the end of the text a field may have no separator that its 0 can replace. */
    char *unquoted = tl_arena_alloc(arena, bytes + 1, 1);
    if (fields == NULL || lines == NULL || unquoted == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for %zu fields", where,
                       limit);

    reader r = {text, text + bytes, where, 1, unquoted};
    size_t n_fields = 0, n_columns = 0, n_records = 0;
    while (r.at < r.end) {
        if (take_break(&r))
            continue; /* a blank line */
        const size_t line = r.line, first = n_fields;
        for (ending how = AFTER_COMMA; how == AFTER_COMMA;) {
            const tl_status status = read_field(&r, &fields[n_fields++], &how, err);
            if (status != TL_OK)
                return status;
        }
        if (n_records == 0)
            n_columns = n_fields;
        else if (n_fields - first != n_columns)
            return tl_fail(err, TL_ERR_FORMAT, "%s:%zu: %zu fields, the header has %zu",
                           where, line, n_fields - first, n_columns);
        else
            lines[n_records - 1] = line;
        n_records++;
    }
    if (n_records == 0)
        return tl_fail(err, TL_ERR_FORMAT, "%s: empty, wanted a header", where);
    *out = (tl_csv){n_columns, n_records - 1, fields, fields + n_columns, lines};
    return TL_OK;
}

tl_status tl_csv_read(const char *path, tl_arena *arena, tl_csv *out, tl_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    const tl_status status = tl_file_read(path, arena, &text, &bytes, err);
    return status == TL_OK ? tl_csv_parse(text, bytes, path, arena, out, err) : status;
}

size_t tl_csv_column(const tl_csv *csv, const char *name)
{
    for (size_t i = 0; i < csv->n_columns; i++)
        if (strcmp(csv->header[i], name) == 0)
            return i;
    return TL_CSV_NO_COLUMN;
}
