/* SPDX-License-Identifier: MIT
 *
 * sparse_lists.c - see sparse_pass_private.h. What a circuit makes necessary.
 *
 * From the last layer to the first: a row is needed if it is the last position's, if a
 * needed row follows it in the layer above, or if a needed head of a needed row sees it.
 *
 * The neurons of one layer and position make a group for each order they come in: by rank,
 * of which smaller circuits take fewer from the front; or the members of a set, by index,
 * shared by all lanes that have the same there. So what a row sums up, and in which order,
 * depends on its own circuit alone.
 */
#include <stdlib.h>
#include <string.h>

#include "model/sparse_pass_private.h"

/* A row with more neurons than this part of them is computed in full: the products of many
 * rows with a whole weight run several times as fast as those with single neurons. */
enum { DENSE_OF = 2, DENSE_FROM = 5 };

double tl_sparse_dense_from(void)
{
    return (double)DENSE_OF / (double)DENSE_FROM;
}

size_t tl_sparse_prompt_rows(const tl_sparse_prompt *prompt)
{
    return prompt->input.n_pos - (prompt->prefix != NULL ? prompt->prefix->n_pos : 0);
}

static const tl_sparse_prompt *prompt_of(const tl_sparse_pass *s, size_t lane)
{
    return &s->batch->prompts[s->lanes[lane].prompt];
}

static bool is_kept(const tl_kept *kept, size_t i)
{
    return kept->in != NULL ? kept->in[i] != 0
                            : kept->rank != NULL && kept->rank[i] < kept->cut;
}

/* ---- once for all layers ----------------------------------------------------------- */

static bool same_source(const tl_sparse_source *source, const tl_kept *kept)
{
    return source->in == kept->in && (source->in != NULL || source->rank == kept->rank);
}

static bool is_empty(const tl_kept *kept)
{
    return kept->in == NULL && (kept->rank == NULL || kept->cut == 0);
}

/* Puts a lane behind those with larger cuts. */
static void add_lane(const tl_sparse_pass *s, tl_sparse_source *source, size_t lane)
{
    size_t i = source->n_lanes++;
    for (; i > 0 &&
           s->lanes[source->lanes[i - 1]].neurons.cut < s->lanes[lane].neurons.cut;
         i--)
        source->lanes[i] = source->lanes[i - 1];
    source->lanes[i] = lane;
}

/* The lane among the first n that a lane has its source from. */
static size_t first_of_source(const tl_sparse_pass *s, size_t lane)
{
    const tl_kept *kept = &s->lanes[lane].neurons;
    for (size_t i = 0; i < lane; i++)
        if (!is_empty(&s->lanes[i].neurons) &&
            same_source(&(tl_sparse_source){.rank = s->lanes[i].neurons.rank,
                                            .in = s->lanes[i].neurons.in},
                        kept))
            return i;
    return lane;
}

/* The lanes of all sources share one array. */
static void find_sources(tl_sparse_pass *s)
{
    size_t *at = s->sources[0].lanes;
    s->n_sources = 0;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const tl_kept *kept = &s->lanes[i].neurons;
        if (is_empty(kept) || first_of_source(s, i) != i)
            continue;
        tl_sparse_source *source = &s->sources[s->n_sources++];
        *source = (tl_sparse_source){kept->rank, kept->in, at, 0};
        for (size_t k = i; k < s->n_lanes; k++)
            if (!is_empty(&s->lanes[k].neurons) &&
                same_source(source, &s->lanes[k].neurons))
                add_lane(s, source, k);
        at += source->n_lanes;
    }
}

/* Which groups of position t have a needed head; false when none has. */
static bool find_groups(const tl_sparse_pass *s, size_t lane, size_t l, size_t t,
                        uint8_t *groups)
{
    const tl_dims *d = &s->model->spec.dims;
    const size_t per_group = d->n_heads / d->n_kv_heads,
                 first = (l * s->rows[lane].n_pos + t) * d->n_heads;
    bool any = false;
    for (size_t g = 0; g < d->n_kv_heads; g++) {
        groups[g] = 0;
        for (size_t h = g * per_group; h < (g + 1) * per_group; h++)
            if (is_kept(&s->lanes[lane].heads, first + h))
                groups[g] = 1;
        any |= groups[g] != 0;
    }
    return any;
}

