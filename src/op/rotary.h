/* SPDX-License-Identifier: MIT
 *
 * rotary.h - rotary position embedding, given the angles.
 *
 * Which angle belongs to which frequency (one axis, the three of M-RoPE, the two
 * of a vision tower) is decided where the table is made (src/model); the rotation
 * is the same for all:
 *
 *     y[f]       = x[f] cos[r,f] - x[f + D/2] sin[r,f]           f = 0 .. D/2 - 1
 *     y[f + D/2] = x[f + D/2] cos[r,f] + x[f] sin[r,f]
 *
 * for every head of row r. The inverse (sin negated) is also the gradient.
 */
#ifndef TWINLENS_OP_ROTARY_H
#define TWINLENS_OP_ROTARY_H

#include <stdbool.h>
#include <stddef.h>

/* Shapes  x [R, n_heads, d_head], in place; cosine, sine [R, d_head / 2] */
void tl_rotary_apply(size_t rows, size_t n_heads, size_t d_head, const float *cosine,
                     const float *sine, bool inverse, float *x);

#endif
