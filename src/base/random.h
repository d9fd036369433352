/* SPDX-License-Identifier: MIT
 *
 * random.h - twinlens' own random numbers: the same sequence from the same seed on
 * every machine. (The published split needs CPython's instead: task/pyrandom.h.)
 */
#ifndef TWINLENS_BASE_RANDOM_H
#define TWINLENS_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct tl_random {
    uint64_t state;
} tl_random;

/* SplitMix64, a generator with a period of 2^64.
 * @source doi:10.1145/2660193.2660195 */
static inline uint64_t tl_random_next(tl_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Uniform in 0 .. n - 1 without bias; n >= 1. */
static inline uint64_t tl_random_below(tl_random *random, uint64_t n)
{
    const uint64_t reject = (UINT64_MAX - n + 1) % n; /* 2^64 mod n */
    uint64_t x;
    do
        x = tl_random_next(random);
    while (x < reject);
    return x % n;
}

/* order[n] receives 0 ... n - 1 in any order: Fisher and Yates' shuffle, inside out. */
static inline void tl_random_order(tl_random *random, size_t n, size_t *order)
{
    for (size_t i = 0; i < n; i++) {
        const size_t j = (size_t)tl_random_below(random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

#endif
