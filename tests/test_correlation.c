/*
 * test_correlation.c - Pearson's and Spearman's on data whose values are known.
 */
#include "testing.h"

#include "twinlens/statistics.h"

static void correlations_are_the_known_ones(void **state)
{
    (void)state;
    /* Anscombe's first quartet. */
    static const double x[11] = {10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5},
                        y[11] = {8.04, 6.95, 7.58,  8.81, 8.33, 9.96,
                                 7.24, 4.26, 10.84, 4.82, 5.68};
    double rho = 0;
    assert_close("pearson", 0, tl_pearson(x, y, 11), 0.81642051634484, 1e-12);
    assert_int_equal(tl_spearman(x, y, 11, &rho, NULL), TL_OK);
    assert_close("spearman", 0, rho, 0.818181818181818, 1e-12);
    /* A monotone curve has ranks in line; ties share a rank. */
    static const double u[5] = {1, 2, 3, 4, 5}, v[5] = {1, 8, 27, 64, 125},
                        ties[4] = {1, 2, 2, 3}, down[4] = {4, 3, 3, 1};
    assert_int_equal(tl_spearman(u, v, 5, &rho, NULL), TL_OK);
    assert_close("monotone", 0, rho, 1, 1e-15);
    assert_true(tl_pearson(u, v, 5) < 0.95);
    assert_int_equal(tl_spearman(ties, down, 4, &rho, NULL), TL_OK);
    assert_close("ties", 0, rho, -1, 1e-15);
    static const double constant[4] = {2, 2, 2, 2};
    assert_true(isnan(tl_pearson(constant, down, 4)));
    assert_int_equal(tl_spearman(constant, down, 4, &rho, NULL), TL_OK);
    assert_true(isnan(rho));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correlations_are_the_known_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
