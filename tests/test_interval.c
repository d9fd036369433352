/*
 * test_interval.c - the normal distribution and Wilson's interval against tables, and the
 * mean of numbers that have intervals; what share of outcomes an interval holds.
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

static void student_s_t_is_the_tabulated_one(void **state)
{
    (void)state;
    static const double table[][3] = {
        {0.975, 1, 12.706204736432095},     {0.975, 2, 4.302652729911275},
        {0.975, 7, 2.3646242510102993},     {0.025, 4.5, -2.6589123472044043},
        {0.995, 23, 2.8073356837675227},    {0.975, 381, 1.9662099084216509},
        {0.975, 99999, 1.9599877077718446}, {0.5, 3, 0}};
    for (size_t i = 0; i < 8; i++)
        assert_close("t", i, tl_student_quantile(table[i][0], table[i][1]), table[i][2],
                     1e-9);
    assert_close("t", 9, tl_student_quantile(0.9, INFINITY), tl_normal_quantile(0.9),
                 0);
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

/* ---- coverage, summed over all outcomes ---------------------------------------------- */

static double log_binomial(size_t n, size_t k, double p)
{
    const double x = (double)k, m = (double)n;
    return lgamma(m + 1) - lgamma(x + 1) - lgamma(m - x + 1) +
           (k > 0 ? x * log(p) : 0) + (k < n ? (m - x) * log1p(-p) : 0);
}

/* A nominal 95 % holds at least 92 %, near 1 too, where resampling holds half as much: all of
 * n right leaves nothing to resample. */
static void an_interval_of_a_share_holds_it(void **state)
{
    (void)state;
    static const double shares[] = {0.5, 0.9, 0.97, 0.99, 0.995};
    static const size_t sizes[] = {40, 160, 382};
    for (size_t s = 0; s < 15; s++) {
        const double p = shares[s / 3];
        const size_t n = sizes[s % 3];
        double holds = 0.0;
        for (size_t k = 0; k <= n; k++) {
            const tl_interval i = tl_interval_share(k, n);
            holds += i.low <= p && p <= i.high ? exp(log_binomial(n, k, p)) : 0.0;
        }
        printf("share %.3f of %zu: %.3f\n", p, n, holds);
        assert_true(holds > 0.92 && holds < 0.995);
    }
    const tl_interval all = tl_interval_share(160, 160);
    assert_close("all of 160", 0, all.low, 1 / (1 + 3.841458820694124 / 160), 1e-9);
    assert_close("deviation", 0, tl_interval_share(40, 160).deviation,
                 sqrt(0.25 * 0.75 / 160), 1e-12);
    assert_true(isnan(tl_interval_share(0, 0).value));
}

/* The same of a gain, over the shares of prompts fixed and broken. */
static void an_interval_of_a_gain_holds_it(void **state)
{
    (void)state;
    static const double shares[][2] = {
        {0.05, 0.02}, {0.1, 0.1}, {0.02, 0.005}, {0.2, 0.1}, {0.09, 0.0001}};
    static const size_t sizes[] = {40, 160};
    for (size_t s = 0; s < 10; s++) {
        const double fixed = shares[s / 2][0], broken = shares[s / 2][1];
        const size_t n = sizes[s % 2];
        double holds = 0.0, seen = 0.0;
        for (size_t f = 0; f <= n; f++) {
            const double of_f = exp(log_binomial(n, f, fixed));
            for (size_t b = 0; b + f <= n && of_f > 1e-9; b++) {
                const double of_both =
                    of_f * exp(log_binomial(n - f, b, broken / (1 - fixed)));
                if (of_both < 1e-9)
                    continue;
                const tl_interval i = tl_interval_gain(f, b, n);
                seen += of_both;
                holds +=
                    i.low <= fixed - broken && fixed - broken <= i.high ? of_both : 0.0;
            }
        }
        printf("fixed %.3f, broken %.4f of %zu: %.3f\n", fixed, broken, n, holds);
        assert_close("all outcomes", s, seen, 1.0, 1e-5);
        assert_true(holds > 0.925);
    }
}

static void a_gain_is_more_than_none_when_the_test_says_so(void **state)
{
    (void)state;
    /* The interval is that of the score test, (f - b)^2 / (f + b) > 3.84. */
    for (size_t f = 0; f < 30; f++)
        for (size_t b = 0; b < 30; b++) {
            const tl_interval i = tl_interval_gain(f, b, 100);
            const double x = (double)f - (double)b;
            assert_close("gain", f, i.value, x / 100, 1e-15);
            assert_true(i.low <= i.value && i.value <= i.high);
            assert_int_equal(i.low > 1e-12,
                             f > b && x * x > 3.841458820694124 * (double)(f + b));
            const tl_interval reverse = tl_interval_gain(b, f, 100);
            assert_close("reverse", b, reverse.low, -i.high, 1e-9);
        }
    const tl_interval none = tl_interval_gain(0, 0, 160);
    assert_close("nothing changed", 0, none.high,
                 3.841458820694124 / (160 + 3.841458820694124), 1e-9);
    assert_true(isnan(tl_interval_gain(0, 0, 0).low));
}

static void coins_are_tossed_exactly(void **state)
{
    (void)state;
    assert_close("3 to 0", 0, tl_mcnemar(3, 0), 0.25, 1e-12);
    assert_close("0 to 3", 0, tl_mcnemar(0, 3), 0.25, 1e-12);
    assert_close("5 to 5", 0, tl_mcnemar(5, 5), 1.0, 1e-12);
    assert_close("none", 0, tl_mcnemar(0, 0), 1.0, 0);
    assert_close("10 to 2", 0, tl_mcnemar(10, 2), 2 * 79.0 / 4096, 1e-12);
    assert_true(tl_mcnemar(2000, 1000) < 1e-60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interval_of_a_share_holds_it),
        cmocka_unit_test(an_interval_of_a_gain_holds_it),
        cmocka_unit_test(a_gain_is_more_than_none_when_the_test_says_so),
        cmocka_unit_test(coins_are_tossed_exactly),
        cmocka_unit_test(the_normal_distribution_is_the_tabulated_one),
        cmocka_unit_test(student_s_t_is_the_tabulated_one),
        cmocka_unit_test(a_mean_has_the_deviation_of_independent_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
