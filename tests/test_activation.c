/* SPDX-License-Identifier: MIT
 *
 * test_activation.c - the nonlinearities against their formulas in long double, as
 * printed in op/activation.h and not as the kernels evaluate them.
 */
#include "testing.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "op/activation.h"

enum { COUNT = 401 };

static const char *const names[TL_ACTIVATION_COUNT] = {"silu", "gelu", "gelu_tanh",
                                                       "quick_gelu"};

static long double oracle(tl_activation kind, long double x)
{
    const long double pi = acosl(-1.0L);
    switch (kind) {
    case TL_SILU: return x / (1.0L + expl(-x));
    case TL_GELU: return x / 2.0L * (1.0L + erfl(x / sqrtl(2.0L)));
    case TL_GELU_TANH:
        return x / 2.0L *
               (1.0L + tanhl(sqrtl(2.0L / pi) * (x + 0.044715L * x * x * x)));
    case TL_QUICK_GELU: return x / (1.0L + expl(-1.702L * x));
    }
    return NAN;
}

static long double oracle_slope(tl_activation kind, long double x)
{
    const long double h = 1e-5L;
    return (oracle(kind, x + h) - oracle(kind, x - h)) / (2.0L * h);
}

/* -20 .. 20 in steps of 1/10, zero included. */
static double grid(size_t i)
{
    return ((double)i - 200.0) / 10.0;
}

static void assert_near(tl_activation kind, const char *what, double x, double got,
                        double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("%s: %s at %g is %.17g, wanted %.17g within %.2g", names[kind], what,
                 x, got, want, within);
}

static void values_are_the_formulas(void **state)
{
    (void)state;
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++)
        for (size_t i = 0; i < COUNT; i++) {
            const tl_activation a = (tl_activation)kind;
            const double x = grid(i), want = (double)oracle(a, (long double)x);
            assert_near(a, "value", x, tl_activation_value(a, x), want,
                        1e-15 * (1.0 + fabs(x)));
        }
}

static void slopes_are_finite_differences(void **state)
{
    (void)state;
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++)
        for (size_t i = 0; i < COUNT; i++) {
            const tl_activation a = (tl_activation)kind;
            const double x = grid(i), want = (double)oracle_slope(a, (long double)x);
            /* h^2 / 6 times a third derivative that stays below 4. */
            assert_near(a, "slope", x, tl_activation_slope(a, x), want, 1e-10);
        }
}

/* gelu(-10) = -10 Q(10), with Q of the normal distribution from a table: the printed
 * formula gives 0 there in double. */
static void the_left_tail_keeps_its_digits(void **state)
{
    (void)state;
    const double want = -7.619853024160527e-23;
    assert_near(TL_GELU, "value", -10.0, tl_activation_value(TL_GELU, -10.0), want,
                1e-12 * -want);
}

/* Of value and argument where that is no 0 / 0, and the limit of the slope there. */
static void ratios_are_those_of_value_and_argument(void **state)
{
    (void)state;
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++)
        for (size_t i = 0; i < COUNT; i++) {
            const tl_activation a = (tl_activation)kind;
            const double x = grid(i);
            const long double wide = (long double)x;
            const double want = x == 0.0 ? 0.5 : (double)(oracle(a, wide) / wide);
            assert_near(a, "ratio", x, tl_activation_ratio(a, x), want, 1e-15);
        }
}

static void far_out_there_is_no_nan(void **state)
{
    (void)state;
    static const double far[] = {1e3, 1e6, 1e30, FLT_MAX};
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++)
        for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
            const tl_activation a = (tl_activation)kind;
            assert_near(a, "value", far[i], tl_activation_value(a, far[i]), far[i],
                        0.0);
            assert_near(a, "value", -far[i], tl_activation_value(a, -far[i]), 0.0, 0.0);
            assert_near(a, "slope", far[i], tl_activation_slope(a, far[i]), 1.0, 0.0);
            assert_near(a, "slope", -far[i], tl_activation_slope(a, -far[i]), 0.0, 0.0);
        }
    assert_true(isnan(tl_activation_value(TL_SILU, (double)NAN)));
}

/* ---- arrays ---------------------------------------------------------------------- */

static float gate[COUNT], up[COUNT], dy[COUNT], out[COUNT], dgate[COUNT], dup[COUNT];

static void draw(void)
{
    uint32_t seed = 7u;
    for (size_t i = 0; i < COUNT; i++) {
        gate[i] = 6.0f * test_uniform(&seed);
        up[i] = 40.0f * test_uniform(&seed);
        dy[i] = test_uniform(&seed);
        out[i] = dgate[i] = dup[i] = NAN; /* an op that adds shows itself */
    }
}

