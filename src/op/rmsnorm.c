/* SPDX-License-Identifier: MIT
 *
 * rmsnorm.c - see rmsnorm.h for the formulas.
 *
 * Trained models keep a few channels thousands of times louder than the rest; a
 * float sum of squares would swallow the quiet ones. In double every product of
 * two floats is exact, so what is left to round is far below one float.
 */
#include "op/rmsnorm.h"

#include <assert.h>
#include <math.h>

void tl_rmsnorm_forward(size_t rows, size_t width, float eps, const float *x,
                        const float *weight, float *y, float *inv_rms)
{
    assert(width >= 1 && eps >= 0.0f);
    for (size_t r = 0; r < rows; r++, x += width, y += width) {
        double squares = 0.0;
        for (size_t i = 0; i < width; i++)
            squares += (double)x[i] * (double)x[i];
        const double s = 1.0 / sqrt(squares / (double)width + (double)eps);
        for (size_t i = 0; i < width; i++)
            y[i] = (float)((double)x[i] * s * (double)weight[i]);
        if (inv_rms != NULL)
            inv_rms[r] = (float)s;
    }
}

static void add_relevance(size_t rows, size_t width, const float *weight,
                          const float *inv_rms, const float *dy, float *dx)
{
    for (size_t r = 0; r < rows; r++, dy += width, dx += width)
        for (size_t i = 0; i < width; i++)
            dx[i] = (float)((double)dx[i] +
                            (double)inv_rms[r] * ((double)dy[i] * (double)weight[i]));
}

void tl_rmsnorm_backward(tl_backward_rule rule, size_t rows, size_t width,
                         const float *x, const float *weight, const float *inv_rms,
                         const float *dy, float *dx)
{
    assert(width >= 1);
    if (rule == TL_BACKWARD_RELEVANCE) {
        add_relevance(rows, width, weight, inv_rms, dy, dx);
        return;
    }
    for (size_t r = 0; r < rows; r++, x += width, dy += width, dx += width) {
        double gx = 0.0;
        for (size_t i = 0; i < width; i++)
            gx += (double)dy[i] * (double)weight[i] * (double)x[i];
        const double s = (double)inv_rms[r];
        const double along_x = s * s * gx / (double)width;
        for (size_t i = 0; i < width; i++) {
            const double g = (double)dy[i] * (double)weight[i];
            dx[i] = (float)((double)dx[i] + s * (g - (double)x[i] * along_x));
        }
    }
}
