/* SPDX-License-Identifier: MIT
 * array.c - see include/twinlens/array.h. */
#include "twinlens/array.h"

#include <assert.h>

#include "model/model_private.h"
#include "twinlens/alloc.h"

static unsigned char *address(const tl_array *a, size_t first)
{
    return (unsigned char *)a->data + first * tl_dtype_bytes(a->dtype);
}

/* Whole floats, which `fill` can clear, at least one; false when that is more than can be
 * counted. */
static bool bytes_of(tl_dtype dtype, size_t count, size_t *out)
{
    size_t bytes = sizeof(float) - 1;
    if (!tl_size_muladd(count > 0 ? count : 1, tl_dtype_bytes(dtype), &bytes))
        return false;
    *out = bytes / sizeof(float) * sizeof(float);
    return true;
}

tl_status tl_array_reset(tl_array *a, tl_model *model, tl_dtype dtype, size_t count,
                         tl_error *err)
{
    tl_backend *b = model->backend;
    size_t bytes = 0;
    if (!bytes_of(dtype, count, &bytes))
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu numbers", count);
    if (a->model != model || bytes > a->capacity) {
        tl_array_release(a);
        void *data = NULL;
        const tl_status status = b->allocate(b, bytes, &data, err);
        if (status != TL_OK)
            return status;
        *a = (tl_array){.model = model, .data = data, .capacity = bytes};
    }
    a->dtype = dtype;
    a->count = count;
    b->fill(b, bytes / sizeof(float), 0.0f, a->data);
    return TL_OK;
}

tl_status tl_array_init(tl_model *model, tl_dtype dtype, size_t count, tl_array *out,
                        tl_error *err)
{
    tl_array a = {0};
    const tl_status status = tl_array_reset(&a, model, dtype, count, err);
    if (status == TL_OK)
        *out = a;
    return status;
}

tl_status tl_array_borrow(tl_model *model, tl_dtype dtype, size_t count,
                          const void *host, tl_array *out, tl_error *err)
{
    if (model->backend->host_memory) {
        *out = (tl_array){.model = model,
                          .dtype = dtype,
                          .count = count,
                          .data = (void *)(uintptr_t)host}; /* nobody writes to it */
        return TL_OK;
    }
    tl_array a = {0};
    tl_status status = tl_array_init(model, dtype, count, &a, err);
    if (status == TL_OK)
        status = tl_array_upload(&a, 0, count, host, err);
    if (status == TL_OK)
        *out = a;
    else
        tl_array_release(&a);
    return status;
}

void tl_array_release(tl_array *a)
{
    if (a->capacity > 0)
        a->model->backend->release(a->model->backend, a->data);
    *a = (tl_array){0};
}

tl_status tl_array_upload(tl_array *a, size_t first, size_t count, const void *host,
                          tl_error *err)
{
    assert(first <= a->count && count <= a->count - first);
    tl_backend *b = a->model->backend;
    return b->upload(b, count * tl_dtype_bytes(a->dtype), host, address(a, first), err);
}

tl_status tl_array_download(const tl_array *a, size_t first, size_t count, void *host,
                            tl_error *err)
{
    assert(first <= a->count && count <= a->count - first);
    tl_backend *b = a->model->backend;
    return b->download(b, count * tl_dtype_bytes(a->dtype), address(a, first), host,
                       err);
}

tl_status tl_array_get(const tl_array *a, size_t first, size_t count, tl_arena *arena,
                       const void **out, tl_error *err)
{
    if (a->model->backend->host_memory) {
        *out = address(a, first);
        return TL_OK;
    }
    void *copy = tl_arena_alloc(arena, count, tl_dtype_bytes(a->dtype));
    if (copy == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu numbers", count);
    *out = copy;
    return tl_array_download(a, first, count, copy, err);
}

void tl_array_copy(const tl_array *from, size_t first, size_t count, tl_array *to,
                   size_t to_first)
{
    assert(first <= from->count && count <= from->count - first);
    assert(to_first <= to->count && count <= to->count - to_first);
    tl_backend *b = from->model->backend;
    b->copy(b, count, tl_array_f32(from, first), tl_array_f32(to, to_first));
}

float *tl_array_f32(const tl_array *a, size_t first)
{
    assert(a->dtype == TL_F32 && first <= a->count);
    return (float *)a->data + first;
}