static void find_needed(tl_sparse_pass *s, size_t lane)
{
    const tl_spec *spec = &s->model->spec;
    const size_t G = spec->dims.n_kv_heads, L = spec->dims.n_layers, N = s->n_rows;
    const tl_sparse_rows *r = &s->rows[lane];
    const tl_attention_prompt *prompt = &s->attention[lane];
    uint8_t *groups = s->groups_seen;
    s->needed[L * N + r->first + r->n - 1] = 1;
    for (size_t l = L; l-- > 0;) {
        const tl_attention shape = tl_layer_attention(spec, l);
        const uint8_t *above = s->needed + (l + 1) * N + r->first;
        uint8_t *here = s->needed + l * N + r->first;
        uint8_t *keys = s->key_needed + (l * N + r->first) * G;
        for (size_t i = 0; i < r->n; i++)
            here[i] |= above[i];
        for (size_t i = 0; i < r->n; i++) {
            if (!above[i] || !find_groups(s, lane, l, r->n_prefix + i, groups))
                continue;
            for (size_t j = 0; j < r->n; j++) {
                if (!tl_attention_sees(&shape, prompt, r->n_prefix + i,
                                       r->n_prefix + j))
                    continue;
                here[j] = 1;
                for (size_t g = 0; g < G; g++)
                    keys[j * G + g] |= groups[g];
            }
        }
    }
}

static void place_rows(tl_sparse_pass *s)
{
    s->n_rows = 0;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const tl_sparse_prompt *p = prompt_of(s, i);
        const size_t n = tl_sparse_prompt_rows(p);
        s->rows[i] = (tl_sparse_rows){s->n_rows, n, p->input.n_pos, p->input.n_pos - n};
        s->n_rows += n;
    }
    s->n_table_rows = 0;
    for (size_t p = 0; p < s->batch->n_prompts; p++) {
        s->first_table[p] = s->n_table_rows;
        s->n_table_rows += tl_sparse_prompt_rows(&s->batch->prompts[p]);
    }
}

tl_sparse_sizes tl_sparse_sizes_of(const tl_sparse_pass *s, size_t n)
{
    tl_sparse_sizes y = {.n_lanes = n, .n_prompts = s->batch->n_prompts};
    for (size_t i = 0; i < n; i++) {
        const size_t rows = tl_sparse_prompt_rows(prompt_of(s, i));
        y.n_rows += rows;
        y.longest = rows > y.longest ? rows : y.longest;
        y.n_sources += !is_empty(&s->lanes[i].neurons) && first_of_source(s, i) == i;
    }
    for (size_t p = 0; p < y.n_prompts; p++)
        y.n_table_rows += tl_sparse_prompt_rows(&s->batch->prompts[p]);
    return y;
}

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

/* Neurons of a group at most. */
static size_t most_neurons(const tl_sparse_pass *s)
{
    const size_t d_mlp = s->model->spec.dims.d_mlp;
    return s->no_dense_rows ? d_mlp : DENSE_OF * d_mlp / DENSE_FROM;
}

/* Lists of that many sources have room at a time. */
enum { SOURCES_AT_A_TIME = 3 };

static tl_sparse_layer take_layer(const tl_sparse_pass *s, table_taker *t,
                                  const tl_sparse_sizes *z)
{
    const size_t N = z->n_rows, sources = z->n_sources < SOURCES_AT_A_TIME
                                              ? z->n_sources
                                              : SOURCES_AT_A_TIME;
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
        .index_capacity = sources * z->longest * most_neurons(s),
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

void tl_sparse_begin(tl_sparse_pass *s)
{
    const tl_dims *d = &s->model->spec.dims;
    place_rows(s);
    for (uint32_t i = 0; i < d->n_heads * d->d_head; i++)
        s->counting[i] = i;
    for (size_t i = 0; i < (d->n_layers + 1) * s->n_rows; i++)
        s->needed[i] = 0;
    for (size_t i = 0; i < d->n_layers * s->n_rows * d->n_kv_heads; i++)
        s->key_needed[i] = 0;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const tl_sparse_rows *r = &s->rows[i];
        for (size_t k = 0; k < r->n; k++)
            s->lane_of[r->first + k] = (uint32_t)i;
        s->last_rows[i] = (uint32_t)(r->first + r->n - 1);
        s->attention[i] = (tl_attention_prompt){
            .k_row = r->first,
            .n_key = r->n,
            .n_prefix = r->n_prefix,
            .block = s->model->spec.bidirectional ? NULL : prompt_of(s, i)->input.block,
        };
        find_needed(s, i);
    }
    find_sources(s);
}

/* ---- neurons of a layer -------------------------------------------------------------- */

/* The place under way. */
typedef struct group_maker {
    tl_sparse_pass *s;
    size_t l, t;
    tl_sparse_layer *layer;
} group_maker;

