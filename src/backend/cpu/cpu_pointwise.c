/* SPDX-License-Identifier: MIT
 *
 * cpu_pointwise.c - norms, rotation, activations, and what is done element by element.
 *
 * Threads share out rows, or runs of CHUNK elements; a row or an element is one
 * thread's. Row sums are in double, in lanes (see cpu.h), so that their order is
 * fixed. The activations go through tl_cpu_exp, except GELU by erf, which libm
 * computes.
 */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "op/logits.h"

enum { CHUNK = 4096, DOUBLE_LANES = 8 };

/* Below this much work a team of threads costs more than it saves: numbers that are
 * computed, and numbers that are only moved. */
enum { SERIAL = 1 << 14, SERIAL_MOVES = 1 << 17 };

/* Elements of the chunk that begins at `at`. */
static size_t chunk_of(size_t count, size_t at)
{
    return count - at < CHUNK ? count - at : CHUNK;
}

/* sum_i a[i] b[i] c[i], c left out if NULL. */
TL_WIDE static double sum_products(const float *restrict a, const float *restrict b,
                                   const float *restrict c, size_t n)
{
    double lane[DOUBLE_LANES] = {0.0};
    size_t i = 0;
    for (; i + DOUBLE_LANES <= n; i += DOUBLE_LANES)
        for (size_t l = 0; l < DOUBLE_LANES; l++)
            lane[l] += (double)a[i + l] * (double)b[i + l] *
                       (c != NULL ? (double)c[i + l] : 1.0);
    for (size_t l = 0; i < n; i++, l++)
        lane[l] += (double)a[i] * (double)b[i] * (c != NULL ? (double)c[i] : 1.0);
    for (size_t half = DOUBLE_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

TL_WIDE static void scale_by_weight(const float *x, float s, const float *weight,
                                    size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * s * weight[i];
}

void tl_cpu_rmsnorm(size_t n_threads, size_t rows, size_t width, float eps,
                    const float *x, const float *weight, float *y, float *inv_rms)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (rows * width > SERIAL)
    for (size_t r = 0; r < rows; r++) {
        const float *row = x + r * width;
        const double mean = sum_products(row, row, NULL, width) / (double)width;
        const float s = (float)(1.0 / sqrt(mean + (double)eps));
        scale_by_weight(row, s, weight, width, y + r * width);
        if (inv_rms != NULL)
            inv_rms[r] = s;
    }
}

TL_WIDE static void add_norm_gradient(const float *restrict x,
                                      const float *restrict weight,
                                      const float *restrict dy, float s, float pull,
                                      size_t n, float *restrict dx)
{
    for (size_t i = 0; i < n; i++)
        dx[i] += s * (dy[i] * weight[i] - x[i] * pull);
}

TL_WIDE static void add_norm_relevance(const float *restrict weight,
                                       const float *restrict dy, float s, size_t n,
                                       float *restrict dx)
{
    for (size_t i = 0; i < n; i++)
        dx[i] += s * (dy[i] * weight[i]);
}

void tl_cpu_rmsnorm_backward(size_t n_threads, tl_backward_rule rule, size_t rows,
                             size_t width, const float *x, const float *weight,
                             const float *inv_rms, const float *dy, float *dx)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (rows * width > SERIAL)
    for (size_t r = 0; r < rows; r++) {
        if (rule == TL_BACKWARD_RELEVANCE) {
            add_norm_relevance(weight, dy + r * width, inv_rms[r], width,
                               dx + r * width);
            continue;
        }
        const double s = (double)inv_rms[r];
        const double sum = sum_products(dy + r * width, weight, x + r * width, width);
        add_norm_gradient(x + r * width, weight, dy + r * width, inv_rms[r],
                          (float)(s * s * sum / (double)width), width, dx + r * width);
    }
}

