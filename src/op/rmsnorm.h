/* SPDX-License-Identifier: MIT
 *
 * rmsnorm.h - root-mean-square normalization, forward and backward.
 *
 *   R  rows: positions, or positions x heads when q and k are normalized
 *   N  width: d_model, or d_head when q and k are normalized
 *
 * Like every op it differentiates with respect to activations only.
 */
#ifndef TWINLENS_OP_RMSNORM_H
#define TWINLENS_OP_RMSNORM_H

#include <stddef.h>

#include "twinlens/site.h"

/*
 *     s[r]   = 1 / sqrt(mean_i(x[r,i]^2) + eps)
 *     y[r,i] = x[r,i] s[r] weight[i]
 *
 * Shapes    x, y [R,N]; weight [N]; inv_rms [R] receives s, or is NULL. y may be x.
 * Requires  N >= 1, eps >= 0, and eps > 0 if a row of x may be all zero
 * Accuracy  each stored value is the double result, rounded once
 * Note      Gemma stores weight - 1; the loader adds the one
 * @source   arXiv:1910.07467 eq. 4; eps under the root as in Qwen2-VL
 */
void tl_rmsnorm_forward(size_t rows, size_t width, float eps, const float *x,
                        const float *weight, float *y, float *inv_rms);

/*
 * With g[r,i] = dy[r,i] weight[i] and s = inv_rms of the forward:
 *
 *     gradient    dx[r,i] += s[r] (g[r,i] - x[r,i] s[r]^2 mean_j(g[r,j] x[r,j]))
 *     relevance   dx[r,i] += s[r] g[r,i]                         s is a constant
 *
 * Shapes    x, dy, dx [R,N]; weight [N]; inv_rms [R]; relevance does not read x
 * Adds      into dx: the residual stream has several readers. The old value enters
 *           the double sum, and the result is rounded once
 */
void tl_rmsnorm_backward(tl_backward_rule rule, size_t rows, size_t width,
                         const float *x, const float *weight, const float *inv_rms,
                         const float *dy, float *dx);

#endif
