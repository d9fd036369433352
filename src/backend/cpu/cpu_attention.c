/* SPDX-License-Identifier: MIT
 *
 * cpu_attention.c - attention of the cpu backend (op/attention.h says what it is).
 *
 * A head is one key-value head of one prompt, with all query heads that read it. Its
 * keys, and on the way back its values, are laid out transposed, [d_head, n]: the scores
 * of one query against all keys are then a few long additions, each element by itself.
 *
 * With as many heads as threads or more, a thread takes whole heads. With fewer, all
 * heads are laid out first, and threads take parts of them: some queries of a head for z
 * or dq, some keys for dk and dv. On the way back both kinds of parts need the pattern
 * and compute it for themselves: seven products of n x n x d_head for a head instead of
 * five. By the rule of relevance only dv is made: two products, and parts of keys alone.
 *
 * How a head is cut cannot be seen in its numbers. A query sums over its keys in one
 * order, and a key over its queries in one order: head by head, query by query.
 */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "twinlens/alloc.h"

/* Of a part. 121 positions of 4 heads make 64 parts of queries and 16 of keys. */
enum { PART_QUERIES = 8, PART_KEYS = 32 };

/* One head of a prompt with n keys, prefix first, as rows [n, D] or transposed [D, n].
 * NULL where it is not needed. */
typedef struct head_panels {
    float *k_rows, *v_rows, *k_columns, *v_columns;
} head_panels;

/* What one thread works with: for one query a number for each key, and gradients. */
typedef struct attention_worker {
    float *s, *p, *d_p; /* [n] */
    float *capped;      /* [n]: s / softcap after the tanh, for its slope */
    float *d_k, *d_v;   /* [keys of a part, D], close together for the caches */
} attention_worker;
enum { QUERY_ROWS = 4 };

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
    size_t n_heads;                              /* of all prompts */
    bool whole;                                  /* units are heads, not parts */
    size_t longest;                              /* keys of a prompt */
    size_t n_panels;                             /* heads that are laid out at a time */
    size_t panel_floats;                         /* of all panels of a head */
    size_t gradient_floats;                      /* of d_k, of d_v */
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
    size_t queries = 0, keys = 0;
    for (size_t p = 0; p < n_prompts; p++) {
        const size_t n = key_count(&prompts[p]);
        c.longest = n > c.longest ? n : c.longest;
        queries = prompts[p].n_query > queries ? prompts[p].n_query : queries;
        keys = prompts[p].n_key > keys ? prompts[p].n_key : keys;
    }
    c.panel_floats = (backward ? 3 : 2) * c.longest * shape->d_head;
    c.gradient_floats = backward ? (c.whole ? keys : PART_KEYS) * shape->d_head : 0;
    c.query_parts = parts_of(queries, PART_QUERIES);
    c.key_parts = backward ? parts_of(keys, PART_KEYS) : 0;
    c.layout_parts = parts_of(c.longest, PART_KEYS);
    return c;
}

static size_t worker_floats(const attention_cut *c)
{
    return QUERY_ROWS * c->longest + 2 * c->gradient_floats;
}

