/*
 * test_bf16.c - products of layers in bf16: the definition against a loop written here, the
 * cpu backend against the definition and bit by bit against itself, and a model that is
 * opened with that precision.
 */
#include "random_inputs.h"

#include "backend/backends.h"
#include "op/linear.h"
#ifdef TWINLENS_TEST_CPU
#include "backend/cpu/cpu_bf16.h"
#endif

enum { MOST = 300, ROWS = 61 };

typedef struct layer_case {
    size_t n_out, n_in;
    tl_dtype dtype;
    bool bias;
} layer_case;

/* Depths and widths around pairs, vectors, panels and pieces. */
static const layer_case cases[] = {
    {1, 1, TL_BF16, false},    {7, 5, TL_BF16, true},    {16, 64, TL_BF16, false},
    {33, 65, TL_BF16, true},   {130, 77, TL_F32, true},  {257, 128, TL_BF16, false},
    {96, 129, TL_F16, true},   {300, 3, TL_BF16, false}, {136, 64, TL_BF16, true},
    {264, 272, TL_BF16, false}};
enum { CASES = sizeof cases / sizeof *cases };

static unsigned char weights[MOST * MOST * 4];
static float bias[MOST], x[ROWS * MOST], got[ROWS * MOST], want[ROWS * MOST];

/* Rounded to bf16 by arithmetic: to the nearest multiple of the last of eight bits. */
static double round_to_bf16(double value)
{
    int exponent = 0;
    const double fraction = frexp(value, &exponent);
    return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static tl_linear make_layer(const layer_case *c, uint32_t seed)
{
    uint32_t state = seed;
    for (size_t i = 0; i < c->n_out * c->n_in; i++) {
        const float value = test_uniform(&state);
        const uint16_t half = tl_f32_to_bf16(value);
        const uint16_t f16 = (uint16_t)(0x3000 + state % 0x900); /* .125 to .6 */
        if (c->dtype == TL_F32)
            memcpy(weights + 4 * i, &value, 4);
        else
            memcpy(weights + 2 * i, c->dtype == TL_BF16 ? &half : &f16, 2);
    }
    for (size_t i = 0; i < c->n_out; i++)
        bias[i] = test_uniform(&state);
    for (size_t i = 0; i < ROWS * MOST; i++)
        x[i] = 3.0f * test_uniform(&state);
    return (tl_linear){.weight = {.dtype = c->dtype,
                                  .n_dims = 2,
                                  .dims = {c->n_out, c->n_in},
                                  .data = weights},
                       .bias = c->bias ? bias : NULL,
                       .bf16 = true};
}

static void multiply(tl_backend *b, const tl_linear *l, bool back, size_t rows,
                     const float *from, float *to, bool add)
{
    tl_error err = {0};
    if ((back ? b->linear_backward : b->linear)(b, l, rows, from, to, add, &err) !=
        TL_OK)
        fail_msg("%s", err.text);
}

static tl_backend *create(const char *name, size_t threads, size_t cache)
{
    tl_backend *b = NULL;
    tl_error err = {0};
    if (tl_backend_create(name, threads, cache, &b, &err) != TL_OK)
        fail_msg("%s", err.text);
    return b;
}

static void both_factors_are_rounded(void **unused)
{
    (void)unused;
    tl_backend *ref = create("ref", 1, 0);
    float w[MOST * MOST];
    for (size_t i = 0; i < CASES; i++)
        for (size_t back = 0; back < 2; back++) {
            const layer_case *c = &cases[i];
            const tl_linear l = make_layer(c, 7);
            const size_t k = back ? c->n_out : c->n_in, n = back ? c->n_in : c->n_out;
            tl_tensor_to_f32(&l.weight, 0, k * n, w, NULL);
            multiply(ref, &l, back == 1, 3, x, got, false);
            for (size_t r = 0; r < 3; r++)
                for (size_t o = 0; o < n; o++) {
                    double sum = back || !c->bias ? 0.0 : (double)bias[o];
                    for (size_t p = 0; p < k; p++)
                        sum += round_to_bf16((double)x[r * k + p]) *
                               round_to_bf16((double)w[back ? p * n + o : o * k + p]);
                    assert_close("product", r * n + o, (double)got[r * n + o], sum,
                                 1e-6 * (1 + fabs(sum)));
                }
        }
    ref->destroy(ref);
}

#ifdef TWINLENS_TEST_CPU

static void the_cpu_multiplies_as_defined(void **unused)
{
    (void)unused;
    tl_backend *ref = create("ref", 1, 0), *cpu = create("cpu", 2, 0);
    printf("this processor %s\n",
           cpu->fast_bf16 ? "multiplies bf16" : "has no instructions for bf16");
    for (size_t i = 0; i < CASES; i++)
        for (size_t how = 0; how < 4; how++) {
            const bool back = how & 1, add = how & 2;
            const tl_linear l = make_layer(&cases[i], 11);
            const size_t n = back ? cases[i].n_in : cases[i].n_out;
            for (size_t e = 0; e < ROWS * n; e++)
                got[e] = want[e] = 0.25f;
            multiply(ref, &l, back, ROWS, x, want, add);
            multiply(cpu, &l, back, ROWS, x, got, add);
            for (size_t e = 0; e < ROWS * n; e++)
                assert_close("product", e, (double)got[e], (double)want[e], 2e-4);
        }
    ref->destroy(ref);
    cpu->destroy(cpu);
}

/* The bits of a row are its own: whatever rows are beside it, threads and cache. */
static void a_row_has_bits_of_its_own(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < CASES; i++)
        for (size_t back = 0; back < 2; back++) {
            const tl_linear l = make_layer(&cases[i], 13);
            const size_t n = back ? cases[i].n_in : cases[i].n_out,
                         k = back ? cases[i].n_out : cases[i].n_in;
            tl_backend *alone = create("cpu", 1, 0);
            for (size_t r = 0; r < ROWS; r++)
                multiply(alone, &l, back == 1, 1, x + r * k, want + r * n, false);
            for (size_t t = 1; t <= 3; t++) {
                tl_backend *cpu = create("cpu", t, t == 2 ? 1 << 20 : 0);
                for (size_t again = 0; again < 2; again++) {
                    multiply(cpu, &l, back == 1, ROWS, x, got, false);
                    assert_memory_equal(got, want, ROWS * n * sizeof *got);
                }
                cpu->destroy(cpu);
            }
            alone->destroy(alone);
        }
}

