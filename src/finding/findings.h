/* SPDX-License-Identifier: MIT
 *
 * findings.h - what a study's rows amount to: every number that a summary prints or a
 * report draws, with its interval, out of the study folder alone.
 *
 *     tl_findings found;
 *     status = tl_findings_read("runs/my-task", arena, &found, &err);
 *
 * Intervals are 95 %, by the BCa bootstrap over prompts, unless said otherwise; the same
 * on every machine. What the study has not got to, or leaves out, has count 0.
 */
#ifndef TWINLENS_FINDING_FINDINGS_H
#define TWINLENS_FINDING_FINDINGS_H

#include "store/study_db.h"
#include "twinlens/overlap.h"
#include "twinlens/statistics.h"

/* One circuit size of one kind of circuit. */
typedef struct tl_finding_point {
    const tl_study_point *point;
    double fraction;
    tl_interval mean_of_ratios, ratio_of_means, median;
} tl_finding_point;

/* Of one modality. */
typedef struct tl_finding_part {
    bool present, done; /* has prompts; has a minimal circuit, or knows there is none */
    const tl_study_prompt *prompts;
    size_t n_prompts;
    tl_interval limited, full; /* accuracy among the labels, in the vocabulary */
    size_t n_pos, data_begin, data_end;
    size_t n_discovery, n_evaluation;
    const tl_finding_point *curves[TL_STUDY_KIND_COUNT]; /* [n_points] each */
    size_t n_points;
    /* Areas under the curves (CPR), and between them and 1 (CMD). */
    tl_interval performance[TL_STUDY_KIND_COUNT], distance[TL_STUDY_KIND_COUNT];
    tl_study_minimal minimal;
    tl_study_scores scores;
    const double *importance[TL_KIND_COUNT]; /* [n_layers, n_pos], summed; or NULL */
    const tl_study_token *tokens;            /* [n_tokens] */
    size_t n_tokens;
} tl_finding_part;

/* How many random circuits of the same size overlap less, as a distance: the interval of
 * the random value is mean +- 1.96 deviations over draws, that of the normalised one what
 * the draws' mean leaves open. */
typedef struct tl_finding_overlap {
    const tl_study_overlap *row;
    tl_interval random, normalised;
} tl_finding_overlap;

/* One segment of the other modality's circuit in the host's place (docs/math.md eq. 13),
 * as ratio of means over the evaluation pairs. */
typedef struct tl_finding_swap {
    tl_interval value, random, own; /* faithfulness; random: mean over draws */
    tl_interval normalised;
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
    tl_interval crossed_gain;        /* chosen on one half, judged on the other */
    double p;                        /* that the best gain is chance (eq. 18) */
    tl_interval closed; /* gain / (text accuracy - image accuracy); NaN: no gap */
    tl_interval
        no_worse; /* share of cells that gain at least as much on images as on text */
    const tl_interval *iterations; /* accuracy after 0, 1, ... times of the best cell */
    size_t n_iterations;
} tl_finding_backpatch;

/* Exact effects and attributed scores of a sample of components (eq. 16). */
typedef struct tl_finding_check {
    size_t ig_steps;
    tl_component_kind kind;
    int layer; /* -1: all; others have no intervals */
    size_t n;  /* components */
    tl_interval pearson, spearman;
} tl_finding_check;

typedef struct tl_finding_gap {
    size_t ig_steps;
    tl_interval gap; /* |integrated gradient - difference| / |difference| over pairs */
} tl_finding_gap;

typedef struct tl_finding_validation {
    const tl_study_effect *effects;
    size_t n_effects; /* 0: not validated */
    const tl_finding_check *checks;
    size_t n_checks;
    const tl_finding_gap *gaps;
    size_t n_gaps;
} tl_finding_validation;

typedef struct tl_findings {
    const char *folder;
    const tl_study_key *keys; /* the manifest */
    size_t n_keys;
    bool finished;
    tl_finding_part parts[TL_MODALITY_COUNT];
    tl_finding_validation validations[TL_MODALITY_COUNT];
    const tl_study_picture *pictures;
    size_t n_pictures;
    const tl_finding_overlap *overlaps;
    size_t n_overlaps;
    bool has_swaps[TL_MODALITY_COUNT];
    tl_finding_swap swaps[TL_MODALITY_COUNT][TL_SEGMENT_COUNT];
    /* Of both hosts together (SPEC of the paper: each term averaged first). */
    tl_interval swapped[TL_SEGMENT_COUNT];
    const tl_finding_layer *layers;
    size_t n_layers;
    tl_finding_backpatch backpatch;
} tl_findings;

/* TL_ERR_NOT_FOUND when there is no study, or it has not begun; TL_ERR_DATA when the
 * scores beside it are not those that it wrote. */
tl_status tl_findings_read(const char *folder, tl_arena *arena, tl_findings *out,
                           tl_error *err);

/* The manifest's value of a key; "" when it has none. */
const char *tl_findings_key(const tl_findings *findings, const char *key);

/* How the study's overlap is normalised, as a formula. */
const char *tl_findings_niou(const tl_findings *findings);

/* The measure of faithfulness that the study chooses its circuit by. */
const tl_interval *tl_findings_chosen(const tl_findings *findings,
                                      const tl_finding_point *point);

/* How much of the gap between text and image back-patching closes, over studies with a
 * gap: mean and median of the shares, the same as published (mean of shares in 0..1
 * only), and the sum of gains over the sum of gaps. NaN when there is none. */
typedef struct tl_gap_closed {
    double mean, median, published_way, pooled, mean_gain;
    size_t n; /* studies with a gap */
} tl_gap_closed;
tl_status tl_findings_gap(const tl_findings *studies, size_t n_studies,
                          tl_gap_closed *out, tl_error *err);

/* The smallest faithful circuit's point on the curve of a kind; NULL if none. */
const tl_finding_point *tl_findings_smallest(const tl_finding_part *part,
                                             tl_study_kind kind);

#endif
