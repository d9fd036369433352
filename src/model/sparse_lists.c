/* SPDX-License-Identifier: MIT
 *
 * sparse_lists.c - see sparse_pass_private.h. The tables of a run, and the lists of a layer
 * and of its heads.
 */
#include "model/sparse_pass_private.h"

/* ---- memory ---------------------------------------------------------------------- */

typedef struct table_taker {
    tl_arena *arena;
    bool failed;
} table_taker;

static void *take(table_taker *t, size_t count, size_t size)
{
    void *memory = tl_arena_alloc(t->arena, count > 0 ? count : 1, size);
    if (memory == NULL && !tl_arena_is_measuring(t->arena))
        t->failed = true;
    return memory;
}

static tl_sparse_layer take_layer(const tl_sparse_pass *s, table_taker *t,
                                  const tl_sparse_sizes *z)
{
    const size_t N = z->n_rows;
    tl_sparse_layer y = {
        .keys.rows = take(t, N, sizeof *y.keys.rows),
        .residual.rows = take(t, N, sizeof *y.residual.rows),
        .known = take(t, N, sizeof *y.known),
        .known_layer = take(t, N, sizeof *y.known_layer),
        .groups = take(t, N, sizeof *y.groups),
        .rows = take(t, N, sizeof *y.rows),
        .dense = take(t, N, sizeof *y.dense),
        .sorted = take(t, s->model->spec.dims.d_mlp, sizeof *y.sorted),
        .counts = take(t, z->n_lanes, sizeof *y.counts),
        .places = take(t, z->n_sources * z->longest, sizeof *y.places),
        /* Of one ranking all have room at a time. */
        .index_capacity = z->n_sources > 0 ? z->longest * tl_sparse_most_neurons(s) : 0,
    };
    y.index = take(t, y.index_capacity, sizeof *y.index);
    return y;
}

static tl_sparse_heads take_heads(const tl_sparse_pass *s, table_taker *t, size_t N)
{
    const tl_dims *d = &s->model->spec.dims;
    const size_t per_group = d->n_heads / d->n_kv_heads, n = N * per_group;
    tl_sparse_heads y = {
        .keys.rows = take(t, N, sizeof *y.keys.rows),
        .key_to = take(t, N, sizeof *y.key_to),
        .key_table = take(t, N, sizeof *y.key_table),
        .lent_from = take(t, N, sizeof *y.lent_from),
        .lent_to = take(t, N, sizeof *y.lent_to),
        .queries = take(t, n, sizeof *y.queries),
        .first = take(t, per_group + 1, sizeof *y.first),
        .next = take(t, per_group, sizeof *y.next),
        .from = take(t, n, sizeof *y.from),
        .to = take(t, n, sizeof *y.to),
        .known = take(t, n, sizeof *y.known),
        .table = take(t, n, sizeof *y.table),
    };
    return y;
}

bool tl_sparse_take_tables(tl_sparse_pass *s, tl_arena *arena, const tl_sparse_sizes *z)
{
    const tl_dims *d = &s->model->spec.dims;
    const size_t N = z->n_rows, L = d->n_layers;
    table_taker t = {.arena = arena};
    s->rows = take(&t, z->n_lanes, sizeof *s->rows);
    s->attention = take(&t, z->n_lanes, sizeof *s->attention);
    s->last_rows = take(&t, z->n_lanes, sizeof *s->last_rows);
    s->first_table = take(&t, z->n_prompts, sizeof *s->first_table);
    s->groups_seen = take(&t, d->n_kv_heads, sizeof *s->groups_seen);
    s->lane_of = take(&t, N, sizeof *s->lane_of);
    s->owner = take(&t, N, sizeof *s->owner);
    s->needed = take(&t, (L + 1) * N, sizeof *s->needed);
    s->key_needed = take(&t, L * N * d->n_kv_heads, sizeof *s->key_needed);
    s->key_index = take(&t, N, sizeof *s->key_index);
    s->residual_index = take(&t, N, sizeof *s->residual_index);
    s->counting = take(&t, d->n_heads * d->d_head, sizeof *s->counting);
    s->rope = take(&t, z->longest * d->d_head, sizeof *s->rope);
    s->sources = take(&t, z->n_sources + 1, sizeof *s->sources);
    size_t *lanes = take(&t, z->n_lanes, sizeof *lanes);
    s->layer = take_layer(s, &t, z);
    s->heads = take_heads(s, &t, N);
    if (s->sources != NULL)
        s->sources[0].lanes = lanes;
    return !t.failed;
}

/* ---- a layer --------------------------------------------------------------------- */

size_t tl_sparse_known_row(const tl_sparse_pass *s, size_t l, size_t row)
{
    const size_t lane = s->lane_of[row];
    const tl_sparse_rows *r = &s->rows[lane];
    return tl_sparse_prompt_of(s, lane)->first_row + l * r->n + row - r->first;
}

static size_t table_row(const tl_sparse_pass *s, size_t row)
{
    const size_t lane = s->lane_of[row];
    return s->first_table[s->lanes[lane].prompt] + row - s->rows[lane].first;
}

