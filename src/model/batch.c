/* SPDX-License-Identifier: MIT
 *
 * batch.c - see pass_private.h. Where the prompts of a batch are: rows, last rows,
 * prefixes, rotary tables.
 */
#include "model/pass_private.h"

#include <string.h>

#include "model/rope.h"

size_t tl_batch_query_rows(const tl_pass *pass, size_t l)
{
    return pass->options.last_only && l + 1 == pass->model->spec.dims.n_layers
               ? pass->n_prompts
               : pass->n_rows;
}

size_t tl_batch_last_row(const tl_pass *pass, size_t p)
{
    if (tl_batch_query_rows(pass, pass->model->spec.dims.n_layers - 1) != pass->n_rows)
        return p;
    return pass->rows[p].first + pass->rows[p].n - 1;
}

void tl_batch_gather_last(const tl_pass *pass, size_t width, const float *x, float *y)
{
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const tl_prompt_rows *r = &pass->rows[p];
        memcpy(y + p * width, x + (r->first + r->n - 1) * width, width * sizeof *y);
    }
}

void tl_batch_scatter_last(const tl_pass *pass, size_t width, const float *y, float *x)
{
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const tl_prompt_rows *r = &pass->rows[p];
        memcpy(x + (r->first + r->n - 1) * width, y + p * width, width * sizeof *x);
    }
}

tl_attention tl_batch_attention(tl_pass *pass, size_t l)
{
    const tl_spec *spec = &pass->model->spec;
    const tl_dims *d = &spec->dims;
    const bool last_rows = tl_batch_query_rows(pass, l) != pass->n_rows;
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const tl_prompt_rows *r = &pass->rows[p];
        const tl_prefix *prefix = pass->prompts[p].prefix;
        const size_t at =
            prefix != NULL ? l * prefix->n_pos * d->n_kv_heads * d->d_head : 0;
        pass->attention[p] = (tl_attention_prompt){
            .q_row = last_rows ? p : r->first,
            .n_query = last_rows ? 1 : r->n,
            .k_row = r->first,
            .n_key = r->n,
            .n_prefix = r->n_prefix,
            .prefix_k = prefix != NULL ? prefix->k + at : NULL,
            .prefix_v = prefix != NULL ? prefix->v + at : NULL,
            /* Where all see all the window alone decides. */
            .block = spec->bidirectional ? NULL : pass->prompts[p].input.block,
        };
    }
    return (tl_attention){
        .n_heads = d->n_heads,
        .n_kv_heads = d->n_kv_heads,
        .d_head = d->d_head,
        .scale = spec->attention_scale,
        .softcap = spec->attention_softcap,
        .window = tl_spec_is_sliding(spec, l) ? spec->window : 0,
        .causal = !spec->bidirectional,
    };
}

tl_rotary_tables tl_batch_tables(const tl_pass *pass, size_t l)
{
    const bool sliding = tl_spec_is_sliding(&pass->model->spec, l);
    tl_rotary_tables t = {
        .key_cosine = sliding ? pass->cosine_sliding : pass->cosine,
        .key_sine = sliding ? pass->sine_sliding : pass->sine,
    };
    t.query_cosine = t.key_cosine;
    t.query_sine = t.key_sine;
    if (tl_batch_query_rows(pass, l) != pass->n_rows) {
        const size_t half = pass->model->spec.dims.d_head / 2;
        tl_batch_gather_last(pass, half, t.key_cosine, pass->cosine_last);
        tl_batch_gather_last(pass, half, t.key_sine, pass->sine_last);
        t.query_cosine = pass->cosine_last;
        t.query_sine = pass->sine_last;
    }
    return t;
}

void tl_batch_collect(const tl_pass *pass, size_t l, const tl_layer *y)
{
    const tl_dims *d = &pass->model->spec.dims;
    const size_t width = d->n_kv_heads * d->d_head;
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const tl_prefix *to = pass->prompts[p].collect, *from = pass->prompts[p].prefix;
        if (to == NULL)
            continue;
        const tl_prompt_rows *r = &pass->rows[p];
        const size_t given = r->n_prefix < to->n_pos ? r->n_prefix : to->n_pos;
        const size_t own = to->n_pos - given;
        float *k = to->k + l * to->n_pos * width, *v = to->v + l * to->n_pos * width;
        if (given > 0) {
            memcpy(k, from->k + l * from->n_pos * width, given * width * sizeof *k);
            memcpy(v, from->v + l * from->n_pos * width, given * width * sizeof *v);
        }
        memcpy(k + given * width, y->k + r->first * width, own * width * sizeof *k);
        memcpy(v + given * width, y->v + r->first * width, own * width * sizeof *v);
    }
}

tl_status tl_batch_check(const tl_pass_prompt *prompts, size_t n_prompts, tl_error *err)
{
    if (n_prompts == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "a pass without prompts");
    for (size_t p = 0; p < n_prompts; p++) {
        const tl_input *input = &prompts[p].input;
        const size_t prefix = prompts[p].prefix != NULL ? prompts[p].prefix->n_pos : 0;
        if (prefix >= input->n_pos)
            return tl_fail(
                err, TL_ERR_ARGUMENT,
                "prompt %zu has %zu positions and a prefix of %zu: none is left", p,
                input->n_pos, prefix);
        if (input->block != NULL && prefix > 0 && input->block[prefix] >= 0 &&
            input->block[prefix] == input->block[prefix - 1])
            return tl_fail(
                err, TL_ERR_ARGUMENT,
                "prompt %zu: a prefix of %zu cuts a block of positions that see "
                "each other",
                p, prefix);
        if (prompts[p].collect != NULL && prompts[p].collect->n_pos > input->n_pos)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "prompt %zu: %zu positions to collect, it has %zu", p,
                           prompts[p].collect->n_pos, input->n_pos);
    }
    return TL_OK;
}

void tl_batch_fill(tl_pass *pass)
{
    const tl_spec *spec = &pass->model->spec;
    const size_t d_model = spec->dims.d_model, d_head = spec->dims.d_head,
                 half = d_head / 2;
    size_t first = 0;
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const tl_input *input = &pass->prompts[p].input;
        const size_t prefix =
            pass->prompts[p].prefix != NULL ? pass->prompts[p].prefix->n_pos : 0;
        const size_t n = input->n_pos - prefix;
        pass->rows[p] = (tl_prompt_rows){first, n, input->n_pos, prefix};
        memcpy(pass->resid[pass->options.first_layer] + first * d_model,
               input->embeds + prefix * d_model, n * d_model * sizeof(float));
        tl_rope_table(&spec->rope, d_head, input->positions, input->n_pos, prefix, n,
                      pass->cosine + first * half, pass->sine + first * half);
        if (spec->window > 0)
            tl_rope_table(&spec->rope_sliding, d_head, input->positions, input->n_pos,
                          prefix, n, pass->cosine_sliding + first * half,
                          pass->sine_sliding + first * half);
        first += n;
    }
}
