/* SPDX-License-Identifier: MIT
 *
 * sparse_pass.c - see sparse_pass.h.
 *
 * A layer, for all lanes together:
 *
 *  1. Keys and values, key-value group by group, of the rows that a needed head of the
 *     group sees; lanes that share rows have copies. The others in k and v are left over
 *     from earlier layers: nobody sees them, but they have to be finite, so both begin
 *     with 0.
 *  2. Queries and z head by head: of all rows that need the head, one product.
 *  3. out = known attn_out + W_o (z - known z), head by head; the norm behind it; the
 *     stream is added. That is mid.
 *  4. out = known mlp_out + W_down (mlp_post - known): the backend takes groups of
 *     neurons. Rows with most of their neurons go through the whole weights, with
 *     differences of 0 for neurons outside the circuit. What an image adds behind the
 *     layer (DeepStack) is the lane's own, as its embeddings are.
 *
 * Lists are of the host, activations are the backend's.
 */
#include <math.h>

#include "model/sparse_pass.h"

#include "model/rope.h"
#include "model/sparse_pass_private.h"
#include "twinlens/alloc.h"

enum {
    DENSE_ROWS = 240,     /* at a time: a multiple of what products are cut into */
    MOST_BYTES = 1 << 30, /* of a run without a budget */
    SOME_LANES = 64, /* give all threads something to do: more take no more scratch */
};

