/* SPDX-License-Identifier: MIT
 *
 * cpu_tile.c - see cpu_tile.h. A strip is taken by all rows, TL_CPU_TILE_ROWS at a time: it
 * stays in the nearest cache, and a row's sums in registers. With AVX-512 two strips are
 * taken together. */
#include "backend/cpu/cpu_tile.h"

#include "backend/cpu/cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_VECTORS
#include <immintrin.h>
#define FUSED __attribute__((target("avx2,fma")))
#define WIDEST __attribute__((target("avx512f")))
#define INLINED static inline __attribute__((always_inline))
#endif

enum { ROWS = TL_CPU_TILE_ROWS, STRIP = TL_CPU_STRIP };

/* ---- in plain C ---------------------------------------------------------------------- */

TL_WIDE static void row_plain(size_t depth, tl_cpu_tile_rows a, const float *b,
                              tl_cpu_sums y)
{
    float sum[STRIP] = {0.0f};
    for (size_t l = 0; l < STRIP && y.add; l++)
        sum[l] = y.y[l];
    for (size_t k = 0; k < depth; k++)
        for (size_t l = 0; l < STRIP; l++)
            sum[l] += a.a[k * a.column] * b[k * STRIP + l];
    for (size_t l = 0; l < STRIP; l++)
        y.y[l] = sum[l];
}

static void multiply_plain(size_t n, size_t depth, size_t width, tl_cpu_tile_rows a,
                           tl_cpu_strips b, tl_cpu_sums y)
{
    for (size_t s = 0; s < width / STRIP; s++)
        for (size_t i = 0; i < n; i++) {
            const tl_cpu_tile_rows from = {a.a + i * a.row, a.row, a.column};
            const tl_cpu_sums to = {y.y + i * y.row + s * STRIP, y.row, y.add};
            row_plain(depth, from, b.b + s * b.strip, to);
        }
}

/* ---- with vectors -------------------------------------------------------------------- */

#ifdef HAS_VECTORS
/* What a loop over a few rows becomes, once n is known: no loop, and sums in registers. */
#if defined(__clang__)
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 8")
#endif

INLINED FUSED void avx2_rows(const size_t n, size_t depth, tl_cpu_tile_rows a,
                             const float *b, tl_cpu_sums y)
{
    __m256 low[ROWS], high[ROWS];
    UNROLLED
    for (size_t i = 0; i < n; i++) {
        const float *from = y.y + i * y.row;
        low[i] = y.add ? _mm256_loadu_ps(from) : _mm256_setzero_ps();
        high[i] = y.add ? _mm256_loadu_ps(from + 8) : _mm256_setzero_ps();
    }
    for (size_t k = 0; k < depth; k++) {
        const __m256 b0 = _mm256_loadu_ps(b + k * STRIP),
                     b1 = _mm256_loadu_ps(b + k * STRIP + 8);
        UNROLLED
        for (size_t i = 0; i < n; i++) {
            const __m256 x = _mm256_broadcast_ss(a.a + i * a.row + k * a.column);
            low[i] = _mm256_fmadd_ps(x, b0, low[i]);
            high[i] = _mm256_fmadd_ps(x, b1, high[i]);
        }
    }
    UNROLLED
    for (size_t i = 0; i < n; i++) {
        _mm256_storeu_ps(y.y + i * y.row, low[i]);
        _mm256_storeu_ps(y.y + i * y.row + 8, high[i]);
    }
}

/* One strip by all rows. */
INLINED FUSED void avx2_strip(size_t n, size_t depth, tl_cpu_tile_rows a,
                              const float *b, tl_cpu_sums y)
{
    for (; n >= ROWS; n -= ROWS) {
        avx2_rows(ROWS, depth, a, b, y);
        a.a += ROWS * a.row;
        y.y += ROWS * y.row;
    }
    switch (n) {
    case 1: avx2_rows(1, depth, a, b, y); break;
    case 2: avx2_rows(2, depth, a, b, y); break;
    case 3: avx2_rows(3, depth, a, b, y); break;
    case 4: avx2_rows(4, depth, a, b, y); break;
    case 5: avx2_rows(5, depth, a, b, y); break;
    default: break;
    }
}

