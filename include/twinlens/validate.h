/* SPDX-License-Identifier: MIT
 *
 * validate.h - does attribution tell the truth? The exact effect of patching one
 * component, to be compared with its attributed score, and how far the integrated
 * gradient is from adding up.
 *
 *     tl_validator *validator = NULL;
 *     tl_validator_create(model, 0, &validator, &err);
 *     tl_validator_effects(validator, &pair, components, n, effects, &clean, &err);
 *     tl_validator_completeness(validator, &pair, 5, &attributed, &difference, &err);
 *
 * or both at once, on a sample of the components of a pair:
 *
 *     tl_validation found;
 *     tl_validator_pair(validator, &pair, &options, seed, arena, &found, &err);
 *     tl_validator_destroy(validator);
 */
#ifndef TWINLENS_VALIDATE_H
#define TWINLENS_VALIDATE_H

#include "twinlens/api.h"
#include "twinlens/circuit.h"
#include "twinlens/overlap.h"

TL_BEGIN_DECLS

typedef struct tl_component {
    tl_component_kind kind;
    size_t layer, pos, index; /* head or neuron */
} tl_component;

/* One pass and its buffers, for all pairs of a stage. */
typedef struct tl_validator tl_validator;

/* memory_budget: bytes for all that it holds; 0: no limit. */
tl_status tl_validator_create(tl_model *model, size_t memory_budget, tl_validator **out,
                              tl_error *err);
void tl_validator_destroy(tl_validator *validator);

/*
 * effects[i] receives LD(clean run with component i at its counterfactual value) -
 * LD(clean run), what a signed score stands for (docs/math.md eq. 16). One
 * run each; the layers from the component's on are computed again. *clean receives LD(clean).
 * TL_ERR_ARGUMENT for a component that the model or prompt does not have.
 */
tl_status tl_validator_effects(tl_validator *validator, const tl_pair *pair,
                               const tl_component *components, size_t n,
                               double *effects, double *clean, tl_error *err);

/*
 * Completeness of the integrated gradient with m steps: the sum over all input
 * coordinates of (e - e') times the mean gradient at x_1 ... x_m (docs/math.md eq. 2), and
 * LD(e) - LD(e'), which it tends to as m grows.
 */
tl_status tl_validator_completeness(tl_validator *validator, const tl_pair *pair,
                                    size_t ig_steps, double *attributed,
                                    double *difference, tl_error *err);

/*
 * Draws n of n_screened components whose scores by each of n_ways ways to attribute are
 * known [n_ways, n_screened], without replacement: in turn one of the largest thirty-second
 * (but at least n) by the first way's scores, by the second's ..., and one of all. Every way
 * is given as many, so that none is judged on what another has chosen. chosen[n] receives
 * their places. TL_ERR_ARGUMENT when there are fewer.
 */
tl_status tl_validate_draw(const double *scores, size_t n_ways, size_t n_screened,
                           size_t n, uint64_t seed, size_t *chosen, tl_error *err);

/* Ways to attribute: integrated gradients as published with so many steps, and others. All
 * are judged on one sample, in whose choice they count alike. */
typedef struct tl_validate_options {
    size_t size; /* sizeof(tl_validate_options); 0: that of today */
    const size_t *ig_steps;
    size_t n_ig_steps;
    size_t n_components; /* heads, and as many neurons; fewer where there are no more */
    const tl_attribution_options *others; /* method, ig_steps, ig_rule and ig_path */
    size_t n_others;
    /* What ranks components: these scores, with their reductions of heads, beside the
     * size of exact effects; NULL: none. */
    const tl_attribution_options *ranked;
    const char *folder; /* where sums and scores are, as in tl_attribution_options */
    /* Components that are patched and attributed beside the sample, which they change
     * nothing of. Functions that only ask what it takes do not look at them. */
    const tl_component *also;
    size_t n_also;
} tl_validate_options;

typedef struct tl_validation {
    size_t n;                       /* components: heads, neurons, then those of `also` */
    const tl_component *components; /* [n] */
    const double *exact;            /* [n] */
    const double *attributed;       /* [n_ig_steps + n_others, n], with sign */
    const double *gradient;         /* [n_ig_steps + n_others], see tl_completeness */
    double difference;
    const double *ranked; /* [n], as the pair's own ranking has them; NULL: not asked */
} tl_validation;

/* The least budget that a validator can do with for prompts of n_pos positions: an
 * attribution of one pair and its scores, or the buffers and a pass of an exact effect, or of
 * the completeness, whichever is most. Not in it are weights and their cache, what
 * products work with, the pair and the results. With less, all that a validator does is
 * refused. Options may be NULL: those of no component. */
tl_status tl_validator_bytes(const tl_model *model, size_t n_pos,
                             const tl_validate_options *options, size_t *out,
                             tl_error *err);

/* Results live in `arena`. */
tl_status tl_validator_pair(tl_validator *validator, const tl_pair *pair,
                            const tl_validate_options *options, uint64_t seed,
                            tl_arena *arena, tl_validation *out, tl_error *err);

/* ---- precision --------------------------------------------------------------------- */

/* What a precision makes of some pairs, beside f32 (docs/math.md eq. 21). */
typedef struct tl_precision_check {
    size_t n_pairs;
    double spearman[TL_KIND_COUNT]; /* of the orders of heads, of neurons by score */
    double
        jaccard[TL_KIND_COUNT]; /* of the circuits of one size; NaN: they are empty */
    double faithfulness[2];     /* of each precision's circuit, by its own runs, mean of
                               ratios; f32 first */
    double logit_diff; /* the largest |difference| of LD(clean), as a share of f32's */
} tl_precision_check;

typedef struct tl_precision_options {
    size_t size; /* sizeof(tl_precision_options); 0: that of today */
    tl_attribution_options
        attribution; /* its budget is not looked at; orders are where its sums are */
    tl_fraction fraction;               /* the circuits' size */
    tl_fraction_rounding rounding;
    size_t memory_budget; /* bytes for all that it holds; 0: no limit */
} tl_precision_options;

/* The precision is the model's, which it has again when this returns; between, it has f32.
 * TL_ERR_ARGUMENT without pairs or without a size; TL_ERR_NO_MEMORY when the budget is too
 * little. */
tl_status tl_precision_compare(tl_model *model, const tl_pair *pairs, size_t n,
                               const tl_precision_options *options,
                               tl_precision_check *out, tl_error *err);

/* The least budget that this can do with for prompts of n_pos positions: two orders of all
 * components, and an attribution, the making of an order, or an evaluator. Not in it are
 * weights and their cache, what products work with, and the pairs. */
tl_status tl_precision_bytes(const tl_model *model, size_t n_pos,
                             const tl_precision_options *options, size_t *out,
                             tl_error *err);

TL_END_DECLS

#endif
