/* SPDX-License-Identifier: MIT
 *
 * test_rmsnorm.c - the rmsnorm kernels against the formula in double.
 *
 * The oracle shares no code with src/op/rmsnorm.c. Central differences are taken of
 * the oracle, where a step of 1e-4 keeps nine digits, and not of the f32 kernel: the
 * tolerances measure the kernel's own rounding.
 */
#include "testing.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "op/rmsnorm.h"

enum { MAX_ROWS = 5, MAX_WIDTH = 3584, MAX_COUNT = MAX_ROWS * MAX_WIDTH };

/* Half a float's last place, and a little for the double sums behind it. */
#define ROUNDED_ONCE (0.5001 * FLT_EPSILON)

/* `outlier` multiplies channel 0: Gemma-3's streams have such channels. */
typedef struct problem {
    size_t rows, width;
    float eps, outlier;
} problem;

static const problem problems[] = {
    {1, 1, 1e-6f, 1.0f},   {5, 1, 1e-5f, 1.0f},   {3, 7, 1e-5f, 1.0f},
    {4, 128, 0.0f, 1.0f},  {2, 640, 1e-6f, 2e4f}, {2, MAX_WIDTH, 1e-6f, 3000.0f},
    {3, 16, 100.0f, 1.0f}, /* an eps that outweighs the mean square */
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static float x[MAX_COUNT], y[MAX_COUNT], dy[MAX_COUNT], dx[MAX_COUNT], old[MAX_COUNT];
static float weight[MAX_WIDTH], inv_rms[MAX_ROWS];

/* Draws inputs, runs forward, and backward into a copy of `old`. */
static void run(const problem *p)
{
    uint32_t seed = 19937u;
    for (size_t i = 0; i < p->width; i++)
        weight[i] = 1.0f + 0.5f * test_uniform(&seed);
    for (size_t i = 0; i < p->rows * p->width; i++) {
        x[i] = test_uniform(&seed) * (i % p->width == 0 ? p->outlier : 1.0f);
        dy[i] = test_uniform(&seed);
        old[i] = test_uniform(&seed);
    }
    tl_rmsnorm_forward(p->rows, p->width, p->eps, x, weight, y, inv_rms);
    memcpy(dx, old, sizeof dx);
    tl_rmsnorm_backward(TL_BACKWARD_GRADIENT, p->rows, p->width, x, weight, inv_rms, dy,
                        dx);
}

static void assert_near(const problem *p, const char *what, size_t i, double got,
                        double want, double within)
{
    if (!(fabs(got - want) <= within)) /* a NaN fails too */
        fail_msg("[%zu,%zu] eps %g: %s[%zu] is %.9g, wanted %.9g within %.2g", p->rows,
                 p->width, (double)p->eps, what, i, got, want, within);
}

/* 1/rms of row r, and the loss sum_i dy[i] y[i], with x[at] moved by `step`. */
typedef struct truth {
    double inv_rms, loss;
} truth;

static truth oracle(const problem *p, size_t r, size_t at, double step)
{
    double mean_square = 0.0, loss = 0.0;
    for (size_t i = 0; i < p->width; i++) {
        const size_t e = r * p->width + i;
        const double v = (double)x[e] + (i == at ? step : 0.0);
        mean_square += v * v / (double)p->width;
        loss += (double)dy[e] * v * (double)weight[i];
    }
    const double root = sqrt(mean_square + (double)p->eps);
    return (truth){1.0 / root, loss / root};
}

static void forward_rounds_the_definition_once(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        for (size_t r = 0; r < p->rows; r++) {
            const double s = oracle(p, r, 0, 0.0).inv_rms;
            assert_near(p, "inv_rms", r, (double)inv_rms[r], s, ROUNDED_ONCE * s);
            for (size_t i = 0; i < p->width; i++) {
                const size_t e = r * p->width + i;
                const double want = s * (double)weight[i] * (double)x[e];
                assert_near(p, "y", e, (double)y[e], want, ROUNDED_ONCE * fabs(want));
            }
        }
    }
}

static void forward_may_write_over_its_input(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        tl_rmsnorm_forward(p->rows, p->width, p->eps, x, weight, x, NULL);
        assert_memory_equal(x, y, p->rows * p->width * sizeof *x);
    }
}

static void a_row_alone_gives_the_same_bits(void **state)
{
    (void)state;
    const problem *p = &problems[3];
    run(p);
    for (size_t r = 0; r < p->rows; r++) {
        static float alone[MAX_WIDTH];
        const size_t e = r * p->width;
        tl_rmsnorm_forward(1, p->width, p->eps, x + e, weight, alone, NULL);
        assert_memory_equal(alone, y + e, p->width * sizeof *alone);
        memcpy(alone, old + e, p->width * sizeof *alone);
        tl_rmsnorm_backward(TL_BACKWARD_GRADIENT, 1, p->width, x + e, weight,
                            inv_rms + r, dy + e, alone);
        assert_memory_equal(alone, dx + e, p->width * sizeof *alone);
    }
}

