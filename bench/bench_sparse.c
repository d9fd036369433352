/* SPDX-License-Identifier: MIT
 *
 * bench_sparse.c - a faithfulness curve and an interchange, computed sparsely and densely
 * on the same pairs in one run: counted work, in forward passes of a prompt, and time.
 *
 *     bench_sparse [MODEL [POSITIONS [PAIRS [THREADS]]]]
 *
 * Prompts are random tokens: a shared prefix, data that differ, a query. Circuits are those
 * of attribution by relevance on the first pair, and random ones. The unit of work counts
 * multiply-adds; clean and counterfactual runs are included.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"
#include "twinlens/circuit.h"
#include "twinlens/interchange.h"

enum { MAX_PAIRS = 64, FRACTIONS = 27, DRAWS = 5, SWAPS = 1 + 3 * (1 + DRAWS) };

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(tl_status status, const tl_error *err)
{
    if (status == TL_OK)
        return;
    fprintf(stderr, "bench_sparse: %s\n", err->text);
    exit(EXIT_FAILURE);
}

typedef struct bench {
    tl_model *model;
    const tl_dims *d;
    tl_arena *arena;
    tl_span span;
    tl_pair pairs[MAX_PAIRS];
    size_t n_pairs;
} bench;

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static tl_input make_input(const bench *b, uint32_t data, uint32_t query)
{
    tl_error err = {0};
    const size_t n_pos = b->span.n_pos,
                 most = b->d->n_vocab < 600 ? b->d->n_vocab : 600;
    uint32_t shared = 1;
    int32_t *ids = tl_arena_alloc(b->arena, n_pos, sizeof *ids);
    if (ids == NULL)
        exit(EXIT_FAILURE);
    for (size_t t = 0; t < n_pos; t++) {
        uint32_t *state = t < b->span.data_begin || t + 5 >= n_pos ? &shared
                          : t < b->span.data_end                   ? &data
                                                                   : &query;
        ids[t] = (int32_t)(next_random(state) % most);
    }
    const tl_encoding e = {.n_pos = n_pos, .ids = ids};
    tl_input input;
    must(tl_model_input(b->model, &e, TL_ROPE_TRUE, b->arena, &input, &err), &err);
    return input;
}

static void make_pairs(bench *b)
{
    for (size_t i = 0; i < b->n_pairs; i++) {
        const uint32_t seed = (uint32_t)(3 * i + 7) * 2654435761u;
        b->pairs[i] = (tl_pair){.clean = make_input(b, seed, seed + 1),
                                .counterfactual = make_input(b, seed + 2, seed + 1),
                                .answer = 20,
                                .counterfactual_answer = 50};
    }
}

/* By attribution, or at random. */
static tl_ranking rank(const bench *b, bool random, uint64_t seed)
{
    tl_error err = {0};
    tl_ranking ranking = {b->d->n_layers, b->span.n_pos, b->d->n_heads,
                          b->d->d_mlp,    NULL,          NULL};
    if (random) {
        const tl_ranking shape = ranking;
        must(tl_ranking_random(&shape, seed, b->arena, &ranking, &err), &err);
        return ranking;
    }
    tl_attribution *a = NULL;
    tl_scores scores;
    const tl_attribution_options options = {.method = TL_METHOD_RELP};
    must(tl_attribution_create(b->model, b->span.n_pos, &options, &a, &err), &err);
    must(tl_attribution_add(a, b->pairs + seed % b->n_pairs, 1, &err), &err);
    must(tl_attribution_scores(a, b->arena, &scores, &err), &err);
    must(tl_ranking_from_scores(&scores, b->arena, &ranking, &err), &err);
    tl_attribution_destroy(a);
    return ranking;
}

static void measure(const bench *b, const char *what, tl_evaluate_how how,
                    const tl_circuit *circuits, size_t n)
{
    tl_error err = {0};
    tl_evaluator *e = NULL;
    tl_evaluation results[MAX_PAIRS];
    const tl_evaluate_options options = {.how = how};
    for (size_t i = 0; i < b->n_pairs; i++) {
        results[i].circuit = tl_arena_alloc(b->arena, n, sizeof(double));
        if (results[i].circuit == NULL)
            exit(EXIT_FAILURE);
    }
    must(tl_evaluator_create(b->model, &options, &e, &err), &err);
    const double start = now(CLOCK_MONOTONIC), busy = now(CLOCK_PROCESS_CPUTIME_ID);
    must(tl_evaluator_run(e, b->pairs, b->n_pairs, circuits, n, results, &err), &err);
    const double pairs = (double)b->n_pairs;
    const double seconds = (now(CLOCK_MONOTONIC) - start) / pairs,
                 cpu_seconds = (now(CLOCK_PROCESS_CPUTIME_ID) - busy) / pairs;
    const tl_evaluation_work w = tl_evaluator_work(e);
    tl_evaluator_destroy(e);
    printf("%s\t%s\t%.2f\tforward "
           "passes/prompt\t%.2f\tgathered\t%.2f\ts/prompt\t%.2f\tCPU s/prompt\t"
           "%zu dense, %zu sparse, %zu known circuits\n",
           what, how == TL_EVALUATE_DENSE ? "dense" : "auto",
           (w.counterfactual + w.clean + w.dense + w.sparse) / pairs,
           w.gathered / pairs, seconds, cpu_seconds, w.n_dense / b->n_pairs,
           w.n_sparse / b->n_pairs, w.n_known / b->n_pairs);
    fflush(stdout);
}

