/* SPDX-License-Identifier: MIT
 * cpu.c - the cpu backend's table; see cpu.h for where its parts are. */
#include "backend/cpu/cpu.h"

#include "backend/cpu/cpu_threads.h"
#include "backend/host.h"
#include "twinlens/alloc.h"

typedef struct cpu {
    tl_backend table; /* first: a tl_backend * is a cpu * */
    size_t n_threads;
    tl_cpu_linear *linear;
    tl_cpu_scratch attention, neurons; /* what they work with, kept from call to call */
} cpu;

static size_t threads(const tl_backend *self)
{
    return ((const cpu *)self)->n_threads;
}

static tl_status linear(tl_backend *self, const tl_linear *layer, size_t rows,
                        const float *x, float *y, bool add, tl_error *err)
{
    tl_backend_count_layer(self, layer, rows);
    return tl_cpu_linear_forward(((cpu *)self)->linear, layer, rows, x, y, add, err);
}

static tl_status linear_backward(tl_backend *self, const tl_linear *layer, size_t rows,
                                 const float *dy, float *dx, bool add, tl_error *err)
{
    tl_backend_count_layer(self, layer, rows);
    return tl_cpu_linear_backward(((cpu *)self)->linear, layer, rows, dy, dx, add, err);
}

static tl_status linear_rows(tl_backend *self, const tl_linear *layer, size_t n,
                             const uint32_t *index, size_t rows, const float *x,
                             float *y, bool add, tl_error *err)
{
    tl_backend_count(self, rows, layer->weight.dims[1], n);
    return tl_cpu_linear_rows(((cpu *)self)->linear, layer, n, index, rows, x, y, add,
                              err);
}

static tl_status linear_columns(tl_backend *self, const tl_linear *layer, size_t n,
                                const uint32_t *index, size_t rows, const float *x,
                                float *y, bool add, tl_error *err)
{
    tl_backend_count(self, rows, n, layer->weight.dims[0]);
    return tl_cpu_linear_columns(((cpu *)self)->linear, layer, n, index, rows, x, y,
                                 add, err);
}

static void rmsnorm(tl_backend *self, size_t rows, size_t width, float eps,
                    const float *x, const float *weight, float *y, float *inv_rms)
{
    tl_cpu_rmsnorm(threads(self), rows, width, eps, x, weight, y, inv_rms);
}

static void rmsnorm_backward(tl_backend *self, tl_backward_rule rule, size_t rows,
                             size_t width, const float *x, const float *weight,
                             const float *inv_rms, const float *dy, float *dx)
{
    tl_cpu_rmsnorm_backward(threads(self), rule, rows, width, x, weight, inv_rms, dy,
                            dx);
}

static void layernorm(tl_backend *self, size_t rows, size_t width, float eps,
                      const float *x, const float *weight, const float *bias, float *y)
{
    tl_cpu_layernorm(threads(self), rows, width, eps, x, weight, bias, y);
}

static void rotary(tl_backend *self, size_t rows, size_t n_heads, size_t d_head,
                   const float *cosine, const float *sine, bool inverse, float *x)
{
    tl_cpu_rotary(threads(self), rows, n_heads, d_head, cosine, sine, inverse, x);
}

static tl_status attention(tl_backend *self, const tl_attention *shape,
                           size_t n_prompts, const tl_attention_prompt *prompts,
                           const float *q, const float *k, const float *v, float *z,
                           float *lse, tl_error *err)
{
    return tl_cpu_attention(threads(self), &((cpu *)self)->attention, shape, n_prompts,
                            prompts, q, k, v, z, lse, err);
}

static tl_status attention_backward(tl_backend *self, tl_backward_rule rule,
                                    const tl_attention *shape, size_t n_prompts,
                                    const tl_attention_prompt *prompts, const float *q,
                                    const float *k, const float *v, const float *z,
                                    const float *lse, const float *dz, float *dq,
                                    float *dk, float *dv, tl_error *err)
{
    return tl_cpu_attention_backward(threads(self), &((cpu *)self)->attention, rule,
                                     shape, n_prompts, prompts, q, k, v, z, lse, dz, dq,
                                     dk, dv, err);
}

static tl_status attention_some(tl_backend *self, const tl_attention *shape,
                                size_t n_prompts, const tl_attention_prompt *prompts,
                                size_t n, const tl_attention_query *queries,
                                const float *q, const float *k, const float *v,
                                float *z, tl_error *err)
{
    return tl_cpu_attention_some(threads(self), &((cpu *)self)->attention, shape,
                                 n_prompts, prompts, n, queries, q, k, v, z, err);
}

static tl_status neurons(tl_backend *self, const tl_gated_mlp *mlp, size_t n_groups,
                         const tl_neuron_group *groups, const float *x, float *y,
                         tl_error *err)
{
    tl_backend_count_neurons(self, mlp, n_groups, groups);
    return tl_cpu_neurons(threads(self), &((cpu *)self)->neurons, mlp, n_groups, groups,
                          x, y, err);
}

