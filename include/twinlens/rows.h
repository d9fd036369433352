/* SPDX-License-Identifier: MIT
 *
 * rows.h - what a study finds, as plain rows: the stages make them, the store keeps them,
 * findings are computed from them, and `twinlens export` writes them as CSV.
 *
 * The rows of one kind are ordered by their key, whose columns come first in the tables of
 * docs/formats.md. Doubles keep all their bits; NaN means that there is no such number.
 */
#ifndef TWINLENS_ROWS_H
#define TWINLENS_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/api.h"
#include "twinlens/terms.h"

TL_BEGIN_DECLS

/* A struct below and a table of study.db for each kind. */
typedef enum tl_row_kind {
    TL_ROW_KEY,
    TL_ROW_FILE,
    TL_ROW_STAGE,
    TL_ROW_PROMPT,
    TL_ROW_PAIR,
    TL_ROW_TOKEN,
    TL_ROW_SCORES,
    TL_ROW_PICTURE,
    TL_ROW_PICTURE_VIEW,
    TL_ROW_PICTURE_SCORE,
    TL_ROW_EFFECT,
    TL_ROW_COMPLETENESS,
    TL_ROW_PRECISION,
    TL_ROW_BASELINE,
    TL_ROW_EVALUATION,
    TL_ROW_POINT,
    TL_ROW_MINIMAL,
    TL_ROW_TEST,
    TL_ROW_TEST_RUN,
    TL_ROW_OVERLAP,
    TL_ROW_SWAP,
    TL_ROW_SWAP_RUN,
    TL_ROW_ALIGNMENT,
    TL_ROW_CELL,
    TL_ROW_PATCHED,
    TL_ROW_ITERATION,
    TL_ROW_WORK,
    TL_ROW_MEMORY,
    TL_ROW_RANKED,
    TL_ROW_CROSSED_ITERATION,
    TL_ROW_LEFT_OUT,
    TL_ROW_OVERLAP_WITHOUT,
    TL_ROW_TEXT_LENGTH,
    TL_ROW_LEADING
} tl_row_kind;
enum { TL_ROW_KIND_COUNT = TL_ROW_LEADING + 1 };

/* Some rows of one kind, in the order of their keys. */
typedef struct tl_rows {
    tl_row_kind kind;
    const void *rows; /* [n] of the kind's struct */
    size_t n;
} tl_rows;

/* ---- what made the study ----------------------------------------------------- */

/* One line of the manifest: a setting, or the hash of what went in. */
typedef struct tl_study_key {
    const char *key, *value;
} tl_study_key;

/* A file that was hashed, and how it looked, so that it need not be hashed again. */
typedef struct tl_study_file {
    const char *path, *sha256;
    int64_t bytes, modified_ns;
} tl_study_file;

/* A stage of the study that is over; "all" when the study is. */
typedef struct tl_study_stage {
    const char *name;
} tl_study_stage;

/* ---- what the model says to each prompt -------------------------------------- */

/* The best of a prompt's own labels, and the best of the whole vocabulary. */
typedef struct tl_study_prompt {
    size_t row; /* in the dataset */
    const char *id;
    tl_modality modality;
    size_t n_pos, data_begin, data_end;
    int32_t answer_id, label_id, top_id; /* of labels, of all; label_id -1: no labels */
    const char *answer, *label, *top;    /* as text; the latter two may be NULL */
    double answer_logit, label_logit, top_logit;
    bool correct_limited, correct_full;
} tl_study_prompt;

/* ---- which prompts are used -------------------------------------------------- */

typedef enum tl_study_part { TL_STUDY_DISCOVERY, TL_STUDY_EVALUATION } tl_study_part;

/* A clean prompt and its counterfactual. */
typedef struct tl_study_pair {
    tl_modality modality;
    tl_study_part part;
    size_t pair;                /* its place in the part */
    size_t row, counterfactual; /* in the dataset */
    int32_t answer_id, counterfactual_answer_id;
} tl_study_pair;

/* Why a modality has no circuits at all: such a reason, or one with these words in it, as
 * "1 of 12 right, too few for two parts with two answers". */
#define TL_SEVERAL_LENGTHS "prompts have several lengths"
#define TL_SEVERAL_PLACES "prompts have their data at several places"
#define TL_TOO_FEW "too few for"

/* Prompts of a modality that a use has left out, and why. */
typedef struct tl_study_left_out {
    const char *use;    /* "circuits", "alignment", "back-patching" */
    const char *reason; /* in words */
    tl_modality modality;
    size_t n;
} tl_study_left_out;

