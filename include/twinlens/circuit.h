/* SPDX-License-Identifier: MIT
 *
 * circuit.h - which heads and neurons matter at which position: attribution,
 * selection of a circuit, and its faithfulness.
 *
 *     tl_attribution *attribution = NULL;
 *     tl_attribution_create(model, n_pos, NULL, &attribution, &err);
 *     for (size_t i = 0; i < n_discovery; i++)
 *         tl_attribution_add(attribution, &discovery[i], 1, &err);
 *     tl_attribution_scores(attribution, arena, &scores, &err);
 *     tl_ranking_from_scores(&scores, arena, &ranking, &err);
 *     tl_fraction_parse("0.05", &fraction, &err);
 *     circuit = tl_circuit_at(&ranking, fraction, TL_FRACTION_EXACT);
 *     tl_evaluate(model, evaluation, n_evaluation, &circuit, 1, NULL, results, &err);
 *     tl_attribution_destroy(attribution);
 *
 * A component is (layer, position, head) or (layer, position, neuron); arrays over
 * components are [n_layers, n_pos, n_heads] and [n_layers, n_pos, d_mlp].
 */
#ifndef TWINLENS_CIRCUIT_H
#define TWINLENS_CIRCUIT_H

#include "twinlens/api.h"
#include "twinlens/model.h"

TL_BEGIN_DECLS

/* A clean prompt and its counterfactual, equally long, with the first tokens of
 * their two answers, which must differ. */
typedef struct tl_pair {
    tl_input clean, counterfactual;
    int32_t answer, counterfactual_answer;
} tl_pair;

/* The number of leading positions at which the two are the same input: there
 * every activation is the same too. Less than n_pos. */
size_t tl_pair_shared_prefix(const tl_pair *pair, size_t d_model);

/* ---- attribution (docs/math.md eq. 3) ------------------------------------------------ */

typedef enum tl_method {
    TL_METHOD_IG,   /* integrated gradients, as published */
    TL_METHOD_RELP, /* relevance patching (eq. 19): one way back, from the clean prompt;
                       there are no steps, and nothing is interpolated */
} tl_method;

typedef enum tl_ig_rule {
    TL_IG_RIGHT,    /* step k at k/m, as published: the last is the clean prompt */
    TL_IG_MIDPOINT, /* at (k - 1/2)/m; the clean prompt is a run of its own */
} tl_ig_rule;

typedef enum tl_ig_path {
    TL_IG_FULL,      /* interpolate the assembled input */
    TL_IG_TEXT_ONLY, /* as published: image positions stay clean */
} tl_ig_path;

typedef enum tl_head_reduce {
    TL_HEAD_ABS_DIM, /* sum over d_head of absolute values */
    TL_HEAD_DOT,     /* absolute value of the sum */
} tl_head_reduce;

typedef enum tl_prompt_reduce {
    TL_PROMPT_ABS,    /* absolute value of each prompt, then the mean */
    TL_PROMPT_SIGNED, /* the mean, then the absolute value */
} tl_prompt_reduce;

typedef struct tl_attribution_options {
    size_t size;     /* sizeof(tl_attribution_options); 0: that of today */
    size_t ig_steps; /* 0: 5 */
    tl_ig_path ig_path;
    tl_head_reduce head_reduce;
    tl_prompt_reduce prompt_reduce;
    bool raw_sign;        /* no absolute value anywhere; heads are dot products */
    size_t memory_budget; /* bytes for all that it holds; 0: no limit */
    bool magnitudes;      /* also for tl_attribution_magnitudes() */
    tl_method method;
    tl_ig_rule ig_rule;
    tl_metric metric; /* with TL_METHOD_RELP one without a softmax */
    const char
        *folder; /* of files without a name, where the sums are: no part of the budget
                         * (tl_arena_create_in); NULL: they are in memory */
} tl_attribution_options;

typedef struct tl_scores {
    size_t n_layers, n_pos, n_heads, d_mlp;
    float *heads;   /* [n_layers, n_pos, n_heads] */
    float *neurons; /* [n_layers, n_pos, d_mlp] */
} tl_scores;

typedef struct tl_attribution tl_attribution;

/* All prompts have n_pos positions. Options may be NULL. */
tl_status tl_attribution_create(tl_model *model, size_t n_pos,
                                const tl_attribution_options *options,
                                tl_attribution **out, tl_error *err);
void tl_attribution_destroy(tl_attribution *attribution);

/* The least budget that an attribution can do with for prompts of n_pos positions: its sums
 * if they are in memory, the buffers and one interpolated input of a pair, and a pass over one prompt that keeps no
 * layer. Not in it are weights and their cache, what products work with, the pairs, and
 * the scores, which are the caller's. With less, tl_attribution_create() refuses. Options
 * may be NULL; their budget is not looked at. */
