/*
 * test_sparse.c - sparse evaluation against the dense one, which computes everything and
 * then ablates: every family of tests/data, both backends, text and image, and circuits of
 * all kinds. And what a result may depend on: not on the other circuits of a call, the
 * number of threads, the budget, or the order of the pairs.
 */
#include "random_inputs.h"

#include <string.h>

#include "twinlens/circuit.h"
#include "twinlens/dataset.h"
#include "twinlens/overlap.h"

#define FAMILIES TWINLENS_SOURCE_DIR "/tests/data/families/"
#define MUST(call)                                                                     \
    do {                                                                               \
        if ((call) != TL_OK)                                                           \
            fail_msg("%s", err.text);                                                  \
    } while (0)

enum { FRACTIONS = 6, SETS = 15, CIRCUITS = 2 * FRACTIONS + SETS };

/* Of the clean logit difference, or of that without any component where it is larger: two logits
 * that happen to be near each other are no more exact than others. The worst seen is 6e-6. */
static const double LIMIT = 1e-5;

typedef struct fixture {
    tl_model *model;
    tl_arena *arena;
    const tl_dims *d;
    tl_pair pair;
    tl_ranking rankings[2];
    tl_component_set sets[SETS];
    tl_circuit circuits[CIRCUITS];
    const char *names[CIRCUITS];
} fixture;

/* ---- circuits -------------------------------------------------------------------- */

static size_t places(const fixture *f)
{
    return f->d->n_layers * f->pair.clean.n_pos;
}

static void put(const fixture *f, tl_component_set *set, size_t l, size_t t, bool heads,
                bool neurons)
{
    const size_t place = l * f->pair.clean.n_pos + t;
    for (size_t h = 0; heads && h < f->d->n_heads; h++)
        set->heads[place * f->d->n_heads + h] = 1;
    for (size_t j = 0; neurons && j < f->d->d_mlp; j++)
        set->neurons[place * f->d->d_mlp + j] = 1;
}

static void scatter(const fixture *f, tl_component_set *set, uint32_t seed, float part)
{
    for (size_t i = 0; i < places(f) * f->d->n_heads; i++)
        set->heads[i] = test_uniform(&seed) < 2.0f * part - 1.0f;
    for (size_t i = 0; i < places(f) * f->d->d_mlp; i++)
        set->neurons[i] = test_uniform(&seed) < 2.0f * part - 1.0f;
}

/* As swaps of parts of a circuit make them: of two scattered sets, one up to some position,
 * and the other behind it; and what is at one position at all in the middle. */
static void exchange(fixture *f)
{
    const size_t T = f->pair.clean.n_pos, from = T / 3, to = 2 * T / 3,
                 H = f->d->n_heads, d_mlp = f->d->d_mlp;
    tl_set_add(&f->sets[10], 0, to, &f->sets[12]);
    tl_set_add(&f->sets[9], to, T, &f->sets[12]);
    tl_set_add(&f->sets[9], 0, from, &f->sets[13]);
    tl_set_add(&f->sets[10], from, T, &f->sets[13]);
    tl_set_add(&f->sets[9], to, T, &f->sets[14]);
    for (size_t l = 0; l < f->d->n_layers; l++)
        for (size_t t = from; t < to; t++) {
            memcpy(f->sets[14].heads + (l * T + t) * H,
                   f->sets[10].heads + (l * T + from) * H, H);
            memcpy(f->sets[14].neurons + (l * T + t) * d_mlp,
                   f->sets[10].neurons + (l * T + from) * d_mlp, d_mlp);
        }
}

