/* SPDX-License-Identifier: MIT
 * cpu_transpose.h - an 8 x 8 square of 32-bit numbers turned round in registers. */
#ifndef TWINLENS_BACKEND_CPU_CPU_TRANSPOSE_H
#define TWINLENS_BACKEND_CPU_CPU_TRANSPOSE_H

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#include <stddef.h>

/* r[i] receives number i of each of the eight. */
__attribute__((target("avx2"))) static inline void tl_transpose_8x8(__m256 r[8])
{
    __m256 t[8];
    for (size_t k = 0; k < 8; k += 2) {
        t[k] = _mm256_unpacklo_ps(r[k], r[k + 1]);
        t[k + 1] = _mm256_unpackhi_ps(r[k], r[k + 1]);
    }
    for (size_t k = 0; k < 8; k += 4) {
        r[k] = _mm256_shuffle_ps(t[k], t[k + 2], 0x44);
        r[k + 1] = _mm256_shuffle_ps(t[k], t[k + 2], 0xee);
        r[k + 2] = _mm256_shuffle_ps(t[k + 1], t[k + 3], 0x44);
        r[k + 3] = _mm256_shuffle_ps(t[k + 1], t[k + 3], 0xee);
    }
    for (size_t k = 0; k < 4; k++) {
        const __m256 low = r[k], high = r[k + 4];
        r[k] = _mm256_permute2f128_ps(low, high, 0x20);
        r[k + 4] = _mm256_permute2f128_ps(low, high, 0x31);
    }
}
#endif

#endif
