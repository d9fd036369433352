/*
 * test_ranking.c - ranks against a sort that anybody can check, fractions against
 * exact arithmetic, random circuits against what uniform means.
 */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "twinlens/circuit.h"

enum { LAYERS = 3, POSITIONS = 7, HEADS = 5, NEURONS = 41 };
enum {
    HEAD_COUNT = LAYERS * POSITIONS * HEADS,
    NEURON_COUNT = LAYERS * POSITIONS * NEURONS
};

static float heads[HEAD_COUNT], neurons[NEURON_COUNT];
static const tl_scores scores = {LAYERS, POSITIONS, HEADS, NEURONS, heads, neurons};

/* Few distinct values, so that ties are the rule; both signs, zeros of both signs. */
static void draw_scores(void)
{
    uint32_t state = 3;
    for (size_t i = 0; i < HEAD_COUNT; i++)
        heads[i] =
            floorf(test_uniform(&state) * 4.0f) / 4.0f * (i % 3 == 0 ? -1.0f : 1.0f);
    for (size_t i = 0; i < NEURON_COUNT; i++)
        neurons[i] = test_uniform(&state) * powf(10.0f, test_uniform(&state) * 20.0f);
}

/* The definition: how many components come before i. */
static size_t place_of(const float *x, size_t n, size_t i)
{
    size_t before = 0;
    for (size_t j = 0; j < n; j++)
        before += x[j] > x[i] || (x[j] == x[i] && j < i);
    return before;
}

static void ranks_count_what_comes_before(void **unused)
{
    (void)unused;
    draw_scores();
    tl_arena *arena = tl_arena_create();
    tl_ranking r;
    tl_error err = {0};
    assert_int_equal(tl_ranking_from_scores(&scores, arena, &r, &err), TL_OK);
    for (size_t i = 0; i < HEAD_COUNT; i++)
        if (r.heads[i] != place_of(heads, HEAD_COUNT, i))
            fail_msg("head %zu has rank %u, wanted %zu", i, r.heads[i],
                     place_of(heads, HEAD_COUNT, i));
    for (size_t i = 0; i < NEURON_COUNT; i++)
        if (r.neurons[i] != place_of(neurons, NEURON_COUNT, i))
            fail_msg("neuron %zu has rank %u, wanted %zu", i, r.neurons[i],
                     place_of(neurons, NEURON_COUNT, i));
    tl_arena_destroy(arena);
}

static void a_score_that_is_no_number_is_named(void **unused)
{
    (void)unused;
    draw_scores();
    tl_arena *arena = tl_arena_create();
    tl_ranking r = {.n_pos = 99};
    tl_error err = {0};
    neurons[(1 * POSITIONS + 4) * NEURONS + 17] = NAN;
    assert_int_equal(tl_ranking_from_scores(&scores, arena, &r, &err), TL_ERR_DATA);
    assert_non_null(strstr(err.text, "neuron 17 at layer 1, position 4"));
    assert_int_equal(r.n_pos, 99);
    tl_arena_destroy(arena);
}

static void fractions_are_exact_decimals(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        size_t count, exact;
    } cases[] = {
        {"0", 1000, 0},
        {"1", 1000, 1000},
        {"1.0", 7, 7},
        {"0.29", 100, 29},
        {"0.7", 90, 63},
        {"0.001", 999, 0},
        {"0.001", 1000, 1},
        {".5", 3, 1},
        {"5e-3", 200, 1},
        {"0.1", 30, 3},
        {"0.9", 10, 9},
        {"0.01", 63000000, 630000},
        {"0.3", 70, 21},
        {"0.000001", 2000000, 2},
        {"1e0", 5, 5},
        {"0.20", 10, 2},
        {"0.999", (size_t)1 << 40, 1098412116148},
        {"00.5", 8, 4},
        {"0.0", 5, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tl_fraction f;
        tl_error err = {0};
        if (tl_fraction_parse(cases[i].text, &f, &err) != TL_OK)
            fail_msg("%s: %s", cases[i].text, err.text);
        const size_t got = tl_fraction_of(f, cases[i].count, TL_FRACTION_EXACT);
        if (got != cases[i].exact)
            fail_msg("%s of %zu is %zu, wanted %zu", cases[i].text, cases[i].count, got,
                     cases[i].exact);
        assert_true(fabs(tl_fraction_value(f) - strtod(cases[i].text, NULL)) < 1e-15);
    }
}

