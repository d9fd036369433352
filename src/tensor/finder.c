/* SPDX-License-Identifier: MIT
 * finder.c - see finder.h. */
#include "tensor/finder.h"

#include <stdio.h>
#include <string.h>

static void count(const tl_finder *f, const tl_tensor *tensor)
{
    f->size->parameters += tl_tensor_count(tensor);
    f->size->bytes += tl_tensor_count(tensor) * tl_dtype_bytes(tensor->dtype);
}

tl_status tl_find_tensor(const tl_finder *f, const char *name, size_t d0, size_t d1,
                         tl_tensor *out, tl_error *err)
{
    if (f->file == NULL) {
        *out =
            (tl_tensor){.dtype = TL_BF16, .n_dims = d1 == 0 ? 1 : 2, .dims = {d0, d1}};
        count(f, out);
        return TL_OK;
    }
    const char *path = tl_safetensors_file_path(f->file, 0);
    const tl_tensor *t = NULL;
    const tl_status status = tl_safetensors_need(f->file, name, &t, err);
    if (status != TL_OK)
        return status;
    if (t->dtype != TL_F32 && t->dtype != TL_F16 && t->dtype != TL_BF16)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: '%s' is %s, wanted F32, F16 or BF16", path, name,
                       tl_dtype_name(t->dtype));
    size_t rest = 1;
    for (size_t i = 1; i < t->n_dims; i++)
        rest *= t->dims[i];
    const bool fits = d1 == 0 ? t->n_dims == 1 && t->dims[0] == d0
                              : t->n_dims >= 2 && t->dims[0] == d0 && rest == d1;
    if (!fits) {
        char have[96], want[96];
        const size_t dims[2] = {d0, d1};
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is %s, the configuration wants %s",
                       path, name, tl_shape_text(t->dims, t->n_dims, have, sizeof have),
                       tl_shape_text(dims, d1 == 0 ? 1 : 2, want, sizeof want));
    }
    *out = *t;
    out->n_dims = d1 == 0 ? 1 : 2;
    out->dims[0] = d0;
    out->dims[1] = d1;
    count(f, out);
    return TL_OK;
}

tl_status tl_find_vector(const tl_finder *f, const char *name, size_t n, float add,
                         const float **out, tl_error *err)
{
    tl_tensor tensor;
    tl_status status = tl_find_tensor(f, name, n, 0, &tensor, err);
    if (status != TL_OK || f->file == NULL)
        return status;
    float *values = tl_arena_alloc(f->arena, n, sizeof *values);
    if (values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for '%s'", name);
    if ((status = tl_tensor_to_f32(&tensor, 0, n, values, err)) != TL_OK)
        return status;
    for (size_t i = 0; add != 0.0f && i < n; i++)
        values[i] += add;
    *out = values;
    return TL_OK;
}

tl_status tl_find_norm(const tl_finder *f, const char *stem, size_t width,
                       tl_norm_kind kind, tl_norm *out, tl_error *err)
{
    char name[TL_NAME_BYTES];
    snprintf(name, sizeof name, "%s.weight", stem);
    const float add = kind == TL_NORM_RMS && f->norm_plus_one ? 1.0f : 0.0f;
    tl_status status = tl_find_vector(f, name, width, add, &out->weight, err);
    if (status != TL_OK || kind == TL_NORM_RMS)
        return status;
    snprintf(name, sizeof name, "%s.bias", stem);
    return tl_find_vector(f, name, width, 0.0f, &out->bias, err);
}

tl_status tl_find_linear(const tl_finder *f, const char *stem, size_t n_out,
                         size_t n_in, bool has_bias, tl_linear *out, tl_error *err)
{
    char name[TL_NAME_BYTES];
    snprintf(name, sizeof name, "%s.weight", stem);
    const tl_status status = tl_find_tensor(f, name, n_out, n_in, &out->weight, err);
    if (status != TL_OK || !has_bias)
        return status;
    snprintf(name, sizeof name, "%s.bias", stem);
    return tl_find_vector(f, name, n_out, 0.0f, &out->bias, err);
}

tl_status tl_find_linears(const tl_finder *f, const char *stem,
                          const tl_linear_field *fields, size_t n, tl_error *err)
{
    char name[TL_STEM_BYTES];
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        snprintf(name, sizeof name, "%s%s", stem, fields[i].name);
        if (fields[i].out != NULL)
            status = tl_find_linear(f, name, fields[i].n_out, fields[i].n_in,
                                    fields[i].has_bias, fields[i].out, err);
    }
    return status;
}

tl_status tl_find_norms(const tl_finder *f, const char *stem, tl_norm_kind kind,
                        const tl_norm_field *fields, size_t n, tl_error *err)
{
    char name[TL_STEM_BYTES];
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        snprintf(name, sizeof name, "%s%s", stem, fields[i].name);
        if (fields[i].out != NULL)
            status = tl_find_norm(f, name, fields[i].width, kind, fields[i].out, err);
    }
    return status;
}

tl_linear tl_linear_slice(const tl_linear *fused, size_t part, size_t n)
{
    tl_linear layer = *fused;
    const size_t n_in = fused->weight.dims[1];
    layer.weight.dims[0] = n;
    if (fused->weight.data != NULL)
        layer.weight.data = (const char *)fused->weight.data +
                            part * n * n_in * tl_dtype_bytes(fused->weight.dtype);
    if (fused->bias != NULL)
        layer.bias = fused->bias + part * n;
    return layer;
}

void tl_find_prefix(const tl_safetensors *file, const char *const *prefixes, size_t n,
                    const char *tensor, char *out, size_t bytes)
{
    char name[TL_NAME_BYTES];
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s%s", prefixes[i], tensor);
        if (file == NULL || tl_safetensors_has(file, name)) {
            snprintf(out, bytes, "%s", prefixes[i]);
            return;
        }
    }
    out[0] = '\0';
}
