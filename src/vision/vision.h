/* SPDX-License-Identifier: MIT
 *
 * vision.h - the vision towers: from pixels to the features that take the place
 * of image tokens in the decoder's input. Run forward only, once per image.
 */
#ifndef TWINLENS_VISION_VISION_H
#define TWINLENS_VISION_VISION_H

#include "backend/backend.h"
#include "tensor/finder.h"
#include "twinlens/arena.h"
#include "twinlens/encoding.h"
#include "vision/vision_spec.h"

/* What the model's file has of it, in the finder's arena; the finder has the tower's prefix. */
tl_status tl_vision_find(const tl_finder *finder, const tl_vision_spec *vision,
                         const void **weights, tl_error *err);

/*
 * Features [1 + n_deep, *count, d_model] of one image, in sequence order, in `arena`. `weights` are
 * what tl_vision_find has found.
 * Errors: TL_ERR_DATA when the pixels do not fit the tower, TL_ERR_BACKEND,
 * TL_ERR_NO_MEMORY.
 */
tl_status tl_vision_features(tl_backend *backend, const tl_vision_spec *vision,
                             const void *weights, const tl_pixels *pixels,
                             tl_arena *arena, float **features, size_t *count,
                             tl_error *err);

/* Bytes that this takes, features and the scratch of attention included, by the spec
 * alone. Errors: TL_ERR_DATA, TL_ERR_NO_MEMORY. */
tl_status tl_vision_bytes(const tl_backend *backend, const tl_vision_spec *vision,
                          const tl_pixels *pixels, size_t *out, tl_error *err);
/* Of it the scratch of attention, which is the backend's. */
tl_status tl_vision_attention_bytes(const tl_backend *backend,
                                    const tl_vision_spec *vision,
                                    const tl_pixels *pixels, size_t *out,
                                    tl_error *err);

/* Floating-point operations of the products that make an image's features. */
tl_status tl_vision_flops(const tl_vision_spec *vision, const tl_pixels *pixels,
                          uint64_t *out, tl_error *err);

#endif
