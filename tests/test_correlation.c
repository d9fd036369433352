/*
 * test_correlation.c - Pearson's and Spearman's on data whose values are known.
 */
#include "testing.h"

#include "base/random.h"
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

static double normal(tl_random *random)
{
    return tl_normal_quantile(((double)(tl_random_next(random) >> 11) + 0.5) * 0x1p-53);
}

/* The components of a prompt: how its scores lean and how they err is the prompt's own. */
enum { EACH = 24, PROMPTS = 8 };
static void make_prompt(tl_random *random, double *x, double *y)
{
    const double slope = exp(0.5 * normal(random)), noise = exp(0.5 * normal(random));
    for (size_t i = 0; i < EACH; i++) {
        x[i] = normal(random) * exp(0.5 * normal(random));
        y[i] = slope * x[i] + noise * normal(random);
    }
}

/* The truth is that of very many prompts. Components as if independent miss it three times
 * in ten; prompts, and then their components, do not. */
static void intervals_hold_the_truth_when_prompts_differ(void **state)
{
    (void)state;
    enum { MANY = 2000, STUDIES = 200 };
    static double x[MANY * EACH], y[MANY * EACH];
    size_t sizes[PROMPTS], held[2] = {0}, held_apart[2] = {0};
    double truth[2];
    tl_random random = {5};
    for (size_t p = 0; p < MANY; p++)
        make_prompt(&random, x + p * EACH, y + p * EACH);
    truth[0] = tl_pearson(x, y, MANY * EACH);
    assert_int_equal(tl_spearman(x, y, MANY * EACH, &truth[1], NULL), TL_OK);
    for (size_t p = 0; p < PROMPTS; p++)
        sizes[p] = EACH;
    for (size_t s = 0; s < STUDIES; s++) {
        const tl_bootstrap_options apart = {.n_resamples = 200, .seed = s},
                                   together = {.n_resamples = 200,
                                               .seed = s,
                                               .cluster_sizes = sizes,
                                               .n_clusters = PROMPTS};
        tl_interval got[2];
        for (size_t p = 0; p < PROMPTS; p++)
            make_prompt(&random, x + p * EACH, y + p * EACH);
        assert_int_equal(
            tl_correlate(x, y, PROMPTS * EACH, &together, &got[0], &got[1], NULL),
            TL_OK);
        for (size_t i = 0; i < 2; i++)
            held[i] += got[i].low <= truth[i] && truth[i] <= got[i].high;
        assert_int_equal(
            tl_correlate(x, y, PROMPTS * EACH, &apart, &got[0], &got[1], NULL), TL_OK);
        for (size_t i = 0; i < 2; i++)
            held_apart[i] += got[i].low <= truth[i] && truth[i] <= got[i].high;
    }
    print_message("of %d: Pearson %zu, Spearman %zu; as if independent %zu, %zu\n",
                  STUDIES, held[0], held[1], held_apart[0], held_apart[1]);
    for (size_t i = 0; i < 2; i++) {
        assert_in_range(held[i], STUDIES * 89 / 100, STUDIES);
        assert_in_range(held_apart[i], 0, STUDIES * 80 / 100);
    }
}

/* One prompt has no interval, however many components it has; clusters that do not add up
 * are refused. */
static void clusters_are_what_there_is(void **state)
{
    (void)state;
    static const double x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {1, 3, 2, 5, 4, 6};
    const size_t one = 6, two[2] = {4, 2}, wrong[2] = {4, 1};
    tl_bootstrap_options o = {.cluster_sizes = &one, .n_clusters = 1};
    tl_interval pearson, spearman;
    tl_error err = {0};
    assert_int_equal(tl_correlate(x, y, 6, &o, &pearson, &spearman, NULL), TL_OK);
    assert_close("value", 0, pearson.value, tl_pearson(x, y, 6), 0);
    assert_true(isnan(pearson.low) && isnan(spearman.high));
    o = (tl_bootstrap_options){.cluster_sizes = two, .n_clusters = 2};
    assert_int_equal(tl_correlate(x, y, 6, &o, &pearson, &spearman, NULL), TL_OK);
    assert_true(pearson.low <= pearson.value && pearson.value <= pearson.high);
    assert_true(pearson.n_undefined > 0); /* of two pairs, twice the same */
    o.cluster_sizes = wrong;
    assert_int_equal(tl_correlate(x, y, 6, &o, &pearson, &spearman, &err),
                     TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "clusters of 5 values, wanted 6"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correlations_are_the_known_ones),
        cmocka_unit_test(intervals_hold_the_truth_when_prompts_differ),
        cmocka_unit_test(clusters_are_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