/* Sets that no ranking makes, and those at the edges. */
static void make_sets(fixture *f)
{
    static const char *const names[SETS] = {
        "nothing",
        "everything",
        "one head",
        "one neuron",
        "one position",
        "one layer",
        "all heads",
        "all neurons",
        "the last position",
        "scattered",
        "scattered again",
        "half of it, and the last layer without heads",
        "another end",
        "another beginning",
        "a part at every position"};
    const size_t T = f->pair.clean.n_pos, L = f->d->n_layers;
    tl_error err = {0};
    for (size_t i = 0; i < SETS; i++) {
        tl_component_set *set = &f->sets[i];
        MUST(tl_set_create(L, T, f->d->n_heads, f->d->d_mlp, f->arena, set, &err));
        for (size_t l = 0; l < L; l++)
            for (size_t t = 0; t < T; t++) {
                if (i == 1 || (i == 4 && t == T / 2) || (i == 5 && l == L / 2) ||
                    (i == 8 && t == T - 1))
                    put(f, set, l, t, true, true);
                if (i == 6 || i == 7)
                    put(f, set, l, t, i == 6, i == 7);
            }
        if (i >= 9 && i < 12)
            scatter(f, set, (uint32_t)i, i == 9 ? 0.15f : i == 10 ? 0.4f : 0.5f);
        f->circuits[i] = (tl_circuit){.set = set};
        f->names[i] = names[i];
    }
    f->sets[2].heads[(T - 1) * f->d->n_heads + f->d->n_heads - 1] = 1;
    f->sets[3].neurons[((L - 1) * T + T - 1) * f->d->d_mlp + 3] = 1;
    for (size_t i = (L - 1) * T * f->d->n_heads; i < L * T * f->d->n_heads; i++)
        f->sets[11].heads[i] = 0;
    exchange(f);
}

static void make_rankings(fixture *f)
{
    static const char *const fractions[FRACTIONS] = {"0",   "0.01", "0.1",
                                                     "0.3", "0.6",  "1"};
    const tl_ranking shape = {
        f->d->n_layers, f->pair.clean.n_pos, f->d->n_heads, f->d->d_mlp, NULL, NULL};
    tl_error err = {0};
    for (size_t i = 0; i < 2; i++) {
        MUST(tl_ranking_random(&shape, 3 + i, f->arena, &f->rankings[i], &err));
        for (size_t k = 0; k < FRACTIONS; k++) {
            tl_fraction p;
            MUST(tl_fraction_parse(fractions[k], &p, &err));
            f->circuits[SETS + FRACTIONS * i + k] =
                tl_circuit_at(&f->rankings[i], p, TL_FRACTION_EXACT);
            f->names[SETS + FRACTIONS * i + k] = fractions[k];
        }
    }
}

/* ---- a family -------------------------------------------------------------------- */

/* A prompt of a modality, and the same with other tokens in its middle, or with the negative
 * of its image. */
static void make_pair(fixture *f, tl_dataset *dataset, tl_processor *processor,
                      tl_modality modality)
{
    tl_error err = {0};
    tl_encoding encodings[2];
    size_t row = 0;
    while (dataset->rows[row].modality != modality)
        row++;
    MUST(tl_dataset_encode(dataset, row, processor, f->arena, &encodings[0], &err));
    encodings[1] = encodings[0];
    if (modality == TL_TEXT) {
        const size_t n_pos = encodings[0].n_pos;
        int32_t *ids = tl_arena_alloc(f->arena, n_pos, sizeof *ids);
        assert_non_null(ids);
        memcpy(ids, encodings[0].ids, n_pos * sizeof *ids);
        for (size_t t = n_pos / 3; t < n_pos / 3 + 3; t++)
            ids[t] = ids[t + n_pos / 3];
        encodings[1].ids = ids;
    } else {
        tl_pixels *pixels = &encodings[1].pixels;
        size_t count = 1;
        for (size_t i = 0; i < pixels->n_dims; i++)
            count *= pixels->dims[i];
        float *values = tl_arena_alloc(f->arena, count, sizeof *values);
        assert_non_null(values);
        for (size_t i = 0; i < count; i++)
            values[i] = -pixels->values[i];
        pixels->values = values;
    }
    MUST(tl_model_input(f->model, &encodings[0], TL_ROPE_TRUE, f->arena, &f->pair.clean,
                        &err));
    MUST(tl_model_input(f->model, &encodings[1], TL_ROPE_TRUE, f->arena,
                        &f->pair.counterfactual, &err));
    f->pair.answer = 20;
    f->pair.counterfactual_answer = 50;
}

