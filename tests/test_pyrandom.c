/* SPDX-License-Identifier: MIT
 *
 * test_pyrandom.c - the generator against what CPython 3.11 itself draws. The table
 * is the output of, for each seed,
 *
 *     random.seed(seed)
 *     [getrandbits(k) for k in (1, 8, 31, 32, 33, 64)]
 *     [randrange(n) for n in (1, 2, 7, 1000, 2**32, 2**40 + 3)]
 *     random(); randint(-5, 5); x = list(range(10)); shuffle(x); x
 *     sample(range(10), 4); sample(range(1000), 7); sample(range(85), 20)
 */
#include "testing.h"

#include "task/pyrandom.h"

enum { N_BITS = 6, N_BELOW = 6 };
static const unsigned bits[N_BITS] = {1, 8, 31, 32, 33, 64};
static const uint64_t limits[N_BELOW] = {1, 2, 7, 1000, 4294967296, 1099511627779};

static const struct drawn {
    uint64_t seed;
    uint64_t bits[N_BITS];
    uint64_t below[N_BELOW];
    double real;
    int64_t between;
    size_t shuffled[10];
    size_t small[4], large[7], pool[20];
    uint64_t after; /* getrandbits(64): all before has used as many words */
} table[] = {
    {42,
     {1, 28, 53710184, 3184935163, 1181241943, 2574020394472462046},
     {0, 0, 4, 432, 136505587, 477143787866},
     0x1.dc7d50815ef6cp-3,
     4,
     {2, 1, 9, 7, 4, 6, 5, 3, 8, 0},
     {9, 4, 0, 6},
     {825, 163, 714, 432, 348, 284, 159},
     {27, 43, 13, 11, 48, 12, 45, 44, 33, 5, 58, 68, 15, 80, 10, 37, 46, 24, 8, 75},
     4203981122503740825},
    {0,
     {1, 98, 1627694678, 3823568514, 1806341205, 17809683713383489082U},
     {0, 1, 6, 849, 2046968324, 480641685011},
     0x1.026650c8e9dc4p-1,
     -1,
     {9, 0, 3, 8, 6, 5, 7, 4, 1, 2},
     {1, 5, 7, 4},
     {103, 362, 444, 323, 625, 655, 934},
     {26, 70, 61, 56, 66, 33, 7, 83, 1, 11, 51, 0, 63, 42, 31, 41, 8, 24, 28, 30},
     17847967439290631532U},
    {1,
     {0, 145, 1819850095, 3445702192, 3280387012, 2175216119781798972},
     {0, 1, 3, 667, 901749037, 62224870530},
     0x1.c960d9f57d2cep-1,
     1,
     {9, 3, 4, 8, 1, 5, 2, 7, 0, 6},
     {0, 9, 8, 3},
     {702, 221, 992, 432, 743, 29, 540},
     {28, 56, 63, 70, 29, 44, 80, 84, 58, 37, 2, 53, 71, 12, 23, 75, 15, 42, 64, 54},
     15311455938795913718U},
    {4294967295,
     {1, 158, 436368544, 924893097, 6903586996, 11124323167451281159U},
     {0, 1, 5, 705, 3818874696, 904078697522},
     0x1.0743aa6f17ab8p-4,
     4,
     {3, 6, 4, 9, 0, 8, 1, 5, 7, 2},
     {7, 4, 1, 6},
     {0, 560, 460, 772, 759, 212, 67},
     {30, 81, 48, 60, 53, 21, 36, 64, 61, 5, 50, 40, 10, 31, 63, 55, 83, 84, 44, 28},
     12499450570598046923U},
    {4294967296,
     {0, 89, 897280643, 4014597330, 71624475, 16161065642225157897U},
     {0, 1, 0, 141, 1349299654, 840684227638},
     0x1.eaa40576b4b62p-2,
     2,
     {3, 0, 6, 9, 7, 8, 5, 4, 1, 2},
     {9, 8, 2, 1},
     {613, 5, 390, 743, 49, 362, 834},
     {2, 33, 28, 21, 9, 45, 58, 53, 56, 20, 18, 11, 31, 83, 23, 34, 62, 50, 5, 36},
     14802523663116681372U},
    {18446744073709551615U,
     {0, 63, 726054176, 2657516307, 910393425, 1752763915482752451},
     {0, 0, 5, 197, 1416548123, 611011188478},
     0x1.2de8d90258ff1p-1,
     0,
     {6, 0, 5, 1, 2, 3, 7, 8, 9, 4},
     {3, 9, 5, 0},
     {511, 482, 186, 111, 16, 144, 816},
     {75, 56, 32, 79, 82, 5, 34, 78, 1, 16, 83, 67, 66, 74, 37, 2, 61, 41, 39, 0},
     5816702727584378671},
    {42949672967,
     {0, 46, 1776476896, 2048633979, 919715058, 2604144156825098756},
     {0, 0, 0, 314, 3813952541, 18973101203},
     0x1.91d9053eb0d26p-1,
     -3,
     {5, 4, 1, 8, 6, 0, 9, 3, 7, 2},
     {7, 4, 3, 6},
     {29, 415, 117, 312, 204, 884, 276},
     {58, 84, 15, 2, 55, 22, 27, 12, 41, 68, 49, 6, 21, 83, 18, 34, 45, 38, 14, 19},
     3309624256166405436},
};

static void draws_what_python_draws(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    assert_non_null(arena);
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        const struct drawn *want = &table[t];
        tl_pyrandom random;
        tl_pyrandom_seed(&random, want->seed);
        for (size_t i = 0; i < N_BITS; i++)
            assert_int_equal(tl_pyrandom_bits(&random, bits[i]), want->bits[i]);
        for (size_t i = 0; i < N_BELOW; i++)
            assert_int_equal(tl_pyrandom_below(&random, (size_t)limits[i]),
                             want->below[i]);
        assert_true(tl_pyrandom_real(&random) == want->real);
        assert_true(tl_pyrandom_between(&random, -5, 5) == want->between);

        size_t items[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
        tl_pyrandom_shuffle(&random, items, 10);
        assert_memory_equal(items, want->shuffled, sizeof items);

        const struct {
            size_t n, k;
            const size_t *want;
        } samples[] = {
            {10, 4, want->small}, {1000, 7, want->large}, {85, 20, want->pool}};
        for (size_t i = 0; i < 3; i++) {
            size_t got[20];
            const size_t k = samples[i].k;
            assert_int_equal(
                tl_pyrandom_sample(&random, samples[i].n, k, arena, got, NULL), TL_OK);
            assert_memory_equal(got, samples[i].want, k * sizeof *got);
        }
        assert_int_equal(tl_pyrandom_bits(&random, 64), want->after);
    }
    assert_int_equal(tl_arena_used(arena), 0);
    tl_arena_destroy(arena);
}

static void edges_are_defined(void **state)
{
    (void)state;
    tl_pyrandom random;
    tl_pyrandom_seed(&random, 7);
    assert_int_equal(tl_pyrandom_bits(&random, 0), 0);
    assert_int_equal(random.used, TL_PYRANDOM_WORDS); /* no word was used up */
    assert_int_equal(tl_pyrandom_between(&random, INT64_MAX, INT64_MAX), INT64_MAX);
    (void)tl_pyrandom_between(&random, INT64_MIN, INT64_MAX);
    tl_pyrandom_shuffle(&random, NULL, 0);
    for (int i = 0; i < 1000; i++) {
        const double x = tl_pyrandom_real(&random);
        assert_true(x >= 0 && x < 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_what_python_draws),
        cmocka_unit_test(edges_are_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
