/* SPDX-License-Identifier: MIT
 *
 * bench_sparse.c - a faithfulness curve and an interchange, computed sparsely and densely
 * on the same pairs in one run: counted work, in forward passes of a prompt, and time.
 *
 *     bench_sparse [MODEL [DATASET | POSITIONS [PAIRS [THREADS]]]]
 *
 * Prompts are those of a dataset that have a counterfactual, or random tokens: a shared
 * prefix, data that differ, a query. Circuits are those of attribution by relevance, and
 * random ones. The unit of work counts multiply-adds; clean and counterfactual runs are
 * included. All circuits evaluated densely, and all sparsely, are measured on the first
 * pair. "oneDNN" is the CPU time that the counted products would take at its own rate for
 * those of the MLP over a prompt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <omp.h>

#include "figure.h"
#include "library_rate.h"
#include "model/sparse_pass.h"
#include "study/session_pairs.h"
#include "twinlens/circuit.h"
#include "twinlens/interchange.h"

enum { MAX_PAIRS = 64, FRACTIONS = 27, DRAWS = 5, SWAPS = 1 + 3 * (1 + DRAWS) };

static void must(tl_status status, const tl_error *err)
{
    if (status == TL_OK)
        return;
    fprintf(stderr, "bench_sparse: %s\n", err->text);
    exit(EXIT_FAILURE);
}

/* The prompts of each modality; random tokens stand for both. */
typedef struct bench {
    tl_session session;
    tl_model *model;
    const tl_dims *d;
    tl_arena *arena;
    tl_span span[TL_MODALITY_COUNT];
    tl_pair *pairs[TL_MODALITY_COUNT];
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
    const tl_span *span = &b->span[TL_TEXT];
    const size_t n_pos = span->n_pos, most = b->d->n_vocab < 600 ? b->d->n_vocab : 600;
    uint32_t shared = 1;
    int32_t *ids = tl_arena_alloc(b->arena, n_pos, sizeof *ids);
    if (ids == NULL)
        exit(EXIT_FAILURE);
    for (size_t t = 0; t < n_pos; t++) {
        uint32_t *state = t < span->data_begin || t + 5 >= n_pos ? &shared
                          : t < span->data_end                   ? &data
                                                                 : &query;
        ids[t] = (int32_t)(next_random(state) % most);
    }
    const tl_encoding e = {.n_pos = n_pos, .ids = ids};
    tl_input input;
    must(tl_model_input(b->model, &e, TL_ROPE_TRUE, b->arena, &input, &err), &err);
    return input;
}

static void make_pairs(bench *b, size_t n_pos)
{
    b->span[TL_TEXT] = (tl_span){n_pos, n_pos / 7, n_pos - n_pos / 6};
    b->span[TL_IMAGE] = b->span[TL_TEXT];
    tl_pair *pairs = tl_arena_alloc(b->arena, b->n_pairs, sizeof *pairs);
    if (pairs == NULL)
        exit(EXIT_FAILURE);
    for (size_t i = 0; i < b->n_pairs; i++) {
        const uint32_t seed = (uint32_t)(3 * i + 7) * 2654435761u;
        pairs[i] = (tl_pair){.clean = make_input(b, seed, seed + 1),
                             .counterfactual = make_input(b, seed + 2, seed + 1),
                             .answer = 20,
                             .counterfactual_answer = 50};
    }
    b->pairs[TL_TEXT] = b->pairs[TL_IMAGE] = pairs;
}

static void read_pairs(bench *b)
{
    tl_error err = {0};
    size_t least = b->n_pairs;
    for (int m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_selection selection = {.modality = m};
        size_t n = 0, *rows;
        tl_encoding e;
        must(tl_session_pairs(&b->session, &selection, "bench_sparse", &b->pairs[m], &n,
                              &err),
             &err);
        must(tl_session_rows(&b->session, &selection, &rows, &n, &err), &err);
        must(tl_dataset_encode(b->session.dataset, rows[0], b->session.processor,
                               b->arena, &e, &err),
             &err);
        b->span[m] = (tl_span){e.n_pos, e.data_begin, e.data_end};
        least = n < least ? n : least;
    }
    b->n_pairs = least;
}

static tl_ranking rank_random(const bench *b, tl_modality modality, uint64_t seed)
{
    tl_error err = {0};
    tl_ranking ranking;
    const tl_ranking shape = {.n_layers = b->d->n_layers,
                              .n_pos = b->span[modality].n_pos,
                              .n_heads = b->d->n_heads,
                              .d_mlp = b->d->d_mlp};
    must(tl_ranking_random(&shape, seed, b->arena, &ranking, &err), &err);
    return ranking;
}

