/* SPDX-License-Identifier: MIT
 *
 * test_logits.c - logits of a few tokens against their sums in long double, and the
 * gradient of a difference against differences of those sums.
 */
#include "testing.h"

#include "op/logits.h"

enum { VOCAB = 11, MOST = 600, STREAM = 5 };

/* Widths at the edges of the pieces that a row is widened in. */
static const size_t widths[] = {1, 7, 255, 256, 257, 512, MOST};
enum { WIDTHS = sizeof widths / sizeof *widths };
static const float caps[] = {0.0f, 30.0f, 1.5f};
enum { CAPS = sizeof caps / sizeof *caps };
static const tl_dtype dtypes[] = {TL_F32, TL_BF16, TL_F16};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

static float weight_f32[VOCAB * MOST], x[STREAM * MOST], dx[STREAM * MOST];
static uint16_t weight_16[VOCAB * MOST];
static float widened[VOCAB * MOST]; /* the weight, whatever its type */
static tl_tensor weight;

static void draw(size_t d_model, tl_dtype dtype)
{
    uint32_t seed = 1234567u;
    weight = (tl_tensor){.dtype = dtype,
                         .n_dims = 2,
                         .dims = {VOCAB, d_model},
                         .data = dtype == TL_F32 ? (void *)weight_f32 : weight_16};
    for (size_t i = 0; i < VOCAB * d_model; i++) {
        weight_f32[i] = 0.3f * test_uniform(&seed);
        weight_16[i] = dtype == TL_BF16
                           ? tl_f32_to_bf16(weight_f32[i])
                           : (uint16_t)(0x2800 + i * 37 % 2048 + (i % 2 << 15));
    }
    for (size_t i = 0; i < STREAM * d_model; i++)
        x[i] = test_uniform(&seed);
    assert_int_equal(tl_tensor_to_f32(&weight, 0, VOCAB * d_model, widened, NULL),
                     TL_OK);
}

/* Of a row with `step` added to its element k. */
static long double logit(size_t d_model, size_t row, int32_t id, float cap, size_t k,
                         long double step)
{
    long double sum = 0.0L;
    for (size_t i = 0; i < d_model; i++)
        sum += ((long double)x[row * d_model + i] + (i == k ? step : 0.0L)) *
               (long double)widened[(size_t)id * d_model + i];
    return cap > 0.0f ? (long double)cap * tanhl(sum / (long double)cap) : sum;
}

static const uint32_t rows[] = {3, 0, 4};
enum { ROWS = sizeof rows / sizeof *rows };

static void logits_are_the_sums_of_their_rows(void **unused)
{
    (void)unused;
    static const int32_t ids[] = {10, 0, 4, 4};
    enum { IDS = sizeof ids / sizeof *ids };
    for (size_t n = 0; n < WIDTHS * CAPS * DTYPES; n++) {
        const size_t d_model = widths[n % WIDTHS];
        const float cap = caps[n / WIDTHS % CAPS];
        draw(d_model, dtypes[n / WIDTHS / CAPS]);
        double out[ROWS * IDS];
        tl_logits_of(&weight, ROWS, rows, x, IDS, ids, cap, out);
        for (size_t i = 0; i < ROWS * IDS; i++)
            assert_close(
                "logits", i, out[i],
                (double)logit(d_model, rows[i / IDS], ids[i % IDS], cap, 0, 0.0L),
                2e-14); /* within 5e-15 when this was set */
    }
}

/* Not only close: a difference of logits is compared over months. */
static void a_sum_runs_over_ascending_elements_in_double(void **unused)
{
    (void)unused;
    draw(MOST, TL_BF16);
    const int32_t id = 5;
    double sum = 0.0, out;
    for (size_t k = 0; k < MOST; k++)
        sum += (double)x[rows[0] * MOST + k] * (double)widened[(size_t)id * MOST + k];
    tl_logits_of(&weight, 1, rows, x, 1, &id, 0.0f, &out);
    assert_memory_equal(&out, &sum, sizeof sum);
    sum = 30.0 * tanh(sum / 30.0);
    tl_logits_of(&weight, 1, rows, x, 1, &id, 30.0f, &out);
    assert_memory_equal(&out, &sum, sizeof sum);
}

