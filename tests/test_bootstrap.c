/*
 * test_bootstrap.c - intervals that hold what they promise on made-up data, the normal
 * distribution, and what is undefined.
 */
#include "testing.h"

#include <math.h>

#include "base/random.h"
#include "twinlens/statistics.h"

static double uniform(tl_random *random)
{
    return (double)(tl_random_next(random) >> 11) * 0x1p-53;
}

static double normal(tl_random *random)
{
    const double radius = sqrt(-2 * log(uniform(random) + 1e-300));
    return radius * cos(2 * 3.14159265358979323846 * uniform(random));
}

/* How often intervals of the statistic hold the truth, of `trials` datasets. */
static double coverage(tl_bootstrap_kind kind, bool skewed, bool ratio, size_t n,
                       size_t trials)
{
    tl_random random = {11};
    size_t inside = 0;
    for (size_t t = 0; t < trials; t++) {
        double over[256], under[256];
        for (size_t i = 0; i < n; i++) {
            under[i] = 2 + 0.5 * normal(&random);
            over[i] = ratio    ? 0.7 * under[i] + 0.4 * normal(&random)
                      : skewed ? -log(uniform(&random) + 1e-300)
                               : 3 + 2 * normal(&random);
        }
        const tl_ratio_data data = {over, under};
        const tl_bootstrap_options o = {.n_resamples = 600, .seed = t, .kind = kind};
        tl_interval got;
        assert_int_equal(tl_bootstrap(ratio ? tl_statistic_ratio : tl_statistic_mean,
                                      ratio ? (const void *)&data : over, n, &o, &got,
                                      NULL),
                         TL_OK);
        assert_true(got.low <= got.value && got.value <= got.high);
        const double truth = ratio ? 0.7 : skewed ? 1 : 3;
        inside += got.low <= truth && truth <= got.high;
    }
    return (double)inside / (double)trials;
}

/* Nominal 95 %: between 93 and 97, with 2500 datasets (its own error is 0.44). */
static void intervals_hold_the_truth_as_often_as_they_say(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < 2; kind++) {
        const tl_bootstrap_kind k = (tl_bootstrap_kind)kind;
        assert_close("mean", kind, coverage(k, false, false, 200, 2500), 0.95, 0.02);
        assert_close("skewed mean", kind, coverage(k, true, false, 200, 2500), 0.95,
                     0.02);
        assert_close("ratio", kind, coverage(k, false, true, 200, 2500), 0.95, 0.02);
    }
}

/* Of a skewed statistic the percentile interval sits too low, BCa's is moved. */
static void bca_leans_with_the_data(void **state)
{
    (void)state;
    double x[40];
    tl_random random = {5};
    for (size_t i = 0; i < 40; i++)
        x[i] = exp(1.2 * normal(&random));
    const tl_bootstrap_options bca = {.n_resamples = 4000},
                               plain = {.n_resamples = 4000,
                                        .kind = TL_BOOTSTRAP_PERCENTILE};
    tl_interval a, b;
    assert_int_equal(tl_bootstrap(tl_statistic_mean, x, 40, &bca, &a, NULL), TL_OK);
    assert_int_equal(tl_bootstrap(tl_statistic_mean, x, 40, &plain, &b, NULL), TL_OK);
    assert_true(a.low > b.low && a.high > b.high);
    assert_close("value", 0, a.value, b.value, 0);
    assert_close("deviation", 0, a.deviation, b.deviation, 0);
}

