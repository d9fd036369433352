/* SPDX-License-Identifier: MIT
 *
 * findings.h - what a study's rows amount to, where that is more than reading them:
 * values normalised by chance, with their intervals.
 */
#ifndef TWINLENS_CLI_FINDINGS_H
#define TWINLENS_CLI_FINDINGS_H

#include "store/study_db.h"
#include "twinlens/overlap.h"
#include "twinlens/statistics.h"

/* One segment of the other modality's circuit in the host's place (docs/math.md eq. 13),
 * as ratio of means over the evaluation pairs. */
typedef struct tl_finding_swap {
    double value, random, own; /* faithfulness; random: mean over draws */
    tl_interval normalised;    /* by the bootstrap over pairs */
} tl_finding_swap;

/* One layer of the alignment curve (eq. 14): with the pair's own text, with another's,
 * the difference of the two; plain, and centred. */
typedef struct tl_finding_layer {
    tl_interval matched, other, difference, centred_matched, centred_other,
        centred_difference;
} tl_finding_layer;

/* What back-patching does to image prompts, beside the text prompts of the same content
 * (eq. 15). Of the cell that leaves most image prompts right. */
typedef struct tl_finding_backpatch {
    const tl_study_cell *cells;
    size_t n_cells;                       /* 0: no back-patching */
    size_t n;                             /* pairs */
    tl_interval clean[TL_MODALITY_COUNT]; /* accuracy among labels */
    double *accuracy[TL_MODALITY_COUNT];  /* [n_cells] */
    size_t best;
    tl_interval best_accuracy, gain; /* chosen on the prompts that it is judged on */
    double crossed_gain;             /* chosen on one half, judged on the other */
    double p;                        /* that the best gain is chance (eq. 18) */
    double closed; /* gain / (text accuracy - image accuracy); NaN: no gap */
    double
        no_worse; /* share of cells that gain at least as much on images as on text */
    const double *iterations; /* accuracy after 0, 1, ... times of the best cell */
    size_t n_iterations;
} tl_finding_backpatch;

typedef struct tl_findings {
    tl_finding_backpatch backpatch;
    const tl_finding_layer *layers;
    size_t n_layers;                  /* 0: no alignment */
    const tl_study_overlap *overlaps; /* NULL: none */
    size_t n_overlaps;
    bool has_swaps[TL_MODALITY_COUNT];
    tl_finding_swap swaps[TL_MODALITY_COUNT][TL_SEGMENT_COUNT];
} tl_findings;

tl_status tl_findings_read(const tl_study_db *db, size_t n_points, tl_arena *arena,
                           tl_findings *out, tl_error *err);

#endif
