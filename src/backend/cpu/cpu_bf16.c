/* SPDX-License-Identifier: MIT
 *
 * cpu_bf16.c - see cpu_bf16.h. Three ways to make a tile: the processor's matrix unit
 * (cpu_amx.c), its vector instruction, and the same sums in plain C, which is what both are
 * judged by before they are used, and what computes where they are missing. A number is a sum
 * over pairs in order, so that it depends on its row and column alone.
 */
#include "backend/cpu/cpu_bf16.h"

#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_amx.h"
#include "backend/cpu/cpu_tile.h"
#include "backend/cpu/cpu_transpose.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_AVX2
#endif
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define HAS_DOT_BF16
#endif
#ifdef HAS_AVX2
#include <immintrin.h>
#endif

enum { STRIP = TL_CPU_STRIP };

/* ---- rounding ------------------------------------------------------------------------- */

/* out[0 .. count) = weight elements from `first` on, rounded. */
static void round_weight(const tl_tensor *weight, size_t first, size_t count,
                         uint16_t *out)
{
    float wide[TL_CPU_PANEL_COLUMNS];
    if (weight->dtype == TL_BF16) {
        memcpy(out, (const unsigned char *)weight->data + first * sizeof *out,
               count * sizeof *out);
        return;
    }
    tl_tensor_to_f32(weight, first, count, wide, NULL);
    for (size_t i = 0; i < count; i++)
        out[i] = tl_f32_to_bf16(wide[i]);
}

static uint32_t pair_of(uint16_t even, uint16_t odd)
{
    return (uint32_t)odd << 16 | even;
}

/* Two rows of W make a row of pairs, in strips. */
TL_WIDE static void pair_rows(const uint16_t *restrict even,
                              const uint16_t *restrict odd, size_t width, size_t strip,
                              uint32_t *restrict pairs)
{
    for (size_t i = 0; i < width; i += STRIP)
        for (size_t l = 0; l < STRIP; l++)
            pairs[i / STRIP * strip + l] = (uint32_t)odd[i + l] << 16 | even[i + l];
}

static void fill_backward(const tl_cpu_operand *b, size_t first, size_t width,
                          uint32_t *panel)
{
    const size_t n_in = b->weight->dims[1], pairs = tl_cpu_bf16_pairs(b->k),
                 whole = tl_cpu_strips_round(width);
    uint16_t even[TL_CPU_PANEL_COLUMNS] = {0}, odd[TL_CPU_PANEL_COLUMNS] = {0};
    for (size_t p = 0; p < pairs; p++) {
        round_weight(b->weight, 2 * p * n_in + first, width, even);
        if (2 * p + 1 < b->k)
            round_weight(b->weight, (2 * p + 1) * n_in + first, width, odd);
        else
            memset(odd, 0, sizeof odd);
        pair_rows(even, odd, whole, pairs * STRIP, panel + p * STRIP);
    }
}

/* The same straight from memory. A piece of a row is too short for the processor to see where
 * it leads: the pieces of later rows are asked for in time. */
static void fill_backward_bf16(const uint16_t *w, size_t pairs, size_t n_in,
                               size_t width, uint32_t *panel)
{
    enum { AHEAD = 16, LINE = 64 / sizeof *w };
    for (size_t p = 0; p < pairs; p++) {
        const uint16_t *even = w + 2 * p * n_in;
#if defined(__GNUC__)
        for (size_t i = 0; i < width && p + AHEAD / 2 < pairs; i += LINE) {
            __builtin_prefetch(even + AHEAD * n_in + i);
            __builtin_prefetch(even + (AHEAD + 1) * n_in + i);
        }
#endif
        pair_rows(even, even + n_in, width, pairs * STRIP, panel + p * STRIP);
    }
}

#ifdef HAS_AVX2
/* Pair p of row o of W, eight by eight. */
__attribute__((target("avx2"))) static void
transpose_pairs(const uint16_t *w, size_t n_in, size_t width, uint32_t *panel)
{
    for (size_t o = 0; o < width; o += 8) {
        uint32_t *strip = panel + o / STRIP * STRIP * (n_in / 2) + o % STRIP;
        for (size_t p = 0; p < n_in / 2; p += 8) {
            __m256 r[8];
            for (size_t k = 0; k < 8; k++)
                r[k] = _mm256_castsi256_ps(_mm256_loadu_si256(
                    (const __m256i *)(const void *)(w + (o + k) * n_in + 2 * p)));
            tl_transpose_8x8(r);
            for (size_t k = 0; k < 8; k++)
                _mm256_storeu_ps((float *)(void *)(strip + (p + k) * STRIP), r[k]);
        }
    }
}
#endif

