/*
 * test_coverage.c - how often intervals of 95 % hold the truth where prompts, draws or
 * components are few, by simulation. What it prints stands in docs/statistics.md; below what it
 * asserts an interval would need mending.
 */
#include "testing.h"

#include "base/random.h"
#include "twinlens/statistics.h"

static double normal(tl_random *random)
{
    return tl_normal_quantile(((double)(tl_random_next(random) >> 11) + 0.5) * 0x1p-53);
}

static bool holds(const tl_interval *i, double truth)
{
    return i->low <= truth && truth <= i->high;
}

/* ---- means over few prompts: alignment, completeness, validation --------------------- */

/* Mean 0 of prompts: normal; leaning to the right as gaps do; to the left as cosines near 1
 * do; with rare large values. */
typedef enum shape { NORMAL, GAPS, COSINES, RARE, SHAPES } shape;

static double draw(shape s, tl_random *random)
{
    const double z = normal(random);
    switch (s) {
    case GAPS: return exp(0.8 * z) - exp(0.32);
    case COSINES: return 0.5 - z * z * 0.5;
    case RARE: return z * (tl_random_below(random, 10) == 0 ? 4.0 : 1.0);
    default: return z;
    }
}

static double cover_mean(shape s, size_t n)
{
    enum { STUDIES = 1000, MOST = 24 };
    tl_random random = {3};
    size_t held = 0;
    for (size_t t = 0; t < STUDIES; t++) {
        const tl_bootstrap_options o = {.seed = t};
        double x[MOST];
        tl_interval i;
        for (size_t k = 0; k < n; k++)
            x[k] = draw(s, &random);
        assert_int_equal(tl_bootstrap(tl_statistic_mean, x, n, &o, &i, NULL), TL_OK);
        held += holds(&i, 0.0);
    }
    return (double)held / STUDIES;
}

/* Without Student's t, 8 normal prompts hold .88. Values that lean as much as GAPS do, to a
 * skewness of 3.7, need more prompts than that, whatever is done with them. */
static void means_over_few_prompts(void **state)
{
    (void)state;
    static const char *const names[] = {"normal", "gaps", "cosines", "rare"};
    static const double least[][SHAPES] = {{0.92, 0.86, 0.85, 0.9},
                                           {0.93, 0.88, 0.88, 0.89}};
    for (size_t s = 0; s < SHAPES; s++)
        for (size_t i = 0; i < 2; i++) {
            const double share = cover_mean((shape)s, i == 0 ? 8 : 24);
            print_message("mean of %d prompts, %s: %.3f\n", i == 0 ? 8 : 24, names[s],
                          share);
            assert_true(share >= least[i][s]);
        }
}

/* ---- correlations over 8 prompts of 24 components ------------------------------------ */

enum { EACH = 24, PROMPTS = 8 };

/* How the scores of a prompt lean and how they err is the prompt's own, by `spread`. */
static void make_prompt(tl_random *random, double spread, double noise, double *x,
                        double *y)
{
    const double slope = exp(spread * normal(random)),
                 own = noise * exp(spread * normal(random));
    for (size_t i = 0; i < EACH; i++) {
        x[i] = normal(random) * exp(0.5 * normal(random));
        y[i] = slope * x[i] + own * normal(random);
    }
}

/* The truth is that of very many prompts. */
static void cover_correlations(double spread, double noise, double share[2])
{
    enum { MANY = 10000, STUDIES = 1000 };
    static double x[MANY * EACH], y[MANY * EACH];
    size_t prompts[PROMPTS * EACH], held[2] = {0};
    double truth[2];
    tl_random random = {5};
    for (size_t p = 0; p < MANY; p++)
        make_prompt(&random, spread, noise, x + p * EACH, y + p * EACH);
    truth[0] = tl_pearson(x, y, MANY * EACH);
    assert_int_equal(tl_spearman(x, y, MANY * EACH, &truth[1], NULL), TL_OK);
    for (size_t i = 0; i < PROMPTS * EACH; i++)
        prompts[i] = i / EACH;
    for (size_t s = 0; s < STUDIES; s++) {
        tl_correlation got;
        for (size_t p = 0; p < PROMPTS; p++)
            make_prompt(&random, spread, noise, x + p * EACH, y + p * EACH);
        assert_int_equal(tl_correlate(x, y, prompts, PROMPTS * EACH, true, &got, NULL),
                         TL_OK);
        held[0] += holds(&got.pearson, truth[0]);
        held[1] += holds(&got.spearman, truth[1]);
    }
    for (size_t i = 0; i < 2; i++)
        share[i] = (double)held[i] / STUDIES;
}