/* One weight in both precisions: the cache keeps them apart. */
static void precisions_do_not_mix(void **unused)
{
    (void)unused;
    tl_backend *cpu = create("cpu", 1, 1 << 20), *ref = create("ref", 1, 0);
    tl_linear l = make_layer(&cases[3], 19);
    for (size_t i = 0; i < 6; i++) {
        l.bf16 = i % 2 == 0;
        multiply(ref, &l, i >= 3, ROWS, x, want, false);
        multiply(cpu, &l, i >= 3, ROWS, x, got, false);
        for (size_t e = 0; e < ROWS * (i >= 3 ? cases[3].n_in : cases[3].n_out); e++)
            assert_close("product", e, (double)got[e], (double)want[e], 2e-4);
    }
    cpu->destroy(cpu);
    ref->destroy(ref);
}

/* As tensors are rounded: ties to even, overflow to infinity, no number stays none. */
static void inputs_are_rounded_as_tensors_are(void **unused)
{
    (void)unused;
    enum { K = 4096 };
    static float values[K];
    static uint32_t tile[TL_CPU_BF16_ROWS * K / 2];
    uint32_t state = 17;
    for (size_t i = 0; i < K; i++) {
        uint32_t bits = state = state * 1664525 + 1013904223;
        if (i % 3 == 0)
            bits = (bits & 0xffff0000) | 0x8000; /* a tie */
        if (i % 7 == 0)
            bits |= 0x7f800000; /* infinite, or no number */
        memcpy(&values[i], &bits, sizeof bits);
    }
    tl_cpu_bf16_input(values, 1, K, tile);
    for (size_t i = 0; i < K; i++) {
        const uint16_t bits = (uint16_t)(tile[i / 2] >> (i % 2 == 1 ? 16 : 0)),
                       wanted = tl_f32_to_bf16(values[i]);
        assert_true(bits == wanted || (isnan(values[i]) && (bits & 0x7f80) == 0x7f80 &&
                                       (bits & 0x7f) != 0));
    }
}

#endif

/* The bundled model, whose weights are rounded already: a logit difference hardly moves. */
static void a_model_is_opened_with_a_precision(void **unused)
{
    (void)unused;
    tl_error err = {0};
    tl_model *model = NULL;
    tl_model_options options = {
        .n_threads = 1, .precision = (tl_precision)(TL_PRECISION_BF16_EMULATED + 1)};
    assert_int_equal(tl_model_open(tiny_checkpoint, &options, &model, &err),
                     TL_ERR_ARGUMENT);
    options.precision = TL_PRECISION_BF16;
    options.backend = "ref";
    assert_int_equal(tl_model_open(tiny_checkpoint, &options, &model, &err), TL_OK);
    tl_model_close(model);
#ifdef TWINLENS_TEST_CPU
    tl_backend *cpu = create("cpu", 1, 0);
    options.backend = "cpu";
    if (cpu->fast_bf16) {
        assert_int_equal(tl_model_open(tiny_checkpoint, &options, &model, &err), TL_OK);
        tl_model_close(model);
    } else {
        assert_int_equal(tl_model_open(tiny_checkpoint, &options, &model, &err),
                         TL_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "bf16-emulated"));
    }
    cpu->destroy(cpu);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_factors_are_rounded),
#ifdef TWINLENS_TEST_CPU
        cmocka_unit_test(the_cpu_multiplies_as_defined),
        cmocka_unit_test(a_row_has_bits_of_its_own),
        cmocka_unit_test(precisions_do_not_mix),
        cmocka_unit_test(inputs_are_rounded_as_tensors_are),
#endif
        cmocka_unit_test(a_model_is_opened_with_a_precision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
