/* SPDX-License-Identifier: MIT
 *
 * published_dataset.h - a dataset folder (dataset.h) of the prompts that were published for a
 * task and a model: two tables, one of textual prompts and one with pictures.
 *
 *     const tl_published_source source = {
 *         .csv = {[TL_TEXT] = "textual.csv", [TL_IMAGE] = "visual.csv"},
 *         .pictures = "counting", .family = TL_PUBLISHED_QWEN2_VL,
 *         .task = TL_TASK_COUNTING};
 *     tl_published_report report;
 *     status = tl_published_import(&source, "my-counting", false, &report, &err);
 *
 * Rows are text-0, text-1, ... and image-0, ..., numbered as in the tables, and
 * parallel-0, ..., which say in words what the picture of that number shows. Rows with
 * pictures, and those, are written only if source.pictures is given; the pictures are
 * then linked, or copied, into the folder.
 */
#ifndef TWINLENS_TASK_PUBLISHED_DATASET_H
#define TWINLENS_TASK_PUBLISHED_DATASET_H

#include <stdio.h>

#include "task/published_rows.h"

typedef struct tl_published_report {
    size_t n[TL_MODALITY_COUNT];       /* rows of the tables */
    size_t n_right[TL_MODALITY_COUNT]; /* with the answer as prediction */
    size_t n_pairs;   /* image rows with a parallel prompt; 0 without pictures */
    size_t n_prompts; /* that were drawn of each modality for the paper */
} tl_published_report;

/*
 * Everything is read and checked before anything is written; dataset.jsonl appears
 * last. `folder` must be new or empty unless `replace`, which replaces a dataset that
 * is there and leaves other files alone.
 *
 * Errors: those of tl_published_rows_read(); TL_ERR_ARGUMENT when the folder is not
 * empty; TL_ERR_IO.
 */
tl_status tl_published_import(const tl_published_source *source, const char *folder,
                              bool replace, tl_published_report *report, tl_error *err);

/* What was imported, a line to each kind of row. */
void tl_published_print(const tl_published_source *source, const char *folder,
                        const tl_published_report *report, FILE *out);

#endif
