/*
 * test_tensor.c - conversions against their definitions: every 16-bit pattern, and
 * every bf16 with what lies between it and the next.
 */
#include "testing.h"

#include <float.h>

#include "twinlens/tensor.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A binary floating-point number by the book: `fraction_bits` bits of fraction. */
static double decode(uint32_t bits, int exponent_bits, int fraction_bits)
{
    const int largest = (1 << exponent_bits) - 1, bias = largest / 2;
    const int exponent = (int)(bits >> fraction_bits) & largest;
    const double fraction =
        ldexp((double)(bits & ((1u << fraction_bits) - 1u)), -fraction_bits);
    const double sign = bits >> (exponent_bits + fraction_bits) & 1 ? -1.0 : 1.0;
    if (exponent == largest)
        return fraction > 0.0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent == 0 ? ldexp(fraction, 1 - bias)
                                 : ldexp(1.0 + fraction, exponent - bias));
}

static void assert_same(uint32_t pattern, float got, double want)
{
    if (isnan(want) ? !isnan(got)
                    : (double)got != want || !signbit(got) != !signbit(want))
        fail_msg("%#06x: got %.9g, want %.9g", pattern, (double)got, want);
}

static void every_f16_widens_to_its_definition(void **unused)
{
    (void)unused;
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++)
        assert_same(bits, tl_f16_to_f32((uint16_t)bits), decode(bits, 5, 10));
    assert_int_equal(bits_of(tl_f16_to_f32(0x8001)), 0xb3800000); /* -2^-24 */
    assert_int_equal(bits_of(tl_f16_to_f32(0x7bff)), bits_of(65504.0f));
}

static void every_bf16_widens_to_its_definition(void **unused)
{
    (void)unused;
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++)
        assert_same(bits, tl_bf16_to_f32((uint16_t)bits), decode(bits, 8, 7));
}

static void every_bf16_survives_the_way_there_and_back(void **unused)
{
    (void)unused;
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++) {
        const float wide = tl_bf16_to_f32((uint16_t)bits);
        const uint16_t back = tl_f32_to_bf16(wide);
        if (isnan(wide) ? !isnan(tl_bf16_to_f32(back)) : back != bits)
            fail_msg("%#06x: came back as %#06x", bits, back);
    }
}

/* Between two neighbours the nearer one, in the middle the even one. */
static void narrowing_rounds_to_nearest_even(void **unused)
{
    (void)unused;
    for (uint32_t low = 0; low < 0x7f80; low++) {
        const uint32_t wide = low << 16, even = low % 2 == 0 ? low : low + 1;
        const struct {
            uint32_t bits, want;
        } cases[] = {
            {wide | 0x0001, low},     {wide | 0x7fff, low},     {wide | 0x8000, even},
            {wide | 0x8001, low + 1}, {wide | 0xffff, low + 1},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const uint16_t up = tl_f32_to_bf16(float_of(cases[i].bits));
            const uint16_t down = tl_f32_to_bf16(float_of(cases[i].bits | 0x80000000u));
            if (up != cases[i].want || down != (cases[i].want | 0x8000))
                fail_msg("%#010x: got %#06x and %#06x, want %#06x", cases[i].bits, up,
                         down, cases[i].want);
        }
    }
    assert_int_equal(tl_f32_to_bf16(FLT_MAX), 0x7f80);
}

static void a_nan_stays_one_when_its_upper_bits_are_cut(void **unused)
{
    (void)unused;
    static const uint32_t nans[] = {0x7f800001, 0x7f80ffff, 0xff800001,
                                    0x7fffffff, 0xffffffff, 0x7fc00000};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++) {
        const uint16_t bits = tl_f32_to_bf16(float_of(nans[i]));
        if (!isnan(tl_bf16_to_f32(bits)) || bits >> 15 != nans[i] >> 31)
            fail_msg("%#010x: got %#06x", nans[i], bits);
    }
}

enum { COUNT = 70, MAX_BYTES = 8 };

/* Element i of the tensors below. Some are of no exact f32. */
static double element(size_t i)
{
    return ldexp(1.0 + (double)i / 61.0, (int)(i % 9) - 4) * (i % 3 == 0 ? -1.0 : 1.0);
}

/* Writes element i at `at`, which may be odd; returns what should be read. */
static float store(tl_dtype dtype, size_t i, unsigned char *at)
{
    const double value = element(i);
    if (dtype == TL_F64) {
        memcpy(at, &value, sizeof value);
        return (float)value;
    }
    if (dtype == TL_F32) {
        const float rounded = (float)value;
        memcpy(at, &rounded, sizeof rounded);
        return rounded;
    }
    const uint16_t bits = (uint16_t)(i * 941 + 17); /* of any kind but infinite */
    memcpy(at, &bits, sizeof bits);
    return dtype == TL_BF16 ? tl_bf16_to_f32(bits) : tl_f16_to_f32(bits);
}

/* All starts and counts of a short tensor: the tails of vector loops differ. The
 * cells around the output stay as they were, and the data may lie anywhere. */
