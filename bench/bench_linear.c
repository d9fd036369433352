/* SPDX-License-Identifier: MIT
 *
 * bench_linear.c - how fast the cpu backend's products are, beside oneDNN's own rate
 * for the same shape: one matmul over all rows, weights in f32 and already packed in
 * the layout it likes best, all threads to itself. Ours reads bf16 weights, converts
 * them every time (no cache), and keeps every row's bits apart from the batch.
 *
 *     bench_linear [THREADS]
 *
 * One line for each shape and direction: GFLOP/s of both and the ratio.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "backend/backends.h"
#include "twinlens/alloc.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_linear: %s\n", what);
    exit(EXIT_FAILURE);
}

enum { ROUNDS = 5 };

/* Best of a few rounds, in GFLOP/s. */
static double our_rate(tl_backend *b, const tl_linear *layer, bool backward,
                       size_t rows, const float *x, float *y)
{
    const double flop = 2e-9 * (double)rows * (double)layer->weight.dims[0] *
                        (double)layer->weight.dims[1];
    double best = 0.0;
    for (int i = 0; i < ROUNDS; i++) {
        const double start = now();
        must((backward ? b->linear_backward : b->linear)(b, layer, rows, x, y, false,
                                                         NULL) == TL_OK,
             "a product failed");
        const double rate = flop / (now() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

#if DNNL_VERSION_MAJOR < 3
static double library_rate(size_t rows, size_t n_in, size_t n_out, const float *x,
                           float *y)
{
    const dnnl_dims_t da = {(dnnl_dim_t)rows, (dnnl_dim_t)n_in},
                      db = {(dnnl_dim_t)n_in, (dnnl_dim_t)n_out},
                      dc = {(dnnl_dim_t)rows, (dnnl_dim_t)n_out};
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t ma = NULL, mb = NULL, mc = NULL;
    must(dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success &&
             dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) ==
                 dnnl_success &&
             dnnl_memory_desc_init_by_tag(&a, 2, da, dnnl_f32, dnnl_ab) ==
                 dnnl_success &&
             dnnl_memory_desc_init_by_tag(&b, 2, db, dnnl_f32, dnnl_format_tag_any) ==
                 dnnl_success &&
             dnnl_memory_desc_init_by_tag(&c, 2, dc, dnnl_f32, dnnl_ab) ==
                 dnnl_success &&
             dnnl_matmul_desc_init(&desc, &a, &b, NULL, &c) == dnnl_success &&
             dnnl_primitive_desc_create(&pd, &desc, NULL, engine, NULL) ==
                 dnnl_success &&
             dnnl_primitive_create(&primitive, pd) == dnnl_success,
         "oneDNN cannot make the product");
    const dnnl_memory_desc_t *packed =
        dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    const size_t bytes = dnnl_memory_desc_get_size(packed);
    float *weights = tl_alloc(bytes, 1);
    must(weights != NULL, "no memory");
    for (size_t i = 0; i < bytes / sizeof *weights; i++)
        weights[i] = 0.01f;
    must(dnnl_memory_create(&ma, &a, engine, (void *)(uintptr_t)x) == dnnl_success &&
             dnnl_memory_create(&mb, packed, engine, weights) == dnnl_success &&
             dnnl_memory_create(&mc, &c, engine, y) == dnnl_success,
         "oneDNN cannot take the memory");
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, ma}, {DNNL_ARG_WEIGHTS, mb}, {DNNL_ARG_DST, mc}};
    double best = 0.0;
    for (int i = 0; i < ROUNDS; i++) {
        const double start = now();
        must(dnnl_primitive_execute(primitive, stream, 3, args) == dnnl_success,
             "oneDNN failed");
        const double rate =
            2e-9 * (double)rows * (double)n_in * (double)n_out / (now() - start);
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
#else
static double library_rate(size_t rows, size_t n_in, size_t n_out, const float *x,
                           float *y)
{
    (void)rows, (void)n_in, (void)n_out, (void)x, (void)y;
    return 0.0; /* written for the older interface only: the column reads 0 */
}
#endif

int main(int argc, char **argv)
{
    /* Rows of a pass; layers of the 200 M benchmark model and of Qwen2-VL-2B and 7B. */
    static const size_t row_counts[] = {128, 512};
    static const struct {
        const char *name;
        size_t n_in, n_out;
    } layers[] = {
        {"mid q, o", 1024, 1024},     {"mid k, v", 1024, 128},
        {"mid gate, up", 1024, 4096}, {"mid down", 4096, 1024},
        {"2B gate, up", 1536, 8960},  {"7B q, o", 3584, 3584},
        {"7B k, v", 3584, 512},       {"7B gate, up", 3584, 18944},
        {"7B down", 18944, 3584},
    };
    const size_t threads =
        argc > 1 ? strtoul(argv[1], NULL, 10) : (size_t)omp_get_max_threads();
    omp_set_num_threads((int)threads);
    tl_backend *b = NULL;
    must(tl_backend_create_cpu(threads, 0, &b, NULL) == TL_OK, "no cpu backend");
    printf("layer\tn_in\tn_out\trows\tthreads\tdirection\ttwinlens GFLOP/s\toneDNN "
           "GFLOP/s\tratio\n");
    for (size_t l = 0; l < sizeof layers / sizeof layers[0]; l++) {
        const size_t n_in = layers[l].n_in, n_out = layers[l].n_out;
        uint16_t *bits = tl_alloc(n_in * n_out, sizeof *bits);
        must(bits != NULL, "no memory");
        for (size_t i = 0; i < n_in * n_out; i++)
            bits[i] = tl_f32_to_bf16(0.01f + 1e-4f * (float)(i % 97));
        const tl_linear layer = {
            .weight = {
                .dtype = TL_BF16, .n_dims = 2, .dims = {n_out, n_in}, .data = bits}};
        for (size_t r = 0; r < sizeof row_counts / sizeof row_counts[0]; r++) {
            const size_t rows = row_counts[r], widest = n_in > n_out ? n_in : n_out;
            float *x = tl_alloc(rows * widest, sizeof *x),
                  *y = tl_alloc(rows * widest, sizeof *y);
            must(x != NULL && y != NULL, "no memory");
            for (size_t i = 0; i < rows * widest; i++)
                x[i] = y[i] = 0.001f * (float)(i % 1013);
            for (int back = 0; back < 2; back++) {
                const double ours = our_rate(b, &layer, back, rows, x, y);
                const double theirs =
                    library_rate(rows, back ? n_out : n_in, back ? n_in : n_out, x, y);
                printf("%s\t%zu\t%zu\t%zu\t%zu\t%s\t%.1f\t%.1f\t%.2f\n", layers[l].name,
                       n_in, n_out, rows, threads, back ? "backward" : "forward", ours,
                       theirs, ours / theirs);
                fflush(stdout);
            }
            tl_free(x);
            tl_free(y);
        }
        tl_free(bits);
    }
    tl_backend_destroy(b);
    return EXIT_SUCCESS;
}
