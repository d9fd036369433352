/* SPDX-License-Identifier: MIT
 *
 * cpu_tile.h - a small product whose factors are near: a few rows of A, which may lie anyhow,
 * by rows of B side by side.
 *
 *     y[i,j]  (=|+=)  sum_p a[i,p] b[p,j]
 *
 * Every sum is taken in the order of p, a fused multiplication and addition each where the
 * processor has them: it depends on its own row and column alone, and to go on with it in a
 * second call (+=) gives the bits of one.
 */
#ifndef TWINLENS_BACKEND_CPU_CPU_TILE_H
#define TWINLENS_BACKEND_CPU_CPU_TILE_H

#include <stdbool.h>
#include <stddef.h>

/* Columns come in multiples of this. */
enum { TL_CPU_TILE_COLUMNS = 16 };

static inline size_t tl_cpu_tile_round(size_t n)
{
    return (n + TL_CPU_TILE_COLUMNS - 1) / TL_CPU_TILE_COLUMNS * TL_CPU_TILE_COLUMNS;
}

/* a[i,p] is a[i * row + p * column]. */
typedef struct tl_cpu_tile_rows {
    const float *a;
    size_t row, column;
} tl_cpu_tile_rows;

/* `n` rows of `depth` by b [depth, width] with b_stride floats between its rows, into y with
 * y_stride between rows; width is a multiple of TL_CPU_TILE_COLUMNS. */
void tl_cpu_tile_multiply(size_t n, size_t depth, tl_cpu_tile_rows a, const float *b,
                          size_t b_stride, size_t width, float *y, size_t y_stride,
                          bool add);

#endif