/* Of what spreads most, a slope of e to the power of a standard normal with next to no noise
 * in it, Pearson's of many prompts is made by the few steepest, which eight seldom have. */
static void correlations_over_few_prompts(void **state)
{
    (void)state;
    static const double spreads[] = {0.0, 0.25, 0.5, 1.0}, noises[] = {0.2, 1.0, 3.0};
    for (size_t a = 0; a < 4; a++)
        for (size_t b = 0; b < 3; b++) {
            double share[2];
            cover_correlations(spreads[a], noises[b], share);
            print_message(
                "correlation, spread %.2f, noise %.1f: Pearson %.3f, Spearman "
                "%.3f\n",
                spreads[a], noises[b], share[0], share[1]);
            assert_true(share[0] >= (a == 3 && b == 0 ? 0.75 : 0.87) &&
                        share[1] >= 0.89);
        }
}

/* ---- interchange of both hosts -------------------------------------------------------- */

enum { HOSTS = 2, MOST_PROMPTS = 40, MOST_DRAWS = 5 };

/* Faithfulness of each prompt of a host: with the other's part, its own, random parts. */
typedef struct host {
    double value[MOST_PROMPTS], own[MOST_PROMPTS], random[MOST_DRAWS][MOST_PROMPTS];
} host;

typedef struct both {
    host hosts[HOSTS];
    size_t n_hosts, n_prompts, n_draws;
} both;

/* Prompts of all hosts stand first, then draws of all. */
static double normalised(const void *data, const size_t *chosen, size_t n)
{
    const both *b = data;
    double value = 0, own = 0, random = 0;
    for (size_t h = 0; h < b->n_hosts; h++) {
        const size_t first = h * b->n_prompts,
                     first_draw = b->n_hosts * b->n_prompts + h * b->n_draws;
        double v = 0, o = 0, r = 0;
        size_t count = 0, draws[MOST_DRAWS] = {0}, n_draws = 0;
        for (size_t i = 0; i < n; i++)
            if (chosen[i] >= first_draw && chosen[i] < first_draw + b->n_draws) {
                draws[chosen[i] - first_draw]++;
                n_draws++;
            }
        for (size_t i = 0; i < n; i++) {
            const size_t p = chosen[i] - first;
            if (chosen[i] < first || p >= b->n_prompts)
                continue;
            v += b->hosts[h].value[p];
            o += b->hosts[h].own[p];
            count++;
            for (size_t d = 0; d < b->n_draws; d++)
                r += (double)draws[d] * b->hosts[h].random[d][p] / (double)n_draws;
        }
        value += v / (double)count;
        own += o / (double)count;
        random += r / (double)count;
    }
    return tl_interchange_normalised(value, random, own);
}

/* Of prompts the faithfulness has a deviation of .3, of draws one of `spread` of it. */
static void make_both(tl_random *random, double spread, both *b)
{
    for (size_t h = 0; h < b->n_hosts; h++) {
        double of_draw[MOST_DRAWS];
        for (size_t d = 0; d < b->n_draws; d++)
            of_draw[d] = 0.3 * spread * normal(random);
        for (size_t p = 0; p < b->n_prompts; p++) {
            const double own = 0.3 * normal(random);
            b->hosts[h].own[p] = 0.85 + own;
            b->hosts[h].value[p] = 0.5 + 0.5 * own + 0.2 * normal(random);
            for (size_t d = 0; d < b->n_draws; d++)
                b->hosts[h].random[d][p] =
                    0.1 + 0.3 * own + of_draw[d] + 0.1 * normal(random);
        }
    }
}