tl_status tl_attribution_bytes(const tl_model *model, size_t n_pos,
                               const tl_attribution_options *options, size_t *out,
                               tl_error *err);

/* Adds pairs one after the other; how they are grouped into calls changes no bit. */
tl_status tl_attribution_add(tl_attribution *attribution, const tl_pair *pairs,
                             size_t n_pairs, tl_error *err);

/* How many pairs one call can use well at a time. */
size_t tl_attribution_group(const tl_attribution *attribution);

/* The mean over the pairs added so far, in `arena`. TL_ERR_DATA when none was. */
tl_status tl_attribution_scores(const tl_attribution *attribution, tl_arena *arena,
                                tl_scores *out, tl_error *err);

/* The means of magnitudes over the pairs added so far, of attributions with them: how far
 * the activations of the two prompts are apart, without any gradient. Of a head the sum
 * over d_head of |counterfactual - clean|. What attribution is worth shows itself beside a
 * circuit that is chosen by this. */
tl_status tl_attribution_magnitudes(const tl_attribution *attribution, tl_arena *arena,
                                    tl_scores *out, tl_error *err);

/* Pairs are added up in blocks of so many, in the order in which they were added: the sum
 * of a block begins with 0, and is added to the total when the block is full. */
enum { TL_ATTRIBUTION_BLOCK = 8 };

/* The running sums, to be saved and put back when a run is interrupted, after any pair:
 * borrowed arrays of doubles, each the total and then the block under way, and the number
 * of pairs in them. */
enum { TL_ATTRIBUTION_SUMS = 4 };
typedef struct tl_attribution_state {
    size_t n_pairs, n_sums;
    struct {
        const char
            *name; /* "heads", "neurons"; with magnitudes "head_magnitudes" ... */
        double *values;
        size_t n; /* of values */
    } sums[TL_ATTRIBUTION_SUMS];
} tl_attribution_state;
tl_attribution_state tl_attribution_get_state(tl_attribution *attribution);
void tl_attribution_set_count(tl_attribution *attribution, size_t n_pairs);

/* Counts n_pairs pairs whose sums the caller has put into the block under way, which was
 * empty: those of another attribution, where they were a block as well. */
void tl_attribution_count_block(tl_attribution *attribution, size_t n_pairs);

/* Begins again with no pair, in the same memory. */
void tl_attribution_clear(tl_attribution *attribution);

/* ---- circuits (docs/math.md eq. 4) ---------------------------------------------------- */

/* rank[i] = place of component i by descending score; ties: lower index first. */
typedef struct tl_ranking {
    size_t n_layers, n_pos, n_heads, d_mlp;
    uint32_t *heads, *neurons;
} tl_ranking;

/* TL_ERR_DATA if a score is not finite. */
tl_status tl_ranking_from_scores(const tl_scores *scores, tl_arena *arena,
                                 tl_ranking *out, tl_error *err);
/* A uniformly random order; the same seed gives the same on every machine. */
tl_status tl_ranking_random(const tl_ranking *shape, uint64_t seed, tl_arena *arena,
                            tl_ranking *out, tl_error *err);

/* Any components: a byte each, 1 for those in the set. */
typedef struct tl_component_set {
    size_t n_layers, n_pos, n_heads, d_mlp;
    uint8_t *heads, *neurons;
} tl_component_set;

/* The components whose rank is below the cut; or a set. */
typedef struct tl_circuit {
    const tl_ranking *ranking;
    size_t n_heads, n_neurons;
    const tl_component_set *set; /* NULL: by rank */
} tl_circuit;

/* A fraction of components, kept as the decimal that was written. */
typedef struct tl_fraction {
    uint64_t numerator, denominator; /* denominator a power of ten */
} tl_fraction;

/* "0.005", "1", ".2", "5e-3"; TL_ERR_ARGUMENT outside 0..1 or if not a number. */
tl_status tl_fraction_parse(const char *text, tl_fraction *out, tl_error *err);
double tl_fraction_value(tl_fraction fraction);

typedef enum tl_fraction_rounding {
    TL_FRACTION_EXACT, /* floor(p count) in exact arithmetic */
    TL_FRACTION_F32,   /* as published: p rounded to float first */
} tl_fraction_rounding;

size_t tl_fraction_of(tl_fraction fraction, size_t count,
                      tl_fraction_rounding rounding);
tl_circuit tl_circuit_at(const tl_ranking *ranking, tl_fraction fraction,
                         tl_fraction_rounding rounding);
/* With fractions of their own for heads and for neurons. */
tl_circuit tl_circuit_of(const tl_ranking *ranking, tl_fraction heads,
                         tl_fraction neurons, tl_fraction_rounding rounding);

