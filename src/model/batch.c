/* SPDX-License-Identifier: MIT
 *
 * batch.c - see pass_private.h. Where the prompts of a batch are: rows, last rows,
 * prefixes, rotary tables.
 */
#include "model/pass_private.h"

#include "model/rope.h"
#include "twinlens/alloc.h"

size_t tl_batch_query_rows(const tl_pass *pass, size_t l)
{
    return pass->options.last_only && l + 1 == pass->model->spec.dims.n_layers
               ? pass->n_prompts
               : pass->n_rows;
}

void tl_batch_gather_last(const tl_pass *pass, size_t width, const float *x, float *y)
{
    tl_backend *b = pass->model->backend;
    b->copy_rows(b, pass->n_prompts, width, pass->last_rows, x, NULL, y);
}

void tl_batch_scatter_last(const tl_pass *pass, size_t width, const float *y, float *x)
{
    tl_backend *b = pass->model->backend;
    b->copy_rows(b, pass->n_prompts, width, NULL, y, pass->last_rows, x);
}

tl_attention tl_layer_attention(const tl_spec *spec, size_t l)
{
    return (tl_attention){
        .n_heads = spec->dims.n_heads,
        .n_kv_heads = spec->dims.n_kv_heads,
        .d_head = spec->dims.d_head,
        .scale = spec->attention_scale,
        .softcap = spec->attention_softcap,
        .window = tl_spec_is_sliding(spec, l) ? spec->window : 0,
        .causal = !spec->bidirectional,
    };
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
            .prefix_k = prefix != NULL && prefix->k != NULL ? prefix->k + at : NULL,
            .prefix_v = prefix != NULL && prefix->v != NULL ? prefix->v + at : NULL,
            /* Where all see all the window alone decides. */
            .block = spec->bidirectional ? NULL : pass->prompts[p].input.block,
        };
    }
    return tl_layer_attention(spec, l);
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
    tl_backend *b = pass->model->backend;
    const tl_dims *d = &pass->model->spec.dims;
    const size_t width = d->n_kv_heads * d->d_head;
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const tl_prefix *to = pass->prompts[p].collect, *from = pass->prompts[p].prefix;
        if (to == NULL)
            continue;
        const tl_prompt_rows *r = &pass->rows[p];
        const size_t given = r->n_prefix < to->n_pos ? r->n_prefix : to->n_pos;
        const size_t own = to->n_pos - given, at = l * to->n_pos * width;
        if (given > 0) {
            const size_t there = l * from->n_pos * width;
            b->copy(b, given * width, from->k + there, to->k + at);
            b->copy(b, given * width, from->v + there, to->v + at);
        }
        b->copy(b, own * width, y->k + r->first * width, to->k + at + given * width);
        b->copy(b, own * width, y->v + r->first * width, to->v + at + given * width);
    }
}

tl_status tl_batch_check(const tl_pass_prompt *prompts, size_t n_prompts,
                         size_t n_layers, tl_error *err)
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
        if (input->n_deep > 0 && input->n_deep >= n_layers)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "prompt %zu adds to the stream behind %zu of %zu layers, "
                           "wanted fewer than all",
                           p, input->n_deep, n_layers);
        if (prompts[p].collect != NULL && prompts[p].collect->n_pos > input->n_pos)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "prompt %zu: %zu positions to collect, it has %zu", p,
                           prompts[p].collect->n_pos, input->n_pos);
    }
    return TL_OK;
}

/* What is uploaded at a time, the rotary tables of a prompt; what taps are shown, and what
 * patterns are made of. */
static size_t staging_count(const tl_pass *pass, size_t n_rows)
{
    const tl_dims *d = &pass->model->spec.dims;
    size_t width = d->d_head;
    for (int s = 0; s < TL_SITE_COUNT; s++)
        if (pass->options.n_taps > 0 && !pass->model->backend->host_memory &&
            tl_site_width(d, (tl_site)s) > width)
            width = tl_site_width(d, (tl_site)s);
    if (pass->options.n_patterns > 0 && tl_site_width(d, TL_SITE_Z) > width)
        width = tl_site_width(d, TL_SITE_Z);
    return n_rows * width;
}

/* Gives every table its place. On a measuring arena they are NULL. */
static void take_tables(tl_pass *pass, tl_arena *arena, size_t n_staged)
{
    const size_t P = pass->n_prompts, L = pass->model->spec.dims.n_layers;
    pass->rows = tl_arena_alloc(arena, P, sizeof *pass->rows);
    pass->last_rows = tl_arena_alloc(arena, P, sizeof *pass->last_rows);
    pass->final_rows = tl_arena_alloc(arena, P, sizeof *pass->final_rows);
    pass->attention = tl_arena_alloc(arena, P, sizeof *pass->attention);
    pass->pair_scores = tl_arena_alloc(arena, 2 * P, sizeof *pass->pair_scores);
    pass->resid = tl_arena_alloc(arena, L + 1, sizeof *pass->resid);
    pass->layers = tl_arena_alloc(arena, L, sizeof *pass->layers);
    pass->staging = tl_arena_alloc(arena, n_staged, sizeof *pass->staging);
}

void tl_batch_release(tl_pass *pass)
{
    tl_arena_destroy(pass->tables);
    tl_free(pass->table_memory);
    pass->tables = NULL;
    pass->table_memory = NULL;
    pass->table_capacity = 0;
}

static size_t row_count(const tl_pass_prompt *prompt)
{
    return prompt->input.n_pos - (prompt->prefix != NULL ? prompt->prefix->n_pos : 0);
}

/* Rows of the batch, and of its longest prompt. */
static size_t count_rows(tl_pass *pass)
{
    size_t most = 0;
    pass->n_rows = 0;
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const size_t n = row_count(&pass->prompts[p]);
        pass->n_rows += n;
        most = n > most ? n : most;
    }
    return most;
}

