/*
 * test_interval.c - the normal distribution and Wilson's interval against tables, and the
 * mean of numbers that have intervals.
 */
#include "testing.h"

#include "twinlens/statistics.h"

static void the_normal_distribution_is_the_tabulated_one(void **state)
{
    (void)state;
    static const double table[][2] = {{0.5, 0},
                                      {0.975, 1.959963984540054},
                                      {0.025, -1.959963984540054},
                                      {0.999, 3.090232306167813},
                                      {1e-6, -4.753424308822899},
                                      {0.8413447460685429, 1}};
    for (size_t i = 0; i < 6; i++)
        assert_close("quantile", i, tl_normal_quantile(table[i][0]), table[i][1], 1e-9);
    double low, high;
    tl_wilson(0, 10, &low, &high);
    assert_close("low of none", 0, low, 0, 1e-12);
    assert_close("high of none", 0, high, 0.277533, 1e-5);
    tl_wilson(7, 10, &low, &high);
    assert_close("low of 7 in 10", 0, low, 0.396778, 1e-5);
    assert_close("high of 7 in 10", 0, high, 0.892209, 1e-5);
}

static tl_interval about(double value, double deviation)
{
    return (tl_interval){
        value, value - 2 * deviation, value + 2 * deviation, deviation, 100, 0};
}

static void a_mean_has_the_deviation_of_independent_values(void **state)
{
    (void)state;
    const tl_interval values[] = {
        about(0.2, 0.03), about(0.4, 0.04), {NAN, NAN, NAN, NAN, 0, 0}};
    const tl_interval mean = tl_interval_mean(values, 3);
    assert_close("mean", 0, mean.value, 0.3, 1e-15);
    assert_close("deviation", 0, mean.deviation, 0.05 / 2, 1e-15);
    assert_close("high", 0, mean.high, 0.3 + 1.959963985 * 0.025, 1e-9);
    assert_int_equal(mean.n, 2);
    assert_true(isnan(tl_interval_mean(values + 2, 1).value));
    assert_true(isnan(tl_interval_mean(NULL, 0).value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_normal_distribution_is_the_tabulated_one),
        cmocka_unit_test(a_mean_has_the_deviation_of_independent_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