static fixture open_model(const char *folder, const char *backend, size_t n_threads)
{
    tl_error err = {0};
    fixture f = {.arena = tl_arena_create()};
    const tl_model_options options = {.backend = backend, .n_threads = n_threads};
    MUST(tl_model_open(folder, &options, &f.model, &err));
    f.d = tl_model_dims(f.model);
    return f;
}

static void teardown(fixture *f)
{
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

static tl_evaluation evaluate(const fixture *f, tl_evaluate_how how, bool run_none,
                              double ld[CIRCUITS], tl_evaluation_work *work)
{
    tl_error err = {0};
    tl_evaluation result = {.circuit = ld};
    tl_evaluator *e = NULL;
    const tl_evaluate_options options = {.how = how, .run_none = run_none};
    MUST(tl_evaluator_create(f->model, &options, &e, &err));
    MUST(tl_evaluator_run(e, &f->pair, 1, f->circuits, CIRCUITS, &result, &err));
    *work = tl_evaluator_work(e);
    tl_evaluator_destroy(e);
    return result;
}

static double worst;

static void compare(const fixture *f, const char *folder, const char *how,
                    const tl_evaluation *got, const tl_evaluation *want)
{
    const double scale = fmax(fabs(want->clean), fabs(want->none)),
                 limit = LIMIT * scale;
    assert_true(got->clean == want->clean);
    if (!(fabs(got->none - want->none) <= limit))
        fail_msg("%s, %s: none is %.9g, wanted %.9g", folder, how, got->none,
                 want->none);
    for (size_t i = 0; i < CIRCUITS; i++) {
        const double apart = fabs(got->circuit[i] - want->circuit[i]);
        if (!(apart <= limit))
            fail_msg("%s, %s, circuit %zu (%s): %.9g, densely %.9g, clean %.9g", folder,
                     how, i, f->names[i], got->circuit[i], want->circuit[i],
                     want->clean);
        worst = fmax(worst, apart / scale);
    }
}

static void check_pair(fixture *f, const char *folder)
{
    double ld[3][CIRCUITS];
    tl_evaluation_work work[3];
    make_sets(f);
    make_rankings(f);
    const tl_evaluation dense = evaluate(f, TL_EVALUATE_DENSE, true, ld[0], &work[0]),
                        sparse =
                            evaluate(f, TL_EVALUATE_SPARSE, false, ld[1], &work[1]),
                        chosen = evaluate(f, TL_EVALUATE_AUTO, false, ld[2], &work[2]);
    compare(f, folder, "sparsely", &sparse, &dense);
    compare(f, folder, "by cost", &chosen, &dense);
    /* The circuits do differ. */
    assert_true(fabs(ld[0][0] - ld[0][1]) > 1e3 * LIMIT * fabs(dense.clean));
    assert_true(fabs(ld[0][10] - ld[0][0]) > 1e3 * LIMIT * fabs(dense.clean));
    assert_int_equal(work[0].n_dense, CIRCUITS);
    assert_int_equal(work[1].n_sparse, CIRCUITS);
    assert_int_equal(work[2].n_dense + work[2].n_sparse + work[2].n_known, CIRCUITS);
    assert_true(work[2].n_dense > 0 && work[2].n_sparse > 0 && work[2].n_known > 0);
    assert_true(work[2].n_full_rows > 0);
    assert_int_equal(work[0].n_full_rows + work[1].n_full_rows, 0);
    assert_true(work[1].dense == 0.0 && work[1].sparse > 0.0 && work[0].sparse == 0.0);
}

/* In bf16 a circuit is as near to itself in f32 sparsely as densely: the worst of all within
 * twice the worst. Parts of layers are not rounded (backend.h), whole ones are. */
static void check_pair_in_bf16(fixture *f, const char *folder)
{
    double ld[4][CIRCUITS], most[2] = {0.0, 0.0};
    tl_evaluation_work work;
    tl_error err = {0};
    make_sets(f);
    make_rankings(f);
    const double clean = evaluate(f, TL_EVALUATE_DENSE, true, ld[0], &work).clean;
    MUST(tl_model_set_precision(f->model, TL_PRECISION_BF16_EMULATED, &err));
    evaluate(f, TL_EVALUATE_DENSE, true, ld[1], &work);
    evaluate(f, TL_EVALUATE_SPARSE, false, ld[2], &work);
    evaluate(f, TL_EVALUATE_AUTO, false, ld[3], &work);
    for (size_t i = 0; i < CIRCUITS; i++) {
        most[0] = fmax(most[0], fabs(ld[1][i] - ld[0][i]));
        most[1] = fmax(most[1], fabs(ld[2][i] - ld[0][i]));
        most[1] = fmax(most[1], fabs(ld[3][i] - ld[0][i]));
    }
    assert_true(most[0] > 10 * LIMIT * fabs(clean)); /* it is another precision */
    if (most[1] > 2.0 * most[0])
        fail_msg("%s in bf16: densely %.3g from f32, otherwise %.3g, clean %.3g",
                 folder, most[0], most[1], clean);
    worst = fmax(worst, most[1] / most[0]);
}

typedef void check(fixture *f, const char *folder);

static void check_family(const char *folder, const char *backend, check *pair)
{
    for (int modality = 0; modality < TL_MODALITY_COUNT; modality++) {
        tl_error err = {0};
        tl_processor *processor = NULL;
        tl_dataset *dataset = NULL;
        fixture f = open_model(folder, backend, 0);
        MUST(tl_processor_open(folder, f.d->n_vocab, &processor, &err));
        MUST(tl_dataset_open(folder, &dataset, &err));
        make_pair(&f, dataset, processor, (tl_modality)modality);
        pair(&f, folder);
        tl_dataset_close(dataset);
        tl_processor_close(processor);
        teardown(&f);
    }
}

static void check_families(const char *backend, check *pair)
{
    static const char *const families[] = {
        "gemma3",     "llava",       "paligemma", "paligemma2", "pixtral",
        "qwen2_5_vl", "qwen3_vl",    "mistral3",  "llava_next", "llava_onevision",
        "internvl",   "internvl3_5", "idefics3"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        char folder[512];
        snprintf(folder, sizeof folder, FAMILIES "%s", families[i]);
        check_family(folder, backend, pair);
    }
}

static void tiny_pair(fixture *f, uint32_t seed, size_t side)
{
    enum { T = 29 };
    f->pair = (tl_pair){
        .clean = random_input(f->model, f->arena, T, side > 0 ? 3 : 5, side, seed),
        .counterfactual =
            random_input(f->model, f->arena, T, side > 0 ? 3 : 5, side, seed + 1),
        .answer = 20,
        .counterfactual_answer = 50,
    };
}

static void sparse_is_dense_on_all_families(void **unused)
{
    (void)unused;
    check_families(NULL, check_pair);
    for (size_t side = 0; side <= 4; side += 4) {
        fixture f = open_model(tiny_checkpoint, NULL, 0);
        tiny_pair(&f, 4, side);
        check_pair(&f, "qwen2vl-tiny");
        teardown(&f);
    }
    print_message("worst: %.2g of the logit difference\n", worst);
}

static void so_it_is_by_definition(void **unused)
{
    (void)unused;
    worst = 0.0;
    check_families("ref", check_pair);
    for (size_t side = 0; side <= 4; side += 4) {
        fixture f = open_model(tiny_checkpoint, "ref", 0);
        tiny_pair(&f, 4, side);
        check_pair(&f, "qwen2vl-tiny");
        teardown(&f);
    }
    print_message("worst: %.2g of the logit difference\n", worst);
}

static void in_bf16_sparse_is_as_near_to_f32_as_dense(void **unused)
{
    (void)unused;
    worst = 0.0;
    check_families(NULL, check_pair_in_bf16);
    for (size_t side = 0; side <= 4; side += 4) {
        fixture f = open_model(tiny_checkpoint, NULL, 0);
        tiny_pair(&f, 4, side);
        check_pair_in_bf16(&f, "qwen2vl-tiny");
        teardown(&f);
    }
    print_message("worst: %.2g times as far from f32 as dense\n", worst);
}

/* ---- what bits depend on ----------------------------------------------------------- */

/* Each circuit alone, other threads and budgets, an evaluator that has done others. */
static void a_circuit_has_its_own_bits(void **unused)
{
    (void)unused;
    for (int how = TL_EVALUATE_AUTO; how <= TL_EVALUATE_SPARSE; how++) {
        tl_error err = {0};
        double want[CIRCUITS], got[CIRCUITS];
        tl_evaluation_work work;
        fixture f = open_model(tiny_checkpoint, NULL, 1);
        tiny_pair(&f, 4, 4);
        make_sets(&f);
        make_rankings(&f);
        evaluate(&f, (tl_evaluate_how)how, false, want, &work);

        tl_evaluator *e = NULL;
        const tl_evaluate_options options = {.how = (tl_evaluate_how)how};
        MUST(tl_evaluator_create(f.model, &options, &e, &err));
        for (size_t i = CIRCUITS; i-- > 0;) {
            tl_evaluation one = {.circuit = got + i};
            MUST(tl_evaluator_run(e, &f.pair, 1, f.circuits + i, 1, &one, &err));
            if (got[i] != want[i])
                fail_msg("circuit %zu (%s) alone: %.17g, among others %.17g", i,
                         f.names[i], got[i], want[i]);
        }
        tl_evaluator_destroy(e);
        const tl_pair pair = f.pair;

        fixture threads = open_model(tiny_checkpoint, NULL, 3);
        fixture other = f;
        other.model = threads.model;
        evaluate(&other, (tl_evaluate_how)how, false, got, &work);
        assert_memory_equal(got, want, sizeof got);
        teardown(&threads);

        /* Beside another pair, in both orders. */
        tiny_pair(&f, 8, 4);
        const tl_pair pairs[3] = {pair, f.pair, pair};
        double three[3][CIRCUITS];
        tl_evaluation results[3];
        for (size_t i = 0; i < 3; i++)
            results[i].circuit = three[i];
        MUST(tl_evaluate(f.model, pairs, 3, f.circuits, CIRCUITS, &options, results,
                         &err));
        assert_memory_equal(three[0], want, sizeof want);
        assert_memory_equal(three[2], want, sizeof want);
        assert_true(memcmp(three[1], want, sizeof want) != 0);
        teardown(&f);
    }
}

/* The work of some circuits, clean and counterfactual left out. */
static double sparse_work(const fixture *f, const tl_circuit *circuits, size_t n)
{
    tl_error err = {0};
    double ld[CIRCUITS];
    tl_evaluation result = {.circuit = ld};
    tl_evaluator *e = NULL;
    const tl_evaluate_options options = {.how = TL_EVALUATE_SPARSE};
    MUST(tl_evaluator_create(f->model, &options, &e, &err));
    MUST(tl_evaluator_run(e, &f->pair, 1, circuits, n, &result, &err));
    const tl_evaluation_work work = tl_evaluator_work(e);
    tl_evaluator_destroy(e);
    return work.sparse;
}

static void what_circuits_share_is_computed_once(void **unused)
{
    (void)unused;
    fixture f = open_model(tiny_checkpoint, NULL, 1);
    tiny_pair(&f, 4, 0);
    make_sets(&f);
    const tl_circuit same_beginning[2] = {f.circuits[10], f.circuits[12]},
                     same_end[2] = {f.circuits[10], f.circuits[13]};
    const double one = sparse_work(&f, same_beginning, 1),
                 beginning = sparse_work(&f, same_beginning + 1, 1),
                 end = sparse_work(&f, same_end + 1, 1);
    assert_true(sparse_work(&f, same_beginning, 2) < 0.8 * (one + beginning));
    assert_true(fabs(sparse_work(&f, same_end, 2) - (one + end)) < 1e-9);
    teardown(&f);
}

/* Pairs that are evaluated together fetch weights once, and know nothing of each other; nor
 * does a circuit of the clean run. */
static void pairs_share_what_is_fetched(void **unused)
{
    (void)unused;
    enum { PAIRS = TL_EVALUATE_TOGETHER + 2 };
    tl_error err = {0};
    tl_pair pairs[PAIRS];
    double together[PAIRS][CIRCUITS], alone[CIRCUITS], gathered = 0.0;
    tl_evaluation results[PAIRS];
    tl_evaluator *e = NULL;
    const tl_evaluate_options options = {.how = TL_EVALUATE_SPARSE, .no_clean = true};
    fixture f = open_model(tiny_checkpoint, NULL, 2);
    for (uint32_t i = 0; i < PAIRS; i++) {
        tiny_pair(&f, 4 + i, 4);
        pairs[i] = f.pair;
        results[i].circuit = together[i];
    }
    make_sets(&f);
    make_rankings(&f);
    MUST(tl_evaluator_create(f.model, &options, &e, &err));
    MUST(tl_evaluator_run(e, pairs, PAIRS, f.circuits, CIRCUITS, results, &err));
    const tl_evaluation_work work = tl_evaluator_work(e);
    tl_evaluator_destroy(e);
    assert_true(work.clean == 0.0 && work.n_pairs == PAIRS);
    for (size_t i = 0; i < PAIRS; i++) {
        tl_evaluation_work own;
        f.pair = pairs[i];
        const tl_evaluation one = evaluate(&f, TL_EVALUATE_SPARSE, false, alone, &own);
        assert_memory_equal(together[i], alone, sizeof alone);
        assert_true(isnan(results[i].clean) && results[i].none == one.none);
        gathered += own.gathered;
    }
    assert_true(work.gathered < 0.5 * gathered);
    teardown(&f);
}

/* Within a budget the lanes of a pair may be run without those of the next, which shares
 * less with its counterfactual: its tables are there nevertheless. */
static void a_pair_beside_a_longer_one_fits_into_a_budget(void **unused)
{
    (void)unused;
    tl_error err = {0};
    double want[2][CIRCUITS], got[2][CIRCUITS];
    tl_evaluation results[2];
    tl_pair pairs[2];
    size_t least = 0;
    fixture f = open_model(tiny_checkpoint, NULL, 1);
    tiny_pair(&f, 4, 0);
    pairs[0] = pairs[1] = f.pair;
    for (uint32_t i = 0; i < 2; i++) /* twenty positions shared */
        *(i == 0 ? &pairs[0].clean : &pairs[0].counterfactual) =
            random_input(f.model, f.arena, f.pair.clean.n_pos, 20, 0, 9 + i);
    assert_true(tl_pair_shared_prefix(&pairs[0], f.d->d_model) >
                tl_pair_shared_prefix(&pairs[1], f.d->d_model));
    make_sets(&f);
    make_rankings(&f);
    MUST(tl_evaluator_bytes(f.model, f.pair.clean.n_pos, &least, &err));
    for (size_t budget = 0;
         budget<6 * least; budget = budget> 0 ? budget + least / 4 : least) {
        const tl_evaluate_options options = {.how = TL_EVALUATE_SPARSE,
                                             .memory_budget = budget};
        for (size_t i = 0; i < 2; i++)
            results[i].circuit = budget == 0 ? want[i] : got[i];
        MUST(tl_evaluate(f.model, pairs, 2, f.circuits, CIRCUITS, &options, results,
                         &err));
        if (budget > 0)
            assert_memory_equal(got, want, sizeof got);
    }
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparse_is_dense_on_all_families),
        cmocka_unit_test(so_it_is_by_definition),
        cmocka_unit_test(in_bf16_sparse_is_as_near_to_f32_as_dense),
        cmocka_unit_test(a_circuit_has_its_own_bits),
        cmocka_unit_test(what_circuits_share_is_computed_once),
        cmocka_unit_test(pairs_share_what_is_fetched),
        cmocka_unit_test(a_pair_beside_a_longer_one_fits_into_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
