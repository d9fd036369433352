/* SPDX-License-Identifier: MIT
 * model_private.h - the inside of a tl_model, for the files of src/model. */
#ifndef TWINLENS_MODEL_PRIVATE_H
#define TWINLENS_MODEL_PRIVATE_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "model/model_parts.h"
#include "twinlens/model.h"
#include "twinlens/safetensors.h"
#include "vision/feature_cache.h"

struct tl_model {
    tl_spec spec;
    tl_weights weights;
    tl_safetensors *file;
    tl_backend *backend;
    tl_arena *arena; /* norm weights, biases, tables */
    tl_feature_cache features;
    _Atomic(uint64_t) tower_multiply_adds; /* of the backend's */
    tl_precision precision;
    atomic_bool in_use; /* somebody computes with the backend */
};

/* The backend's scratch serves one computation at a time. `begin` refuses a second one,
 * TL_ERR_ARGUMENT, instead of mixing both; after TL_OK there must be an `end`. */
tl_status tl_model_begin(tl_model *model, tl_error *err);
void tl_model_end(tl_model *model);

/* The folder of the bundled model, in `arena`; TL_ERR_NOT_FOUND naming where it was looked
 * for. */
tl_status tl_model_find_bundled(tl_arena *arena, const char **out, tl_error *err);

#endif
