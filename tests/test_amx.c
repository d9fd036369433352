/*
 * test_amx.c - the kernel for the processor's matrix unit, on any processor: its text is
 * compiled once more, with the unit's instructions as what Intel's manual says that they do,
 * and compared with sums in double; and the processor's own unit, where there is one,
 * compared with that.
 */
#include "testing.h"

#include "twinlens/tensor.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) &&                  \
    !defined(__clang__)

#include <float.h>
#include <immintrin.h>

#include "backend/cpu/cpu_amx.h"

/* ---- the unit, in C ---------------------------------------------------------------- */

enum { REGISTERS = 8, MOST_ROWS = 16, MOST_BYTES = 64 };

static struct {
    bool is_configured;
    size_t rows[REGISTERS], bytes[REGISTERS];
    unsigned char data[REGISTERS][MOST_ROWS][MOST_BYTES];
} unit;

static void load_config(const void *from)
{
    const unsigned char *c = from;
    assert_int_equal(c[0], 1);
    for (size_t i = 1; i < 16; i++)
        assert_int_equal(c[i], 0);
    for (size_t i = 0; i < REGISTERS; i++) {
        unit.bytes[i] = (size_t)c[16 + 2 * i] | (size_t)c[17 + 2 * i] << 8;
        unit.rows[i] = c[48 + i];
        assert_in_range(unit.rows[i], 1, MOST_ROWS);
        assert_in_range(unit.bytes[i], 4, MOST_BYTES);
    }
    unit.is_configured = true;
}

static void load(size_t r, const void *from, size_t stride)
{
    assert_true(unit.is_configured);
    memset(unit.data[r], 0, sizeof unit.data[r]);
    for (size_t i = 0; i < unit.rows[r]; i++)
        memcpy(unit.data[r][i], (const char *)from + i * stride, unit.bytes[r]);
}

static void store(size_t r, void *to, size_t stride)
{
    assert_true(unit.is_configured);
    for (size_t i = 0; i < unit.rows[r]; i++)
        memcpy((char *)to + i * stride, unit.data[r][i], unit.bytes[r]);
}

