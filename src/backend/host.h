/* SPDX-License-Identifier: MIT
 *
 * host.h - entries of backend.h for backends whose memory is the host's: plain loads and
 * stores, or the op of that name, in one thread. `ref` is made of them; `cpu` takes those
 * for which threads would not pay.
 */
#ifndef TWINLENS_BACKEND_HOST_H
#define TWINLENS_BACKEND_HOST_H

#include "backend/backend.h"

tl_status tl_host_allocate(tl_backend *self, size_t bytes, void **out, tl_error *err);
void tl_host_release(tl_backend *self, void *memory);
tl_status tl_host_upload(tl_backend *self, size_t bytes, const void *host, void *to,
                         tl_error *err);
tl_status tl_host_download(tl_backend *self, size_t bytes, const void *from, void *host,
                           tl_error *err);
void tl_host_fill(tl_backend *self, size_t count, float value, float *x);
void tl_host_copy(tl_backend *self, size_t count, const float *x, float *y);
void tl_host_copy_rows(tl_backend *self, size_t n, size_t width,
                       const uint32_t *from_rows, const float *x,
                       const uint32_t *to_rows, float *y);
size_t tl_host_first_not_finite(tl_backend *self, size_t count, const float *x);
void tl_host_read(tl_backend *self, tl_read_rule rule, size_t count, const float *x,
                  float *y);
void tl_host_edit(tl_backend *self, const tl_edit_rows *edit, float *x);
tl_status tl_host_logits_of(tl_backend *self, const tl_linear *head, size_t n_rows,
                            const uint32_t *rows, const float *x, size_t n_ids,
                            const int32_t *ids, float softcap, double *out,
                            tl_error *err);
tl_status tl_host_logit_diff_gradient(tl_backend *self, tl_backward_rule rule,
                                      const tl_linear *head, size_t n_rows,
                                      const uint32_t *rows, const int32_t *a,
                                      const int32_t *b, float softcap, const double *s,
                                      float *dx, tl_error *err);
tl_status tl_host_metric_gradient(tl_backend *self, tl_metric metric,
                                  tl_backward_rule rule, const tl_linear *head,
                                  size_t n_rows, const uint32_t *rows, const int32_t *a,
                                  float softcap, const float *x, float *dx,
                                  tl_error *err);
void tl_host_softcap(tl_backend *self, size_t count, float cap, float *x);
tl_status tl_host_linear_rows(tl_backend *self, const tl_linear *layer, size_t n,
                              const uint32_t *index, size_t rows, const float *x,
                              float *y, bool add, tl_error *err);
tl_status tl_host_linear_columns(tl_backend *self, const tl_linear *layer, size_t n,
                                 const uint32_t *index, size_t rows, const float *x,
                                 float *y, bool add, tl_error *err);

/* What the ops assert of a weight and a file may break: two dimensions of f32, f16 or
 * bf16. Errors: TL_ERR_ARGUMENT, TL_ERR_UNSUPPORTED. */
tl_status tl_linear_check(const tl_linear *layer, tl_error *err);
tl_status tl_gated_mlp_check(const tl_gated_mlp *mlp, tl_error *err);

#endif