void tl_sparse_list_layer(tl_sparse_pass *s, size_t l)
{
    const size_t N = s->n_rows, G = s->model->spec.dims.n_kv_heads;
    tl_sparse_layer *y = &s->layer;
    y->keys.n = y->residual.n = y->n_dense = y->next_place = 0;
    y->has_places = false;
    for (uint32_t row = 0; row < N; row++) {
        const uint8_t *keys = s->key_needed + (l * N + row) * G;
        uint8_t any = 0;
        for (size_t g = 0; g < G; g++)
            any |= keys[g];
        if (any) {
            s->key_index[row] = (uint32_t)y->keys.n;
            y->keys.rows[y->keys.n++] = row;
        }
        if (s->needed[(l + 1) * N + row]) {
            s->residual_index[row] = (uint32_t)y->residual.n;
            y->known[y->residual.n] = (uint32_t)tl_sparse_known_row(s, l, row);
            y->known_layer[y->residual.n] = (uint32_t)table_row(s, row);
            y->residual.rows[y->residual.n++] = row;
        }
    }
}

/* ---- heads ----------------------------------------------------------------------- */

static size_t seen_keys(const tl_attention *shape, const tl_attention_prompt *prompt,
                        size_t position)
{
    size_t n = 0;
    for (size_t j = 0; j < prompt->n_prefix + prompt->n_key; j++)
        n += tl_attention_sees(shape, prompt, position, j);
    return n;
}

/* Queries of the group's heads at a row: to y, or only counted by head. */
static void add_queries(const tl_sparse_pass *s, size_t l, size_t group, uint32_t row,
                        size_t *next, tl_sparse_heads *y)
{
    const tl_dims *d = &s->model->spec.dims;
    const size_t per_group = d->n_heads / d->n_kv_heads, lane = s->lane_of[row];
    const size_t position = s->rows[lane].n_prefix + row - s->rows[lane].first,
                 first = (l * s->rows[lane].n_pos + position) * d->n_heads;
    for (size_t i = 0; i < per_group; i++) {
        const size_t h = group * per_group + i;
        if (!tl_sparse_is_kept(&s->lanes[lane].heads, first + h))
            continue;
        const size_t at = next[i]++;
        if (y == NULL)
            continue;
        y->queries[y->n++] = (tl_attention_query){(uint32_t)lane, (uint32_t)position,
                                                  (uint32_t)h, (uint32_t)at};
        y->from[at] = s->key_index[row];
        y->to[at] = s->residual_index[row];
        y->known[at] = (uint32_t)(tl_sparse_known_row(s, l, row) * d->n_heads + h);
        y->table[at] = (uint32_t)table_row(s, row);
    }
}

/* Keys of the group that lanes have from an earlier one. */
static void list_lent(const tl_sparse_pass *s, size_t l, size_t group,
                      tl_sparse_heads *y)
{
    const size_t G = s->model->spec.dims.n_kv_heads;
    y->n_lent = 0;
    for (size_t i = 0; i < s->n_lanes; i++)
        for (size_t k = 0; k < s->rows[i].n_shared; k++) {
            const size_t row = s->rows[i].first + k, owner = s->owner[row];
            if (!s->key_needed[(l * s->n_rows + owner) * G + group])
                continue;
            y->lent_from[y->n_lent] = (uint32_t)(owner * G + group);
            y->lent_to[y->n_lent++] = (uint32_t)(row * G + group);
        }
}

void tl_sparse_list_heads(tl_sparse_pass *s, size_t l, size_t group)
{
    const tl_dims *d = &s->model->spec.dims;
    const size_t G = d->n_kv_heads, per_group = d->n_heads / G;
    const tl_sparse_layer *layer = &s->layer;
    tl_sparse_heads *y = &s->heads;
    size_t n = 0;
    for (size_t i = 0; i < per_group; i++)
        y->next[i] = 0;
    for (size_t i = 0; i < layer->residual.n; i++)
        add_queries(s, l, group, layer->residual.rows[i], y->next, NULL);
    for (size_t i = 0; i < per_group; i++) {
        y->first[i] = n;
        n += y->next[i];
        y->next[i] = y->first[i];
    }
    y->first[per_group] = n;
    y->n = y->keys.n = 0;
    y->n_pairs = 0.0;
    for (size_t i = 0; i < layer->residual.n; i++)
        add_queries(s, l, group, layer->residual.rows[i], y->next, y);
    for (size_t i = 0; i < layer->keys.n; i++) {
        const uint32_t row = layer->keys.rows[i];
        if (!s->key_needed[(l * s->n_rows + row) * G + group])
            continue;
        y->key_to[y->keys.n] = (uint32_t)(row * G + group);
        y->key_table[y->keys.n] = (uint32_t)table_row(s, row);
        y->keys.rows[y->keys.n++] = (uint32_t)i;
    }
    list_lent(s, l, group, y);
    const tl_attention shape = tl_layer_attention(&s->model->spec, l);
    for (size_t i = 0, seen = 0; i < y->n; i++) {
        const tl_attention_query *q = &y->queries[i];
        if (i == 0 || q->prompt != q[-1].prompt || q->position != q[-1].position)
            seen = seen_keys(&shape, &s->attention[q->prompt], q->position);
        y->n_pairs += (double)seen;
    }
}
