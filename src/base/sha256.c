/* SPDX-License-Identifier: MIT
 * sha256.c - see sha256.h. By the processor's instructions where it has them. */
#include "base/sha256.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_INSTRUCTIONS
#include <cpuid.h>
#include <immintrin.h>
#endif

/* The first 32 bits of the fractional parts of the cube roots of the first 64
 * primes. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

/* One round. The eight variables of the standard move on by one. */
static void take_word(uint32_t s[8], uint32_t word)
{
    const uint32_t choose = (s[4] & s[5]) ^ (~s[4] & s[6]);
    const uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    const uint32_t t1 =
        s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + choose + word;
    const uint32_t t2 =
        (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + majority;
    for (size_t i = 7; i > 0; i--)
        s[i] = s[i - 1];
    s[4] += t1;
    s[0] = t1 + t2;
}

static void compress_plain(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64], s[8];
    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | (uint32_t)block[4 * i + 3];
    for (size_t i = 16; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (size_t i = 0; i < 64; i++)
        take_word(s, round_constants[i] + w[i]);
    for (size_t i = 0; i < 8; i++)
        state[i] += s[i];
}

#ifdef HAS_INSTRUCTIONS
#define WITH_SHA __attribute__((target("sha,sse4.1")))

static bool has_instructions(void)
{
    enum { SHA = 1 << 29, SSE41 = 1 << 19 };
    static _Atomic(int) known = -1;
    if (known < 0) {
        unsigned a = 0, b = 0, c = 0, d = 0, low = 0;
        const bool there = __get_cpuid(1, &a, &b, &low, &d) != 0 &&
                           __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0;
        known = there && (low & SSE41) != 0 && (b & SHA) != 0;
    }
    return known != 0;
}

/* The instructions want the state as a b e f and c d g h, from the highest down, and take four
 * words of the schedule w at a time; w[16 ..] are made from the sixteen before them. */
WITH_SHA static void compress_fast(uint32_t state[8], const uint8_t *block)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i *const at = (__m128i *)(void *)state;
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(at), 0xb1),
                  efgh = _mm_shuffle_epi32(_mm_loadu_si128(at + 1), 0x1b);
    const __m128i old_abef = _mm_alignr_epi8(badc, efgh, 8),
                  old_cdgh = _mm_blend_epi16(efgh, badc, 0xf0);
    __m128i abef = old_abef, cdgh = old_cdgh, w[4];
    for (size_t i = 0; i < 4; i++)
        w[i] = _mm_shuffle_epi8(
            _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i)),
            big_endian);
    for (size_t i = 0; i < 16; i++) {
        const __m128i *k = (const __m128i *)(const void *)(round_constants + 4 * i);
        const __m128i four = _mm_add_epi32(w[i % 4], _mm_loadu_si128(k));
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, four);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(four, 0x0e));
        const __m128i last = w[(i + 3) % 4],
                      seven_back = _mm_alignr_epi8(last, w[(i + 2) % 4], 4);
        w[i % 4] = _mm_sha256msg2_epu32(
            _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]), seven_back),
            last);
    }
    const __m128i feba = _mm_shuffle_epi32(_mm_add_epi32(abef, old_abef), 0x1b),
                  dchg = _mm_shuffle_epi32(_mm_add_epi32(cdgh, old_cdgh), 0xb1);
    _mm_storeu_si128(at, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(at + 1, _mm_alignr_epi8(dchg, feba, 8));
}
#endif

static void compress(uint32_t state[8], const uint8_t *block)
{
#ifdef HAS_INSTRUCTIONS
    if (has_instructions()) {
        compress_fast(state, block);
        return;
    }
#endif
    compress_plain(state, block);
}

void tl_sha256_init(tl_sha256 *hash)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, start, sizeof start);
    hash->bytes = 0;
}

void tl_sha256_update(tl_sha256 *hash, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        const size_t used = (size_t)(hash->bytes % 64);
        const size_t n = bytes < 64 - used ? bytes : 64 - used;
        if (n < 64)
            memcpy(hash->block + used, at, n);
        if (used + n == 64)
            compress(hash->state, n < 64 ? hash->block : at);
        hash->bytes += n;
        at += n;
        bytes -= n;
    }
}

void tl_sha256_hex(tl_sha256 *hash, char hex[TL_SHA256_HEX])
{
    const uint64_t bits = hash->bytes * 8;
    uint8_t tail[72] = {0x80};
    /* One 1 bit, zeros up to 8 bytes before the end of a block, the bit count. */
    const size_t zeros = (119 - (size_t)(hash->bytes % 64)) % 64 + 1;
    for (size_t i = 0; i < 8; i++)
        tail[zeros + i] = (uint8_t)(bits >> (56 - 8 * i));
    tl_sha256_update(hash, tail, zeros + 8);
    for (size_t i = 0; i < 8; i++)
        snprintf(hex + 8 * i, 9, "%08x", (unsigned)hash->state[i]);
}

tl_status tl_sha256_file(tl_sha256 *hash, const char *path, tl_error *err)
{
    FILE *file = NULL;
    size_t size = 0;
    const tl_status status = tl_file_open(path, &file, &size, err);
    if (status != TL_OK)
        return status;
    static _Thread_local unsigned char buffer[1 << 16];
    size_t n;
    while ((n = fread(buffer, 1, sizeof buffer, file)) > 0)
        tl_sha256_update(hash, buffer, n);
    const int failed = ferror(file);
    fclose(file);
    return failed ? tl_fail(err, TL_ERR_IO, "%s: cannot read", path) : TL_OK;
}

tl_status tl_sha256_of_file(const char *path, char hex[TL_SHA256_HEX], tl_error *err)
{
    tl_sha256 hash;
    tl_sha256_init(&hash);
    const tl_status status = tl_sha256_file(&hash, path, err);
    if (status == TL_OK)
        tl_sha256_hex(&hash, hex);
    return status;
}
