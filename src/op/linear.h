/* SPDX-License-Identifier: MIT
 *
 * linear.h - a linear layer and its gradient in x.
 *
 *     y[r,o]  = sum_i x[r,i] W[o,i] + bias[o]
 *     dx[r,i] = sum_o dy[r,o] W[o,i]
 *
 * `add` adds to the output instead of writing it; then the old value enters the
 * double sum and the result is rounded once. W is bf16, f16 or f32. `bf16`: x, or dy, and W
 * are rounded to bf16 first, to the nearest, of two as near to the even one.
 */
#ifndef TWINLENS_OP_LINEAR_H
#define TWINLENS_OP_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/tensor.h"

/* Shapes  x [R,n_in], W [n_out,n_in], bias [n_out] or NULL, y [R,n_out] */
void tl_linear_forward(const tl_tensor *weight, const float *bias, size_t rows,
                       const float *x, float *y, bool add, bool bf16);
void tl_linear_backward(const tl_tensor *weight, size_t rows, const float *dy,
                        float *dx, bool add, bool bf16);

/*
 * A part of a layer, the outputs or the inputs that `index` lists, in its order:
 *
 *     rows       y[r,j] = sum_i x[r,i] W[index[j],i] + bias[index[j]]
 *     columns    y[r,o] = sum_j x[r,j] W[o,index[j]]
 *
 * Shapes  index [n]; rows: x [R,n_in], y [R,n]; columns: x [R,n], y [R,n_out]
 */
void tl_linear_rows(const tl_tensor *weight, const float *bias, size_t n,
                    const uint32_t *index, size_t rows, const float *x, float *y,
                    bool add);
void tl_linear_columns(const tl_tensor *weight, size_t n, const uint32_t *index,
                       size_t rows, const float *x, float *y, bool add);

#endif
