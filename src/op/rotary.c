/* SPDX-License-Identifier: MIT
 * rotary.c - see rotary.h for the formula. */
#include "op/rotary.h"

#include <assert.h>

void tl_rotary_apply(size_t rows, size_t n_heads, size_t d_head, const float *cosine,
                     const float *sine, bool inverse, float *x)
{
    assert(d_head % 2 == 0);
    const size_t half = d_head / 2;
    const double sign = inverse ? -1.0 : 1.0;
    for (size_t r = 0; r < rows; r++, cosine += half, sine += half) {
        for (size_t h = 0; h < n_heads; h++, x += d_head) {
            for (size_t f = 0; f < half; f++) {
                const double c = (double)cosine[f], s = sign * (double)sine[f];
                const double low = (double)x[f], high = (double)x[f + half];
                x[f] = (float)(low * c - high * s);
                x[f + half] = (float)(high * c + low * s);
            }
        }
    }
}
