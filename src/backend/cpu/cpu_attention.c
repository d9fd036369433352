/* SPDX-License-Identifier: MIT
 *
 * cpu_attention.c - attention of the cpu backend (op/attention.h says what it is): how the
 * work is cut, and threads share it out. cpu_queries.h does it, a tile of queries at a time.
 *
 * A head is one key-value head of one prompt, with all query heads that read it. With as
 * many heads as threads or more, a thread takes whole heads. With fewer, all heads are laid
 * out first, and threads take parts of them: some queries of a head for z or dq, some keys
 * for dk and dv. On the way back both kinds of parts need the pattern and compute it for
 * themselves: seven products of n x n x d_head for a head instead of five. By the rule of
 * relevance only dv is made: two products, and parts of keys alone.
 *
 * How a head is cut cannot be seen in its numbers. A query sums over its keys in one order,
 * and a key over its queries in one order: query by query, and head by head at each, in
 * tiles counted from the first.
 */
#include <omp.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_queries.h"
#include "backend/cpu/cpu_tile.h"
#include "twinlens/alloc.h"

enum { PART_KEYS = 2 * TL_CPU_STRIP }; /* of a part, whole strips */

/* What one thread works with. */
typedef struct attention_worker {
    tl_cpu_query_work tile;
    float *d_k, *d_v; /* [keys of a part, d_head in whole strips] */
} attention_worker;

/* A call's arguments. Forward, z and lse are written; backward, they are read. */
typedef struct attention_call {
    const tl_attention *shape;
    size_t n_prompts;
    const tl_attention_prompt *prompts;
    const float *q, *k, *v;
    float *z, *lse;
    bool backward;
    tl_backward_rule rule; /* relevance: dv alone, from the keys and the pattern */
    const float *z_made, *lse_made, *dz;
    float *dq, *dk, *dv;
} attention_call;

/* Queries and keys of a head, and what is to be made of them. */
typedef struct head_part {
    size_t first_query, end_query;
    size_t first_key, end_key; /* positions, those of the prefix included */
    bool queries, keys;        /* write z or dq; write dk and dv */
} head_part;

static size_t key_count(const tl_attention_prompt *prompt)
{
    return prompt->n_prefix + prompt->n_key;
}

/* ---- how work and memory are cut ---------------------------------------------------- */

typedef struct attention_cut {
    size_t n_heads;         /* of all prompts */
    bool whole;             /* units are heads, not parts */
    size_t n_panels;        /* heads that are laid out at a time */
    size_t panel_floats;    /* of all panels of a head */
    size_t gradient_floats; /* of d_k, of d_v */
    size_t worker_floats;
    size_t part_queries;                         /* of a part: a tile, with all heads */
    size_t query_parts, key_parts, layout_parts; /* of a head, at most */
} attention_cut;

static size_t parts_of(size_t count, size_t per_part)
{
    return (count + per_part - 1) / per_part;
}

static attention_cut make_cut(size_t n_threads, const tl_attention *shape,
                              size_t n_prompts, const tl_attention_prompt *prompts,
                              bool backward)
{
    attention_cut c = {.n_heads = n_prompts * shape->n_kv_heads};
    c.whole = c.n_heads >= n_threads;
    c.n_panels = c.whole ? n_threads : c.n_heads;
    size_t queries = 0, keys = 0, longest = 0;
    for (size_t p = 0; p < n_prompts; p++) {
        const size_t n = key_count(&prompts[p]);
        longest = n > longest ? n : longest;
        queries = prompts[p].n_query > queries ? prompts[p].n_query : queries;
        keys = prompts[p].n_key > keys ? prompts[p].n_key : keys;
    }
    const size_t width = tl_cpu_strips_round(shape->d_head),
                 group = shape->n_heads / shape->n_kv_heads;
    c.panel_floats = (backward ? 3 : 2) * tl_cpu_panel_floats(shape, longest);
    c.gradient_floats = backward ? (c.whole ? keys : PART_KEYS) * width : 0;
    c.worker_floats = tl_cpu_query_floats(shape, backward) + 2 * c.gradient_floats;
    c.part_queries = group < TL_CPU_QUERIES ? TL_CPU_QUERIES / group : 1;
    c.query_parts = parts_of(queries, c.part_queries);
    c.key_parts = backward ? parts_of(keys, PART_KEYS) : 0;
    c.layout_parts = parts_of(longest, PART_KEYS);
    return c;
}

static size_t floats_of(const attention_cut *c, size_t n_threads)
{
    return c->n_panels * c->panel_floats + n_threads * c->worker_floats;
}

