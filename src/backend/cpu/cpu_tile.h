/* SPDX-License-Identifier: MIT
 *
 * cpu_tile.h - a small product whose factors are near: a few rows of A, which may lie
 * anyhow, by B, which lies in strips.
 *
 *     y[i,j]  (=|+=)  sum_k a[i,k] b[k,j]
 *
 * Every sum is taken in the order of k, a fused multiplication and addition each where the
 * processor has them: it depends on its own row and column alone, and to go on with it in a
 * second call (+=) gives the bits of one.
 */
#ifndef TWINLENS_BACKEND_CPU_CPU_TILE_H
#define TWINLENS_BACKEND_CPU_CPU_TILE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    TL_CPU_STRIP = 16,    /* columns of a strip */
    TL_CPU_TILE_ROWS = 6, /* rows whose sums are in registers together */
};

/* Columns, up to whole strips. */
static inline size_t tl_cpu_strips_round(size_t n)
{
    return (n + TL_CPU_STRIP - 1) / TL_CPU_STRIP * TL_CPU_STRIP;
}

/* a[i,k] is a[i * row + k * column]. */
typedef struct tl_cpu_tile_rows {
    const float *a;
    size_t row, column;
} tl_cpu_tile_rows;

/* b[k,j] is b[j / TL_CPU_STRIP * strip + k * TL_CPU_STRIP + j % TL_CPU_STRIP]. */
typedef struct tl_cpu_strips {
    const float *b;
    size_t strip; /* floats from strip to strip */
} tl_cpu_strips;

/* y[i,j] is y[i * row + j]. */
typedef struct tl_cpu_sums {
    float *y;
    size_t row;
    bool add; /* += */
} tl_cpu_sums;

/* `n` rows of `depth` by `width` columns, which are whole strips. */
void tl_cpu_tile_multiply(size_t n, size_t depth, size_t width, tl_cpu_tile_rows a,
                          tl_cpu_strips b, tl_cpu_sums y);

/* Whether it works with the processor's vectors, not in plain C. */
bool tl_cpu_tile_has_vectors(void);

#endif
