/* SPDX-License-Identifier: MIT
 *
 * layernorm.h - layer normalization, forward only: vision towers are run, never
 * differentiated.
 */
#ifndef TWINLENS_OP_LAYERNORM_H
#define TWINLENS_OP_LAYERNORM_H

#include <stddef.h>

/*
 *     y[r,i] = (x[r,i] - mean_r) / sqrt(var_r + eps) weight[i] + bias[i]
 *
 * with the mean and the (biased) variance of row r. y may be x.
 * @source   arXiv:1607.06450
 */
void tl_layernorm_forward(size_t rows, size_t width, float eps, const float *x,
                          const float *weight, const float *bias, float *y);

#endif