/* sum_i (x[i] - mean) (times itself, if `squares`). */
TL_WIDE static double sum_differences(const float *x, double mean, bool squares,
                                      size_t n)
{
    double lane[DOUBLE_LANES] = {0.0};
    size_t i = 0;
    for (; i + DOUBLE_LANES <= n; i += DOUBLE_LANES)
        for (size_t l = 0; l < DOUBLE_LANES; l++) {
            const double d = (double)x[i + l] - mean;
            lane[l] += squares ? d * d : d;
        }
    for (size_t l = 0; i < n; i++, l++) {
        const double d = (double)x[i] - mean;
        lane[l] += squares ? d * d : d;
    }
    for (size_t half = DOUBLE_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

TL_WIDE static void normalise(const float *restrict x, double mean, double s,
                              const float *restrict weight, const float *restrict bias,
                              size_t n, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(((double)x[i] - mean) * s * (double)weight[i] + (double)bias[i]);
}

void tl_cpu_layernorm(size_t n_threads, size_t rows, size_t width, float eps,
                      const float *x, const float *weight, const float *bias, float *y)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (rows * width > SERIAL)
    for (size_t r = 0; r < rows; r++) {
        const float *row = x + r * width;
        const double mean = sum_differences(row, 0.0, false, width) / (double)width,
                     variance = sum_differences(row, mean, true, width) / (double)width;
        normalise(row, mean, 1.0 / sqrt(variance + (double)eps), weight, bias, width,
                  y + r * width);
    }
}

TL_WIDE static void rotate_row(size_t n_heads, size_t half, const float *restrict c,
                               const float *restrict s, float sign, float *restrict x)
{
    for (size_t h = 0; h < n_heads; h++) {
        float *low = x + 2 * h * half, *high = low + half;
        for (size_t f = 0; f < half; f++) {
            const float a = low[f], b = high[f], sine = sign * s[f];
            low[f] = a * c[f] - b * sine;
            high[f] = b * c[f] + a * sine;
        }
    }
}

void tl_cpu_rotary(size_t n_threads, size_t rows, size_t n_heads, size_t d_head,
                   const float *cosine, const float *sine, bool inverse, float *x)
{
    const size_t half = d_head / 2;
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (rows * n_heads * d_head > SERIAL)
    for (size_t r = 0; r < rows; r++)
        rotate_row(n_heads, half, cosine + r * half, sine + r * half,
                   inverse ? -1.0f : 1.0f, x + r * n_heads * d_head);
}

/* ---- activations ------------------------------------------------------------------- */

/* x sigmoid(c x + d x^3): silu and quick_gelu have d = 0, gelu_tanh is the same as well. */
typedef struct sigmoid_factors {
    float c, d;
} sigmoid_factors;

static sigmoid_factors sigmoid_of(tl_activation kind)
{
    switch (kind) {
    case TL_SILU: return (sigmoid_factors){1.0f, 0.0f};
    case TL_QUICK_GELU: return (sigmoid_factors){1.702f, 0.0f};
    default: return (sigmoid_factors){1.59576912f, 0.0713548163f}; /* 2 sqrt(2 / pi) */
    }
}

static bool is_sigmoid(tl_activation kind)
{
    return kind != TL_GELU;
}

/* x^2, bounded: 0 times infinity is no number. */
static inline float bounded_square(float x)
{
    const float square = x * x;
    return square > 1e30f ? 1e30f : square;
}

/* 1 / sigmoid. */
static inline float sigmoid_divisor(sigmoid_factors f, float x)
{
    return 1.0f + tl_cpu_exp(-x * (f.c + f.d * bounded_square(x)));
}

/* With t = sigmoid: the slope is t + x t (1 - t) (c + 3 d x^2). */
static inline float sigmoid_slope(sigmoid_factors f, float x, float t)
{
    return t + x * t * (1.0f - t) * (f.c + 3.0f * f.d * bounded_square(x));
}

TL_WIDE static void sigmoid_values(sigmoid_factors f, size_t n, const float *x,
                                   float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] / sigmoid_divisor(f, x[i]);
}

TL_WIDE static void sigmoid_gated(sigmoid_factors f, size_t n,
                                  const float *restrict gate, const float *restrict up,
                                  float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = gate[i] / sigmoid_divisor(f, gate[i]) * up[i];
}

TL_WIDE static void sigmoid_gated_backward(sigmoid_factors f, size_t n,
                                           const float *restrict gate,
                                           const float *restrict up,
                                           const float *restrict dy,
                                           float *restrict dgate, float *restrict dup)
{
    for (size_t i = 0; i < n; i++) {
        const float x = gate[i], t = 1.0f / sigmoid_divisor(f, x);
        dgate[i] = dy[i] * up[i] * sigmoid_slope(f, x, t);
        dup[i] = dy[i] * x * t;
    }
}

/* With the same t, which is the ratio. */
TL_WIDE static void sigmoid_gated_relevance(sigmoid_factors f, size_t n,
                                            const float *restrict gate,
                                            const float *restrict up,
                                            const float *restrict dy,
                                            float *restrict dgate, float *restrict dup)
{
    for (size_t i = 0; i < n; i++) {
        const float x = gate[i], t = 1.0f / sigmoid_divisor(f, x);
        const float half = 0.5f * dy[i];
        dgate[i] = half * up[i] * t;
        dup[i] = half * x * t;
    }
}

void tl_cpu_activate(size_t n_threads, tl_activation kind, size_t count, float *x)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (count > SERIAL)
    for (size_t at = 0; at < count; at += CHUNK) {
        const size_t n = chunk_of(count, at);
        if (is_sigmoid(kind))
            sigmoid_values(sigmoid_of(kind), n, x + at, x + at);
        else
            tl_activate(kind, n, x + at);
    }
}

void tl_cpu_gated(size_t n_threads, tl_activation kind, size_t count, const float *gate,
                  const float *up, float *y)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (count > SERIAL)
    for (size_t at = 0; at < count; at += CHUNK) {
        const size_t n = chunk_of(count, at);
        if (is_sigmoid(kind))
            sigmoid_gated(sigmoid_of(kind), n, gate + at, up + at, y + at);
        else
            tl_gated_forward(kind, n, gate + at, up + at, y + at);
    }
}

