/* SPDX-License-Identifier: MIT
 *
 * published_rows.h - the two published tables of a task, read and checked: what a
 * dataset's rows will say. No file is written here.
 *
 *     tl_published_rows rows[TL_MODALITY_COUNT];
 *     status = tl_published_rows_read(&source, arena, rows, &err);
 */
#ifndef TWINLENS_TASK_PUBLISHED_ROWS_H
#define TWINLENS_TASK_PUBLISHED_ROWS_H

#include "task/published_parallel.h"

typedef struct tl_published_source {
    const char *csv[TL_MODALITY_COUNT]; /* paths */
    const char *pictures; /* what the paths of pictures start from; NULL: unknown */
    tl_published_family family;
    tl_task task;
    tl_published_files files;
    bool seen_labels; /* of a question those that occur, also where files list all */
} tl_published_source;

typedef struct tl_published_row {
    tl_published_prompt prompt;
    const char *answer, *predicted;
    const char *picture; /* as the table says it; NULL: text */
    const tl_published_prompt *parallel; /* what the picture shows, asked in words; NULL:
                                            nobody knows, or text */
    const char *const *labels; /* ends with NULL; those of its question, or NULL */
    size_t line;               /* in the table */
} tl_published_row;

typedef struct tl_published_rows {
    const tl_published_row *items;
    size_t n, n_right; /* right: predicted is the answer */
} tl_published_rows;

/*
 * Reads both tables, in the order of their rows. All pictures are there if
 * source->pictures is given.
 *
 * Errors: TL_ERR_FORMAT when a file is no such table; TL_ERR_DATA naming file and line
 * of a prompt that is of another model, task or modality, or of an answer that is none
 * of the labels; TL_ERR_NOT_FOUND naming a file that is not there.
 */
tl_status tl_published_rows_read(const tl_published_source *source, tl_arena *arena,
                                 tl_published_rows out[TL_MODALITY_COUNT],
                                 tl_error *err);

#endif