size_t tl_cpu_attention_bytes(size_t n_threads, const tl_attention *shape,
                              size_t n_prompts, const tl_attention_prompt *prompts,
                              bool backward)
{
    const attention_cut c = make_cut(n_threads, shape, n_prompts, prompts, backward);
    return floats_of(&c, n_threads) * sizeof(float);
}

/* Part number i of a head; those of keys, which are larger, come first. */
static head_part part_of(const attention_cut *c, const tl_attention_prompt *prompt,
                         size_t i)
{
    const size_t n = key_count(prompt);
    if (i < c->key_parts) {
        const size_t first = prompt->n_prefix + i * PART_KEYS, end = first + PART_KEYS;
        return (head_part){.end_query = prompt->n_query,
                           .first_key = first,
                           .end_key = end < n ? end : n,
                           .keys = true};
    }
    const size_t first = (i - c->key_parts) * c->part_queries,
                 end = first + c->part_queries;
    return (head_part){.first_query = first,
                       .end_query = end < prompt->n_query ? end : prompt->n_query,
                       .end_key = n,
                       .queries = true};
}

/* Prompts shorter than the longest have less. */
static bool is_empty(const head_part *p)
{
    return p->keys ? p->first_key >= p->end_key : p->first_query >= p->end_query;
}

size_t tl_cpu_attention_units(size_t n_threads, const tl_attention *shape,
                              size_t n_prompts, const tl_attention_prompt *prompts,
                              bool backward)
{
    const attention_cut c = make_cut(n_threads, shape, n_prompts, prompts, backward);
    const size_t per_head = c.key_parts + c.query_parts;
    size_t n = 0; /* of one head of each prompt */
    for (size_t i = 0; i < n_prompts * per_head; i++) {
        const head_part p = part_of(&c, &prompts[i / per_head], i % per_head);
        n += !is_empty(&p);
    }
    return c.whole ? c.n_heads : n * shape->n_kv_heads;
}

tl_status tl_cpu_scratch_reserve(tl_cpu_scratch *scratch, size_t bytes, tl_error *err)
{
    if (bytes > 0 && scratch->bytes >= bytes)
        return TL_OK;
    tl_free(scratch->memory);
    scratch->memory = bytes > 0 ? tl_alloc(bytes, 1) : NULL;
    scratch->bytes = scratch->memory != NULL ? bytes : 0;
    return scratch->memory != NULL || bytes == 0
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY,
                         "no memory for attention, which works with %zu bytes", bytes);
}

static bool is_relevance(const attention_call *c)
{
    return c->backward && c->rule == TL_BACKWARD_RELEVANCE;
}

/* Head number h of all, with panels at `memory`. */
static tl_cpu_head head_at(const attention_call *c, size_t h, float *memory)
{
    const tl_attention_prompt *prompt = &c->prompts[h / c->shape->n_kv_heads];
    const size_t floats = tl_cpu_panel_floats(c->shape, key_count(prompt));
    tl_cpu_head head = {.shape = c->shape, .prompt = prompt, .k_columns = memory};
    if (!c->backward)
        head.v_rows = memory + floats;
    if (c->backward && !is_relevance(c)) {
        head.k_rows = memory + floats;
        head.v_columns = head.k_rows + floats;
    }
    return head;
}

static attention_worker worker_at(float *memory, const attention_call *c,
                                  const attention_cut *how)
{
    float *d_k = memory + tl_cpu_query_floats(c->shape, c->backward);
    return (attention_worker){tl_cpu_query_work_at(memory, c->shape, c->backward), d_k,
                              d_k + how->gradient_floats};
}

/* ---- a part of a head ------------------------------------------------------------------- */

/* The gradients of the keys [first, end), to where the caller wants them. */
static void put_gradients(const attention_call *c, const tl_attention_prompt *prompt,
                          size_t kv, size_t first, size_t end,
                          const attention_worker *w)
{
    const size_t D = c->shape->d_head, W = tl_cpu_strips_round(D),
                 G = c->shape->n_kv_heads;
    for (size_t j = first; j < end; j++) {
        const size_t to = ((prompt->k_row + j - prompt->n_prefix) * G + kv) * D;
        if (!is_relevance(c))
            memcpy(c->dk + to, w->d_k + (j - first) * W, D * sizeof *c->dk);
        memcpy(c->dv + to, w->d_v + (j - first) * W, D * sizeof *c->dv);
    }
}

/* What a tile of the part takes on the way back. */
static tl_cpu_queries_back back_of(const attention_call *c, const head_part *of,
                                   const tl_cpu_head *head, const attention_worker *w)
{
    /* Prefix keys and values get no gradient. */
    const size_t prefix = head->prompt->n_prefix;
    const bool relevance = is_relevance(c);
    tl_cpu_queries_back back = {
        .q = c->q,
        .z = c->z_made,
        .lse = c->lse_made,
        .dz = c->dz,
        .dq = of->queries && !relevance ? c->dq : NULL,
        .first = of->first_key,
        .end = of->end_key,
        .first_own = of->first_key > prefix ? of->first_key : prefix,
        .dk = of->keys && !relevance ? w->d_k : NULL,
        .dv = of->keys ? w->d_v : NULL,
    };
    if (relevance)
        back.first = back.first_own;
    return back;
}

