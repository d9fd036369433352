/* SPDX-License-Identifier: MIT
 *
 * image_decode.h - one decoder per file format, behind tl_image_read().
 *
 * A decoder is given the whole file and gives back pixels as they are stored,
 * together with the EXIF orientation that turns them upright. It accepts and
 * refuses what Pillow accepts and refuses, as far as that is told below. The
 * error text does not name the file; the caller does.
 */
#ifndef TWINLENS_INPUT_IMAGE_DECODE_H
#define TWINLENS_INPUT_IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

enum { TL_IMAGE_MAX_PIXELS = 1 << 28 };

typedef struct tl_decoded {
    size_t width, height; /* as stored: before the orientation is applied */
    uint8_t *rgb;         /* [height, width, 3] */
    int orientation;      /* 1..8, the EXIF numbers */
    bool is_transparent;  /* some pixel's alpha, which is dropped, is not full */
} tl_decoded;

/* Pixels and everything temporary go to `arena`. */
tl_status tl_png_decode(const uint8_t *file, size_t bytes, tl_arena *arena,
                        tl_decoded *out, tl_error *err);
tl_status tl_jpeg_decode(const uint8_t *file, size_t bytes, tl_arena *arena,
                         tl_decoded *out, tl_error *err);
tl_status tl_webp_decode(const uint8_t *file, size_t bytes, tl_arena *arena,
                         tl_decoded *out, tl_error *err);

/* Checks the size, sets it, and allocates the pixels, cleared to black. */
tl_status tl_decoded_alloc(tl_arena *arena, size_t width, size_t height,
                           tl_decoded *out, tl_error *err);

/* Widens a row of `width` grey bytes at the start of `row` to RGB, in place. */
void tl_decoded_grey_to_rgb(uint8_t *row, size_t width);

#endif
