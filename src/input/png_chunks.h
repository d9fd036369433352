/* SPDX-License-Identifier: MIT
 *
 * png_chunks.h - the chunks of a PNG file, walked and judged as Pillow does.
 *
 * Which damaged files are readable depends on the reader: Pillow verifies the
 * checksum of everything in front of the image data and of nothing after it, and
 * knows nothing of most chunks. So libpng, which judges otherwise, is shown only
 * what it must see.
 */
#ifndef TWINLENS_INPUT_PNG_CHUNKS_H
#define TWINLENS_INPUT_PNG_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "input/exif.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"

typedef enum tl_png_colour {
    TL_PNG_GREY = 0,
    TL_PNG_RGB = 2,
    TL_PNG_PALETTE = 3,
    TL_PNG_GREY_ALPHA = 4,
    TL_PNG_RGB_ALPHA = 6,
} tl_png_colour;

/* Borrowed bytes of the file, in a row with others. */
typedef struct tl_png_span {
    const uint8_t *data;
    size_t bytes;
    struct tl_png_span *next;
} tl_png_span;

typedef struct tl_png_layout {
    size_t width, height; /* of the canvas */
    uint8_t depth, colour;
    bool has_header, interlaced;
    /* Where the pixels lie on the canvas: all of it, except in strange APNGs. */
    size_t x, y, frame_width, frame_height;
    uint8_t palette[256][3];  /* black where the file has no colour */
    size_t n_palette;         /* as the file says; more than 256 is an error */
    uint8_t see_through[256]; /* what each colour of the palette lacks of full alpha */
    bool has_transparent_colour; /* of a file without palette: one colour is */
    tl_png_span *data;           /* what the chunks of image data hold, in order */
    bool data_is_cut;            /* the file ends within the last of them */
    tl_metadata metadata;
    /* Compressed texts, as whole chunks: a "Raw profile type exif", an XMP packet. */
    tl_png_span profile_chunk, xmp_chunk;
    tl_png_span profile; /* or the former as found in the clear */
} tl_png_layout;

/* Errors: TL_ERR_FORMAT, TL_ERR_UNSUPPORTED, TL_ERR_NO_MEMORY. */
tl_status tl_png_walk(const uint8_t *file, size_t bytes, tl_arena *arena,
                      tl_png_layout *out, tl_error *err);

#endif
