/* SPDX-License-Identifier: MIT
 *
 * cpu_attention.c - attention of the cpu backend (op/attention.h says what it is).
 *
 * A head is one key-value head of one prompt, with all query heads that read it. Its keys
 * and values are laid out as rows or as columns, as the products want them. A
 * tile of queries that read them is then a few small products (cpu_tile.h): scores, z, and
 * on the way back the gradients of the pattern, of queries, of keys and values.
 *
 * With as many heads as threads or more, a thread takes whole heads. With fewer, all
 * heads are laid out first, and threads take parts of them: some queries of a head for z
 * or dq, some keys for dk and dv. On the way back both kinds of parts need the pattern
 * and compute it for themselves: seven products of n x n x d_head for a head instead of
 * five. By the rule of relevance only dv is made: two products, and parts of keys alone.
 *
 * How a head is cut cannot be seen in its numbers. A query sums over its keys in one
 * order, and a key over its queries in one order: head by head, query by query. A key that a
 * query does not see adds nothing to it: keys that all queries of a tile see are taken
 * together, those before and behind them query by query.
 */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_tile.h"
#include "twinlens/alloc.h"

/* Of a part. 121 positions of 4 heads make 44 parts of queries and 16 of keys. */
enum { PART_QUERIES = 12, PART_KEYS = 32 };
enum {
    TILE = 12,      /* queries of a tile */
    KEY_BLOCK = 32, /* keys of a block of columns */
    PAD = 16,       /* floats between rows of numbers for each key, which would else share
                       their caches' sets */
};

/* One head of a prompt with n keys, prefix first, as rows [n, W] or as columns, a block of
 * keys after the other [n / KEY_BLOCK, D, KEY_BLOCK], with zeros where d_head or the keys
 * end before. W: d_head rounded up. NULL where it is not needed. */
typedef struct head_panels {
    float *k_rows, *v_rows, *k_columns, *v_columns;
} head_panels;