/* The queries of a part, position by position, and head by head at each, in tiles. */
static void run_tiles(const attention_call *c, size_t kv, const head_part *of,
                      const tl_cpu_head *head, const attention_worker *w,
                      const tl_cpu_queries_back *back)
{
    const tl_attention_prompt *prompt = head->prompt;
    const size_t H = c->shape->n_heads, group = H / c->shape->n_kv_heads;
    tl_cpu_query_tile t = {0};
    for (size_t a = of->first_query; a < of->end_query; a++) {
        const size_t i = key_count(prompt) - prompt->n_query + a;
        const tl_cpu_sight sight = tl_cpu_sight_of(c->shape, prompt, i);
        for (size_t h = 0; h < group; h++) {
            tl_cpu_query_tile_add(&t, (prompt->q_row + a) * H + kv * group + h, i,
                                  sight);
            const bool is_last = a + 1 == of->end_query && h + 1 == group;
            if (t.n < TL_CPU_QUERIES && !is_last)
                continue;
            if (c->backward)
                tl_cpu_queries_backward(head, &w->tile, &t, back);
            else
                tl_cpu_queries_forward(head, &w->tile, &t, c->q, c->z, c->lse);
            t.n = t.first = t.end = 0;
        }
    }
}

static void run_part(const attention_call *c, size_t kv, const head_part *of,
                     const tl_cpu_head *head, const attention_worker *w)
{
    const tl_cpu_queries_back back = back_of(c, of, head, w);
    const size_t own = of->keys && c->backward ? of->end_key - back.first_own : 0,
                 floats = own * tl_cpu_strips_round(c->shape->d_head);
    memset(w->d_k, 0, floats * sizeof *w->d_k);
    memset(w->d_v, 0, floats * sizeof *w->d_v);
    run_tiles(c, kv, of, head, w, &back);
    if (own > 0)
        put_gradients(c, head->prompt, kv, back.first_own, of->end_key, w);
}

/* ---- all of it -------------------------------------------------------------------------- */

/* One thread's share of heads that are taken whole, into a panel of its own. */
static void run_heads(const attention_call *c, const attention_cut *how, float *panel,
                      const attention_worker *w)
{
    const size_t G = c->shape->n_kv_heads;
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < how->n_heads; i++) {
        const tl_cpu_head head = head_at(c, i, panel);
        const size_t n = key_count(head.prompt);
        const head_part all = {0, head.prompt->n_query, 0, n, true, true};
        tl_cpu_head_lay_out(&head, i % G, c->k, c->v, 0, n);
        run_part(c, i % G, &all, &head, w);
    }
}

/* One thread's share of parts: of laying out all heads, then of the work. */
static void run_parts(const attention_call *c, const attention_cut *how, float *panels,
                      const attention_worker *w)
{
    const size_t G = c->shape->n_kv_heads, per_head = how->key_parts + how->query_parts;
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < how->n_heads * how->layout_parts; i++) {
        const size_t h = i / how->layout_parts,
                     first = i % how->layout_parts * PART_KEYS, end = first + PART_KEYS;
        const tl_cpu_head head = head_at(c, h, panels + h * how->panel_floats);
        const size_t n = key_count(head.prompt);
        if (first < n) /* prompts shorter than the longest have fewer parts */
            tl_cpu_head_lay_out(&head, h % G, c->k, c->v, first, end < n ? end : n);
    }
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < how->n_heads * per_head; i++) {
        const size_t h = i / per_head;
        const tl_cpu_head head = head_at(c, h, panels + h * how->panel_floats);
        const head_part of = part_of(how, head.prompt, i % per_head);
        if (!is_empty(&of))
            run_part(c, h % G, &of, &head, w);
    }
}

static tl_status run(size_t n_threads, tl_cpu_scratch *kept, const attention_call *c,
                     tl_error *err)
{
    attention_cut how =
        make_cut(n_threads, c->shape, c->n_prompts, c->prompts, c->backward);
    if (is_relevance(c))
        how.query_parts = 0; /* nobody wants dq */
    if (how.n_heads == 0)
        return TL_OK;
    const tl_status status =
        tl_cpu_scratch_reserve(kept, floats_of(&how, n_threads) * sizeof(float), err);
    if (status != TL_OK)
        return status;
    float *panels = kept->memory, *workers = panels + how.n_panels * how.panel_floats;
#pragma omp parallel num_threads((int)n_threads)
    {
        const size_t thread = (size_t)omp_get_thread_num();
        const attention_worker w =
            worker_at(workers + thread * how.worker_floats, c, &how);
        if (how.whole)
            run_heads(c, &how, panels + thread * how.panel_floats, &w);
        else
            run_parts(c, &how, panels, &w);
    }
    return TL_OK;
}

