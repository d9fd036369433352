/* SPDX-License-Identifier: MIT
 *
 * cpu_attention.c - attention of the cpu backend (op/attention.h says what it is).
 *
 * The unit that a thread takes is one prompt and one key-value head, with all query
 * heads that read it, so that the gradients of keys and values are summed by one
 * thread in one order: head by head, query by query. Keys (and values, on the way
 * back) are first laid out transposed, [d_head, n]: scores of one query against all
 * keys are then a few long additions, each element by itself.
 */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "twinlens/alloc.h"

/* Scratch of one thread for a prompt of n keys. */
typedef struct scratch {
    float *k, *v;       /* [n, D]: prefix and own rows of one key-value head */
    float *k_t, *v_t;   /* [D, n] */
    float *s, *p, *d_p; /* [n] */
    float *d_k, *d_v;   /* [n, D] */
    float *capped;      /* [n]: s / softcap after the tanh, for its slope */
} scratch;

static size_t scratch_floats(size_t n, size_t d)
{
    return 6 * n * d + 4 * n;
}

static scratch carve(float *memory, size_t n, size_t d)
{
    scratch w;
    float **matrices[] = {&w.k, &w.v, &w.k_t, &w.v_t, &w.d_k, &w.d_v};
    float **rows[] = {&w.s, &w.p, &w.d_p, &w.capped};
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++, memory += n * d)
        *matrices[i] = memory;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++, memory += n)
        *rows[i] = memory;
    return w;
}

/* One head's rows, prefix first, as they are and transposed. */
static void gather(const tl_attention *shape, const tl_attention_prompt *prompt,
                   size_t head, const float *prefix, const float *own, float *rows,
                   float *transposed)
{
    const size_t D = shape->d_head, stride = shape->n_kv_heads * D;
    const size_t n = prompt->n_prefix + prompt->n_key;
    for (size_t j = 0; j < n; j++) {
        const float *from =
            j < prompt->n_prefix
                ? prefix + j * stride + head * D
                : own + (prompt->k_row + j - prompt->n_prefix) * stride + head * D;
        memcpy(rows + j * D, from, D * sizeof *rows);
        for (size_t d = 0; d < D; d++)
            transposed[d * n + j] = from[d];
    }
}

/* Keys that query i may see lie in [first, end); others in it are masked. */
typedef struct range {
    size_t first, end;
    bool masked;
} range;

static range visible_range(const tl_attention *shape, const tl_attention_prompt *prompt,
                           size_t i)
{
    const size_t n = prompt->n_prefix + prompt->n_key;
    range r = {0, shape->causal ? i + 1 : n, false};
    if (shape->window > 0 && i + 1 > shape->window)
        r.first = i + 1 - shape->window;
    if (prompt->block != NULL && prompt->block[i] >= 0) {
        r = (range){0, n, true};
    }
    return r;
}

static bool visible(const tl_attention *shape, const tl_attention_prompt *prompt,
                    size_t i, size_t j)
{
    if (prompt->block != NULL && prompt->block[i] >= 0 &&
        prompt->block[i] == prompt->block[j])
        return true;
    return (!shape->causal || j <= i) && (shape->window == 0 || i < j + shape->window);
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

/* m[j, d] += x[j] y[d] over [first, end). */
TL_WIDE static void add_outer(const float *restrict x, const float *restrict y,
                              size_t D, size_t first, size_t end, float *restrict m)
{
    for (size_t j = first; j < end; j++)
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
                   const scratch *w, const float *q, size_t i, range r)
{
    const size_t n = prompt->n_prefix + prompt->n_key;
    times_transposed(q, w->k_t, shape->d_head, n, r.first, r.end, w->s);
    scale_row(r.first, r.end, shape->scale, w->s);
    if (shape->softcap > 0.0f)
        for (size_t j = r.first; j < r.end; j++) {
            w->capped[j] = tanhf(w->s[j] / shape->softcap);
            w->s[j] = shape->softcap * w->capped[j];
        }
    if (r.masked)
        for (size_t j = r.first; j < r.end; j++)
            if (!visible(shape, prompt, i, j))
                w->s[j] = -INFINITY;
}

static void forward_unit(const tl_attention *shape, const tl_attention_prompt *prompt,
                         size_t kv, const scratch *w, const float *q, const float *k,
                         const float *v, float *z, float *lse)
{
    const size_t D = shape->d_head, H = shape->n_heads, group = H / shape->n_kv_heads;
    const size_t n = prompt->n_prefix + prompt->n_key;
    gather(shape, prompt, kv, prompt->prefix_k, k, w->k, w->k_t);
    gather(shape, prompt, kv, prompt->prefix_v, v, w->v, w->v_t);
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t a = 0; a < prompt->n_query; a++) {
            const size_t i = n - prompt->n_query + a, at = (prompt->q_row + a) * H + h;
            const range r = visible_range(shape, prompt, i);
            scores(shape, prompt, w, q + at * D, i, r);
            float most = -INFINITY;
            for (size_t j = r.first; j < r.end; j++)
                most = w->s[j] > most ? w->s[j] : most;
            const float sum = exponentials(w->s, most, r.first, r.end, w->p);
            scale_row(r.first, r.end, 1.0f / sum, w->p);
            memset(w->p, 0, r.first * sizeof *w->p);
            times_rows(w->p, w->v, D, r.end, z + at * D);
            lse[at] = (float)((double)most + log((double)sum));
        }
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

static void backward_unit(const tl_attention *shape, const tl_attention_prompt *prompt,
                          size_t kv, const scratch *w, const float *q, const float *k,
                          const float *v, const float *z, const float *lse,
                          const float *dz, float *dq, float *dk, float *dv)
{
    const size_t D = shape->d_head, H = shape->n_heads, G = shape->n_kv_heads,
                 group = H / G;
    const size_t n = prompt->n_prefix + prompt->n_key;
    gather(shape, prompt, kv, prompt->prefix_k, k, w->k, w->k_t);
    gather(shape, prompt, kv, prompt->prefix_v, v, w->v, w->v_t);
    memset(w->d_k, 0, n * D * sizeof *w->d_k);
    memset(w->d_v, 0, n * D * sizeof *w->d_v);
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t a = 0; a < prompt->n_query; a++) {
            const size_t i = n - prompt->n_query + a, at = (prompt->q_row + a) * H + h;
            const range r = visible_range(shape, prompt, i);
            const float *q_row = q + at * D, *dz_row = dz + at * D;
            scores(shape, prompt, w, q_row, i, r);
            exponentials(w->s, lse[at], r.first, r.end, w->p);
            times_transposed(dz_row, w->v_t, D, n, r.first, r.end, w->d_p);
            score_gradients(w->p, tl_cpu_dot(dz_row, z + at * D, D), shape->scale,
                            shape->softcap > 0.0f ? w->capped : NULL, r.first, r.end,
                            w->d_p);
            /* Prefix keys and values get no gradient. */
            const size_t own = r.first > prompt->n_prefix ? r.first : prompt->n_prefix;
            add_outer(w->p, dz_row, D, own, r.end, w->d_v);
            add_outer(w->d_p, q_row, D, own, r.end, w->d_k);
            memset(w->d_p, 0, r.first * sizeof *w->d_p);
            times_rows(w->d_p, w->k, D, r.end, dq + at * D);
        }
    for (size_t j = prompt->n_prefix; j < n; j++) {
        const size_t at = ((prompt->k_row + j - prompt->n_prefix) * G + kv) * D;
        memcpy(dk + at, w->d_k + j * D, D * sizeof *dk);
        memcpy(dv + at, w->d_v + j * D, D * sizeof *dv);
    }
}

