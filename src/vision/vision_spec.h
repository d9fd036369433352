/* SPDX-License-Identifier: MIT
 *
 * vision_spec.h - what a vision tower is: the sizes and switches that it is run with.
 */
#ifndef TWINLENS_VISION_VISION_SPEC_H
#define TWINLENS_VISION_VISION_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "op/activation.h"

/* What turns an image into features; vision_NAME.c each. */
typedef enum tl_tower {
    TL_TOWER_QWEN,
    TL_TOWER_QWEN3,
    TL_TOWER_VIT,
    TL_TOWER_PIXTRAL,
    TL_TOWER_INTERNVL,
} tl_tower;

/* What brings a tower's states to the decoder, projector.c; Qwen's is part of its tower. */
typedef enum tl_projector_kind {
    TL_PROJECTOR_LAYERS, /* two, with an activation between */
    TL_PROJECTOR_LINEAR,
    TL_PROJECTOR_MEANS,     /* over squares, then a norm and a matrix */
    TL_PROJECTOR_CONNECTOR, /* laid end to end, through a matrix */
    TL_PROJECTOR_MERGED, /* a norm, squares laid end to end through a matrix, two layers */
    TL_PROJECTOR_SQUARES, /* squares laid end to end, a layer norm, two layers */
} tl_projector_kind;

enum { TL_TOWER_LAYERS = 256, TL_DEEP_LAYERS = 16 }; /* at most */

typedef struct tl_vision_spec {
    tl_tower tower;
    size_t depth, width, n_heads, d_mlp; /* width = n_heads * d_head */
    size_t d_model;                      /* of a feature: the decoder's */
    size_t patch, temporal_patch, channels;
    size_t merge; /* an image token stands for merge x merge patches */
    size_t grid;  /* patches a side that there are learned positions for; 0: none are */
    size_t window;                  /* in pixels; 0: every layer sees the whole image */
    bool sees_all[TL_TOWER_LAYERS]; /* with a window: layers that do so nevertheless */
    tl_activation activation;
    bool rms_norms;  /* else layer norms */
    bool qkv_bias;   /* of InternVL's tower; the others have it or not */
    bool qk_norm;    /* there: an RMS norm of q and of k, over all heads together */
    bool gated_mlp;  /* else two layers */
    bool class_row;  /* in front of the patches, as in CLIP */
    bool final_norm; /* behind the last layer */
    tl_projector_kind projector;
    tl_activation projector_activation; /* of a projector of two layers */
    bool projector_bias;
    float projector_eps; /* of a norm in front of it */
    bool packs;          /* the features of the tiles are laid together, pack.h */
    float norm_eps;
    double rope_theta; /* 0: positions are not rotary */
    /* DeepStack: layers, the lowest first, that also give features, which are added to the
     * stream behind the decoder's layers 0, 1, ... */
    size_t n_deep, deep_layers[TL_DEEP_LAYERS];
} tl_vision_spec;

#endif
