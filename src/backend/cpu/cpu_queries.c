/* SPDX-License-Identifier: MIT
 *
 * cpu_queries.c - see cpu_queries.h. Everything is a small product (cpu_tile.h), over a
 * block of keys at a time, which stays in a near cache while all queries of the tile take
 * it. Blocks begin at multiples of KEY_BLOCK, wherever what a query sees begins.
 *
 * The softmax goes from block to block: with a larger score than before, the sums so far
 * are made smaller by the exponential of the difference.
 *
 * A key that a query does not see adds nothing to it, not even 0 times its value, which may
 * be infinite. Keys are taken together where all queries of a product see them, and those
 * before and behind, which some see, by these.
 */
#include "backend/cpu/cpu_queries.h"

#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_tile.h"

enum {
    TILE = TL_CPU_QUERIES,
    KEY_BLOCK = 128,
    STRIDE = KEY_BLOCK + TL_CPU_STRIP, /* from query to query in p: in the same column
                                          they would share their caches' sets */
    STRIP = TL_CPU_STRIP,
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t round_down(size_t n)
{
    return n / STRIP * STRIP;
}

static size_t round_up(size_t n)
{
    return tl_cpu_strips_round(n);
}

static size_t key_count(const tl_cpu_head *head)
{
    return head->prompt->n_prefix + head->prompt->n_key;
}

static size_t width_of(const tl_cpu_head *head)
{
    return round_up(head->shape->d_head);
}

/* ---- a head ------------------------------------------------------------------------ */

size_t tl_cpu_panel_floats(const tl_attention *shape, size_t n)
{
    return round_up(n) * round_up(shape->d_head);
}

/* From strip to strip of rows and of columns. */
static size_t row_strip(const tl_cpu_head *head)
{
    return round_up(key_count(head)) * STRIP;
}

static size_t column_strip(const tl_cpu_head *head)
{
    return head->shape->d_head * STRIP;
}

/* Row number j of a matrix. */
static void put_row(const float *from, size_t D, size_t j, size_t strip, float *rows)
{
    for (size_t d = 0; d < D; d += STRIP) {
        float *to = rows + d / STRIP * strip + j * STRIP;
        const size_t n = smaller(D - d, STRIP);
        memcpy(to, from + d, n * sizeof *to);
        memset(to + n, 0, (STRIP - n) * sizeof *to);
    }
}

/* The same as a column; NULL: zeros. */
static void put_column(const float *from, size_t D, size_t j, float *columns)
{
    float *to = columns + j / STRIP * STRIP * D + j % STRIP;
    for (size_t d = 0; d < D; d++)
        to[d * STRIP] = from != NULL ? from[d] : 0.0f;
}

static void lay_out(const tl_cpu_head *head, size_t kv, const float *prefix,
                    const float *own, size_t first, size_t end, float *rows,
                    float *columns)
{
    const tl_attention_prompt *prompt = head->prompt;
    const size_t D = head->shape->d_head, stride = head->shape->n_kv_heads * D;
    for (size_t j = first; j < end; j++) {
        const float *from =
            j < prompt->n_prefix
                ? prefix + j * stride + kv * D
                : own + (prompt->k_row + j - prompt->n_prefix) * stride + kv * D;
        if (rows != NULL)
            put_row(from, D, j, row_strip(head), rows);
        if (columns != NULL)
            put_column(from, D, j, columns);
    }
    for (size_t j = end; columns != NULL && j < round_up(end); j++)
        put_column(NULL, D, j, columns);
}

void tl_cpu_head_lay_out(const tl_cpu_head *head, size_t kv, const float *k,
                         const float *v, size_t first, size_t end)
{
    lay_out(head, kv, head->prompt->prefix_k, k, first, end, head->k_rows,
            head->k_columns);
    lay_out(head, kv, head->prompt->prefix_v, v, first, end, head->v_rows,
            head->v_columns);
}

/* ---- what is seen ---------------------------------------------------------------------- */

tl_cpu_sight tl_cpu_sight_of(const tl_attention *shape,
                             const tl_attention_prompt *prompt, size_t i)
{
    const size_t n = prompt->n_prefix + prompt->n_key;
    tl_cpu_sight s = {0, shape->causal ? i + 1 : n, false};
    if (shape->window > 0 && i + 1 > shape->window)
        s.first = i + 1 - shape->window;
    if (prompt->block == NULL || prompt->block[i] < 0)
        return s;
    const tl_cpu_sight before = s;
    size_t count = s.end - s.first;
    for (size_t j = 0; j < n; j++) {
        if (prompt->block[j] != prompt->block[i])
            continue;
        count += j < before.first || j >= before.end;
        s.first = smaller(s.first, j);
        s.end = larger(s.end, j + 1);
    }
    s.gaps = count < s.end - s.first;
    return s;
}

void tl_cpu_query_tile_add(tl_cpu_query_tile *t, size_t at, size_t position,
                           tl_cpu_sight sight)
{
    t->first = t->n == 0 ? sight.first : smaller(t->first, sight.first);
    t->end = larger(t->end, sight.end);
    t->at[t->n] = at;
    t->position[t->n] = position;
    t->sight[t->n++] = sight;
}

static bool sees(const tl_cpu_head *head, const tl_cpu_query_tile *t, size_t k,
                 size_t j)
{
    const tl_cpu_sight s = t->sight[k];
    return j >= s.first && j < s.end &&
           (!s.gaps || tl_attention_sees(head->shape, head->prompt, t->position[k], j));
}

/* x[j - first] = value for keys [first, end) that query k does not see. */
static void hide(const tl_cpu_head *head, const tl_cpu_query_tile *t, size_t k,
                 size_t first, size_t end, float value, float *x)
{
    const tl_cpu_sight s = t->sight[k];
    size_t j = first;
    for (; j < smaller(s.first, end); j++)
        x[j - first] = value;
    for (; s.gaps && j < smaller(s.end, end); j++)
        if (!sees(head, t, k, j))
            x[j - first] = value;
    for (j = larger(s.end, first); j < end; j++)
        x[j - first] = value;
}

/* Some queries of a tile, and keys that some of them see; in p a query's row begins with
 * key `base`. */
typedef struct group {
    size_t from, n;
    size_t first, end;
    size_t base;
} group;

/* Queries [from, from + n), with keys of [first, end). */
static group make_group(const tl_cpu_query_tile *t, size_t from, size_t n, size_t first,
                        size_t end, size_t base)
{
    group g = {from, n, end, first, base};
    for (size_t k = from; k < from + n; k++) {
        g.first = smaller(g.first, larger(t->sight[k].first, first));
        g.end = larger(g.end, smaller(t->sight[k].end, end));
    }
    return g;
}

/* How many queries are taken together: all if there is nothing that some do not see. */
static size_t queries_together(const tl_cpu_query_tile *t, size_t first, size_t end)
{
    for (size_t k = 0; k < t->n; k++)
        if (t->sight[k].gaps || t->sight[k].first > first || t->sight[k].end < end)
            return TL_CPU_TILE_ROWS;
    return t->n;
}

/* ---- products ---------------------------------------------------------------------------- */

/* p[k,j] = x[k] . column j, for whole strips of keys. */
static void times_columns(const tl_cpu_head *head, const group *g, const float *x,
                          const float *columns, float *p)
{
    const size_t D = head->shape->d_head, W = width_of(head),
                 first = round_down(g->first);
    tl_cpu_tile_multiply(
        g->n, D, round_up(g->end) - first, (tl_cpu_tile_rows){x + g->from * W, W, 1},
        (tl_cpu_strips){columns + first * D, column_strip(head)},
        (tl_cpu_sums){p + g->from * STRIDE + first - g->base, STRIDE, false});
}

/* y[k] += sum_j p[k,j] rows[j] over keys [first, end), which queries [from, from + n) see. */
static void add_rows(const tl_cpu_head *head, size_t from, size_t n, size_t first,
                     size_t end, size_t base, const float *p, const float *rows,
                     float *y)
{
    const size_t W = width_of(head);
    tl_cpu_tile_multiply(
        n, end - first, W,
        (tl_cpu_tile_rows){p + from * STRIDE + first - base, STRIDE, 1},
        (tl_cpu_strips){rows + first * STRIP, row_strip(head)},
        (tl_cpu_sums){y + from * W, W, true});
}

/* The first key behind j where a run of keys ends that k sees, or does not see. */
static size_t run_end(const tl_cpu_head *head, const tl_cpu_query_tile *t, size_t k,
                      size_t j, size_t end)
{
    const bool seen = sees(head, t, k, j);
    while (j < end && sees(head, t, k, j) == seen)
        j++;
    return j;
}

/* Whether k sees all of [first, end). */
static bool looks_at(const tl_cpu_query_tile *t, size_t k, size_t first, size_t end)
{
    const tl_cpu_sight s = t->sight[k];
    return !s.gaps && s.first <= first && s.end >= end;
}

/* y[k] += sum_j p[k,j] rows[j] over the keys of the group that k sees. Keys are cut where a
 * query begins or ends to see; between two cuts, neighbours that do see are a product. */
static void times_rows(const tl_cpu_head *head, const tl_cpu_query_tile *t,
                       const group *g, const float *p, const float *rows, float *y)
{
    const size_t last = g->from + g->n;
    for (size_t at = g->first, cut; at < g->end; at = cut) {
        cut = g->end;
        for (size_t k = g->from; k < last; k++) {
            const tl_cpu_sight s = t->sight[k];
            cut = s.first > at ? smaller(cut, s.first) : cut;
            cut = s.end > at ? smaller(cut, s.end) : cut;
        }
        for (size_t k = g->from, end; k < last; k = end + (end == k)) {
            for (end = k; end < last && looks_at(t, end, at, cut);)
                end++;
            if (end > k)
                add_rows(head, k, end - k, at, cut, g->base, p, rows, y);
        }
    }
    for (size_t k = g->from; k < last; k++)
        for (size_t j = g->first, end; t->sight[k].gaps && j < g->end; j = end) {
            end = run_end(head, t, k, j, g->end);
            if (sees(head, t, k, j))
                add_rows(head, k, 1, j, end, g->base, p, rows, y);
        }
}

/* y[j - first] += sum_k p[k,j] x[k] for keys [first, end). */
static void add_outer(const tl_cpu_head *head, const tl_cpu_query_tile *t, size_t first,
                      size_t end, size_t base, const float *p, const float *x, float *y)
{
    const size_t W = width_of(head);
    tl_cpu_tile_multiply(end - first, t->n, W,
                         (tl_cpu_tile_rows){p + first - base, 1, STRIDE},
                         (tl_cpu_strips){x, TILE * STRIP}, (tl_cpu_sums){y, W, true});
}

/* ---- rows of numbers ------------------------------------------------------------------- */

TL_WIDE static void scale_to(const float *restrict x, float factor, size_t n,
                             float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * factor;
}

/* Half a strip, which the compiler makes registers of. */
enum { HALF = STRIP / 2 };
typedef float half_strip __attribute__((vector_size(HALF * sizeof(float))));
typedef int32_t half_mask __attribute__((vector_size(HALF * sizeof(int32_t))));

/* The sum of whole strips. */
static inline float strips_sum(const float *x, size_t n)
{
    half_strip low = {0.0f}, high = {0.0f}, some;
    for (size_t j = 0; j < n; j += STRIP) {
        memcpy(&some, x + j, sizeof some);
        low += some;
        memcpy(&some, x + j + HALF, sizeof some);
        high += some;
    }
    low += high;
    float lane[HALF];
    memcpy(lane, &low, sizeof lane);
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* The largest of `most` and whole strips; what is no number is not looked at. */
static inline float strips_largest(const float *x, size_t n, float most)
{
    half_strip all = {0.0f}, some;
    all += most;
    for (size_t j = 0; j < n; j += HALF) {
        memcpy(&some, x + j, sizeof some);
        const half_mask more = some > all;
        all = (half_strip)(((half_mask)some & more) | ((half_mask)all & ~more));
    }
    float lane[HALF];
    memcpy(lane, &all, sizeof lane);
    for (size_t l = 0; l < HALF; l++)
        most = lane[l] > most ? lane[l] : most;
    return most;
}

/* s [n] become their exponentials below the largest so far, *most; *sum and z [width] are
 * those of the blocks before. n is whole strips. */
TL_WIDE static void soften(size_t n, float *restrict s, float *restrict most,
                           float *restrict sum, size_t width, float *restrict z)
{
    const float largest = strips_largest(s, n, *most);
    if (largest > *most) {
        const float factor = tl_cpu_exp(*most - largest);
        *most = largest;
        *sum *= factor;
        for (size_t d = 0; d < width; d++)
            z[d] *= factor;
    }
    /* Minus infinity, if there was nothing else, has no distance to itself. */
    const float shift = *most == -INFINITY ? 0.0f : *most;
    for (size_t j = 0; j < n; j++)
        s[j] = tl_cpu_exp_below(s[j] - shift);
    *sum += strips_sum(s, n);
}

TL_WIDE static void exponentials(size_t n, float shift, float *restrict s)
{
    for (size_t j = 0; j < n; j++)
        s[j] = tl_cpu_exp_below(s[j] - shift);
}

TL_WIDE static void score_gradients(size_t n, const float *restrict p, float delta,
                                    float scale, const float *restrict capped,
                                    float *restrict d)
{
    for (size_t j = 0; j < n; j++) {
        const float slope = capped != NULL ? 1.0f - capped[j] * capped[j] : 1.0f;
        d[j] = p[j] * (d[j] - delta) * scale * slope;
    }
}

/* s = cap tanh(s / cap); the tanh is kept where `capped` is not NULL. */
static void cap_scores(size_t n, float cap, float *s, float *capped)
{
    for (size_t j = 0; j < n; j++) {
        const float value = tanhf(s[j] / cap);
        if (capped != NULL)
            capped[j] = value;
        s[j] = cap * value;
    }
}

/* ---- a tile -------------------------------------------------------------------------------- */

size_t tl_cpu_query_floats(const tl_attention *shape, bool backward)
{
    const size_t by_width = backward ? 5 : 2, by_keys = !backward               ? 1
                                                        : shape->softcap > 0.0f ? 3
                                                                                : 2;
    return TILE * (by_width * round_up(shape->d_head) + by_keys * STRIDE);
}

tl_cpu_query_work tl_cpu_query_work_at(float *memory, const tl_attention *shape,
                                       bool backward)
{
    const size_t by_width = TILE * round_up(shape->d_head), by_keys = TILE * STRIDE;
    tl_cpu_query_work w = {.q = memory, .out = memory + by_width};
    w.p = w.out + by_width;
    if (!backward)
        return w;
    w.d_p = w.p + by_keys;
    w.dz = w.d_p + by_keys;
    w.q_strips = w.dz + by_width;
    w.dz_strips = w.q_strips + by_width;
    w.capped = shape->softcap > 0.0f ? w.dz_strips + by_width : NULL;
    return w;
}

/* Rows of queries, times a factor, side by side. */
static void gather(const tl_cpu_head *head, const tl_cpu_query_tile *t, const float *x,
                   float factor, float *to)
{
    for (size_t k = 0; k < t->n; k++)
        scale_to(x + t->at[k] * head->shape->d_head, factor, head->shape->d_head,
                 to + k * width_of(head));
}

static void gather_strips(const tl_cpu_head *head, const tl_cpu_query_tile *t,
                          const float *x, float *to)
{
    const size_t D = head->shape->d_head;
    for (size_t k = 0; k < t->n; k++)
        put_row(x + t->at[k] * D, D, k, TILE * STRIP, to);
}

static void clear_out(const tl_cpu_head *head, const tl_cpu_query_tile *t, float *out)
{
    memset(out, 0, t->n * width_of(head) * sizeof *out);
}

/* Scores of the group's whole strips, minus infinity where a key is not seen. */
static void make_scores(const tl_cpu_head *head, const tl_cpu_query_work *w,
                        const tl_cpu_query_tile *t, const group *g)
{
    const size_t first = round_down(g->first), n = round_up(g->end) - first;
    times_columns(head, g, w->q, head->k_columns, w->p);
    for (size_t k = g->from; k < g->from + g->n; k++) {
        const size_t at = k * STRIDE + first - g->base;
        if (head->shape->softcap > 0.0f)
            cap_scores(n, head->shape->softcap, w->p + at,
                       w->capped != NULL ? w->capped + at : NULL);
        hide(head, t, k, first, first + n, -INFINITY, w->p + at);
    }
}

/* Sums of a tile's softmax. */
typedef struct softmax {
    float most[TILE], sum[TILE];
} softmax;

static void forward_group(const tl_cpu_head *head, const tl_cpu_query_work *w,
                          const tl_cpu_query_tile *t, const group *g, softmax *soft)
{
    const size_t W = width_of(head);
    make_scores(head, w, t, g);
    for (size_t k = g->from; k < g->from + g->n; k++) {
        const size_t first = round_down(larger(t->sight[k].first, g->first)),
                     end = round_up(smaller(t->sight[k].end, g->end));
        if (first < end)
            soften(end - first, w->p + k * STRIDE + first - g->base, &soft->most[k],
                   &soft->sum[k], W, w->out + k * W);
    }
    times_rows(head, t, g, w->p, head->v_rows, w->out);
}

void tl_cpu_queries_forward(const tl_cpu_head *head, const tl_cpu_query_work *w,
                            const tl_cpu_query_tile *t, const float *q, float *z,
                            float *lse)
{
    const size_t D = head->shape->d_head, W = width_of(head);
    softmax soft;
    for (size_t k = 0; k < t->n; k++) {
        soft.most[k] = -INFINITY;
        soft.sum[k] = 0.0f;
    }
    gather(head, t, q, head->shape->scale, w->q);
    clear_out(head, t, w->out);
    for (size_t base = t->first / KEY_BLOCK * KEY_BLOCK; base < t->end;
         base += KEY_BLOCK) {
        const size_t end = smaller(base + KEY_BLOCK, t->end),
                     together = queries_together(t, base, end);
        for (size_t k = 0; k < t->n; k += together) {
            const group g =
                make_group(t, k, smaller(together, t->n - k), base, end, base);
            if (g.first < g.end)
                forward_group(head, w, t, &g, &soft);
        }
    }
    for (size_t k = 0; k < t->n; k++) {
        scale_to(w->out + k * W, 1.0f / soft.sum[k], D, z + t->at[k] * D);
        if (lse != NULL)
            lse[t->at[k]] = (float)((double)soft.most[k] + log((double)soft.sum[k]));
    }
}

/* ---- the way back ------------------------------------------------------------------------- */

/* What the group has not made of keys [first, end) is zero. */
static void clear_others(const group *g, size_t first, size_t end, float *p)
{
    const bool none = g->first >= g->end;
    const size_t low = none ? end : larger(round_down(g->first), first),
                 high = none ? end : smaller(round_up(g->end), end);
    for (size_t k = g->from; k < g->from + g->n; k++) {
        float *row = p + k * STRIDE;
        memset(row + first - g->base, 0, (low - first) * sizeof *p);
        memset(row + high - g->base, 0, (end - high) * sizeof *p);
    }
}

/* The pattern, and without relevance the gradients of scores. */
static void backward_group(const tl_cpu_head *head, const tl_cpu_query_work *w,
                           const tl_cpu_query_tile *t, const tl_cpu_queries_back *back,
                           const float *delta, const group *g)
{
    const size_t first = round_down(g->first), n = round_up(g->end) - first;
    make_scores(head, w, t, g);
    for (size_t k = g->from; k < g->from + g->n; k++)
        exponentials(n, back->lse[t->at[k]], w->p + k * STRIDE + first - g->base);
    if (head->v_columns == NULL)
        return;
    times_columns(head, g, w->dz, head->v_columns, w->d_p);
    for (size_t k = g->from; k < g->from + g->n; k++) {
        const size_t at = k * STRIDE + first - g->base;
        score_gradients(n, w->p + at, delta[k], head->shape->scale,
                        w->capped != NULL ? w->capped + at : NULL, w->d_p + at);
        hide(head, t, k, first, first + n, 0.0f, w->d_p + at);
    }
    if (back->dq != NULL)
        times_rows(head, t, g, w->d_p, head->k_rows, w->out);
}

/* One block of keys, or what is asked for of it: [first, end). */
static void backward_block(const tl_cpu_head *head, const tl_cpu_query_work *w,
                           const tl_cpu_query_tile *t, const tl_cpu_queries_back *back,
                           const float *delta, size_t base, size_t first, size_t end)
{
    const size_t W = width_of(head), own = larger(first, back->first_own),
                 together = queries_together(t, first, end);
    for (size_t k = 0; k < t->n; k += together) {
        const group g = make_group(t, k, smaller(together, t->n - k), first, end, base);
        if (g.first < g.end)
            backward_group(head, w, t, back, delta, &g);
        clear_others(&g, first, end, w->p);
        if (head->v_columns != NULL)
            clear_others(&g, first, end, w->d_p);
    }
    if (own < end && back->dv != NULL)
        add_outer(head, t, own, end, base, w->p, w->dz_strips,
                  back->dv + (own - back->first_own) * W);
    if (own < end && back->dk != NULL)
        add_outer(head, t, own, end, base, w->d_p, w->q_strips,
                  back->dk + (own - back->first_own) * W);
}

void tl_cpu_queries_backward(const tl_cpu_head *head, const tl_cpu_query_work *w,
                             const tl_cpu_query_tile *t,
                             const tl_cpu_queries_back *back)
{
    const size_t D = head->shape->d_head, W = width_of(head);
    float delta[TILE];
    gather(head, t, back->q, head->shape->scale, w->q);
    gather_strips(head, t, back->dz, w->dz_strips);
    if (head->v_columns != NULL) { /* more than dv */
        gather(head, t, back->dz, 1.0f, w->dz);
        gather_strips(head, t, back->q, w->q_strips);
        clear_out(head, t, w->out);
        for (size_t k = 0; k < t->n; k++)
            delta[k] = tl_cpu_dot(back->dz + t->at[k] * D, back->z + t->at[k] * D, D);
    }
    for (size_t base = larger(t->first, back->first) / KEY_BLOCK * KEY_BLOCK;
         base < smaller(t->end, back->end); base += KEY_BLOCK)
        backward_block(head, w, t, back, delta, base, larger(base, back->first),
                       smaller(base + KEY_BLOCK, back->end));
    for (size_t k = 0; k < t->n && back->dq != NULL; k++)
        memcpy(back->dq + t->at[k] * D, w->out + k * W, D * sizeof *back->dq);
}