static size_t neurons_bytes(const tl_backend *self, const tl_linear *down,
                            size_t most_rows, bool turn)
{
    return tl_cpu_neurons_bytes(threads(self), down, most_rows, turn);
}

static tl_status reserve_neurons(tl_backend *self, size_t bytes, tl_error *err)
{
    tl_cpu_scratch *scratch = &((cpu *)self)->neurons;
    if (bytes == 0) {
        tl_free(scratch->memory);
        *scratch = (tl_cpu_scratch){0};
        return TL_OK;
    }
    return tl_cpu_scratch_reserve(scratch, bytes, err);
}

static void activate(tl_backend *self, tl_activation kind, size_t count, float *x)
{
    tl_cpu_activate(threads(self), kind, count, x);
}

static void gated(tl_backend *self, tl_activation kind, size_t count, const float *gate,
                  const float *up, float *y)
{
    tl_cpu_gated(threads(self), kind, count, gate, up, y);
}

static void gated_backward(tl_backend *self, tl_backward_rule rule, tl_activation kind,
                           size_t count, const float *gate, const float *up,
                           const float *dy, float *dgate, float *dup)
{
    tl_cpu_gated_backward(threads(self), rule, kind, count, gate, up, dy, dgate, dup);
}

static void add(tl_backend *self, size_t count, const float *x, float *y)
{
    tl_cpu_add(threads(self), count, x, y);
}

static void copy(tl_backend *self, size_t count, const float *x, float *y)
{
    tl_cpu_copy(threads(self), count, x, y);
}

static void fill(tl_backend *self, size_t count, float value, float *x)
{
    tl_cpu_fill(threads(self), count, value, x);
}

static void copy_rows(tl_backend *self, size_t n, size_t width,
                      const uint32_t *from_rows, const float *x,
                      const uint32_t *to_rows, float *y)
{
    tl_cpu_copy_rows(threads(self), n, width, from_rows, x, to_rows, y);
}

static void take_reading(tl_backend *self, tl_read_rule rule, size_t count,
                         const float *x, float *y)
{
    tl_cpu_read(threads(self), rule, count, x, y);
}

static void make_edit(tl_backend *self, const tl_edit_rows *edit, float *x)
{
    tl_cpu_edit(threads(self), edit, x);
}

static void softcap(tl_backend *self, size_t count, float cap, float *x)
{
    tl_cpu_softcap(threads(self), count, cap, x);
}

static size_t attention_bytes(const tl_backend *self, const tl_attention *shape,
                              size_t n_prompts, const tl_attention_prompt *prompts,
                              bool backward)
{
    return tl_cpu_attention_bytes(threads(self), shape, n_prompts, prompts, backward);
}

static tl_status reserve_attention(tl_backend *self, size_t bytes, tl_error *err)
{
    return tl_cpu_scratch_reserve(&((cpu *)self)->attention, bytes, err);
}

static void destroy(tl_backend *self)
{
    tl_cpu_linear_destroy(((cpu *)self)->linear);
    tl_free(((cpu *)self)->attention.memory);
    tl_free(((cpu *)self)->neurons.memory);
    tl_free(self);
}

tl_status tl_backend_create_cpu(size_t n_threads, size_t cache_bytes, tl_backend **out,
                                tl_error *err)
{
    cpu *self = tl_alloc_zero(1, sizeof *self);
    if (self == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a backend");
    tl_cpu_threads_wait_politely();
    self->n_threads = n_threads > 0 ? n_threads : tl_cpu_threads_default();
    const tl_status status =
        tl_cpu_linear_create(self->n_threads, cache_bytes, &self->linear, err);
    if (status != TL_OK) {
        tl_free(self);
        return status;
    }
    self->table = (tl_backend){
        .name = "cpu",
        .host_memory = true,
        .fast_bf16 = tl_cpu_linear_is_fast_in_bf16(),
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
        .fill = fill,
        .copy = copy,
        .copy_rows = copy_rows,
        .read = take_reading,
        .edit = make_edit,
        .first_not_finite = tl_host_first_not_finite,
        .logits_of = tl_host_logits_of,
        .logit_diff_gradient = tl_host_logit_diff_gradient,
        .metric_gradient = tl_host_metric_gradient,
        .softcap = softcap,
        .linear_rows = linear_rows,
        .linear_columns = linear_columns,
        .attention_bytes = attention_bytes,
        .reserve_attention = reserve_attention,
        .attention_some = attention_some,
        .neurons = neurons,
        .neurons_bytes = neurons_bytes,
        .reserve_neurons = reserve_neurons,
        .destroy = destroy,
    };
    *out = &self->table;
    return TL_OK;
}
