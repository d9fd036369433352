/* SPDX-License-Identifier: MIT
 *
 * bench_linear.c - how fast the cpu backend's products are, beside oneDNN's own rate
 * for the same shape: one matmul over all rows, weights in f32 and already packed in
 * the layout it likes best, all threads to itself. Ours reads bf16 weights, converts
 * them every time (no cache), and keeps every row's bits apart from the batch.
 *
 *     bench_linear [THREADS]
 *
 * One line for each shape and direction, and another for bf16 where the processor has
 * instructions for it: GFLOP/s of both, and the ratio.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <omp.h>

#include "backend/backends.h"
#include "figure.h"
#include "library_rate.h"
#include "twinlens/alloc.h"

/* Best of a few rounds, in GFLOP/s. */
static double our_rate(tl_backend *b, const tl_linear *layer, bool backward,
                       size_t rows, const float *x, float *y)
{
    const double flop = 2e-9 * (double)rows * (double)layer->weight.dims[0] *
                        (double)layer->weight.dims[1];
    double best = 0.0;
    for (int i = 0; i < RATE_ROUNDS; i++) {
        const double start = seconds_of(CLOCK_MONOTONIC);
        require((backward ? b->linear_backward : b->linear)(b, layer, rows, x, y, false,
                                                            NULL) == TL_OK,
                "a product failed");
        const double rate = flop / (seconds_of(CLOCK_MONOTONIC) - start);
        best = rate > best ? rate : best;
    }
    return best;
}

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
    require(tl_backend_create_cpu(threads, 0, &b, NULL) == TL_OK, "no cpu backend");
    figure_head();
    for (size_t l = 0; l < sizeof layers / sizeof layers[0]; l++) {
        const size_t n_in = layers[l].n_in, n_out = layers[l].n_out;
        uint16_t *bits = tl_alloc(n_in * n_out, sizeof *bits);
        require(bits != NULL, "no memory");
        for (size_t i = 0; i < n_in * n_out; i++)
            bits[i] = tl_f32_to_bf16(0.01f + 1e-4f * (float)(i % 97));
        const tl_linear layer = {
            .weight = {
                .dtype = TL_BF16, .n_dims = 2, .dims = {n_out, n_in}, .data = bits}};
        for (size_t r = 0; r < sizeof row_counts / sizeof row_counts[0]; r++) {
            const size_t rows = row_counts[r], widest = n_in > n_out ? n_in : n_out;
            float *x = tl_alloc(rows * widest, sizeof *x),
                  *y = tl_alloc(rows * widest, sizeof *y);
            require(x != NULL && y != NULL, "no memory");
            for (size_t i = 0; i < rows * widest; i++)
                x[i] = y[i] = 0.001f * (float)(i % 1013);
            for (int back = 0; back < 2; back++) {
                char of[96];
                snprintf(of, sizeof of, "%s %s, %zu rows, %zu threads", layers[l].name,
                         back ? "backward" : "forward", rows, threads);
                figure f = {.name = "product",
                            .of = of,
                            .value = our_rate(b, &layer, back, rows, x, y),
                            .unit = "GFLOP/s",
                            .how = MEASURED,
                            .peer = "oneDNN f32",
                            .peer_value =
                                library_rate(CLOCK_MONOTONIC, rows, back ? n_out : n_in,
                                             back ? n_in : n_out, x, y),
                            .more_is_better = true};
                figure_show(&f);
                tl_linear in_bf16 = layer;
                in_bf16.bf16 = true;
                if (!b->fast_bf16)
                    continue;
                f.name = "product in bf16";
                f.value = our_rate(b, &in_bf16, back, rows, x, y);
                figure_show(&f);
            }
            tl_free(x);
            tl_free(y);
        }
        tl_free(bits);
    }
    tl_backend_destroy(b);
    return EXIT_SUCCESS;
}