static void the_gradient_is_the_slope_of_the_difference(void **unused)
{
    (void)unused;
    static const int32_t a[ROWS] = {10, 2, 6}, b[ROWS] = {0, 9, 6};
    const float untouched = 77.5f;
    for (size_t n = 0; n < WIDTHS * CAPS * DTYPES; n++) {
        const size_t d_model = widths[n % WIDTHS];
        const float cap = caps[n / WIDTHS % CAPS];
        draw(d_model, dtypes[n / WIDTHS / CAPS]);
        for (size_t i = 0; i < STREAM * d_model; i++)
            dx[i] = untouched;
        double scores[ROWS * 2];
        for (size_t r = 0; r < ROWS; r++)
            tl_logits_of(&weight, 1, &rows[r], x, 2, (int32_t[]){a[r], b[r]}, 0.0f,
                         scores + 2 * r);
        tl_logit_diff_gradient(TL_BACKWARD_GRADIENT, &weight, ROWS, rows, a, b, cap,
                               cap > 0.0f ? scores : NULL, dx);
        for (size_t r = 0; r < ROWS; r++)
            for (size_t k = 0; k < d_model; k += 1 + d_model / 20) {
                const long double h = 1e-5L;
                const long double slope = (logit(d_model, rows[r], a[r], cap, k, h) -
                                           logit(d_model, rows[r], a[r], cap, k, -h) -
                                           logit(d_model, rows[r], b[r], cap, k, h) +
                                           logit(d_model, rows[r], b[r], cap, k, -h)) /
                                          (2.0L * h);
                /* A rounding to float of numbers below 1; h^2 is 1e-10. */
                assert_close("gradient", k, (double)dx[rows[r] * d_model + k],
                             (double)slope, 1e-7);
            }
        for (size_t r = 1; r < 3; r++) /* rows of no prompt */
            for (size_t k = 0; k < d_model; k++)
                assert_true(dx[r * d_model + k] == untouched);
    }
}

/* The metric by its definition, with element k of a row of x moved by h. */
static long double metric_by_hand(tl_metric metric, size_t d_model, uint32_t row,
                                  int32_t a, float cap, size_t k, long double h)
{
    const long double own = logit(d_model, row, a, cap, k, h);
    if (metric == TL_METRIC_LOGIT)
        return own;
    long double sum = 0.0L;
    for (size_t j = 0; j < weight.dims[0]; j++)
        sum += expl(logit(d_model, row, (int32_t)j, cap, k, h) - own);
    return metric == TL_METRIC_PROBABILITY ? 1.0L / sum : -logl(sum);
}

static void gradients_of_other_metrics_are_their_slopes(void **unused)
{
    (void)unused;
    static const int32_t a[ROWS] = {10, 2, 6};
    const float untouched = 77.5f;
    for (size_t n = 0; n < WIDTHS * CAPS * DTYPES; n++)
        for (int m = TL_METRIC_LOGIT; m <= TL_METRIC_CROSS_ENTROPY; m++) {
            const size_t d_model = widths[n % WIDTHS];
            const float cap = caps[n / WIDTHS % CAPS];
            double room[64];
            draw(d_model, dtypes[n / WIDTHS / CAPS]);
            assert_true(weight.dims[0] <= 64);
            for (size_t i = 0; i < STREAM * d_model; i++)
                dx[i] = untouched;
            tl_metric_gradient((tl_metric)m, TL_BACKWARD_GRADIENT, &weight, ROWS, rows,
                               a, cap, x, room, dx);
            for (size_t r = 0; r < ROWS; r++)
                for (size_t k = 0; k < d_model; k += 1 + d_model / 8) {
                    const long double h = 1e-5L;
                    const long double slope =
                        (metric_by_hand((tl_metric)m, d_model, rows[r], a[r], cap, k,
                                        h) -
                         metric_by_hand((tl_metric)m, d_model, rows[r], a[r], cap, k,
                                        -h)) /
                        (2.0L * h);
                    /* Sums of the vocabulary's rows, each rounded to float once. */
                    assert_close("gradient", k, (double)dx[rows[r] * d_model + k],
                                 (double)slope, 1e-6);
                }
            for (size_t r = 1; r < 3; r++) /* rows of no prompt */
                for (size_t k = 0; k < d_model; k++)
                    assert_true(dx[r * d_model + k] == untouched);
        }
}

static void a_metric_is_of_the_whole_vocabulary(void **unused)
{
    (void)unused;
    static const float logits[] = {1.0f, 3.0f, 2.0f, -500.0f, 800.0f};
    const double p = tl_metric_of_logits(TL_METRIC_PROBABILITY, logits, 3, 1),
                 ce = tl_metric_of_logits(TL_METRIC_CROSS_ENTROPY, logits, 3, 1);
    assert_close("probability", 0, p, 1.0 / (1.0 + exp(-2.0) + exp(-1.0)), 1e-15);
    assert_close("cross-entropy", 0, ce, log(p), 1e-15);
    assert_true(tl_metric_of_logits(TL_METRIC_PROBABILITY, logits, 5, 4) == 1.0);
    assert_true(tl_metric_of_logits(TL_METRIC_CROSS_ENTROPY, logits, 5, 3) == -1300.0);
}

