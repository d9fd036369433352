/* SPDX-License-Identifier: MIT
 *
 * levels.h - what all kinds of images share (image_kind.h): the filter that they are
 * resized with, and what becomes of the 256 values of a colour.
 */
#ifndef TWINLENS_INPUT_LEVELS_H
#define TWINLENS_INPUT_LEVELS_H

#include <jansson.h>
#include <stdbool.h>

#include "twinlens/image.h"

enum { TL_CHANNEL_COUNT = 3, TL_LEVEL_COUNT = 256 };
/* Of a picture or a part of one, and how many a picture may be cut into: far more than any
 * model has, so that products of a few stay in range. */
enum { TL_LARGEST_SIDE = 16384, TL_MOST_TILES = 256 };

typedef struct tl_levels {
    bool do_rescale, do_normalize;
    double rescale_factor;
    double mean[TL_CHANNEL_COUNT], std[TL_CHANNEL_COUNT];
} tl_levels;

/* What the classes of image processors say: CLIP's statistics, or one half for all. */
#define TL_LEVELS_CLIP                                                                 \
    {                                                                                  \
        .do_rescale = true, .do_normalize = true, .rescale_factor = 1.0 / 255.0,       \
        .mean = {0.48145466, 0.4578275, 0.40821073}, .std = {                          \
            0.26862954,                                                                \
            0.26130258,                                                                \
            0.27577711                                                                 \
        }                                                                              \
    }
#define TL_LEVELS_HALVES                                                               \
    {                                                                                  \
        .do_rescale = true, .do_normalize = true, .rescale_factor = 1.0 / 255.0,       \
        .mean = {0.5, 0.5, 0.5}, .std = {                                              \
            0.5,                                                                       \
            0.5,                                                                       \
            0.5                                                                        \
        }                                                                              \
    }

/* Whether `config` is an object, and of the image processor `wanted`, slow or fast, if it
 * says of which. */
tl_status tl_image_processor_check(const json_t *config, const char *where,
                                   const char *wanted, tl_error *err);

/* A side, 1 to TL_LARGEST_SIDE; left alone when it is absent or null. `name` is that of the
 * object, for messages; NULL: `where` says it. */
tl_status tl_image_side_read(const json_t *object, const char *name, const char *key,
                             const char *where, size_t *side, tl_error *err);

/* Both leave alone what is absent or null. */
tl_status tl_levels_read(const json_t *config, const char *where, tl_levels *levels,
                         tl_error *err);
tl_status tl_resample_read(const json_t *config, const char *where,
                           tl_resample *resample, tl_error *err);

/*
 *     table[c][v] = (v rescale_factor - mean[c]) / std[c]
 *
 * @source transformers, rescale() and normalize() of image_transforms.py: it rounds
 * v * rescale_factor to float, and subtracts and divides in float.
 */
void tl_levels_table(const tl_levels *levels,
                     float table[TL_CHANNEL_COUNT][TL_LEVEL_COUNT]);

/* A whole picture so, [channel, row, column] in `arena`; NULL when there is no memory. */
float *tl_levels_planes(const tl_levels *levels, const tl_image *image,
                        tl_arena *arena);

#endif
