/* SPDX-License-Identifier: MIT
 * test_layernorm.c - the layernorm kernel against the formula in long double. */
#include "testing.h"

#include <float.h>
#include <math.h>

#include "op/layernorm.h"

enum { MAX_ROWS = 5, MAX_WIDTH = 1280, MAX_COUNT = MAX_ROWS * MAX_WIDTH };

/* x is offset + spread times a uniform draw, channel 0 times outlier. */
typedef struct problem {
    size_t rows, width;
    float eps, offset, spread, outlier;
} problem;

static const problem problems[] = {
    {1, 1, 1e-6f, 0.0f, 1.0f, 1.0f},    /* one channel: y is the bias */
    {5, 3, 1e-6f, 0.0f, 1.0f, 1.0f},    /* few and odd */
    {1, 77, 1e-5f, 3.0f, 1.0f, 1.0f},   /* one row */
    {2, 1280, 1e-6f, 0.0f, 1.0f, 5e3f}, /* Qwen2-VL's vision width, an outlier */
    {4, 64, 0.0f, 2.0f, 1.0f, 1.0f},    /* no eps */
    {3, 65, 1e-9f, 1e3f, 1e-2f, 1.0f},  /* nearly constant: E[x^2] - E[x]^2 fails */
    {2, 16, 1e-6f, 12.5f, 0.0f, 1.0f},  /* constant: y is the bias */
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static float x[MAX_COUNT], y[MAX_COUNT], weight[MAX_WIDTH], bias[MAX_WIDTH];

static void run(const problem *p)
{
    uint32_t seed = 4711u;
    for (size_t i = 0; i < p->width; i++) {
        weight[i] = 1.0f + 0.5f * test_uniform(&seed);
        bias[i] = test_uniform(&seed);
    }
    for (size_t i = 0; i < p->rows * p->width; i++)
        x[i] = (p->offset + p->spread * test_uniform(&seed)) *
               (i % p->width == 0 ? p->outlier : 1.0f);
    tl_layernorm_forward(p->rows, p->width, p->eps, x, weight, bias, y);
}

/* Element i of a row. Moments are taken about the row's first element, which gives
 * the same variance by another way than the kernel's. */
static long double oracle(const problem *p, const float *row, size_t i)
{
    const long double n = (long double)p->width, origin = (long double)row[0];
    long double first = 0.0L, second = 0.0L;
    for (size_t k = 0; k < p->width; k++) {
        const long double d = (long double)row[k] - origin;
        first += d;
        second += d * d;
    }
    const long double mean = origin + first / n;
    const long double variance = second / n - first / n * (first / n);
    return ((long double)row[i] - mean) / sqrtl(variance + (long double)p->eps) *
               (long double)weight[i] +
           (long double)bias[i];
}

static void forward_rounds_the_definition_once(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        for (size_t e = 0; e < p->rows * p->width; e++) {
            const double want =
                (double)oracle(p, x + e / p->width * p->width, e % p->width);
            /* Half a last place, and what double sums of this size leave. */
            const double within = 0.5 * FLT_EPSILON * fabs(want) + 1e-10;
            if (!(fabs((double)y[e] - want) <= within))
                fail_msg("[%zu,%zu] offset %g: y[%zu] is %.9g, wanted %.9g within %.2g",
                         p->rows, p->width, (double)p->offset, e, (double)y[e], want,
                         within);
        }
    }
}

static void a_constant_row_gives_the_bias(void **state)
{
    (void)state;
    const problem *p = &problems[PROBLEMS - 1];
    run(p);
    for (size_t r = 0; r < p->rows; r++)
        assert_memory_equal(y + r * p->width, bias, p->width * sizeof *bias);
}

static void forward_may_write_over_its_input(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        tl_layernorm_forward(p->rows, p->width, p->eps, x, weight, bias, x);
        assert_memory_equal(x, y, p->rows * p->width * sizeof *x);
    }
}

static void a_row_alone_gives_the_same_bits(void **state)
{
    (void)state;
    const problem *p = &problems[1];
    run(p);
    for (size_t r = 0; r < p->rows; r++) {
        float alone[MAX_WIDTH];
        tl_layernorm_forward(1, p->width, p->eps, x + r * p->width, weight, bias,
                             alone);
        assert_memory_equal(alone, y + r * p->width, p->width * sizeof *alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_rounds_the_definition_once),
        cmocka_unit_test(a_constant_row_gives_the_bias),
        cmocka_unit_test(forward_may_write_over_its_input),
        cmocka_unit_test(a_row_alone_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
