/* SPDX-License-Identifier: MIT
 *
 * model.h - a vision-language model from a Hugging Face folder: weights (mapped),
 * architecture, and the backend that computes with them.
 *
 *     tl_model *model = NULL;
 *     status = tl_model_open("Qwen2-VL-2B-Instruct", NULL, &model, &err);
 *     status = tl_model_input(model, &encoding, TL_ROPE_TRUE, arena, &input, &err);
 *     ... passes (pass.h) and experiments (circuit.h, probe.h) ...
 *     tl_model_close(model);
 */
#ifndef TWINLENS_MODEL_H
#define TWINLENS_MODEL_H

#include "twinlens/api.h"
#include "twinlens/arena.h"
#include "twinlens/encoding.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

typedef struct tl_model tl_model;

/* What the products of the decoder's linear layers are made of (docs/math.md eq. 21). */
typedef enum tl_precision {
    TL_PRECISION_F32,
    /* Inputs, gradients and weights rounded to bf16, sums in f32; all between products in
     * f32, and so are the tower and the head. */
    TL_PRECISION_BF16,
    /* The same where the processor cannot multiply bf16: as slow as f32, or slower. */
    TL_PRECISION_BF16_EMULATED,
} tl_precision;

typedef struct tl_model_options {
    size_t size;         /* sizeof(tl_model_options); 0: that of today */
    const char *backend; /* "cpu" (the default where it is built in) or "ref" */
    size_t n_threads;    /* 0: one a core; see below */
    size_t cache_bytes;  /* for converted weights; 0: 64 MiB */
    tl_precision precision;
} tl_model_options;

/*
 * The threads are OpenMP's, as many as OMP_NUM_THREADS says where it is set and n_threads is
 * not. While they wait for each other they do not spin for long, as OpenMP's do by
 * themselves: from the first model on this is so for all of the process, unless
 * OMP_WAIT_POLICY or GOMP_SPINCOUNT in its environment says otherwise.
 *
 * `path`: a folder with config.json and *.safetensors, or a hub cache entry
 * (models--org--name, whose newest snapshot is taken); NULL: the model that comes with
 * twinlens. `options` may be NULL.
 * What the configuration asks for and cannot be honoured is TL_ERR_UNSUPPORTED,
 * naming key and value; so is TL_PRECISION_BF16 of the backend "cpu" on a processor that
 * cannot multiply bf16 ("ref" always can, slowly).
 */
tl_status tl_model_open(const char *path, const tl_model_options *options,
                        tl_model **out, tl_error *err);
/* Passes, arrays and experiments on the model must be gone by then; inputs need not. */
void tl_model_close(tl_model *model);

/* That it was opened with, or given since. */
tl_precision tl_model_precision(const tl_model *model);

/* From now on; what a pass or an experiment under way has computed is of the one before, and
 * nobody wants to mix both. Errors: those of tl_model_open for the precision, and
 * TL_ERR_ARGUMENT while a pass computes. */
tl_status tl_model_set_precision(tl_model *model, tl_precision precision,
                                 tl_error *err);

/* The folder with the files, as tl_model_open takes it from `path`: *out receives `path`
 * itself, or the name of a folder, in `arena`. TL_ERR_NOT_FOUND when there is none. */
tl_status tl_model_folder(const char *path, tl_arena *arena, const char **out,
                          tl_error *err);

/* Sizes of the language decoder. */
typedef struct tl_dims {
    size_t n_layers, d_model, n_heads, n_kv_heads, d_head, d_mlp, n_vocab;
} tl_dims;
const tl_dims *tl_model_dims(const tl_model *model); /* valid until it is closed */
/* What config.json calls the architecture, "qwen2_vl"; valid until it is closed. */
const char *tl_model_family(const tl_model *model);

typedef enum tl_rope {
    TL_ROPE_TRUE,       /* the model's own positions (M-RoPE) */
    TL_ROPE_SEQUENTIAL, /* 0..T-1 on all axes, as published */
} tl_rope;

/* What enters the first layer. */
typedef struct tl_input {
    size_t n_pos;
    const float *embeds;      /* [n_pos, d_model], image features in place */
    const int32_t *positions; /* [3, n_pos]: rotary positions, time, height, width */
    const int32_t *block;     /* [n_pos] or NULL: equal values >= 0 see each other */
    const bool *is_image;     /* [n_pos]: holds an image feature */
    const char *name; /* of the prompt, for messages; that of the encoding, borrowed */
    /* DeepStack: deep [n_deep, n_pos, d_model] is what an image adds to the stream behind
     * the first n_deep layers, 0 where there is none. NULL: nothing. */
    const float *deep;
    size_t n_deep;
} tl_input;

/* Bytes of embeds and deep of a prompt of n_pos positions with an image. */
size_t tl_model_input_bytes(const tl_model *model, size_t n_pos);

/* Runs the vision tower if there is an image, and assembles the input, all of it in
 * `arena`: neither the encoding nor the model is needed for it to stay valid, but what the
 * prompt's name is borrowed from. */
tl_status tl_model_input(tl_model *model, const tl_encoding *encoding, tl_rope rope,
                         tl_arena *arena, tl_input *out, tl_error *err);

/* Keeps the features of images, so that the vision tower does not run again for an image
 * that it has seen: as many as fit into so many bytes, and what was used least recently
 * goes. None are kept before the first call; 0: none from now on. */
void tl_model_keep_features(tl_model *model, size_t bytes);

/* How often the vision tower has run, and for how many different images. */
void tl_model_count_images(const tl_model *model, size_t *n_runs, size_t *n_images);

/* Floating-point operations of products with weights that were made with this model so far,
 * two for each multiplication and addition: decoder, vision tower, logits. Any thread may
 * ask at any time. */
uint64_t tl_model_product_flops(const tl_model *model);

/* Those of them that the vision tower made. */
uint64_t tl_model_tower_flops(const tl_model *model);

/* Rows of the unembedding, `out` [n_ids, d_model]. TL_ERR_ARGUMENT when there is no such
 * token. */
tl_status tl_model_unembedding(const tl_model *model, const int32_t *ids, size_t n_ids,
                               float *out, tl_error *err);

TL_END_DECLS

#endif
