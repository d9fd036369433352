/* SPDX-License-Identifier: MIT
 *
 * cpu_amx.c - see cpu_amx.h. The unit has eight registers of up to 16 rows of 64 bytes. Four
 * hold sums of 12 x 16, two take 12 rows of 16 pairs of the tile, two take 16 pairs of 16
 * columns of a strip of the panel, whose layout is what the unit wants:
 *
 *     C[r,o] += sum_p A[r,2p] B[2p,o] + A[r,2p+1] B[2p+1,o]
 *
 * Where fewer pairs are left they are copied between zeros: what is there is added up in the
 * same order, and zeros change no sum. Where one strip is left it is taken twice.
 */
#include "backend/cpu/cpu_amx.h"

#include <string.h>

#include "backend/cpu/cpu_panel.h"
#include "backend/cpu/cpu_tile.h"

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
    STRIP = TL_CPU_STRIP,
    COLUMNS = 2 * STRIP,
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

/* to [to_rows, PAIRS] = from [rows, pairs] and zeros. */
static void copy_between_zeros(const uint32_t *from, size_t stride, size_t rows,
                               size_t pairs, size_t to_rows, uint32_t *to)
{
    memset(to, 0, to_rows * PAIRS * sizeof *to);
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * PAIRS, from + r * stride, pairs * sizeof *to);
}

/* The compiler is not told by the unit's loads that they read memory: what was written there
 * is made to be there. */
static inline void must_be_there(const void *a, const void *b)
{
    __asm__ volatile("" : : "r"(a), "r"(b) : "memory");
}

/* The sums += 16 pairs of the tile x two strips. The stride is in pairs. */
__attribute__((target("amx-tile,amx-bf16"))) static void
add_pairs(const uint32_t *a, size_t a_stride, const uint32_t *first,
          const uint32_t *second)
{
    const size_t a_bytes = a_stride * sizeof *a;
    must_be_there(a, first);
    must_be_there(a, second);
    _tile_loadd(4, a, a_bytes);
    _tile_loadd(5, a + HALF * a_stride, a_bytes);
    _tile_loadd(6, first, ROW_BYTES);
    _tile_loadd(7, second, ROW_BYTES);
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

/* The last pairs, which are fewer than 16. */
__attribute__((target("amx-tile,amx-bf16"))) static void
add_last_pairs(const uint32_t *a, size_t a_stride, const uint32_t *first,
               const uint32_t *second, size_t n)
{
    uint32_t some_a[TL_CPU_BF16_ROWS * PAIRS], some_b[2][PAIRS * STRIP];
    copy_between_zeros(a, a_stride, TL_CPU_BF16_ROWS, n, TL_CPU_BF16_ROWS, some_a);
    copy_between_zeros(first, STRIP, n, STRIP, PAIRS, some_b[0]);
    copy_between_zeros(second, STRIP, n, STRIP, PAIRS, some_b[1]);
    add_pairs(some_a, PAIRS, some_b[0], some_b[1]);
}

/* Two strips, of which `columns` columns count. */
__attribute__((target("amx-tile,amx-bf16"))) static void
multiply_strips(const uint32_t *tile, const uint32_t *first, const uint32_t *second,
                size_t pairs, size_t columns, float *c, size_t stride)
{
    float some_c[TL_CPU_BF16_ROWS * COLUMNS];
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    size_t p = 0;
    for (; p + PAIRS <= pairs; p += PAIRS)
        add_pairs(tile + p, pairs, first + p * STRIP, second + p * STRIP);
    if (p < pairs)
        add_last_pairs(tile + p, pairs, first + p * STRIP, second + p * STRIP,
                       pairs - p);
    if (columns == COLUMNS) {
        store_sums(c, stride);
        return;
    }
    store_sums(some_c, COLUMNS);
    for (size_t r = 0; r < TL_CPU_BF16_ROWS; r++)
        memcpy(c + r * stride, some_c + r * COLUMNS, columns * sizeof *c);
}

__attribute__((target("amx-tile,amx-bf16"))) void
tl_cpu_amx_tile(const uint32_t *tile, const uint32_t *panel, size_t pairs, size_t width,
                float *c, size_t stride)
{
    _tile_loadconfig(&config);
    for (size_t j = 0; j < width; j += COLUMNS) {
        const size_t columns = width - j < COLUMNS ? width - j : COLUMNS;
        const uint32_t *first = panel + j * pairs;
        multiply_strips(tile, first, columns > STRIP ? first + STRIP * pairs : first,
                        pairs, columns, c + j, stride);
    }
    _tile_release();
}

#else

bool tl_cpu_amx_is_there(void)
{
    return false;
}

void tl_cpu_amx_tile(const uint32_t *tile, const uint32_t *panel, size_t pairs,
                     size_t width, float *c, size_t stride)
{
    (void)tile, (void)panel, (void)pairs, (void)stride;
    memset(c, 0, width * sizeof *c); /* nobody calls this */
}

#endif