/* Half a last place, and the oracle's own error at this size. */
static double rounded_once(double want, double size)
{
    return 0.5 * FLT_EPSILON * fabs(want) + size;
}

static void activate_rounds_once_in_place(void **state)
{
    (void)state;
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++) {
        const tl_activation a = (tl_activation)kind;
        draw();
        memcpy(out, gate, sizeof out);
        tl_activate(a, COUNT, out);
        for (size_t i = 0; i < COUNT; i++) {
            const double want = (double)oracle(a, (long double)gate[i]);
            assert_near(a, "x", (double)gate[i], (double)out[i], want,
                        rounded_once(want, 1e-14));
        }
    }
}

static void gated_forward_rounds_the_product_once(void **state)
{
    (void)state;
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++) {
        const tl_activation a = (tl_activation)kind;
        draw();
        tl_gated_forward(a, COUNT, gate, up, out);
        for (size_t i = 0; i < COUNT; i++) {
            const double want =
                (double)(oracle(a, (long double)gate[i]) * (long double)up[i]);
            assert_near(a, "y", (double)gate[i], (double)out[i], want,
                        rounded_once(want, 1e-12));
        }
    }
}

static void gated_backward_writes_both_slopes(void **state)
{
    (void)state;
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++) {
        const tl_activation a = (tl_activation)kind;
        draw();
        tl_gated_backward(TL_BACKWARD_GRADIENT, a, COUNT, gate, up, dy, dgate, dup);
        for (size_t i = 0; i < COUNT; i++) {
            const long double x = (long double)gate[i], d = (long double)dy[i];
            const double to_gate =
                (double)(d * (long double)up[i] * oracle_slope(a, x));
            const double to_up = (double)(d * oracle(a, x));
            assert_near(a, "dgate", (double)gate[i], (double)dgate[i], to_gate,
                        rounded_once(to_gate, 1e-8));
            assert_near(a, "dup", (double)gate[i], (double)dup[i], to_up,
                        rounded_once(to_up, 1e-12));
        }
    }
}

/* With the last gates at 0, where no ratio can be formed. */
static void relevance_gives_half_to_each_factor(void **state)
{
    (void)state;
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++) {
        const tl_activation a = (tl_activation)kind;
        draw();
        gate[COUNT - 1] = 0.0f;
        gate[COUNT - 2] = -0.0f;
        tl_gated_backward(TL_BACKWARD_RELEVANCE, a, COUNT, gate, up, dy, dgate, dup);
        for (size_t i = 0; i < COUNT; i++) {
            const long double x = (long double)gate[i], d = (long double)dy[i] / 2.0L;
            const long double ratio = gate[i] != 0.0f ? oracle(a, x) / x : 0.5L;
            const double to_gate = (double)(d * (long double)up[i] * ratio);
            const double to_up = (double)(d * oracle(a, x));
            assert_near(a, "dgate", (double)gate[i], (double)dgate[i], to_gate,
                        rounded_once(to_gate, 1e-12));
            assert_near(a, "dup", (double)gate[i], (double)dup[i], to_up,
                        rounded_once(to_up, 1e-12));
        }
    }
}

/* gate dgate = up dup = y dy / 2: nothing is lost, nothing made. */
static void relevance_is_conserved(void **state)
{
    (void)state;
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++) {
        const tl_activation a = (tl_activation)kind;
        draw();
        tl_gated_forward(a, COUNT, gate, up, out);
        tl_gated_backward(TL_BACKWARD_RELEVANCE, a, COUNT, gate, up, dy, dgate, dup);
        for (size_t i = 0; i < COUNT; i++) {
            const double half = 0.5 * (double)out[i] * (double)dy[i],
                         within = 1.1 * FLT_EPSILON * fabs(half);
            assert_near(a, "gate dgate", (double)gate[i],
                        (double)gate[i] * (double)dgate[i], half, within);
            assert_near(a, "up dup", (double)gate[i], (double)up[i] * (double)dup[i],
                        half, within);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_the_formulas),
        cmocka_unit_test(slopes_are_finite_differences),
        cmocka_unit_test(the_left_tail_keeps_its_digits),
        cmocka_unit_test(far_out_there_is_no_nan),
        cmocka_unit_test(activate_rounds_once_in_place),
        cmocka_unit_test(gated_forward_rounds_the_product_once),
        cmocka_unit_test(gated_backward_writes_both_slopes),
        cmocka_unit_test(ratios_are_those_of_value_and_argument),
        cmocka_unit_test(relevance_gives_half_to_each_factor),
        cmocka_unit_test(relevance_is_conserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
