/* SPDX-License-Identifier: MIT
 * paired_dataset.h - a copy of a dataset whose rows say what they are used for. */
#ifndef TWINLENS_TASK_PAIRED_DATASET_H
#define TWINLENS_TASK_PAIRED_DATASET_H

#include "twinlens/dataset.h"

/* What becomes of a row. */
typedef struct tl_row_use {
    bool is_known;         /* else it stays as it is */
    tl_part part;          /* TL_PART_NONE: left out */
    size_t counterfactual; /* of a row that is used */
    const char *left_out;  /* why, for the key x_left_out */
} tl_row_use;

/*
 * Writes dataset.jsonl, task.json and links to the pictures into `folder`, which must be
 * new or empty. Rows keep their order and their other keys; uses [n_rows].
 */
tl_status tl_paired_dataset_write(const tl_dataset *dataset, const tl_row_use *uses,
                                  const char *folder, tl_error *err);

#endif
