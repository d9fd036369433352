/* SPDX-License-Identifier: MIT
 *
 * csv.h - comma-separated tables as RFC 4180 has them: fields in double quotes may
 * hold commas, line breaks and doubled quotes. The first record names the columns.
 *
 *     tl_csv csv;
 *     status = tl_csv_read("prompts.csv", arena, &csv, &err);
 *     const size_t answer = tl_csv_column(&csv, "gt_answer");
 *     csv.fields[row * csv.n_columns + answer]
 */
#ifndef TWINLENS_TASK_CSV_H
#define TWINLENS_TASK_CSV_H

#include <stddef.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

#define TL_CSV_NO_COLUMN ((size_t)-1)

typedef struct tl_csv {
    size_t n_columns, n_rows;
    const char *const *header; /* [n_columns] */
    const char *const *fields; /* [n_rows, n_columns] */
    const size_t *lines;       /* [n_rows]: where each record begins, from 1 */
} tl_csv;

/* Reads a file, or parses a text that `where` names in messages; everything lives
 * in `arena`. TL_ERR_FORMAT names the line: a record with more or fewer fields than
 * the header, a quote that is not closed or stands inside a field, a zero byte. */
tl_status tl_csv_read(const char *path, tl_arena *arena, tl_csv *out, tl_error *err);
tl_status tl_csv_parse(const char *text, size_t bytes, const char *where,
                       tl_arena *arena, tl_csv *out, tl_error *err);

/* Index of the column with that name; TL_CSV_NO_COLUMN if there is none. */
size_t tl_csv_column(const tl_csv *csv, const char *name);

#endif
