/* SPDX-License-Identifier: MIT
 *
 * spec.h - what an architecture is: the sizes and switches that the one decoder
 * and the vision towers are run with, read from a model folder's config.json.
 *
 * A field that config.json leaves out takes the default of transformers' own
 * configuration class. What cannot be honoured is refused, by key and value.
 */
#ifndef TWINLENS_MODEL_SPEC_H
#define TWINLENS_MODEL_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "op/activation.h"
#include "twinlens/model.h"
#include "vision/vision_spec.h"

/* One rotary encoding; a model may use one in some layers and one in others. */
typedef struct tl_rope_spec {
    double theta;
    double factor;  /* positions are divided by it; 1: plain */
    double context; /* Llama-3: only those of frequencies that turn fewer than `low`
                           times in so many positions are, those that turn `high` times
                           are not, and between the two a part; 0: all are */
    double low, high;
    size_t sections[3]; /* M-RoPE: frequencies of time, height, width; all 0: the
                           first axis for all */
    bool interleaved;   /* time, height, width by turns, while each has any left; else
                           one behind the other */
    double growth;      /* of the base with prompts of more than n_plain positions, so
                           that the slowest frequency turns no further; 0: it does not */
    size_t n_plain;
} tl_rope_spec;

typedef struct tl_spec {
    char family[32]; /* model_type of config.json */
    tl_dims dims;
    float norm_eps;
    float attention_scale;
    float attention_softcap, logit_softcap; /* 0: none */
    float embed_scale;                      /* of text embeddings; 1: none */
    tl_activation activation;
    bool qkv_bias;
    bool qk_norm;             /* RMS norm on every head of q and k */
    bool post_norms;          /* also norm what attention and MLP add */
    bool norm_plus_one;       /* norm weights are stored minus one */
    bool tied_head;           /* lm_head is the embedding table */
    bool head_decides;        /* tied_head is so where a folder has no lm_head, and only
                                 there */
    bool image_bidirectional; /* image positions see each other both ways */
    bool bidirectional;       /* all positions do */
    size_t window;            /* of sliding layers; 0: no layer slides */
    size_t global_every;      /* with a window: layers l with (l + 1) % this == 0 are
                                 global, the others slide */
    tl_rope_spec rope, rope_sliding; /* of global and of sliding layers */
    int32_t image_token, vision_start_token;
    tl_vision_spec vision;
} tl_spec;

/* Reads FOLDER/config.json. Errors: TL_ERR_NOT_FOUND, TL_ERR_FORMAT,
 * TL_ERR_UNSUPPORTED. */
tl_status tl_spec_read(const char *folder, tl_spec *out, tl_error *err);

/* Whether layer l attends through the sliding window. */
bool tl_spec_is_sliding(const tl_spec *spec, size_t layer);

#endif
