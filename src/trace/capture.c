/* SPDX-License-Identifier: MIT
 * capture.c - see capture.h. */
#include "trace/capture.h"

#include <stdio.h>
#include <string.h>

tl_status tl_capture_init(tl_capture *c, tl_arena *arena, const tl_dims *dims,
                          uint32_t sites, tl_error *err)
{
    tl_tensor *kept =
        tl_arena_alloc_zero(arena, 2 * dims->n_layers * TL_SITE_COUNT, sizeof *kept);
    if (kept == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a capture");
    *c = (tl_capture){arena, *dims, sites, kept};
    return TL_OK;
}

static tl_status keep(void *user, const tl_tap_event *e, tl_error *err)
{
    tl_capture *c = user;
    const size_t n_layers = c->dims.n_layers;
    tl_tensor *slot =
        &c->kept[((size_t)e->backward * n_layers + e->layer) * TL_SITE_COUNT + e->site];
    const size_t count = e->n_pos * e->width;
    float *copy = tl_arena_alloc(c->arena, count, sizeof *copy);
    if (copy == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to keep %s.%zu",
                       tl_site_name(e->site), e->layer);
    memcpy(copy, e->values, count * sizeof *copy);
    *slot = e->site == TL_SITE_Z
                ? tl_tensor_f32(copy, e->n_pos, c->dims.n_heads, c->dims.d_head)
                : tl_tensor_f32(copy, e->n_pos, e->width, 0);
    return TL_OK;
}

tl_tap tl_capture_tap(tl_capture *c)
{
    return (tl_tap){.on_site = keep, .user = c, .sites = c->sites};
}

tl_status tl_capture_tensors(const tl_capture *c, tl_named_tensor **tensors,
                             size_t *count, tl_error *err)
{
    enum { NAME_BYTES = 48 };
    const size_t most = 2 * c->dims.n_layers * TL_SITE_COUNT;
    tl_named_tensor *list = tl_arena_alloc(c->arena, most, sizeof *list);
    char(*names)[NAME_BYTES] = tl_arena_alloc(c->arena, most, sizeof *names);
    if (list == NULL || names == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the names of %zu tensors",
                       most);
    size_t n = 0;
    for (size_t i = 0; i < most; i++) {
        if (c->kept[i].data == NULL)
            continue;
        const size_t layer = i / TL_SITE_COUNT % c->dims.n_layers;
        const tl_site site = (tl_site)(i % TL_SITE_COUNT);
        const bool gradient = i >= most / 2;
        if (gradient && site == TL_SITE_RESID_PRE && layer == 0)
            snprintf(names[n], NAME_BYTES, "grad.embed");
        else
            snprintf(names[n], NAME_BYTES, "%s%s.%zu", gradient ? "grad." : "",
                     tl_site_name(site), layer);
        list[n] = (tl_named_tensor){names[n], c->kept[i]};
        n++;
    }
    *tensors = list;
    *count = n;
    return TL_OK;
}