/* The row of a lane at the position under way that leaves the layer; false if none does. */
static bool find_row(const group_maker *m, size_t lane, size_t *row)
{
    const tl_sparse_rows *r = &m->s->rows[lane];
    if (m->t < r->n_prefix || m->t >= r->n_pos)
        return false;
    *row = r->first + m->t - r->n_prefix;
    return m->s->needed[(m->l + 1) * m->s->n_rows + *row] != 0;
}

static const float *base_of(const group_maker *m, size_t lane)
{
    const tl_sparse_rows *r = &m->s->rows[lane];
    const size_t row =
        prompt_of(m->s, lane)->first_row + m->l * r->n + m->t - r->n_prefix;
    return m->s->batch->mlp_post + row * m->s->model->spec.dims.d_mlp;
}

static bool is_dense(const group_maker *m, size_t n)
{
    return !m->s->no_dense_rows &&
           DENSE_FROM * n > DENSE_OF * m->s->model->spec.dims.d_mlp;
}

static void add_dense(group_maker *m, size_t lane, size_t row, size_t first)
{
    m->layer->dense[m->layer->n_dense++] = (tl_dense_row){
        m->s->residual_index[row], (uint32_t)lane, first, base_of(m, lane)};
}

static void add_row(group_maker *m, tl_neuron_group *group, size_t lane, size_t row,
                    size_t n)
{
    const uint32_t at = m->s->residual_index[row];
    m->layer->rows[m->layer->n_rows++] =
        (tl_neuron_row){.x = at, .y = at, .n = (uint32_t)n, .base = base_of(m, lane)};
    group->n_rows++;
}

static tl_neuron_group *add_group(group_maker *m, const uint32_t *index)
{
    tl_neuron_group *group = &m->layer->groups[m->layer->n_groups++];
    *group = (tl_neuron_group){index, m->layer->rows + m->layer->n_rows, 0};
    return group;
}

static uint32_t *take_index(group_maker *m, size_t n)
{
    uint32_t *index = m->layer->index + m->layer->n_index;
    m->layer->n_index += n;
    return index;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Neurons of each lane of a source at this place: counts. Cuts descend. */
static void count_ranks(group_maker *m, const tl_sparse_source *source, size_t first)
{
    const tl_sparse_lane *lanes = m->s->lanes;
    const size_t n = source->n_lanes;
    const uint32_t *rank = source->rank + first;
    size_t *counts = m->layer->counts;
    for (size_t i = 0; i < n; i++)
        counts[i] = 0;
    for (size_t j = 0; j < m->s->model->spec.dims.d_mlp; j++) {
        if (rank[j] >= lanes[source->lanes[0]].neurons.cut)
            continue;
        size_t low = 0, high = n; /* the last lane that has it */
        while (high - low > 1) {
            const size_t middle = (low + high) / 2;
            if (rank[j] < lanes[source->lanes[middle]].neurons.cut)
                low = middle;
            else
                high = middle;
        }
        counts[low]++;
    }
    for (size_t i = n; i-- > 1;)
        counts[i - 1] += counts[i];
}

/* The n neurons whose rank is below the cut, by rank. */
static const uint32_t *list_ranks(group_maker *m, const uint32_t *rank, size_t cut,
                                  size_t n)
{
    uint32_t *index = take_index(m, n);
    uint64_t *sorted = m->layer->sorted;
    size_t k = 0;
    for (size_t j = 0; j < m->s->model->spec.dims.d_mlp; j++)
        if (rank[j] < cut)
            sorted[k++] = (uint64_t)rank[j] << 32 | j;
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i < n; i++)
        index[i] = (uint32_t)sorted[i];
    return index;
}

static void group_ranks(group_maker *m, const tl_sparse_source *source)
{
    const size_t d_mlp = m->s->model->spec.dims.d_mlp,
                 n_pos = m->s->rows[source->lanes[0]].n_pos,
                 first = (m->l * n_pos + m->t) * d_mlp;
    tl_neuron_group *group = NULL;
    count_ranks(m, source, first);
    for (size_t i = 0; i < source->n_lanes; i++) {
        const size_t lane = source->lanes[i], n = m->layer->counts[i];
        size_t row;
        if (n == 0 || !find_row(m, lane, &row))
            continue;
        if (is_dense(m, n)) {
            add_dense(m, lane, row, first);
            continue;
        }
        if (group == NULL)
            group = add_group(m, list_ranks(m, source->rank + first,
                                            m->s->lanes[lane].neurons.cut, n));
        add_row(m, group, lane, row, n);
    }
}

static const uint32_t *list_members(group_maker *m, const uint8_t *in, size_t n)
{
    uint32_t *index = take_index(m, n);
    size_t k = 0;
    for (size_t j = 0; j < m->s->model->spec.dims.d_mlp; j++)
        if (in[j] != 0)
            index[k++] = (uint32_t)j;
    return index;
}

