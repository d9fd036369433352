/* SPDX-License-Identifier: MIT
 *
 * readings.c - see pass_private.h. What happens at a site, in the order that
 * twinlens/site.h promises. Of rows that a range names and the pass computes, the
 * overlap is read or edited; arrays are laid out as the range says.
 */
#include "model/pass_private.h"

size_t tl_site_width(const tl_dims *d, tl_site site)
{
    return site == TL_SITE_Z          ? d->n_heads * d->d_head
           : site == TL_SITE_MLP_POST ? d->d_mlp
                                      : d->d_model;
}

static size_t n_components(const tl_dims *d, tl_site site)
{
    return site == TL_SITE_Z ? d->n_heads : tl_site_width(d, site);
}

/* ---- what makes sense ------------------------------------------------------------ */

static size_t layers_of(const tl_site_range *r, const tl_dims *d)
{
    return r->n_layers > 0 ? r->n_layers : d->n_layers - r->first_layer;
}

static size_t positions_of(const tl_site_range *r, size_t n_pos)
{
    return r->n_pos > 0 ? r->n_pos : n_pos - r->first_pos;
}

static tl_status check_range(const tl_dims *d, const tl_site_range *r,
                             const void *array, const tl_pass_prompt *prompts,
                             size_t n_prompts, const char *what, size_t i,
                             tl_error *err)
{
    if ((int)r->site < 0 || (int)r->site >= TL_SITE_COUNT)
        return tl_fail(err, TL_ERR_ARGUMENT, "%s %zu: there is no site %d", what, i,
                       (int)r->site);
    if (r->prompt >= n_prompts)
        return tl_fail(err, TL_ERR_ARGUMENT, "%s %zu: prompt %zu of a pass over %zu",
                       what, i, r->prompt, n_prompts);
    const size_t n_pos = prompts[r->prompt].input.n_pos;
    if (r->first_layer >= d->n_layers || r->n_layers > d->n_layers - r->first_layer)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "%s %zu: %zu layers from layer %zu on, the model has %zu", what,
                       i, r->n_layers, r->first_layer, d->n_layers);
    if (r->first_pos >= n_pos || r->n_pos > n_pos - r->first_pos)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "%s %zu: %zu positions from position %zu on, prompt %zu has %zu",
                       what, i, r->n_pos, r->first_pos, r->prompt, n_pos);
    if (array == NULL)
        return tl_fail(err, TL_ERR_ARGUMENT, "%s %zu has no array", what, i);
    return TL_OK;
}

static tl_status check_edit(const tl_dims *d, const tl_edit *e, bool for_backward,
                            size_t i, tl_error *err)
{
    if (for_backward && e->at.site == TL_SITE_Z)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "edit %zu: z cannot be edited in a pass for the way back: the "
                       "gradient of attention needs it as it was computed",
                       i);
    if ((e->rule == TL_EDIT_OUTSIDE_CUT && e->rank == NULL && e->cut > 0) ||
        (e->rule == TL_EDIT_OUTSIDE_SET && e->in == NULL))
        return tl_fail(err, TL_ERR_ARGUMENT, "edit %zu has no %s", i,
                       e->rule == TL_EDIT_OUTSIDE_SET ? "set" : "ranking");
    if (e->rule == TL_EDIT_COMPONENT && e->component >= n_components(d, e->at.site))
        return tl_fail(err, TL_ERR_ARGUMENT, "edit %zu: component %zu of %zu", i,
                       e->component, n_components(d, e->at.site));
    return TL_OK;
}

tl_status tl_readings_check(const tl_model *model, const tl_pass_prompt *prompts,
                            size_t n_prompts, const tl_pass_options *o, tl_error *err)
{
    const tl_dims *d = &model->spec.dims;
    tl_status status = TL_OK;
    for (size_t i = 0; i < o->n_readings && status == TL_OK; i++) {
        const tl_reading *r = &o->readings[i];
        status = check_range(d, &r->at, r->to, prompts, n_prompts, "reading", i, err);
        if (status == TL_OK && r->gradient && !o->for_backward)
            status =
                tl_fail(err, TL_ERR_ARGUMENT,
                        "reading %zu: a gradient, in a pass without a way back", i);
    }
    for (size_t i = 0; i < o->n_edits && status == TL_OK; i++) {
        const tl_edit *e = &o->edits[i];
        status = check_range(d, &e->at, e->from, prompts, n_prompts, "edit", i, err);
        if (status == TL_OK)
            status = check_edit(d, e, o->for_backward, i, err);
    }
    for (size_t i = 0; i < o->n_taps && status == TL_OK; i++)
        if (o->for_backward && o->taps[i].writes &&
            (o->taps[i].sites & TL_SITE_BIT(TL_SITE_Z)) != 0)
            status = tl_fail(err, TL_ERR_ARGUMENT,
                             "tap %zu writes to z in a pass for the way back: the "
                             "gradient of attention needs it as it was computed",
                             i);
    return status;
}

/* ---- at a site ------------------------------------------------------------------- */

