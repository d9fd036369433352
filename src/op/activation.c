/* SPDX-License-Identifier: MIT
 *
 * activation.c - see activation.h for the formulas.
 *
 * Two of them are evaluated in an equal form that keeps its digits where x is
 * very negative and the formula's 1 + erf or 1 + tanh cancels to nothing:
 *
 *     (1 + erf(x / sqrt 2)) / 2 = erfc(-x / sqrt 2) / 2
 *     (1 + tanh(u)) / 2         = 1 / (1 + exp(-2 u))
 */
#include "op/activation.h"

#include <assert.h>
#include <math.h>

static const double sqrt_half = 0.70710678118654752440;       /* 1 / sqrt 2 */
static const double inv_sqrt_2pi = 0.39894228040143267794;    /* 1 / sqrt(2 pi) */
static const double twice_sqrt_2_pi = 1.59576912160573071176; /* 2 sqrt(2 / pi) */
static const double gelu_cubic = 0.044715;
static const double quick_gelu_rate = 1.702;

static double logistic(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* The 2 u of gelu_tanh, and its slope. */
static double tanh_argument(double x)
{
    return twice_sqrt_2_pi * (x + gelu_cubic * x * x * x);
}

static double tanh_argument_slope(double x)
{
    return twice_sqrt_2_pi * (1.0 + 3.0 * gelu_cubic * x * x);
}

double tl_activation_ratio(tl_activation kind, double x)
{
    switch (kind) {
    case TL_SILU: return logistic(x);
    case TL_GELU: return 0.5 * erfc(-x * sqrt_half);
    case TL_GELU_TANH: return logistic(tanh_argument(x));
    case TL_QUICK_GELU: return logistic(quick_gelu_rate * x);
    }
    assert(0 && "an activation that does not exist");
    return NAN;
}

double tl_activation_value(tl_activation kind, double x)
{
    return x * tl_activation_ratio(kind, x);
}

/* d/dx of x g(t(x)), where the logistic g has the slope g(t) g(-t). */
static double logistic_gate_slope(double x, double t, double t_slope)
{
    const double g = logistic(t);
    return g + x * g * logistic(-t) * t_slope;
}

double tl_activation_slope(tl_activation kind, double x)
{
    switch (kind) {
    case TL_SILU: return logistic_gate_slope(x, x, 1.0);
    case TL_GELU:
        return 0.5 * erfc(-x * sqrt_half) + x * inv_sqrt_2pi * exp(-0.5 * x * x);
    case TL_GELU_TANH:
        return logistic_gate_slope(x, tanh_argument(x), tanh_argument_slope(x));
    case TL_QUICK_GELU:
        return logistic_gate_slope(x, quick_gelu_rate * x, quick_gelu_rate);
    }
    assert(0 && "an activation that does not exist");
    return NAN;
}

void tl_activate(tl_activation kind, size_t count, float *x)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)tl_activation_value(kind, (double)x[i]);
}

void tl_gated_forward(tl_activation kind, size_t count, const float *gate,
                      const float *up, float *y)
{
    for (size_t i = 0; i < count; i++)
        y[i] = (float)(tl_activation_value(kind, (double)gate[i]) * (double)up[i]);
}

void tl_gated_backward(tl_backward_rule rule, tl_activation kind, size_t count,
                       const float *gate, const float *up, const float *dy,
                       float *dgate, float *dup)
{
    const bool gradient = rule == TL_BACKWARD_GRADIENT;
    for (size_t i = 0; i < count; i++) {
        const double x = (double)gate[i];
        const double d = gradient ? (double)dy[i] : 0.5 * (double)dy[i];
        const double factor =
            gradient ? tl_activation_slope(kind, x) : tl_activation_ratio(kind, x);
        dgate[i] = (float)(d * (double)up[i] * factor);
        dup[i] = (float)(d * tl_activation_value(kind, x));
    }
}
