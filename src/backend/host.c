/* SPDX-License-Identifier: MIT
 * host.c - see host.h. */
#include "backend/host.h"

#include <string.h>

#include "op/linear.h"
#include "op/logits.h"
#include "twinlens/alloc.h"

tl_status tl_linear_check(const tl_linear *layer, tl_error *err)
{
    const tl_tensor *weight = &layer->weight;
    const tl_dtype dtype = weight->dtype;
    if (weight->n_dims != 2)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a linear layer's weight has %zu dimensions, wanted 2",
                       weight->n_dims);
    if (dtype != TL_F32 && dtype != TL_F16 && dtype != TL_BF16)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "a linear layer's weight is %s, wanted F32, F16 or BF16",
                       tl_dtype_name(dtype));
    return TL_OK;
}

static bool has_shape(const tl_linear *layer, size_t n_out, size_t n_in)
{
    return layer->weight.dims[0] == n_out && layer->weight.dims[1] == n_in;
}

tl_status tl_gated_mlp_check(const tl_gated_mlp *mlp, tl_error *err)
{
    tl_status status = tl_linear_check(mlp->gate, err);
    if (status == TL_OK)
        status = tl_linear_check(mlp->up, err);
    if (status == TL_OK)
        status = tl_linear_check(mlp->down, err);
    if (status != TL_OK)
        return status;
    const size_t d_model = mlp->down->weight.dims[0], d_mlp = mlp->down->weight.dims[1];
    return has_shape(mlp->gate, d_mlp, d_model) && has_shape(mlp->up, d_mlp, d_model)
               ? TL_OK
               : tl_fail(err, TL_ERR_ARGUMENT,
                         "an MLP whose gate is [%zu,%zu] and whose down is [%zu,%zu]",
                         mlp->gate->weight.dims[0], mlp->gate->weight.dims[1], d_model,
                         d_mlp);
}

/* ---- memory -------------------------------------------------------------------- */

tl_status tl_host_allocate(tl_backend *self, size_t bytes, void **out, tl_error *err)
{
    (void)self;
    void *memory = tl_alloc(bytes, 1);
    if (memory == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu bytes", bytes);
    *out = memory;
    return TL_OK;
}

void tl_host_release(tl_backend *self, void *memory)
{
    (void)self;
    tl_free(memory);
}

tl_status tl_host_upload(tl_backend *self, size_t bytes, const void *host, void *to,
                         tl_error *err)
{
    (void)self, (void)err;
    memcpy(to, host, bytes);
    return TL_OK;
}

tl_status tl_host_download(tl_backend *self, size_t bytes, const void *from, void *host,
                           tl_error *err)
{
    (void)self, (void)err;
    memcpy(host, from, bytes);
    return TL_OK;
}

void tl_host_fill(tl_backend *self, size_t count, float value, float *x)
{
    (void)self;
    for (size_t i = 0; i < count; i++)
        x[i] = value;
}

void tl_host_copy(tl_backend *self, size_t count, const float *x, float *y)
{
    (void)self;
    memcpy(y, x, count * sizeof *y);
}

void tl_host_copy_rows(tl_backend *self, size_t n, size_t width,
                       const uint32_t *from_rows, const float *x,
                       const uint32_t *to_rows, float *y)
{
    (void)self;
    for (size_t i = 0; i < n; i++) {
        const size_t from = from_rows != NULL ? from_rows[i] : i,
                     to = to_rows != NULL ? to_rows[i] : i;
        memcpy(y + to * width, x + from * width, width * sizeof *y);
    }
}

/* ---- readings and edits ---------------------------------------------------------- */

/* Infinity and what is not a number have all bits of the exponent. */
static bool all_finite(const float *x, size_t n)
{
    const uint32_t exponent = 0x7f800000;
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        found |= (bits & exponent) == exponent;
    }
    return found == 0;
}

size_t tl_host_first_not_finite(tl_backend *self, size_t count, const float *x)
{
    enum { AT_A_TIME = 4096 };
    (void)self;
    for (size_t first = 0; first < count; first += AT_A_TIME) {
        const size_t end = count - first < AT_A_TIME ? count : first + AT_A_TIME;
        if (all_finite(x + first, end - first))
            continue;
        while (all_finite(x + first, 1))
            first++;
        return first;
    }
    return count;
}

