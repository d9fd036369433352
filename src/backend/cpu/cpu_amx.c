/* SPDX-License-Identifier: MIT
 *
 * cpu_amx.c - see cpu_amx.h. The unit has eight registers of up to 16 rows of 64 bytes. Four
 * hold sums of 12 x 16, two take 12 rows of 16 pairs of the tile, two take 16 pairs of 16
 * columns of the panel, whose layout is what the unit wants:
 *
 *     C[r,o] += sum_p A[r,2p] B[2p,o] + A[r,2p+1] B[2p+1,o]
 *
 * Where fewer pairs or columns are left they are copied between zeros: what is there is
 * added up in the same order, and zeros change no sum.
 */
#include "backend/cpu/cpu_amx.h"

#include <string.h>

#include "backend/cpu/cpu_panel.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) &&                  \
    !defined(__clang__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...); /* which the C standard's names hide */

enum {
    HALF = TL_CPU_BF16_ROWS / 2, /* rows of a register */
    PAIRS = 16,
    COLUMNS = 2 * 16,
    ROW_BYTES = 64,
};

bool tl_cpu_amx_is_there(void)
{
    enum { TILE_BIT = 1 << 24, BF16_BIT = 1 << 22, ASK = 0x1023, TILE_DATA = 18 };
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & TILE_BIT) != 0 &&
           (d & BF16_BIT) != 0 && syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}

/* What LDTILECFG reads. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

static const tile_config config = {
    .palette = 1,
    .row_bytes = {ROW_BYTES, ROW_BYTES, ROW_BYTES, ROW_BYTES, ROW_BYTES, ROW_BYTES,
                  ROW_BYTES, ROW_BYTES},
    .rows = {HALF, HALF, HALF, HALF, HALF, HALF, PAIRS, PAIRS},
};

/* to [rows, to_columns] = from [rows, columns] and zeros. */
static void copy_between_zeros(const uint32_t *from, size_t stride, size_t rows,
                               size_t columns, size_t to_rows, size_t to_columns,
                               uint32_t *to)
{
    memset(to, 0, to_rows * to_columns * sizeof *to);
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * to_columns, from + r * stride, columns * sizeof *to);
}

/* The compiler is not told by the unit's loads that they read memory: what was written there
 * is made to be there. */
static inline void must_be_there(const void *a, const void *b)
{
    __asm__ volatile("" : : "r"(a), "r"(b) : "memory");
}

/* The sums += 16 pairs of the tile x 32 columns. Strides are in pairs. */
__attribute__((target("amx-tile,amx-bf16"))) static void
add_pairs(const uint32_t *a, size_t a_stride, const uint32_t *b, size_t b_stride)
{
    const size_t a_bytes = a_stride * sizeof *a, b_bytes = b_stride * sizeof *b;
    must_be_there(a, b);
    _tile_loadd(4, a, a_bytes);
    _tile_loadd(5, a + HALF * a_stride, a_bytes);
    _tile_loadd(6, b, b_bytes);
    _tile_loadd(7, b + COLUMNS / 2, b_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

__attribute__((target("amx-tile,amx-bf16"))) static void store_sums(float *c,
                                                                    size_t stride)
{
    const size_t bytes = stride * sizeof *c;
    _tile_stored(0, c, bytes);
    _tile_stored(1, c + COLUMNS / 2, bytes);
    _tile_stored(2, c + HALF * stride, bytes);
    _tile_stored(3, c + HALF * stride + COLUMNS / 2, bytes);
}

/* At most 32 columns, which begin at panel and at c. */
__attribute__((target("amx-tile,amx-bf16"))) static void
multiply_columns(const uint32_t *tile, const uint32_t *panel, size_t pairs,
                 size_t width, size_t columns, float *c)
{
    uint32_t some_a[TL_CPU_BF16_ROWS * PAIRS], some_b[PAIRS * COLUMNS];
    float some_c[TL_CPU_BF16_ROWS * COLUMNS];
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t p = 0; p < pairs; p += PAIRS) {
        const size_t n = pairs - p < PAIRS ? pairs - p : PAIRS;
        const uint32_t *a = tile + p, *b = panel + p * width;
        const bool few_pairs = n < PAIRS, few = few_pairs || columns < COLUMNS;
        if (few_pairs)
            copy_between_zeros(a, pairs, TL_CPU_BF16_ROWS, n, TL_CPU_BF16_ROWS, PAIRS,
                               some_a);
        if (few)
            copy_between_zeros(b, width, n, columns, PAIRS, COLUMNS, some_b);
        add_pairs(few_pairs ? some_a : a, few_pairs ? PAIRS : pairs, few ? some_b : b,
                  few ? COLUMNS : width);
    }
    if (columns == COLUMNS) {
        store_sums(c, width);
        return;
    }
    store_sums(some_c, COLUMNS);
    for (size_t r = 0; r < TL_CPU_BF16_ROWS; r++)
        memcpy(c + r * width, some_c + r * COLUMNS, columns * sizeof *c);
}

__attribute__((target("amx-tile,amx-bf16"))) void
tl_cpu_amx_tile(const uint32_t *tile, const uint32_t *panel, size_t pairs, size_t width,
                float *c)
{
    _tile_loadconfig(&config);
    for (size_t j = 0; j < width; j += COLUMNS)
        multiply_columns(tile, panel + j, pairs, width,
                         width - j < COLUMNS ? width - j : COLUMNS, c + j);
    _tile_release();
}

#else

bool tl_cpu_amx_is_there(void)
{
    return false;
}

void tl_cpu_amx_tile(const uint32_t *tile, const uint32_t *panel, size_t pairs,
                     size_t width, float *c)
{
    (void)tile, (void)panel, (void)pairs;
    memset(c, 0, TL_CPU_BF16_ROWS * width * sizeof *c); /* nobody calls this */
}

#endif