/* What one thread works with: a tile of queries, and gradients. */
typedef struct attention_worker {
    float *q, *dz, *out; /* [TILE, W] */
    size_t stride;       /* from query to query in what follows: keys rounded up, PAD */
    float *p, *d_p;      /* [TILE, stride]: a number for each key */
    float *capped;       /* s / softcap after the tanh, for its slope */
    float *d_k, *d_v;    /* [keys of a part, W], close together for the caches */
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

/* Keys, up to a whole number of blocks. */
static size_t rounded_keys(size_t n)
{
    return (n + KEY_BLOCK - 1) / KEY_BLOCK * KEY_BLOCK;
}

/* ---- how work and memory are cut ---------------------------------------------------- */

typedef struct attention_cut {
    size_t n_heads;                              /* of all prompts */
    bool whole;                                  /* units are heads, not parts */
    size_t longest;                              /* keys of a prompt, rounded up */
    size_t width;                                /* d_head, rounded up */
    bool backward, capped;
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
    c.layout_parts = parts_of(c.longest, PART_KEYS);
    c.longest = rounded_keys(c.longest);
    c.width = tl_cpu_tile_round(shape->d_head);
    c.backward = backward;
    c.capped = backward && shape->softcap > 0.0f;
    c.panel_floats = (backward ? 3 : 2) * c.longest * c.width;
    c.gradient_floats = backward ? (c.whole ? keys : PART_KEYS) * c.width : 0;
    c.query_parts = parts_of(queries, PART_QUERIES);
    c.key_parts = backward ? parts_of(keys, PART_KEYS) : 0;
    return c;
}

static size_t worker_floats(const attention_cut *c)
{
    const size_t of_width = c->backward ? 3 : 2,
                 of_keys = 1 + (size_t)c->backward + (size_t)c->capped;
    return TILE * (of_width * c->width + of_keys * (c->longest + PAD)) +
           2 * c->gradient_floats;
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
    const size_t row = TILE * c->width, stride = c->longest + PAD, keys = TILE * stride;
    attention_worker w = {
        .q = memory, .out = memory + row, .stride = stride, .p = memory + 2 * row};
    float *next = w.p + keys;
    if (!c->backward)
        return w;
    w.dz = next;
    w.d_p = w.dz + row;
    next = w.d_p + keys;
    if (c->capped) {
        w.capped = next;
        next += keys;
    }
    w.d_k = next;
    w.d_v = next + c->gradient_floats;
    return w;
}

/* Rows [first, end) of one head into a panel, as rows and as columns; the columns behind the
 * last key with it. */
static void lay_out(const tl_attention *shape, const tl_attention_prompt *prompt,
                    size_t head, const float *prefix, const float *own, size_t first,
                    size_t end, float *rows, float *columns)
{
    const size_t D = shape->d_head, W = tl_cpu_tile_round(D),
                 stride = shape->n_kv_heads * D;
    const size_t n = key_count(prompt),
                 last = first < n && end == n ? rounded_keys(n) : end;
    for (size_t j = first; j < end; j++) {
        const float *from =
            j < prompt->n_prefix
                ? prefix + j * stride + head * D
                : own + (prompt->k_row + j - prompt->n_prefix) * stride + head * D;
        if (rows != NULL) {
            memcpy(rows + j * W, from, D * sizeof *rows);
            memset(rows + j * W + D, 0, (W - D) * sizeof *rows);
        }
        float *column = columns + j / KEY_BLOCK * KEY_BLOCK * D + j % KEY_BLOCK;
        for (size_t d = 0; columns != NULL && d < D; d++)
            column[d * KEY_BLOCK] = from[d];
    }
    for (size_t j = end; columns != NULL && j < last; j++)
        for (size_t d = 0; d < D; d++)
            columns[(j / KEY_BLOCK * D + d) * KEY_BLOCK + j % KEY_BLOCK] = 0.0f;
}

static void lay_out_head(const attention_call *c, const tl_attention_prompt *prompt,
                         size_t head, size_t first, size_t end, const head_panels *to)
{
    lay_out(c->shape, prompt, head, prompt->prefix_k, c->k, first, end, to->k_rows,
            to->k_columns);
    lay_out(c->shape, prompt, head, prompt->prefix_v, c->v, first, end, to->v_rows,
            to->v_columns);
}

/* Floats of a panel of a prompt's head. */
static size_t panel_of(const tl_attention *shape, const tl_attention_prompt *prompt)
{
    return rounded_keys(key_count(prompt)) * tl_cpu_tile_round(shape->d_head);
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

/* y = exp(x - shift), which do not overlap: the compiler makes vectors of it. */
TL_WIDE static void exponentials_of(const float *restrict x, float shift, size_t n,
                                    float *restrict y)
{
    for (size_t j = 0; j < n; j++)
        y[j] = tl_cpu_exp(x[j] - shift);
}

/* s[j] = exp(s[j] - shift) over [first, end); returns the sum. */
static float exponentials(float *s, float shift, size_t first, size_t end)
{
    enum { PIECE = 256 };
    float lane[TL_LANES] = {0.0f}, piece[PIECE];
    for (size_t at = first; at < end; at += PIECE) {
        const size_t n = end - at < PIECE ? end - at : PIECE;
        exponentials_of(s + at, shift, n, piece);
        memcpy(s + at, piece, n * sizeof *s);
        size_t j = 0;
        for (; j + TL_LANES <= n; j += TL_LANES)
            for (size_t l = 0; l < TL_LANES; l++)
                lane[l] += piece[j + l];
        for (size_t l = 0; j < n; j++, l++)
            lane[l] += piece[j];
    }
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

/* s[j] of query i, over its range: scaled, capped, minus infinity where it may not see.
 * `capped` may be NULL. */
static void finish_scores(const tl_attention *shape, const tl_attention_prompt *prompt,
                          size_t i, key_range r, float *s, float *capped)
{
    scale_row(r.first, r.end, shape->scale, s);
    if (shape->softcap > 0.0f)
        for (size_t j = r.first; j < r.end; j++) {
            const float value = tanhf(s[j] / shape->softcap);
            if (capped != NULL)
                capped[j] = value;
            s[j] = shape->softcap * value;
        }
    if (r.masked)
        for (size_t j = r.first; j < r.end; j++)
            if (!tl_attention_sees(shape, prompt, i, j))
                s[j] = -INFINITY;
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

/* ---- a tile of queries ------------------------------------------------------------------ */

/* Queries that read the same keys. */
typedef struct query_tile {
    size_t n;
    size_t at[TILE];   /* rows of q, z, lse */
    key_range r[TILE]; /* keys that each is to look at */
    size_t i[TILE];    /* positions */
    size_t first, end; /* keys of all ranges */
} query_tile;

/* Appends a query, if there are keys for it. */
static void add_query(query_tile *t, size_t at, size_t i, key_range r)
{
    if (r.first >= r.end)
        return;
    t->first = t->n == 0 || r.first < t->first ? r.first : t->first;
    t->end = r.end > t->end ? r.end : t->end;
    t->at[t->n] = at;
    t->i[t->n] = i;
    t->r[t->n++] = r;
}

/* Rows of queries, side by side with zeros behind. */
static void gather(const query_tile *t, size_t D, const float *x, float *to)
{
    const size_t W = tl_cpu_tile_round(D);
    for (size_t k = 0; k < t->n; k++) {
        memcpy(to + k * W, x + t->at[k] * D, D * sizeof *to);
        memset(to + k * W + D, 0, (W - D) * sizeof *to);
    }
}

/* y[k, j] = x[k] . column j for all keys of the tile, and some more. */
static void times_columns(const query_tile *t, size_t D, const float *x,
                          const float *columns, size_t stride, float *y)
{
    const size_t W = tl_cpu_tile_round(D);
    for (size_t j = t->first / KEY_BLOCK * KEY_BLOCK; j < t->end; j += KEY_BLOCK)
        tl_cpu_tile_multiply(t->n, D, (tl_cpu_tile_rows){x, W, 1}, columns + j * D,
                             KEY_BLOCK, KEY_BLOCK, y + j, stride, false);
}

/* The queries of rows [a, a + n) of the tile: y[k] = sum over the keys of its range of
 * p[k, j] rows[j]. Keys that all of them see are a product; the order is kept. */
static void times_rows_of(const query_tile *t, size_t a, size_t n, size_t W, size_t N,
                          const float *p, const float *rows, float *y)
{
    size_t first = 0, end = SIZE_MAX;
    for (size_t k = a; k < a + n; k++) {
        first = t->r[k].first > first ? t->r[k].first : first;
        end = t->r[k].end < end ? t->r[k].end : end;
    }
    if (first >= end) /* nothing in common */
        first = end = SIZE_MAX;
    for (size_t k = a; k < a + n; k++) {
        const size_t own = t->r[k].first, last = t->r[k].end,
                     until = first < last ? first : last;
        tl_cpu_tile_multiply(1, until - own, (tl_cpu_tile_rows){p + k * N + own, N, 1},
                             rows + own * W, W, W, y + k * W, W, false);
    }
    if (first == SIZE_MAX)
        return;
    tl_cpu_tile_multiply(n, end - first, (tl_cpu_tile_rows){p + a * N + first, N, 1},
                         rows + first * W, W, W, y + a * W, W, true);
    for (size_t k = a; k < a + n; k++)
        tl_cpu_tile_multiply(1, t->r[k].end - end,
                             (tl_cpu_tile_rows){p + k * N + end, N, 1}, rows + end * W,
                             W, W, y + k * W, W, true);
}

static void times_rows(const query_tile *t, size_t D, size_t stride, const float *p,
                       const float *rows, float *y)
{
    enum { TOGETHER = 6 };
    for (size_t a = 0; a < t->n; a += TOGETHER)
        times_rows_of(t, a, t->n - a < TOGETHER ? t->n - a : TOGETHER,
                      tl_cpu_tile_round(D), stride, p, rows, y);
}

/* m[j, d] += sum over queries of p[k, j] x[k, d] for keys [first, end). */
static void add_outer(const query_tile *t, size_t D, size_t N, const float *p,
                      const float *x, size_t first, size_t end, float *m)
{
    const size_t W = tl_cpu_tile_round(D);
    tl_cpu_tile_multiply(end - first, t->n, (tl_cpu_tile_rows){p + first, 1, N}, x, W, W,
                         m, W, true);
}

/* Zero where a query does not look, among the tile's keys. */
static void clear_others(const query_tile *t, size_t N, float *p)
{
    for (size_t k = 0; k < t->n; k++) {
        const key_range r = t->r[k];
        memset(p + k * N + t->first, 0, (r.first - t->first) * sizeof *p);
        memset(p + k * N + r.end, 0, (t->end - r.end) * sizeof *p);
    }
}

/* Writes z, and lse where it is wanted. */
static void forward_tile(const tl_attention *shape, const tl_attention_prompt *prompt,
                         const head_panels *head, const attention_worker *w,
                         const query_tile *t, const float *q, float *z, float *lse)
{
    const size_t D = shape->d_head, W = tl_cpu_tile_round(D), N = w->stride;
    gather(t, D, q, w->q);
    times_columns(t, D, w->q, head->k_columns, N, w->p);
    for (size_t k = 0; k < t->n; k++) {
        const key_range r = t->r[k];
        float *s = w->p + k * N, most = -INFINITY;
        finish_scores(shape, prompt, t->i[k], r, s, NULL);
        for (size_t j = r.first; j < r.end; j++)
            most = s[j] > most ? s[j] : most;
        const float sum = exponentials(s, most, r.first, r.end);
        scale_row(r.first, r.end, 1.0f / sum, s);
        if (lse != NULL)
            lse[t->at[k]] = (float)((double)most + log((double)sum));
    }
    times_rows(t, D, N, w->p, head->v_rows, w->out);
    for (size_t k = 0; k < t->n; k++)
        memcpy(z + t->at[k] * D, w->out + k * W, D * sizeof *z);
}

/* ---- a part of a head ------------------------------------------------------------------- */

static void forward_part(const attention_call *c, const tl_attention_prompt *prompt,
                         size_t kv, const head_part *of, const head_panels *head,
                         const attention_worker *w)
{
    const size_t H = c->shape->n_heads, group = H / c->shape->n_kv_heads;
    query_tile t = {0};
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t a = of->first_query; a < of->end_query; a++) {
            const size_t i = key_count(prompt) - prompt->n_query + a;
            add_query(&t, (prompt->q_row + a) * H + h, i,
                      visible_range(c->shape, prompt, i));
            const bool is_last = h + 1 == (kv + 1) * group && a + 1 == of->end_query;
            if (t.n < TILE && !is_last)
                continue;
            forward_tile(c->shape, prompt, head, w, &t, c->q, c->z, c->lse);
            t = (query_tile){0};
        }
}

/* The gradients of the keys [first, end), to where the caller wants them. */
static void put_gradients(const attention_call *c, const tl_attention_prompt *prompt,
                          size_t kv, size_t first, size_t end,
                          const attention_worker *w)
{
    const size_t D = c->shape->d_head, W = tl_cpu_tile_round(D),
                 G = c->shape->n_kv_heads;
    for (size_t j = first; j < end; j++) {
        const size_t to = ((prompt->k_row + j - prompt->n_prefix) * G + kv) * D;
        if (!is_relevance(c))
            memcpy(c->dk + to, w->d_k + (j - first) * W, D * sizeof *c->dk);
        memcpy(c->dv + to, w->d_v + (j - first) * W, D * sizeof *c->dv);
    }
}

/* The gradients of a tile, of keys from `first_own` on (dk and dv, if the part has keys) and
 * of its queries. */
static void backward_tile(const attention_call *c, const tl_attention_prompt *prompt,
                          const head_part *of, const head_panels *head,
                          const attention_worker *w, const query_tile *t,
                          size_t first_own)
{
    const tl_attention *shape = c->shape;
    const size_t D = shape->d_head, W = tl_cpu_tile_round(D), N = w->stride;
    const size_t own = t->first > first_own ? t->first : first_own;
    const bool to_keys = of->keys && own < t->end;
    gather(t, D, c->q, w->q);
    gather(t, D, c->dz, w->dz);
    times_columns(t, D, w->q, head->k_columns, N, w->p);
    for (size_t k = 0; k < t->n; k++) {
        finish_scores(shape, prompt, t->i[k], t->r[k], w->p + k * N,
                      w->capped != NULL ? w->capped + k * N : NULL);
        exponentials(w->p + k * N, c->lse_made[t->at[k]], t->r[k].first, t->r[k].end);
    }
    clear_others(t, N, w->p);
    if (to_keys)
        add_outer(t, D, N, w->p, w->dz, own, t->end, w->d_v + (own - first_own) * W);
    if (is_relevance(c))
        return;
    times_columns(t, D, w->dz, head->v_columns, N, w->d_p);
    for (size_t k = 0; k < t->n; k++)
        score_gradients(w->p + k * N,
                        tl_cpu_dot(w->dz + k * W, c->z_made + t->at[k] * D, D),
                        shape->scale, w->capped != NULL ? w->capped + k * N : NULL,
                        t->r[k].first, t->r[k].end, w->d_p + k * N);
    clear_others(t, N, w->d_p);
    if (to_keys)
        add_outer(t, D, N, w->d_p, w->q, own, t->end, w->d_k + (own - first_own) * W);
    if (!of->queries)
        return;
    times_rows(t, D, N, w->d_p, head->k_rows, w->out);
    for (size_t k = 0; k < t->n; k++)
        memcpy(c->dq + t->at[k] * D, w->out + k * W, D * sizeof *c->dq);
}

static void backward_part(const attention_call *c, const tl_attention_prompt *prompt,
                          size_t kv, const head_part *of, const head_panels *head,
                          const attention_worker *w)
{
    const size_t W = tl_cpu_tile_round(c->shape->d_head), H = c->shape->n_heads,
                 group = H / c->shape->n_kv_heads, n = key_count(prompt);
    /* Prefix keys and values get no gradient. */
    const size_t first_own =
        of->first_key > prompt->n_prefix ? of->first_key : prompt->n_prefix;
    const size_t first = is_relevance(c) ? first_own : of->first_key;
    query_tile t = {0};
    if (of->keys) {
        memset(w->d_k, 0, (of->end_key - first_own) * W * sizeof *w->d_k);
        memset(w->d_v, 0, (of->end_key - first_own) * W * sizeof *w->d_v);
    }
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t a = of->first_query; a < of->end_query; a++) {
            const size_t i = n - prompt->n_query + a;
            key_range r = visible_range(c->shape, prompt, i);
            r.first = r.first > first ? r.first : first;
            r.end = r.end < of->end_key ? r.end : of->end_key;
            add_query(&t, (prompt->q_row + a) * H + h, i, r);
            const bool is_last = h + 1 == (kv + 1) * group && a + 1 == of->end_query;
            if (t.n == 0 || (t.n < TILE && !is_last))
                continue;
            backward_tile(c, prompt, of, head, w, &t, first_own);
            t = (query_tile){0};
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
        const head_panels head = panels_at(c, panel, panel_of(c->shape, prompt));
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
            panels_at(c, panels + h * how->panel_floats,
                                           panel_of(c->shape, prompt));
        lay_out_head(c, prompt, h % G, first, end < n ? end : n, &head);
    }
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < how->n_heads * per_head; i++) {
        const size_t h = i / per_head;
        const tl_attention_prompt *prompt = &c->prompts[h / G];
        const head_panels head = panels_at(c, panels + h * how->panel_floats,
                                           panel_of(c->shape, prompt));
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
                panels_at(&c, panels + thread * how.panel_floats,
                          panel_of(shape, prompt));
            lay_out_head(&c, prompt, queries[first].head / group, 0, n_keys, &head);
            query_tile t = {0};
            for (size_t i = first;
                 i < n && same_head(&queries[first], &queries[i], group); i++) {
                add_query(&t, queries[i].at, queries[i].position,
                          visible_range(shape, prompt, queries[i].position));
                const bool is_last =
                    i + 1 == n || !same_head(&queries[first], &queries[i + 1], group);
                if (t.n < TILE && !is_last)
                    continue;
                forward_tile(shape, prompt, &head, &w, &t, q, z, NULL);
                t = (query_tile){0};
            }
        }
    }
    return TL_OK;
}
