/* SPDX-License-Identifier: MIT
 *
 * attention.c - see attention.h for the formulas.
 *
 * Scores are computed again wherever they are needed and never stored: an op
 * allocates nothing, and n_pos^2 numbers per head would be most of a pass's memory.
 * What is left to keep is one row of sums, CHANNELS of them at a time; a head with
 * more channels than that is walked in several goes.
 */
#include "op/attention.h"

#include <assert.h>
#include <math.h>

enum { CHANNELS = 256 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static double dot(size_t n, const float *a, const float *b)
{
    double sum = 0.0;
    for (size_t c = 0; c < n; c++)
        sum += (double)a[c] * (double)b[c];
    return sum;
}

/* The position of a prompt's query number `a`: queries are the last positions. */
static size_t query_position(const tl_attention_prompt *p, size_t a)
{
    return p->n_prefix + p->n_key - p->n_query + a;
}

/* Which of the rows [D] of q and z, and which element of lse, is head h of query a. */
static size_t query_at(const tl_attention *shape, const tl_attention_prompt *p,
                       size_t a, size_t h)
{
    return (p->q_row + a) * shape->n_heads + h;
}

/* Key (or value) head g at position j, from the prefix or from this batch. */
static const float *key_at(const tl_attention *shape, const tl_attention_prompt *p,
                           const float *prefix, const float *own, size_t j, size_t g)
{
    const size_t width = shape->n_kv_heads * shape->d_head;
    const float *row = j < p->n_prefix ? prefix + j * width
                                       : own + (p->k_row + j - p->n_prefix) * width;
    return row + g * shape->d_head;
}

bool tl_attention_sees(const tl_attention *shape, const tl_attention_prompt *p,
                       size_t i, size_t j)
{
    if (p->block != NULL && p->block[i] >= 0 && p->block[i] == p->block[j])
        return true;
    if (j > i)
        return !shape->causal; /* what comes later is inside every window */
    return shape->window == 0 || i - j < shape->window;
}

static double score(const tl_attention *shape, const float *q, const float *k)
{
    const double s = (double)shape->scale * dot(shape->d_head, q, k);
    const double cap = (double)shape->softcap;
    return cap > 0.0 ? cap * tanh(s / cap) : s;
}

static void check(const tl_attention *shape, const tl_attention_prompt *p)
{
    assert(shape->n_kv_heads >= 1 && shape->n_heads % shape->n_kv_heads == 0);
    assert(shape->d_head >= 1);
    assert(p->n_query <= p->n_prefix + p->n_key);
    assert(p->n_prefix == 0 || (p->prefix_k != NULL && p->prefix_v != NULL));
    (void)shape, (void)p;
}

/* ---- forward -------------------------------------------------------------------- */

/* One query and one head: writes z [D] and lse [1]. */
static void forward_query(const tl_attention *shape, const tl_attention_prompt *p,
                          size_t i, size_t g, const float *q, const float *k,
                          const float *v, float *z, float *lse)
{
    const size_t D = shape->d_head, n_pos = p->n_prefix + p->n_key;
    double max = -INFINITY; /* taken out of every exp, which then stays in [0, 1] */
    for (size_t j = 0; j < n_pos; j++)
        if (tl_attention_sees(shape, p, i, j))
            max = fmax(max, score(shape, q, key_at(shape, p, p->prefix_k, k, j, g)));

    for (size_t c0 = 0; c0 < D; c0 += CHANNELS) {
        const size_t n = smaller(CHANNELS, D - c0);
        double sum = 0.0, weighted[CHANNELS] = {0.0};
        for (size_t j = 0; j < n_pos; j++) {
            if (!tl_attention_sees(shape, p, i, j))
                continue;
            const float *k_row = key_at(shape, p, p->prefix_k, k, j, g);
            const float *v_row = key_at(shape, p, p->prefix_v, v, j, g) + c0;
            const double e = exp(score(shape, q, k_row) - max);
            sum += e;
            for (size_t c = 0; c < n; c++)
                weighted[c] += e * (double)v_row[c];
        }
        for (size_t c = 0; c < n; c++)
            z[c0 + c] = (float)(weighted[c] / sum);
        *lse = (float)(max + log(sum));
    }
}

void tl_attention_forward(const tl_attention *shape, size_t n_prompts,
                          const tl_attention_prompt *prompts, const float *q,
                          const float *k, const float *v, float *z, float *lse)
{
    for (const tl_attention_prompt *p = prompts; p < prompts + n_prompts; p++) {
        check(shape, p);
        const size_t group = shape->n_heads / shape->n_kv_heads;
        for (size_t a = 0; a < p->n_query; a++)
            for (size_t h = 0; h < shape->n_heads; h++) {
                const size_t at = query_at(shape, p, a, h);
                forward_query(shape, p, query_position(p, a), h / group,
                              q + at * shape->d_head, k, v, z + at * shape->d_head,
                              lse + at);
            }
    }
}

void tl_attention_some(const tl_attention *shape, const tl_attention_prompt *prompts,
                       size_t n, const tl_attention_query *queries, const float *q,
                       const float *k, const float *v, float *z)
{
    const size_t D = shape->d_head, group = shape->n_heads / shape->n_kv_heads;
    for (const tl_attention_query *i = queries; i < queries + n; i++) {
        float lse;
        check(shape, &prompts[i->prompt]);
        forward_query(shape, &prompts[i->prompt], i->position, i->head / group,
                      q + i->at * D, k, v, z + i->at * D, &lse);
    }
}

/* ---- backward ------------------------------------------------------------------- */

/* What the backward pass reads, as the forward pass laid it out. */
typedef struct inputs {
    tl_backward_rule rule;
    const float *q, *k, *v, *z, *lse, *dz;
} inputs;

/* What query row `at` hands to one key: p goes into dv, ds into dq and dk. */
typedef struct shares {
    double p, ds;
} shares;

static shares shares_of(const tl_attention *shape, const inputs *x, size_t at,
                        const float *k_row, const float *v_row)
{
    const size_t D = shape->d_head;
    const float *dz = x->dz + at * D;
    const double s = score(shape, x->q + at * D, k_row);
    const double p = exp(s - (double)x->lse[at]);
    if (x->rule == TL_BACKWARD_RELEVANCE)
        return (shares){p, 0.0};
    const double dp = dot(D, dz, v_row), delta = dot(D, dz, x->z + at * D);
    double ds = p * (dp - delta) * (double)shape->scale;
    if (shape->softcap > 0.0f) {
        const double t =
            s / (double)shape->softcap; /* a tanh, so its slope is 1 - t^2 */
        ds *= 1.0 - t * t;
    }
    return (shares){p, ds};
}

/* dq [D] of head h of query a, from every key it saw. */
static void backward_query(const tl_attention *shape, const tl_attention_prompt *p,
                           const inputs *x, size_t a, size_t h, float *dq)
{
    const size_t D = shape->d_head, at = query_at(shape, p, a, h);
    const size_t g = h / (shape->n_heads / shape->n_kv_heads);
    for (size_t c0 = 0; c0 < D; c0 += CHANNELS) {
        const size_t n = smaller(CHANNELS, D - c0);
        double sum[CHANNELS] = {0.0};
        for (size_t j = 0; j < p->n_prefix + p->n_key; j++) {
            if (!tl_attention_sees(shape, p, query_position(p, a), j))
                continue;
            const float *k_row = key_at(shape, p, p->prefix_k, x->k, j, g);
            const float *v_row = key_at(shape, p, p->prefix_v, x->v, j, g);
            const double ds = shares_of(shape, x, at, k_row, v_row).ds;
            for (size_t c = 0; c < n; c++)
                sum[c] += ds * (double)k_row[c0 + c];
        }
        for (size_t c = 0; c < n; c++)
            dq[c0 + c] = (float)sum[c];
    }
}

/* dk (NULL: nobody wants it) and dv [D] of the key at position j, from every query of the
 * group that saw it; zero where none did. */
static void backward_key(const tl_attention *shape, const tl_attention_prompt *p,
                         const inputs *x, size_t j, size_t g, float *dk, float *dv)
{
    const size_t D = shape->d_head, group = shape->n_heads / shape->n_kv_heads;
    const float *k_row = key_at(shape, p, p->prefix_k, x->k, j, g);
    const float *v_row = key_at(shape, p, p->prefix_v, x->v, j, g);
    for (size_t c0 = 0; c0 < D; c0 += CHANNELS) {
        const size_t n = smaller(CHANNELS, D - c0);
        double sum_k[CHANNELS] = {0.0}, sum_v[CHANNELS] = {0.0};
        for (size_t a = 0; a < p->n_query; a++) {
            if (!tl_attention_sees(shape, p, query_position(p, a), j))
                continue;
            for (size_t h = g * group; h < (g + 1) * group; h++) {
                const size_t at = query_at(shape, p, a, h);
                const shares s = shares_of(shape, x, at, k_row, v_row);
                for (size_t c = 0; c < n; c++) {
                    sum_k[c] += s.ds * (double)x->q[at * D + c0 + c];
                    sum_v[c] += s.p * (double)x->dz[at * D + c0 + c];
                }
            }
        }
        for (size_t c = 0; c < n; c++) {
            if (dk != NULL)
                dk[c0 + c] = (float)sum_k[c];
            dv[c0 + c] = (float)sum_v[c];
        }
    }
}

void tl_attention_backward(tl_backward_rule rule, const tl_attention *shape,
                           size_t n_prompts, const tl_attention_prompt *prompts,
                           const float *q, const float *k, const float *v,
                           const float *z, const float *lse, const float *dz, float *dq,
                           float *dk, float *dv)
{

    if (rule == TL_BACKWARD_RELEVANCE)
        dq = dk = NULL;
    const inputs x = {rule, q, k, v, z, lse, dz};
    const size_t D = shape->d_head, G = shape->n_kv_heads;
    for (const tl_attention_prompt *p = prompts; p < prompts + n_prompts; p++) {
        check(shape, p);
        for (size_t a = 0; a < p->n_query && dq != NULL; a++)
            for (size_t h = 0; h < shape->n_heads; h++)
                backward_query(shape, p, &x, a, h, dq + query_at(shape, p, a, h) * D);
        for (size_t t = 0; t < p->n_key; t++)
            for (size_t g = 0; g < G; g++) {
                const size_t at = ((p->k_row + t) * G + g) * D;
                backward_key(shape, p, &x, p->n_prefix + t, g,
                             dk != NULL ? dk + at : NULL, dv + at);
            }
    }
}