void tl_cpu_gated_backward(size_t n_threads, tl_backward_rule rule, tl_activation kind,
                           size_t count, const float *gate, const float *up,
                           const float *dy, float *dgate, float *dup)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (count > SERIAL)
    for (size_t at = 0; at < count; at += CHUNK) {
        const size_t n = chunk_of(count, at);
        if (is_sigmoid(kind))
            (rule == TL_BACKWARD_RELEVANCE ? sigmoid_gated_relevance
                                           : sigmoid_gated_backward)(
                sigmoid_of(kind), n, gate + at, up + at, dy + at, dgate + at, dup + at);
        else
            tl_gated_backward(rule, kind, n, gate + at, up + at, dy + at, dgate + at,
                              dup + at);
    }
}

/* ---- what moves or adds numbers as they are ------------------------------------------ */

TL_WIDE static void add_run(size_t n, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

TL_WIDE static void subtract_run(size_t n, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] -= x[i];
}

static void read_run(tl_read_rule rule, size_t n, const float *x, float *y)
{
    switch (rule) {
    case TL_READ_COPY: memcpy(y, x, n * sizeof *y); return;
    case TL_READ_ADD: add_run(n, x, y); return;
    case TL_READ_SUBTRACT: subtract_run(n, x, y); return;
    }
}

void tl_cpu_read(size_t n_threads, tl_read_rule rule, size_t count, const float *x,
                 float *y)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (count > SERIAL_MOVES)
    for (size_t at = 0; at < count; at += CHUNK)
        read_run(rule, chunk_of(count, at), x + at, y + at);
}

void tl_cpu_add(size_t n_threads, size_t count, const float *x, float *y)
{
    tl_cpu_read(n_threads, TL_READ_ADD, count, x, y);
}

void tl_cpu_copy(size_t n_threads, size_t count, const float *x, float *y)
{
    tl_cpu_read(n_threads, TL_READ_COPY, count, x, y);
}

void tl_cpu_fill(size_t n_threads, size_t count, float value, float *x)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (count > SERIAL_MOVES)
    for (size_t at = 0; at < count; at += CHUNK)
        for (size_t i = at; i < at + chunk_of(count, at); i++)
            x[i] = value;
}

void tl_cpu_copy_rows(size_t n_threads, size_t n, size_t width,
                      const uint32_t *from_rows, const float *x,
                      const uint32_t *to_rows, float *y)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (n * width > SERIAL_MOVES)
    for (size_t i = 0; i < n; i++) {
        const size_t from = from_rows != NULL ? from_rows[i] : i,
                     to = to_rows != NULL ? to_rows[i] : i;
        memcpy(y + to * width, x + from * width, width * sizeof *y);
    }
}

/* Neurons: x[i] = from[i] where rank[i] >= cut, or where in[i] == 0. */
TL_WIDE static void take_outside_cut(size_t n, const uint32_t *restrict rank,
                                     uint32_t cut, const float *restrict from,
                                     float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = rank[i] < cut ? x[i] : from[i];
}

TL_WIDE static void take_outside_set(size_t n, const uint8_t *restrict in,
                                     const float *restrict from, float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = in[i] != 0 ? x[i] : from[i];
}

/* One row of an edit, which e->rank and so on begin with. */
static void edit_row(const tl_edit_rows *e, float *x)
{
    if (e->rule == TL_EDIT_OUTSIDE_SET && e->per_component == 1)
        take_outside_set(e->n_components, e->in, e->from, x);
    else if (e->rule == TL_EDIT_OUTSIDE_CUT && e->per_component == 1 && e->cut > 0 &&
             e->cut <= UINT32_MAX)
        take_outside_cut(e->n_components, e->rank, (uint32_t)e->cut, e->from, x);
    else
        tl_edit_apply(e, x);
}

void tl_cpu_edit(size_t n_threads, const tl_edit_rows *edit, float *x)
{
    const size_t n = edit->n_components, width = n * edit->per_component;
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (edit->n_rows * width > SERIAL_MOVES)
    for (size_t r = 0; r < edit->n_rows; r++) {
        tl_edit_rows row = *edit;
        row.n_rows = 1;
        row.from += r * width;
        row.rank = edit->rank != NULL ? edit->rank + r * n : NULL;
        row.in = edit->in != NULL ? edit->in + r * n : NULL;
        edit_row(&row, x + r * width);
    }
}

void tl_cpu_softcap(size_t n_threads, size_t count, float cap, float *x)
{
#pragma omp parallel for num_threads((int)n_threads)                                   \
    schedule(static) if (count > SERIAL)
    for (size_t i = 0; i < count; i++)
        x[i] = (float)tl_softcap((double)x[i], cap);
}