tl_status tl_sparse_pass_create(tl_model *model, tl_sparse_pass **out, tl_error *err)
{
    tl_sparse_pass *s = tl_alloc_zero(1, sizeof *s);
    if (s == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a sparse pass");
    s->model = model;
    *out = s;
    return TL_OK;
}

static void release_tables(tl_sparse_pass *s)
{
    tl_arena_destroy(s->tables);
    s->tables = NULL;
    tl_free(s->table_memory);
    s->table_memory = NULL;
}

void tl_sparse_pass_shrink(tl_sparse_pass *s)
{
    tl_backend *b = s->model->backend;
    release_tables(s);
    tl_arena_destroy(s->activations);
    s->activations = NULL;
    b->release(b, s->slab);
    s->slab = NULL;
    s->slab_bytes = 0;
    b->reserve_neurons(b, 0, NULL);
}

void tl_sparse_pass_destroy(tl_sparse_pass *s)
{
    if (s == NULL)
        return;
    tl_sparse_pass_shrink(s);
    tl_free(s);
}

bool tl_sparse_wants_outputs(const tl_model *model)
{
    return !model->spec.post_norms;
}

size_t tl_sparse_pass_peak_bytes(const tl_sparse_pass *s)
{
    return s->peak;
}

tl_sparse_work tl_sparse_pass_work(const tl_sparse_pass *s)
{
    return s->work;
}

/* ---- memory ---------------------------------------------------------------------- */

typedef struct taker {
    tl_arena *arena;
    bool failed;
} taker;

static float *take(taker *t, size_t rows, size_t width)
{
    float *memory = tl_arena_alloc(t->arena, rows * width, sizeof *memory);
    if (memory == NULL && !tl_arena_is_measuring(t->arena))
        t->failed = true;
    return memory;
}

/* Gives every activation its place; false if the arena ran out. */
static bool lay_out(tl_sparse_pass *s, tl_arena *arena, const tl_sparse_sizes *sizes)
{
    const tl_spec *spec = &s->model->spec;
    const tl_dims *d = &spec->dims;
    const size_t N = sizes->n_rows, n_lanes = sizes->n_lanes,
                 n_table_rows = sizes->n_table_rows;
    const size_t half = d->d_head / 2, G = d->n_kv_heads, D = d->d_head,
                 queries = N * (d->n_heads / G),
                 dense = N < DENSE_ROWS ? N : DENSE_ROWS;
    const bool slides = spec->window > 0;
    taker t = {.arena = arena};
    s->stream = take(&t, N, d->d_model);
    s->norm = take(&t, N, d->d_model);
    s->gathered = take(&t, N > n_lanes ? N : n_lanes, d->d_model);
    s->out = take(&t, N, d->d_model);
    s->mid = take(&t, N, d->d_model);
    s->k = take(&t, N, G * D);
    s->v = take(&t, N, G * D);
    s->key = take(&t, N, D);
    s->q = take(&t, queries, D);
    s->z = take(&t, queries, D);
    s->cosine = take(&t, queries, half);
    s->sine = take(&t, queries, half);
    s->table_cosine = take(&t, n_table_rows, half);
    s->table_sine = take(&t, n_table_rows, half);
    s->sliding_cosine = slides ? take(&t, n_table_rows, half) : NULL;
    s->sliding_sine = slides ? take(&t, n_table_rows, half) : NULL;
    s->layer_rows = spec->post_norms || spec->vision.n_deep > 0
                        ? take(&t, n_table_rows, d->d_model)
                        : NULL;
    s->dense_in = take(&t, dense, d->d_model);
    s->dense_out = take(&t, dense, d->d_model);
    s->dense_gate = take(&t, dense, d->d_mlp);
    s->dense_up = take(&t, dense, d->d_mlp);
    s->dense_mlp = take(&t, dense, d->d_mlp);
    s->dense_base = s->dense_gate; /* which is no longer needed */
    return !t.failed;
}

/* What a run takes, in bytes. */
typedef struct sparse_plan {
    size_t all;          /* with as little scratch as can be */
    size_t slab, tables; /* with the gaps of a build with AddressSanitizer */
    size_t neurons, neurons_turned, attention; /* the backend's scratch */
} sparse_plan;

static tl_status make_plan(tl_sparse_pass *s, const tl_sparse_sizes *sizes,
                           size_t n_pos, sparse_plan *out, tl_error *err)
{
    const tl_model *model = s->model;
    tl_backend *b = model->backend;
    tl_arena *slab = tl_arena_create_measuring(), *tables = tl_arena_create_measuring();
    if (slab == NULL || tables == NULL) {
        tl_arena_destroy(slab);
        tl_arena_destroy(tables);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
    }
    lay_out(s, slab, sizes);
    tl_sparse_take_tables(s, tables, sizes);
    const tl_linear *down = &model->weights.layers[0].down;
    const tl_attention shape = tl_layer_attention(&model->spec, 0);
    tl_attention_prompt longest[SOME_LANES];
    const size_t n_longest = sizes->n_lanes < SOME_LANES ? sizes->n_lanes : SOME_LANES;
    for (size_t i = 0; i < n_longest; i++)
        longest[i] = (tl_attention_prompt){.n_key = n_pos, .n_query = n_pos};
    const size_t n_together =
        sizes->n_rows < TL_SPARSE_GROUP_ROWS ? sizes->n_rows : TL_SPARSE_GROUP_ROWS;
    sparse_plan plan = {
        .slab = tl_arena_bytes_to_borrow(slab),
        .tables = tl_arena_bytes_to_borrow(tables),
        .neurons = b->neurons_bytes(b, down, n_together, false),
        .neurons_turned = b->neurons_bytes(b, down, n_together, true),
        .attention = b->attention_bytes(b, &shape, n_longest, longest, false),
    };
    plan.all =
        tl_arena_peak(slab) + tl_arena_peak(tables) + plan.neurons + plan.attention;
    tl_arena_destroy(slab);
    tl_arena_destroy(tables);
    *out = plan;
    return TL_OK;
}

tl_status tl_sparse_pass_least_bytes(const tl_model *model, size_t n_pos, size_t *out,
                                     tl_error *err)
{
    /* Only measured. */
    tl_sparse_pass s = {.model = (tl_model *)(uintptr_t)model};
    const tl_sparse_sizes sizes = {1, n_pos, 1, n_pos, 1, n_pos};
    sparse_plan plan;
    const tl_status status = make_plan(&s, &sizes, n_pos, &plan, err);
    if (status == TL_OK)
        *out = plan.all;
    return status;
}

static tl_status fail_memory(const sparse_plan *plan, tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a sparse pass of %.1f MiB",
                   (double)plan->all / (1 << 20));
}