tl_status tl_cpu_attention(size_t n_threads, tl_cpu_scratch *kept,
                           const tl_attention *shape, size_t n_prompts,
                           const tl_attention_prompt *prompts, const float *q,
                           const float *k, const float *v, float *z, float *lse,
                           tl_error *err)
{
    const attention_call c = {.shape = shape,
                              .n_prompts = n_prompts,
                              .prompts = prompts,
                              .q = q,
                              .k = k,
                              .v = v,
                              .z = z,
                              .lse = lse};
    return run(n_threads, kept, &c, err);
}

tl_status tl_cpu_attention_backward(size_t n_threads, tl_cpu_scratch *kept,
                                    tl_backward_rule rule, const tl_attention *shape,
                                    size_t n_prompts,
                                    const tl_attention_prompt *prompts, const float *q,
                                    const float *k, const float *v, const float *z,
                                    const float *lse, const float *dz, float *dq,
                                    float *dk, float *dv, tl_error *err)
{
    const attention_call c = {.shape = shape,
                              .n_prompts = n_prompts,
                              .prompts = prompts,
                              .q = q,
                              .k = k,
                              .v = v,
                              .backward = true,
                              .rule = rule,
                              .z_made = z,
                              .lse_made = lse,
                              .dz = dz,
                              .dq = dq,
                              .dk = dk,
                              .dv = dv};
    return run(n_threads, kept, &c, err);
}

/* ---- some heads of some queries ---------------------------------------------------------- */

/* Both read the same keys and values: neighbours that do make a run. */
static bool same_head(const tl_attention_query *a, const tl_attention_query *b,
                      size_t group)
{
    return a->prompt == b->prompt && a->head / group == b->head / group;
}

static void run_queries(const tl_cpu_head *head, const attention_worker *w,
                        const tl_attention_query *queries, size_t n, const float *q,
                        float *z)
{
    tl_cpu_query_tile t = {0};
    for (size_t i = 0; i < n; i++) {
        const size_t position = queries[i].position;
        tl_cpu_query_tile_add(&t, queries[i].at, position,
                              tl_cpu_sight_of(head->shape, head->prompt, position));
        if (t.n < TL_CPU_QUERIES && i + 1 < n)
            continue;
        tl_cpu_queries_forward(head, &w->tile, &t, q, z, NULL);
        t.n = t.first = t.end = 0;
    }
}

tl_status tl_cpu_attention_some(size_t n_threads, tl_cpu_scratch *kept,
                                const tl_attention *shape, size_t n_prompts,
                                const tl_attention_prompt *prompts, size_t n,
                                const tl_attention_query *queries, const float *q,
                                const float *k, const float *v, float *z, tl_error *err)
{
    const size_t group = shape->n_heads / shape->n_kv_heads;
    attention_cut how = make_cut(n_threads, shape, n_prompts, prompts, false);
    const size_t n_workers = n_threads < how.n_heads ? n_threads : how.n_heads;
    if (n == 0)
        return TL_OK;
    how.n_panels = n_workers;
    const tl_status status =
        tl_cpu_scratch_reserve(kept, floats_of(&how, n_workers) * sizeof(float), err);
    if (status != TL_OK)
        return status;
    const attention_call c = {
        .shape = shape, .n_prompts = n_prompts, .prompts = prompts, .k = k, .v = v};
    float *panels = kept->memory, *workers = panels + n_workers * how.panel_floats;
#pragma omp parallel num_threads((int)n_workers)
    {
        const size_t thread = (size_t)omp_get_thread_num();
        const attention_worker w =
            worker_at(workers + thread * how.worker_floats, &c, &how);
#pragma omp for schedule(dynamic, 16)
        for (size_t first = 0; first < n; first++) {
            if (first > 0 && same_head(&queries[first - 1], &queries[first], group))
                continue; /* in the middle of a run */
            size_t end = first + 1;
            while (end < n && same_head(&queries[first], &queries[end], group))
                end++;
            const size_t kv = queries[first].head / group;
            const tl_cpu_head head =
                head_at(&c, queries[first].prompt * shape->n_kv_heads + kv,
                        panels + thread * how.panel_floats);
            tl_cpu_head_lay_out(&head, kv, k, v, 0, key_count(head.prompt));
            run_queries(&head, &w, queries + first, end - first, q, z);
        }
    }
    return TL_OK;
}
