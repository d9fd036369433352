/* SPDX-License-Identifier: MIT
 * cpu_tile.c - see cpu_tile.h. */
#include "backend/cpu/cpu_tile.h"

#include "backend/cpu/cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_VECTORS
#include <immintrin.h>
#define INLINED(instructions)                                                          \
    static inline __attribute__((always_inline, target(instructions)))
#endif

/* Rows whose sums are in registers at a time. */
enum { ROWS = 6, COLUMNS = TL_CPU_TILE_COLUMNS };

/* At most ROWS rows of `depth`, `width` columns. */
typedef void tile_function(size_t n, size_t depth, tl_cpu_tile_rows a, const float *b,
                           size_t b_stride, size_t width, float *y, size_t y_stride,
                           bool add);

/* `tile` once for each number of rows, which is a constant in each. */
#define BY_ROWS(tile, attributes)                                                      \
    attributes static void tile##_by_rows(size_t n, size_t k, tl_cpu_tile_rows a,      \
                                          const float *b, size_t bs, size_t w,         \
                                          float *y, size_t ys, bool add)               \
    {                                                                                  \
        switch (n) {                                                                   \
        case 1: tile(1, k, a, b, bs, w, y, ys, add); break;                            \
        case 2: tile(2, k, a, b, bs, w, y, ys, add); break;                            \
        case 3: tile(3, k, a, b, bs, w, y, ys, add); break;                            \
        case 4: tile(4, k, a, b, bs, w, y, ys, add); break;                            \
        case 5: tile(5, k, a, b, bs, w, y, ys, add); break;                            \
        default: tile(ROWS, k, a, b, bs, w, y, ys, add); break;                        \
        }                                                                              \
    }

/* ---- in plain C ---------------------------------------------------------------------- */

static inline void plain(size_t n, size_t depth, tl_cpu_tile_rows a, const float *b,
                         size_t b_stride, size_t width, float *y, size_t y_stride,
                         bool add)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < width; j += COLUMNS) {
            float sum[COLUMNS] = {0.0f};
            for (size_t l = 0; l < COLUMNS && add; l++)
                sum[l] = y[i * y_stride + j + l];
            for (size_t p = 0; p < depth; p++) {
                const float x = a.a[i * a.row + p * a.column];
                for (size_t l = 0; l < COLUMNS; l++)
                    sum[l] += x * b[p * b_stride + j + l];
            }
            for (size_t l = 0; l < COLUMNS; l++)
                y[i * y_stride + j + l] = sum[l];
        }
}
BY_ROWS(plain, )

/* ---- with vectors --------------------------------------------------------------------- */

#ifdef HAS_VECTORS
/* The compiler knows n, and keeps all sums in registers. */
INLINED("avx2,fma")
void avx2(size_t n, size_t depth, tl_cpu_tile_rows a, const float *b, size_t b_stride,
          size_t width, float *y, size_t y_stride, bool add)
{
    for (size_t j = 0; j < width; j += 16) {
        __m256 s[ROWS][2];
#pragma GCC unroll 6
        for (size_t i = 0; i < n; i++)
#pragma GCC unroll 2
            for (size_t v = 0; v < 2; v++)
                s[i][v] = add ? _mm256_loadu_ps(y + i * y_stride + j + 8 * v)
                              : _mm256_setzero_ps();
        for (size_t p = 0; p < depth; p++) {
            const __m256 b0 = _mm256_loadu_ps(b + p * b_stride + j),
                         b1 = _mm256_loadu_ps(b + p * b_stride + j + 8);
#pragma GCC unroll 6
            for (size_t i = 0; i < n; i++) {
                const __m256 x = _mm256_broadcast_ss(a.a + i * a.row + p * a.column);
                s[i][0] = _mm256_fmadd_ps(x, b0, s[i][0]);
                s[i][1] = _mm256_fmadd_ps(x, b1, s[i][1]);
            }
        }
#pragma GCC unroll 6
        for (size_t i = 0; i < n; i++)
#pragma GCC unroll 2
            for (size_t v = 0; v < 2; v++)
                _mm256_storeu_ps(y + i * y_stride + j + 8 * v, s[i][v]);
    }
}
BY_ROWS(avx2, __attribute__((target("avx2,fma"))))

/* Columns [j, j + 16 vectors). */
INLINED("avx512f")
void avx512_part(size_t n, size_t vectors, size_t depth, tl_cpu_tile_rows a,
                 const float *b, size_t b_stride, float *y, size_t y_stride, bool add)
{
    __m512 s[ROWS][2];
#pragma GCC unroll 6
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++)
            s[i][v] = add ? _mm512_loadu_ps(y + i * y_stride + 16 * v)
                          : _mm512_setzero_ps();
    for (size_t p = 0; p < depth; p++) {
        __m512 row[2];
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++)
            row[v] = _mm512_loadu_ps(b + p * b_stride + 16 * v);
#pragma GCC unroll 6
        for (size_t i = 0; i < n; i++) {
            const __m512 x = _mm512_set1_ps(a.a[i * a.row + p * a.column]);
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++)
                s[i][v] = _mm512_fmadd_ps(x, row[v], s[i][v]);
        }
    }
#pragma GCC unroll 6
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++)
            _mm512_storeu_ps(y + i * y_stride + 16 * v, s[i][v]);
}

INLINED("avx512f")
void avx512(size_t n, size_t depth, tl_cpu_tile_rows a, const float *b, size_t b_stride,
            size_t width, float *y, size_t y_stride, bool add)
{
    size_t j = 0;
    for (; j + 32 <= width; j += 32)
        avx512_part(n, 2, depth, a, b + j, b_stride, y + j, y_stride, add);
    if (j < width)
        avx512_part(n, 1, depth, a, b + j, b_stride, y + j, y_stride, add);
}
BY_ROWS(avx512, __attribute__((target("avx512f"))))
#endif

static tile_function *find_function(void)
{
#ifdef HAS_VECTORS
    if (__builtin_cpu_supports("avx512f"))
        return avx512_by_rows;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return avx2_by_rows;
#endif
    return plain_by_rows;
}

void tl_cpu_tile_multiply(size_t n, size_t depth, tl_cpu_tile_rows a, const float *b,
                          size_t b_stride, size_t width, float *y, size_t y_stride,
                          bool add)
{
    tile_function *multiply = find_function();
    for (size_t i = 0; i < n; i += ROWS) {
        const size_t rows = n - i < ROWS ? n - i : ROWS;
        const tl_cpu_tile_rows at = {a.a + i * a.row, a.row, a.column};
        multiply(rows, depth, at, b, b_stride, width, y + i * y_stride, y_stride, add);
    }
}