/* The slab is kept from run to run; tables are as large as the run wants them. */
static tl_status reserve(tl_sparse_pass *s, const tl_sparse_sizes *sizes,
                         const sparse_plan *plan, size_t budget, tl_error *err)
{
    tl_backend *b = s->model->backend;
    release_tables(s);
    if (plan->slab > s->slab_bytes) {
        tl_sparse_pass_shrink(s);
        const tl_status status = b->allocate(b, plan->slab, &s->slab, err);
        if (status != TL_OK)
            return tl_fail_while(err, status, "a sparse pass of %zu lanes", s->n_lanes);
        s->slab_bytes = plan->slab;
    }
    if (s->activations == NULL)
        s->activations = tl_arena_create_over(s->slab, s->slab_bytes);
    s->table_memory = tl_alloc(plan->tables, 1);
    if (s->table_memory != NULL)
        s->tables = tl_arena_create_over(s->table_memory, plan->tables);
    if (s->activations == NULL || s->tables == NULL)
        return fail_memory(plan, err);
    tl_arena_rewind(s->activations, (tl_arena_mark){0});
    const size_t turned = plan->all + plan->neurons_turned - plan->neurons;
    const bool turn = budget == 0 || turned <= budget;
    tl_status status =
        b->reserve_neurons(b, turn ? plan->neurons_turned : plan->neurons, err);
    if (status == TL_OK)
        status = b->reserve_attention(b, plan->attention, err);
    if (status != TL_OK)
        return status;
    if (!lay_out(s, s->activations, sizes) ||
        !tl_sparse_take_tables(s, s->tables, sizes))
        return fail_memory(plan, err);
    const size_t used = turn ? turned : plan->all;
    s->peak = used > s->peak ? used : s->peak;
    return TL_OK;
}

/* ---- the beginning ----------------------------------------------------------------- */

/* A table of cosines and one of sines for the rows of a prompt. */
static tl_status fill_table(tl_sparse_pass *s, const tl_rope_spec *rope,
                            const tl_sparse_prompt *p, size_t row, float *cosine,
                            float *sine, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const size_t half = s->model->spec.dims.d_head / 2, n = tl_sparse_prompt_rows(p);
    float *host = s->rope;
    tl_rope_table(rope, 2 * half, p->input.positions, p->input.n_pos,
                  p->input.n_pos - n, n, host, host + n * half);
    const tl_status status =
        b->upload(b, n * half * sizeof *host, host, cosine + row * half, err);
    return status != TL_OK ? status
                           : b->upload(b, n * half * sizeof *host, host + n * half,
                                       sine + row * half, err);
}

static tl_status fill_tables(tl_sparse_pass *s, tl_error *err)
{
    const tl_spec *spec = &s->model->spec;
    tl_status status = TL_OK;
    for (size_t p = 0; p < s->batch->n_prompts && status == TL_OK; p++) {
        const tl_sparse_prompt *prompt = &s->batch->prompts[p];
        status = fill_table(s, &spec->rope, prompt, s->first_table[p], s->table_cosine,
                            s->table_sine, err);
        if (status == TL_OK && spec->window > 0)
            status = fill_table(s, &spec->rope_sliding, prompt, s->first_table[p],
                                s->sliding_cosine, s->sliding_sine, err);
    }
    return status;
}

/* The stream begins with the embeddings of each lane's prompt: one upload for each prompt. */
static tl_status fill_stream(tl_sparse_pass *s, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const size_t d_model = s->model->spec.dims.d_model;
    const tl_dims *d = &s->model->spec.dims;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const tl_sparse_rows *r = &s->rows[i];
        float *to = s->stream + r->first * d_model;
        if (i > 0 && s->lanes[i].prompt == s->lanes[i - 1].prompt) {
            b->copy(b, r->n * d_model, to - r->n * d_model, to);
            continue;
        }
        const float *from =
            s->batch->prompts[s->lanes[i].prompt].input.embeds + r->n_prefix * d_model;
        const tl_status status =
            b->upload(b, r->n * d_model * sizeof *from, from, to, err);
        if (status != TL_OK)
            return status;
    }
    b->fill(b, s->n_rows * d->n_kv_heads * d->d_head, 0.0f, s->k);
    b->fill(b, s->n_rows * d->n_kv_heads * d->d_head, 0.0f, s->v);
    return TL_OK;
}

