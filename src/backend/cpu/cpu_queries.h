/* SPDX-License-Identifier: MIT
 *
 * cpu_queries.h - a tile of queries and the head that they read, which is one key-value
 * head of one prompt: z, and on the way back what the tile gives to dq, dk and dv.
 *
 * A query's numbers do not depend on the others of its tile, and a key sums over queries in
 * the order in which they come, tile by tile.
 */
#ifndef TWINLENS_BACKEND_CPU_CPU_QUERIES_H
#define TWINLENS_BACKEND_CPU_CPU_QUERIES_H

#include "op/attention.h"

enum { TL_CPU_QUERIES = 24 }; /* of a tile */

/* ---- a head ------------------------------------------------------------------------ */

/* Its keys and values, prefix first, in strips (cpu_tile.h): as rows [n, D], a strip being
 * some of D, or as columns [D, n], a strip being some of the keys. Zeros where D or the
 * keys end before their last strip. NULL where it is not needed. */
typedef struct tl_cpu_head {
    const tl_attention *shape;
    const tl_attention_prompt *prompt;
    float *k_rows, *v_rows, *k_columns, *v_columns;
} tl_cpu_head;

/* Of one of the four panels, of a head with n keys. */
size_t tl_cpu_panel_floats(const tl_attention *shape, size_t n);
/* Keys [first, end) of key-value head kv into the panels that are not NULL; `first` is a
 * multiple of TL_CPU_STRIP, and so is `end` unless it is the last. */
void tl_cpu_head_lay_out(const tl_cpu_head *head, size_t kv, const float *k,
                         const float *v, size_t first, size_t end);

/* ---- queries -------------------------------------------------------------------------- */

/* A query sees keys of [first, end); with gaps not all of them. */
typedef struct tl_cpu_sight {
    size_t first, end;
    bool gaps;
} tl_cpu_sight;

tl_cpu_sight tl_cpu_sight_of(const tl_attention *shape,
                             const tl_attention_prompt *prompt, size_t position);

typedef struct tl_cpu_query_tile {
    size_t n;
    size_t at[TL_CPU_QUERIES];       /* rows [D] of q and z, elements of lse */
    size_t position[TL_CPU_QUERIES]; /* in the prompt */
    tl_cpu_sight sight[TL_CPU_QUERIES];
    size_t first, end; /* all that some of them see is there */
} tl_cpu_query_tile;

/* Appends a query. */
void tl_cpu_query_tile_add(tl_cpu_query_tile *tile, size_t at, size_t position,
                           tl_cpu_sight sight);

/* What a thread works with: n queries by D, and by a block of keys. */
typedef struct tl_cpu_query_work {
    float *q, *out, *p; /* forward has these alone */
    float *dz, *q_strips, *dz_strips, *d_p;
    float *capped; /* s / softcap after the tanh, for its slope; NULL without a cap */
} tl_cpu_query_work;

size_t tl_cpu_query_floats(const tl_attention *shape, bool backward);
tl_cpu_query_work tl_cpu_query_work_at(float *memory, const tl_attention *shape,
                                       bool backward);

/* Writes z, and lse where it is not NULL; with panels k_columns and v_rows. */
void tl_cpu_queries_forward(const tl_cpu_head *head, const tl_cpu_query_work *work,
                            const tl_cpu_query_tile *tile, const float *q, float *z,
                            float *lse);

/* The way back. Keys [first, end) are looked at, and the rest left out. */
typedef struct tl_cpu_queries_back {
    const float *q, *z, *lse, *dz;
    float *dq; /* written; NULL: not wanted */
    size_t first, end;
    size_t first_own; /* dk and dv are of keys [first_own, end), */
    float *dk, *dv;   /* added to, rows of D rounded up to strips; NULL: not wanted */
} tl_cpu_queries_back;

/* With panels k_columns, v_columns and k_rows; where dq and dk are not wanted, k_columns. */
void tl_cpu_queries_backward(const tl_cpu_head *head, const tl_cpu_query_work *work,
                             const tl_cpu_query_tile *tile,
                             const tl_cpu_queries_back *back);

#endif
