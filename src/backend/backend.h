/* SPDX-License-Identifier: MIT
 *
 * backend.h - the table of compute kernels that the model calls.
 *
 * `ref` fills it with src/op, which defines every entry; `cpu` is measured
 * against it. All buffers are f32, row-major, contiguous and do not overlap unless
 * an entry says so; `rows` counts positions of all prompts of a batch, laid end
 * to end.
 *
 * The promise that everything above relies on: a row's result depends on that row
 * (and on its own prompt in `attention`), never on the number of rows, on the
 * other rows, or on where in the batch it stands, down to the last bit, and not
 * on the number of threads either.
 *
 * Entries that cannot fail return nothing. Products may (a library below), and
 * attention (scratch memory that grows with the prompt).
 */
#ifndef TWINLENS_BACKEND_H
#define TWINLENS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "op/attention.h"
#include "op/activation.h"
#include "twinlens/status.h"
#include "twinlens/tensor.h"

/* A linear layer: weight [n_out, n_in] in the file's own dtype (f32, f16, bf16),
 * usually mapped; bias [n_out] in f32, or NULL. A backend may remember weights by
 * their address: they stay where and what they are for as long as it lives. */
typedef struct tl_linear {
    tl_tensor weight;
    const float *bias;
} tl_linear;

typedef struct tl_backend tl_backend;

struct tl_backend {
    const char *name;

    /* y[R,n_out] = x[R,n_in] W^T + bias; `add`: y += instead of y =. */
    tl_status (*linear)(tl_backend *self, const tl_linear *layer, size_t rows,
                        const float *x, float *y, bool add, tl_error *err);
    /* dx[R,n_in] = dy[R,n_out] W; `add`: dx += instead of dx =. */
    tl_status (*linear_backward)(tl_backend *self, const tl_linear *layer, size_t rows,
                                 const float *dy, float *dx, bool add, tl_error *err);

    /* See op/rmsnorm.h, op/layernorm.h, op/rotary.h, op/attention.h,
     * op/activation.h: same arguments, same meaning. */
    void (*rmsnorm)(tl_backend *self, size_t rows, size_t width, float eps,
                    const float *x, const float *weight, float *y, float *inv_rms);
    void (*rmsnorm_backward)(tl_backend *self, size_t rows, size_t width,
                             const float *x, const float *weight,
                             const float *inv_rms, const float *dy, float *dx);
    void (*layernorm)(tl_backend *self, size_t rows, size_t width, float eps,
                      const float *x, const float *weight, const float *bias, float *y);
    void (*rotary)(tl_backend *self, size_t rows, size_t n_heads, size_t d_head,
                   const float *cosine, const float *sine, bool inverse, float *x);
    tl_status (*attention)(tl_backend *self, const tl_attention *shape, size_t n_prompts,
                           const tl_attention_prompt *prompts, const float *q,
                           const float *k, const float *v, float *z, float *lse,
                           tl_error *err);
    tl_status (*attention_backward)(tl_backend *self, const tl_attention *shape,
                                    size_t n_prompts, const tl_attention_prompt *prompts,
                                    const float *q, const float *k, const float *v,
                                    const float *z, const float *lse, const float *dz,
                                    float *dq, float *dk, float *dv, tl_error *err);
    void (*activate)(tl_backend *self, tl_activation kind, size_t count, float *x);
    void (*gated)(tl_backend *self, tl_activation kind, size_t count,
                  const float *gate, const float *up, float *y);
    void (*gated_backward)(tl_backend *self, tl_activation kind, size_t count,
                           const float *gate, const float *up, const float *dy,
                           float *dgate, float *dup);
    void (*add)(tl_backend *self, size_t count, const float *x, float *y); /* y += x */

    void (*destroy)(tl_backend *self);
};

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

/* The best backend of this build: "cpu", or "ref" in one without oneDNN. */
const char *tl_backend_default(void);

/* By name, "ref" or "cpu". */
tl_status tl_backend_create(const char *name, size_t n_threads, size_t cache_bytes,
                            tl_backend **out, tl_error *err);
void tl_backend_destroy(tl_backend *backend); /* NULL does nothing */

/* Bytes that a `linear` call may allocate for panels and scratch at most (beyond
 * cache_bytes), for the memory plan; n_threads as when it was created. */
size_t tl_backend_scratch_bytes(const char *name, size_t n_threads, size_t max_in,
                                size_t max_out);

#endif
