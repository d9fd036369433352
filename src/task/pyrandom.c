/* SPDX-License-Identifier: MIT
 *
 * pyrandom.c - see pyrandom.h.
 *
 * The generator is MT19937 of Matsumoto and Nishimura (1998), seeded by their
 * init_by_array (the version of 2002). What is made of its words follows CPython:
 * @source CPython Modules/_randommodule.c and Lib/random.py
 */
#include "task/pyrandom.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum { N = TL_PYRANDOM_WORDS, M = 397 };

static void refill(tl_pyrandom *random)
{
    uint32_t *const mt = random->state;
    for (size_t i = 0; i < N; i++) {
        const uint32_t y = (mt[i] & 0x80000000U) | (mt[(i + 1) % N] & 0x7fffffffU);
        mt[i] = mt[(i + M) % N] ^ (y >> 1) ^ ((y & 1U) != 0 ? 0x9908b0dfU : 0U);
    }
    random->used = 0;
}

static uint32_t next_word(tl_pyrandom *random)
{
    if (random->used >= N)
        refill(random);
    uint32_t y = random->state[random->used++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    y ^= y >> 18;
    return y;
}

static uint32_t mix(const uint32_t *mt, size_t i, uint32_t factor)
{
    return (mt[i - 1] ^ (mt[i - 1] >> 30)) * factor;
}

void tl_pyrandom_seed(tl_pyrandom *random, uint64_t seed)
{
    /* Python's key: the 32-bit digits of the number, the lowest first, at least one. */
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const size_t n_key = key[1] != 0 ? 2 : 1;
    uint32_t *const mt = random->state;

    mt[0] = 19650218U;
    for (size_t i = 1; i < N; i++)
        mt[i] = mix(mt, i, 1812433253U) + (uint32_t)i;
    size_t i = 1;
    for (size_t round = 0; round < N; round++) {
        const size_t j = round % n_key;
        mt[i] = (mt[i] ^ mix(mt, i, 1664525U)) + key[j] + (uint32_t)j;
        if (++i == N) {
            mt[0] = mt[N - 1];
            i = 1;
        }
    }
    for (size_t round = 1; round < N; round++) {
        mt[i] = (mt[i] ^ mix(mt, i, 1566083941U)) - (uint32_t)i;
        if (++i == N) {
            mt[0] = mt[N - 1];
            i = 1;
        }
    }
    mt[0] = 0x80000000U;
    random->used = N;
}

uint64_t tl_pyrandom_bits(tl_pyrandom *random, unsigned bits)
{
    assert(bits <= 64);
    if (bits == 0)
        return 0;
    if (bits <= 32)
        return next_word(random) >> (32 - bits);
    const uint64_t low = next_word(random);
    return low | (uint64_t)(next_word(random) >> (64 - bits)) << 32;
}

static uint64_t below(tl_pyrandom *random, uint64_t n)
{
    assert(n > 0);
    unsigned bits = 0;
    while (bits < 64 && n >> bits != 0)
        bits++;
    uint64_t drawn;
    do
        drawn = tl_pyrandom_bits(random, bits);
    while (drawn >= n);
    return drawn;
}

size_t tl_pyrandom_below(tl_pyrandom *random, size_t n)
{
    return (size_t)below(random, n);
}

int64_t tl_pyrandom_between(tl_pyrandom *random, int64_t first, int64_t last)
{
    assert(first <= last);
    const uint64_t width = (uint64_t)last - (uint64_t)first + 1; /* 0: all of 2^64 */
    const uint64_t drawn =
        width == 0 ? tl_pyrandom_bits(random, 64) : below(random, width);
    return (int64_t)((uint64_t)first + drawn);
}

double tl_pyrandom_real(tl_pyrandom *random)
{
    const uint32_t high = next_word(random) >> 5, low = next_word(random) >> 6;
    return ((double)high * 67108864.0 + (double)low) / 9007199254740992.0;
}

void tl_pyrandom_shuffle(tl_pyrandom *random, size_t *items, size_t n)
{
    for (size_t i = n; i-- > 1;) {
        const size_t j = tl_pyrandom_below(random, i + 1);
        const size_t item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}

/* Up to this many items Python swaps inside a pool, beyond it keeps a set: 21, and
 * for k > 5 the size that its set would have, the power of 4 not below 3k, more. */
static size_t pool_limit(size_t k)
{
    size_t power = 0;
    if (k > 5)
        for (power = 1; power < 3 * k;)
            power *= 4;
    return 21 + power;
}

tl_status tl_pyrandom_sample(tl_pyrandom *random, size_t n, size_t k, tl_arena *arena,
                             size_t *out, tl_error *err)
{
    assert(k <= n);
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    if (n <= pool_limit(k)) {
        size_t *pool = tl_arena_alloc(arena, n, sizeof *pool);
        if (pool == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to draw %zu of %zu", k, n);
        for (size_t i = 0; i < n; i++)
            pool[i] = i;
        for (size_t i = 0; i < k; i++) {
            const size_t j = tl_pyrandom_below(random, n - i);
            out[i] = pool[j];
            pool[j] = pool[n - i - 1];
        }
    } else {
        bool *seen = tl_arena_alloc_zero(arena, n, sizeof *seen);
        if (seen == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to draw %zu of %zu", k, n);
        for (size_t i = 0; i < k; i++) {
            do
                out[i] = tl_pyrandom_below(random, n);
            while (seen[out[i]]);
            seen[out[i]] = true;
        }
    }
    tl_arena_rewind(arena, mark);
    return TL_OK;
}