/* The rows of a site that are computed, of all prompts. */
typedef struct place {
    tl_site site;
    size_t layer, width;
    bool last_rows;
    float *values;
} place;

/* The computed rows of one prompt that a range names. */
typedef struct overlap {
    size_t first_pos, n_pos;
    float *values;
    size_t at; /* the first of them in the range's array, in elements */
} overlap;

/* False when there are none. */
static bool find_overlap(const tl_pass *pass, const place *here, const tl_site_range *r,
                         overlap *out)
{
    const tl_prompt_rows *rows = &pass->rows[r->prompt];
    if (r->site != here->site || here->layer < r->first_layer ||
        here->layer - r->first_layer >= layers_of(r, &pass->model->spec.dims))
        return false;
    const size_t n_pos = positions_of(r, rows->n_pos),
                 computed = here->last_rows ? rows->n_pos - 1 : rows->n_prefix,
                 first = r->first_pos > computed ? r->first_pos : computed,
                 end = r->first_pos + n_pos;
    if (first >= end)
        return false;
    const size_t row = here->last_rows ? r->prompt : rows->first + first - computed;
    *out = (overlap){
        .first_pos = first,
        .n_pos = end - first,
        .values = here->values + row * here->width,
        .at = ((here->layer - r->first_layer) * n_pos + first - r->first_pos) *
              here->width,
    };
    return true;
}

static void make_edits(tl_pass *pass, const place *here)
{
    tl_backend *b = pass->model->backend;
    const size_t n = n_components(&pass->model->spec.dims, here->site);
    for (size_t i = 0; i < pass->options.n_edits; i++) {
        const tl_edit *e = &pass->options.edits[i];
        overlap o;
        if (!find_overlap(pass, here, &e->at, &o))
            continue;
        const size_t first =
            (here->layer * pass->rows[e->at.prompt].n_pos + o.first_pos) * n;
        const tl_edit_rows rows = {
            .rule = e->rule,
            .n_rows = o.n_pos,
            .n_components = n,
            .per_component = here->width / n,
            .from = e->from + o.at,
            .rank = e->rank != NULL ? e->rank + first : NULL,
            .cut = e->cut,
            .in = e->in != NULL ? e->in + first : NULL,
            .component = e->component,
        };
        b->edit(b, &rows, o.values);
    }
}

static void make_readings(tl_pass *pass, const place *here, bool backward)
{
    tl_backend *b = pass->model->backend;
    for (size_t i = 0; i < pass->options.n_readings; i++) {
        const tl_reading *r = &pass->options.readings[i];
        overlap o;
        if (r->gradient == backward && find_overlap(pass, here, &r->at, &o))
            b->read(b, r->rule, o.n_pos * here->width, o.values, r->to + o.at);
    }
}

/* Shows a tap the rows of one prompt; through `staging` where they are not the host's. */
static tl_status show(tl_pass *pass, const tl_tap *tap, tl_tap_event *event,
                      float *values, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t bytes = event->n_pos * event->width * sizeof(float);
    event->values = values;
    if (b->host_memory)
        return tap->on_site(tap->user, event, err);
    event->values = pass->staging;
    tl_status status = b->download(b, bytes, values, pass->staging, err);
    if (status == TL_OK)
        status = tap->on_site(tap->user, event, err);
    if (status == TL_OK && tap->writes)
        status = b->upload(b, bytes, pass->staging, values, err);
    return status;
}

static tl_status call_taps(tl_pass *pass, const place *here, bool backward, bool writes,
                           tl_error *err)
{
    for (size_t i = 0; i < pass->options.n_taps; i++) {
        const tl_tap *tap = &pass->options.taps[i];
        if (tap->writes != writes || (tap->sites & TL_SITE_BIT(here->site)) == 0)
            continue;
        for (size_t p = 0; p < pass->n_prompts; p++) {
            const tl_prompt_rows *r = &pass->rows[p];
            tl_tap_event event = {
                .site = here->site,
                .backward = backward,
                .layer = here->layer,
                .prompt = p,
                .first_pos = here->last_rows ? r->n_pos - 1 : r->n_prefix,
                .n_pos = here->last_rows ? 1 : r->n,
                .width = here->width,
            };
            const size_t row = here->last_rows ? p : r->first;
            const tl_status status =
                show(pass, tap, &event, here->values + row * here->width, err);
            if (status != TL_OK)
                return status;
        }
    }
    return TL_OK;
}

tl_status tl_readings_at(tl_pass *pass, tl_site site, size_t l, bool backward,
                         bool last_rows, float *values, tl_error *err)
{
    const place here = {site, l, tl_site_width(&pass->model->spec.dims, site),
                        last_rows, values};
    if (!backward)
        make_edits(pass, &here);
    tl_status status = call_taps(pass, &here, backward, true, err);
    if (status != TL_OK || (pass->again && !backward))
        return status;
    make_readings(pass, &here, backward);
    return call_taps(pass, &here, backward, false, err);
}
