/*
 * test_circuit_tests.c - which circuits a circuit is tested against: what is drawn is what it
 * is said to be, and every choice is equally likely.
 */
#include "testing.h"

#include <math.h>

#include "circuit/circuit_tests.h"
#include "torture.h"

enum { LAYERS = 3, POSITIONS = 9, HEADS = 4, MLP = 10 };
static const tl_span span = {POSITIONS, 2, 5};

static tl_component_set circuit;
static tl_arena *arena;

/* Every third neuron and every second head of the segments, and some before the data. */
static int begin(void **unused)
{
    (void)unused;
    arena = tl_arena_create();
    assert_int_equal(
        tl_set_create(LAYERS, POSITIONS, HEADS, MLP, arena, &circuit, NULL), TL_OK);
    for (size_t i = 0; i < LAYERS * POSITIONS * HEADS; i++)
        circuit.heads[i] = i % 2 == 0;
    for (size_t i = 0; i < LAYERS * POSITIONS * MLP; i++)
        circuit.neurons[i] = i % 3 == 0;
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    tl_arena_destroy(arena);
    return 0;
}

static bool is_in(const tl_component_set *set, const tl_circuit_test *t)
{
    return t->kind == TL_KIND_HEADS
               ? set->heads[(t->layer * POSITIONS + t->pos) * HEADS + t->index] != 0
               : set->neurons[(t->layer * POSITIONS + t->pos) * MLP + t->index] != 0;
}

static size_t segment_of(size_t pos)
{
    return pos < 5 ? 0 : pos < POSITIONS - 1 ? 1 : 2;
}

static const tl_circuit_test *list(size_t n_random, uint64_t seed, size_t *n)
{
    const tl_circuit_test *tests = NULL;
    assert_int_equal(tl_circuit_tests_list(&circuit, &span, n_random, seed, arena,
                                           &tests, n, NULL),
                     TL_OK);
    return tests;
}

static void a_list_has_what_it_is_said_to_have(void **unused)
{
    (void)unused;
    size_t n, count[TL_TEST_CIRCUITS] = {0}, in[2][TL_KIND_COUNT][3] = {{{0}}};
    const tl_circuit_test *tests = list(20, 7, &n);
    for (size_t i = 0; i < n; i++) {
        const tl_circuit_test *t = &tests[i];
        count[t->circuit]++;
        if (t->circuit < TL_TEST_WITHOUT)
            continue;
        assert_in_range(t->pos, span.data_begin, POSITIONS - 1);
        assert_true(is_in(&circuit, t) == (t->circuit == TL_TEST_WITHOUT));
        in[t->circuit == TL_TEST_WITH][t->kind][segment_of(t->pos)]++;
        if (i > 0 && tests[i - 1].circuit >= TL_TEST_WITHOUT)
            assert_true(tests[i - 1].pos >= t->pos);
        for (size_t k = 0; k < i; k++) /* no component twice */
            assert_false(tests[k].circuit == t->circuit && tests[k].kind == t->kind &&
                         tests[k].layer == t->layer && tests[k].pos == t->pos &&
                         tests[k].index == t->index);
    }
    assert_int_equal(count[TL_TEST_ITSELF], 1);
    assert_int_equal(count[TL_TEST_COMPLEMENT], 1);
    assert_int_equal(count[TL_TEST_RANDOM], 20);
    assert_int_equal(count[TL_TEST_WITHOUT], 20); /* ten of each kind */
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        for (size_t g = 0; g < 3; g++) /* as many outside as inside, if there are */
            assert_int_equal(in[0][k][g], in[1][k][g]);
}

static void a_seed_is_all_that_counts(void **unused)
{
    (void)unused;
    size_t n, m, k;
    const tl_circuit_test *a = list(10, 1, &n), *b = list(10, 1, &m),
                          *c = list(10, 2, &k);
    assert_true(n == m && memcmp(a, b, n * sizeof *a) == 0);
    assert_true(n != k || memcmp(a, c, n * sizeof *a) != 0);
    assert_true(tl_circuit_tests_seed(42, TL_TEXT) !=
                tl_circuit_tests_seed(42, TL_IMAGE));
}

static void small_circuits_are_taken_whole(void **unused)
{
    (void)unused;
    size_t n, n_without = 0, n_with = 0;
    const tl_circuit_test *tests = list(10000, 1, &n);
    for (size_t i = 0; i < n; i++) {
        n_without += tests[i].circuit == TL_TEST_WITHOUT;
        n_with += tests[i].circuit == TL_TEST_WITH;
    }
    size_t want = 0;
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t t = span.data_begin; t < POSITIONS; t++) {
            for (size_t i = 0; i < HEADS; i++)
                want += circuit.heads[(l * POSITIONS + t) * HEADS + i];
            for (size_t i = 0; i < MLP; i++)
                want += circuit.neurons[(l * POSITIONS + t) * MLP + i];
        }
    assert_int_equal(n_without, want);
    assert_in_range(n_with, 1, LAYERS * (POSITIONS - 2) * (HEADS + MLP) - want);
}