static void any_stretch_is_converted(void **unused)
{
    (void)unused;
    static const tl_dtype floating[] = {TL_F32, TL_F16, TL_BF16, TL_F64};
    static unsigned char bytes[COUNT * MAX_BYTES + 1];
    static float want[COUNT], got[COUNT + 2];
    for (size_t d = 0; d < 4; d++)
        for (size_t shift = 0; shift < 2; shift++) {
            const size_t size = tl_dtype_bytes(floating[d]);
            for (size_t i = 0; i < COUNT; i++)
                want[i] = store(floating[d], i, bytes + shift + size * i);
            const tl_tensor tensor = {floating[d], 2, {7, COUNT / 7}, bytes + shift};
            for (size_t first = 0; first <= COUNT; first++)
                for (size_t count = 0; count <= COUNT - first; count++) {
                    for (size_t i = 0; i < COUNT + 2; i++)
                        got[i] = 1234.5f;
                    assert_int_equal(
                        tl_tensor_to_f32(&tensor, first, count, got + 1, NULL), TL_OK);
                    if (memcmp(got + 1, want + first, count * sizeof *got) != 0 ||
                        got[0] != 1234.5f || got[count + 1] != 1234.5f)
                        fail_msg("%s, shifted by %zu: [%zu, %zu) is wrong",
                                 tl_dtype_name(floating[d]), shift, first,
                                 first + count);
                }
        }
}

static void whole_numbers_are_refused(void **unused)
{
    (void)unused;
    static const tl_dtype whole[] = {TL_I64, TL_I32, TL_I16, TL_I8, TL_U8, TL_BOOL};
    const int64_t data = 1;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        const tl_tensor tensor = {.dtype = whole[i], .data = &data};
        tl_error err = {0};
        float out = 7.0f;
        assert_int_equal(tl_tensor_to_f32(&tensor, 0, 1, &out, &err),
                         TL_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, tl_dtype_name(whole[i])));
        assert_true(out == 7.0f);
    }
}

static void dtypes_have_the_names_and_sizes_of_safetensors(void **unused)
{
    (void)unused;
    static const struct {
        tl_dtype dtype;
        const char *name;
        size_t bytes;
    } want[TL_DTYPE_COUNT] = {
        {TL_F32, "F32", 4},   {TL_F16, "F16", 2}, {TL_BF16, "BF16", 2},
        {TL_F64, "F64", 8},   {TL_I64, "I64", 8}, {TL_I32, "I32", 4},
        {TL_I16, "I16", 2},   {TL_I8, "I8", 1},   {TL_U8, "U8", 1},
        {TL_BOOL, "BOOL", 1},
    };
    for (size_t i = 0; i < TL_DTYPE_COUNT; i++) {
        assert_string_equal(tl_dtype_name(want[i].dtype), want[i].name);
        assert_int_equal(tl_dtype_bytes(want[i].dtype), want[i].bytes);
    }
}

static void a_scalar_has_one_element_and_an_empty_dimension_none(void **unused)
{
    (void)unused;
    assert_int_equal(tl_tensor_count(&(tl_tensor){.n_dims = 0}), 1);
    assert_int_equal(tl_tensor_count(&(tl_tensor){.n_dims = 3, .dims = {2, 3, 5}}), 30);
    assert_int_equal(tl_tensor_count(&(tl_tensor){.n_dims = 2, .dims = {4, 0}}), 0);
    /* 28 layers of neurons at 2000 positions are past 2^31 bytes. */
    assert_int_equal(
        tl_tensor_count(&(tl_tensor){.n_dims = 3, .dims = {280, 18944, 2000}}),
        10608640000);
}

static void a_view_has_as_many_dimensions_as_were_given(void **unused)
{
    (void)unused;
    const float data[24] = {0};
    const tl_tensor one = tl_tensor_f32(data, 24, 0, 0),
                    two = tl_tensor_f32(data, 4, 6, 0),
                    three = tl_tensor_f32(data, 2, 3, 4);
    assert_int_equal(one.n_dims, 1);
    assert_int_equal(two.n_dims, 2);
    assert_int_equal(three.n_dims, 3);
    assert_int_equal(tl_tensor_count(&one), 24);
    assert_int_equal(tl_tensor_count(&two), 24);
    assert_int_equal(three.dims[2], 4);
    assert_int_equal(three.dtype, TL_F32);
    assert_ptr_equal(three.data, data);
}

static void a_shape_is_cut_to_fit(void **unused)
{
    (void)unused;
    static const size_t dims[] = {640, 48};
    static const struct {
        size_t n_dims, bytes;
        const char *want;
    } cases[] = {
        {2, 32, "[640,48]"}, {1, 32, "[640]"}, {0, 32, "[]"}, {2, 9, "[640,48]"},
        {2, 8, "[640,48"},   {2, 5, "[640"},   {2, 2, "["},   {2, 1, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[33];
        memset(text, '#', sizeof text);
        assert_ptr_equal(tl_shape_text(dims, cases[i].n_dims, text, cases[i].bytes),
                         text);
        assert_string_equal(text, cases[i].want);
        assert_int_equal(text[cases[i].bytes], '#');
    }
    char untouched = '#';
    tl_shape_text(dims, 2, &untouched, 0);
    assert_int_equal(untouched, '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_f16_widens_to_its_definition),
        cmocka_unit_test(every_bf16_widens_to_its_definition),
        cmocka_unit_test(every_bf16_survives_the_way_there_and_back),
        cmocka_unit_test(narrowing_rounds_to_nearest_even),
        cmocka_unit_test(a_nan_stays_one_when_its_upper_bits_are_cut),
        cmocka_unit_test(any_stretch_is_converted),
        cmocka_unit_test(whole_numbers_are_refused),
        cmocka_unit_test(dtypes_have_the_names_and_sizes_of_safetensors),
        cmocka_unit_test(a_scalar_has_one_element_and_an_empty_dimension_none),
        cmocka_unit_test(a_view_has_as_many_dimensions_as_were_given),
        cmocka_unit_test(a_shape_is_cut_to_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