/* ---- attention ----------------------------------------------------------------------- */

static void turn_rows(tl_sparse_pass *s, size_t l, size_t n, const uint32_t *table,
                      float *x)
{
    tl_backend *b = s->model->backend;
    const size_t D = s->model->spec.dims.d_head;
    const bool sliding = tl_spec_is_sliding(&s->model->spec, l);
    b->copy_rows(b, n, D / 2, table, sliding ? s->sliding_cosine : s->table_cosine,
                 NULL, s->cosine);
    b->copy_rows(b, n, D / 2, table, sliding ? s->sliding_sine : s->table_sine, NULL,
                 s->sine);
    b->rotary(b, n, 1, D, s->cosine, s->sine, false, x);
}

/* Heads of a projection of some rows of norm, with their own norm: into y [n, D]. */
static tl_status project_head(tl_sparse_pass *s, const tl_linear *w, size_t head,
                              size_t n, const float *x, float *y, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_dims *d = &s->model->spec.dims;
    s->work.multiply_adds += (double)n * (double)(d->d_head * d->d_model);
    s->work.gathered += (double)(d->d_head * d->d_model);
    return b->linear_rows(b, w, d->d_head, s->counting + head * d->d_head, n, x, y,
                          false, err);
}

static void norm_heads(tl_sparse_pass *s, const tl_norm *norm, size_t n, float *x)
{
    tl_backend *b = s->model->backend;
    const tl_spec *spec = &s->model->spec;
    if (spec->qk_norm)
        b->rmsnorm(b, n, spec->dims.d_head, spec->norm_eps, x, norm->weight, x, NULL);
}

static tl_status make_keys(tl_sparse_pass *s, size_t l, size_t group,
                           const tl_sparse_heads *heads, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_layer_weights *w = &s->model->weights.layers[l];
    const tl_dims *d = &s->model->spec.dims;
    const size_t n = heads->keys.n;
    b->copy_rows(b, n, d->d_model, heads->keys.rows, s->norm, NULL, s->gathered);
    tl_status status = project_head(s, &w->k, group, n, s->gathered, s->key, err);
    if (status != TL_OK)
        return status;
    norm_heads(s, &w->k_norm, n, s->key);
    turn_rows(s, l, n, heads->key_table, s->key);
    b->copy_rows(b, n, d->d_head, NULL, s->key, heads->key_to, s->k);
    status = project_head(s, &w->v, group, n, s->gathered, s->key, err);
    if (status != TL_OK)
        return status;
    b->copy_rows(b, n, d->d_head, NULL, s->key, heads->key_to, s->v);
    b->copy_rows(b, heads->n_lent, d->d_head, heads->lent_from, s->k, heads->lent_to,
                 s->k);
    b->copy_rows(b, heads->n_lent, d->d_head, heads->lent_from, s->v, heads->lent_to,
                 s->v);
    return TL_OK;
}

static tl_status make_queries(tl_sparse_pass *s, size_t l, size_t group,
                              const tl_sparse_heads *heads, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_layer_weights *w = &s->model->weights.layers[l];
    const tl_dims *d = &s->model->spec.dims;
    const size_t per_group = d->n_heads / d->n_kv_heads;
    for (size_t i = 0; i < per_group; i++) {
        const size_t first = heads->first[i], n = heads->first[i + 1] - first;
        if (n == 0)
            continue;
        b->copy_rows(b, n, d->d_model, heads->from + first, s->norm, NULL, s->gathered);
        const tl_status status =
            project_head(s, &w->q, group * per_group + i, n, s->gathered,
                         s->q + first * d->d_head, err);
        if (status != TL_OK)
            return status;
    }
    norm_heads(s, &w->q_norm, heads->n, s->q);
    turn_rows(s, l, heads->n, heads->table, s->q);
    return TL_OK;
}

