/* SPDX-License-Identifier: MIT
 *
 * linear.c - see linear.h for the formulas.
 *
 * Weights lie in the file's own type and are widened a piece at a time, here into
 * small arrays on the stack: an op allocates nothing and cannot fail. A widened
 * piece serves several rows, or widening would cost more than multiplying.
 *
 * Every output has its own double sum, taken over ascending i (or o) and rounded
 * once at the end. The tiles below change which outputs are under way together and
 * never the order inside one sum: no row can tell what other rows are there.
 */
#include "op/linear.h"

#include <assert.h>

/* A tile: rows of x, rows of W, columns of W. The sums of one W row, ROWS of them,
 * fit in registers, and x of a tile fits in the first-level cache. */
enum { ROWS = 8, OUTS = 64, INS = 256 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static float rounded(float x, bool bf16)
{
    return bf16 ? tl_bf16_to_f32(tl_f32_to_bf16(x)) : x;
}

/* w[0 .. count) = W[o, first + ...] */
static void widen(const tl_tensor *weight, size_t o, size_t first, size_t count,
                  bool bf16, float *w)
{
    const tl_status status =
        tl_tensor_to_f32(weight, o * weight->dims[1] + first, count, w, NULL);
    assert(status == TL_OK);
    (void)status;
    for (size_t i = 0; bf16 && weight->dtype != TL_BF16 && i < count; i++)
        w[i] = rounded(w[i], true);
}

/* sum[r] += sum_i x[i][r] w[i]. Rows run innermost, as independent sums. */
static void add_products(size_t count, const float *w, double x[INS][ROWS],
                         double sum[ROWS])
{
    double s[ROWS];
    for (size_t r = 0; r < ROWS; r++)
        s[r] = sum[r];
    for (size_t i = 0; i < count; i++)
        for (size_t r = 0; r < ROWS; r++)
            s[r] += x[i][r] * (double)w[i];
    for (size_t r = 0; r < ROWS; r++)
        sum[r] = s[r];
}

/* Rows r0 .. r0 + n_rows of x against rows o0 .. o0 + n_outs of W. */
static void forward_tile(const tl_tensor *weight, const float *x, size_t r0,
                         size_t n_rows, size_t o0, size_t n_outs, bool bf16,
                         double sum[OUTS][ROWS])
{
    const size_t n_in = weight->dims[1];
    double x_tile[INS][ROWS] = {{0.0}}; /* rows past n_rows stay zero */
    float w[INS];
    for (size_t i0 = 0; i0 < n_in; i0 += INS) {
        const size_t n_ins = smaller(INS, n_in - i0);
        for (size_t r = 0; r < n_rows; r++)
            for (size_t i = 0; i < n_ins; i++)
                x_tile[i][r] = (double)rounded(x[(r0 + r) * n_in + i0 + i], bf16);
        for (size_t o = 0; o < n_outs; o++) {
            widen(weight, o0 + o, i0, n_ins, bf16, w);
            add_products(n_ins, w, x_tile, sum[o]);
        }
    }
}

void tl_linear_forward(const tl_tensor *weight, const float *bias, size_t rows,
                       const float *x, float *y, bool add, bool bf16)
{
    assert(weight->n_dims == 2);
    const size_t n_out = weight->dims[0];
    for (size_t r0 = 0; r0 < rows; r0 += ROWS) {
        const size_t n_rows = smaller(ROWS, rows - r0);
        for (size_t o0 = 0; o0 < n_out; o0 += OUTS) {
            const size_t n_outs = smaller(OUTS, n_out - o0);
            double sum[OUTS][ROWS] = {{0.0}};
            forward_tile(weight, x, r0, n_rows, o0, n_outs, bf16, sum);
            for (size_t r = 0; r < n_rows; r++) {
                float *y_row = y + (r0 + r) * n_out + o0;
                for (size_t o = 0; o < n_outs; o++) {
                    double value = sum[o][r];
                    if (bias != NULL)
                        value += (double)bias[o0 + o];
                    if (add)
                        value += (double)y_row[o];
                    y_row[o] = (float)value;
                }
            }
        }
    }
}

void tl_linear_backward(const tl_tensor *weight, size_t rows, const float *dy,
                        float *dx, bool add, bool bf16)
{
    assert(weight->n_dims == 2);
    const size_t n_out = weight->dims[0], n_in = weight->dims[1];
    float w[INS];
    for (size_t r0 = 0; r0 < rows; r0 += ROWS) {
        const size_t n_rows = smaller(ROWS, rows - r0);
        for (size_t i0 = 0; i0 < n_in; i0 += INS) {
            const size_t n_ins = smaller(INS, n_in - i0);
            double sum[ROWS][INS] = {{0.0}};
            for (size_t o = 0; o < n_out; o++) {
                widen(weight, o, i0, n_ins, bf16, w);
                for (size_t r = 0; r < n_rows; r++) {
                    const double d = (double)rounded(dy[(r0 + r) * n_out + o], bf16);
                    for (size_t i = 0; i < n_ins; i++)
                        sum[r][i] += d * (double)w[i];
                }
            }
            for (size_t r = 0; r < n_rows; r++) {
                float *dx_row = dx + (r0 + r) * n_in + i0;
                for (size_t i = 0; i < n_ins; i++)
                    dx_row[i] = (float)(sum[r][i] + (add ? (double)dx_row[i] : 0.0));
            }
        }
    }
}

/* ---- a part of a layer -------------------------------------------------------- */

void tl_linear_rows(const tl_tensor *weight, const float *bias, size_t n,
                    const uint32_t *index, size_t rows, const float *x, float *y,
                    bool add)
{
    assert(weight->n_dims == 2);
    const size_t n_in = weight->dims[1];
    float w[INS];
    for (size_t j = 0; j < n; j++) {
        assert(index[j] < weight->dims[0]);
        for (size_t r = 0; r < rows; r++) {
            double sum = 0.0;
            for (size_t i0 = 0; i0 < n_in; i0 += INS) {
                const size_t n_ins = smaller(INS, n_in - i0);
                widen(weight, index[j], i0, n_ins, false, w);
                for (size_t i = 0; i < n_ins; i++)
                    sum += (double)x[r * n_in + i0 + i] * (double)w[i];
            }
            if (bias != NULL)
                sum += (double)bias[index[j]];
            y[r * n + j] = (float)(sum + (add ? (double)y[r * n + j] : 0.0));
        }
    }
}

void tl_linear_columns(const tl_tensor *weight, size_t n, const uint32_t *index,
                       size_t rows, const float *x, float *y, bool add)
{
    assert(weight->n_dims == 2);
    const size_t n_out = weight->dims[0];
    float w;
    for (size_t o = 0; o < n_out; o++)
        for (size_t r = 0; r < rows; r++) {
            double sum = 0.0;
            for (size_t j = 0; j < n; j++) {
                assert(index[j] < weight->dims[1]);
                widen(weight, o, index[j], 1, false, &w);
                sum += (double)x[r * n + j] * (double)w;
            }
            y[r * n_out + o] = (float)(sum + (add ? (double)y[r * n_out + o] : 0.0));
        }
}
