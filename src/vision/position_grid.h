/* SPDX-License-Identifier: MIT
 *
 * position_grid.h - learned positions of a square grid, stretched over a picture.
 */
#ifndef TWINLENS_VISION_POSITION_GRID_H
#define TWINLENS_VISION_POSITION_GRID_H

#include <stddef.h>

/*
 * x[i,j] += (1 - a) (1 - b) t[r,c] + (1 - a) b t[r,c+1] + a (1 - b) t[r+1,c] + a b t[r+1,c+1]
 *
 * for patch (i, j) of grid_h x grid_w, with r + a = i (side - 1) / (grid_h - 1), 0 <= a < 1,
 * and c + b likewise: the corners of the table lie on those of the picture.
 * Shapes  table [side * side, width], row by row; x [grid_h * grid_w, width], patches in
 *         blocks of merge x merge
 */
void tl_position_grid_add(const float *table, size_t side, size_t width, size_t grid_h,
                          size_t grid_w, size_t merge, float *x);

/*
 *     x[i,j] += sum over m, n in -1 .. 2 of w(a - m) w(b - n) t[r+m,c+n]
 *     w(s)    = 1.25 |s|^3 - 2.25 s^2 + 1                      |s| <= 1
 *               -0.75 |s|^3 + 3.75 s^2 - 6 |s| + 3         1 < |s| <= 2
 *
 * for patch (i, j) of grid_h x grid_w, with r + a = (i + 1/2) side / grid_h - 1/2,
 * 0 <= a < 1, and c + b likewise; beyond its edges the table goes on as at the edge.
 * Shapes   table [side * side, width]; x [grid_h * grid_w, width], both row by row
 * @source  interpolate(mode="bicubic", align_corners=False) of torch
 */
void tl_position_grid_add_cubic(const float *table, size_t side, size_t width,
                                size_t grid_h, size_t grid_w, float *x);

#endif