/* By attribution on some of the pairs. */
static tl_ranking rank(const bench *b, tl_modality modality, const tl_pair *pairs,
                       size_t n)
{
    tl_error err = {0};
    tl_attribution *a = NULL;
    tl_scores scores;
    tl_ranking ranking;
    const tl_attribution_options options = {.method = TL_METHOD_RELP};
    must(tl_attribution_create(b->model, b->span[modality].n_pos, &options, &a, &err),
         &err);
    must(tl_attribution_add(a, pairs, n, &err), &err);
    must(tl_attribution_scores(a, b->arena, &scores, &err), &err);
    must(tl_ranking_from_scores(&scores, b->arena, &ranking, &err), &err);
    tl_attribution_destroy(a);
    return ranking;
}

/* CPU seconds of the products of a forward pass at oneDNN's rate. */
static double forward_seconds(const bench *b, size_t n_pos)
{
    const size_t d_model = b->d->d_model, d_mlp = b->d->d_mlp,
                 most = n_pos * (d_mlp > d_model ? d_mlp : d_model);
    float *x = calloc(most, sizeof *x), *y = calloc(most, sizeof *y);
    require(x != NULL && y != NULL, "bench_sparse: no memory");
    const double up = library_rate(CLOCK_PROCESS_CPUTIME_ID, n_pos, d_model, d_mlp, x,
                                   y),
                 down = library_rate(CLOCK_PROCESS_CPUTIME_ID, n_pos, d_mlp, d_model, x,
                                     y);
    free(x);
    free(y);
    return 2e-9 * tl_forward_multiply_adds(b->model, n_pos, 0) *
           (2.0 / up + 1.0 / down) / 3.0;
}

/* What the circuits take of a prompt, evaluated in some way on the first n_pairs pairs. */
typedef struct cost {
    double forwards; /* forward passes over the prompt, by multiply-adds */
    double cpu_seconds, library_seconds;
} cost;

static cost measure(const bench *b, tl_modality modality, tl_evaluate_how how,
                    size_t n_pairs, const tl_circuit *circuits, size_t n)
{
    tl_error err = {0};
    tl_evaluator *e = NULL;
    tl_evaluation results[MAX_PAIRS];
    const tl_evaluate_options options = {.how = how, .no_clean = circuits->set != NULL};
    for (size_t i = 0; i < n_pairs; i++) {
        results[i].circuit = tl_arena_alloc(b->arena, n, sizeof(double));
        if (results[i].circuit == NULL)
            exit(EXIT_FAILURE);
    }
    must(tl_evaluator_create(b->model, &options, &e, &err), &err);
    const double start = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    must(tl_evaluator_run(e, b->pairs[modality], n_pairs, circuits, n, results, &err),
         &err);
    const double seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - start;
    const tl_evaluation_work w = tl_evaluator_work(e);
    tl_evaluator_destroy(e);
    const double pairs = (double)n_pairs;
    cost c = {.forwards = (w.counterfactual + w.clean + w.dense + w.sparse) / pairs,
              .cpu_seconds = seconds / pairs};
    c.library_seconds = c.forwards * forward_seconds(b, b->span[modality].n_pos);
    return c;
}

/* Each circuit the way that is chosen for it, and all of them the other ways. */
static void measure_all(const bench *b, const char *what, tl_modality modality,
                        const tl_circuit *circuits, size_t n)
{
    static const struct {
        const char *name;
        tl_evaluate_how how;
    } ways[] = {{"all dense", TL_EVALUATE_DENSE}, {"all sparse", TL_EVALUATE_SPARSE}};
    const cost ours = measure(b, modality, TL_EVALUATE_AUTO, b->n_pairs, circuits, n);
    char of[96];
    snprintf(of, sizeof of, "%s, %zu positions", tl_modality_name(modality),
             b->span[modality].n_pos);
    figure f = {.name = what, .of = of};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const cost other = measure(b, modality, ways[i].how, 1, circuits, n);
        f.peer = ways[i].name;
        f.value = ours.forwards, f.peer_value = other.forwards;
        f.unit = "forward passes/prompt", f.how = COUNTED;
        figure_show(&f);
        f.value = ours.cpu_seconds, f.peer_value = other.cpu_seconds;
        f.unit = "CPU s/prompt", f.how = MEASURED;
        figure_show(&f);
    }
    f.peer = "oneDNN, the same products", f.peer_value = ours.library_seconds;
    figure_show(&f);
}

static tl_circuit cut(const tl_ranking *ranking, const char *fraction)
{
    tl_error err = {0};
    tl_fraction p;
    must(tl_fraction_parse(fraction, &p, &err), &err);
    return tl_circuit_at(ranking, p, TL_FRACTION_EXACT);
}