/* out += W_o (z - known z) over the group's heads. */
static tl_status add_heads(tl_sparse_pass *s, size_t l, size_t group,
                           const tl_sparse_heads *heads, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_linear *o = &s->model->weights.layers[l].o;
    const tl_dims *d = &s->model->spec.dims;
    const size_t D = d->d_head, per_group = d->n_heads / d->n_kv_heads;
    float *known = s->q; /* which is no longer needed */
    b->copy_rows(b, heads->n, D, heads->known, s->batch->z, NULL, known);
    b->read(b, TL_READ_SUBTRACT, heads->n * D, known, s->z);
    for (size_t i = 0; i < per_group; i++) {
        const size_t first = heads->first[i], n = heads->first[i + 1] - first,
                     h = group * per_group + i;
        if (n == 0)
            continue;
        b->copy_rows(b, n, d->d_model, heads->to + first, s->out, NULL, s->gathered);
        const tl_status status = b->linear_columns(
            b, o, D, s->counting + h * D, n, s->z + first * D, s->gathered, true, err);
        if (status != TL_OK)
            return status;
        b->copy_rows(b, n, d->d_model, NULL, s->gathered, heads->to + first, s->out);
        s->work.multiply_adds += (double)n * (double)(D * d->d_model);
        s->work.gathered += (double)(D * d->d_model);
    }
    return TL_OK;
}

static tl_status run_group(tl_sparse_pass *s, size_t l, size_t group, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_dims *d = &s->model->spec.dims;
    const size_t width = d->n_kv_heads * d->d_head;
    const tl_sparse_heads *heads = &s->heads;
    tl_status status;
    tl_sparse_list_heads(s, l, group);
    if (heads->n == 0)
        return TL_OK;
    if ((status = make_keys(s, l, group, heads, err)) != TL_OK ||
        (status = make_queries(s, l, group, heads, err)) != TL_OK)
        return status;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const tl_prefix *prefix = s->batch->prompts[s->lanes[i].prompt].prefix;
        if (prefix == NULL)
            continue;
        s->attention[i].prefix_k = prefix->k + l * prefix->n_pos * width;
        s->attention[i].prefix_v = prefix->v + l * prefix->n_pos * width;
    }
    const tl_attention shape = tl_layer_attention(&s->model->spec, l);
    s->work.multiply_adds += 2.0 * heads->n_pairs * (double)d->d_head;
    status = b->attention_some(b, &shape, s->n_lanes, s->attention, heads->n,
                               heads->queries, s->q, s->k, s->v, s->z, err);
    return status == TL_OK ? add_heads(s, l, group, heads, err) : status;
}

/* ---- what attention and MLP add to the stream ---------------------------------------- */

/* out = what is known of the rows that leave the layer, before a norm behind it. */
static tl_status begin_out(tl_sparse_pass *s, size_t l, bool mlp, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_spec *spec = &s->model->spec;
    const tl_dims *d = &spec->dims;
    const tl_layer_weights *w = &s->model->weights.layers[l];
    const tl_sparse_layer *layer = &s->layer;
    const size_t width = mlp ? d->d_mlp : d->n_heads * d->d_head, d_model = d->d_model;
    const float *from = mlp ? s->batch->mlp_post : s->batch->z;
    if (!spec->post_norms) {
        b->copy_rows(b, layer->residual.n, d_model, layer->known,
                     mlp ? s->batch->mlp_out : s->batch->attn_out, NULL, s->out);
        return TL_OK;
    }
    for (size_t i = 0; i < s->n_lanes; i++) {
        const size_t p = s->lanes[i].prompt, n = s->rows[i].n;
        if (i > 0 && s->lanes[i - 1].prompt == p)
            continue;
        const size_t row = s->batch->prompts[p].first_row + l * n;
        const tl_status status =
            b->linear(b, mlp ? &w->down : &w->o, n, from + row * width,
                      s->layer_rows + s->first_table[p] * d_model, false, err);
        if (status != TL_OK)
            return status;
        s->work.multiply_adds += (double)n * (double)(width * d_model);
    }
    b->copy_rows(b, layer->residual.n, d_model, layer->known_layer, s->layer_rows, NULL,
                 s->out);
    return TL_OK;
}

