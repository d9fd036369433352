/* SPDX-License-Identifier: MIT
 *
 * ref.c - the backend that is the definition: every entry is the op of that name.
 * One thread, double sums, no memory of its own.
 */
#include "backend/host.h"

#include "op/activation.h"
#include "op/attention.h"
#include "op/layernorm.h"
#include "op/linear.h"
#include "op/rmsnorm.h"
#include "op/rotary.h"
#include "twinlens/alloc.h"

static tl_status linear(tl_backend *self, const tl_linear *layer, size_t rows,
                        const float *x, float *y, bool add, tl_error *err)
{
    tl_backend_count_layer(self, layer, rows);
    const tl_status status = tl_linear_check(layer, err);
    if (status == TL_OK)
        tl_linear_forward(&layer->weight, layer->bias, rows, x, y, add, layer->bf16);
    return status;
}

static tl_status linear_backward(tl_backend *self, const tl_linear *layer, size_t rows,
                                 const float *dy, float *dx, bool add, tl_error *err)
{
    tl_backend_count_layer(self, layer, rows);
    const tl_status status = tl_linear_check(layer, err);
    if (status == TL_OK)
        tl_linear_backward(&layer->weight, rows, dy, dx, add, layer->bf16);
    return status;
}

static void rmsnorm(tl_backend *self, size_t rows, size_t width, float eps,
                    const float *x, const float *weight, float *y, float *inv_rms)
{
    (void)self;
    tl_rmsnorm_forward(rows, width, eps, x, weight, y, inv_rms);
}

static void rmsnorm_backward(tl_backend *self, tl_backward_rule rule, size_t rows,
                             size_t width, const float *x, const float *weight,
                             const float *inv_rms, const float *dy, float *dx)
{
    (void)self;
    tl_rmsnorm_backward(rule, rows, width, x, weight, inv_rms, dy, dx);
}

static void layernorm(tl_backend *self, size_t rows, size_t width, float eps,
                      const float *x, const float *weight, const float *bias, float *y)
{
    (void)self;
    tl_layernorm_forward(rows, width, eps, x, weight, bias, y);
}

static void rotary(tl_backend *self, size_t rows, size_t n_heads, size_t d_head,
                   const float *cosine, const float *sine, bool inverse, float *x)
{
    (void)self;
    tl_rotary_apply(rows, n_heads, d_head, cosine, sine, inverse, x);
}

static tl_status attention(tl_backend *self, const tl_attention *shape,
                           size_t n_prompts, const tl_attention_prompt *prompts,
                           const float *q, const float *k, const float *v, float *z,
                           float *lse, tl_error *err)
{
    (void)self;
    (void)err;
    tl_attention_forward(shape, n_prompts, prompts, q, k, v, z, lse);
    return TL_OK;
}

static tl_status attention_backward(tl_backend *self, tl_backward_rule rule,
                                    const tl_attention *shape, size_t n_prompts,
                                    const tl_attention_prompt *prompts, const float *q,
                                    const float *k, const float *v, const float *z,
                                    const float *lse, const float *dz, float *dq,
                                    float *dk, float *dv, tl_error *err)
{
    (void)self;
    (void)err;
    tl_attention_backward(rule, shape, n_prompts, prompts, q, k, v, z, lse, dz, dq, dk,
                          dv);
    return TL_OK;
}

static void activate(tl_backend *self, tl_activation kind, size_t count, float *x)
{
    (void)self;
    tl_activate(kind, count, x);
}

static void gated(tl_backend *self, tl_activation kind, size_t count, const float *gate,
                  const float *up, float *y)
{
    (void)self;
    tl_gated_forward(kind, count, gate, up, y);
}

static void gated_backward(tl_backend *self, tl_backward_rule rule, tl_activation kind,
                           size_t count, const float *gate, const float *up,
                           const float *dy, float *dgate, float *dup)
{
    (void)self;
    tl_gated_backward(rule, kind, count, gate, up, dy, dgate, dup);
}

static void add(tl_backend *self, size_t count, const float *x, float *y)
{
    (void)self;
    tl_read_apply(TL_READ_ADD, count, x, y);
}

/* The definition has no scratch. */
static size_t attention_bytes(const tl_backend *self, const tl_attention *shape,
                              size_t n_prompts, const tl_attention_prompt *prompts,
                              bool backward)
{
    (void)self, (void)shape, (void)n_prompts, (void)prompts, (void)backward;
    return 0;
}

static tl_status reserve_scratch(tl_backend *self, size_t bytes, tl_error *err)
{
    (void)self, (void)bytes, (void)err;
    return TL_OK;
}

static tl_status attention_some(tl_backend *self, const tl_attention *shape,
                                size_t n_prompts, const tl_attention_prompt *prompts,
                                size_t n, const tl_attention_query *queries,
                                const float *q, const float *k, const float *v,
                                float *z, tl_error *err)
{
    (void)self, (void)n_prompts, (void)err;
    tl_attention_some(shape, prompts, n, queries, q, k, v, z);
    return TL_OK;
}

static tl_status neurons(tl_backend *self, const tl_gated_mlp *mlp, size_t n_groups,
                         const tl_neuron_group *groups, const float *x, float *y,
                         tl_error *err)
{
    const tl_status status = tl_gated_mlp_check(mlp, err);
    tl_backend_count_neurons(self, mlp, n_groups, groups);
    if (status == TL_OK)
        tl_neurons_add(mlp, n_groups, groups, x, y);
    return status;
}

static size_t neurons_bytes(const tl_backend *self, const tl_linear *down,
                            size_t most_rows, bool turn)
{
    (void)self, (void)down, (void)most_rows, (void)turn;
    return 0;
}

static void destroy(tl_backend *self)
{
    tl_free(self);
}

tl_status tl_backend_create_ref(tl_backend **out, tl_error *err)
{
    tl_backend *backend = tl_alloc(1, sizeof *backend);
    if (backend == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the 'ref' backend");
    *backend = (tl_backend){
        .name = "ref",
        .host_memory = true,
        .linear = linear,
        .linear_backward = linear_backward,
        .rmsnorm = rmsnorm,
        .rmsnorm_backward = rmsnorm_backward,
        .layernorm = layernorm,
        .rotary = rotary,
        .attention = attention,
        .attention_backward = attention_backward,
        .activate = activate,
        .gated = gated,
        .gated_backward = gated_backward,
        .add = add,
        .allocate = tl_host_allocate,
        .release = tl_host_release,
        .upload = tl_host_upload,
        .download = tl_host_download,
        .fill = tl_host_fill,
        .copy = tl_host_copy,
        .copy_rows = tl_host_copy_rows,
        .read = tl_host_read,
        .edit = tl_host_edit,
        .first_not_finite = tl_host_first_not_finite,
        .logits_of = tl_host_logits_of,
        .logit_diff_gradient = tl_host_logit_diff_gradient,
        .metric_gradient = tl_host_metric_gradient,
        .softcap = tl_host_softcap,
        .linear_rows = tl_host_linear_rows,
        .linear_columns = tl_host_linear_columns,
        .attention_bytes = attention_bytes,
        .reserve_attention = reserve_scratch,
        .attention_some = attention_some,
        .neurons = neurons,
        .neurons_bytes = neurons_bytes,
        .reserve_neurons = reserve_scratch,
        .destroy = destroy,
    };
    *out = backend;
    return TL_OK;
}
