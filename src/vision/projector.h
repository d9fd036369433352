/* SPDX-License-Identifier: MIT
 *
 * projector.h - what stands between a vision tower and the decoder; the kinds are those of
 * tl_projector_kind (vision/vision_spec.h):
 *
 *     layers   feature = W_2 act(W_1 x + b_1) + b_2
 *     linear   feature = W x + b
 *     means    feature = RMS norm(s) W,  s = mean of x over squares of merge x merge patches
 *     merged   feature = layers(W_m m),  m = RMS norm x of the patches of such a square,
 *              dimension by dimension: m[d n + p] is dimension d of patch p of n
 *     squares  feature = layers(layer norm s), s = x of the patches of such a square, patch
 *              by patch, row by row
 *     connector  feature = W s
 *
 * Only for the files of this folder.
 */
#ifndef TWINLENS_VISION_PROJECTOR_H
#define TWINLENS_VISION_PROJECTOR_H

#include "backend/backend.h"
#include "tensor/finder.h"
#include "vision/vision_spec.h"

typedef struct tl_projector {
    tl_linear in, out; /* linear, connector: `in` alone; means: `in`, stored
                          input first */
    tl_norm norm;      /* means, merged, squares */
    tl_linear merge;   /* merged: [width, width * merge * merge] */
} tl_projector;

/* Lies beside the tower in the file. */
tl_status tl_projector_find(const tl_finder *f, const tl_vision_spec *vision,
                            tl_projector *out, tl_error *err);

/* How many features become of rows x columns patches. */
size_t tl_projector_count(const tl_vision_spec *vision, size_t rows, size_t columns);

/* Floats that tl_projector_run works with beside its arguments. */
size_t tl_projector_scratch(const tl_vision_spec *vision, size_t rows, size_t columns);

/* x [rows * columns, width] -> out [count, d_model]. */
tl_status tl_projector_run(tl_backend *b, const tl_vision_spec *vision,
                           const tl_projector *projector, size_t rows, size_t columns,
                           const float *x, float *scratch, float *out, tl_error *err);

#endif
