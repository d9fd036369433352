/* SPDX-License-Identifier: MIT
 *
 * sparse_neurons.c - see sparse_pass_private.h. Which rows of a layer want which neurons.
 *
 * Rows that want nearly the same neurons make a group, and the weights of a group are
 * fetched once. At a position, circuits of one ranking are a group: the neurons by rank, of
 * which smaller circuits take fewer from the front. Members of a set are taken by index, and
 * all rows of the layer that have the same members are a group, whatever their set and their
 * position. So what a row sums up, and in which order, depends on its own circuit alone.
 */
#include <stdlib.h>
#include <string.h>

#include "model/sparse_pass_private.h"

/* A row with more neurons than this part of them is computed in full. What belongs to a set
 * is often the same at many positions, and then its weights serve many rows. */
enum { OF_RANKING = 6, OF_SET = 9, DENSE_FROM = 10 };

double tl_sparse_dense_from(bool set)
{
    return (double)(set ? OF_SET : OF_RANKING) / (double)DENSE_FROM;
}

size_t tl_sparse_most_neurons(const tl_sparse_pass *s)
{
    const size_t d_mlp = s->model->spec.dims.d_mlp;
    return s->no_dense_rows ? d_mlp : OF_SET * d_mlp / DENSE_FROM;
}

static bool is_dense(const tl_sparse_pass *s, bool set, size_t n)
{
    return !s->no_dense_rows &&
           DENSE_FROM * n > (set ? OF_SET : OF_RANKING) * s->model->spec.dims.d_mlp;
}

/* ---- places ---------------------------------------------------------------------- */

/* The row of a lane at a position that leaves the layer; false if none does. */
static bool find_row(const tl_sparse_pass *s, size_t l, size_t lane, size_t t,
                     size_t *row)
{
    const tl_sparse_rows *r = &s->rows[lane];
    if (t < r->n_prefix || t >= r->n_pos)
        return false;
    *row = r->first + t - r->n_prefix;
    return s->needed[(l + 1) * s->n_rows + *row] != 0;
}

static bool any_row(const tl_sparse_pass *s, size_t l, const tl_sparse_source *source,
                    size_t t)
{
    size_t row;
    for (size_t i = 0; i < source->n_lanes; i++)
        if (find_row(s, l, source->lanes[i], t, &row))
            return true;
    return false;
}

/* Of its first neuron, in the arrays of tl_kept. */
static size_t first_of(const tl_sparse_pass *s, size_t l, const tl_sparse_place *place)
{
    const size_t n_pos = s->rows[s->sources[place->source].lanes[0]].n_pos;
    return (l * n_pos + place->position) * s->model->spec.dims.d_mlp;
}

static const uint8_t *members_at(const tl_sparse_pass *s, size_t l,
                                 const tl_sparse_place *place)
{
    return s->sources[place->source].in + first_of(s, l, place);
}

/* How many members, and a number that tells them from others. */
static void look_at_members(const uint8_t *in, size_t n, tl_sparse_place *place)
{
    uint64_t key = n;
    uint32_t count = 0;
    for (size_t j = 0; j < n;) {
        uint64_t some = 0;
        for (size_t i = 0; i < sizeof some && j < n; i++, j++) {
            some = some << 8 | in[j];
            count += in[j] != 0;
        }
        key = (key ^ some) * UINT64_C(0x9e3779b97f4a7c15);
        key ^= key >> 29;
    }
    place->key = key;
    place->n = count;
}

static int by_members(const void *a, const void *b)
{
    const tl_sparse_place *x = a, *y = b;
    if (x->key != y->key)
        return (x->key > y->key) - (x->key < y->key);
    if (x->source != y->source)
        return (x->source > y->source) - (x->source < y->source);
    return (x->position > y->position) - (x->position < y->position);
}

/* Those of rankings by position, then those of sets, the same members together. */
static void list_places(tl_sparse_pass *s, size_t l)
{
    tl_sparse_layer *y = &s->layer;
    size_t n_ranked = 0;
    y->n_places = 0;
    for (int sets = 0; sets < 2; sets++) {
        n_ranked = sets ? y->n_places : 0;
        for (uint32_t k = 0; k < s->n_sources; k++) {
            const tl_sparse_source *source = &s->sources[k];
            const size_t n_pos = s->rows[source->lanes[0]].n_pos;
            for (uint32_t t = 0; (source->in != NULL) == sets && t < n_pos; t++) {
                tl_sparse_place place = {.source = k, .position = t};
                if (!any_row(s, l, source, t))
                    continue;
                if (sets)
                    look_at_members(members_at(s, l, &place), s->model->spec.dims.d_mlp,
                                    &place);
                if (!sets || place.n > 0)
                    y->places[y->n_places++] = place;
            }
        }
    }
    qsort(y->places + n_ranked, y->n_places - n_ranked, sizeof *y->places, by_members);
}

/* ---- groups ---------------------------------------------------------------------- */

/* A list of neurons, and the group under way of the rows that want it. */
typedef struct group_maker {
    tl_sparse_pass *s;
    size_t l;
    const uint32_t *index;
    tl_neuron_group *group; /* NULL: none yet */
} group_maker;

static const float *base_of(const group_maker *m, size_t row)
{
    return m->s->batch->mlp_post +
           tl_sparse_known_row(m->s, m->l, row) * m->s->model->spec.dims.d_mlp;
}

