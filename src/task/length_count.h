/* SPDX-License-Identifier: MIT
 * length_count.h - how long the prompts of a dataset are, and where their data lie. */
#ifndef TWINLENS_TASK_LENGTH_COUNT_H
#define TWINLENS_TASK_LENGTH_COUNT_H

#include <stdio.h>

#include "twinlens/dataset.h"

/* Prompts of one modality that are alike, and whether circuits may be of them. */
typedef struct tl_length_count {
    tl_modality modality;
    bool no_part;
    size_t n_pos, data_begin, data_end;
    size_t n; /* prompts */
} tl_length_count;

/* One more like that; `counts` has room for another kind. Then the order that
 * tl_length_count_all() has. */
void tl_length_count_add(tl_length_count *counts, size_t *n,
                         const tl_length_count *like);
void tl_length_count_sort(tl_length_count *counts, size_t n);

/* (*counts)[*n] in `arena`: text, image, and of no part behind the others; the most
 * frequent first, of the equally frequent the shorter. Every prompt is encoded. */
tl_status tl_length_count_all(const tl_dataset *dataset, const tl_processor *processor,
                              tl_arena *arena, tl_length_count **counts, size_t *n,
                              tl_error *err);

/* Opens the dataset and says them, a line each. */
tl_status tl_length_count_print(const char *folder, const tl_processor *processor,
                                FILE *out, tl_error *err);

#endif
