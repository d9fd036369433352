/* SPDX-License-Identifier: MIT
 * tensor.c - see include/twinlens/tensor.h. */
#include "twinlens/tensor.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[TL_DTYPE_COUNT] = {
    [TL_F32] = {"F32", 4},   [TL_F16] = {"F16", 2}, [TL_BF16] = {"BF16", 2},
    [TL_F64] = {"F64", 8},   [TL_I64] = {"I64", 8}, [TL_I32] = {"I32", 4},
    [TL_I16] = {"I16", 2},   [TL_I8] = {"I8", 1},   [TL_U8] = {"U8", 1},
    [TL_BOOL] = {"BOOL", 1},
};

size_t tl_dtype_bytes(tl_dtype dtype)
{
    return dtypes[dtype].bytes;
}

const char *tl_dtype_name(tl_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t tl_tensor_count(const tl_tensor *tensor)
{
    size_t count = 1;
    for (size_t i = 0; i < tensor->n_dims; i++)
        count *= tensor->dims[i];
    return count;
}

tl_tensor tl_tensor_f32(const float *data, size_t d0, size_t d1, size_t d2)
{
    return (tl_tensor){
        .dtype = TL_F32,
        .n_dims = d1 == 0   ? 1
                  : d2 == 0 ? 2
                            : 3,
        .dims = {d0, d1, d2},
        .data = data,
    };
}

const char *tl_shape_text(const size_t *dims, size_t n_dims, char *text, size_t bytes)
{
    size_t used = 0;
    if (bytes > 0)
        text[0] = '\0';
    for (size_t i = 0; i <= n_dims && used < bytes; i++) {
        const int n = i == n_dims ? snprintf(text + used, bytes - used, "%s]",
                                             n_dims == 0 ? "[" : "")
                                  : snprintf(text + used, bytes - used, "%s%zu",
                                             i == 0 ? "[" : ",", dims[i]);
        used += (size_t)n;
    }
    return text;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float tl_bf16_to_f32(uint16_t bits)
{
    return from_bits((uint32_t)bits << 16);
}

/* Without branches, so that a loop over it becomes vector code. */
static float widen_f16(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float subnormal = (float)(int32_t)fraction * 0x1p-24f; /* exact in f32 */
    uint32_t small;
    memcpy(&small, &subnormal, sizeof small);
    const uint32_t bias = exponent == 31 ? 224 : 112; /* infinity and NaN: 31 to 255 */
    const uint32_t normal = (exponent + bias) << 23 | fraction << 13;
    return from_bits(sign | (exponent == 0 ? small : normal));
}

float tl_f16_to_f32(uint16_t bits)
{
    return widen_f16(bits);
}

uint16_t tl_f32_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40); /* a quiet NaN stays one */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

/* ---- many values. The data may lie anywhere, hence memcpy: compilers make it a load. */

static void widen_bf16s(size_t count, const unsigned char *restrict in,
                        float *restrict out)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, in + sizeof bits * i, sizeof bits);
        out[i] = from_bits((uint32_t)bits << 16);
    }
}

static void widen_f16s(size_t count, const unsigned char *restrict in,
                       float *restrict out)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, in + sizeof bits * i, sizeof bits);
        out[i] = widen_f16(bits);
    }
}

static void round_f64s(size_t count, const unsigned char *restrict in,
                       float *restrict out)
{
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, in + sizeof value * i, sizeof value);
        out[i] = (float)value;
    }
}

tl_status tl_tensor_to_f32(const tl_tensor *tensor, size_t first, size_t count,
                           float *out, tl_error *err)
{
    assert(first <= tl_tensor_count(tensor) &&
           count <= tl_tensor_count(tensor) - first);
    const unsigned char *bytes =
        (const unsigned char *)tensor->data + first * tl_dtype_bytes(tensor->dtype);
    switch (tensor->dtype) {
    case TL_F32: memcpy(out, bytes, count * sizeof *out); return TL_OK;
    case TL_BF16: widen_bf16s(count, bytes, out); return TL_OK;
    case TL_F16: widen_f16s(count, bytes, out); return TL_OK;
    case TL_F64: round_f64s(count, bytes, out); return TL_OK;
    case TL_I64:
    case TL_I32:
    case TL_I16:
    case TL_I8:
    case TL_U8:
    case TL_BOOL: break;
    }
    return tl_fail(err, TL_ERR_UNSUPPORTED,
                   "a tensor of %s has no floating-point values",
                   tl_dtype_name(tensor->dtype));
}
