/*
 * test_amx.c - the kernel for the processor's matrix unit, on any processor: its text is
 * compiled once more, with the unit's instructions as what Intel's manual says that they do,
 * and compared with sums in double.
 */
#include "testing.h"

#include "twinlens/tensor.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) &&                  \
    !defined(__clang__)

#include <immintrin.h>

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

static float half(const unsigned char *row, size_t i)
{
    uint16_t bits;
    memcpy(&bits, row + i * sizeof bits, sizeof bits);
    return tl_bf16_to_f32(bits);
}

static void dot(size_t c, size_t a, size_t b)
{
    const size_t n_pairs = unit.bytes[a] / 4;
    assert_true(unit.is_configured);
    assert_int_equal(unit.rows[c], unit.rows[a]);
    assert_int_equal(unit.bytes[c], unit.bytes[b]);
    assert_int_equal(unit.rows[b], n_pairs);
    for (size_t m = 0; m < unit.rows[c]; m++)
        for (size_t n = 0; n < unit.bytes[c] / 4; n++) {
            float sum;
            memcpy(&sum, unit.data[c][m] + 4 * n, sizeof sum);
            for (size_t k = 0; k < n_pairs; k++)
                for (size_t i = 0; i < 2; i++)
                    sum += half(unit.data[a][m], 2 * k + i) *
                           half(unit.data[b][k], 2 * n + i);
            memcpy(unit.data[c][m] + 4 * n, &sum, sizeof sum);
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

/* ---- the kernel -------------------------------------------------------------------- */

enum { MOST_K = 130, MOST_WIDTH = 128 };

static void it_multiplies_as_defined(void **unused)
{
    (void)unused;
    static const size_t depths[] = {1, 2, 5, 31, 32, 33, 64, 96, 129, 130},
                        widths[] = {1, 15, 16, 17, 31, 32, 33, 64, 100, 128};
    static uint16_t a[TL_CPU_BF16_ROWS * (MOST_K + 1)], b[(MOST_K + 1) * MOST_WIDTH];
    static uint32_t tile[TL_CPU_BF16_ROWS * MOST_K];
    static float c[TL_CPU_BF16_ROWS * MOST_WIDTH + 1];
    uint32_t state = 3;
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            const size_t k = depths[d], width = widths[w], pairs = (k + 1) / 2;
            /* Of exactly its size: nothing behind it may be read. */
            uint32_t *panel = malloc(pairs * width * sizeof *panel);
            assert_non_null(panel);
            memset(a, 0, sizeof a);
            memset(b, 0, sizeof b);
            for (size_t r = 0; r < TL_CPU_BF16_ROWS; r++)
                for (size_t i = 0; i < k; i++)
                    a[r * 2 * pairs + i] = tl_f32_to_bf16(test_uniform(&state));
            for (size_t i = 0; i < k * width; i++)
                b[i] = tl_f32_to_bf16(test_uniform(&state));
            memcpy(tile, a, TL_CPU_BF16_ROWS * pairs * sizeof *tile);
            for (size_t p = 0; p < pairs; p++)
                for (size_t o = 0; o < width; o++)
                    panel[p * width + o] = (uint32_t)b[(2 * p + 1) * width + o] << 16 |
                                           b[2 * p * width + o];
            for (size_t i = 0; i < sizeof c / sizeof *c; i++)
                c[i] = -77.0f;
            amx_tile_in_c(tile, panel, pairs, width, c);
            free(panel);
            assert_false(unit.is_configured); /* the unit is given back */
            assert_true(c[TL_CPU_BF16_ROWS * width] == -77.0f);
            for (size_t r = 0; r < TL_CPU_BF16_ROWS; r++)
                for (size_t o = 0; o < width; o++) {
                    double sum = 0.0;
                    for (size_t i = 0; i < k; i++)
                        sum += (double)tl_bf16_to_f32(a[r * 2 * pairs + i]) *
                               (double)tl_bf16_to_f32(b[i * width + o]);
                    assert_close("product", r * width + o, (double)c[r * width + o],
                                 sum, 1e-5);
                }
        }
}

#else

static void it_multiplies_as_defined(void **unused)
{
    (void)unused;
    skip(); /* no such unit on this machine's kind */
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_multiplies_as_defined)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
