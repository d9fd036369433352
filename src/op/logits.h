/* SPDX-License-Identifier: MIT
 *
 * logits.h - the logits of a few tokens, and the gradients of a difference of two and of
 * other metrics.
 *
 *   x [.., d_model]   what enters the unembedding W [n_vocab, d_model]
 *   cap               soft cap of the logits; 0: none
 *
 *     s[r,i]     = sum_k x[rows[r],k] W[ids[i],k]
 *     logit[r,i] = cap tanh(s[r,i] / cap), or s[r,i] without a cap
 *
 * Sums and logits are double and are not rounded to float: a difference of two logits is
 * what everything above is measured in.
 */
#ifndef TWINLENS_OP_LOGITS_H
#define TWINLENS_OP_LOGITS_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/site.h"
#include "twinlens/tensor.h"
#include "twinlens/terms.h"

/* cap tanh(logit / cap); `logit` itself with a cap of 0. */
double tl_softcap(double logit, float cap);

/* Shapes  ids [n_ids], each below n_vocab; rows [n_rows]; out [n_rows, n_ids] */
void tl_logits_of(const tl_tensor *weight, size_t n_rows, const uint32_t *rows,
                  const float *x, size_t n_ids, const int32_t *ids, float cap,
                  double *out);

/*
 * With the s of a and b above and t = s / cap:
 *
 *     dx[rows[r],k] = f(s_a) W[a[r],k] - f(s_b) W[b[r],k]
 *     gradient    f = 1 - tanh(t)^2     the slope of the cap
 *     relevance   f = tanh(t) / t       its ratio is a constant; 1 at t = 0
 *
 * Without a cap f = 1.
 *
 * Shapes  a, b [n_rows]; s [n_rows, 2] of a and b, read with a cap only
 * Writes  these rows of dx, and no others
 */
void tl_logit_diff_gradient(tl_backward_rule rule, const tl_tensor *weight,
                            size_t n_rows, const uint32_t *rows, const int32_t *a,
                            const int32_t *b, float cap, const double *s, float *dx);

/* Of logits [n_vocab], in double: those of TL_METRIC_PROBABILITY and _CROSS_ENTROPY. */
double tl_metric_of_logits(tl_metric metric, const float *logits, size_t n_vocab,
                           int32_t a);

/*
 * The gradient of the metrics of one answer. With the s and logits above and
 * p = softmax(logits) over the vocabulary:
 *
 *     dx[rows[r],k] = sum_j g_j f(s_j) W[j,k]
 *     logit  g_j = [j = a]      ce  g_j = [j = a] - p_j      prob  g_j = p_a ([j = a] - p_j)
 *
 * Requires  a rule other than the gradient for `logit` alone: a softmax has no ratio
 * Shapes    a [n_rows]; room [n_vocab] doubles, not used for `logit`
 * Writes    these rows of dx, and no others
 */
void tl_metric_gradient(tl_metric metric, tl_backward_rule rule,
                        const tl_tensor *weight, size_t n_rows, const uint32_t *rows,
                        const int32_t *a, float cap, const float *x, double *room,
                        float *dx);

#endif
