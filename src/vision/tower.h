/* SPDX-License-Identifier: MIT
 *
 * tower.h - a vision tower: which tensors it has, and how it turns pixels into features.
 * One file each, vision_NAME.c; vision.c has the table.
 */
#ifndef TWINLENS_VISION_TOWER_H
#define TWINLENS_VISION_TOWER_H

#include "backend/backend.h"
#include "tensor/finder.h"
#include "twinlens/encoding.h"
#include "vision/vision_spec.h"

typedef struct tl_tower_kind {
    /* The file has the tower when it has `marker` under one of the prefixes. */
    const char *const *prefixes;
    size_t n_prefixes;
    const char *marker;
    /* The tower's weights, in the finder's arena. */
    tl_status (*find)(const tl_finder *finder, const tl_vision_spec *vision,
                      const void **weights, tl_error *err);
    /* What follows sees one tile, dims[0] of pixels of four dimensions being 1 (vision.c).
     * How many features pixels give; TL_ERR_DATA when they do not fit the tower. What
     * follows is asked only when they do. */
    tl_status (*count)(const tl_vision_spec *vision, const tl_pixels *pixels,
                       size_t *count, tl_error *err);
    /* How many rows run through the tower: patches, and what else it has. */
    size_t (*rows)(const tl_vision_spec *vision, const tl_pixels *pixels);
    /* Takes from a measuring arena what `run` takes from `scratch`. */
    tl_status (*plan)(const tl_vision_spec *vision, const tl_pixels *pixels,
                      tl_arena *arena, tl_error *err);
    /* Features [1 + n_deep, count, d_model] in the order of the image tokens: those that
     * take their place, and those for further up. */
    tl_status (*run)(tl_backend *b, const tl_vision_spec *vision, const void *weights,
                     const tl_pixels *pixels, tl_arena *scratch, float *features,
                     tl_error *err);
} tl_tower_kind;

const tl_tower_kind *tl_tower_get(tl_tower tower);

/* A buffer of `count` floats. */
typedef struct tl_tower_buffer {
    float **at;
    size_t count;
} tl_tower_buffer;
tl_status tl_tower_take(tl_arena *arena, const tl_tower_buffer *buffers, size_t n,
                        tl_error *err);

/*
 * What attention in every tower works with, `rows` of them: the stream, and the stream
 * behind a norm.
 */
typedef struct tl_tower_state {
    float *x, *norm, *q, *k, *v, *z; /* [rows, width] */
    float *lse;                      /* [rows, n_heads] */
    float *cosine,
        *sine; /* [rows, d_head / 2]; unused where positions are not rotary */
} tl_tower_state;
tl_status tl_tower_take_state(tl_arena *arena, const tl_vision_spec *vision,
                              size_t rows, tl_tower_state *out, tl_error *err);

/* Attention in a tower: every head has keys of its own, and nothing is hidden. */
tl_attention tl_tower_attention_shape(const tl_vision_spec *vision);

typedef struct tl_tower_attention {
    tl_linear q, k, v, out;
} tl_tower_attention;
/* x += out(attention(norm)), inside each prompt both ways. */
tl_status tl_tower_attend(tl_backend *b, const tl_vision_spec *vision,
                          const tl_tower_attention *weights, size_t rows,
                          const tl_attention_prompt *prompts, size_t n_prompts,
                          const tl_tower_state *s, tl_error *err);

/* A whole picture [1, channel, row, column] as rows of [channel, row, column], patch by
 * patch; what is left at the far edges belongs to none. `out` [patches, channels * patch *
 * patch]. */
void tl_tower_cut_patches(const tl_vision_spec *vision, const tl_pixels *pixels,
                          float *out);

extern const tl_tower_kind tl_tower_qwen, tl_tower_vit, tl_tower_pixtral,
    tl_tower_internvl;

#endif