/* ---- faithfulness (docs/math.md eq. 6) ---------------------------------------------- */

/* How the clean prompt is run under a circuit. */
typedef enum tl_evaluate_how {
    TL_EVALUATE_AUTO, /* for each circuit what is cheaper, by its size and the model's */
    TL_EVALUATE_DENSE,  /* everything is computed, and then ablated */
    TL_EVALUATE_SPARSE, /* the heads and neurons of the circuit alone are computed */
} tl_evaluate_how;

/* What the heads and neurons outside a circuit are held at. */
typedef enum tl_ablate {
    TL_ABLATE_COUNTERFACTUAL, /* what they are in the counterfactual run */
    TL_ABLATE_MEAN,           /* their mean over other prompts (docs/math.md eq. 23) */
    TL_ABLATE_ZERO,           /* zero, at every position */
} tl_ablate;

typedef struct tl_evaluate_options {
    size_t size;          /* sizeof(tl_evaluate_options); 0: that of today */
    size_t memory_budget; /* bytes for all that it holds; 0: no limit */
    bool run_none;        /* run the all-ablated model instead of the identity that
                             its logit difference is the counterfactual run's */
    tl_evaluate_how how;
    bool no_clean; /* the clean run is not made where its logit difference is known:
                      `clean` of the results is NaN */
    tl_ablate ablate;
    tl_metric metric; /* other than the logit difference: TL_EVALUATE_DENSE */
} tl_evaluate_options;

/* Results of one pair: logit_diff, or another metric, of the clean run, of everything ablated, and of
 * every circuit. */
typedef struct tl_evaluation {
    double clean, none;
    double *circuit; /* [n_circuits], the caller's memory */
} tl_evaluation;

/* Evaluates pairs with the same memory: a stage of a study needs one. Options may be NULL.
 * Pairs of a call share work, where memory allows up to so many at a time; no bit depends on
 * it. */
enum { TL_EVALUATE_TOGETHER = 8 };
typedef struct tl_evaluator tl_evaluator;
tl_status tl_evaluator_create(tl_model *model, const tl_evaluate_options *options,
                              tl_evaluator **out, tl_error *err);
void tl_evaluator_destroy(tl_evaluator *evaluator);

/* The least budget that an evaluator can do with for prompts of n_pos positions: the
 * counterfactual activations of a pair, a pass over one prompt, and the tables of 200
 * circuits (more take 64 KiB, and 160 bytes each). Not in it are weights
 * and their cache, what products work with, pairs, circuits and results, which are the
 * caller's. With less, tl_evaluator_run() refuses. */
tl_status tl_evaluator_bytes(const tl_model *model, size_t n_pos, size_t *out,
                             tl_error *err);

/* With TL_ABLATE_MEAN: one more prompt to take the mean over, before the first run. All have
 * one length, and of a pair that is run the clean prompt is one of them; the mean is that
 * over the others. TL_ERR_ARGUMENT when it ablates otherwise, TL_ERR_DATA for another length. */
tl_status tl_evaluator_add_to_mean(tl_evaluator *evaluator, const tl_input *prompt,
                                   tl_error *err);

/* What an evaluator with TL_ABLATE_MEAN holds beside tl_evaluator_bytes(). */
size_t tl_evaluator_mean_bytes(const tl_model *model, size_t n_pos);

/* TL_ERR_DATA for a circuit or a pair of another shape, and with TL_ABLATE_MEAN when there
 * are no other prompts. */
tl_status tl_evaluator_run(tl_evaluator *evaluator, const tl_pair *pairs,
                           size_t n_pairs, const tl_circuit *circuits,
                           size_t n_circuits, tl_evaluation *results, tl_error *err);

/* The work of an evaluator so far. The unit is one forward pass over the clean prompt: the
 * multiply-adds of its products, all positions, of the last layer the last position alone. */
typedef struct tl_evaluation_work {
    size_t n_pairs;
    double counterfactual, clean, dense,
        sparse;      /* forward passes; `clean` with `none` */
    double gathered; /* weights fetched for single heads and neurons, by as many */
    size_t n_dense, n_sparse, n_known; /* circuits; `known` needed no run */
    size_t n_full_rows; /* of MLPs, computed in full under sparse circuits */
} tl_evaluation_work;
tl_evaluation_work tl_evaluator_work(const tl_evaluator *evaluator);

/* The same with an evaluator of its own; with TL_ABLATE_MEAN over the clean prompts of the
 * pairs. */
tl_status tl_evaluate(tl_model *model, const tl_pair *pairs, size_t n_pairs,
                      const tl_circuit *circuits, size_t n_circuits,
                      const tl_evaluate_options *options, tl_evaluation *results,
                      tl_error *err);

TL_END_DECLS

#endif
