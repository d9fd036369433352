/* SPDX-License-Identifier: MIT
 * aligned_rows.h - how much the image prompts of a dataset look like the texts of the same
 * content, layer by layer, as the rows that a study keeps. */
#ifndef TWINLENS_STUDY_ALIGNED_ROWS_H
#define TWINLENS_STUDY_ALIGNED_ROWS_H

#include "study/row_pairs.h"
#include "twinlens/rows.h"

/* Those of a pair, which is number i; NaN for centred values that were not wanted. */
void tl_aligned_rows_fill(tl_study_alignment *rows, size_t n_layers, size_t i,
                          const tl_row_pair *of, const tl_alignment_values *values);

typedef struct tl_aligned_rows {
    tl_row_pairs pairs;
    size_t n_other;           /* pairs beside which there is another */
    tl_study_alignment *rows; /* [pairs.n, n_layers] */
} tl_aligned_rows;

/* By the session's settings of pairs and alignment, in its arena. Without `centred` the
 * centred values are NaN. */
tl_status tl_aligned_rows_run(tl_session *session, bool centred, tl_aligned_rows *out,
                              tl_error *err);

#endif
