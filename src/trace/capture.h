/* SPDX-License-Identifier: MIT
 *
 * capture.h - a tap that keeps copies of what passes it, by name.
 *
 *     tl_capture capture;
 *     status = tl_capture_init(&capture, arena, dims, sites, err);
 *     const tl_tap tap = tl_capture_tap(&capture);
 *     ... a pass over one prompt, with that tap ...
 *     status = tl_capture_tensors(&capture, &tensors, &count, err);
 *
 * Names are "z.3" and, for gradients, "grad.z.3"; the gradient at resid_pre.0 is
 * "grad.embed". z has shape [n_pos, n_heads, d_head], the others [n_pos, width].
 */
#ifndef TWINLENS_TRACE_CAPTURE_H
#define TWINLENS_TRACE_CAPTURE_H

#include "twinlens/arena.h"
#include "twinlens/model.h"
#include "twinlens/safetensors.h"
#include "twinlens/site.h"

typedef struct tl_capture {
    tl_arena *arena;
    tl_dims dims;
    uint32_t sites;
    tl_tensor
        *kept; /* [2, n_layers, TL_SITE_COUNT]: values, gradients; no data: none */
} tl_capture;

/* Keeps the sites of the set; everything lives in `arena`. */
tl_status tl_capture_init(tl_capture *capture, tl_arena *arena, const tl_dims *dims,
                          uint32_t sites, tl_error *err);

/* For a pass over one prompt: others would overwrite its copies. */
tl_tap tl_capture_tap(tl_capture *capture);

/* What was kept, named; in the capture's arena. */
tl_status tl_capture_tensors(const tl_capture *capture, tl_named_tensor **tensors,
                             size_t *count, tl_error *err);

#endif