void tl_cpu_bf16_panel(const tl_cpu_operand *b, size_t first, size_t width,
                       uint32_t *panel)
{
    enum { PIECE = 64 }; /* of a row of W */
    const size_t n_in = b->weight->dims[1], pairs = tl_cpu_bf16_pairs(b->k);
    const uint16_t *bits = (const uint16_t *)b->weight->data;
    const bool is_plain = b->weight->dtype == TL_BF16 && width % STRIP == 0 &&
                          (uintptr_t)bits % sizeof *bits == 0;
    if (b->backward && is_plain && b->k % 2 == 0) {
        fill_backward_bf16(bits + first, pairs, n_in, width, panel);
        return;
    }
    if (b->backward) {
        fill_backward(b, first, width, panel);
        return;
    }
#ifdef HAS_AVX2
    if (is_plain && n_in % 16 == 0 && __builtin_cpu_supports("avx2")) {
        transpose_pairs(bits + first * n_in, n_in, width, panel);
        return;
    }
#endif
    memset(panel, 0, tl_cpu_strips_round(width) * pairs * sizeof *panel);
    for (size_t i = 0; i < b->k; i += PIECE) {
        const size_t n = b->k - i < PIECE ? b->k - i : PIECE;
        for (size_t o = 0; o < width; o++) {
            uint32_t *strip = panel + o / STRIP * STRIP * pairs + o % STRIP;
            uint16_t piece[PIECE + 1] = {0};
            round_weight(b->weight, (first + o) * n_in + i, n, piece);
            for (size_t p = 0; p < tl_cpu_bf16_pairs(n); p++)
                strip[(i / 2 + p) * STRIP] = pair_of(piece[2 * p], piece[2 * p + 1]);
        }
    }
}

/* To the nearest, of two as near to the even one, as tl_f32_to_bf16 does; for loops. */
static inline uint32_t round_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t nan = (bits & 0x7fffffff) > 0x7f800000;
    const uint32_t up = bits + 0x7fff + (bits >> 16 & 1);
    return (nan ? bits | 0x400000 : up) >> 16;
}

TL_WIDE static void round_row(const float *restrict a, size_t k, uint32_t *restrict out)
{
    for (size_t p = 0; p < k / 2; p++)
        out[p] = round_bits(a[2 * p + 1]) << 16 | round_bits(a[2 * p]);
    if (k % 2 == 1)
        out[k / 2] = round_bits(a[k - 1]);
}

void tl_cpu_bf16_input(const float *a, size_t rows, size_t k, uint32_t *tile)
{
    const size_t pairs = tl_cpu_bf16_pairs(k);
    for (size_t r = 0; r < rows; r++)
        round_row(a + r * k, k, tile + r * pairs);
    memset(tile + rows * pairs, 0, (TL_CPU_BF16_ROWS - rows) * pairs * sizeof *tile);
}

/* ---- the product in plain C ------------------------------------------------------------ */

static inline float even_of(uint32_t pair)
{
    const uint32_t bits = pair << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float odd_of(uint32_t pair)
{
    const uint32_t bits = pair & 0xffff0000;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

enum { PLAIN_ROWS = 4 };

/* A few rows of one strip, of which `columns` count. */
TL_WIDE static void plain_part(const uint32_t *restrict tile,
                               const uint32_t *restrict strip, size_t pairs,
                               size_t columns, float *restrict c, size_t stride)
{
    float sum[PLAIN_ROWS][STRIP] = {{0.0f}};
    for (size_t p = 0; p < pairs; p++) {
        float even[STRIP], odd[STRIP];
        for (size_t l = 0; l < STRIP; l++) {
            even[l] = even_of(strip[p * STRIP + l]);
            odd[l] = odd_of(strip[p * STRIP + l]);
        }
        for (size_t r = 0; r < PLAIN_ROWS; r++) {
            const float x = even_of(tile[r * pairs + p]),
                        y = odd_of(tile[r * pairs + p]);
            for (size_t l = 0; l < STRIP; l++)
                sum[r][l] = sum[r][l] + (y * odd[l] + x * even[l]);
        }
    }
    for (size_t r = 0; r < PLAIN_ROWS; r++)
        memcpy(c + r * stride, sum[r], columns * sizeof *c);
}

static void plain_tile(const uint32_t *tile, const uint32_t *panel, size_t pairs,
                       size_t width, float *c, size_t stride)
{
    for (size_t j = 0; j < width; j += STRIP) {
        const size_t columns = width - j < STRIP ? width - j : STRIP;
        for (size_t r = 0; r < TL_CPU_BF16_ROWS; r += PLAIN_ROWS)
            plain_part(tile + r * pairs, panel + j * pairs, pairs, columns,
                       c + r * stride + j, stride);
    }
}

/* ---- by the processor's instruction ---------------------------------------------------- */

#ifdef HAS_DOT_BF16
/* Few enough rows for the nearest cache to hold a line of each, however far apart. */
enum { DOT_ROWS = 6 };

/* A few of a tile's rows by two strips, of whose columns those of the masks count. */
__attribute__((target("avx512f,avx512bf16"))) static void
dot_part(const uint32_t *tile, const uint32_t *first, const uint32_t *second,
         size_t pairs, __mmask16 low, __mmask16 high, float *c, size_t stride)
{
    __m512 sum[DOT_ROWS][2];
#pragma GCC unroll 8
    for (size_t r = 0; r < DOT_ROWS; r++)
        sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    for (size_t p = 0; p < pairs; p++) {
        const __m512i b0 = _mm512_loadu_si512(first + p * STRIP),
                      b1 = _mm512_loadu_si512(second + p * STRIP);
#pragma GCC unroll 8
        for (size_t r = 0; r < DOT_ROWS; r++) {
            const __m512i a = _mm512_set1_epi32((int)tile[r * pairs + p]);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], (__m512bh)a, (__m512bh)b0);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], (__m512bh)a, (__m512bh)b1);
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < DOT_ROWS; r++) {
        _mm512_mask_storeu_ps(c + r * stride, low, sum[r][0]);
        _mm512_mask_storeu_ps(c + r * stride + STRIP, high, sum[r][1]);
    }
}