static void measure_curve(const bench *b, const char *what, tl_modality modality,
                          const tl_ranking *ranking)
{
    static const char *const fractions[FRACTIONS] = {
        "0",    "0.001", "0.005", "0.01", "0.02", "0.03", "0.04", "0.05", "0.06",
        "0.07", "0.08",  "0.09",  "0.1",  "0.11", "0.12", "0.13", "0.14", "0.15",
        "0.16", "0.17",  "0.18",  "0.19", "0.2",  "0.3",  "0.5",  "0.7",  "0.9"};
    tl_circuit circuits[FRACTIONS];
    for (size_t i = 0; i < FRACTIONS; i++)
        circuits[i] = cut(ranking, fractions[i]);
    measure_all(b, what, modality, circuits, FRACTIONS);
}

/* All swaps of two circuits of 5 %, without a clean run, as a study has it by then. */
static void measure_interchange(const bench *b, tl_modality host,
                                const tl_ranking rankings[TL_MODALITY_COUNT])
{
    const tl_modality other = host == TL_TEXT ? TL_IMAGE : TL_TEXT;
    tl_error err = {0};
    tl_component_set sets[TL_MODALITY_COUNT];
    static tl_component_set swapped[SWAPS];
    tl_circuit circuits[SWAPS];
    tl_position_map map;
    for (size_t i = 0; i < TL_MODALITY_COUNT; i++) {
        const tl_circuit circuit = cut(&rankings[i], "0.05");
        must(tl_set_from_circuit(&circuit, b->arena, &sets[i], &err), &err);
    }
    must(tl_position_map_init(&map, &b->span[TL_TEXT], &b->span[TL_IMAGE], b->arena,
                              &err),
         &err);
    for (size_t i = 0; i < SWAPS; i++) {
        const size_t segment = i == 0 ? TL_SEGMENT_NONE : (i - 1) % TL_SEGMENT_COUNT;
        tl_component_set drawn = sets[other];
        if (i > TL_SEGMENT_COUNT)
            must(tl_interchange_draw(&sets[other], &b->span[other], (tl_segment)segment,
                                     TL_RANDOM_VALID, i, b->arena, &drawn, &err),
                 &err);
        must(tl_interchange_build(sets, host, segment, &drawn, &map, b->arena,
                                  &swapped[i], &err),
             &err);
        circuits[i] = (tl_circuit){.set = &swapped[i]};
    }
    measure_all(b, "interchange", host, circuits, SWAPS);
}

static void run(bench *b)
{
    figure_head();
    const bool two = b->pairs[TL_TEXT] != b->pairs[TL_IMAGE];
    tl_ranking found[TL_MODALITY_COUNT];
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        found[m] = two ? rank(b, (tl_modality)m, b->pairs[m], b->n_pairs)
                       : rank(b, (tl_modality)m, b->pairs[m] + m % b->n_pairs, 1);
    for (int m = two ? TL_TEXT : TL_IMAGE; m < TL_MODALITY_COUNT; m++) {
        const tl_ranking drawn = rank_random(b, (tl_modality)m, 12);
        measure_curve(b, "curve", (tl_modality)m, &found[m]);
        measure_curve(b, "curve of random circuits", (tl_modality)m, &drawn);
        measure_interchange(b, (tl_modality)m, found);
    }
}

int main(int argc, char **argv)
{
    tl_error err = {0};
    bench b = {0};
    tl_settings settings;
    tl_settings_init(&settings);
    char *rest = NULL;
    const char *prompts = argc > 2 ? argv[2] : "119";
    const size_t n_pos = strtoul(prompts, &rest, 10);
    const bool random = *rest == '\0';
    b.n_pairs = argc > 3 ? strtoul(argv[3], NULL, 10) : 4;
    if ((random && n_pos < 24) || b.n_pairs == 0 || b.n_pairs > MAX_PAIRS) {
        fprintf(stderr,
                "usage: bench_sparse [MODEL [DATASET or POSITIONS (24 or more) [PAIRS "
                "(up to %d) [THREADS]]]]\n",
                MAX_PAIRS);
        return 2;
    }
    settings.model = argc > 1 ? argv[1] : NULL;
    settings.dataset = random ? NULL : prompts;
    settings.threads = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    if (settings.threads > 0)
        omp_set_num_threads((int)settings.threads);
    must(tl_session_open(&settings, &b.session, &err), &err);
    b.model = b.session.model;
    b.arena = b.session.arena;
    b.d = tl_model_dims(b.model);
    if (random)
        make_pairs(&b, n_pos);
    else
        read_pairs(&b);
    run(&b);
    tl_session_close(&b.session);
    return EXIT_SUCCESS;
}
