/* SPDX-License-Identifier: MIT
 *
 * pass.h - one run of the decoder over a ragged batch of prompts, and back.
 *
 *     tl_pass *pass = NULL;
 *     tl_pass_create(model, &pass, &err);
 *     tl_pass_forward(pass, prompts, n, &options, &err);
 *     tl_pass_logit_diff(pass, 0, answer, counterfactual_answer, &ld, &err);
 *     tl_pass_backward(pass, answers, counterfactual_answers, &err);
 *     tl_pass_destroy(pass);
 *
 * Prompts are laid end to end without padding, and the numbers of one do not
 * depend on the others, down to the last bit. A pass reuses its memory, and
 * keeps the results of the last forward until the next one.
 *
 * The passes of one model share the backend's memory, so one of them computes at a
 * time. A second one, of another thread or begun by a tap of the first, is refused with
 * TL_ERR_ARGUMENT and can be tried again when the first is done. Two threads that want
 * to compute at once open the model twice; the system keeps one copy of mapped weights.
 */
#ifndef TWINLENS_PASS_H
#define TWINLENS_PASS_H

#include "twinlens/api.h"
#include "twinlens/model.h"
#include "twinlens/site.h"
#include "twinlens/terms.h"

TL_BEGIN_DECLS

typedef struct tl_pass tl_pass;

/* Rotated keys and values of the leading positions of a prompt, all layers: arrays of the
 * model's backend, the caller's. */
typedef struct tl_prefix {
    size_t n_pos;
    float *k, *v; /* [n_layers, n_pos, n_kv_heads, d_head] */
} tl_prefix;

/* Elements of k, and of v. */
size_t tl_prefix_count(const tl_dims *dims, size_t n_pos);

typedef struct tl_pass_prompt {
    tl_input input;
    /* [n_pos, d_model], an array of the backend: the stream that enters the first layer
     * that is run, instead of the input's embeds. NULL: the embeds. */
    const float *resid_pre;
    /* The first prefix->n_pos positions (fewer than input.n_pos) are not computed
     * but taken from here. NULL: compute all. */
    const tl_prefix *prefix;
    /* Receives keys and values of the first collect->n_pos positions, those of
     * its own prefix included. NULL: do not. */
    tl_prefix *collect;
} tl_pass_prompt;

/* Attention after its softmax, of all layers that are run, in memory of the host. Row i of a
 * head is what position i takes from each position: it sums to 1, and is 0 where i does not
 * see. */
typedef struct tl_pattern_reading {
    size_t prompt; /* index in the batch */
    float *to;     /* [n_layers, n_heads, n_pos, n_pos] */
} tl_pattern_reading;

typedef struct tl_pass_options {
    size_t size; /* sizeof(tl_pass_options); 0: that of today */
    const tl_reading *readings;
    size_t n_readings;
    const tl_edit *edits;
    size_t n_edits;
    const tl_tap *taps;
    size_t n_taps;
    bool for_backward;    /* keep (or be able to recompute) what the way back needs */
    size_t memory_budget; /* bytes the pass may use; 0: no limit. A pass for the way
                             back keeps as many layers as fit and recomputes others */
    bool last_only;       /* in the last layer compute the last position only */
    size_t first_layer;   /* layers below are not run: the inputs' embeds are resid_pre
                             of this one */
    tl_backward_rule backward_rule; /* of a pass for the way back */
    tl_metric metric;               /* what is differentiated */
    bool
        keys_only; /* of first_layer compute keys and values, for `collect`, and nothing
                       behind them: there are no logits, and no way back */
    const tl_pattern_reading
        *patterns; /* of a pass without prefixes, last_only and keys_only: attention is
                      computed once more for each d_head positions */
    size_t n_patterns;
} tl_pass_options;

tl_status tl_pass_create(tl_model *model, tl_pass **out, tl_error *err);
void tl_pass_destroy(tl_pass *pass);

/* Prompts, readings, edits, taps and all that they point at are the caller's, and stay
 * until the way back is over. Errors: TL_ERR_ARGUMENT naming what makes no sense,
 * TL_ERR_NO_MEMORY when the least memory exceeds the budget (the text says both),
 * TL_ERR_BACKEND, and whatever a tap returns. */
tl_status tl_pass_forward(tl_pass *pass, const tl_pass_prompt *prompts,
                          size_t n_prompts, const tl_pass_options *options,
                          tl_error *err);

/* logit[a] - logit[b] at the last position of a prompt, in double. */
tl_status tl_pass_logit_diff(tl_pass *pass, size_t prompt, int32_t a, int32_t b,
                             double *out, tl_error *err);

/* A metric at the last position of a prompt, of answers a and b. */
tl_status tl_pass_metric(tl_pass *pass, size_t prompt, tl_metric metric, int32_t a,
                         int32_t b, double *out, tl_error *err);

/* The logits of some tokens at the last position, in double [n_ids]. */
tl_status tl_pass_logits_of(tl_pass *pass, size_t prompt, const int32_t *ids,
                            size_t n_ids, double *out, tl_error *err);

/* All logits at the last position [n_vocab]; and at all computed positions
 * [n_pos - prefix, n_vocab] (not after a last_only pass); `out` is the host's. Up to 64
 * rows of logits are kept meanwhile, beside the plan. */
tl_status tl_pass_logits_last(tl_pass *pass, size_t prompt, float *out, tl_error *err);
tl_status tl_pass_logits_all(tl_pass *pass, size_t prompt, float *out, tl_error *err);

/* d(metric of a[p], b[p]) / d(sites) for every prompt p, for the readings of gradients and
 * the taps, by the metric of the options; or their relevance, by the rule of the options. After a forward with
 * for_backward, once. */
tl_status tl_pass_backward(tl_pass *pass, const int32_t *a, const int32_t *b,
                           tl_error *err);

/* Bytes that forward (and backward) need for these prompts with these options:
 * the plan. tl_pass_peak_bytes: the most that was used in fact. */
tl_status tl_pass_bytes(const tl_model *model, const size_t *n_pos,
                        const size_t *n_prefix, size_t n_prompts,
                        const tl_pass_options *options, size_t *out, tl_error *err);
size_t tl_pass_peak_bytes(const tl_pass *pass);

/* The smallest budget that a pass over one prompt of n_pos positions is admitted with: for
 * the way back no layer is kept. Of `options`, which may be NULL, what shapes the pass. */
tl_status tl_pass_least_bytes(const tl_model *model, size_t n_pos,
                              const tl_pass_options *options, size_t *out,
                              tl_error *err);

/* What tl_model_product_flops() grows by in a pass over these prompts, and for the way back
 * in its way back, with the layers that the budget makes it compute again. The towers of
 * their images and logits of all tokens are not in it. */
tl_status tl_pass_flops(const tl_model *model, const size_t *n_pos,
                        const size_t *n_prefix, size_t n_prompts,
                        const tl_pass_options *options, uint64_t *out, tl_error *err);

/* Gives back what the pass keeps from batch to batch, if that is more than `bytes`; the
 * results of the last forward are gone then. */
void tl_pass_shrink(tl_pass *pass, size_t bytes);

/*
 * How many prompts of n_rows positions make a good pass: enough rows for full
 * speed, more while the pass stays small in bytes (narrow models), not more than
 * the budget of `options` allows (but at least one; the pass then saves memory by
 * itself or says that it cannot). Options may be NULL.
 */
tl_status tl_pass_batch_size(const tl_model *model, const tl_pass_options *options,
                             size_t n_rows, size_t *out, tl_error *err);

TL_END_DECLS

#endif