static void the_same_seed_gives_the_same_interval(void **state)
{
    (void)state;
    const double x[6] = {1, 2, 4, 8, 16, 32};
    double room[6];
    const tl_median_data median = {x, room};
    tl_interval a, b, c;
    const tl_bootstrap_options one = {.seed = 1}, two = {.seed = 2};
    assert_int_equal(tl_bootstrap(tl_statistic_median, &median, 6, &one, &a, NULL),
                     TL_OK);
    assert_int_equal(tl_bootstrap(tl_statistic_median, &median, 6, &one, &b, NULL),
                     TL_OK);
    assert_int_equal(tl_bootstrap(tl_statistic_mean, x, 6, &two, &c, NULL), TL_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_close("median", 0, a.value, 6, 0);
    assert_close("mean", 0, c.value, 10.5, 0);
}

static void what_is_undefined_is_not_a_number(void **state)
{
    (void)state;
    const double one[1] = {3}, same[4] = {2, 2, 2, 2}, zero[4] = {0, 0, 0, 0};
    tl_interval r;
    assert_int_equal(tl_bootstrap(tl_statistic_mean, one, 1, NULL, &r, NULL), TL_OK);
    assert_close("of one", 0, r.value, 3, 0);
    assert_true(isnan(r.low) && isnan(r.high));
    assert_int_equal(tl_bootstrap(tl_statistic_mean, NULL, 0, NULL, &r, NULL), TL_OK);
    assert_true(isnan(r.value));
    assert_int_equal(tl_bootstrap(tl_statistic_mean, same, 4, NULL, &r, NULL), TL_OK);
    assert_close("low of constants", 0, r.low, 2, 0);
    assert_close("high of constants", 0, r.high, 2, 0);
    const tl_ratio_data ratio = {same, zero};
    assert_int_equal(tl_bootstrap(tl_statistic_ratio, &ratio, 4, NULL, &r, NULL),
                     TL_OK);
    assert_true(isnan(r.value) && isnan(r.low));
    const double some[4] = {0, 0, 0, 1};
    const tl_ratio_data rare = {same, some};
    assert_int_equal(tl_bootstrap(tl_statistic_ratio, &rare, 4, NULL, &r, NULL), TL_OK);
    assert_in_range(r.n_undefined, 200, 450); /* (3/4)^4 of 1000 */
    tl_error err = {0};
    const tl_bootstrap_options bad = {.level = 1.5};
    assert_int_equal(tl_bootstrap(tl_statistic_mean, same, 4, &bad, &r, &err),
                     TL_ERR_ARGUMENT);
}

/* ---- the best cell --------------------------------------------------------------- */

/* Of pure noise p is uniform, over 2000 grids whose cells change few prompts or many, and
 * share most of what they do; of a cell that helps it is small. */
static void the_best_of_noise_is_not_significant(void **state)
{
    (void)state;
    enum { CELLS = 12, N = 60, GRIDS = 2000 };
    tl_random random = {21};
    size_t below[3] = {0};
    static const double levels[] = {0.05, 0.1, 0.5};
    double change[CELLS * N], p;
    for (size_t g = 0; g < GRIDS; g++) {
        for (size_t i = 0; i < CELLS * N; i++) {
            const uint64_t k = tl_random_below(&random, 4 + 3 * (i / N));
            change[i] = k == 0 ? 1 : k == 1 ? -1 : 0;
        }
        assert_int_equal(tl_best_cell_test(change, CELLS, N, 199, g, &p, NULL), TL_OK);
        for (size_t l = 0; l < 3; l++)
            below[l] += p <= levels[l];
    }
    printf("p of noise: %zu, %zu, %zu of 2000 below .05, .1, .5\n", below[0], below[1],
           below[2]);
    assert_in_range(below[0], 70, 130); /* 100, with a deviation of 10 */
    assert_in_range(below[1], 160, 240);
    assert_in_range(below[2], 850, 1070); /* ties count as good: a little fewer */
    for (size_t i = 0; i < 15; i++)
        change[3 * N + i] = 1;
    assert_int_equal(tl_best_cell_test(change, CELLS, N, 999, 1, &p, NULL), TL_OK);
    assert_true(p < 0.05);
    assert_int_equal(tl_best_cell_test(change, 0, N, 9, 1, &p, NULL), TL_ERR_ARGUMENT);
}

/* 10 points of 97 prompts, alone or beside cells that destroy what the model knows, some
 * more and some less: were these flipped like others, the last p would be .24. */
static void bad_cells_do_not_hide_a_good_one(void **state)
{
    (void)state;
    enum { N = 97, BAD = 300 };
    static double change[(1 + BAD) * N];
    tl_random random = {5};
    double p[2];
    for (size_t i = 0; i < 14; i++)
        change[i] = i < 12 ? 1 : -1;
    for (size_t i = N; i < (1 + BAD) * N; i++)
        change[i] = tl_random_below(&random, 10) < (i / N % 2 ? 9 : 3) ? -1 : 0;
    for (size_t all = 0; all < 2; all++)
        assert_int_equal(
            tl_best_cell_test(change, all ? 1 + BAD : 1, N, 1999, 3, &p[all], NULL),
            TL_OK);
    printf("p of a good cell: %.4f alone, %.4f beside bad ones\n", p[0], p[1]);
    assert_true(p[0] < 0.02 && p[1] == p[0]);
}

/* Chosen on the prompts that it is judged on, the best of noise looks better than it
 * is; chosen on others it does not. */
static void a_cell_chosen_elsewhere_is_not_flattered(void **state)
{
    (void)state;
    enum { CELLS = 40, N = 80, GRIDS = 200 };
    tl_random random = {4};
    double crossed = 0, same = 0;
    static double outcome[CELLS * N];
    for (size_t g = 0; g < GRIDS; g++) {
        double best = 0, judged[N];
        size_t cells[2];
        for (size_t c = 0; c < CELLS; c++) {
            double sum = 0;
            for (size_t i = 0; i < N; i++)
                sum += outcome[c * N + i] = (double)tl_random_below(&random, 2);
            best = fmax(best, sum / N);
        }
        assert_int_equal(
            tl_best_cell_crossed(outcome, CELLS, N, g, judged, cells, NULL), TL_OK);
        assert_true(cells[0] < CELLS && cells[1] < CELLS);
        bool in_first[N];
        assert_int_equal(tl_best_cell_halves(N, g, in_first, NULL), TL_OK);
        double right[2] = {0.0, 0.0}, most[2] = {0.0, 0.0};
        for (size_t c = 0; c < CELLS; c++) {
            double here[2] = {0.0, 0.0};
            for (size_t i = 0; i < N; i++)
                here[in_first[i] ? 0 : 1] += outcome[c * N + i];
            for (size_t h = 0; h < 2; h++) {
                most[h] = fmax(most[h], here[h]);
                right[h] = c == cells[h] ? here[h] : right[h];
            }
        }
        assert_true(right[0] == most[0] && right[1] == most[1]);
        for (size_t i = 0; i < N; i++) {
            assert_true(judged[i] == outcome[cells[in_first[i] ? 1 : 0] * N + i]);
            crossed += judged[i] / (N * GRIDS);
        }
        same += best / GRIDS;
    }
    assert_close("crossed", 0, crossed, 0.5, 0.02);
    assert_true(same > 0.58);
    double judged[1];
    size_t cells[2];
    assert_int_equal(tl_best_cell_crossed(outcome, CELLS, 1, 1, judged, cells, NULL),
                     TL_ERR_ARGUMENT);
}

static void areas_are_those_of_trapezoids(void **state)
{
    (void)state;
    const double x[4] = {0, 0.25, 0.5, 1}, line[4] = {0, 0.25, 0.5, 1},
                 above[4] = {0, 2, NAN, 1};
    tl_curve_area a = tl_curve_measure(x, line, 4);
    assert_close("performance", 0, a.performance, 0.5, 1e-15);
    assert_close("distance", 0, a.distance, 0.5, 1e-15);
    a = tl_curve_measure(x, above, 4);
    assert_close("performance", 1, a.performance, 0.25 + 0.75 * 1.5, 1e-15);
    assert_close("distance", 1, a.distance, 0.25 * 1 + 0.75 * 0.5, 1e-15);
    a = tl_curve_measure(x, above, 1);
    assert_true(isnan(a.performance) && isnan(a.distance));
}

/* ---- samples that are independent --------------------------------------------------- */

enum { OF_PROMPTS = 40, OF_DRAWS = 5, STUDIES = 400 };

/* The value of each prompt under each draw; draws stand behind the prompts. */
typedef struct two_samples {
    double value[OF_PROMPTS][OF_DRAWS];
} two_samples;

static double mean_of_both(const void *data, const size_t *chosen, size_t n)
{
    const two_samples *t = data;
    double sum = 0.0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n && chosen[i] < OF_PROMPTS; k++)
            if (chosen[k] >= OF_PROMPTS) {
                sum += t->value[chosen[i]][chosen[k] - OF_PROMPTS];
                count++;
            }
    return sum / (double)count;
}

