/* SPDX-License-Identifier: MIT
 *
 * library_rate.h - oneDNN's own rate for a product of some shape: one matmul over all rows,
 * weights in f32 and already packed in the layout that it likes best, as many threads as
 * OpenMP has.
 *
 *     omp_set_num_threads(2);
 *     rate = library_rate(CLOCK_MONOTONIC, rows, n_in, n_out, x, y);
 */
#ifndef TWINLENS_BENCH_LIBRARY_RATE_H
#define TWINLENS_BENCH_LIBRARY_RATE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <oneapi/dnnl/dnnl.h>

#include "twinlens/alloc.h"

enum { RATE_ROUNDS = 5 };

static inline double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void require(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    exit(EXIT_FAILURE);
}

/* A [rows, n_in], B [n_in, n_out] in the layout that the library likes best, C. */
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t rate_matrix;

static inline dnnl_status_t rate_product(dnnl_primitive_desc_t *pd,
                                         dnnl_engine_t engine, const dnnl_dims_t da,
                                         const dnnl_dims_t db, const dnnl_dims_t dc)
{
    dnnl_memory_desc_t a = NULL, b = NULL, c = NULL;
    dnnl_status_t status;
    if ((status = dnnl_memory_desc_create_with_tag(&a, 2, da, dnnl_f32, dnnl_ab)) ==
            dnnl_success &&
        (status = dnnl_memory_desc_create_with_tag(
             &b, 2, db, dnnl_f32, dnnl_format_tag_any)) == dnnl_success &&
        (status = dnnl_memory_desc_create_with_tag(&c, 2, dc, dnnl_f32, dnnl_ab)) ==
            dnnl_success)
        status = dnnl_matmul_primitive_desc_create(pd, engine, a, b, NULL, c, NULL);
    dnnl_memory_desc_destroy(a);
    dnnl_memory_desc_destroy(b);
    dnnl_memory_desc_destroy(c);
    return status;
}
#else
typedef const dnnl_memory_desc_t *rate_matrix;

static inline dnnl_status_t rate_product(dnnl_primitive_desc_t *pd,
                                         dnnl_engine_t engine, const dnnl_dims_t da,
                                         const dnnl_dims_t db, const dnnl_dims_t dc)
{
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t desc;
    dnnl_status_t status;
    if ((status = dnnl_memory_desc_init_by_tag(&a, 2, da, dnnl_f32, dnnl_ab)) ==
            dnnl_success &&
        (status = dnnl_memory_desc_init_by_tag(&b, 2, db, dnnl_f32,
                                               dnnl_format_tag_any)) == dnnl_success &&
        (status = dnnl_memory_desc_init_by_tag(&c, 2, dc, dnnl_f32, dnnl_ab)) ==
            dnnl_success &&
        (status = dnnl_matmul_desc_init(&desc, &a, &b, NULL, &c)) == dnnl_success)
        status = dnnl_primitive_desc_create(pd, &desc, NULL, engine, NULL);
    return status;
}
#endif

/* GFLOP/s, best of a few rounds; x [rows, n_in], y [rows, n_out]. Seconds are those of a
 * clock: with CLOCK_PROCESS_CPUTIME_ID of all threads together. */
static inline double library_rate(clockid_t clock, size_t rows, size_t n_in,
                                  size_t n_out, const float *x, float *y)
{
    const dnnl_dims_t da = {(dnnl_dim_t)rows, (dnnl_dim_t)n_in},
                      db = {(dnnl_dim_t)n_in, (dnnl_dim_t)n_out},
                      dc = {(dnnl_dim_t)rows, (dnnl_dim_t)n_out};
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t ma = NULL, mb = NULL, mc = NULL;
    require(dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success &&
                dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) ==
                    dnnl_success &&
                rate_product(&pd, engine, da, db, dc) == dnnl_success &&
                dnnl_primitive_create(&primitive, pd) == dnnl_success,
            "oneDNN cannot make the product");
    const rate_matrix a = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0),
                      packed =
                          dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0),
                      c = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    const size_t bytes = dnnl_memory_desc_get_size(packed);
    float *weights = tl_alloc(bytes, 1);
    require(weights != NULL, "no memory");
    for (size_t i = 0; i < bytes / sizeof *weights; i++)
        weights[i] = 0.01f;
    require(dnnl_memory_create(&ma, a, engine, (void *)(uintptr_t)x) == dnnl_success &&
                dnnl_memory_create(&mb, packed, engine, weights) == dnnl_success &&
                dnnl_memory_create(&mc, c, engine, y) == dnnl_success,
            "oneDNN cannot take the memory");
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, ma}, {DNNL_ARG_WEIGHTS, mb}, {DNNL_ARG_DST, mc}};
    double best = 0.0;
    for (int i = 0; i < RATE_ROUNDS; i++) {
        const double start = seconds_of(clock);
        require(dnnl_primitive_execute(primitive, stream, 3, args) == dnnl_success,
                "oneDNN failed");
        const double rate = 2e-9 * (double)rows * (double)n_in * (double)n_out /
                            (seconds_of(clock) - start);
        best = rate > best ? rate : best;
    }
    dnnl_memory_destroy(ma);
    dnnl_memory_destroy(mb);
    dnnl_memory_destroy(mc);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(pd);
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    tl_free(weights);
    return best;
}

#endif
