/* SPDX-License-Identifier: MIT
 *
 * backend.h - the table of compute kernels that the model calls.
 *
 * `ref` fills it with src/op, which defines every entry; `cpu` is measured
 * against it. All buffers are f32, row-major, contiguous and do not overlap unless
 * an entry says so; `rows` counts positions of all prompts of a batch, laid end
 * to end.
 *
 * A `float *` that an entry takes is an address of the backend: it comes from
 * `allocate`, may be moved by arithmetic inside that memory, and only the backend
 * dereferences it. On `ref` and `cpu` it is memory of the host, and memory of the host
 * from anywhere will do. What is of the host on every backend says so ("host").
 *
 * The promise that everything above relies on: a row's result depends on that row
 * (and on its own prompt in `attention`), never on the number of rows, on the
 * other rows, or on where in the batch it stands, down to the last bit, and not
 * on the number of threads either.
 *
 * Entries that cannot fail return nothing. Products may (a library below), and what
 * needs memory or reads a number that a user has chosen. Every entry has to be there.
 */
#ifndef TWINLENS_BACKEND_H
#define TWINLENS_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "op/activation.h"
#include "op/attention.h"
#include "op/edit.h"
#include "op/neurons.h"
#include "tensor/parameters.h"
#include "twinlens/status.h"
#include "twinlens/terms.h"

typedef struct tl_backend tl_backend;

struct tl_backend {
    const char *name;
    bool host_memory; /* an address of the backend is a pointer of the host */
    bool fast_bf16;   /* it has instructions for products of layers in bf16 */
    _Atomic(uint64_t) multiply_adds; /* of all products so far: tl_backend_count() */

    /* y[R,n_out] = x[R,n_in] W^T + bias; `add`: y += instead of y =. Of a layer in bf16 x
     * and W are rounded before; a part of a layer takes both as they are, since what enters
     * there may be the small difference of two values. A backend may remember weights by
     * their address: they stay where and what they are for as long as it lives. */
    tl_status (*linear)(tl_backend *self, const tl_linear *layer, size_t rows,
                        const float *x, float *y, bool add, tl_error *err);
    /* dx[R,n_in] = dy[R,n_out] W; `add`: dx += instead of dx =. */
    tl_status (*linear_backward)(tl_backend *self, const tl_linear *layer, size_t rows,
                                 const float *dy, float *dx, bool add, tl_error *err);

    /* See op/rmsnorm.h, op/layernorm.h, op/rotary.h, op/attention.h,
     * op/activation.h: same arguments, same meaning. */
    void (*rmsnorm)(tl_backend *self, size_t rows, size_t width, float eps,
                    const float *x, const float *weight, float *y, float *inv_rms);
    void (*rmsnorm_backward)(tl_backend *self, tl_backward_rule rule, size_t rows,
                             size_t width, const float *x, const float *weight,
                             const float *inv_rms, const float *dy, float *dx);
    void (*layernorm)(tl_backend *self, size_t rows, size_t width, float eps,
                      const float *x, const float *weight, const float *bias, float *y);
    void (*rotary)(tl_backend *self, size_t rows, size_t n_heads, size_t d_head,
                   const float *cosine, const float *sine, bool inverse, float *x);
    tl_status (*attention)(tl_backend *self, const tl_attention *shape,
                           size_t n_prompts, const tl_attention_prompt *prompts,
                           const float *q, const float *k, const float *v, float *z,
                           float *lse, tl_error *err);
    tl_status (*attention_backward)(tl_backend *self, tl_backward_rule rule,
                                    const tl_attention *shape, size_t n_prompts,
                                    const tl_attention_prompt *prompts, const float *q,
                                    const float *k, const float *v, const float *z,
                                    const float *lse, const float *dz, float *dq,
                                    float *dk, float *dv, tl_error *err);
    void (*activate)(tl_backend *self, tl_activation kind, size_t count, float *x);
    void (*gated)(tl_backend *self, tl_activation kind, size_t count, const float *gate,
                  const float *up, float *y);
    void (*gated_backward)(tl_backend *self, tl_backward_rule rule, tl_activation kind,
                           size_t count, const float *gate, const float *up,
                           const float *dy, float *dgate, float *dup);
    void (*add)(tl_backend *self, size_t count, const float *x, float *y); /* y += x */