static void add_dense(group_maker *m, size_t lane, size_t row, size_t first)
{
    tl_sparse_layer *y = &m->s->layer;
    y->dense[y->n_dense++] = (tl_dense_row){m->s->residual_index[row], (uint32_t)lane,
                                            first, base_of(m, row)};
}

static void add_row(group_maker *m, size_t row, size_t n)
{
    tl_sparse_layer *y = &m->s->layer;
    const uint32_t at = m->s->residual_index[row];
    if (m->group == NULL || m->group->n_rows == TL_SPARSE_GROUP_ROWS) {
        m->group = &y->groups[y->n_groups++];
        *m->group = (tl_neuron_group){m->index, y->rows + y->n_rows, 0};
    }
    y->rows[y->n_rows++] =
        (tl_neuron_row){.x = at, .y = at, .n = (uint32_t)n, .base = base_of(m, row)};
    m->group->n_rows++;
}

static uint32_t *take_index(tl_sparse_layer *y, size_t n)
{
    uint32_t *index = y->index + y->n_index;
    y->n_index += n;
    return index;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Neurons of each lane of a source at a place: counts. Cuts descend. */
static void count_ranks(tl_sparse_pass *s, const tl_sparse_source *source, size_t first)
{
    const tl_sparse_lane *lanes = s->lanes;
    const size_t n = source->n_lanes;
    const uint32_t *rank = source->rank + first;
    size_t *counts = s->layer.counts;
    for (size_t i = 0; i < n; i++)
        counts[i] = 0;
    for (size_t j = 0; j < s->model->spec.dims.d_mlp; j++) {
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
static const uint32_t *list_ranks(tl_sparse_pass *s, const uint32_t *rank, size_t cut,
                                  size_t n)
{
    uint32_t *index = take_index(&s->layer, n);
    uint64_t *sorted = s->layer.sorted;
    size_t k = 0;
    for (size_t j = 0; j < s->model->spec.dims.d_mlp; j++)
        if (rank[j] < cut)
            sorted[k++] = (uint64_t)rank[j] << 32 | j;
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i < n; i++)
        index[i] = (uint32_t)sorted[i];
    return index;
}

static void group_ranks(group_maker *m, const tl_sparse_place *place)
{
    tl_sparse_pass *s = m->s;
    const tl_sparse_source *source = &s->sources[place->source];
    const size_t first = first_of(s, m->l, place);
    count_ranks(s, source, first);
    for (size_t i = 0; i < source->n_lanes; i++) {
        const size_t lane = source->lanes[i], n = s->layer.counts[i];
        size_t row;
        if (n == 0 || !find_row(s, m->l, lane, place->position, &row))
            continue;
        if (is_dense(s, false, n)) {
            add_dense(m, lane, row, first);
            continue;
        }
        if (m->index == NULL)
            m->index =
                list_ranks(s, source->rank + first, s->lanes[lane].neurons.cut, n);
        add_row(m, row, n);
    }
}

/* The rows of a place of a set; its neurons are the list under way. */
static void add_members(group_maker *m, const tl_sparse_place *place)
{
    tl_sparse_pass *s = m->s;
    const tl_sparse_source *source = &s->sources[place->source];
    for (size_t i = 0; i < source->n_lanes; i++) {
        const size_t lane = source->lanes[i];
        size_t row;
        if (!find_row(s, m->l, lane, place->position, &row))
            continue;
        if (is_dense(s, true, place->n))
            add_dense(m, lane, row, first_of(s, m->l, place));
        else
            add_row(m, row, place->n);
    }
}

/* All places of sets from places[i] on that have the same neurons; returns how many. */
static size_t group_members(group_maker *m, size_t i)
{
    tl_sparse_pass *s = m->s;
    const tl_sparse_place *places = s->layer.places;
    const size_t d_mlp = s->model->spec.dims.d_mlp;
    const uint8_t *in = members_at(s, m->l, &places[i]);
    size_t n = 0;
    if (!is_dense(s, true, places[i].n)) {
        uint32_t *index = take_index(&s->layer, places[i].n);
        size_t k = 0;
        for (uint32_t j = 0; j < d_mlp; j++)
            if (in[j] != 0)
                index[k++] = j;
        m->index = index;
    }
    while (i + n < s->layer.n_places && places[i + n].key == places[i].key &&
           memcmp(members_at(s, m->l, &places[i + n]), in, d_mlp) == 0)
        add_members(m, &places[i + n++]);
    return n;
}

bool tl_sparse_list_neurons(tl_sparse_pass *s, size_t l)
{
    tl_sparse_layer *y = &s->layer;
    if (!y->has_places)
        list_places(s, l);
    y->has_places = true;
    if (y->next_place == y->n_places)
        return false;
    y->n_groups = y->n_rows = y->n_index = 0;
    while (y->next_place < y->n_places &&
           y->index_capacity - y->n_index >= tl_sparse_most_neurons(s)) {
        group_maker m = {.s = s, .l = l};
        const tl_sparse_place *place = &y->places[y->next_place];
        if (s->sources[place->source].in != NULL) {
            y->next_place += group_members(&m, y->next_place);
        } else {
            group_ranks(&m, place);
            y->next_place++;
        }
    }
    return true;
}
