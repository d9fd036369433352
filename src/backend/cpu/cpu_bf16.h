/* SPDX-License-Identifier: MIT
 *
 * cpu_bf16.h - a tile of a product in bf16: both factors rounded, sums in f32. A panel has
 * two rows of B side by side, as the processor's instruction wants them, and lies in strips
 * (cpu_tile.h).
 */
#ifndef TWINLENS_BACKEND_CPU_CPU_BF16_H
#define TWINLENS_BACKEND_CPU_CPU_BF16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/cpu/cpu_panel.h"

/* Whether the processor multiplies bf16 (AVX512-BF16, AMX), and does it rightly: a small
 * product is compared with the plain one. */
bool tl_cpu_bf16_is_fast(void);

/* Pairs of rows of a panel of depth k; with an odd k the last has zeros. */
static inline size_t tl_cpu_bf16_pairs(size_t k)
{
    return (k + 1) / 2;
}

/* Columns [first, first + width) of B, rounded, in strips of [pairs, TL_CPU_STRIP], two numbers
 * each, the row with the even number in the lower half; the last strip is filled up with zeros. */
void tl_cpu_bf16_panel(const tl_cpu_operand *b, size_t first, size_t width,
                       uint32_t *panel);

/* The rows of a tile, rounded: [TL_CPU_BF16_ROWS, pairs] from a [rows, k]; rows that are not
 * there are zeros. */
void tl_cpu_bf16_input(const float *a, size_t rows, size_t k, uint32_t *tile);

/* c [TL_CPU_BF16_ROWS, width], whose rows are `stride` apart, = tile x panel. */
void tl_cpu_bf16_tile(const uint32_t *tile, const uint32_t *panel, size_t k,
                      size_t width, float *c, size_t stride);

#endif