/* sum += what images add behind layer l, of the rows that leave it. */
static tl_status add_deep(tl_sparse_pass *s, size_t l, float *sum, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_row_list *left = &s->layer.residual;
    const size_t d_model = s->model->spec.dims.d_model;
    bool any = false;
    for (size_t i = 0; i < s->n_lanes; i++)
        any = any || l < tl_sparse_prompt_of(s, i)->input.n_deep;
    if (!any)
        return TL_OK;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const size_t p = s->lanes[i].prompt, count = s->rows[i].n * d_model;
        const tl_input *input = &s->batch->prompts[p].input;
        float *to = s->layer_rows + s->first_table[p] * d_model;
        if (i > 0 && s->lanes[i - 1].prompt == p)
            continue;
        if (l >= input->n_deep) {
            b->fill(b, count, 0.0f, to);
            continue;
        }
        const float *from =
            input->deep + (l * input->n_pos + s->rows[i].n_prefix) * d_model;
        const tl_status status = b->upload(b, count * sizeof *from, from, to, err);
        if (status != TL_OK)
            return status;
    }
    b->copy_rows(b, left->n, d_model, s->layer.known_layer, s->layer_rows, NULL,
                 s->out);
    b->add(b, left->n * d_model, s->out, sum);
    return TL_OK;
}

/* sum = norm(out) + sum, of the rows that leave the layer. */
static void end_out(tl_sparse_pass *s, const tl_norm *post, size_t n, float *sum)
{
    tl_backend *b = s->model->backend;
    const tl_spec *spec = &s->model->spec;
    if (spec->post_norms)
        b->rmsnorm(b, n, spec->dims.d_model, spec->norm_eps, s->out, post->weight,
                   s->out, NULL);
    b->add(b, n * spec->dims.d_model, s->out, sum);
}

/* ---- the MLP ------------------------------------------------------------------------- */

/* out += W_down (mlp_post - known) of rows with most of their neurons. */
static tl_status add_dense(tl_sparse_pass *s, size_t l, const tl_dense_row *rows,
                           size_t n, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_layer_weights *w = &s->model->weights.layers[l];
    const tl_spec *spec = &s->model->spec;
    const size_t d_model = spec->dims.d_model, d_mlp = spec->dims.d_mlp;
    const tl_linear down = {.weight = w->down.weight};
    uint32_t at[DENSE_ROWS];
    tl_status status;
    for (size_t i = 0; i < n; i++)
        at[i] = rows[i].at;
    b->copy_rows(b, n, d_model, at, s->norm, NULL, s->dense_in);
    if ((status = b->linear(b, &w->gate, n, s->dense_in, s->dense_gate, false, err)) !=
            TL_OK ||
        (status = b->linear(b, &w->up, n, s->dense_in, s->dense_up, false, err)) !=
            TL_OK)
        return status;
    b->gated(b, spec->activation, n * d_mlp, s->dense_gate, s->dense_up, s->dense_mlp);
    for (size_t i = 0; i < n; i++) {
        const tl_kept *kept = &s->lanes[rows[i].lane].neurons;
        const uint32_t *rank = kept->there;
        const uint8_t *in = kept->there;
        const tl_edit_rows outside = {
            .rule = kept->in != NULL ? TL_EDIT_OUTSIDE_SET : TL_EDIT_OUTSIDE_CUT,
            .n_rows = 1,
            .n_components = d_mlp,
            .per_component = 1,
            .from = rows[i].base,
            .rank = kept->in == NULL ? rank + rows[i].first_component : NULL,
            .cut = kept->cut,
            .in = kept->in != NULL ? in + rows[i].first_component : NULL,
        };
        b->edit(b, &outside, s->dense_mlp + i * d_mlp);
        b->read(b, TL_READ_SUBTRACT, d_mlp, rows[i].base, s->dense_mlp + i * d_mlp);
    }
    b->copy_rows(b, n, d_model, at, s->out, NULL, s->dense_out);
    status = b->linear(b, &down, n, s->dense_mlp, s->dense_out, true, err);
    if (status == TL_OK)
        b->copy_rows(b, n, d_model, NULL, s->dense_out, at, s->out);
    s->work.multiply_adds += 3.0 * (double)n * (double)(d_model * d_mlp);
    s->work.dense_rows += n;
    return status;
}