/* ---- the scores, which are in a file of their own ---------------------------- */

typedef struct tl_study_scores {
    tl_modality modality;
    const char *file; /* name in the folder */
    const char *sha256;
    size_t n_pairs;
    size_t n_layers, n_pos, n_heads, d_mlp;
    size_t data_begin, data_end;
} tl_study_scores;

/* ---- what stands at each position -------------------------------------------- */

typedef struct tl_study_token {
    tl_modality modality;
    size_t pos;
    const char *text; /* of the first discovery prompt, decoded */
    size_t n_texts;   /* different ones among the discovery prompts */
} tl_study_token;

/* ---- some image prompts, to look at ------------------------------------------ */

/* A discovery prompt and its image. */
typedef struct tl_study_picture {
    size_t pair; /* its place in the discovery part */
    size_t row;  /* in the dataset */
    const char *id, *query, *answer, *counterfactual;
    const char *type;  /* of the file: "image/png" */
    const void *bytes; /* the file as it is */
    size_t n_bytes;
    size_t n_rows, n_columns; /* of image tokens */
} tl_study_picture;

/* One more grid of image tokens over the whole of that image: one that is cut into tiles is
 * there small as well. */
typedef struct tl_study_picture_view {
    size_t pair, view; /* from 1 */
    size_t n_rows, n_columns;
} tl_study_picture_view;

/* The scores of that prompt alone at one image token, summed over heads and over neurons.
 * `pos` counts row by row through the image's grid and then through its other views. */
typedef struct tl_study_picture_score {
    size_t pair, layer, pos;
    double heads, neurons;
} tl_study_picture_score;

/* ---- does attribution tell the truth? ---------------------------------------- */

/* One component of one discovery pair: the exact effect of patching it, and its score
 * attributed with so many steps; 0: by relevance, which has none. */
typedef struct tl_study_effect {
    tl_modality modality;
    size_t pair, component, ig_steps;
    const char *kind; /* "heads", "neurons" */
    size_t layer, pos, index;
    double exact, attributed;
} tl_study_effect;

/* TL_ROW_LEADING has the same of the components that lead by score over all discovery pairs,
 * TL_LEADING_STUDIED of each kind, attributed as the study attributes: `component` is their
 * place, heads first. */
enum { TL_LEADING_STUDIED = 20 };

/* The score that ranks it on that pair alone, by the study's method and reduction of heads. */
typedef struct tl_study_ranked {
    tl_modality modality;
    size_t pair, component;
    double score;
} tl_study_ranked;

/* One pair: the sum of its integrated gradient, and LD(clean) - LD(counterfactual). */
typedef struct tl_study_completeness {
    tl_modality modality;
    size_t pair, ig_steps;
    double attributed, difference;
} tl_study_completeness;

/* What the study's precision makes of the first discovery pairs, beside f32: correlation of
 * orders, Jaccard index of circuits of one size, their faithfulness, and the largest
 * difference of LD(clean) as a share of f32's (tl_precision_compare). */
typedef struct tl_study_precision {
    tl_modality modality;
    size_t n_pairs;
    const char *fraction; /* as written: of the smallest faithful circuit, else "0.1" */
    double spearman_heads, spearman_neurons;
    double jaccard_heads, jaccard_neurons;
    double faithfulness_f32, faithfulness;
    double logit_diff;
} tl_study_precision;

/* ---- how well circuits do the job -------------------------------------------- */

/* How the components of a circuit are chosen: by attribution, by how much activations
 * differ, at random; in the order of their names. */
typedef enum tl_study_kind {
    TL_STUDY_CIRCUIT,
    TL_STUDY_MAGNITUDE,
    TL_STUDY_RANDOM
} tl_study_kind;
enum { TL_STUDY_KIND_COUNT = TL_STUDY_RANDOM + 1 };

/* Logit differences of one evaluation pair: of the clean run, and with everything ablated.
 */
typedef struct tl_study_baseline {
    tl_modality modality;
    size_t pair; /* its place in the evaluation part */
    double clean, none;
} tl_study_baseline;

/* The same pair with everything ablated but a circuit: of one kind, at one point of the
 * grid of sizes. */
typedef struct tl_study_evaluation {
    tl_modality modality;
    tl_study_kind kind;
    size_t pair, point;
    double logit_diff;
} tl_study_evaluation;

