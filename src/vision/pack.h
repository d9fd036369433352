/* SPDX-License-Identifier: MIT
 *
 * pack.h - how the features of a picture's tiles become those of its image tokens, in
 * LLaVA-NeXT and LLaVA-OneVision. Tile 0 is the whole picture, small; the others are the
 * picture, large, cut row by row. With n x n features of a tile, H = n tile_rows and
 * W = n tile_columns:
 *
 *     G[n r + y, n c + x] = feature (y, x) of tile 1 + r tile_columns + c     [H, W]
 *     K[i, j] = G[i + (H - h) / 2, j + (W - w) / 2]          the picture's part  [h, w]
 *     S = K, or where h' x w' are fewer:                                       [h', w']
 *     S[i, j] = K at ((i + 1/2) h / h' - 1/2, (j + 1/2) w / w' - 1/2)
 *
 *     features of tile 0, S[0, :], newline, S[1, :], newline, ..., S[h' - 1, :], newline
 *
 * where h, w are grid_h, grid_w of the pixels and h' x w' their first view. Between four
 * features lies the bilinear mean of them, and nothing before the first or behind the last.
 *
 * @source transformers, pack_image_features() of models/llava_next/modeling_llava_next.py and
 * of models/llava_onevision/modeling_llava_onevision.py; torch's interpolate()
 */
#ifndef TWINLENS_VISION_PACK_H
#define TWINLENS_VISION_PACK_H

#include "tensor/finder.h"
#include "twinlens/encoding.h"
#include "vision/vision_spec.h"

/* The newline [d_model]. */
tl_status tl_pack_find(const tl_finder *f, const tl_vision_spec *vision,
                       const float **newline, tl_error *err);

/* How many features there are then; TL_ERR_DATA when the pixels' numbers contradict each
 * other. */
tl_status tl_pack_count(const tl_vision_spec *vision, const tl_pixels *pixels,
                        size_t *count, tl_error *err);

/* tiles [n_tiles, n * n, d_model] -> out [count, d_model]. */
void tl_pack_run(const tl_vision_spec *vision, const tl_pixels *pixels,
                 const float *newline, const float *tiles, float *out);

#endif