static double cover_interchange(size_t n_hosts, size_t n_prompts, size_t n_draws,
                                double spread)
{
    enum { STUDIES = 400 };
    const double truth = (0.5 - 0.1) / (0.85 - 0.1);
    both b = {.n_hosts = n_hosts, .n_prompts = n_prompts, .n_draws = n_draws};
    tl_random random = {9};
    size_t held = 0, sizes[2 * HOSTS];
    for (size_t h = 0; h < n_hosts; h++) {
        sizes[h] = n_prompts;
        sizes[n_hosts + h] = n_draws;
    }
    for (size_t t = 0; t < STUDIES; t++) {
        const tl_bootstrap_options o = {
            .seed = t, .sample_sizes = sizes, .n_samples = 2 * n_hosts};
        tl_interval i;
        make_both(&random, spread, &b);
        assert_int_equal(
            tl_bootstrap(normalised, &b, n_hosts * (n_prompts + n_draws), &o, &i, NULL),
            TL_OK);
        held += holds(&i, truth);
    }
    return (double)held / STUDIES;
}

static void interchange_over_few_draws(void **state)
{
    (void)state;
    static const double spreads[] = {0.0, 0.2, 1.0};
    static const size_t sizes[][3] = {
        {1, 40, 3}, {1, 40, 5}, {2, 40, 3}, {2, 40, 5}, {2, 12, 5}};
    for (size_t k = 0; k < 5; k++)
        for (size_t s = 0; s < 3; s++) {
            const double share =
                cover_interchange(sizes[k][0], sizes[k][1], sizes[k][2], spreads[s]);
            print_message(
                "interchange, %zu hosts of %zu prompts, %zu draws that spread "
                "by %.1f: %.3f\n",
                sizes[k][0], sizes[k][1], sizes[k][2], spreads[s], share);
            assert_true(share >= (sizes[k][2] == 3 ? 0.86 : 0.9));
        }
}

/* ---- components that are needed -------------------------------------------------------- */

/* What components outside a circuit change, and those in it, which is larger by `shift`; the
 * share of these above the 95 % quantile of the first. */
typedef struct changes {
    const char *name;
    double shift, share;
    double (*draw)(tl_random *random, double shift);
} changes;

static double folded(tl_random *random, double shift)
{
    return fabs(shift + normal(random));
}

static double leaning(tl_random *random, double shift)
{
    return exp(shift + 1.5 * normal(random));
}

static double below(double z)
{
    return 0.5 * erfc(-z / sqrt(2.0));
}

static double cover_needed(const changes *c, size_t n, double *wilson)
{
    enum { STUDIES = 2000, MOST = 50 };
    tl_random random = {7};
    size_t held = 0, held_alone = 0;
    for (size_t s = 0; s < STUDIES; s++) {
        double inside[MOST], outside[MOST], threshold;
        for (size_t i = 0; i < n; i++) {
            inside[i] = c->draw(&random, c->shift);
            outside[i] = c->draw(&random, 0.0);
        }
        const tl_interval i = tl_share_above(inside, n, outside, n, 95, &threshold),
                          alone = tl_interval_share(
                              (size_t)llround(i.value * (double)n), n);
        held += holds(&i, c->share);
        held_alone += holds(&alone, c->share);
    }
    *wilson = (double)held_alone / STUDIES;
    return (double)held / STUDIES;
}

static void shares_of_needed_components(void **state)
{
    (void)state;
    static const double shifts[] = {0.0, 0.5, 1.0, 2.0, 4.0};
    static const size_t n[] = {8, 20, 50};
    double least_alone = 1.0;
    for (size_t k = 0; k < 3; k++)
        for (size_t s = 0; s < 10; s++) {
            const double shift = shifts[s / 2], q = tl_normal_quantile(0.975),
                         z = tl_normal_quantile(0.95);
            const changes c =
                s % 2 == 0
                    ? (changes){"folded", shift, below(shift - q) + below(-shift - q),
                                folded}
                    : (changes){"leaning", shift, below(shift / 1.5 - z), leaning};
            double alone;
            const double share = cover_needed(&c, n[k], &alone);
            print_message("needed, %zu and %zu components, %s, a share of %.3f: %.3f; "
                          "Wilson's %.3f\n",
                          n[k], n[k], c.name, c.share, share, alone);
            least_alone = alone < least_alone ? alone : least_alone;
            assert_true(share >= 0.93);
        }
    assert_true(least_alone < 0.75); /* a threshold that is known is another thing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_over_few_prompts),
        cmocka_unit_test(correlations_over_few_prompts),
        cmocka_unit_test(interchange_over_few_draws),
        cmocka_unit_test(shares_of_needed_components),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
