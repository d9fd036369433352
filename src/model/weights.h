/* SPDX-License-Identifier: MIT
 *
 * weights.h - the tensors of a model folder, found by name and checked against the
 * spec. Matrices stay mapped in the file's type; vectors are copied to f32.
 */
#ifndef TWINLENS_MODEL_WEIGHTS_H
#define TWINLENS_MODEL_WEIGHTS_H

#include "model/spec.h"
#include "tensor/finder.h"
#include "twinlens/arena.h"
#include "twinlens/safetensors.h"

typedef struct tl_layer_weights {
    tl_norm attn_norm, mlp_norm;
    tl_norm attn_post_norm, mlp_post_norm; /* NULL weights without post_norms */
    tl_norm q_norm, k_norm;                /* NULL weights without qk_norm */
    tl_linear q, k, v, o, gate, up, down;
} tl_layer_weights;

typedef struct tl_weights {
    tl_tensor embed; /* [n_vocab, d_model] */
    tl_linear head;  /* [n_vocab, d_model] */
    tl_norm final_norm;
    tl_layer_weights *layers;
    bool has_vision;
    const void *vision; /* what the tower of the spec has found; only it knows */
    /* A tied head is the embeddings; the projector is part of the tower. */
    tl_weight_size embed_size, decoder_size, vision_size;
} tl_weights;

/* Whether the head is the embeddings, in a folder whose spec leaves that to its tensors. */
bool tl_weights_tie_head(const tl_spec *spec, const tl_safetensors *file);

/*
 * A file without any tensor of the vision tower is a text-only model. Without a file
 * (NULL) every tensor is taken to be there in 16 bits, as the spec wants it: that tells
 * the sizes, and nothing can be computed.
 */
tl_status tl_weights_find(const tl_spec *spec, const tl_safetensors *file,
                          tl_arena *arena, tl_weights *out, tl_error *err);

#endif