void tl_host_read(tl_backend *self, tl_read_rule rule, size_t count, const float *x,
                  float *y)
{
    (void)self;
    tl_read_apply(rule, count, x, y);
}

void tl_host_edit(tl_backend *self, const tl_edit_rows *edit, float *x)
{
    (void)self;
    tl_edit_apply(edit, x);
}

/* ---- the head -------------------------------------------------------------------- */

static tl_status check_ids(const tl_linear *head, size_t n, const int32_t *ids,
                           tl_error *err)
{
    const size_t n_vocab = head->weight.dims[0];
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= n_vocab)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "token id %d is outside the model's %zu tokens", (int)ids[i],
                           n_vocab);
    return TL_OK;
}

tl_status tl_host_logits_of(tl_backend *self, const tl_linear *head, size_t n_rows,
                            const uint32_t *rows, const float *x, size_t n_ids,
                            const int32_t *ids, float softcap, double *out,
                            tl_error *err)
{
    (void)self;
    tl_status status = tl_linear_check(head, err);
    if (status == TL_OK)
        status = check_ids(head, n_ids, ids, err);
    if (status == TL_OK)
        tl_logits_of(&head->weight, n_rows, rows, x, n_ids, ids, softcap, out);
    return status;
}

tl_status tl_host_logit_diff_gradient(tl_backend *self, tl_backward_rule rule,
                                      const tl_linear *head, size_t n_rows,
                                      const uint32_t *rows, const int32_t *a,
                                      const int32_t *b, float softcap, const double *s,
                                      float *dx, tl_error *err)
{
    (void)self;
    tl_status status = tl_linear_check(head, err);
    if (status == TL_OK)
        status = check_ids(head, n_rows, a, err);
    if (status == TL_OK)
        status = check_ids(head, n_rows, b, err);
    if (status == TL_OK)
        tl_logit_diff_gradient(rule, &head->weight, n_rows, rows, a, b, softcap, s, dx);
    return status;
}

tl_status tl_host_metric_gradient(tl_backend *self, tl_metric metric,
                                  tl_backward_rule rule, const tl_linear *head,
                                  size_t n_rows, const uint32_t *rows, const int32_t *a,
                                  float softcap, const float *x, float *dx,
                                  tl_error *err)
{
    (void)self;
    double *room = tl_alloc(head->weight.dims[0], sizeof *room);
    tl_status status = room != NULL
                           ? tl_linear_check(head, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu logits",
                                     head->weight.dims[0]);
    if (status == TL_OK)
        status = check_ids(head, n_rows, a, err);
    if (status == TL_OK)
        tl_metric_gradient(metric, rule, &head->weight, n_rows, rows, a, softcap, x,
                           room, dx);
    tl_free(room);
    return status;
}

void tl_host_softcap(tl_backend *self, size_t count, float cap, float *x)
{
    (void)self;
    for (size_t i = 0; i < count; i++)
        x[i] = (float)tl_softcap((double)x[i], cap);
}

/* ---- a part of a layer ------------------------------------------------------------ */

tl_status tl_host_linear_rows(tl_backend *self, const tl_linear *layer, size_t n,
                              const uint32_t *index, size_t rows, const float *x,
                              float *y, bool add, tl_error *err)
{
    tl_backend_count(self, rows, layer->weight.dims[1], n);
    const tl_status status = tl_linear_check(layer, err);
    if (status == TL_OK)
        tl_linear_rows(&layer->weight, layer->bias, n, index, rows, x, y, add);
    return status;
}

tl_status tl_host_linear_columns(tl_backend *self, const tl_linear *layer, size_t n,
                                 const uint32_t *index, size_t rows, const float *x,
                                 float *y, bool add, tl_error *err)
{
    tl_backend_count(self, rows, n, layer->weight.dims[0]);
    const tl_status status = tl_linear_check(layer, err);
    if (status == TL_OK)
        tl_linear_columns(&layer->weight, n, index, rows, x, y, add);
    return status;
}