/* How often an interval holds the mean, which is 0, when prompts have a deviation of 1 and
 * draws one of `spread`: over both, and over prompts alone. */
static void cover(double spread, double *both, double *prompts)
{
    static const size_t sizes[] = {OF_PROMPTS, OF_DRAWS};
    const tl_bootstrap_options over_both = {
        .n_resamples = 400, .sample_sizes = sizes, .n_samples = 2};
    const tl_bootstrap_options over_prompts = {.n_resamples = 400};
    uint32_t seed = 5;
    size_t n_both = 0, n_prompts = 0;
    for (size_t s = 0; s < STUDIES; s++) {
        two_samples t;
        double means[OF_PROMPTS], draws[OF_DRAWS];
        tl_interval i;
        for (size_t d = 0; d < OF_DRAWS; d++) {
            draws[d] = 0.0;
            for (int k = 0; k < 12; k++) /* twelve uniform ones: nearly normal */
                draws[d] += spread * (double)test_uniform(&seed) / 2.0;
        }
        for (size_t p = 0; p < OF_PROMPTS; p++) {
            double own = 0.0;
            for (int k = 0; k < 12; k++)
                own += (double)test_uniform(&seed) / 2.0;
            means[p] = 0.0;
            for (size_t d = 0; d < OF_DRAWS; d++) {
                t.value[p][d] = own + draws[d];
                means[p] += t.value[p][d] / OF_DRAWS;
            }
        }
        assert_int_equal(
            tl_bootstrap(mean_of_both, &t, OF_PROMPTS + OF_DRAWS, &over_both, &i, NULL),
            TL_OK);
        n_both += i.low <= 0.0 && 0.0 <= i.high;
        assert_int_equal(
            tl_bootstrap(tl_statistic_mean, means, OF_PROMPTS, &over_prompts, &i, NULL),
            TL_OK);
        n_prompts += i.low <= 0.0 && 0.0 <= i.high;
    }
    *both = (double)n_both / STUDIES;
    *prompts = (double)n_prompts / STUDIES;
}