static size_t floats_of(const attention_cut *c, size_t n_threads)
{
    return c->n_panels * c->panel_floats + n_threads * worker_floats(c);
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
    const size_t first = (i - c->key_parts) * PART_QUERIES, end = first + PART_QUERIES;
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

static head_panels panels_at(const attention_call *c, float *memory, size_t floats)
{
    float *second = memory + floats;
    if (is_relevance(c))
        return (head_panels){.k_columns = memory};
    return c->backward ? (head_panels){.k_columns = memory,
                                       .k_rows = second,
                                       .v_columns = second + floats}
                       : (head_panels){.k_columns = memory, .v_rows = second};
}

static attention_worker worker_at(float *memory, const attention_cut *c)
{
    const size_t n = c->longest;
    float *gradients = memory + QUERY_ROWS * n;
    return (attention_worker){memory,         memory + n,
                              memory + 2 * n, memory + 3 * n,
                              gradients,      gradients + c->gradient_floats};
}

/* Rows [first, end) of one head into a panel, as rows and as columns. */
static void lay_out(const tl_attention *shape, const tl_attention_prompt *prompt,
                    size_t head, const float *prefix, const float *own, size_t first,
                    size_t end, float *rows, float *columns)
{
    const size_t D = shape->d_head, stride = shape->n_kv_heads * D;
    const size_t n = key_count(prompt);
    for (size_t j = first; j < end; j++) {
        const float *from =
            j < prompt->n_prefix
                ? prefix + j * stride + head * D
                : own + (prompt->k_row + j - prompt->n_prefix) * stride + head * D;
        if (rows != NULL)
            memcpy(rows + j * D, from, D * sizeof *rows);
        for (size_t d = 0; columns != NULL && d < D; d++)
            columns[d * n + j] = from[d];
    }
}

static void lay_out_head(const attention_call *c, const tl_attention_prompt *prompt,
                         size_t head, size_t first, size_t end, const head_panels *to)
{
    lay_out(c->shape, prompt, head, prompt->prefix_k, c->k, first, end, to->k_rows,
            to->k_columns);
    lay_out(c->shape, prompt, head, prompt->prefix_v, c->v, first, end, to->v_rows,
            to->v_columns);
}

/* ---- one query ------------------------------------------------------------------------ */

/* Keys that query i may see lie in [first, end); others in it are masked. */
typedef struct key_range {
    size_t first, end;
    bool masked;
} key_range;

static key_range visible_range(const tl_attention *shape,
                               const tl_attention_prompt *prompt, size_t i)
{
    const size_t n = prompt->n_prefix + prompt->n_key;
    key_range r = {0, shape->causal ? i + 1 : n, false};
    if (shape->window > 0 && i + 1 > shape->window)
        r.first = i + 1 - shape->window;
    if (prompt->block != NULL && prompt->block[i] >= 0) {
        r = (key_range){0, n, true};
    }
    return r;
}

/* y[j] = sum_d x[d] m[d, j] over [first, end), four rows at a time. */
TL_WIDE static void times_transposed(const float *restrict x, const float *restrict m,
                                     size_t D, size_t n, size_t first, size_t end,
                                     float *restrict y)
{
    for (size_t j = first; j < end; j++)
        y[j] = 0.0f;
    size_t d = 0;
    for (; d + 4 <= D; d += 4) {
        const float a = x[d], b = x[d + 1], c = x[d + 2], e = x[d + 3];
        const float *row = m + d * n;
        for (size_t j = first; j < end; j++)
            y[j] += (a * row[j] + b * row[n + j]) +
                    (c * row[2 * n + j] + e * row[3 * n + j]);
    }
    for (; d < D; d++)
        for (size_t j = first; j < end; j++)
            y[j] += x[d] * m[d * n + j];
}

/* y[d] = sum_j x[j] m[j, d] over [first, end). Keys are taken four at a time counted
 * from 0, wherever the range begins: x is 0 where a key is not seen. */
TL_WIDE static void times_rows(const float *restrict x, const float *restrict m,
                               size_t D, size_t end, float *restrict y)
{
    for (size_t d = 0; d < D; d++)
        y[d] = 0.0f;
    size_t j = 0;
    for (; j + 4 <= end; j += 4) {
        const float a = x[j], b = x[j + 1], c = x[j + 2], e = x[j + 3];
        const float *row = m + j * D;
        for (size_t d = 0; d < D; d++)
            y[d] += (a * row[d] + b * row[D + d]) +
                    (c * row[2 * D + d] + e * row[3 * D + d]);
    }
    for (; j < end; j++)
        for (size_t d = 0; d < D; d++)
            y[d] += x[j] * m[j * D + d];
}

/* m[j, d] += x[j] y[d] for n rows. */
TL_WIDE static void add_outer(const float *restrict x, const float *restrict y,
                              size_t D, size_t n, float *restrict m)
{
    for (size_t j = 0; j < n; j++)
        for (size_t d = 0; d < D; d++)
            m[j * D + d] += x[j] * y[d];
}

/* p[j] = exp(s[j] - shift) over [first, end); returns the sum. */
TL_WIDE static float exponentials(const float *restrict s, float shift, size_t first,
                                  size_t end, float *restrict p)
{
    for (size_t j = first; j < end; j++)
        p[j] = tl_cpu_exp(s[j] - shift);
    float lane[TL_LANES] = {0.0f};
    size_t j = first;
    for (; j + TL_LANES <= end; j += TL_LANES)
        for (size_t l = 0; l < TL_LANES; l++)
            lane[l] += p[j + l];
    for (size_t l = 0; j < end; j++, l++)
        lane[l] += p[j];
    for (size_t half = TL_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

TL_WIDE static void scale_row(size_t first, size_t end, float factor, float *restrict s)
{
    for (size_t j = first; j < end; j++)
        s[j] *= factor;
}

/* s[j] of query i: scaled, capped, minus infinity where it may not see. */
static void scores(const tl_attention *shape, const tl_attention_prompt *prompt,
                   const head_panels *head, const attention_worker *w, const float *q,
                   size_t i, key_range r)
{
    const size_t n = key_count(prompt);
    times_transposed(q, head->k_columns, shape->d_head, n, r.first, r.end, w->s);
    scale_row(r.first, r.end, shape->scale, w->s);
    if (shape->softcap > 0.0f)
        for (size_t j = r.first; j < r.end; j++) {
            w->capped[j] = tanhf(w->s[j] / shape->softcap);
            w->s[j] = shape->softcap * w->capped[j];
        }
    if (r.masked)
        for (size_t j = r.first; j < r.end; j++)
            if (!tl_attention_sees(shape, prompt, i, j))
                w->s[j] = -INFINITY;
}

TL_WIDE static void score_gradients(const float *restrict p, float delta, float scale,
                                    const float *restrict capped, size_t first,
                                    size_t end, float *restrict d)
{
    for (size_t j = first; j < end; j++) {
        const float slope = capped != NULL ? 1.0f - capped[j] * capped[j] : 1.0f;
        d[j] = p[j] * (d[j] - delta) * scale * slope;
    }
}

/* ---- a part of a head ------------------------------------------------------------------- */

/* Query i: writes z [D] and returns lse. */
static float forward_query(const tl_attention *shape, const tl_attention_prompt *prompt,
                           const head_panels *head, const attention_worker *w,
                           const float *q, size_t i, float *z)
{
    const key_range r = visible_range(shape, prompt, i);
    scores(shape, prompt, head, w, q, i, r);
    float most = -INFINITY;
    for (size_t j = r.first; j < r.end; j++)
        most = w->s[j] > most ? w->s[j] : most;
    const float sum = exponentials(w->s, most, r.first, r.end, w->p);
    scale_row(r.first, r.end, 1.0f / sum, w->p);
    memset(w->p, 0, r.first * sizeof *w->p);
    times_rows(w->p, head->v_rows, shape->d_head, r.end, z);
    return (float)((double)most + log((double)sum));
}

static void forward_part(const attention_call *c, const tl_attention_prompt *prompt,
                         size_t kv, const head_part *of, const head_panels *head,
                         const attention_worker *w)
{
    const size_t D = c->shape->d_head, H = c->shape->n_heads,
                 group = H / c->shape->n_kv_heads;
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t a = of->first_query; a < of->end_query; a++) {
            const size_t i = key_count(prompt) - prompt->n_query + a,
                         at = (prompt->q_row + a) * H + h;
            c->lse[at] = forward_query(c->shape, prompt, head, w, c->q + at * D, i,
                                       c->z + at * D);
        }
}

/* The gradients of the keys [first, end), to where the caller wants them. */
static void put_gradients(const attention_call *c, const tl_attention_prompt *prompt,
                          size_t kv, size_t first, size_t end,
                          const attention_worker *w)
{
    const size_t D = c->shape->d_head, G = c->shape->n_kv_heads;
    for (size_t j = first; j < end; j++) {
        const size_t to = ((prompt->k_row + j - prompt->n_prefix) * G + kv) * D;
        if (!is_relevance(c))
            memcpy(c->dk + to, w->d_k + (j - first) * D, D * sizeof *c->dk);
        memcpy(c->dv + to, w->d_v + (j - first) * D, D * sizeof *c->dv);
    }
}

static void backward_part(const attention_call *c, const tl_attention_prompt *prompt,
                          size_t kv, const head_part *of, const head_panels *head,
                          const attention_worker *w)
{
    const tl_attention *shape = c->shape;
    const size_t D = shape->d_head, H = shape->n_heads, group = H / shape->n_kv_heads,
                 n = key_count(prompt);
    /* Prefix keys and values get no gradient. */
    const size_t first_own =
        of->first_key > prompt->n_prefix ? of->first_key : prompt->n_prefix;
    const bool relevance = is_relevance(c);
    const size_t first = relevance ? first_own : of->first_key;
    if (of->keys) {
        memset(w->d_k, 0, (of->end_key - first_own) * D * sizeof *w->d_k);
        memset(w->d_v, 0, (of->end_key - first_own) * D * sizeof *w->d_v);
    }
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t a = of->first_query; a < of->end_query; a++) {
            const size_t i = n - prompt->n_query + a, at = (prompt->q_row + a) * H + h;
            key_range r = visible_range(shape, prompt, i);
            r.first = r.first > first ? r.first : first;
            r.end = r.end < of->end_key ? r.end : of->end_key;
            if (r.first >= r.end)
                continue;
            const float *q_row = c->q + at * D, *dz_row = c->dz + at * D;
            scores(shape, prompt, head, w, q_row, i, r);
            exponentials(w->s, c->lse_made[at], r.first, r.end, w->p);
            const size_t own = r.first > first_own ? r.first : first_own,
                         to = (own - first_own) * D;
            if (of->keys && own < r.end)
                add_outer(w->p + own, dz_row, D, r.end - own, w->d_v + to);
            if (relevance)
                continue;
            times_transposed(dz_row, head->v_columns, D, n, r.first, r.end, w->d_p);
            score_gradients(w->p, tl_cpu_dot(dz_row, c->z_made + at * D, D),
                            shape->scale, shape->softcap > 0.0f ? w->capped : NULL,
                            r.first, r.end, w->d_p);
            if (of->keys && own < r.end)
                add_outer(w->d_p + own, q_row, D, r.end - own, w->d_k + to);
            if (of->queries) {
                memset(w->d_p, 0, r.first * sizeof *w->d_p);
                times_rows(w->d_p, head->k_rows, D, r.end, c->dq + at * D);
            }
        }
    if (of->keys)
        put_gradients(c, prompt, kv, first_own, of->end_key, w);
}

static void run_part(const attention_call *c, const tl_attention_prompt *prompt,
                     size_t kv, const head_part *of, const head_panels *head,
                     const attention_worker *w)
{
    (c->backward ? backward_part : forward_part)(c, prompt, kv, of, head, w);
}

/* ---- all of it -------------------------------------------------------------------------- */

/* One thread's share of heads that are taken whole, into a panel of its own. */
static void run_heads(const attention_call *c, const attention_cut *how, float *panel,
                      const attention_worker *w)
{
    const size_t G = c->shape->n_kv_heads;
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < how->n_heads; i++) {
        const tl_attention_prompt *prompt = &c->prompts[i / G];
        const size_t n = key_count(prompt);
        const head_panels head = panels_at(c, panel, n * c->shape->d_head);
        const head_part all = {0, prompt->n_query, 0, n, true, true};
        lay_out_head(c, prompt, i % G, 0, n, &head);
        run_part(c, prompt, i % G, &all, &head, w);
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
                     first = i % how->layout_parts * PART_KEYS;
        const tl_attention_prompt *prompt = &c->prompts[h / G];
        const size_t n = key_count(prompt), end = first + PART_KEYS;
        const head_panels head =
            panels_at(c, panels + h * how->panel_floats, n * c->shape->d_head);
        lay_out_head(c, prompt, h % G, first, end < n ? end : n, &head);
    }
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < how->n_heads * per_head; i++) {
        const size_t h = i / per_head;
        const tl_attention_prompt *prompt = &c->prompts[h / G];
        const head_panels head = panels_at(c, panels + h * how->panel_floats,
                                           key_count(prompt) * c->shape->d_head);
        const head_part of = part_of(how, prompt, i % per_head);
        if (!is_empty(&of))
            run_part(c, prompt, h % G, &of, &head, w);
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
            worker_at(workers + thread * worker_floats(&how), &how);
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

tl_status tl_cpu_attention_some(size_t n_threads, tl_cpu_scratch *kept,
                                const tl_attention *shape, size_t n_prompts,
                                const tl_attention_prompt *prompts, size_t n,
                                const tl_attention_query *queries, const float *q,
                                const float *k, const float *v, float *z, tl_error *err)
{
    const size_t D = shape->d_head, group = shape->n_heads / shape->n_kv_heads;
    attention_cut how = make_cut(n_threads, shape, n_prompts, prompts, false);
    const size_t n_workers = n_threads < how.n_heads ? n_threads : how.n_heads;
    if (n == 0)
        return TL_OK;
    how.n_panels = n_workers;
    const tl_status status =
        tl_cpu_scratch_reserve(kept, floats_of(&how, n_workers) * sizeof(float), err);
    if (status != TL_OK)
        return status;
    const attention_call c = {.shape = shape, .k = k, .v = v};
    float *panels = kept->memory, *workers = panels + n_workers * how.panel_floats;
#pragma omp parallel num_threads((int)n_workers)
    {
        const size_t thread = (size_t)omp_get_thread_num();
        const attention_worker w =
            worker_at(workers + thread * worker_floats(&how), &how);
#pragma omp for schedule(dynamic, 16)
        for (size_t first = 0; first < n; first++) {
            if (first > 0 && same_head(&queries[first - 1], &queries[first], group))
                continue; /* in the middle of a run */
            const tl_attention_prompt *prompt = &prompts[queries[first].prompt];
            const size_t n_keys = key_count(prompt);
            const head_panels head =
                panels_at(&c, panels + thread * how.panel_floats, n_keys * D);
            lay_out_head(&c, prompt, queries[first].head / group, 0, n_keys, &head);
            for (size_t i = first;
                 i < n && same_head(&queries[first], &queries[i], group); i++)
                forward_query(shape, prompt, &head, &w, q + queries[i].at * D,
                              queries[i].position, z + queries[i].at * D);
        }
    }
    return TL_OK;
}
