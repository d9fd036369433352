/* SPDX-License-Identifier: MIT
 * cpu_panel.c - see cpu_panel.h. */
#include "backend/cpu/cpu_panel.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_transpose.h"

static float widen_bf16(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

#if defined(__x86_64__) && defined(__GNUC__)
/* panel[i, o] = W[rows[o], i] of bf16 weights, eight by eight. */
__attribute__((target("avx2"))) static void
transpose_bf16_avx2(const uint16_t *w, size_t n_in, const size_t *rows, size_t width,
                    float *panel)
{
    for (size_t i = 0; i < n_in; i += 8) {
        for (size_t o = 0; o < width; o += 8) {
            __m256 r[8];
            for (size_t k = 0; k < 8; k++)
                r[k] = _mm256_castsi256_ps(_mm256_slli_epi32(
                    _mm256_cvtepu16_epi32(_mm_loadu_si128(
                        (const __m128i *)(const void *)(w + rows[o + k] * n_in + i))),
                    16));
            tl_transpose_8x8(r);
            for (size_t k = 0; k < 8; k++)
                _mm256_storeu_ps(panel + (i + k) * width + o, r[k]);
        }
    }
}
#endif

/* A square of a panel at a time, so that reads and writes are both runs of neighbours. */
enum { STRIP = 64 };

/* panel[i + k, o] = square[o, k] */
static void put_transposed(float square[][STRIP], size_t i, size_t n, size_t width,
                           float *panel)
{
    for (size_t k = 0; k < n; k++)
        for (size_t o = 0; o < width; o++)
            panel[(i + k) * width + o] = square[o][k];
}

/* panel[i, o] = W[rows[o], i] */
static void fill_rows(const tl_tensor *weight, const size_t *rows, size_t width,
                      float *panel)
{
    const size_t n_in = weight->dims[1];
#if defined(__x86_64__) && defined(__GNUC__)
    const uint16_t *bits = (const uint16_t *)weight->data;
    if (weight->dtype == TL_BF16 && n_in % 8 == 0 && width % 8 == 0 &&
        (uintptr_t)bits % sizeof *bits == 0 && __builtin_cpu_supports("avx2")) {
        transpose_bf16_avx2(bits, n_in, rows, width, panel);
        return;
    }
#endif
    float square[TL_CPU_PANEL_COLUMNS][STRIP];
    for (size_t i = 0; i < n_in; i += STRIP) {
        const size_t n = n_in - i < STRIP ? n_in - i : STRIP;
        for (size_t o = 0; o < width; o++)
            tl_tensor_to_f32(weight, rows[o] * n_in + i, n, square[o], NULL);
        put_transposed(square, i, n, width, panel);
    }
}

/* y[j] = W[row, index[j]] */
static void gather(const tl_tensor *weight, size_t row, const uint32_t *index, size_t n,
                   float *y)
{
    const size_t size = tl_dtype_bytes(weight->dtype);
    const char *from = (const char *)weight->data + row * weight->dims[1] * size;
    for (size_t j = 0; j < n; j++) {
        uint16_t half;
        if (weight->dtype == TL_F32) {
            memcpy(&y[j], from + size * index[j], size);
            continue;
        }
        memcpy(&half, from + size * index[j], size);
        y[j] = weight->dtype == TL_BF16 ? widen_bf16(half) : tl_f16_to_f32(half);
    }
}

/* panel[j, o] = W[first + o, index[j]], zeros behind the last index. */
static void fill_columns(const tl_cpu_operand *b, size_t first, size_t width,
                         float *panel)
{
    float square[TL_CPU_PANEL_COLUMNS][STRIP];
    for (size_t j = 0; j < b->n_index; j += STRIP) {
        const size_t n = b->n_index - j < STRIP ? b->n_index - j : STRIP;
        for (size_t o = 0; o < width; o++)
            gather(b->weight, first + o, b->index + j, n, square[o]);
        put_transposed(square, j, n, width, panel);
    }
    memset(panel + b->n_index * width, 0, (b->k - b->n_index) * width * sizeof *panel);
}

/* panel[o, i] = W[o, first + i] of bf16 weights, in strips. A piece of a row is too short for
 * the processor to see where it leads: the pieces of later rows are asked for in time. */
TL_WIDE static void copy_bf16(const uint16_t *restrict w, size_t n_out, size_t n_in,
                              size_t width, size_t strip, float *restrict panel)
{
    enum { AHEAD = 16, LINE = 64 / sizeof *w };
    for (size_t o = 0; o < n_out; o++) {
        const uint16_t *from = w + o * n_in;
#if defined(__GNUC__)
        if (o + AHEAD < n_out)
            for (size_t i = 0; i < width; i += LINE)
                __builtin_prefetch(from + AHEAD * n_in + i);
#endif
        for (size_t i = 0; i < width; i += strip)
            for (size_t l = 0; l < strip; l++)
                panel[i * n_out + o * strip + l] = widen_bf16(from[i + l]);
    }
}

/* panel[o, i] = W[o, first + i] */
static void fill_backward(const tl_tensor *weight, size_t first, size_t width,
                          size_t strip, float *panel)
{
    const size_t n_out = weight->dims[0], n_in = weight->dims[1];
    const uint16_t *bits = (const uint16_t *)weight->data + first;
    if (weight->dtype == TL_BF16 && (uintptr_t)bits % sizeof *bits == 0) {
        copy_bf16(bits, n_out, n_in, width, strip, panel);
        return;
    }
    for (size_t i = 0; i < width; i += strip)
        for (size_t o = 0; o < n_out; o++)
            tl_tensor_to_f32(weight, o * n_in + first + i, strip,
                             panel + i * n_out + o * strip, NULL);
}

/* One strip, or a panel that is one. */
static void fill_strip(const tl_cpu_operand *b, size_t first, size_t width,
                       float *panel)
{
    size_t rows[TL_CPU_PANEL_COLUMNS];
    if (b->by_columns) {
        fill_columns(b, first, width, panel);
        return;
    }
    for (size_t o = 0; o < width; o++)
        rows[o] = b->index == NULL ? first + o
                                   : b->index[first + o < b->n ? first + o : b->n - 1];
    fill_rows(b->weight, rows, width, panel);
}

void tl_cpu_operand_panel(const tl_cpu_operand *b, size_t first, size_t width,
                          size_t strip, float *panel)
{
    if (b->backward) {
        fill_backward(b->weight, first, width, strip, panel);
        return;
    }
    for (size_t i = 0; i < width; i += strip)
        fill_strip(b, first + i, strip, panel + i * b->k);
}
