/* SPDX-License-Identifier: MIT
 *
 * capture.h - the activations of one prompt, and their gradients, by name.
 *
 *     tl_capture capture;
 *     const uint32_t sites = TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_RESID_POST);
 *     status = tl_capture_init(&capture, model, arena, sites, n_pos, true, &err);
 *     const tl_pass_options options = {.readings = capture.readings,
 *                                      .n_readings = capture.n_readings,
 *                                      .for_backward = true};
 *     ... a pass over one prompt of n_pos positions with these options, and back ...
 *     tl_named_tensor *tensors = NULL;
 *     size_t count = 0;
 *     status = tl_capture_tensors(&capture, &tensors, &count, &err);
 *     ... write them to a file ...
 *     tl_capture_release(&capture);
 *
 * Names are "z.3" and, for gradients, "grad.z.3"; the gradient at resid_pre.0 is there as
 * "grad.embed" too. z has shape [n_pos, n_heads, d_head], the others [n_pos, width].
 */
#ifndef TWINLENS_CAPTURE_H
#define TWINLENS_CAPTURE_H

#include "twinlens/api.h"
#include "twinlens/arena.h"
#include "twinlens/array.h"
#include "twinlens/model.h"
#include "twinlens/safetensors.h"
#include "twinlens/site.h"

TL_BEGIN_DECLS

typedef struct tl_capture {
    tl_arena *arena;
    tl_dims dims;
    size_t n_pos, n_readings;
    tl_reading readings[2 * TL_SITE_COUNT]; /* one for each site and way, all layers */
    tl_array arrays[2 * TL_SITE_COUNT];     /* of the same number */
} tl_capture;

/* Of the sites of the set, and of their gradients if wanted. TL_ERR_NO_MEMORY. */
tl_status tl_capture_init(tl_capture *capture, tl_model *model, tl_arena *arena,
                          uint32_t sites, size_t n_pos, bool gradients, tl_error *err);
void tl_capture_release(tl_capture *capture);

/* What the pass has left, named; names and list are in the arena, and values last until
 * the release. */
tl_status tl_capture_tensors(const tl_capture *capture, tl_named_tensor **tensors,
                             size_t *count, tl_error *err);

TL_END_DECLS

#endif
