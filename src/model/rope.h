/* SPDX-License-Identifier: MIT
 *
 * rope.h - rotary positions of prompts, and the tables of cosines and sines that
 * op/rotary.h turns with.
 */
#ifndef TWINLENS_MODEL_ROPE_H
#define TWINLENS_MODEL_ROPE_H

#include "model/spec.h"

/*
 * Positions [3, n_pos] (time, height, width) of a prompt whose image, if
 * grid_h > 0, has grid_h x grid_w tokens (after merging), the ids equal to
 * image_token. Text counts up on all axes; token (i, j) of an image that begins
 * at s has (s, s + i, s + j); text resumes at the largest coordinate + 1.
 * @source   docs/math.md eq. 9; get_rope_index of the Qwen2-VL model
 */
void tl_rope_positions(const int32_t *ids, size_t n_pos, int32_t image_token,
                       size_t grid_h, size_t grid_w, tl_rope rope, int32_t *positions);

/*
 *     angle[r,f] = position(axis of f)[r] * w[f] / factor,  w[f] = theta^(-2 f / d_head)
 *
 * With a context, Llama-3's:
 *
 *     angle[r,f] = position(axis of f)[r] * w[f] ((1 - s) / factor + s)
 *     s          = (context w[f] / (2 pi) - low) / (high - low), cut to 0 .. 1
 *
 * for rows [first, first + rows) of positions [3, n_pos]; f = 0 .. d_head/2 - 1.
 * The axis of f follows from the sections; without any it is the first. With growth g and
 * n_pos above n_plain, theta is multiplied by
 *
 *     (g n_pos / n_plain - g + 1)^(d_head / (d_head - 2))
 *
 * @source  transformers, _compute_dynamic_ntk_parameters() of modeling_rope_utils.py
 * Shapes    cosine, sine [rows, d_head / 2]
 * Accuracy  angles in double, one rounding per value
 */
void tl_rope_table(const tl_rope_spec *rope, size_t d_head, const int32_t *positions,
                   size_t n_pos, size_t first, size_t rows, float *cosine, float *sine);

#endif