/* 0.01f is 0.00999999977: of 100 components it takes none. */
static void published_fractions_are_floats(void **unused)
{
    (void)unused;
    tl_fraction f;
    assert_int_equal(tl_fraction_parse("0.01", &f, NULL), TL_OK);
    assert_int_equal(tl_fraction_of(f, 100, TL_FRACTION_F32), 0);
    assert_int_equal(tl_fraction_of(f, 100, TL_FRACTION_EXACT), 1);
    assert_int_equal(tl_fraction_parse("0.5", &f, NULL), TL_OK);
    assert_int_equal(tl_fraction_of(f, 100, TL_FRACTION_F32), 50);
}

static void senseless_fractions_are_refused(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"",
                                      "-0.1",
                                      "1.1",
                                      "2",
                                      "0.1x",
                                      "nan",
                                      "inf",
                                      "1e5",
                                      "0..1",
                                      ".",
                                      "e3",
                                      "1e",
                                      " 0.1",
                                      "0.1 ",
                                      "+0.1",
                                      "0x1",
                                      "0.1234567890123456789",
                                      "1e-30",
                                      "1e999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tl_fraction f = {7, 9};
        tl_error err = {0};
        if (tl_fraction_parse(bad[i], &f, &err) != TL_ERR_ARGUMENT ||
            err.text[0] == '\0')
            fail_msg("'%s' was taken as %g", bad[i], tl_fraction_value(f));
        assert_true(f.numerator == 7 && f.denominator == 9);
    }
}

static void a_random_ranking_is_a_uniform_permutation(void **unused)
{
    (void)unused;
    enum { DRAWS = 4000 };
    const tl_ranking shape = {1, 2, 4, 3, NULL, NULL};
    static size_t seen[8][8];
    tl_arena *arena = tl_arena_create();
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_ranking r;
        assert_int_equal(tl_ranking_random(&shape, seed, arena, &r, NULL), TL_OK);
        unsigned all = 0;
        for (size_t i = 0; i < 8; i++) {
            all |= 1u << r.heads[i];
            seen[i][r.heads[i]]++;
        }
        assert_int_equal(all, 0xff);
        tl_arena_rewind(arena, mark);
    }
    /* Each of 64 cells is binomial(4000, 1/8): mean 500, sd 21; five sd. */
    for (size_t i = 0; i < 8; i++)
        for (size_t k = 0; k < 8; k++)
            if (seen[i][k] < 395 || seen[i][k] > 605)
                fail_msg("component %zu had rank %zu in %zu of %d draws", i, k,
                         seen[i][k], DRAWS);
    tl_ranking a, b, c;
    assert_int_equal(tl_ranking_random(&shape, 5, arena, &a, NULL), TL_OK);
    assert_int_equal(tl_ranking_random(&shape, 5, arena, &b, NULL), TL_OK);
    assert_int_equal(tl_ranking_random(&shape, 6, arena, &c, NULL), TL_OK);
    assert_memory_equal(a.heads, b.heads, sizeof(uint32_t[8]));
    assert_memory_not_equal(a.heads, c.heads, sizeof(uint32_t[8]));
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_count_what_comes_before),
        cmocka_unit_test(a_score_that_is_no_number_is_named),
        cmocka_unit_test(fractions_are_exact_decimals),
        cmocka_unit_test(published_fractions_are_floats),
        cmocka_unit_test(senseless_fractions_are_refused),
        cmocka_unit_test(a_random_ranking_is_a_uniform_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