    /* ---- memory of the backend ---- */

    /* Bytes with undefined contents, aligned to TL_ALIGN. TL_ERR_NO_MEMORY. */
    tl_status (*allocate)(tl_backend *self, size_t bytes, void **out, tl_error *err);
    /* Gives back what `allocate` gave; NULL does nothing. */
    void (*release)(tl_backend *self, void *memory);
    /* From the host, and back to it. Done when it returns. */
    tl_status (*upload)(tl_backend *self, size_t bytes, const void *host, void *to,
                        tl_error *err);
    tl_status (*download)(tl_backend *self, size_t bytes, const void *from, void *host,
                          tl_error *err);
    /* x = value, y = x. */
    void (*fill)(tl_backend *self, size_t count, float value, float *x);
    void (*copy)(tl_backend *self, size_t count, const float *x, float *y);
    /* y[to_rows[i]] = x[from_rows[i]] for n rows of `width`; host lists, NULL: 0 .. n-1.
     * No two rows go to one place. */
    void (*copy_rows)(tl_backend *self, size_t n, size_t width,
                      const uint32_t *from_rows, const float *x,
                      const uint32_t *to_rows, float *y);

    /* Where the first of `count` values is that is infinite or not a number; `count` when
     * all are finite. */
    size_t (*first_not_finite)(tl_backend *self, size_t count, const float *x);

    /* ---- readings and edits: twinlens/site.h has the rules, op/edit.h the edit ---- */

    /* A reading into y: y = x, y += x or y -= x. */
    void (*read)(tl_backend *self, tl_read_rule rule, size_t count, const float *x,
                 float *y);
    /* x [n_rows, n_components, per_component], edited in place. */
    void (*edit)(tl_backend *self, const tl_edit_rows *edit, float *x);

    /* ---- the head: op/logits.h; ids, logits and lists of rows are of the host ---- */

    /* out[r,i] = logit of token ids[i] at row rows[r] of x, in double. TL_ERR_ARGUMENT
     * when there is no such token. */
    tl_status (*logits_of)(tl_backend *self, const tl_linear *head, size_t n_rows,
                           const uint32_t *rows, const float *x, size_t n_ids,
                           const int32_t *ids, float softcap, double *out,
                           tl_error *err);
    /* dx[rows[r]] = gradient of logit(a[r]) - logit(b[r]); other rows of dx stay as they
     * are. `s` [n_rows, 2] are logits of a and b before the soft cap, and may be NULL
     * without one. Errors as above. */
    tl_status (*logit_diff_gradient)(tl_backend *self, tl_backward_rule rule,
                                     const tl_linear *head, size_t n_rows,
                                     const uint32_t *rows, const int32_t *a,
                                     const int32_t *b, float softcap, const double *s,
                                     float *dx, tl_error *err);
    /* The same of the metrics of a[r] alone, from x: tl_metric_gradient(). */
    tl_status (*metric_gradient)(tl_backend *self, tl_metric metric,
                                 tl_backward_rule rule, const tl_linear *head,
                                 size_t n_rows, const uint32_t *rows, const int32_t *a,
                                 float softcap, const float *x, float *dx,
                                 tl_error *err);
    /* x = cap tanh(x / cap), cap > 0: logits that `linear` made. */
    void (*softcap)(tl_backend *self, size_t count, float cap, float *x);

    /* ---- a part of a linear layer ---- */
    /* `index` is a host list of n outputs or inputs, each at most once, in any order. */

