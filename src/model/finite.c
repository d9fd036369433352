/* SPDX-License-Identifier: MIT
 *
 * finite.c - see pass_private.h. Infinity and what is not a number have no place among
 * activations: sums and comparisons would make plain numbers of them, and nobody would
 * see it. After each layer the stream is looked at; only when something is wrong there,
 * the sites before it, which are still in memory.
 */
#include <stdio.h>

#include "model/pass_private.h"

/* Values of a site, rows [n_rows, width]. */
typedef struct site_values {
    const char *name;
    const float *values;
    size_t n_rows, width;
    bool last_rows; /* one for each prompt, its last position */
} site_values;

/* The prompt and the position of a row. */
static void find_position(const tl_pass *pass, const site_values *s, size_t row,
                          size_t *prompt, size_t *position)
{
    size_t p = 0;
    if (s->last_rows) {
        *prompt = row;
        *position = pass->rows[row].n_pos - 1;
        return;
    }
    while (p + 1 < pass->n_prompts && row >= pass->rows[p + 1].first)
        p++;
    *prompt = p;
    *position = pass->rows[p].n_prefix + row - pass->rows[p].first;
}

const char *tl_finite_name(const tl_pass *pass, size_t prompt, char out[64])
{
    const char *name = pass->prompts[prompt].input.name;
    if (name != NULL)
        snprintf(out, 64, "prompt '%.40s'", name);
    else
        snprintf(out, 64, "prompt %zu of the pass", prompt);
    return out;
}

/* TL_ERR_DATA when one of the values is not finite. */
static tl_status check_values(tl_pass *pass, size_t l, const site_values *s,
                              tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t count = s->n_rows * s->width,
                 at = b->first_not_finite(b, count, s->values);
    size_t prompt = 0, position = 0;
    float value = 0.0f;
    if (at == count)
        return TL_OK;
    find_position(pass, s, at / s->width, &prompt, &position);
    char name[64];
    const tl_status status =
        b->download(b, sizeof value, s->values + at, &value, err);
    return status != TL_OK
               ? status
               : tl_fail(err, TL_ERR_DATA,
                         "%s: layer %zu, %s: element %zu at position %zu is %g; wanted "
                         "finite activations: are weights damaged, or too large for what "
                         "enters them?",
                         tl_finite_name(pass, prompt, name), l, s->name, at % s->width,
                         position, (double)value);
}

tl_status tl_finite_check_input(tl_pass *pass, tl_error *err)
{
    const size_t l = pass->options.first_layer, d_model = pass->model->spec.dims.d_model;
    const site_values input = {"resid_pre", pass->resid[l], pass->n_rows, d_model, false};
    return check_values(pass, l, &input, err);
}

tl_status tl_finite_check_layer(tl_pass *pass, size_t l, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_dims *d = &pass->model->spec.dims;
    const tl_layer *y = &pass->layers[l];
    const size_t Q = tl_batch_query_rows(pass, l);
    const bool last = Q != pass->n_rows;
    if (b->first_not_finite(b, Q * d->d_model, pass->resid[l + 1]) == Q * d->d_model)
        return TL_OK;
    const site_values sites[] = {
        {"z", y->z, Q, d->n_heads * d->d_head, last},
        {"resid_mid", y->resid_mid, Q, d->d_model, last},
        {"mlp_post", pass->mlp_post, Q, d->d_mlp, last},
        {"mlp_out", pass->out, Q, d->d_model, last},
        {"resid_post", pass->resid[l + 1], Q, d->d_model, last},
    };
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof sites / sizeof *sites && status == TL_OK; i++)
        status = check_values(pass, l, &sites[i], err);
    return status;
}

tl_status tl_finite_check_gradient(tl_pass *pass, size_t l, tl_error *err)
{
    const site_values gradient = {"the gradient at resid_pre", pass->d_resid,
                                  pass->n_rows, pass->model->spec.dims.d_model, false};
    return check_values(pass, l, &gradient, err);
}
