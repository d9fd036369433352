/*
 * test_chance.c - a circuit that is one of the random ones is called better than chance as
 * seldom as p says; and the value that most others do not exceed.
 */
#include "testing.h"

#include <math.h>

#include "twinlens/statistics.h"

static uint64_t state = 1;

static double uniform(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(state >> 11) / 9007199254740992.0;
}

static void p_counts_those_that_are_as_good(void **unused)
{
    (void)unused;
    assert_true(tl_chance_p(0, 100) == 1.0 / 101.0);
    assert_true(tl_chance_p(100, 100) == 1.0);
    assert_true(tl_chance_p(0, 0) == 1.0); /* nothing is known without any */
}

/* The circuit is drawn as the random ones are: p is at most a in a share a of all studies. */
static void p_keeps_its_size(void **unused)
{
    (void)unused;
    enum { STUDIES = 20000, RANDOM = 100 };
    static const double levels[] = {0.01, 0.05, 0.1, 0.5};
    size_t below[4] = {0};
    for (size_t s = 0; s < STUDIES; s++) {
        const double own = floor(50.0 * uniform()); /* with ties */
        size_t n_as_good = 0;
        for (size_t i = 0; i < RANDOM; i++)
            n_as_good += floor(50.0 * uniform()) >= own;
        for (size_t k = 0; k < 4; k++)
            below[k] += tl_chance_p(n_as_good, RANDOM) <= levels[k];
    }
    for (size_t k = 0; k < 4; k++) {
        const double share = (double)below[k] / STUDIES;
        if (share > levels[k] + 4.0 * sqrt(levels[k] / STUDIES))
            fail_msg("p is at most %g in a share %g", levels[k], share);
    }
    assert_in_range(below[3], 45 * STUDIES / 100, STUDIES); /* and it is not 1 */
}

static void a_quantile_is_one_of_the_values(void **unused)
{
    (void)unused;
    double values[100];
    for (size_t n = 1; n <= 100; n++) {
        for (size_t i = 0; i < n; i++)
            values[i] = (double)(n - i);
        const double q = tl_quantile(values, n, 95);
        size_t n_not_above = 0, n_below = 0;
        for (size_t i = 0; i < n; i++) {
            n_not_above += values[i] <= q;
            n_below += values[i] < q;
        }
        assert_true(100 * n_not_above >= 95 * n && 100 * n_below < 95 * n);
    }
    assert_true(isnan(tl_quantile(NULL, 0, 95)));
    values[0] = 3.0;
    assert_true(tl_quantile(values, 1, 0) == 3.0);
}

/* 50 others, of which 95 % do not exceed the 48th: the true quantile is between the 44th and
 * the largest. */
static void a_share_above_a_quantile_knows_that_it_was_measured(void **unused)
{
    (void)unused;
    enum { N = 50 };
    double others[N], values[20], threshold, low, high;
    for (size_t i = 0; i < N; i++)
        others[i] = (double)(N - i);
    for (size_t i = 0; i < 20; i++) /* 4 above 50, 6 above 48, 9 above 44 */
        values[i] = i < 4 ? 60 : i < 6 ? 49 : i < 9 ? 46 : 1;
    tl_interval got = tl_share_above(values, 20, others, N, 95, &threshold);
    tl_wilson(6, 20, &low, &high);
    assert_close("threshold", 0, threshold, 48, 0);
    assert_close("share", 0, got.value, 0.3, 1e-15);
    assert_close("low", 0, got.low, 0.3 - hypot(0.3 - low, 0.1), 1e-12);
    assert_close("high", 0, got.high, 0.3 + hypot(high - 0.3, 0.15), 1e-12);
    assert_int_equal(got.n, 20);
    /* Too few others to say how high the quantile is: none might be above it. */
    got = tl_share_above(values, 20, others, 20, 95, &threshold);
    assert_true(got.low == 0.0 && got.high > got.value);
    assert_true(isnan(tl_share_above(values, 20, others, 0, 95, &threshold).value));
    assert_true(isnan(threshold));
    assert_true(isnan(tl_share_above(values, 0, others, N, 95, &threshold).value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p_counts_those_that_are_as_good),
        cmocka_unit_test(p_keeps_its_size),
        cmocka_unit_test(a_quantile_is_one_of_the_values),
        cmocka_unit_test(a_share_above_a_quantile_knows_that_it_was_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
