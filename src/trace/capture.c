/* SPDX-License-Identifier: MIT
 * capture.c - see include/twinlens/capture.h. */
#include "twinlens/capture.h"

#include <stdio.h>

static size_t width_of(const tl_dims *d, tl_site site)
{
    return site == TL_SITE_Z          ? d->n_heads * d->d_head
           : site == TL_SITE_MLP_POST ? d->d_mlp
                                      : d->d_model;
}

tl_status tl_capture_init(tl_capture *out, tl_model *model, tl_arena *arena,
                          uint32_t sites, size_t n_pos, bool gradients, tl_error *err)
{
    tl_capture c = {.arena = arena, .dims = *tl_model_dims(model), .n_pos = n_pos};
    for (int way = 0; way <= (gradients ? 1 : 0); way++)
        for (int i = 0; i < TL_SITE_COUNT; i++) {
            const tl_site site = (tl_site)i;
            if ((sites & TL_SITE_BIT(site)) == 0)
                continue;
            tl_array *array = &c.arrays[c.n_readings];
            const tl_status status = tl_array_init(
                model, TL_F32, c.dims.n_layers * n_pos * width_of(&c.dims, site), array,
                err);
            if (status != TL_OK) {
                tl_capture_release(&c);
                return tl_fail_while(err, status, "keeping %s of %zu positions",
                                     tl_site_name(site), n_pos);
            }
            c.readings[c.n_readings++] =
                (tl_reading){.gradient = way == 1,
                             .at = {.site = site, .n_pos = n_pos},
                             .to = tl_array_f32(array, 0)};
        }
    *out = c;
    return TL_OK;
}

void tl_capture_release(tl_capture *c)
{
    for (size_t i = 0; i < c->n_readings; i++)
        tl_array_release(&c->arrays[i]);
    c->n_readings = 0;
}

/* One layer of a reading. */
static tl_status get_tensor(const tl_capture *c, size_t reading, size_t layer,
                            tl_tensor *out, tl_error *err)
{
    const tl_dims *d = &c->dims;
    const tl_site site = c->readings[reading].at.site;
    const size_t width = width_of(d, site), count = c->n_pos * width;
    const void *values = NULL;
    const tl_status status =
        tl_array_get(&c->arrays[reading], layer * count, count, c->arena, &values, err);
    if (status == TL_OK)
        *out = site == TL_SITE_Z
                   ? tl_tensor_f32(values, c->n_pos, d->n_heads, d->d_head)
                   : tl_tensor_f32(values, c->n_pos, width, 0);
    return status;
}

static bool is_of_input(const tl_reading *reading)
{
    return reading->gradient && reading->at.site == TL_SITE_RESID_PRE;
}

tl_status tl_capture_tensors(const tl_capture *c, tl_named_tensor **tensors,
                             size_t *count, tl_error *err)
{
    enum { NAME_BYTES = 48 };
    const size_t L = c->dims.n_layers, most = c->n_readings * L + 1;
    tl_named_tensor *list = tl_arena_alloc(c->arena, most, sizeof *list);
    char(*names)[NAME_BYTES] = tl_arena_alloc(c->arena, most, sizeof *names);
    tl_status status = TL_OK;
    size_t n = 0;
    if (list == NULL || names == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the names of %zu tensors",
                       most);
    for (size_t i = 0; i < c->n_readings * L && status == TL_OK; i++) {
        const tl_reading *reading = &c->readings[i / L];
        snprintf(names[n], NAME_BYTES, "%s%s.%zu", reading->gradient ? "grad." : "",
                 tl_site_name(reading->at.site), i % L);
        list[n].name = names[n];
        status = get_tensor(c, i / L, i % L, &list[n].tensor, err);
        if (is_of_input(reading) && i % L == 0) {
            list[n + 1] = (tl_named_tensor){"grad.embed", list[n].tensor};
            n++;
        }
        n++;
    }
    if (status == TL_OK) {
        *tensors = list;
        *count = n;
    }
    return status;
}