static void measure_both(const bench *b, const char *what, const tl_circuit *circuits,
                         size_t n)
{
    measure(b, what, TL_EVALUATE_AUTO, circuits, n);
    measure(b, what, TL_EVALUATE_DENSE, circuits, n);
}

static tl_circuit cut(const tl_ranking *ranking, const char *fraction)
{
    tl_error err = {0};
    tl_fraction p;
    must(tl_fraction_parse(fraction, &p, &err), &err);
    return tl_circuit_at(ranking, p, TL_FRACTION_EXACT);
}

static void measure_curve(const bench *b, const char *what, const tl_ranking *ranking)
{
    static const char *const fractions[FRACTIONS] = {
        "0",    "0.001", "0.005", "0.01", "0.02", "0.03", "0.04", "0.05", "0.06",
        "0.07", "0.08",  "0.09",  "0.1",  "0.11", "0.12", "0.13", "0.14", "0.15",
        "0.16", "0.17",  "0.18",  "0.19", "0.2",  "0.3",  "0.5",  "0.7",  "0.9"};
    tl_circuit circuits[FRACTIONS];
    for (size_t i = 0; i < FRACTIONS; i++)
        circuits[i] = cut(ranking, fractions[i]);
    measure_both(b, what, circuits, FRACTIONS);
}

/* All swaps of two circuits of 5 %, as if the other one were the other modality's. */
static void measure_interchange(const bench *b, const char *what, const tl_ranking *own,
                                const tl_ranking *foreign)
{
    tl_error err = {0};
    tl_component_set sets[TL_MODALITY_COUNT];
    static tl_component_set swapped[SWAPS];
    tl_circuit circuits[SWAPS];
    tl_position_map map;
    const tl_circuit both[TL_MODALITY_COUNT] = {cut(own, "0.05"), cut(foreign, "0.05")};
    for (size_t i = 0; i < TL_MODALITY_COUNT; i++)
        must(tl_set_from_circuit(&both[i], b->arena, &sets[i], &err), &err);
    must(tl_position_map_init(&map, &b->span, &b->span, b->arena, &err), &err);
    for (size_t i = 0; i < SWAPS; i++) {
        const size_t segment = i == 0 ? TL_SEGMENT_NONE : (i - 1) % TL_SEGMENT_COUNT;
        tl_component_set drawn = sets[TL_IMAGE];
        if (i > TL_SEGMENT_COUNT)
            must(tl_interchange_draw(&sets[TL_IMAGE], &b->span, (tl_segment)segment,
                                     TL_RANDOM_VALID, i, b->arena, &drawn, &err),
                 &err);
        must(tl_interchange_build(sets, TL_TEXT, segment, &drawn, &map, b->arena,
                                  &swapped[i], &err),
             &err);
        circuits[i] = (tl_circuit){.set = &swapped[i]};
    }
    measure_both(b, what, circuits, SWAPS);
}

int main(int argc, char **argv)
{
    tl_cli_wait_politely(argv);
    tl_error err = {0};
    bench b = {.arena = tl_arena_create()};
    const tl_model_options options = {.n_threads =
                                          argc > 4 ? strtoul(argv[4], NULL, 10) : 0};
    const size_t n_pos = argc > 2 ? strtoul(argv[2], NULL, 10) : 119;
    b.n_pairs = argc > 3 ? strtoul(argv[3], NULL, 10) : 4;
    if (b.arena == NULL || n_pos < 24 || b.n_pairs == 0 || b.n_pairs > MAX_PAIRS) {
        fprintf(stderr,
                "usage: bench_sparse [MODEL [POSITIONS (24 or more) [PAIRS "
                "(up to %d) [THREADS]]]]\n",
                MAX_PAIRS);
        return 2;
    }
    must(tl_model_open(argc > 1 ? argv[1] : NULL, &options, &b.model, &err), &err);
    b.d = tl_model_dims(b.model);
    b.span = (tl_span){n_pos, n_pos / 7, n_pos - n_pos / 6};
    make_pairs(&b);
    const tl_ranking found = rank(&b, false, 0), drawn = rank(&b, true, 12),
                     other = rank(&b, false, 1);
    measure_curve(&b, "curve", &found);
    measure_curve(&b, "curve of random circuits", &drawn);
    measure_interchange(&b, "interchange", &found, &other);
    tl_model_close(b.model);
    tl_arena_destroy(b.arena);
    return EXIT_SUCCESS;
}
