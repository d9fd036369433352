/* SPDX-License-Identifier: MIT
 *
 * patches.h - an RGB picture to the normalised patches that Qwen2-VL's vision tower
 * reads, with the values of transformers' Qwen2VLImageProcessor (the slow one, which
 * resizes with Pillow).
 */
#ifndef TWINLENS_INPUT_PATCHES_H
#define TWINLENS_INPUT_PATCHES_H

#include <jansson.h>
#include <stdbool.h>

#include "input/levels.h"
#include "twinlens/encoding.h"
#include "twinlens/image.h"

/* preprocessor_config.json */
typedef struct tl_patch_options {
    bool do_resize;
    bool enlarges; /* sides shorter than a merged patch, as transformers from 4.53 on */
    size_t min_pixels, max_pixels; /* of the resized picture */
    size_t patch_size, merge_size, temporal_patch_size;
    tl_resample resample;
    tl_levels levels;
} tl_patch_options;

/* Keys that are absent or null have transformers' defaults. */
tl_status tl_patch_options_read(const json_t *config, const char *where,
                                tl_patch_options *out, tl_error *err);

/*
 * The size to which a picture is resized: both sides multiples of patch_size *
 * merge_size, about the same shape, between min_pixels and max_pixels where that is
 * possible. TL_ERR_DATA if a side is shorter than that multiple and options->enlarges is
 * false, or if the picture is more than 200 times as long as wide.
 */
tl_status tl_patches_size(const tl_patch_options *options, size_t width, size_t height,
                          size_t *new_width, size_t *new_height, tl_error *err);

/*
 * Resize, rescale, normalise, cut into patches. `out` gets
 * [grid_h grid_w, 3 temporal_patch_size patch_size^2]: the patches of each merged
 * block in turn, each as channel, time, row, column.
 */
tl_status tl_patches_make(const tl_patch_options *options, const tl_image *image,
                          tl_arena *arena, tl_pixels *out, tl_error *err);

#endif