FUSED static void multiply_avx2(size_t n, size_t depth, size_t width,
                                tl_cpu_tile_rows a, tl_cpu_strips b, tl_cpu_sums y)
{
    for (size_t s = 0; s < width / STRIP; s++) {
        avx2_strip(n, depth, a, b.b, y);
        b.b += b.strip;
        y.y += STRIP;
    }
}

/* One strip or two. */
INLINED WIDEST void avx512_rows(const size_t n, const size_t strips, size_t depth,
                                tl_cpu_tile_rows a, tl_cpu_strips b, tl_cpu_sums y)
{
    __m512 low[ROWS], high[ROWS];
    UNROLLED
    for (size_t i = 0; i < n; i++) {
        const float *from = y.y + i * y.row;
        low[i] = y.add ? _mm512_loadu_ps(from) : _mm512_setzero_ps();
        high[i] =
            y.add && strips > 1 ? _mm512_loadu_ps(from + STRIP) : _mm512_setzero_ps();
    }
    for (size_t k = 0; k < depth; k++) {
        const __m512 b0 = _mm512_loadu_ps(b.b + k * STRIP),
                     b1 = strips > 1 ? _mm512_loadu_ps(b.b + b.strip + k * STRIP) : b0;
        UNROLLED
        for (size_t i = 0; i < n; i++) {
            const __m512 x = _mm512_set1_ps(a.a[i * a.row + k * a.column]);
            low[i] = _mm512_fmadd_ps(x, b0, low[i]);
            if (strips > 1)
                high[i] = _mm512_fmadd_ps(x, b1, high[i]);
        }
    }
    UNROLLED
    for (size_t i = 0; i < n; i++) {
        _mm512_storeu_ps(y.y + i * y.row, low[i]);
        if (strips > 1)
            _mm512_storeu_ps(y.y + i * y.row + STRIP, high[i]);
    }
}

/* One or two by all rows. */
INLINED WIDEST void avx512_strips(const size_t strips, size_t n, size_t depth,
                                  tl_cpu_tile_rows a, tl_cpu_strips b, tl_cpu_sums y)
{
    for (; n >= ROWS; n -= ROWS) {
        avx512_rows(ROWS, strips, depth, a, b, y);
        a.a += ROWS * a.row;
        y.y += ROWS * y.row;
    }
    switch (n) {
    case 1: avx512_rows(1, strips, depth, a, b, y); break;
    case 2: avx512_rows(2, strips, depth, a, b, y); break;
    case 3: avx512_rows(3, strips, depth, a, b, y); break;
    case 4: avx512_rows(4, strips, depth, a, b, y); break;
    case 5: avx512_rows(5, strips, depth, a, b, y); break;
    default: break;
    }
}

WIDEST static void multiply_avx512(size_t n, size_t depth, size_t width,
                                   tl_cpu_tile_rows a, tl_cpu_strips b, tl_cpu_sums y)
{
    size_t s = 0;
    for (; s + 2 <= width / STRIP; s += 2) {
        avx512_strips(2, n, depth, a, b, y);
        b.b += 2 * b.strip;
        y.y += 2 * STRIP;
    }
    if (s < width / STRIP)
        avx512_strips(1, n, depth, a, b, y);
}
#endif

bool tl_cpu_tile_has_vectors(void)
{
#ifdef HAS_VECTORS
    return __builtin_cpu_supports("avx512f") ||
           (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
#else
    return false;
#endif
}

void tl_cpu_tile_multiply(size_t n, size_t depth, size_t width, tl_cpu_tile_rows a,
                          tl_cpu_strips b, tl_cpu_sums y)
{
#ifdef HAS_VECTORS
    if (__builtin_cpu_supports("avx512f")) {
        multiply_avx512(n, depth, width, a, b, y);
        return;
    }
    if (tl_cpu_tile_has_vectors()) {
        multiply_avx2(n, depth, width, a, b, y);
        return;
    }
#endif
    multiply_plain(n, depth, width, a, b, y);
}
