/* SPDX-License-Identifier: MIT
 *
 * activation.h - the nonlinearities of the MLPs, alone and gated.
 *
 *     silu(x)       = x / (1 + exp(-x))
 *     gelu(x)       = x/2 (1 + erf(x / sqrt 2))
 *     gelu_tanh(x)  = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
 *     quick_gelu(x) = x / (1 + exp(-1.702 x))
 */
#ifndef TWINLENS_OP_ACTIVATION_H
#define TWINLENS_OP_ACTIVATION_H

#include <stddef.h>

#include "twinlens/site.h"

typedef enum tl_activation {
    TL_SILU,
    TL_GELU,
    TL_GELU_TANH,
    TL_QUICK_GELU,
} tl_activation;
enum { TL_ACTIVATION_COUNT = TL_QUICK_GELU + 1 };

/* The value, the slope, and the ratio act(x) / x (at 0 its limit, 1/2) in double: the
 * definition all kernels are held to. */
double tl_activation_value(tl_activation kind, double x);
double tl_activation_slope(tl_activation kind, double x);
double tl_activation_ratio(tl_activation kind, double x);

/* x[i] = act(x[i]), in place. */
void tl_activate(tl_activation kind, size_t count, float *x);

/* y[i] = act(gate[i]) up[i]: the neurons of a gated MLP (mlp_post). */
void tl_gated_forward(tl_activation kind, size_t count, const float *gate,
                      const float *up, float *y);

/*
 *     gradient    dgate[i] = dy[i] up[i] act'(gate[i])
 *                 dup[i]   = dy[i] act(gate[i])
 *     relevance   dgate[i] = dy[i] up[i] / 2 act(gate[i]) / gate[i]   the ratio is a constant,
 *                 dup[i]   = dy[i] act(gate[i]) / 2                   half of y to each factor
 *
 * Written, not added to.
 */
void tl_gated_backward(tl_backward_rule rule, tl_activation kind, size_t count,
                       const float *gate, const float *up, const float *dy,
                       float *dgate, float *dup);

#endif
