/* SPDX-License-Identifier: MIT
 *
 * image_kind.h - how a family turns a picture into the pixels that its vision tower
 * reads: what its image processor's options say, and what they mean. One file each.
 */
#ifndef TWINLENS_INPUT_IMAGE_KIND_H
#define TWINLENS_INPUT_IMAGE_KIND_H

#include <jansson.h>

#include "twinlens/arena.h"
#include "twinlens/encoding.h"
#include "twinlens/image.h"

typedef struct tl_image_kind {
    /* Keys that are absent or null have transformers' defaults; what cannot be honoured
     * is refused. `model` is the model's config.json, for the kinds whose number of
     * image tokens is said there. The options are this kind's own, in `arena`. */
    tl_status (*read)(const json_t *config, const char *where, const json_t *model,
                      tl_arena *arena, const void **options, tl_error *err);
    /* Also says how many image tokens there are, and what of the picture each sees. */
    tl_status (*make)(const void *options, const tl_image *image, tl_arena *arena,
                      tl_pixels *out, tl_error *err);
} tl_image_kind;

extern const tl_image_kind tl_image_kind_qwen2_vl; /* patches.c */
extern const tl_image_kind tl_image_kind_gemma3, tl_image_kind_paligemma,
    tl_image_kind_clip; /* image_fixed.c */
extern const tl_image_kind tl_image_kind_llava_next,
    tl_image_kind_llava_onevision;                 /* image_anyres.c */
extern const tl_image_kind tl_image_kind_idefics3; /* and SmolVLM's */
extern const tl_image_kind tl_image_kind_pixtral, tl_image_kind_mistral3;
extern const tl_image_kind tl_image_kind_internvl;

#endif
