/* SPDX-License-Identifier: MIT
 *
 * image.h - image files to RGB pixels, and RGB pixels to other sizes, with the
 * same values that Pillow gives (Image.open, ImageOps.exif_transpose,
 * convert("RGB"), resize).
 *
 *     tl_image image, small;
 *     status = tl_image_read("cat.jpg", arena, &image, &err);
 *     status = tl_image_resize(&image, 224, 224, TL_BICUBIC, arena, &small, &err);
 */
#ifndef TWINLENS_IMAGE_H
#define TWINLENS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/api.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

typedef struct tl_image {
    size_t width, height;
    const uint8_t *rgb;  /* [height, width, 3] */
    bool is_transparent; /* some pixels of the file are; alpha is dropped, and their
                            colours are in `rgb` as if they were not */
} tl_image;

typedef enum tl_resample {
    TL_LANCZOS = 1,
    TL_BILINEAR = 2,
    TL_BICUBIC = 3
} tl_resample; /* Pillow's numbers */

/*
 * Reads a PNG, JPEG or WebP file (known by its first bytes, not by its name) in
 * any of their colour types, applies the EXIF orientation, and converts to RGB.
 * The pixels live in `arena`.
 * Errors: TL_ERR_NOT_FOUND, TL_ERR_IO, TL_ERR_FORMAT (damaged or truncated),
 * TL_ERR_UNSUPPORTED (another kind of file, more than 2^28 pixels).
 */
tl_status tl_image_read(const char *path, tl_arena *arena, tl_image *out,
                        tl_error *err);

/* Pillow's resize with antialiasing: fixed-point coefficients and rounding of its
 * 8-bit path. Same size gives a copy. */
tl_status tl_image_resize(const tl_image *image, size_t width, size_t height,
                          tl_resample resample, tl_arena *arena, tl_image *out,
                          tl_error *err);

TL_END_DECLS

#endif
