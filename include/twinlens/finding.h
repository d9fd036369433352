/* SPDX-License-Identifier: MIT
 *
 * finding.h - what a study's rows amount to: every number that a summary prints or a
 * report draws, with its interval, computed from the study folder alone.
 *
 *     tl_findings found;
 *     status = tl_findings_read("runs/my-task", arena, &found, &err);
 *     if (status == TL_OK && found.parts[TL_IMAGE].present)
 *         printf("%.3f\n", found.parts[TL_IMAGE].limited.value);
 *
 * Intervals are 95 %: of shares of prompts Wilson's, of the difference of two shares of the
 * same prompts a score interval (statistics.h), of everything else by the BCa bootstrap over
 * prompts, unless said otherwise. They are the same on every machine. A part that the study has not reached yet, or was told to leave
 * out, has no rows: its count is 0. Everything that findings point to lives in the arena.
 */
#ifndef TWINLENS_FINDING_H
#define TWINLENS_FINDING_H

#include "twinlens/api.h"
#include "twinlens/arena.h"
#include "twinlens/rows.h"
#include "twinlens/statistics.h"
#include "twinlens/study.h"

TL_BEGIN_DECLS

/* ---- one modality ------------------------------------------------------------------ */

/* Circuits of one size and kind, over the evaluation pairs. */
typedef struct tl_finding_point {
    const tl_study_point *point;
    double fraction; /* of the components */
    tl_interval mean_of_ratios, ratio_of_means, median;
} tl_finding_point;

/* The area under a faithfulness curve (CPR), and the area between it and 1 (CMD). */
typedef struct tl_finding_area {
    tl_interval performance, distance;
} tl_finding_area;

typedef struct tl_finding_part {
    bool present; /* the study has prompts of this modality */
    bool done;    /* it knows the smallest faithful circuit, or that there is none */
    const tl_study_prompt *prompts;
    size_t n_prompts;
    tl_interval limited, full; /* accuracy among the labels, in the vocabulary */
    size_t n_pos, data_begin, data_end;
    size_t n_discovery, n_evaluation; /* pairs */
    /* Why it has no circuits at all, and what would help; NULL: it has, or may get some, or
     * its rows say that it is to have none. */
    const char *no_circuits, *remedy;

    const tl_finding_point *curves[TL_STUDY_KIND_COUNT]; /* [n_points] each */
    size_t n_points;
    tl_finding_area areas[TL_STUDY_KIND_COUNT][TL_FAITH_COUNT];
    tl_study_minimal
        minimal; /* by its value alone, as published (docs/math.md eq. 8) */
    /* Whether the minimal circuit is shown to be faithful: its interval begins above the
     * threshold, and is of five prompts or more. And the smallest circuit that is; NULL: no
     * size is. */
    bool is_shown;
    const tl_finding_point *shown;
    /* Evaluation pairs of which another is the mirror: with clean prompt and counterfactual
     * exchanged. */
    size_t n_mirrored;

    tl_study_scores scores;
    /* Scores of each layer and position [n_layers, n_pos], summed over heads and over
     * neurons. NULL when the score file is not in the folder. */
    const double *importance[TL_KIND_COUNT];
    const double *importance_of_both; /* the two together */
    /* How many heads, and neurons, of the smallest faithful circuit are in each layer and at
     * each position [n_layers, n_pos]; NULL without one, or without the score file. */
    const size_t *circuit[TL_KIND_COUNT];
    const tl_study_token *tokens;
    size_t n_tokens;
    const tl_study_effect *patched; /* the leading components, prompt by prompt */
    size_t n_patched;
} tl_finding_part;

/* ---- better than chance, minimal, complete? (docs/math.md eq. 22) ------------------- */

/* Whether components of the circuit are needed: the sample is components, on the pairs as they
 * are. */
typedef struct tl_finding_needed {
    /* The share of a sample of its components without which LD changes by more than
     * `threshold`; n is the sample's. */
    tl_interval needed;
    double threshold; /* 95 % of components outside the circuit change LD by no more */
    size_t n_outside; /* so many */
} tl_finding_needed;

