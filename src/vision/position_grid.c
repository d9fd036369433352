/* SPDX-License-Identifier: MIT
 * position_grid.c - see position_grid.h. */
#include "vision/position_grid.h"

#include <math.h>

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

enum { TAPS = 4 };

/* Place i of n on a line of `side` points: four points around it and their weights. */
typedef struct cubic_place {
    size_t at[TAPS];
    double weight[TAPS];
} cubic_place;

static double cubic(double s)
{
    s = fabs(s);
    return s <= 1.0 ? (1.25 * s - 2.25) * s * s + 1.0
                    : ((-0.75 * s + 3.75) * s - 6.0) * s + 3.0;
}

static cubic_place cubic_place_of(size_t i, size_t n, size_t side)
{
    const double at = ((double)i + 0.5) * (double)side / (double)n - 0.5,
                 first = floor(at) - 1.0;
    cubic_place out;
    for (size_t k = 0; k < TAPS; k++) {
        const double point = first + (double)k;
        out.at[k] = (size_t)fmin(fmax(point, 0.0), (double)(side - 1));
        out.weight[k] = cubic(at - point);
    }
    return out;
}

void tl_position_grid_add_cubic(const float *table, size_t side, size_t width,
                                size_t grid_h, size_t grid_w, float *x)
{
    for (size_t i = 0; i < grid_h; i++)
        for (size_t j = 0; j < grid_w; j++, x += width) {
            const cubic_place y_place = cubic_place_of(i, grid_h, side),
                              x_place = cubic_place_of(j, grid_w, side);
            for (size_t d = 0; d < width; d++) {
                double sum = (double)x[d];
                for (size_t m = 0; m < TAPS; m++)
                    for (size_t n = 0; n < TAPS; n++) {
                        const size_t point = y_place.at[m] * side + x_place.at[n];
                        sum += y_place.weight[m] * x_place.weight[n] *
                               (double)table[point * width + d];
                    }
                x[d] = (float)sum;
            }
        }
}
