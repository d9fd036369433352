/*
 * test_circuit_work.c - what evaluating a circuit is expected to take is what is counted:
 * exactly when its components are known, in every family, and more or less when they are
 * anywhere.
 */
#include "testing.h"

#include <math.h>

#include "circuit/circuit_work.h"
#include "model/model_parts.h"

enum { T = 40, PREFIX = 6, SIZES = 7, SETS = 4 };
static const char *const fractions[SIZES] = {"0",    "0.001", "0.02", "0.1",
                                             "0.25", "0.45",  "0.9"};

#define DATA TWINLENS_SOURCE_DIR "/tests/data/"
static const char *const folders[] = {TWINLENS_SOURCE_DIR "/models/organism",
                                      DATA "qwen2vl-tiny/checkpoint",
                                      DATA "families/qwen2_5_vl",
                                      DATA "families/pixtral",
                                      DATA "families/gemma3",
                                      DATA "families/llava",
                                      DATA "families/paligemma",
                                      DATA "families/paligemma2",
                                      DATA "families/internvl"};
enum { FOLDERS = sizeof folders / sizeof *folders };

static tl_input make_input(const tl_model *model, uint32_t seed, tl_arena *arena)
{
    const size_t d_model = tl_model_dims(model)->d_model;
    uint32_t shared = 1u;
    float *embeds = tl_arena_alloc(arena, T * d_model, sizeof *embeds);
    int32_t *positions = tl_arena_alloc(arena, 3 * T, sizeof *positions);
    bool *is_image = tl_arena_alloc_zero(arena, T, sizeof *is_image);
    assert_true(embeds != NULL && positions != NULL && is_image != NULL);
    for (size_t i = 0; i < T * d_model; i++)
        embeds[i] = test_uniform(
            i < PREFIX * d_model || i >= (T - 1) * d_model ? &shared : &seed);
    for (size_t i = 0; i < 3 * T; i++)
        positions[i] = (int32_t)(i % T);
    return (tl_input){
        .n_pos = T, .embeds = embeds, .positions = positions, .is_image = is_image};
}

/* What evaluating circuits of one pair adds to its two runs. */
static double counted(tl_model *model, const tl_pair *pair, const tl_circuit *circuits,
                      size_t n)
{
    tl_error err = {0};
    double values[SETS], base = 0.0;
    tl_evaluation result = {.circuit = values};
    const uint64_t before = tl_model_product_flops(model);
    if (tl_pair_flops(model, T, PREFIX, false, &base, &err) != TL_OK ||
        tl_evaluate(model, pair, 1, circuits, n, NULL, &result, &err) != TL_OK)
        fail_msg("%s", err.text);
    return (double)(tl_model_product_flops(model) - before) - base;
}

static void check_known(tl_model *model, const tl_pair *pair,
                        const tl_circuit *circuits, size_t n, const char *what)
{
    tl_error err = {0};
    double want = 0.0;
    if (tl_known_circuits_flops(model, T, PREFIX, circuits, n, &want, &err) != TL_OK)
        fail_msg("%s", err.text);
    const double got = counted(model, pair, circuits, n);
    if (got != want)
        fail_msg("%s, %s: %.0f operations were counted, %.0f expected",
                 tl_model_family(model), what, got, want);
}

/* Sets that are the same up to different positions share rows. */
static void check_sharing(tl_model *model, const tl_pair *pair, tl_component_set *set,
                          tl_arena *arena)
{
    tl_component_set sets[SETS];
    tl_circuit circuits[SETS];
    tl_error err = {0};
    for (size_t i = 0; i < SETS; i++) {
        assert_int_equal(tl_set_create(set->n_layers, T, set->n_heads, set->d_mlp,
                                       arena, &sets[i], &err),
                         TL_OK);
        tl_set_add(set, 0, T - 7 * i, &sets[i]);
        circuits[i] = (tl_circuit){.set = &sets[i]};
    }
    check_known(model, pair, circuits, SETS, "together");
}

static void check_family(const char *folder)
{
    enum { DRAWS = 4 };
    tl_model *model = NULL;
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    const tl_model_options how = {.n_threads = 1};
    if (tl_model_open(folder, &how, &model, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims *d = tl_model_dims(model);
    const tl_pair pair = {make_input(model, 2u, arena), make_input(model, 3u, arena), 1,
                          2};
    const tl_ranking shape = {d->n_layers, T, d->n_heads, d->d_mlp, NULL, NULL};
    for (size_t i = 0; i < SIZES * DRAWS; i++) {
        tl_ranking ranking;
        tl_fraction fraction;
        tl_component_set set;
        assert_int_equal(tl_fraction_parse(fractions[i / DRAWS], &fraction, &err),
                         TL_OK);
        assert_int_equal(tl_ranking_random(&shape, i, arena, &ranking, &err), TL_OK);
        const tl_circuit circuit = tl_circuit_at(&ranking, fraction, TL_FRACTION_EXACT);
        assert_int_equal(tl_set_from_circuit(&circuit, arena, &set, &err), TL_OK);
        check_known(model, &pair, &circuit, 1, fractions[i / DRAWS]);
        check_known(model, &pair, &(tl_circuit){.set = &set}, 1, "as a set");
        if (!tl_model_spec(model)->bidirectional)
            check_sharing(model, &pair, &set, arena);
    }
    tl_model_close(model);
    tl_arena_destroy(arena);
}

static void known_circuits_take_what_is_expected(void **unused)
{
    (void)unused;
    for (size_t k = 0; k < FOLDERS; k++)
        check_family(folders[k]);
}

/* In a model with enough of them, components that are anywhere. */
static void random_circuits_take_what_is_expected(void **unused)
{
    (void)unused;
    enum { DRAWS = 6 };
    tl_model *model = NULL;
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    const tl_model_options how = {.n_threads = 1};
    if (tl_model_open(folders[0], &how, &model, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims *d = tl_model_dims(model);
    const tl_pair pair = {make_input(model, 2u, arena), make_input(model, 3u, arena), 1,
                          2};
    const tl_ranking shape = {d->n_layers, T, d->n_heads, d->d_mlp, NULL, NULL};
    for (size_t i = 0; i < SIZES; i++) {
        tl_fraction fraction;
        assert_int_equal(tl_fraction_parse(fractions[i], &fraction, &err), TL_OK);
        const double share = tl_fraction_value(fraction);
        double want = 0.0, got = 0.0;
        for (uint64_t seed = 0; seed < DRAWS; seed++) {
            tl_ranking ranking;
            assert_int_equal(tl_ranking_random(&shape, seed, arena, &ranking, &err),
                             TL_OK);
            const tl_circuit circuit =
                tl_circuit_at(&ranking, fraction, TL_FRACTION_EXACT);
            got += counted(model, &pair, &circuit, 1) / DRAWS;
        }
        if (tl_circuit_flops(model, &(tl_span){T, PREFIX, T - 1}, PREFIX, 0,
                             &(tl_circuit_share){.data = share, .rest = share}, &want, &err) != TL_OK)
            fail_msg("%s", err.text);
        /* Of the smallest the number of rows that are needed at all is chance. */
        if (share > 0.05 ? fabs(want - got) > 0.1 * got : (got == 0.0) != (want == 0.0))
            fail_msg(
                "%s of the components: %.4g operations were counted, %.4g expected",
                fractions[i], got, want);
    }
    tl_model_close(model);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_circuits_take_what_is_expected),
        cmocka_unit_test(random_circuits_take_what_is_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