/* The first n of 16. */
static __mmask16 first_of(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
}

static void dot_tile(const uint32_t *tile, const uint32_t *panel, size_t pairs,
                     size_t width, float *c, size_t stride)
{
    for (size_t j = 0; j < width; j += 2 * STRIP) {
        const size_t left = width - j;
        const uint32_t *first = panel + j * pairs,
                       *second = left > STRIP ? first + STRIP * pairs : first;
        for (size_t r = 0; r < TL_CPU_BF16_ROWS; r += DOT_ROWS)
            dot_part(tile + r * pairs, first, second, pairs, first_of(left),
                     first_of(left > STRIP ? left - STRIP : 0), c + r * stride + j,
                     stride);
    }
}

#else
static void dot_tile(const uint32_t *tile, const uint32_t *panel, size_t pairs,
                     size_t width, float *c, size_t stride)
{
    plain_tile(tile, panel, pairs, width, c, stride);
}
#endif

/* ---- the way of this processor --------------------------------------------------------- */

typedef enum way { UNKNOWN, PLAIN, DOT, MATRIX } way; /* the faster the larger */

static void make_tile(way by, const uint32_t *tile, const uint32_t *panel, size_t k,
                      size_t width, float *c, size_t stride)
{
    const size_t pairs = tl_cpu_bf16_pairs(k);
    if (by == MATRIX)
        tl_cpu_amx_tile(tile, panel, pairs, width, c, stride);
    else if (by == DOT)
        dot_tile(tile, panel, pairs, width, c, stride);
    else
        plain_tile(tile, panel, pairs, width, c, stride);
}

static bool is_there(way by)
{
#ifdef HAS_DOT_BF16
    if (by == DOT)
        return __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bf16");
#endif
    return by == MATRIX && tl_cpu_amx_is_there();
}

/* A small product beside the plain one. All sums are whole 128ths below 2^14, which f32 has
 * exactly, in whatever order they are taken. */
static bool is_right(way by)
{
    enum { K = 71, PAIR_COUNT = (K + 1) / 2, WIDTH = 41, WHOLE = 48 };
    uint32_t tile[TL_CPU_BF16_ROWS * PAIR_COUNT], panel[PAIR_COUNT * WHOLE];
    float a[TL_CPU_BF16_ROWS * K], plain[TL_CPU_BF16_ROWS * WIDTH],
        made[TL_CPU_BF16_ROWS * WIDTH];
    for (size_t i = 0; i < sizeof a / sizeof *a; i++)
        a[i] = ((float)(i % 251) - 125.0f) / 8.0f;
    for (size_t i = 0; i < sizeof panel / sizeof *panel; i++)
        panel[i] = pair_of(tl_f32_to_bf16(((float)(i % 241) - 120.0f) / 16.0f),
                           tl_f32_to_bf16(((float)(i % 239) - 119.0f) / 16.0f));
    tl_cpu_bf16_input(a, TL_CPU_BF16_ROWS, K, tile);
    make_tile(PLAIN, tile, panel, K, WIDTH, plain, WIDTH);
    make_tile(by, tile, panel, K, WIDTH, made, WIDTH);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!(plain[i] == made[i])) /* nor a NaN */
            return false;
    return true;
}

/* The fastest that is there and right. */
static way find_way(void)
{
    static _Atomic(int) known = UNKNOWN;
    if (known == UNKNOWN)
        known = is_there(MATRIX) && is_right(MATRIX) ? MATRIX
                : is_there(DOT) && is_right(DOT)     ? DOT
                                                     : PLAIN;
    return (way)known;
}

bool tl_cpu_bf16_is_fast(void)
{
    return find_way() != PLAIN;
}

void tl_cpu_bf16_tile(const uint32_t *tile, const uint32_t *panel, size_t k,
                      size_t width, float *c, size_t stride)
{
    make_tile(find_way(), tile, panel, k, width, c, stride);
}
