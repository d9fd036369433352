/* SPDX-License-Identifier: MIT
 *
 * test_linear.c - the linear layer against its sums in long double, for weights of
 * all three types, at the edges of its tiles and beyond.
 *
 * Weights are drawn as bits and read here by this file's own decoding.
 */
#include "testing.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "op/linear.h"

enum { MAX_X = 20000, MAX_W = 400000, MAX_OUT = 1536, MAX_Y = 20000 };

/* `outlier` multiplies channel 0 of x. */
typedef struct problem {
    size_t rows, n_in, n_out;
    float outlier;
} problem;

static const problem problems[] = {
    {1, 1, 1, 1.0f},     {3, 7, 5, 1.0f},     {1, 640, 130, 1.0f},
    {9, 257, 65, 1.0f}, /* one past a tile of rows, of inputs, of outputs */
    {8, 256, 64, 1.0f}, /* exactly one tile */
    {17, 300, 63, 1.0f}, {2, 1536, 48, 3e4f}, {11, 13, MAX_OUT, 1.0f},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static const tl_dtype dtypes[] = {TL_F32, TL_BF16, TL_F16};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

static float x[MAX_X], y[MAX_Y], dy[MAX_Y], dx[MAX_X], old[MAX_X], bias[MAX_OUT];
static float weight_f32[MAX_W];
static uint16_t weight_16[MAX_W];
static tl_tensor weight;

/* ---- weights --------------------------------------------------------------------- */

/* A weight below 1 from random bits: f16 down to its subnormals. */
static uint16_t random_bits(tl_dtype dtype, uint32_t *seed)
{
    const uint32_t r = (uint32_t)((test_uniform(seed) + 1.0f) * 8388608.0f);
    const uint32_t sign = r & 1, fraction = r >> 1;
    if (dtype == TL_F16)
        return (uint16_t)(sign << 15 | (r >> 12) % 15 << 10 | (fraction & 1023));
    return (uint16_t)(sign << 15 | (119 + (r >> 12) % 8) << 7 | (fraction & 127));
}

/* sign, exponent and fraction put together by the definition of the type. */
static double weight_at(size_t o, size_t i)
{
    const size_t at = o * weight.dims[1] + i;
    if (weight.dtype == TL_F32)
        return (double)weight_f32[at];
    const int exponent_bits = weight.dtype == TL_F16 ? 5 : 8;
    const int fraction_bits = 15 - exponent_bits;
    const int exponent_bias = (1 << (exponent_bits - 1)) - 1;
    const int bits = weight_16[at];
    const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
    const int fraction = bits & ((1 << fraction_bits) - 1);
    const double magnitude =
        exponent == 0 ? ldexp((double)fraction, 1 - exponent_bias - fraction_bits)
                      : ldexp((double)(fraction + (1 << fraction_bits)),
                              exponent - exponent_bias - fraction_bits);
    return bits >> 15 ? -magnitude : magnitude;
}

static void draw(const problem *p, tl_dtype dtype)
{
    uint32_t seed = 271828u;
    weight = (tl_tensor){.dtype = dtype,
                         .n_dims = 2,
                         .dims = {p->n_out, p->n_in},
                         .data = dtype == TL_F32 ? (void *)weight_f32 : weight_16};
    for (size_t i = 0; i < p->n_out * p->n_in; i++) {
        if (dtype == TL_F32)
            weight_f32[i] = 0.1f * test_uniform(&seed);
        else
            weight_16[i] = random_bits(dtype, &seed);
    }
    for (size_t i = 0; i < p->rows * p->n_in; i++)
        x[i] = test_uniform(&seed) * (i % p->n_in == 0 ? p->outlier : 1.0f);
    for (size_t i = 0; i < p->rows * p->n_out; i++)
        dy[i] = test_uniform(&seed);
    for (size_t i = 0; i < MAX_X; i++)
        old[i] = test_uniform(&seed);
    for (size_t o = 0; o < p->n_out; o++)
        bias[o] = test_uniform(&seed);
}

/* ---- the oracle -------------------------------------------------------------------- */

/* A sum and the sum of its terms' sizes, by which rounding is judged. */
typedef struct total {
    long double sum, size;
} total;

static void add_term(total *t, long double term)
{
    t->sum += term;
    t->size += fabsl(term);
}

static total forward_oracle(const problem *p, size_t r, size_t o)
{
    total t = {0.0L, 0.0L};
    for (size_t i = 0; i < p->n_in; i++)
        add_term(&t, (long double)x[r * p->n_in + i] * (long double)weight_at(o, i));
    return t;
}

static total backward_oracle(const problem *p, size_t r, size_t i)
{
    total t = {0.0L, 0.0L};
    for (size_t o = 0; o < p->n_out; o++)
        add_term(&t, (long double)dy[r * p->n_out + o] * (long double)weight_at(o, i));
    return t;
}

/* Half a last place of the result, and a double sum's error, which is at most the
 * number of terms times 1.1e-16 of their sizes and in practice far less. */
static void assert_total(const problem *p, const char *what, size_t i, float got,
                         const total *want)
{
    const double expected = (double)want->sum;
    const double within =
        0.5 * FLT_EPSILON * fabs(expected) + 1e-14 * (double)want->size;
    if (!(fabs((double)got - expected) <= within))
        fail_msg(
            "[%zu,%zu] x [%zu,%zu] of %s: %s[%zu] is %.9g, wanted %.9g within %.2g",
            p->rows, p->n_in, p->n_out, p->n_in, tl_dtype_name(weight.dtype), what, i,
            (double)got, expected, within);
}

/* ---- tests --------------------------------------------------------------------------- */

static void forward_rounds_the_sum_once(void **state)
{
    (void)state;
    for (size_t n = 0; n < PROBLEMS * DTYPES * 4; n++) {
        const problem *p = &problems[n / 4 / DTYPES];
        const bool has_bias = n & 1, add = n & 2;
        draw(p, dtypes[n / 4 % DTYPES]);
        for (size_t i = 0; i < p->rows * p->n_out; i++)
            y[i] = add ? old[i] : NAN; /* overwriting must not read */
        tl_linear_forward(&weight, has_bias ? bias : NULL, p->rows, x, y, add, false);
        for (size_t i = 0; i < p->rows * p->n_out; i++) {
            total want = forward_oracle(p, i / p->n_out, i % p->n_out);
            if (has_bias)
                add_term(&want, (long double)bias[i % p->n_out]);
            if (add)
                add_term(&want, (long double)old[i]);
            assert_total(p, "y", i, y[i], &want);
        }
    }
}

static void backward_rounds_the_sum_once(void **state)
{
    (void)state;
    for (size_t n = 0; n < PROBLEMS * DTYPES * 2; n++) {
        const problem *p = &problems[n / 2 / DTYPES];
        const bool add = n & 1;
        draw(p, dtypes[n / 2 % DTYPES]);
        for (size_t i = 0; i < p->rows * p->n_in; i++)
            dx[i] = add ? old[i] : NAN;
        tl_linear_backward(&weight, p->rows, dy, dx, add, false);
        for (size_t i = 0; i < p->rows * p->n_in; i++) {
            total want = backward_oracle(p, i / p->n_in, i % p->n_in);
            if (add)
                add_term(&want, (long double)old[i]);
            assert_total(p, "dx", i, dx[i], &want);
        }
    }
}

/* Adding to the negative of the rounded result leaves the rounding error itself,
 * which a sum that was rounded before the addition does not have. */
static void add_enters_the_sum_before_it_is_rounded(void **state)
{
    (void)state;
    const problem *p = &problems[3];
    draw(p, TL_F32);
    tl_linear_forward(&weight, NULL, p->rows, x, y, false, false);
    tl_linear_backward(&weight, p->rows, dy, dx, false, false);
    for (size_t i = 0; i < p->rows * p->n_out; i++)
        y[i] = old[i] = -y[i];
    tl_linear_forward(&weight, NULL, p->rows, x, y, true, false);
    for (size_t i = 0; i < p->rows * p->n_out; i++) {
        total want = forward_oracle(p, i / p->n_out, i % p->n_out);
        add_term(&want, (long double)old[i]);
        assert_total(p, "y", i, y[i], &want);
    }
    for (size_t i = 0; i < p->rows * p->n_in; i++)
        dx[i] = old[i] = -dx[i];
    tl_linear_backward(&weight, p->rows, dy, dx, true, false);
    for (size_t i = 0; i < p->rows * p->n_in; i++) {
        total want = backward_oracle(p, i / p->n_in, i % p->n_in);
        add_term(&want, (long double)old[i]);
        assert_total(p, "dx", i, dx[i], &want);
    }
}

/* <W x, dy> = <x, W' dy>, to the rounding of the two results. */
static void backward_is_the_adjoint(void **state)
{
    (void)state;
    for (size_t n = 0; n < PROBLEMS * DTYPES; n++) {
        const problem *p = &problems[n / DTYPES];
        draw(p, dtypes[n % DTYPES]);
        tl_linear_forward(&weight, NULL, p->rows, x, y, false, false);
        tl_linear_backward(&weight, p->rows, dy, dx, false, false);
        total there = {0.0L, 0.0L}, here = {0.0L, 0.0L};
        for (size_t i = 0; i < p->rows * p->n_out; i++)
            add_term(&there, (long double)y[i] * (long double)dy[i]);
        for (size_t i = 0; i < p->rows * p->n_in; i++)
            add_term(&here, (long double)x[i] * (long double)dx[i]);
        const long double within =
            0.5L * (long double)FLT_EPSILON * (there.size + here.size);
        if (!(fabsl(there.sum - here.sum) <= within))
            fail_msg("[%zu,%zu] x [%zu,%zu] of %s: <Wx,y> is %.12Lg, <x,W'y> is %.12Lg",
                     p->rows, p->n_in, p->n_out, p->n_in, tl_dtype_name(weight.dtype),
                     there.sum, here.sum);
    }
}

/* ---- a part of a layer -------------------------------------------------------------- */

/* n of `most`, in no order, the last of them, and with n = most + 1 one twice. */
static void draw_index(size_t n, size_t most, uint32_t *index)
{
    for (size_t j = 0; j < n; j++)
        index[j] = (uint32_t)((most - 1 + j * (most / 2 + 1)) % most);
}

static const size_t parts[] = {0, 1, 2, 64, 65};
enum { PARTS = sizeof parts / sizeof *parts, MOST_PART = 66 };

static void some_outputs_are_those_of_the_layer(void **state)
{
    (void)state;
    for (size_t n = 0; n < PROBLEMS * DTYPES * PARTS * 4; n++) {
        const problem *p = &problems[n / 4 / PARTS / DTYPES];
        const bool has_bias = n & 1, add = n & 2;
        const size_t part = parts[n / 4 % PARTS];
        uint32_t index[MOST_PART];
        draw(p, dtypes[n / 4 / PARTS % DTYPES]);
        draw_index(part, p->n_out, index);
        for (size_t i = 0; i < p->rows * part; i++)
            y[i] = add ? old[i] : NAN;
        y[p->rows * part] = 3.0f;
        tl_linear_rows(&weight, has_bias ? bias : NULL, part, index, p->rows, x, y,
                       add);
        for (size_t i = 0; i < p->rows * part; i++) {
            const size_t o = index[i % part];
            total want = forward_oracle(p, i / part, o);
            if (has_bias)
                add_term(&want, (long double)bias[o]);
            if (add)
                add_term(&want, (long double)old[i]);
            assert_total(p, "some y", i, y[i], &want);
        }
        assert_true(y[p->rows * part] == 3.0f);
    }
}

static void some_inputs_are_a_layer_of_their_own(void **state)
{
    (void)state;
    for (size_t n = 0; n < PROBLEMS * DTYPES * PARTS * 2; n++) {
        const problem *p = &problems[n / 2 / PARTS / DTYPES];
        const bool add = n & 1;
        const size_t part = parts[n / 2 % PARTS];
        uint32_t index[MOST_PART];
        draw(p, dtypes[n / 2 / PARTS % DTYPES]);
        draw_index(part, p->n_in, index);
        for (size_t i = 0; i < p->rows * p->n_out; i++)
            y[i] = add ? old[i] : NAN;
        tl_linear_columns(&weight, part, index, p->rows, x, y, add);
        for (size_t i = 0; i < p->rows * p->n_out; i++) {
            total want = {0.0L, 0.0L};
            for (size_t j = 0; j < part; j++)
                add_term(&want, (long double)x[i / p->n_out * part + j] *
                                    (long double)weight_at(i % p->n_out, index[j]));
            if (add)
                add_term(&want, (long double)old[i]);
            assert_total(p, "y of some x", i, y[i], &want);
        }
    }
}

/* The promise of backend.h, to the last bit, wherever the row stands in a tile. */
static void a_row_does_not_know_the_others(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        static float y_alone[MAX_OUT], dx_alone[MAX_OUT];
        draw(p, TL_BF16);
        tl_linear_forward(&weight, bias, p->rows, x, y, false, false);
        tl_linear_backward(&weight, p->rows, dy, dx, false, false);
        for (size_t r = 0; r < p->rows; r++) {
            tl_linear_forward(&weight, bias, 1, x + r * p->n_in, y_alone, false, false);
            tl_linear_backward(&weight, 1, dy + r * p->n_out, dx_alone, false, false);
            assert_memory_equal(y_alone, y + r * p->n_out, p->n_out * sizeof *y);
            assert_memory_equal(dx_alone, dx + r * p->n_in, p->n_in * sizeof *dx);
        }
    }
}