static void backward_adds_the_finite_difference_to_dx(void **state)
{
    (void)state;
    const double h = 1e-4;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        for (size_t e = 0; e < p->rows * p->width; e++) {
            const size_t r = e / p->width, i = e % p->width;
            const double slope =
                (oracle(p, r, i, h).loss - oracle(p, r, i, -h).loss) / (2.0 * h);
            const double want = (double)old[e] + slope;
            /* The two terms of the slope are below 2/rms each and may cancel; the
             * f32 inv_rms between forward and backward rounds both. */
            const double within =
                ROUNDED_ONCE * fabs(want) + 2.0 * FLT_EPSILON * (double)inv_rms[r];
            assert_near(p, "dx", e, (double)dx[e], want, within);
        }
    }
}

/* From the f32 inv_rms that the forward pass stored, there is one rounding more. */
static void backward_rounds_the_definition_once(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        for (size_t e = 0; e < p->rows * p->width; e++) {
            const size_t r = e / p->width, first = r * p->width;
            const long double s = (long double)inv_rms[r];
            long double mean_gx = 0.0L;
            for (size_t i = 0; i < p->width; i++)
                mean_gx += (long double)dy[first + i] * (long double)weight[i] *
                           (long double)x[first + i] / (long double)p->width;
            const double g = (double)dy[e] * (double)weight[e - first];
            const double pull = (double)((long double)x[e] * s * s * mean_gx);
            const double want = (double)old[e] + (double)s * (g - pull);
            const double size = (double)s * (fabs(g) + fabs(pull));
            assert_near(p, "dx", e, (double)dx[e], want,
                        ROUNDED_ONCE * fabs(want) + 1e-13 * size);
        }
    }
}

/* Without eps, y does not change with the length of a row: the slope along x is 0. */
static void without_eps_the_gradient_has_no_part_along_x(void **state)
{
    (void)state;
    const problem *p = &problems[3];
    run(p);
    memset(dx, 0, sizeof dx);
    tl_rmsnorm_backward(TL_BACKWARD_GRADIENT, p->rows, p->width, x, weight, inv_rms, dy,
                        dx);
    for (size_t r = 0; r < p->rows; r++) {
        double along = 0.0, size = 0.0;
        for (size_t e = r * p->width; e < (r + 1) * p->width; e++) {
            along += (double)x[e] * (double)dx[e];
            size += fabs((double)x[e] * (double)dx[e]);
        }
        assert_near(p, "x . dx, row", r, along, 0.0, FLT_EPSILON * size);
    }
}

/* The coefficient of a rms that is a constant: no part along x is taken away. */
static void relevance_rounds_its_rule_once(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        memcpy(dx, old, sizeof dx);
        tl_rmsnorm_backward(TL_BACKWARD_RELEVANCE, p->rows, p->width, NULL, weight,
                            inv_rms, dy, dx);
        for (size_t e = 0; e < p->rows * p->width; e++) {
            const double part = (double)inv_rms[e / p->width] *
                                (double)weight[e % p->width] * (double)dy[e];
            const double want = (double)old[e] + part;
            assert_near(p, "dx", e, (double)dx[e], want,
                        ROUNDED_ONCE * fabs(want) + 1e-13 * fabs(part));
        }
    }
}

/* sum_i x dx = sum_i y dy, of every row; of a gradient the former is 0 without eps. */
static void relevance_is_conserved(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        memset(dx, 0, sizeof dx);
        tl_rmsnorm_backward(TL_BACKWARD_RELEVANCE, p->rows, p->width, x, weight,
                            inv_rms, dy, dx);
        for (size_t r = 0; r < p->rows; r++) {
            double in = 0.0, out = 0.0, size = 0.0;
            for (size_t e = r * p->width; e < (r + 1) * p->width; e++) {
                in += (double)x[e] * (double)dx[e];
                out += (double)y[e] * (double)dy[e];
                size += fabs((double)y[e] * (double)dy[e]);
            }
            assert_near(p, "x . dx, row", r, in, out, 2.0 * FLT_EPSILON * size);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_rounds_the_definition_once),
        cmocka_unit_test(forward_may_write_over_its_input),
        cmocka_unit_test(a_row_alone_gives_the_same_bits),
        cmocka_unit_test(backward_adds_the_finite_difference_to_dx),
        cmocka_unit_test(backward_rounds_the_definition_once),
        cmocka_unit_test(without_eps_the_gradient_has_no_part_along_x),
        cmocka_unit_test(relevance_rounds_its_rule_once),
        cmocka_unit_test(relevance_is_conserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