tl_status tl_cpu_scratch_reserve(tl_cpu_scratch *kept, size_t bytes, tl_error *err)
{
    if (kept->bytes >= bytes)
        return TL_OK;
    tl_free(kept->memory);
    kept->memory = tl_alloc(bytes, 1);
    kept->bytes = kept->memory != NULL ? bytes : 0;
    return kept->memory != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY,
                         "no memory for attention, which works with %zu bytes", bytes);
}

/* Floats of one thread: enough for the longest prompt. */
static size_t thread_floats(const tl_attention *shape, size_t n_prompts,
                            const tl_attention_prompt *prompts)
{
    size_t longest = 0;
    for (size_t p = 0; p < n_prompts; p++) {
        const size_t n = prompts[p].n_prefix + prompts[p].n_key;
        longest = n > longest ? n : longest;
    }
    return scratch_floats(longest, shape->d_head);
}

size_t tl_cpu_attention_bytes(size_t n_threads, const tl_attention *shape,
                              size_t n_prompts, const tl_attention_prompt *prompts,
                              bool backward)
{
    (void)backward;
    return n_threads * thread_floats(shape, n_prompts, prompts) * sizeof(float);
}

tl_status tl_cpu_attention(size_t n_threads, tl_cpu_scratch *kept,
                           const tl_attention *shape, size_t n_prompts,
                           const tl_attention_prompt *prompts, const float *q,
                           const float *k, const float *v, float *z, float *lse,
                           tl_error *err)
{
    const size_t floats = thread_floats(shape, n_prompts, prompts);
    const tl_status status =
        tl_cpu_scratch_reserve(kept, n_threads * floats * sizeof(float), err);
    if (status != TL_OK)
        return status;
    float *memory = kept->memory;
    const size_t G = shape->n_kv_heads;
#pragma omp parallel for num_threads((int)n_threads) schedule(dynamic)
    for (size_t unit = 0; unit < n_prompts * G; unit++) {
        const tl_attention_prompt *prompt = &prompts[unit / G];
        const scratch w = carve(memory + (size_t)omp_get_thread_num() * floats,
                                prompt->n_prefix + prompt->n_key, shape->d_head);
        forward_unit(shape, prompt, unit % G, &w, q, k, v, z, lse);
    }
    return TL_OK;
}

tl_status tl_cpu_attention_backward(size_t n_threads, tl_cpu_scratch *kept,
                                    const tl_attention *shape, size_t n_prompts,
                                    const tl_attention_prompt *prompts, const float *q,
                                    const float *k, const float *v, const float *z,
                                    const float *lse, const float *dz, float *dq,
                                    float *dk, float *dv, tl_error *err)
{
    const size_t floats = thread_floats(shape, n_prompts, prompts);
    const tl_status status =
        tl_cpu_scratch_reserve(kept, n_threads * floats * sizeof(float), err);
    if (status != TL_OK)
        return status;
    float *memory = kept->memory;
    const size_t G = shape->n_kv_heads;
#pragma omp parallel for num_threads((int)n_threads) schedule(dynamic)
    for (size_t unit = 0; unit < n_prompts * G; unit++) {
        const tl_attention_prompt *prompt = &prompts[unit / G];
        const scratch w = carve(memory + (size_t)omp_get_thread_num() * floats,
                                prompt->n_prefix + prompt->n_key, shape->d_head);
        backward_unit(shape, prompt, unit % G, &w, q, k, v, z, lse, dz, dq, dk, dv);
    }
    return TL_OK;
}