/* A NaN or an infinity stays in its row and arrives there. */
static void a_nan_spoils_its_row_and_no_other(void **state)
{
    (void)state;
    const problem *p = &problems[3];
    draw(p, TL_F32);
    x[5] = NAN;
    dy[4 * p->n_out + 5] = INFINITY;
    tl_linear_forward(&weight, NULL, p->rows, x, y, false, false);
    tl_linear_backward(&weight, p->rows, dy, dx, false, false);
    for (size_t i = 0; i < p->rows * p->n_out; i++)
        assert_int_equal(isnan(y[i]) != 0, i / p->n_out == 0);
    for (size_t i = 0; i < p->rows * p->n_in; i++)
        assert_int_equal(isfinite(dx[i]) == 0, i / p->n_in == 4);
}

static void no_rows_write_nothing(void **state)
{
    (void)state;
    draw(&problems[1], TL_F32);
    y[0] = dx[0] = 3.0f;
    tl_linear_forward(&weight, bias, 0, x, y, false, false);
    tl_linear_backward(&weight, 0, dy, dx, false, false);
    assert_true(y[0] == 3.0f && dx[0] == 3.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_rounds_the_sum_once),
        cmocka_unit_test(backward_rounds_the_sum_once),
        cmocka_unit_test(add_enters_the_sum_before_it_is_rounded),
        cmocka_unit_test(backward_is_the_adjoint),
        cmocka_unit_test(some_outputs_are_those_of_the_layer),
        cmocka_unit_test(some_inputs_are_a_layer_of_their_own),
        cmocka_unit_test(a_row_does_not_know_the_others),
        cmocka_unit_test(a_nan_spoils_its_row_and_no_other),
        cmocka_unit_test(no_rows_write_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
