/* SPDX-License-Identifier: MIT
 *
 * sparse_rows.c - see sparse_pass_private.h. Which rows have to be computed at all.
 *
 * From the last layer to the first: a row is needed if it is the last position's, if a
 * needed row follows it in the layer above, or if a needed head of a needed row sees it.
 *
 * What a row is follows from the circuit at the positions that it sees. Lanes of a prompt
 * whose circuits are the same up to some position have the same rows there: the first of
 * them computes them, and lends the others its keys and values. So swaps of a later part of
 * a circuit do not compute its earlier parts again.
 */
#include <string.h>

#include "model/sparse_pass_private.h"

size_t tl_sparse_prompt_rows(const tl_sparse_prompt *prompt)
{
    return prompt->input.n_pos - (prompt->prefix != NULL ? prompt->prefix->n_pos : 0);
}

/* ---- sources of neurons --------------------------------------------------------------- */

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

tl_sparse_sizes tl_sparse_sizes_of(const tl_sparse_pass *s, size_t n)
{
    tl_sparse_sizes y = {.n_lanes = n, .n_prompts = s->batch->n_prompts};
    for (size_t i = 0; i < n; i++) {
        const size_t rows = tl_sparse_prompt_rows(tl_sparse_prompt_of(s, i));
        y.n_rows += rows;
        y.longest = rows > y.longest ? rows : y.longest;
        y.n_sources += !is_empty(&s->lanes[i].neurons) && first_of_source(s, i) == i;
    }
    for (size_t p = 0; p < y.n_prompts; p++) { /* those of other lanes have tables too */
        const size_t rows = tl_sparse_prompt_rows(&s->batch->prompts[p]);
        y.n_table_rows += rows;
        y.longest = rows > y.longest ? rows : y.longest;
    }
    return y;
}

/* ---- rows that lanes share ------------------------------------------------------------ */

/* Whether two lanes keep the same of the n components from `first` on, and in the same
 * order: of one ranking, or of sets. */
static bool same_kept(const tl_kept *a, const tl_kept *b, size_t first, size_t n)
{
    if (a->in != NULL && b->in != NULL)
        return a->in == b->in || memcmp(a->in + first, b->in + first, n) == 0;
    if (is_empty(a) && is_empty(b))
        return true;
    if (a->in != NULL || b->in != NULL || a->rank != b->rank)
        return false;
    const size_t low = a->cut < b->cut ? a->cut : b->cut,
                 high = a->cut < b->cut ? b->cut : a->cut;
    for (size_t i = first; i < first + n && low < high; i++)
        if (a->rank[i] >= low && a->rank[i] < high)
            return false;
    return true;
}

/* At a position, in all layers. */
static bool same_circuit(const tl_sparse_pass *s, size_t a, size_t b, size_t position)
{
    const tl_dims *d = &s->model->spec.dims;
    const tl_sparse_lane *x = &s->lanes[a], *y = &s->lanes[b];
    for (size_t l = 0; l < d->n_layers; l++) {
        const size_t place = l * s->rows[a].n_pos + position;
        if (!same_kept(&x->heads, &y->heads, place * d->n_heads, d->n_heads) ||
            !same_kept(&x->neurons, &y->neurons, place * d->d_mlp, d->d_mlp))
            return false;
    }
    return true;
}

/* Rows [0, n) of both lanes are the same; the last one is never counted. Looks no further
 * if they are not more than `least`. */
static size_t count_same(const tl_sparse_pass *s, size_t a, size_t b, size_t least)
{
    const tl_sparse_rows *r = &s->rows[a];
    size_t n = 0;
    if (least + 1 >= r->n || !same_circuit(s, a, b, r->n_prefix + least))
        return 0;
    while (n + 1 < r->n && same_circuit(s, a, b, r->n_prefix + n))
        n++;
    /* A block whose positions see each other is shared as a whole. */
    const int32_t *block = tl_sparse_prompt_of(s, a)->input.block;
    while (block != NULL && n > 0 && block[r->n_prefix + n] >= 0 &&
           block[r->n_prefix + n] == block[r->n_prefix + n - 1])
        n--;
    return n;
}

/* Finds for a lane the earlier one with which it shares most. */
static void find_shared(tl_sparse_pass *s, size_t lane)
{
    tl_sparse_rows *r = &s->rows[lane];
    size_t with = lane;
    for (size_t i = lane; i-- > 0 && s->lanes[i].prompt == s->lanes[lane].prompt;) {
        const size_t n = count_same(s, lane, i, r->n_shared);
        if (n > r->n_shared) {
            r->n_shared = n;
            with = i;
        }
    }
    for (size_t i = 0; i < r->n; i++)
        s->owner[r->first + i] = i < r->n_shared ? s->owner[s->rows[with].first + i]
                                                 : (uint32_t)(r->first + i);
}

/* ---- rows that are needed ------------------------------------------------------------- */

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
            if (tl_sparse_is_kept(&s->lanes[lane].heads, first + h))
                groups[g] = 1;
        any |= groups[g] != 0;
    }
    return any;
}

/* What a lane needs of its own rows, and of those that an earlier one lends it. */
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
        for (size_t i = r->n_shared; i < r->n; i++)
            here[i] |= above[i];
        for (size_t i = r->n_shared; i < r->n; i++) {
            if (!above[i] || !find_groups(s, lane, l, r->n_prefix + i, groups))
                continue;
            for (size_t j = 0; j < r->n; j++) {
                if (!tl_attention_sees(&shape, prompt, r->n_prefix + i,
                                       r->n_prefix + j))
                    continue;
                const size_t row = s->owner[r->first + j];
                s->needed[l * N + row] = 1;
                for (size_t g = 0; g < G; g++)
                    s->key_needed[(l * N + row) * G + g] |= groups[g];
            }
        }
    }
}

/* ---- the beginning --------------------------------------------------------------------- */

static void place_rows(tl_sparse_pass *s)
{
    s->n_rows = 0;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const tl_sparse_prompt *p = tl_sparse_prompt_of(s, i);
        const size_t n = tl_sparse_prompt_rows(p);
        s->rows[i] =
            (tl_sparse_rows){s->n_rows, n, 0, p->input.n_pos, p->input.n_pos - n};
        s->n_rows += n;
    }
    s->n_table_rows = 0;
    for (size_t p = 0; p < s->batch->n_prompts; p++) {
        s->first_table[p] = s->n_table_rows;
        s->n_table_rows += tl_sparse_prompt_rows(&s->batch->prompts[p]);
    }
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
            .block = s->model->spec.bidirectional
                         ? NULL
                         : tl_sparse_prompt_of(s, i)->input.block,
        };
        find_shared(s, i);
    }
    for (size_t i = s->n_lanes; i-- > 0;)
        find_needed(s, i);
    find_sources(s);
}