static void count_neurons(tl_sparse_pass *s, const tl_sparse_layer *layer)
{
    const double d_model = (double)s->model->spec.dims.d_model;
    for (size_t g = 0; g < layer->n_groups; g++) {
        const tl_neuron_group *group = &layer->groups[g];
        s->work.gathered += 3.0 * d_model * (double)group->rows[0].n;
        for (size_t r = 0; r < group->n_rows; r++)
            s->work.multiply_adds += 3.0 * d_model * (double)group->rows[r].n;
        s->work.sparse_rows += group->n_rows;
    }
    s->work.gathered += d_model * (double)s->model->spec.dims.d_mlp;
}

static tl_status run_neurons(tl_sparse_pass *s, size_t l, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_layer_weights *w = &s->model->weights.layers[l];
    const tl_gated_mlp mlp = {s->model->spec.activation, &w->gate, &w->up, &w->down};
    const tl_sparse_layer *layer = &s->layer;
    tl_status status = TL_OK;
    while (status == TL_OK && tl_sparse_list_neurons(s, l)) {
        if (layer->n_groups == 0)
            continue;
        status =
            b->neurons(b, &mlp, layer->n_groups, layer->groups, s->norm, s->out, err);
        count_neurons(s, layer);
    }
    for (size_t i = 0; i < layer->n_dense && status == TL_OK; i += DENSE_ROWS)
        status = add_dense(
            s, l, layer->dense + i,
            layer->n_dense - i < DENSE_ROWS ? layer->n_dense - i : DENSE_ROWS, err);
    return status;
}

/* ---- layers, and the end ------------------------------------------------------------- */

static tl_status run_layer(tl_sparse_pass *s, size_t l, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_spec *spec = &s->model->spec;
    const tl_layer_weights *w = &s->model->weights.layers[l];
    const size_t d_model = spec->dims.d_model;
    const tl_row_list *keys = &s->layer.keys, *left = &s->layer.residual;
    tl_sparse_list_layer(s, l);
    b->copy_rows(b, keys->n, d_model, keys->rows, s->stream, NULL, s->norm);
    b->rmsnorm(b, keys->n, d_model, spec->norm_eps, s->norm, w->attn_norm.weight,
               s->norm, NULL);
    tl_status status = begin_out(s, l, false, err);
    for (size_t g = 0; g < spec->dims.n_kv_heads && status == TL_OK; g++)
        status = run_group(s, l, g, err);
    if (status != TL_OK)
        return status;
    b->copy_rows(b, left->n, d_model, left->rows, s->stream, NULL, s->mid);
    end_out(s, &w->attn_post_norm, left->n, s->mid);
    b->rmsnorm(b, left->n, d_model, spec->norm_eps, s->mid, w->mlp_norm.weight, s->norm,
               NULL);
    status = begin_out(s, l, true, err);
    if (status == TL_OK)
        status = run_neurons(s, l, err);
    if (status != TL_OK)
        return status;
    end_out(s, &w->mlp_post_norm, left->n, s->mid);
    if ((status = add_deep(s, l, s->mid, err)) != TL_OK)
        return status;
    b->copy_rows(b, left->n, d_model, NULL, s->mid, left->rows, s->stream);
    return TL_OK;
}

