/* SPDX-License-Identifier: MIT
 *
 * rope_2d.h - the table of cosines and sines that op/rotary.h turns patches with.
 */
#ifndef TWINLENS_VISION_ROPE_2D_H
#define TWINLENS_VISION_ROPE_2D_H

#include <stddef.h>

/*
 * The 2-D encoding of a vision tower: the first half of the frequencies turns with
 * the row, the second with the column of a patch, both at theta^(-4 f / d_head).
 * Patches come in blocks of merge x merge. Shapes cosine, sine
 * [grid_h * grid_w, d_head / 2].
 */
void tl_rope_table_2d(double theta, size_t d_head, size_t grid_h, size_t grid_w,
                      size_t merge, float *cosine, float *sine);

#endif
