/*
 * test_correlation.c - Pearson's and Spearman's on data whose values are known, and their
 * intervals by their definition; how often these hold is test_coverage.c's.
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

/* Three clusters: +- t of two degrees of freedom times the jackknife's deviation of atanh. */
static void intervals_are_by_a_jackknife_over_clusters(void **state)
{
    (void)state;
    static const double x[8] = {1, 2, 3, 4, 5, 6, 7, 8},
                        y[8] = {1, 3, 2, 5, 4, 6, 9, 7};
    static const size_t clusters[8] = {4, 4, 1, 1, 1, 9, 9, 9}, begin[4] = {0, 2, 5, 8};
    tl_correlation c;
    assert_int_equal(tl_correlate(x, y, clusters, 8, true, &c, NULL), TL_OK);
    const tl_interval *const got[] = {&c.pearson, &c.spearman};
    for (size_t k = 0; k < 2; k++) {
        double z[3], mean = 0, squares = 0, value = tl_pearson(x, y, 8);
        if (k == 1)
            assert_int_equal(tl_spearman(x, y, 8, &value, NULL), TL_OK);
        for (size_t j = 0; j < 3; j++) {
            double u[8], v[8], r;
            size_t n = 0;
            for (size_t i = 0; i < 8; i++)
                if (i < begin[j] || i >= begin[j + 1]) {
                    u[n] = x[i];
                    v[n++] = y[i];
                }
            r = tl_pearson(u, v, n);
            if (k == 1)
                assert_int_equal(tl_spearman(u, v, n, &r, NULL), TL_OK);
            z[j] = 0.5 * log((1 + r) / (1 - r));
            mean += z[j] / 3;
        }
        for (size_t j = 0; j < 3; j++)
            squares += (z[j] - mean) * (z[j] - mean);
        const double half = 4.302652729911275 * sqrt(squares * 2 / 3),
                     middle = 0.5 * log((1 + value) / (1 - value));
        assert_close("value", k, got[k]->value, value, 0);
        assert_close("low", k, got[k]->low, tanh(middle - half), 1e-9);
        assert_close("high", k, got[k]->high, tanh(middle + half), 1e-9);
        assert_int_equal(got[k]->n, 8);
    }
    assert_int_equal(c.n_clusters, 3);
}

/* One prompt has no interval, however many components it has, nor have prompts that are
 * nothing without one of them; what agrees in full does. */
static void too_few_clusters_have_no_interval(void **state)
{
    (void)state;
    static const double x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {1, 3, 2, 5, 4, 6},
                        flat[6] = {1, 2, 5, 5, 5, 5};
    static const size_t one[6] = {7, 7, 7, 7, 7, 7}, two[6] = {0, 0, 1, 1, 1, 1};
    tl_correlation c;
    assert_int_equal(tl_correlate(x, y, one, 6, true, &c, NULL), TL_OK);
    assert_close("value", 0, c.pearson.value, tl_pearson(x, y, 6), 0);
    assert_true(isnan(c.pearson.low) && isnan(c.spearman.high));
    assert_int_equal(tl_correlate(x, flat, two, 6, true, &c, NULL), TL_OK);
    assert_true(isfinite(c.pearson.value) && isnan(c.pearson.low));
    assert_int_equal(tl_correlate(x, y, two, 6, false, &c, NULL), TL_OK);
    assert_int_equal(c.n_clusters, 2);
    assert_true(isfinite(c.spearman.value) && isnan(c.spearman.low));
    assert_int_equal(tl_correlate(x, x, two, 6, true, &c, NULL), TL_OK);
    assert_close("low of 1", 0, c.spearman.low, 1, 1e-9);
    assert_int_equal(tl_correlate(NULL, NULL, NULL, 0, true, &c, NULL), TL_OK);
    assert_true(isnan(c.pearson.value) && c.n_clusters == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correlations_are_the_known_ones),
        cmocka_unit_test(intervals_are_by_a_jackknife_over_clusters),
        cmocka_unit_test(too_few_clusters_have_no_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