    /* y[R,n] = x[R,n_in] (rows `index` of W)^T + their bias; `add`: y +=. */
    tl_status (*linear_rows)(tl_backend *self, const tl_linear *layer, size_t n,
                             const uint32_t *index, size_t rows, const float *x,
                             float *y, bool add, tl_error *err);
    /* y[R,n_out] = x[R,n] (columns `index` of W)^T, without the bias, which belongs to
     * the whole; `add`: y +=. */
    tl_status (*linear_columns)(tl_backend *self, const tl_linear *layer, size_t n,
                                const uint32_t *index, size_t rows, const float *x,
                                float *y, bool add, tl_error *err);

    /* op/attention.h, op/neurons.h: lists are of the host. Queries that read the same
     * keys and values stand together. */
    tl_status (*attention_some)(tl_backend *self, const tl_attention *shape,
                                size_t n_prompts, const tl_attention_prompt *prompts,
                                size_t n, const tl_attention_query *queries,
                                const float *q, const float *k, const float *v,
                                float *z, tl_error *err);
    tl_status (*neurons)(tl_backend *self, const tl_gated_mlp *mlp, size_t n_groups,
                         const tl_neuron_group *groups, const float *x, float *y,
                         tl_error *err);

    /* ---- scratch of attention and of neurons, kept from call to call ---- */

    /* Bytes that `attention` (or attention_backward) works with for these prompts, for a
     * memory plan. Only the counts of `prompts` are read. */
    size_t (*attention_bytes)(const tl_backend *self, const tl_attention *shape,
                              size_t n_prompts, const tl_attention_prompt *prompts,
                              bool backward);
    /* Makes room for that many now, so that attention allocates nothing later. Without
     * it attention makes room itself. 0: what is kept is given back. TL_ERR_NO_MEMORY. */
    tl_status (*reserve_attention)(tl_backend *self, size_t bytes, tl_error *err);
    /* The same of `neurons` for groups of at most so many rows; `turn`: with a copy of
     * `down` that makes it fast. As much as is reserved decides, and changes no bit.
     * To reserve 0 gives it back. */
    size_t (*neurons_bytes)(const tl_backend *self, const tl_linear *down,
                            size_t most_rows, bool turn);
    tl_status (*reserve_neurons)(tl_backend *self, size_t bytes, tl_error *err);

    void (*destroy)(tl_backend *self);
};

/* Every product tells here what it multiplies: [rows, n_in] by [n_in, n_out]. */
static inline void tl_backend_count(tl_backend *self, size_t rows, size_t n_in,
                                    size_t n_out)
{
    atomic_fetch_add_explicit(&self->multiply_adds, (uint64_t)rows * n_in * n_out,
                              memory_order_relaxed);
}

/* With a whole layer. */
static inline void tl_backend_count_layer(tl_backend *self, const tl_linear *layer,
                                          size_t rows)
{
    tl_backend_count(self, rows, layer->weight.dims[1], layer->weight.dims[0]);
}

/* With the neurons of each row. */
static inline void tl_backend_count_neurons(tl_backend *self, const tl_gated_mlp *mlp,
                                            size_t n_groups,
                                            const tl_neuron_group *groups)
{
    size_t n = 0;
    for (size_t g = 0; g < n_groups; g++)
        for (size_t r = 0; r < groups[g].n_rows; r++)
            n += groups[g].rows[r].n;
    tl_backend_count(self, n, 3, mlp->down->weight.dims[0]);
}

/* Plain C with double sums: the definition. */
tl_status tl_backend_create_ref(tl_backend **out, tl_error *err);

/*
 * oneDNN for products, OpenMP around the rest. `n_threads` 0: all of OpenMP's.
 * `cache_bytes`: how much memory may hold weights already converted to f32 and
 * packed; those that do not fit are converted each time (bits do not change).
 * TL_ERR_UNSUPPORTED in a build without oneDNN.
 */
tl_status tl_backend_create_cpu(size_t n_threads, size_t cache_bytes, tl_backend **out,
                                tl_error *err);

#endif