/* The smallest faithful circuit, on some of the evaluation pairs; faithfulness is that which
 * the study chooses by. */
typedef struct tl_finding_tests {
    size_t n_pairs; /* 0: it was not tested */
    tl_interval faithfulness, complement;
    /* Random circuits with as many heads and neurons in each segment: their mean +- 1.96
     * deviations over them, the most faithful one, the share that is less faithful than the
     * circuit, and p. */
    tl_interval random, less;
    double most, p;
    tl_finding_needed needed[TL_KIND_COUNT];
} tl_finding_tests;

/* ---- does attribution tell the truth? ---------------------------------------------- */

/* How well attributed scores agree with exact effects, over a sample of components
 * (docs/math.md eq. 16). Intervals are over prompts. */
typedef struct tl_finding_check {
    size_t ig_steps; /* 0: by relevance */
    tl_component_kind kind;
    int layer;         /* -1: all layers; one layer alone has no intervals */
    size_t n, n_pairs; /* components, of so many prompts */
    tl_interval pearson, spearman;
} tl_finding_check;

/* |integrated gradient - difference| / |difference|, mean over pairs. */
typedef struct tl_finding_gap {
    size_t ig_steps;
    tl_interval gap;
} tl_finding_gap;

typedef struct tl_finding_validation {
    const tl_study_effect *effects;
    size_t n_effects; /* 0: the study validates nothing */
    const tl_finding_check *checks;
    size_t n_checks;
    const tl_finding_gap *gaps;
    size_t n_gaps;
    size_t ig_steps; /* those of the study's scores, or the nearest that was checked; 0:
                        they are by relevance */
    /* The size of exact effects beside the scores that rank components, with the study's
     * reduction of heads; n is 0 in studies that did not keep these. */
    tl_finding_check ranked[TL_KIND_COUNT];
} tl_finding_validation;

/* ---- circuits on the picture ------------------------------------------------------- */

/* Layers in three bands: early, middle, late. */
enum { TL_FINDING_BANDS = 3 };
typedef struct tl_finding_picture {
    const tl_study_picture *row;
    size_t view;              /* of the picture, the first is 0; one finding for each */
    size_t n_rows, n_columns; /* of image tokens */
    size_t first_layer[TL_FINDING_BANDS + 1]; /* of each band; then n_layers */
    /* Scores of the heads and neurons of a band at an image token,
     * [n_rows * n_columns] each; `most` is the largest of all. */
    const double *bands[TL_FINDING_BANDS];
    double most;
    /* Heads and neurons of the smallest faithful circuit there, of all image prompts together;
     * NULL where it is not known: without such a circuit, and of pictures in several views. */
    const size_t *circuit[TL_FINDING_BANDS][TL_KIND_COUNT];
} tl_finding_picture;

/* ---- the two circuits -------------------------------------------------------------- */

/*
 * The overlap in one segment beside that of random circuits of the same size. The interval of
 * `iou` is over the prompts that the circuits were found on: +- 1.96 deviations by a jackknife
 * over parts of them (docs/math.md eq. 24), whose number is its n; NaN where the study did not
 * keep them. That of `random` is mean +- 1.96 deviations over draws. `normalised` may be off by
 * both, by the prompts and by what the draws leave open of their mean; without an interval
 * with a single draw.
 */
typedef struct tl_finding_overlap {
    const tl_study_overlap *row;
    tl_interval iou, random, normalised;
} tl_finding_overlap;

/* Faithfulness over the evaluation pairs of the host, of its circuit with one segment from
 * the other modality's, with a random one (mean over draws), and as it is; and the first of
 * these normalised (docs/math.md eq. 13). Intervals of what has random parts in it are over
 * prompts and draws, each resampled for itself; with one draw over prompts alone. */
typedef struct tl_finding_swap {
    tl_interval value, random, own, normalised;
    double spread; /* standard deviation of `random` over draws; NaN with one */
} tl_finding_swap;

/* ---- alignment --------------------------------------------------------------------- */

