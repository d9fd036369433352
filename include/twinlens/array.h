/* SPDX-License-Identifier: MIT
 *
 * array.h - memory of a model's backend: what readings fill and edits are made from.
 *
 *     tl_array states = {0};
 *     status = tl_array_init(model, TL_F32, n_layers * n_pos * d_model, &states, &err);
 *     const tl_reading reading = {.at = {.site = TL_SITE_RESID_POST},
 *                                 .to = tl_array_f32(&states, 0)};
 *     ... a pass with this reading ...
 *     status = tl_array_download(&states, 0, count, values, &err);
 *     tl_array_release(&states);
 *
 * `data` is an address of the backend: it may be moved inside the array, and is not to be
 * dereferenced, because a device may have other memory than the host. An array must not
 * outlive its model.
 */
#ifndef TWINLENS_ARRAY_H
#define TWINLENS_ARRAY_H

#include "twinlens/api.h"
#include "twinlens/arena.h"
#include "twinlens/model.h"
#include "twinlens/tensor.h"

TL_BEGIN_DECLS

typedef struct tl_array {
    tl_model *model;
    tl_dtype dtype;
    size_t count; /* elements */
    void *data;
    size_t capacity; /* bytes that are the array's own; 0: borrowed or none */
} tl_array;

/* All elements are 0. TL_ERR_NO_MEMORY. */
tl_status tl_array_init(tl_model *model, tl_dtype dtype, size_t count, tl_array *out,
                        tl_error *err);

/* The same for an array that is initialised (or {0}): its memory is kept if it is enough. */
tl_status tl_array_reset(tl_array *array, tl_model *model, tl_dtype dtype, size_t count,
                         tl_error *err);

/* An array with the contents of `host`: that memory itself where the backend's memory is
 * the host's, or else a copy. `host` stays as it is and where it is until the release. */
tl_status tl_array_borrow(tl_model *model, tl_dtype dtype, size_t count,
                          const void *host, tl_array *out, tl_error *err);

/* Leaves an empty array. */
void tl_array_release(tl_array *array);

/* Elements [first, first + count), from the host and to it. */
tl_status tl_array_upload(tl_array *array, size_t first, size_t count, const void *host,
                          tl_error *err);
tl_status tl_array_download(const tl_array *array, size_t first, size_t count,
                            void *host, tl_error *err);

/* The same elements for the host to read, valid while the array is unchanged: where they
 * are, if that is memory of the host, or else a copy in `arena`. */
tl_status tl_array_get(const tl_array *array, size_t first, size_t count,
                       tl_arena *arena, const void **out, tl_error *err);

/* to[to_first ...] = from[first ...], count elements, both TL_F32. */
void tl_array_copy(const tl_array *from, size_t first, size_t count, tl_array *to,
                   size_t to_first);

/* Address of element `first`. */
float *tl_array_f32(const tl_array *array, size_t first);

TL_END_DECLS

#endif
