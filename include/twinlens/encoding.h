/* SPDX-License-Identifier: MIT
 *
 * encoding.h - one prompt as the model eats it: token ids and, with an image,
 * its patches. Made by the processor (src/input), eaten by the model.
 */
#ifndef TWINLENS_ENCODING_H
#define TWINLENS_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/api.h"
#include "twinlens/terms.h"

TL_BEGIN_DECLS

/*
 * A picture as a grid of image tokens that covers it. A picture that is cut into tiles is
 * seen twice: in the tiles together, and small as a whole.
 */
typedef struct tl_image_view {
    size_t n_rows, n_columns;
} tl_image_view;
enum { TL_IMAGE_VIEWS = 2 }; /* at most */
#define TL_NO_CELL UINT32_MAX

/*
 * An image, ready for the vision tower, in the layout in which transformers
 * hands it over. Qwen2-VL: pixels [n_patches, 3 * 2 * 14 * 14], patches in
 * order of 2x2 merged blocks, and grid_h, grid_w count patches before merging.
 * The others: pixels [n_tiles, 3, height, width], and no grid: grid_t is 0. LLaVA-NeXT: the
 * whole picture is the first tile, and grid_h, grid_w count patches of the other tiles together
 * that are of the picture, not of the black around it.
 */
typedef struct tl_pixels {
    size_t n_dims, dims[4]; /* shape of `values`, as transformers has it */
    const float *values;    /* normalised */
    size_t grid_t, grid_h, grid_w;
    /* Of the tiles, row by row, that a picture is cut into; 0: it is not cut. One more
     * tile is the whole picture. */
    size_t tile_rows, tile_columns;
    size_t n_tokens; /* image tokens of a prompt: features of the tower */
    size_t n_views;  /* 1 or 2 */
    tl_image_view views[TL_IMAGE_VIEWS];
    /* [n_tokens]: what each token sees. Cells are numbered row by row through all views;
     * TL_NO_CELL: no part of the picture. NULL: token i sees cell i. */
    const uint32_t *cells;
    bool is_transparent; /* as of tl_image: an alpha was dropped */
} tl_pixels;

typedef struct tl_encoding {
    tl_modality modality;
    size_t n_pos;
    const int32_t *ids;          /* [n_pos], image tokens expanded */
    size_t data_begin, data_end; /* positions of the data segment, half open */
    size_t n_images;             /* 0 or 1 */
    tl_pixels pixels;            /* valid if n_images == 1 */
    const char *name; /* of the prompt, for messages; borrowed; NULL: it has none */
} tl_encoding;

TL_END_DECLS

#endif
