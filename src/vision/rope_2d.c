/* SPDX-License-Identifier: MIT
 * rope_2d.c - see rope_2d.h. */
#include "vision/rope_2d.h"

#include <math.h>

void tl_rope_table_2d(double theta, size_t d_head, size_t grid_h, size_t grid_w,
                      size_t merge, float *cosine, float *sine)
{
    const size_t half = d_head / 2, quarter = half / 2;
    size_t r = 0;
    for (size_t block_y = 0; block_y < grid_h; block_y += merge)
        for (size_t block_x = 0; block_x < grid_w; block_x += merge)
            for (size_t y = block_y; y < block_y + merge; y++)
                for (size_t x = block_x; x < block_x + merge; x++, r++)
                    for (size_t f = 0; f < half; f++) {
                        const double position = (double)(f < quarter ? y : x);
                        const double angle =
                            position *
                            pow(theta, -2.0 * (double)(f % quarter) / (double)half);
                        cosine[r * half + f] = (float)cos(angle);
                        sine[r * half + f] = (float)sin(angle);
                    }
}
