/* SPDX-License-Identifier: MIT
 *
 * tensor.h - a view of an array: element type, shape and a borrowed pointer.
 * Tensors are dense and row-major. They own nothing.
 *
 *     const tl_tensor states = tl_tensor_f32(values, n_pos, d_model, 0);
 *     status = tl_tensor_to_f32(&weight, 0, tl_tensor_count(&weight), copy, &err);
 */
#ifndef TWINLENS_TENSOR_H
#define TWINLENS_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/api.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

typedef enum tl_dtype {
    TL_F32 = 0,
    TL_F16,
    TL_BF16,
    TL_F64,
    TL_I64,
    TL_I32,
    TL_I16,
    TL_I8,
    TL_U8,
    TL_BOOL,
} tl_dtype;
enum { TL_DTYPE_COUNT = TL_BOOL + 1 };

enum { TL_MAX_DIMS = 8 };

typedef struct tl_tensor {
    tl_dtype dtype;
    size_t n_dims;            /* 0 is a scalar: one element */
    size_t dims[TL_MAX_DIMS]; /* outermost first */
    const void *data;         /* aligned to the element size, not more */
} tl_tensor;

size_t tl_dtype_bytes(tl_dtype dtype);
/* As in safetensors, "F32", "BF16", ...; valid always. */
const char *tl_dtype_name(tl_dtype dtype);

/* Number of elements; the product of dims. */
size_t tl_tensor_count(const tl_tensor *tensor);

/* A view of `data`, valid as long as they are, with the given shape (1 to 3 dimensions,
 * 0 ends them). */
tl_tensor tl_tensor_f32(const float *data, size_t d0, size_t d1, size_t d2);

/* Writes "[640,48]" to `text`, cut to fit; returns `text`. */
const char *tl_shape_text(const size_t *dims, size_t n_dims, char *text, size_t bytes);

/* One value of each 16-bit type, exactly; round to nearest even on the way down. */
float tl_bf16_to_f32(uint16_t bits);
float tl_f16_to_f32(uint16_t bits);
uint16_t tl_f32_to_bf16(float value);

/*
 * Writes elements [first, first + count) as f32. The dtype must be a floating
 * one (f64 is rounded); TL_ERR_UNSUPPORTED otherwise.
 */
tl_status tl_tensor_to_f32(const tl_tensor *tensor, size_t first, size_t count,
                           float *out, tl_error *err);

TL_END_DECLS

#endif