static tl_status read_logits(tl_sparse_pass *s, double *logit_diffs, tl_error *err)
{
    tl_backend *b = s->model->backend;
    const tl_spec *spec = &s->model->spec;
    const tl_weights *w = &s->model->weights;
    b->copy_rows(b, s->n_lanes, spec->dims.d_model, s->last_rows, s->stream, NULL,
                 s->gathered);
    b->rmsnorm(b, s->n_lanes, spec->dims.d_model, spec->norm_eps, s->gathered,
               w->final_norm.weight, s->gathered, NULL);
    for (size_t i = 0; i < s->n_lanes; i++) {
        const tl_sparse_prompt *p = &s->batch->prompts[s->lanes[i].prompt];
        const uint32_t row = (uint32_t)i;
        double logits[2];
        const tl_status status =
            b->logits_of(b, &w->head, 1, &row, s->gathered, 2, (int32_t[2]){p->a, p->b},
                         spec->logit_softcap, logits, err);
        if (status != TL_OK)
            return status;
        logit_diffs[i] = logits[0] - logits[1];
        if (!isfinite(logit_diffs[i]))
            return tl_fail(err, TL_ERR_DATA,
                           "prompt '%s' under a circuit: logits of %g and %g; wanted "
                           "finite numbers",
                           p->input.name != NULL ? p->input.name : "?", logits[0],
                           logits[1]);
    }
    return TL_OK;
}

/* The lanes of s, all at once. */
static tl_status run_lanes(tl_sparse_pass *s, const tl_sparse_sizes *sizes,
                           const sparse_plan *plan, size_t budget, double *logit_diffs,
                           tl_error *err)
{
    tl_status status = reserve(s, sizes, plan, budget, err);
    if (status != TL_OK)
        return status;
    tl_sparse_begin(s);
    if ((status = fill_tables(s, err)) != TL_OK ||
        (status = fill_stream(s, err)) != TL_OK)
        return status;
    for (size_t l = 0; l < s->model->spec.dims.n_layers && status == TL_OK; l++)
        status = run_layer(s, l, err);
    return status == TL_OK ? read_logits(s, logit_diffs, err) : status;
}

/* As many of the lanes as fit: s->n_lanes, and their sizes. */
static tl_status choose_lanes(tl_sparse_pass *s, size_t n_left, size_t budget,
                              tl_sparse_sizes *sizes, sparse_plan *plan, tl_error *err)
{
    const size_t limit = budget > 0 ? budget : MOST_BYTES;
    size_t longest = 0;
    for (size_t p = 0; p < s->batch->n_prompts; p++)
        if (s->batch->prompts[p].input.n_pos > longest)
            longest = s->batch->prompts[p].input.n_pos;
    for (size_t n = 1; n <= n_left; n++) {
        const tl_sparse_sizes more = tl_sparse_sizes_of(s, n);
        sparse_plan bytes;
        const tl_status status = make_plan(s, &more, longest, &bytes, err);
        if (status != TL_OK)
            return status;
        if (bytes.all > limit && n == 1 && budget > 0)
            return tl_fail(err, TL_ERR_NO_MEMORY,
                           "a circuit over %zu positions needs %.3f MiB, the budget is "
                           "%.3f MiB",
                           longest, (double)bytes.all / (1 << 20),
                           (double)budget / (1 << 20));
        if (bytes.all > limit && n > 1)
            break;
        *plan = bytes;
        *sizes = more;
        s->n_lanes = n;
    }
    return TL_OK;
}

tl_status tl_sparse_pass_run(tl_sparse_pass *s, const tl_sparse_batch *batch,
                             const tl_sparse_lane *lanes, size_t n_lanes,
                             const tl_sparse_options *options, double *logit_diffs,
                             tl_error *err)
{
    tl_status status = tl_model_begin(s->model, err);
    if (status != TL_OK)
        return status;
    s->batch = batch;
    s->no_dense_rows = options->no_dense_rows;
    for (size_t i = 0; i < n_lanes && status == TL_OK; i += s->n_lanes) {
        sparse_plan plan = {0};
        tl_sparse_sizes sizes = {0};
        s->lanes = lanes + i;
        status =
            choose_lanes(s, n_lanes - i, options->memory_budget, &sizes, &plan, err);
        if (status == TL_OK)
            status = run_lanes(s, &sizes, &plan, options->memory_budget,
                               logit_diffs + i, err);
    }
    tl_model_end(s->model);
    return status;
}
