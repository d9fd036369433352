/* SPDX-License-Identifier: MIT
 *
 * attention_pattern.c - see pass_private.h. A backend's attention does not keep its weights: z
 * is all that comes out. With values that are 1 in one element of one position and 0
 * elsewhere z is the weights themselves, those of d_head keys at a time, as the backend computes
 * them: window, blocks, soft cap and rounding are its own. The layer's own z is computed
 * afterwards, in the same place.
 */
#include "model/pass_private.h"

tl_status tl_patterns_check(const tl_pass_prompt *prompts, size_t n_prompts,
                            const tl_pass_options *o, tl_error *err)
{
    for (size_t i = 0; i < o->n_patterns; i++) {
        const tl_pattern_reading *r = &o->patterns[i];
        if (r->prompt >= n_prompts)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "pattern %zu: prompt %zu of a pass over %zu", i, r->prompt,
                           n_prompts);
        if (r->to == NULL)
            return tl_fail(err, TL_ERR_ARGUMENT, "pattern %zu has no memory", i);
    }
    for (size_t p = 0; p < n_prompts && o->n_patterns > 0; p++)
        if (o->last_only || o->keys_only ||
            (prompts[p].prefix != NULL && prompts[p].prefix->n_pos > 0))
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "a pattern is read in a pass that computes all positions, "
                           "without a prefix");
    return TL_OK;
}

/* Position j has a 1 in element j - first, if there is one, of every head. */
static tl_status upload_values(tl_pass *pass, size_t prompt, size_t first,
                               tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_dims *d = &pass->model->spec.dims;
    const tl_prompt_rows *r = &pass->rows[prompt];
    const size_t width = d->n_kv_heads * d->d_head, end = first + d->d_head;
    for (size_t j = 0; j < r->n; j++)
        for (size_t i = 0; i < width; i++)
            pass->staging[j * width + i] =
                j >= first && j < end && i % d->d_head == j - first ? 1.0f : 0.0f;
    return b->upload(b, r->n * width * sizeof *pass->staging, pass->staging,
                     pass->pattern_values + r->first * width, err);
}

/* The weights of keys from `first` on, which z holds. */
static tl_status download_weights(tl_pass *pass, size_t l, const float *z, size_t first,
                                  const tl_pattern_reading *reading, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_dims *d = &pass->model->spec.dims;
    const tl_prompt_rows *r = &pass->rows[reading->prompt];
    const size_t H = d->n_heads, T = r->n, width = H * d->d_head;
    if (first >= T)
        return TL_OK;
    const size_t n = T - first < d->d_head ? T - first : d->d_head;
    const tl_status status =
        b->download(b, T * width * sizeof *z, z + r->first * width, pass->staging, err);
    for (size_t h = 0; h < H && status == TL_OK; h++)
        for (size_t i = 0; i < T; i++)
            for (size_t j = 0; j < n; j++)
                reading->to[((l * H + h) * T + i) * T + first + j] =
                    pass->staging[i * width + h * d->d_head + j];
    return status;
}

tl_status tl_patterns_at(tl_pass *pass, size_t l, const tl_attention *shape,
                         const tl_layer *y, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_pass_options *o = &pass->options;
    size_t most = 0;
    if (pass->again)
        return TL_OK;
    for (size_t i = 0; i < o->n_patterns; i++)
        if (pass->rows[o->patterns[i].prompt].n > most)
            most = pass->rows[o->patterns[i].prompt].n;
    tl_status status = TL_OK;
    for (size_t first = 0; first < most && status == TL_OK; first += shape->d_head) {
        for (size_t p = 0; p < pass->n_prompts && status == TL_OK; p++)
            status = upload_values(pass, p, first, err);
        if (status == TL_OK)
            status = b->attention(b, shape, pass->n_prompts, pass->attention, y->q,
                                  y->k, pass->pattern_values, y->z, y->lse, err);
        for (size_t i = 0; i < o->n_patterns && status == TL_OK; i++)
            status = download_weights(pass, l, y->z, first, &o->patterns[i], err);
    }
    return status;
}
