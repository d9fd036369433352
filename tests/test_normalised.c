/*
 * test_normalised.c - faithfulness, normalised overlap and interchange against values by
 * hand, and what happens where baseline and ceiling meet.
 */
#include "testing.h"

#include "twinlens/statistics.h"

/* ---- faithfulness ---------------------------------------------------------------- */

static void summaries_follow_the_formulas(void **unused)
{
    (void)unused;
    const double clean[] = {2.0, 4.0, 1.0, 3.0}, none[] = {-2.0, 0.0, 1.0, -1.0},
                 circuit[] = {0.0, 3.0, 9.0, 5.0};
    double room[4];
    /* Ratios 2/4, 3/4, excluded, 6/4. */
    const tl_faithfulness f = tl_faithfulness_summary(clean, none, circuit, 4, room);
    assert_int_equal(f.n, 3);
    assert_int_equal(f.n_excluded, 1);
    assert_close("mean of ratios", 0, f.mean_of_ratios, 2.75 / 3.0, 1e-15);
    assert_close("ratio of means", 0, f.ratio_of_means, 11.0 / 12.0, 1e-15);
    assert_close("median", 0, f.median, 0.75, 0);
    const tl_faithfulness even = tl_faithfulness_summary(clean, none, circuit, 2, room);
    assert_close("median of two", 0, even.median, 0.625, 0);
    const tl_faithfulness none_left =
        tl_faithfulness_summary(clean + 2, none + 2, circuit + 2, 1, room);
    assert_true(none_left.n == 0 && isnan(none_left.mean_of_ratios) &&
                isnan(none_left.ratio_of_means) && isnan(none_left.median));
}

