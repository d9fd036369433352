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
 * An image, ready for the vision tower, in the layout in which transformers
 * hands it over. Qwen2-VL: pixels [n_patches, 3 * 2 * 14 * 14], patches in
 * order of 2x2 merged blocks, and grid_h, grid_w count patches before merging.
 * The others: pixels [1, 3, height, width], and no grid: grid_t is 0.
 */
typedef struct tl_pixels {
    size_t n_dims, dims[4]; /* shape of `values`, as transformers has it */
    const float *values;    /* normalised */
    size_t grid_t, grid_h, grid_w;
    size_t n_rows, n_columns; /* of image tokens; token row * n_columns + column */
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