/* One layer (docs/math.md eq. 14): with the text of the same pair, with that of a pair with
 * other words and another answer, and the first minus the second, of the pairs that have
 * such another; with states as they are, and centred. */
typedef struct tl_finding_layer {
    tl_interval matched, other, difference;
    tl_interval centred_matched, centred_other, centred_difference;
} tl_finding_layer;

/* ---- back-patching (docs/math.md eq. 15) ------------------------------------------- */

/* Accuracy of image prompts when this cell is patched, and of the text prompts of the same
 * content as a control, over those that it was run on; NaN with n = 0 where there are none.
 * The interval is Wilson's. */
typedef struct tl_finding_cell {
    size_t window, source, destination;
    tl_interval accuracy[TL_MODALITY_COUNT]; /* among the labels */
    double gain[TL_MODALITY_COUNT];          /* over no patching, of the same prompts */
} tl_finding_cell;

/* What a cell does to image prompts, beside no patching. */
typedef struct tl_finding_change {
    tl_interval accuracy;
    tl_interval gain; /* over no patching; a score interval of paired shares */
    size_t n_fixed,
        n_broken;       /* prompts: wrong without and right with it; the reverse */
    double p;           /* that a coin chose which: McNemar's, exact, two sides */
    tl_interval closed; /* gain / (text accuracy - image accuracy); NaN: no gap */
} tl_finding_change;

/* A round of a search: so many cells on so many image prompts. */
typedef struct tl_finding_round {
    size_t n_cells, n_prompts;
} tl_finding_round;

/* The cells of one window that ran on images and on text: the share that gains no less on
 * images, and how many gain more, as much, less. */
typedef struct tl_finding_window {
    size_t window, n_cells;
    tl_interval no_worse;
    size_t n_better, n_equal, n_worse;
} tl_finding_window;

/* Image prompts after patching a cell so many times that was chosen on other prompts, and
 * beside the first time, on the same prompts. */
typedef struct tl_finding_time {
    tl_interval accuracy;
    tl_interval above_once; /* difference of the two; a score interval */
    size_t n_more, n_fewer; /* right now and wrong after the first time; the reverse */
    double p;               /* that a coin chose which: McNemar's, exact, two sides */
} tl_finding_time;

typedef struct tl_finding_backpatch {
    const tl_finding_cell *cells;
    size_t n_cells; /* 0: the study has no back-patching */
    size_t n;       /* pairs of an image prompt and a text prompt */
    bool has_text;  /* false: image prompts alone; all that compares with text is NaN */
    tl_interval clean[TL_MODALITY_COUNT]; /* accuracy without patching */
    size_t
        n_rounds; /* of a search (docs/math.md eq. 20); 0: all cells ran on all prompts */
    const tl_finding_round *rounds;
    size_t n_runs; /* of a cell on a prompt, of both modalities, without those clean */
    size_t n_all_runs; /* that there would be without a search */
    size_t
        best; /* the cell that leaves most image prompts right; that a search found */
    /* Of that cell on the prompts that it was chosen on; and of a cell chosen on one half
     * of the prompts and judged on the other, which is what to go by. After a search both
     * are of the cell that was found, on the prompts that no round saw. */
    tl_finding_change chosen_here, chosen_elsewhere;
    double
        p; /* that the best of all cells is chance (docs/math.md eq. 18); after a search
                 that of the one cell */
    /* Share of cells that gain no less on images than on text. After a search of
     * n_control_cells, a sample, on no_worse.n pairs; its interval is wider for that. */
    tl_interval no_worse;
    size_t n_control_cells;
    /* Of these cells: that gain more on images than on text, as much, less. Text that is
     * right without patching cannot gain: then equal is the best that it can be. */
    size_t n_better, n_equal, n_worse;
    const tl_finding_window *windows; /* the same for the cells of each window */
    size_t n_windows;
    tl_interval better, equal; /* the first two as shares, with intervals as that of
                                  no_worse */
    /* Accuracy after patching the best cell 0, 1, ... times, on the prompts that chose it. */
    const tl_interval *iterations;
    size_t n_iterations;
    /* The same of the cell that the other half of the prompts chose; after a search of the one
     * that it found, on the prompts that judge. None in studies that did not run it. */
    const tl_finding_time *times;
    size_t n_times;
} tl_finding_backpatch;

