/* SPDX-License-Identifier: MIT
 * finding_rows.h - what rows amount to that are in no study but in memory, as commands make
 * them: with the intervals of a study, and the same that it has of these rows. */
#ifndef TWINLENS_FINDING_FINDING_ROWS_H
#define TWINLENS_FINDING_FINDING_ROWS_H

#include "twinlens/finding.h"

/* ---- overlap ---------------------------------------------------------------------- */

typedef struct tl_overlap_rows {
    const tl_study_overlap *rows;
    size_t n;
    const tl_study_overlap_without
        *without; /* parts of the prompts; NULL: none known */
    size_t n_without;
    size_t n_draws; /* of random circuits */
    bool published; /* normalised as published */
} tl_overlap_rows;

/* In the order of the rows, whose number they are. */
tl_status tl_finding_overlaps_of(const tl_overlap_rows *rows, tl_arena *arena,
                                 const tl_finding_overlap **out, tl_error *err);

/* ---- interchange ------------------------------------------------------------------ */

/* Of the pairs of a host. */
typedef struct tl_swap_rows {
    const tl_study_baseline *base; /* [n_pairs] */
    const tl_study_swap_run *runs; /* [n_pairs, n_swaps] */
    const tl_study_swap *swaps;
    size_t n_swaps, n_pairs;
} tl_swap_rows;

/* One segment of one host or, as the mean of each of its terms, of both. */
tl_status tl_finding_swap_of(const tl_swap_rows *hosts, size_t n_hosts,
                             tl_segment segment, bool ratio_of_means, tl_arena *arena,
                             tl_finding_swap *out, tl_error *err);

/* Faithfulness of one of the circuits, over the pairs. */
tl_status tl_finding_swap_run_of(const tl_swap_rows *host, size_t swap,
                                 bool ratio_of_means, tl_interval *out, tl_error *err);

/* ---- alignment -------------------------------------------------------------------- */

/* Rows of all layers of a pair, then of the next. */
tl_status tl_finding_layers_of(const tl_study_alignment *rows, size_t n_rows,
                               tl_arena *arena, const tl_finding_layer **out,
                               size_t *out_layers, tl_error *err);

/* ---- back-patching ---------------------------------------------------------------- */

/* Of n prompts so many are right when patched; of a gap nothing is said. */
tl_finding_change tl_finding_change_of(size_t n_right, size_t n_fixed, size_t n_broken,
                                       size_t n);

#endif
