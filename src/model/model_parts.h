/* SPDX-License-Identifier: MIT
 *
 * model_parts.h - what a model is made of, for those who describe it and plan with it:
 * `twinlens inspect`, plans of memory, tests. Nobody computes through this.
 */
#ifndef TWINLENS_MODEL_MODEL_PARTS_H
#define TWINLENS_MODEL_MODEL_PARTS_H

#include "model/spec.h"
#include "model/weights.h"
#include "op/attention.h"
#include "twinlens/encoding.h"
#include "twinlens/model.h"

/* Room for converted weights that nobody has asked for. */
enum { TL_DEFAULT_CACHE_BYTES = 64 << 20 };

/* A model without its weights, of a folder that need not have them: the sizes are those
 * that the configuration wants. It can be planned with and not run. Errors: those of
 * tl_model_open() but for the weights. */
tl_status tl_model_open_bare(const char *path, const tl_model_options *options,
                             tl_model **out, tl_error *err);

/* Valid as long as the model. */
const tl_spec *tl_model_spec(const tl_model *model);
const tl_weights *tl_model_weights(const tl_model *model);
const tl_safetensors *tl_model_file(const tl_model *model); /* NULL: without weights */

/* Bytes that the tower takes for an image, features included. Errors: TL_ERR_DATA when
 * the pixels do not fit it, TL_ERR_NO_MEMORY. */
tl_status tl_model_vision_bytes(const tl_model *model, const tl_pixels *pixels,
                                size_t *out, tl_error *err);

/* What tl_model_tower_flops() grows by for an image. Errors as above. */
tl_status tl_model_vision_flops(const tl_model *model, const tl_pixels *pixels,
                                uint64_t *out, tl_error *err);

/* The shape of the attention of layer l. */
tl_attention tl_layer_attention(const tl_spec *spec, size_t l);

#endif
