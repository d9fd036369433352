/* SPDX-License-Identifier: MIT
 * position_grid.c - see position_grid.h. */
#include "vision/position_grid.h"

/* Place i of n on a line of `side` points: the point before it, the one behind, and how
 * far it is from the former. */
typedef struct place {
    size_t before, behind;
    double part;
} place;

static place place_of(size_t i, size_t n, size_t side)
{
    const double at = n > 1 ? (double)i * (double)(side - 1) / (double)(n - 1) : 0.0;
    const size_t before = (size_t)at, next = before + 1;
    return (place){before, next < side ? next : before, at - (double)before};
}

static void add_row(const float *table, size_t side, size_t width, place y, place x,
                    float *out)
{
    const float *rows[] = {table + (y.before * side + x.before) * width,
                           table + (y.before * side + x.behind) * width,
                           table + (y.behind * side + x.before) * width,
                           table + (y.behind * side + x.behind) * width};
    const double weights[] = {(1.0 - y.part) * (1.0 - x.part), (1.0 - y.part) * x.part,
                              y.part * (1.0 - x.part), y.part * x.part};
    for (size_t d = 0; d < width; d++) {
        double sum = (double)out[d];
        for (size_t k = 0; k < 4; k++)
            sum += weights[k] * (double)rows[k][d];
        out[d] = (float)sum;
    }
}

void tl_position_grid_add(const float *table, size_t side, size_t width, size_t grid_h,
                          size_t grid_w, size_t merge, float *x)
{
    for (size_t block_y = 0; block_y < grid_h; block_y += merge)
        for (size_t block_x = 0; block_x < grid_w; block_x += merge)
            for (size_t i = block_y; i < block_y + merge; i++)
                for (size_t j = block_x; j < block_x + merge; j++, x += width)
                    add_row(table, side, width, place_of(i, grid_h, side),
                            place_of(j, grid_w, side), x);
}