/* Whether patching helps: for a cell chosen on other prompts, more prompts are fixed than
 * broken and p is below .05. This is the one rule by which a study says so. */
bool tl_finding_helps(const tl_finding_change *change);

/* The time after the first that leaves most more prompts right, if by more than chance: p is below
 * .05 over the number of such times. 0: there is none, once is enough. */
size_t tl_finding_better_time(const tl_finding_backpatch *backpatch);

/* Whether text prompts are all right without patching, so that no cell can gain there. */
bool tl_finding_text_at_ceiling(const tl_finding_backpatch *backpatch);

/* ---- a study ----------------------------------------------------------------------- */

/* What a reader has to know before the numbers, as a sentence without its full stop. */
typedef struct tl_finding_caveat {
    tl_modality modality;
    const char *text;
} tl_finding_caveat;

typedef struct tl_findings {
    const char *folder;       /* as it was given to tl_findings_read */
    const tl_study_key *keys; /* the manifest */
    size_t n_keys;
    const tl_study_work *work; /* of the stages that made products */
    size_t n_work;
    const tl_study_memory *memory;
    size_t n_memory;
    bool finished;
    tl_finding_part parts[TL_MODALITY_COUNT];
    tl_finding_validation validations[TL_MODALITY_COUNT];
    tl_finding_tests tests[TL_MODALITY_COUNT];
    /* What the precision does, of a study whose precision is not f32; else n_pairs is 0. */
    tl_study_precision precisions[TL_MODALITY_COUNT];
    const tl_finding_picture *pictures;
    size_t n_pictures;
    const tl_study_left_out *left_out; /* prompts, by use, reason and modality */
    size_t n_left_out;
    const tl_finding_overlap *overlaps;
    size_t n_overlaps;
    /* Mean over the segments of both kinds; the interval takes their draws as independent,
     * and leaves out the same prompts of all. */
    tl_interval mean_overlap;
    double mean_iou; /* the same, not normalised */
    bool has_swaps[TL_MODALITY_COUNT];
    tl_finding_swap swaps[TL_MODALITY_COUNT][TL_SEGMENT_COUNT]; /* by host */
    /* Normalised over both hosts: each term is averaged before the ratio is taken. Prompts
     * and draws of the two are resampled each for themselves. */
    tl_interval swapped[TL_SEGMENT_COUNT];
    const tl_finding_layer *layers;
    size_t n_layers;
    tl_finding_backpatch backpatch;
    /* Of the pairs whose text has the most frequent length (--bp-filter modal) among those;
     * without iterations. n_cells 0: these are all, or cells were searched. */
    tl_finding_backpatch modal_backpatch;
    const tl_finding_caveat *caveats;
    size_t n_caveats;
    /* Of overlap and interchange, when a circuit that they are of is not shown to be
     * faithful: in words; NULL: both are, or there is no overlap. */
    const char *not_shown;
    const char *absent; /* what it lacks, and why, as far as its prompts are to blame;
                           NULL: nothing, but what a study of text alone lacks */
} tl_findings;

/* Whether the study has circuits, or, unfinished, may get some. */
bool tl_findings_have_circuits(const tl_findings *findings);

/* TL_ERR_NOT_FOUND when there is no study, or it has not begun; TL_ERR_DATA when the
 * score files beside it are not those that it wrote. */
tl_status tl_findings_read(const char *folder, tl_arena *arena, tl_findings *out,
                           tl_error *err);

/* Of several: *out [n_folders], in `arena`. TL_ERR_ARGUMENT where two folders are one: means over
 * studies would take it for two. */
tl_status tl_findings_read_all(const char *const *folders, size_t n_folders,
                               tl_arena *arena, tl_findings **out, tl_error *err);

/* The manifest's value of a key; "" when it has none. */
const char *tl_findings_key(const tl_findings *findings, const char *key);