static void independent_samples_are_resampled_each_by_itself(void **unused)
{
    (void)unused;
    double both, prompts;
    cover(0.0, &both, &prompts);
    print_message("draws alike: over both %.3f, over prompts alone %.3f\n", both,
                  prompts);
    assert_true(both > 0.92 && prompts > 0.92);
    cover(0.2, &both, &prompts);
    print_message("draws spread by .2: over both %.3f, over prompts %.3f\n", both,
                  prompts);
    assert_true(both > 0.91);
    cover(1.0, &both, &prompts);
    print_message("draws spread by 1: over both %.3f, over prompts %.3f\n", both,
                  prompts);
    assert_true(both > 0.91 && prompts < 0.6);
}

static void samples_must_add_up(void **unused)
{
    (void)unused;
    static const double values[] = {1, 2, 3, 4};
    static const size_t wrong[] = {2, 1}, right[] = {3, 1};
    tl_bootstrap_options o = {.sample_sizes = wrong, .n_samples = 2};
    tl_interval i;
    tl_error err = {0};
    assert_int_equal(tl_bootstrap(tl_statistic_mean, values, 4, &o, &i, &err),
                     TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "samples of 3 values, wanted 4"));
    o.sample_sizes = right;
    assert_int_equal(tl_bootstrap(tl_statistic_mean, values, 4, &o, &i, &err), TL_OK);
    assert_true(i.low > 1.0 && i.high < 4.0); /* the fourth is always there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_hold_the_truth_as_often_as_they_say),
        cmocka_unit_test(bca_leans_with_the_data),
        cmocka_unit_test(the_same_seed_gives_the_same_interval),
        cmocka_unit_test(what_is_undefined_is_not_a_number),
        cmocka_unit_test(the_best_of_noise_is_not_significant),
        cmocka_unit_test(bad_cells_do_not_hide_a_good_one),
        cmocka_unit_test(a_cell_chosen_elsewhere_is_not_flattered),
        cmocka_unit_test(areas_are_those_of_trapezoids),
        cmocka_unit_test(independent_samples_are_resampled_each_by_itself),
        cmocka_unit_test(samples_must_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
