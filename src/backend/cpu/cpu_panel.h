/* SPDX-License-Identifier: MIT
 *
 * cpu_panel.h - weights as the right-hand side B [k, n] of a product, in f32, a panel of
 * columns at a time:
 *
 *     whole layer      B[i,o] = W[o,i]             y = x W^T
 *     on the way back  B[o,i] = W[o,i]             dx = dy W
 *     some rows        B[i,o] = W[index[o],i]      n of its outputs
 *     some columns     B[j,o] = W[o,index[j]]      n_index of its inputs; 0 for j >= n_index
 */
#ifndef TWINLENS_BACKEND_CPU_CPU_PANEL_H
#define TWINLENS_BACKEND_CPU_CPU_PANEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/tensor.h"

enum { TL_CPU_PANEL_COLUMNS = 128 }; /* of a panel, at most */
enum { TL_CPU_BF16_ROWS = 24 };      /* of a tile that is multiplied with it in bf16 */

typedef struct tl_cpu_operand {
    const tl_tensor *weight; /* [n_out, n_in] */
    bool backward;
    const uint32_t *index; /* NULL: not a part */
    bool by_columns;       /* of index: columns of W, not rows */
    size_t n_index;        /* by_columns */
    size_t k, n;
} tl_cpu_operand;

/* panel = B[:, first .. first + width) in strips of [k, strip], of which the width is a
 * multiple: one of them is [k, width]. Some rows: width may reach beyond n, the columns there
 * are of no use. */
void tl_cpu_operand_panel(const tl_cpu_operand *b, size_t first, size_t width,
                          size_t strip, float *panel);

#endif