/* What the study means by faithfulness: the ratio of means, or the mean of ratios. */
bool tl_findings_ratio_of_means(const tl_findings *findings);

/* The measure of faithfulness that the study chooses its circuit by. */
const tl_interval *tl_findings_chosen(const tl_findings *findings,
                                      const tl_finding_point *point);

/* The areas of a kind of circuits, by that measure. */
const tl_finding_area *tl_findings_area(const tl_findings *findings,
                                        const tl_finding_part *part,
                                        tl_study_kind kind);

/* The point of the smallest faithful circuit on the curve of a kind; NULL if none. */
const tl_finding_point *tl_findings_smallest(const tl_finding_part *part,
                                             tl_study_kind kind);

/* The overlap of a segment, of "heads", "neurons" or "both"; NULL if there is none. */
const tl_finding_overlap *tl_findings_overlap(const tl_findings *findings,
                                              tl_segment segment, const char *kind);

/* That of the whole circuits; NULL in studies that did not measure it. */
const tl_finding_overlap *tl_findings_whole_overlap(const tl_findings *findings,
                                                    const char *kind);

/* ---- the leading components --------------------------------------------------------- */

/* A head or neuron at a position, by the size of its score among those of its kind. */
typedef struct tl_finding_leader {
    size_t layer, pos, index;
    double score;    /* that ranks it; without a sign unless the scores have one */
    bool in_circuit; /* in the smallest faithful circuit of its modality */
    /* Over the discovery pairs on which it was patched: its score with a sign, and the exact
     * effect of removing it (docs/math.md eq. 16). NaN with n = 0: not measured. */
    tl_interval attributed, exact;
    /* Positions of the other modality that play the part of its own (docs/math.md eq. 10),
     * and at how many of them the other's smallest faithful circuit has the same component. */
    size_t n_aligned, n_shared;
} tl_finding_leader;

typedef struct tl_finding_leaders {
    const tl_finding_leader *of[TL_KIND_COUNT]; /* [n] each, larger scores first */
    size_t n[TL_KIND_COUNT];
    bool has_circuit, has_other; /* of its modality, of the other: else nothing is in it */
} tl_finding_leaders;

/* The `most` leading heads and neurons of a modality, none of which has score 0; fewer where
 * there are no more, and none where the score file is not in the folder. */
tl_status tl_findings_leading(const tl_findings *findings, tl_modality modality,
                              size_t most, tl_arena *arena, tl_finding_leaders *out,
                              tl_error *err);

/* What a score file says of itself (docs/formats.md); NULL: nothing. */
typedef struct tl_score_file_origin {
    const char *modality, *model, *dataset;
} tl_score_file_origin;

/* Those of a score file alone, of which no more than the scores is known. */
tl_status tl_score_file_leading(const char *path, size_t most, tl_arena *arena,
                                tl_finding_leaders *out, tl_score_file_origin *origin,
                                tl_error *err);

/* The segment of a position; NULL: before the data. */
const char *tl_finding_segment(const tl_finding_part *part, size_t pos);

/* What stands there: the token, if all discovery prompts have the same, else the segment in
 * braces, "{data}". "" in studies that do not know. */
const char *tl_finding_token(const tl_finding_part *part, size_t pos);

/* ---- several studies --------------------------------------------------------------- */

/* The shares of the gap between text and image prompts that back-patching closes, over the
 * studies that have such a gap, by cells that were chosen on other prompts (`elsewhere`) or
 * on those that they are judged on. Intervals resample studies. NaN when there is none. */
typedef struct tl_gap_closed {
    tl_interval mean, median;  /* of the shares */
    tl_interval published_way; /* mean of the shares in 0..1 only */
    tl_interval pooled;        /* sum of gains / sum of gaps */
    tl_interval mean_gain;     /* over all studies that patch */
    size_t n;                  /* studies with a gap */
} tl_gap_closed;
tl_status tl_findings_gap(const tl_findings *studies, size_t n_studies, bool elsewhere,
                          tl_gap_closed *out, tl_error *err);

TL_END_DECLS

#endif
