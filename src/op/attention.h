/* SPDX-License-Identifier: MIT
 *
 * attention.h - softmax attention inside each prompt of a ragged batch, forward
 * and backward.
 *
 *   H, G   query heads, key-value heads; head h reads key-value head h / (H/G)
 *   D      d_head
 *   i, j   absolute positions of a query and a key in the same prompt
 *
 *     s[i,h,j] = scale q[i,h,:] . k[j,h/(H/G),:]
 *     s        = softcap tanh(s / softcap)                        if softcap > 0
 *     visible(i,j) = ((not causal or j <= i) and (window == 0 or i - j < window))
 *                    or (block[i] >= 0 and block[i] == block[j])
 *     p[i,h,:] = softmax of s[i,h,j] over the visible j
 *     z[i,h,:] = sum_j p[i,h,j] v[j,h/(H/G),:]
 *     lse[i,h] = log sum_j exp s[i,h,j]
 *
 * Keys and values of a prompt are n_prefix rows from elsewhere (computed once for
 * prompts that begin alike) followed by rows of k and v of this batch. Queries
 * may be fewer than keys: they are the last n_query positions.
 */
#ifndef TWINLENS_OP_ATTENTION_H
#define TWINLENS_OP_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/site.h"

typedef struct tl_attention {
    size_t n_heads, n_kv_heads, d_head;
    float scale;
    float softcap; /* 0: none */
    size_t window; /* 0: none; a query sees itself and the window - 1 before it */
    bool causal;
} tl_attention;

typedef struct tl_attention_prompt {
    size_t q_row, n_query;            /* its rows in q, z, lse */
    size_t k_row, n_key;              /* its own rows in k and v */
    size_t n_prefix;                  /* earlier keys; n_query <= n_prefix + n_key */
    const float *prefix_k, *prefix_v; /* [n_prefix, G, D], or NULL */
    const int32_t *block;             /* [n_prefix + n_key] or NULL; -1: in no block */
} tl_attention_prompt;

/*
 * Shapes    q, z [rows of queries, H, D]; k, v [rows of keys, G, D]; lse [queries, H]
 * Requires  every query sees at least one key; no two prompts share a row of q or k
 * Accuracy  sums in double, one rounding per stored value
 * @source   arXiv:1706.03762 eq. 1; grouped heads arXiv:2305.13245; soft cap and
 *           window as in the Gemma-2 and Gemma-3 models
 */
void tl_attention_forward(const tl_attention *shape, size_t n_prompts,
                          const tl_attention_prompt *prompts, const float *q,
                          const float *k, const float *v, float *z, float *lse);

/* Whether position i of a prompt sees position j: visible(i,j). */
bool tl_attention_sees(const tl_attention *shape, const tl_attention_prompt *prompt,
                       size_t i, size_t j);

/* One head of one query. `at`: its row in q and z, which are [.., D] here. */
typedef struct tl_attention_query {
    uint32_t prompt, position, head, at;
} tl_attention_query;

/*
 * The same z for some heads of some queries alone. Of a prompt's keys and values, those
 * that no query sees may be anything finite.
 * Requires  no two queries have one `at`; n_query and q_row are not read
 */
void tl_attention_some(const tl_attention *shape, const tl_attention_prompt *prompts,
                       size_t n, const tl_attention_query *queries, const float *q,
                       const float *k, const float *v, float *z);

/*
 * The gradient. With p recomputed from q, k and lse, dp[i,h,j] = dz[i,h,:] . v[j,:] and
 * delta[i,h] = dz[i,h,:] . z[i,h,:] = sum_j p dp:
 *
 *     ds[i,h,j] = p (dp - delta) scale (1 - (s/softcap)^2 with a softcap)
 *     dq[i,h,:] = sum_j ds k[j,:];  dk[j,:] = sum_i,h ds q;  dv[j,:] = sum_i,h p dz
 *
 * dq, dk, dv are written, not added to, and rows of no prompt are left alone; prefix
 * keys and values get no gradient. z and lse are those of the forward pass: delta
 * would be wrong for a z that was edited since.
 *
 * By the rule of relevance p is a constant: dv as above, and nothing flows to q and k.
 * Then v and z are not read, dq and dk not written.
 */
void tl_attention_backward(tl_backward_rule rule, const tl_attention *shape,
                           size_t n_prompts, const tl_attention_prompt *prompts,
                           const float *q, const float *k, const float *v,
                           const float *z, const float *lse, const float *dz, float *dq,
                           float *dk, float *dv);

#endif