/* sum_k x dx is the difference of the logits, capped or not; and each element is the
 * weight times logit / score. Row 4 of x is zero: there the ratio has its limit. */
static void relevance_takes_the_ratio_of_a_cap_for_a_constant(void **unused)
{
    (void)unused;
    static const int32_t a[ROWS] = {10, 2, 6}, b[ROWS] = {0, 9, 3};
    for (size_t n = 0; n < WIDTHS * CAPS * DTYPES; n++) {
        const size_t d_model = widths[n % WIDTHS];
        const float cap = caps[n / WIDTHS % CAPS];
        draw(d_model, dtypes[n / WIDTHS / CAPS]);
        memset(x + 4 * d_model, 0, d_model * sizeof *x);
        double scores[ROWS * 2];
        for (size_t r = 0; r < ROWS; r++)
            tl_logits_of(&weight, 1, &rows[r], x, 2, (int32_t[]){a[r], b[r]}, 0.0f,
                         scores + 2 * r);
        tl_logit_diff_gradient(TL_BACKWARD_RELEVANCE, &weight, ROWS, rows, a, b, cap,
                               cap > 0.0f ? scores : NULL, dx);
        for (size_t r = 0; r < ROWS; r++) {
            const int32_t ids[2] = {a[r], b[r]};
            long double ratio[2], sum = 0.0L, size = 0.0L;
            for (size_t i = 0; i < 2; i++) {
                const long double s = logit(d_model, rows[r], ids[i], 0.0f, 0, 0.0L);
                ratio[i] = s == 0.0L
                               ? 1.0L
                               : logit(d_model, rows[r], ids[i], cap, 0, 0.0L) / s;
            }
            for (size_t k = 0; k < d_model; k++) {
                const size_t at = rows[r] * d_model + k;
                const long double want =
                    ratio[0] * (long double)widened[(size_t)a[r] * d_model + k] -
                    ratio[1] * (long double)widened[(size_t)b[r] * d_model + k];
                assert_close("relevance", k, (double)dx[at], (double)want, 1e-7);
                sum += (long double)x[at] * (long double)dx[at];
                size += fabsl((long double)x[at] * (long double)dx[at]);
            }
            assert_close("x . dx", r, (double)sum,
                         (double)(logit(d_model, rows[r], a[r], cap, 0, 0.0L) -
                                  logit(d_model, rows[r], b[r], cap, 0, 0.0L)),
                         1e-7 * (1.0 + (double)size));
        }
    }
}

/* A score of 40 caps: tanh is 1 in double, and the ratio is not 0. */
static void the_ratio_of_a_large_score_is_kept(void **unused)
{
    (void)unused;
    static const float w[2] = {40.0f, 0.0f};
    const tl_tensor two = tl_tensor_f32(w, 2, 1, 0);
    const double scores[2] = {40.0, 0.0};
    const uint32_t row = 0;
    const int32_t a = 0, b = 1;
    float d = 0.0f;
    tl_logit_diff_gradient(TL_BACKWARD_RELEVANCE, &two, 1, &row, &a, &b, 1.0f, scores,
                           &d);
    assert_close("relevance", 0, (double)d, 40.0 / 40.0, 1e-7);
    tl_logit_diff_gradient(TL_BACKWARD_GRADIENT, &two, 1, &row, &a, &b, 1.0f, scores,
                           &d);
    assert_close("gradient", 0, (double)d, 0.0, 1e-7);
}

static void a_cap_of_0_is_none(void **unused)
{
    (void)unused;
    assert_true(tl_softcap(123.5, 0.0f) == 123.5);
    assert_close("cap", 0, tl_softcap(1e9, 30.0f), 30.0, 1e-12);
    assert_close("cap", 1, tl_softcap(-15.0, 30.0f), 30.0 * tanh(-0.5), 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_sums_of_their_rows),
        cmocka_unit_test(a_sum_runs_over_ascending_elements_in_double),
        cmocka_unit_test(the_gradient_is_the_slope_of_the_difference),
        cmocka_unit_test(gradients_of_other_metrics_are_their_slopes),
        cmocka_unit_test(a_metric_is_of_the_whole_vocabulary),
        cmocka_unit_test(relevance_takes_the_ratio_of_a_cap_for_a_constant),
        cmocka_unit_test(the_ratio_of_a_large_score_is_kept),
        cmocka_unit_test(a_cap_of_0_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