/* One point of a faithfulness curve. */
typedef struct tl_study_point {
    tl_modality modality;
    tl_study_kind kind;
    size_t point;
    const char *fraction; /* as written */
    size_t n_heads, n_neurons;
    double mean_of_ratios, ratio_of_means, median;
    size_t n, n_excluded;
} tl_study_point;

/* The smallest circuit above the threshold. */
typedef struct tl_study_minimal {
    tl_modality modality;
    bool found;
    size_t point; /* in the curve; valid if found */
} tl_study_minimal;

/* A circuit that the smallest faithful one is tested against (docs/math.md eq. 22): itself,
 * all components that are not in it ("complement"), as many in each segment ("random"), or
 * itself "without" or "with" one component. */
typedef struct tl_study_test {
    tl_modality modality;
    size_t test; /* its place among the modality's */
    const char *circuit;
    bool has_component;
    const char *kind; /* "heads", "neurons"; NULL: there is no such component */
    size_t layer, pos, index;
} tl_study_test;

/* The logit difference of an evaluation pair under it. */
typedef struct tl_study_test_run {
    tl_modality modality;
    size_t pair, test;
    double logit_diff;
} tl_study_test_run;

/* ---- the two circuits beside each other -------------------------------------- */

/* Intersection over union in one segment, or of the whole circuit: of the heads, of the neurons, or the mean of the
 * two ("both"); in positions of either modality; and the same of random circuits. */
typedef struct tl_study_overlap {
    const char *segment, *kind;
    double iou, in_text, in_image;
    bool is_empty;
    double random, deviation; /* mean and standard deviation over draws */
} tl_study_overlap;

/* The intersection over union without a part of the discovery pairs of a modality. */
typedef struct tl_study_overlap_without {
    tl_modality modality;
    size_t part;
    const char *segment, *kind;
    double iou;
} tl_study_overlap_without;

/* One circuit of an interchange: the host's, with a segment of the other modality's, or
 * a random one in its place. */
typedef struct tl_study_swap {
    tl_modality host;
    size_t swap;         /* its place among the host's */
    const char *swapped; /* "data", "query", "generation", "none" */
    bool is_random;
    size_t draw; /* of the random ones */
    size_t n_heads, n_neurons;
} tl_study_swap;

/* The logit difference of one evaluation pair of the host under one of its swaps. The clean
 * run and that with everything ablated are those of the pair's baseline. */
typedef struct tl_study_swap_run {
    tl_modality host;
    size_t pair, swap;
    double logit_diff;
} tl_study_swap_run;

/* ---- what image states are like ---------------------------------------------- */

/* An image prompt and the text prompt of the same content, in one layer: see
 * tl_alignment_values. NaN: no pair has other words and another answer. */
typedef struct tl_study_alignment {
    size_t pair, layer;
    size_t text_row, image_row; /* in the dataset */
    double matched, other, centred_matched, centred_other;
} tl_study_alignment;

/* ---- back-patching ----------------------------------------------------------- */

/* The states of layer `source` are written into layer `destination`. */
typedef struct tl_study_cell {
    size_t cell; /* its place in the grid */
    size_t window, source, destination;
} tl_study_cell;

/* How many tokens the text of a pair has, pairs numbered as below. */
typedef struct tl_study_text_length {
    size_t pair;
    size_t n_pos;
} tl_study_text_length;

/* One prompt of a pair: was it right without patching, and under each cell? One
 * character each, "0" or "1", or "-" where it was not run. After a search pairs are
 * numbered in its order (docs/math.md eq. 20). */
typedef struct tl_study_patched {
    tl_modality modality;
    size_t pair;
    size_t row; /* in the dataset */
    bool is_right;
    const char *cells;
} tl_study_patched;

/* An image prompt under one cell again and again: one character after each time, the first
 * without patching. The cell is the best of all; of TL_ROW_CROSSED_ITERATION the best on
 * that half of the prompts which this one is not in. */
typedef struct tl_study_iteration {
    size_t pair, cell;
    size_t row; /* in the dataset */
    const char *times;
} tl_study_iteration;

/* ---- what it took ------------------------------------------------------------- */

/* What the units of a stage that are in the store took: floating-point operations of
 * products with weights (tl_model_product_flops), without the vision tower. */
typedef struct tl_study_work {
    const char *stage;
    int64_t product_flops;
} tl_study_work;

/* Bytes beside the weights: "planned", the least that the study can do with; "limit", what
 * it was allowed; "peak", the most that it has held at a time, in any of its runs. */
typedef struct tl_study_memory {
    const char *what;
    int64_t bytes;
} tl_study_memory;

TL_END_DECLS

#endif