/* All lanes of all sets that have the same neurons here as source k. */
static void group_set(group_maker *m, size_t k, size_t n_pos)
{
    const size_t d_mlp = m->s->model->spec.dims.d_mlp,
                 first = (m->l * n_pos + m->t) * d_mlp;
    const tl_sparse_source *sources = m->s->sources;
    const uint8_t *in = sources[k].in + first;
    tl_neuron_group *group = NULL;
    size_t n = 0;
    for (size_t j = 0; j < d_mlp; j++)
        n += in[j] != 0;
    for (size_t i = k; i < m->s->n_sources && n > 0; i++) {
        if (sources[i].in == NULL ||
            (i > k && memcmp(sources[i].in + first, in, d_mlp)))
            continue;
        for (size_t c = 0; c < sources[i].n_lanes; c++) {
            const size_t lane = sources[i].lanes[c];
            size_t row;
            if (!find_row(m, lane, &row))
                continue;
            if (is_dense(m, n)) {
                add_dense(m, lane, row, first);
                continue;
            }
            if (group == NULL)
                group = add_group(m, list_members(m, in, n));
            add_row(m, group, lane, row, n);
        }
    }
}

/* Whether an earlier set has the same neurons here, and took this one along. */
static bool was_taken(const group_maker *m, size_t k, size_t n_pos)
{
    const size_t d_mlp = m->s->model->spec.dims.d_mlp,
                 first = (m->l * n_pos + m->t) * d_mlp;
    const tl_sparse_source *sources = m->s->sources;
    for (size_t i = 0; i < k; i++)
        if (sources[i].in != NULL &&
            memcmp(sources[i].in + first, sources[k].in + first, d_mlp) == 0)
            return true;
    return false;
}

bool tl_sparse_list_neurons(tl_sparse_pass *s, size_t l)
{
    tl_sparse_layer *y = &s->layer;
    group_maker m = {s, l, y->next_position, y};
    size_t n_pos = 0;
    for (size_t i = 0; i < s->n_lanes; i++)
        n_pos = s->rows[i].n_pos > n_pos ? s->rows[i].n_pos : n_pos;
    if (m.t == n_pos || s->n_sources == 0)
        return false;
    y->n_groups = y->n_rows = y->n_index = 0;
    for (; m.t < n_pos; m.t++, y->next_source = 0)
        for (size_t k = y->next_source; k < s->n_sources; k++) {
            const tl_sparse_source *source = &s->sources[k];
            const size_t own = s->rows[source->lanes[0]].n_pos;
            if (y->index_capacity - y->n_index < most_neurons(s)) {
                y->next_position = m.t;
                y->next_source = k;
                return true;
            }
            if (m.t < own && source->in == NULL)
                group_ranks(&m, source);
            else if (m.t < own && !was_taken(&m, k, own))
                group_set(&m, k, own);
        }
    y->next_position = n_pos;
    return true;
}

/* ---- a layer --------------------------------------------------------------------- */

/* The row of the known arrays that a row of the run has in layer l. */
static size_t known_row(const tl_sparse_pass *s, size_t l, size_t row)
{
    const size_t lane = s->lane_of[row];
    const tl_sparse_rows *r = &s->rows[lane];
    return prompt_of(s, lane)->first_row + l * r->n + row - r->first;
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
    y->keys.n = y->residual.n = y->n_dense = y->next_position = y->next_source = 0;
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
            y->known[y->residual.n] = (uint32_t)known_row(s, l, row);
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
        if (!is_kept(&s->lanes[lane].heads, first + h))
            continue;
        const size_t at = next[i]++;
        if (y == NULL)
            continue;
        y->queries[y->n++] = (tl_attention_query){(uint32_t)lane, (uint32_t)position,
                                                  (uint32_t)h, (uint32_t)at};
        y->from[at] = s->key_index[row];
        y->to[at] = s->residual_index[row];
        y->known[at] = (uint32_t)(known_row(s, l, row) * d->n_heads + h);
        y->table[at] = (uint32_t)table_row(s, row);
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
    const tl_attention shape = tl_layer_attention(&s->model->spec, l);
    for (size_t i = 0, seen = 0; i < y->n; i++) {
        const tl_attention_query *q = &y->queries[i];
        if (i == 0 || q->prompt != q[-1].prompt || q->position != q[-1].position)
            seen = seen_keys(&shape, &s->attention[q->prompt], q->position);
        y->n_pairs += (double)seen;
    }
}