static void place_rows(tl_pass *pass)
{
    for (size_t p = 0, first = 0; p < pass->n_prompts; p++) {
        const size_t n = row_count(&pass->prompts[p]),
                     n_pos = pass->prompts[p].input.n_pos;
        pass->rows[p] = (tl_prompt_rows){first, n, n_pos, n_pos - n};
        first += n;
        pass->last_rows[p] = (uint32_t)(first - 1);
        pass->final_rows[p] =
            pass->options.last_only ? (uint32_t)p : pass->last_rows[p];
    }
}

/* Bytes of the tables, and how much memory an arena needs for them. */
static tl_status measure_tables(tl_pass *pass, size_t n_staged, size_t *bytes,
                                size_t *to_borrow, tl_error *err)
{
    tl_arena *measuring = tl_arena_create_measuring();
    if (measuring == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
    take_tables(pass, measuring, n_staged);
    *bytes = tl_arena_peak(measuring);
    *to_borrow = tl_arena_bytes_to_borrow(measuring);
    tl_arena_destroy(measuring);
    return TL_OK;
}

/* An arena that just holds the tables; its memory is kept while it is enough, and within a
 * budget no more than enough. */
static tl_status reserve_tables(tl_pass *pass, size_t bytes, tl_error *err)
{
    if (bytes > pass->table_capacity ||
        (pass->options.memory_budget > 0 && bytes < pass->table_capacity)) {
        tl_batch_release(pass);
        pass->table_memory = tl_alloc(bytes, 1);
        pass->table_capacity = pass->table_memory != NULL ? bytes : 0;
    }
    if (pass->tables == NULL && pass->table_memory != NULL)
        pass->tables = tl_arena_create_over(pass->table_memory, pass->table_capacity);
    if (pass->tables == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a batch of %zu prompts",
                       pass->n_prompts);
    tl_arena_rewind(pass->tables, (tl_arena_mark){0});
    return TL_OK;
}

tl_status tl_batch_begin(tl_pass *pass, bool plan_only, tl_error *err)
{
    const size_t n_staged = staging_count(pass, count_rows(pass)),
                 n_taken = plan_only ? 0 : n_staged;
    size_t to_borrow = 0, bytes = 0;
    tl_status status =
        measure_tables(pass, n_staged, &pass->table_bytes, &to_borrow, err);
    if (status == TL_OK)
        status = measure_tables(pass, n_taken, &bytes, &to_borrow, err);
    if (status == TL_OK)
        status = reserve_tables(pass, to_borrow, err);
    if (status != TL_OK)
        return status;
    take_tables(pass, pass->tables, n_taken);
    place_rows(pass);
    return TL_OK;
}

/* A table of cosines and one of sines, for the rows of a prompt. */
static tl_status fill_tables(tl_pass *pass, const tl_rope_spec *rope,
                             const tl_input *input, const tl_prompt_rows *r,
                             float *cosine, float *sine, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t half = pass->model->spec.dims.d_head / 2, count = r->n * half,
                 at = r->first * half;
    float *host_cosine = pass->staging, *host_sine = pass->staging + count;
    tl_rope_table(rope, 2 * half, input->positions, input->n_pos, r->n_prefix, r->n,
                  host_cosine, host_sine);
    const tl_status status =
        b->upload(b, count * sizeof(float), host_cosine, cosine + at, err);
    return status != TL_OK
               ? status
               : b->upload(b, count * sizeof(float), host_sine, sine + at, err);
}

static tl_status fill_stream(tl_pass *pass, const tl_pass_prompt *prompt,
                             const tl_prompt_rows *r, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t d_model = pass->model->spec.dims.d_model, count = r->n * d_model,
                 from = r->n_prefix * d_model;
    float *x = pass->resid[pass->options.first_layer] + r->first * d_model;
    if (prompt->resid_pre == NULL)
        return b->upload(b, count * sizeof(float), prompt->input.embeds + from, x, err);
    b->copy(b, count, prompt->resid_pre + from, x);
    return TL_OK;
}

tl_status tl_batch_fill(tl_pass *pass, tl_error *err)
{
    const tl_spec *spec = &pass->model->spec;
    tl_status status = TL_OK;
    for (size_t p = 0; p < pass->n_prompts && status == TL_OK; p++) {
        const tl_pass_prompt *prompt = &pass->prompts[p];
        const tl_input *input = &prompt->input;
        const tl_prompt_rows *r = &pass->rows[p];
        status = fill_stream(pass, prompt, r, err);
        if (status == TL_OK)
            status =
                fill_tables(pass, &spec->rope, input, r, pass->cosine, pass->sine, err);
        if (status == TL_OK && spec->window > 0)
            status = fill_tables(pass, &spec->rope_sliding, input, r,
                                 pass->cosine_sliding, pass->sine_sliding, err);
    }
    return status;
}

tl_status tl_batch_add_deep(tl_pass *pass, size_t l, float *stream, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t d_model = pass->model->spec.dims.d_model;
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const tl_input *input = &pass->prompts[p].input;
        const tl_prompt_rows *r = &pass->rows[p];
        const size_t count = r->n * d_model, at = r->first * d_model;
        if (l >= input->n_deep)
            continue;
        const tl_status status = b->upload(
            b, count * sizeof(float),
            input->deep + (l * r->n_pos + r->n_prefix) * d_model, pass->out + at, err);
        if (status != TL_OK)
            return status;
        b->add(b, count, pass->out + at, stream + at);
    }
    return TL_OK;
}

size_t tl_prefix_count(const tl_dims *dims, size_t n_pos)
{
    return dims->n_layers * n_pos * dims->n_kv_heads * dims->d_head;
}
