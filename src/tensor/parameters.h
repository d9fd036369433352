/* SPDX-License-Identifier: MIT
 *
 * parameters.h - the parameters of a layer as a model's file has them.
 */
#ifndef TWINLENS_TENSOR_PARAMETERS_H
#define TWINLENS_TENSOR_PARAMETERS_H

#include <stdbool.h>

#include "twinlens/tensor.h"

/* A linear layer: weight [n_out, n_in] in the file's own dtype (f32, f16, bf16), usually
 * mapped; bias [n_out] in f32, or NULL. */
typedef struct tl_linear {
    tl_tensor weight;
    const float *bias;
    bool bf16; /* whole products of it round both factors to bf16 first, sums are f32 */
} tl_linear;

typedef struct tl_norm {
    const float *weight; /* [width] */
    const float *bias;   /* [width], layer norm only */
} tl_norm;

#endif