static size_t count_different(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t different = 0;
    for (size_t i = 0; i < n; i++)
        different += a[i] != b[i];
    return different;
}

static void circuits_are_built_as_named(void **unused)
{
    (void)unused;
    enum { H = LAYERS * POSITIONS * HEADS, M = LAYERS * POSITIONS * MLP };
    size_t n;
    const tl_circuit_test *tests = list(20, 3, &n);
    for (size_t i = 0; i < n; i++) {
        const tl_circuit_test *t = &tests[i];
        tl_component_set set;
        assert_int_equal(tl_circuit_test_build(&circuit, &span, t, arena, &set, NULL),
                         TL_OK);
        const size_t heads = count_different(set.heads, circuit.heads, H),
                     neurons = count_different(set.neurons, circuit.neurons, M);
        switch (t->circuit) {
        case TL_TEST_ITSELF: assert_true(heads == 0 && neurons == 0); break;
        case TL_TEST_COMPLEMENT: assert_true(heads == H && neurons == M); break;
        case TL_TEST_WITHOUT:
        case TL_TEST_WITH:
            assert_true(heads == (t->kind == TL_KIND_HEADS) &&
                        neurons == (t->kind == TL_KIND_NEURONS));
            assert_true(is_in(&set, t) == (t->circuit == TL_TEST_WITH));
            break;
        case TL_TEST_RANDOM: {
            size_t in[2][2][4] = {{{0}}}; /* of the set, of the circuit; kind; segment */
            for (size_t k = 0; k < H + M; k++) {
                const bool head = k < H;
                const size_t at = head ? k : k - H,
                             pos = at / (head ? HEADS : MLP) % POSITIONS,
                             g = pos < 2 ? 3 : segment_of(pos);
                in[0][head][g] += head ? set.heads[at] : set.neurons[at];
                in[1][head][g] += head ? circuit.heads[at] : circuit.neurons[at];
            }
            for (size_t k = 0; k < 2; k++) {
                assert_memory_equal(in[0][k], in[1][k], 3 * sizeof in[0][k][0]);
                assert_int_equal(in[0][k][3], 0); /* before the data nothing acts */
            }
            assert_true(heads > 0 && neurons > 0);
            break;
        }
        }
    }
}

/* Of many draws each component has its share, within five deviations. */
static void every_choice_is_equally_likely(void **unused)
{
    (void)unused;
    enum { DRAWS = 4000, N = 4 };
    static size_t drawn[2][LAYERS * POSITIONS * HEADS];
    size_t n_in[2] = {0};
    for (size_t s = 0; s < DRAWS; s++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        size_t n;
        const tl_circuit_test *tests = list(2 * N, s, &n);
        for (size_t i = 0; i < n; i++)
            if (tests[i].circuit >= TL_TEST_WITHOUT && tests[i].kind == TL_KIND_HEADS)
                drawn[tests[i].circuit == TL_TEST_WITH]
                     [(tests[i].layer * POSITIONS + tests[i].pos) * HEADS +
                      tests[i].index]++;
        tl_arena_rewind(arena, mark);
    }
    for (size_t i = 0; i < LAYERS * POSITIONS * HEADS; i++)
        if (i / HEADS % POSITIONS >= 2)
            n_in[circuit.heads[i] == 0]++;
    for (size_t i = 0; i < LAYERS * POSITIONS * HEADS; i++) {
        const size_t outside = circuit.heads[i] == 0;
        if (i / HEADS % POSITIONS < 2) {
            assert_true(drawn[0][i] == 0 && drawn[1][i] == 0);
            continue;
        }
        const double share = (double)N / (double)n_in[outside],
                     sd = sqrt(DRAWS * share * (1.0 - share));
        assert_int_equal(drawn[!outside][i], 0);
        if (fabs((double)drawn[outside][i] - DRAWS * share) > 5.0 * sd)
            fail_msg("component %zu is drawn %zu times, wanted %.0f +- %.0f", i,
                     drawn[outside][i], DRAWS * share, sd);
    }
}

static tl_status make_list(void *state, tl_error *err)
{
    (void)state;
    const tl_circuit_test *tests = NULL;
    size_t n = 0;
    tl_component_set set;
    tl_arena *own = tl_arena_create();
    tl_status status =
        own != NULL ? tl_circuit_tests_list(&circuit, &span, 5, 1, own, &tests, &n, err)
                    : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_circuit_test_build(&circuit, &span, &tests[i], own, &set, err);
    tl_arena_destroy(own);
    return status;
}

static void it_may_run_out_of_memory(void **unused)
{
    (void)unused;
    torture(&(torture_case){.covers = "tl_circuit_tests_list tl_circuit_test_build",
                            .run = make_list});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_what_it_is_said_to_have),
        cmocka_unit_test(a_seed_is_all_that_counts),
        cmocka_unit_test(small_circuits_are_taken_whole),
        cmocka_unit_test(circuits_are_built_as_named),
        cmocka_unit_test(every_choice_is_equally_likely),
        cmocka_unit_test(it_may_run_out_of_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