/* The guard is relative to the clean run: 1e-6 (1 + |clean|) on either side. */
static void prompts_without_a_difference_are_excluded(void **unused)
{
    (void)unused;
    static const struct {
        double clean, none;
        bool counts;
    } cases[] = {{0, 0.9e-6, false},      {0, 1.1e-6, true},
                 {0, -1.1e-6, true},      {9, 9 - 0.99e-5, false},
                 {9, 9 - 1.1e-5, true},   {-9, -9 + 0.9e-5, false},
                 {-9, -9 + 1.1e-5, true}, {5, 5, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tl_faithfulness_sums sums = {0};
        const double clean = cases[i].clean, none = cases[i].none;
        tl_faithfulness_add(&sums, clean, none, 1.0);
        if (sums.n != cases[i].counts || sums.n_excluded == cases[i].counts)
            fail_msg("clean %.9g, none %.9g: excluded %zu", clean, none,
                     sums.n_excluded);
        assert_int_equal(isnan(tl_faithfulness_of(clean, none, 1.0)), !cases[i].counts);
    }
}

/* The three ways to the same number agree in every bit. */
static void sums_and_summary_agree(void **unused)
{
    (void)unused;
    enum { N = 33 };
    double clean[N], none[N], circuit[N], room[N], mean = 0.0;
    uint32_t random = 7;
    tl_faithfulness_sums sums = {0};
    for (size_t i = 0; i < N; i++) {
        clean[i] = 3 + (double)test_uniform(&random);
        none[i] = i % 5 == 0 ? clean[i] : -3 + (double)test_uniform(&random);
        circuit[i] = (double)test_uniform(&random);
        tl_faithfulness_add(&sums, clean[i], none[i], circuit[i]);
        const double one = tl_faithfulness_of(clean[i], none[i], circuit[i]);
        mean += isnan(one) ? 0.0 : one;
    }
    const tl_faithfulness f = tl_faithfulness_summary(clean, none, circuit, N, room);
    assert_int_equal(f.n, sums.n);
    assert_int_equal(f.n_excluded, 7);
    assert_true(f.mean_of_ratios == tl_faithfulness_mean_of_ratios(&sums));
    assert_true(f.ratio_of_means == tl_faithfulness_ratio_of_means(&sums));
    assert_true(f.mean_of_ratios == mean / (double)f.n);
}

/* A broken model is not hidden by the guard. */
static void what_is_not_a_number_stays_visible(void **unused)
{
    (void)unused;
    tl_faithfulness_sums sums = {0};
    tl_faithfulness_add(&sums, 2.0, 1.0, NAN);
    tl_faithfulness_add(&sums, 2.0, 1.0, 1.5);
    assert_int_equal(sums.n, 2);
    assert_true(isnan(tl_faithfulness_mean_of_ratios(&sums)));
    assert_true(isnan(tl_faithfulness_ratio_of_means(&sums)));
    /* Denominators that cancel leave no ratio of means. */
    sums = (tl_faithfulness_sums){0};
    tl_faithfulness_add(&sums, 2.0, 1.0, 1.5);
    tl_faithfulness_add(&sums, 1.0, 2.0, 1.5);
    assert_close("mean of ratios", 0, tl_faithfulness_mean_of_ratios(&sums), 0.5, 0);
    assert_true(isnan(tl_faithfulness_ratio_of_means(&sums)));
}

/* ---- overlap and interchange ----------------------------------------------------- */

static void overlap_is_0_for_chance_and_1_for_equal_circuits(void **state)
{
    (void)state;
    assert_close("chance", 0, tl_overlap_normalised(0.3, 0.3), 0, 0);
    assert_close("equal", 0, tl_overlap_normalised(1, 0.3), 1, 0);
    assert_close("between", 0, tl_overlap_normalised(0.6, 0.2), 0.5, 1e-15);
    assert_true(tl_overlap_normalised(0.1, 0.5) < 0);
    assert_true(isnan(tl_overlap_normalised(1, 1)));
    assert_true(isnan(tl_overlap_normalised(0.5, 1 - 0.9e-6)));
    assert_true(isfinite(tl_overlap_normalised(0.5, 1 - 1.1e-6)));
}

static void interchange_is_0_for_random_and_1_for_ones_own(void **state)
{
    (void)state;
    assert_close("random", 0, tl_interchange_normalised(0.2, 0.2, 0.9), 0, 0);
    assert_close("own", 0, tl_interchange_normalised(0.9, 0.2, 0.9), 1, 0);
    assert_close("above", 0, tl_interchange_normalised(1.6, 0.2, 0.9), 2, 1e-15);
    assert_true(isnan(tl_interchange_normalised(0.9, 0.5, 0.5)));
    assert_true(isnan(tl_interchange_normalised(0.9, 0.5, 0.5 + 0.9e-6)));
    assert_true(isfinite(tl_interchange_normalised(0.9, 0.5, 0.5 - 1.1e-6)));
}

/* IoU - B / 1 - B, for want of a parenthesis. The roundings are those of Python 3.11:
 * round(0.0625, 3) is 0.062, round(0.0315, 3) 0.032, round(0.0005, 3) 0.001, and of the
 * last case 0.14, 0.086, 0.031, 0.021. */
static void the_published_normalisation_is_two_baselines_less(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double iou[2], baseline[2], want;
    } cases[] = {
        {1, {0.5, 0}, {0.1, 0}, 0.3},
        {1, {0.1, 0}, {0.3, 0}, 0.01},
        {1, {1, 0}, {0, 0}, 1},
        {1, {1, 0}, {0.25, 0}, 0.5},            /* a circuit with itself is not 1 */
        {1, {0.0625, 0}, {0, 0}, 0.062},        /* a tie goes to the even digit */
        {1, {0.0315, 0}, {0, 0}, 0.032},        /* no tie: the double lies above it */
        {1, {1.0 / 70, 0}, {0.0005, 0}, 0.012}, /* 0.014 - 2 x 0.001 */
        {2, {0.14, 0.0855}, {0.031, 0.0205}, 0.061},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_close("published", i,
                     tl_overlap_normalised_published(cases[i].iou, cases[i].baseline,
                                                     cases[i].n),
                     cases[i].want, 1e-15);
}

static void the_gap_is_in_proportion_to_the_difference(void **state)
{
    (void)state;
    assert_close("gap", 0, tl_completeness_gap(3, 4), 0.25, 0);
    assert_close("gap", 1, tl_completeness_gap(-5, -4), 0.25, 0);
    assert_close("none", 0, tl_completeness_gap(-4, -4), 0, 0);
    assert_true(isnan(tl_completeness_gap(1, 1e-6)));
    assert_true(isfinite(tl_completeness_gap(1, -1.1e-6)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summaries_follow_the_formulas),
        cmocka_unit_test(prompts_without_a_difference_are_excluded),
        cmocka_unit_test(sums_and_summary_agree),
        cmocka_unit_test(what_is_not_a_number_stays_visible),
        cmocka_unit_test(overlap_is_0_for_chance_and_1_for_equal_circuits),
        cmocka_unit_test(interchange_is_0_for_random_and_1_for_ones_own),
        cmocka_unit_test(the_published_normalisation_is_two_baselines_less),
        cmocka_unit_test(the_gap_is_in_proportion_to_the_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