/* Subnormal numbers are zeros to the unit, before and after each step. */
static float flushed(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

static float half(const unsigned char *row, size_t i)
{
    uint16_t bits;
    memcpy(&bits, row + i * sizeof bits, sizeof bits);
    return flushed(tl_bf16_to_f32(bits));
}

/* Even numbers and odd ones have sums of their own, each step rounded once. */
static void dot(size_t c, size_t a, size_t b)
{
    const size_t n_pairs = unit.bytes[a] / 4;
    assert_true(unit.is_configured);
    assert_int_equal(unit.rows[c], unit.rows[a]);
    assert_int_equal(unit.bytes[c], unit.bytes[b]);
    assert_int_equal(unit.rows[b], n_pairs);
    for (size_t m = 0; m < unit.rows[c]; m++)
        for (size_t n = 0; n < unit.bytes[c] / 4; n++) {
            float sum[2] = {0.0f, 0.0f}, to;
            for (size_t k = 0; k < n_pairs; k++)
                for (size_t i = 0; i < 2; i++)
                    sum[i] = flushed(fmaf(half(unit.data[a][m], 2 * k + i),
                                          half(unit.data[b][k], 2 * n + i), sum[i]));
            memcpy(&to, unit.data[c][m] + 4 * n, sizeof to);
            to = flushed(to + flushed(sum[0] + sum[1]));
            memcpy(unit.data[c][m] + 4 * n, &to, sizeof to);
        }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig(from) load_config(from)
#define _tile_release() (unit.is_configured = false)
#define _tile_zero(r) memset(unit.data[r], 0, sizeof unit.data[r])
#define _tile_loadd(r, from, stride) load(r, from, stride)
#define _tile_stored(r, to, stride) store(r, to, stride)
#define _tile_dpbf16ps(c, a, b) dot(c, a, b)
#define tl_cpu_amx_is_there amx_is_there_in_c
#define tl_cpu_amx_tile amx_tile_in_c
#include "backend/cpu/cpu_amx.c" // NOLINT: its text is what is tested
#undef tl_cpu_amx_is_there
#undef tl_cpu_amx_tile

/* ---- the kernel -------------------------------------------------------------------- */

enum { MOST_K = 130, MOST_WIDTH = 128 };

static const size_t depths[] = {1, 2, 5, 31, 32, 33, 64, 96, 129, 130},
                    widths[] = {1, 15, 16, 17, 31, 32, 33, 64, 100, 128};
enum {
    CASES = sizeof depths / sizeof *depths * (sizeof widths / sizeof *widths),
    WIDTHS = sizeof widths / sizeof *widths,
};

typedef struct product {
    size_t k, width, pairs;
    uint16_t a[TL_CPU_BF16_ROWS * (MOST_K + 1)], b[(MOST_K + 1) * MOST_WIDTH];
    uint32_t tile[TL_CPU_BF16_ROWS * MOST_K];
    uint32_t *panel; /* of exactly its size: nothing behind it may be read */
} product;

static void make_product(size_t i, float (*draw)(uint32_t *), product *p)
{
    uint32_t state = (uint32_t)i + 3;
    memset(p, 0, sizeof *p);
    p->k = depths[i / WIDTHS];
    p->width = widths[i % WIDTHS];
    p->pairs = (p->k + 1) / 2;
    for (size_t r = 0; r < TL_CPU_BF16_ROWS; r++)
        for (size_t j = 0; j < p->k; j++)
            p->a[r * 2 * p->pairs + j] = tl_f32_to_bf16(draw(&state));
    for (size_t j = 0; j < p->k * p->width; j++)
        p->b[j] = tl_f32_to_bf16(draw(&state));
    memcpy(p->tile, p->a, TL_CPU_BF16_ROWS * p->pairs * sizeof *p->tile);
    p->panel = calloc(p->pairs * tl_cpu_strips_round(p->width), sizeof *p->panel);
    assert_non_null(p->panel);
    for (size_t n = 0; n < p->pairs; n++)
        for (size_t o = 0; o < p->width; o++)
            p->panel[(o / TL_CPU_STRIP * p->pairs + n) * TL_CPU_STRIP +
                     o % TL_CPU_STRIP] = (uint32_t)p->b[(2 * n + 1) * p->width + o]
                                             << 16 |
                                         p->b[2 * n * p->width + o];
}

static void it_multiplies_as_defined(void **unused)
{
    (void)unused;
    static product p;
    static float c[TL_CPU_BF16_ROWS * MOST_WIDTH + 1];
    for (size_t i = 0; i < CASES; i++) {
        make_product(i, test_uniform, &p);
        for (size_t j = 0; j < sizeof c / sizeof *c; j++)
            c[j] = -77.0f;
        amx_tile_in_c(p.tile, p.panel, p.pairs, p.width, c, p.width);
        free(p.panel);
        assert_false(unit.is_configured); /* the unit is given back */
        assert_true(c[TL_CPU_BF16_ROWS * p.width] == -77.0f);
        for (size_t r = 0; r < TL_CPU_BF16_ROWS; r++)
            for (size_t o = 0; o < p.width; o++) {
                double sum = 0.0;
                for (size_t j = 0; j < p.k; j++)
                    sum += (double)tl_bf16_to_f32(p.a[r * 2 * p.pairs + j]) *
                           (double)tl_bf16_to_f32(p.b[j * p.width + o]);
                assert_close("product", r * p.width + o, (double)c[r * p.width + o],
                             sum, 1e-5);
            }
    }
}

#ifdef TWINLENS_TEST_CPU
static float in_any_order(uint32_t *state)
{
    return roundf(test_uniform(state) * 64.0f) / 8.0f; /* sums of products are exact */
}

/* The processor's own unit, where there is one. */
static void the_unit_does_the_same(void **unused)
{
    (void)unused;
    static product p;
    static float made[TL_CPU_BF16_ROWS * MOST_WIDTH],
        wanted[TL_CPU_BF16_ROWS * MOST_WIDTH];
    size_t differ = 0;
    if (!tl_cpu_amx_is_there()) {
        printf("skipped: this processor has no AMX\n");
        skip();
    }
    for (size_t i = 0; i < 2 * CASES; i++) {
        const bool exact = i < CASES;
        make_product(i % CASES, exact ? in_any_order : test_uniform, &p);
        amx_tile_in_c(p.tile, p.panel, p.pairs, p.width, wanted, p.width);
        tl_cpu_amx_tile(p.tile, p.panel, p.pairs, p.width, made, p.width);
        free(p.panel);
        for (size_t j = 0; j < TL_CPU_BF16_ROWS * p.width; j++) {
            assert_close("product", j, (double)made[j], (double)wanted[j],
                         exact ? 0.0 : 1e-5);
            differ += made[j] != wanted[j];
        }
    }
    printf("%zu sums differ from the manual's in a last bit\n", differ);
}
#endif

#else

static void it_multiplies_as_defined(void **unused)
{
    (void)unused;
    skip(); /* no such unit on this machine's kind */
}

#ifdef TWINLENS_TEST_CPU
static void the_unit_does_the_same(void **unused)
{
    (void)unused;
    skip();
}
#endif

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_multiplies_as_defined),
#ifdef TWINLENS_TEST_CPU
        cmocka_unit_test(the_unit_does_the_same),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
