/* SPDX-License-Identifier: MIT
 *
 * bench_attention.c - how fast attention of the cpu backend is, there and back, in
 * GFLOP/s of the two products of a forward and the five of a way back, without those of
 * pairs that are masked: by the clock, and by what a thread has computed, which is the
 * same on a machine that has nothing else to do.
 *
 *     bench_attention [THREADS [NAME]]
 * NAME: only shapes whose names begin like that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backends.h"
#include "figure.h"
#include "twinlens/alloc.h"

enum { ROUNDS = 5 };

typedef struct shape_case {
    const char *name;
    size_t n, n_heads, n_kv_heads, d_head;
    bool causal, back;
} shape_case;

static const shape_case cases[] = {
    {"Gemma-3 tower, 4096 patches", 4096, 16, 16, 72, false, false},
    {"Qwen2-VL tower, 324 patches", 324, 16, 16, 80, false, false},
    {"7B, 121 positions", 121, 28, 4, 128, true, true},
    {"7B, 600 positions", 600, 28, 4, 128, true, true},
    {"bench checkpoint, 119 positions", 119, 8, 1, 128, true, true},
};

/* Seconds of a clock: CLOCK_MONOTONIC, or what all threads have computed. */
static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *random_floats(size_t n)
{
    float *x = tl_alloc(n, sizeof *x);
    uint32_t state = 7;
    if (x == NULL)
        exit(EXIT_FAILURE);
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

int main(int argc, char **argv)
{
    const size_t n_threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    tl_backend *b = NULL;
    if (tl_backend_create("cpu", n_threads, 0, &b, NULL) != TL_OK)
        return EXIT_FAILURE;
    figure_head();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const shape_case *c = &cases[i];
        if (argc > 2 && strncmp(c->name, argv[2], strlen(argv[2])) != 0)
            continue;
        const tl_attention shape = {.n_heads = c->n_heads,
                                    .n_kv_heads = c->n_kv_heads,
                                    .d_head = c->d_head,
                                    .scale = 0.1f,
                                    .causal = c->causal};
        const tl_attention_prompt prompt = {.n_query = c->n, .n_key = c->n};
        const size_t of_q = c->n * c->n_heads * c->d_head,
                     of_k = c->n * c->n_kv_heads * c->d_head;
        float *q = random_floats(of_q), *k = random_floats(of_k),
              *v = random_floats(of_k), *z = random_floats(of_q),
              *lse = random_floats(c->n * c->n_heads), *dz = random_floats(of_q),
              *dq = random_floats(of_q), *dk = random_floats(of_k),
              *dv = random_floats(of_k);
        const double pairs = (double)c->n_heads * (double)c->n *
                             (c->causal ? (double)(c->n + 1) / 2 : (double)c->n),
                     flop = 2e-9 * pairs * (double)c->d_head;
        for (int back = 0; back <= (c->back ? 1 : 0); back++) {
            double best = 0.0, best_of_thread = 0.0;
            for (int round = 0; round < ROUNDS; round++) {
                const double start = now(CLOCK_MONOTONIC),
                             busy = now(CLOCK_PROCESS_CPUTIME_ID);
                const tl_status status =
                    back ? b->attention_backward(b, TL_BACKWARD_GRADIENT, &shape, 1,
                                                 &prompt, q, k, v, z, lse, dz, dq, dk,
                                                 dv, NULL)
                         : b->attention(b, &shape, 1, &prompt, q, k, v, z, lse, NULL);
                if (status != TL_OK)
                    return EXIT_FAILURE;
                const double work = flop * (back ? 5 : 2),
                             rate = work / (now(CLOCK_MONOTONIC) - start),
                             of_thread = work / (now(CLOCK_PROCESS_CPUTIME_ID) - busy);
                best = rate > best ? rate : best;
                best_of_thread =
                    of_thread > best_of_thread ? of_thread : best_of_thread;
            }
            char of[96];
            snprintf(of, sizeof of, "%s, %s, %zu threads", c->name,
                     back ? "back" : "there", n_threads);
            figure_show(&(figure){.name = "attention",
                                  .of = of,
                                  .value = best,
                                  .unit = "GFLOP/s",
                                  .how = MEASURED});
            figure_show(&(figure){.name = "attention of a thread",
                                  .of = of,
                                  .value = best_of_thread,
                                  .unit = "GFLOP/s",
                                  .how = MEASURED});
        }
        float *all[] = {q, k, v, z, lse, dz, dq, dk, dv};
        for (size_t f = 0; f < sizeof all / sizeof *all; f++)
            tl_free(all[f]);
    }
    b->destroy(b);
    return 0;
}
