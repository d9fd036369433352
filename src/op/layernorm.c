/* SPDX-License-Identifier: MIT
 *
 * layernorm.c - see layernorm.h for the formula.
 *
 * The variance is the mean of (x - mean)^2, in a second loop: the difference of
 * mean(x^2) and mean^2 loses all digits of a row that is nearly constant.
 */
#include "op/layernorm.h"

#include <assert.h>
#include <math.h>

void tl_layernorm_forward(size_t rows, size_t width, float eps, const float *x,
                          const float *weight, const float *bias, float *y)
{
    assert(width >= 1 && eps >= 0.0f);
    for (size_t r = 0; r < rows; r++, x += width, y += width) {
        double sum = 0.0, squares = 0.0;
        for (size_t i = 0; i < width; i++)
            sum += (double)x[i];
        const double mean = sum / (double)width;
        for (size_t i = 0; i < width; i++)
            squares += ((double)x[i] - mean) * ((double)x[i] - mean);
        const double s = 1.0 / sqrt(squares / (double)width + (double)eps);
        for (size_t i = 0; i < width; i++)
            y[i] = (float)(((double)x[i] - mean) * s * (double)weight[i] +
                           (double)bias[i]);
    }
}
