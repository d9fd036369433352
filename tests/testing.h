/*
 * testing.h - what every test needs: cmocka in the order that it wants its headers,
 * random numbers that are the same on every machine, a comparison that explains
 * itself.
 */
#ifndef TESTS_TESTING_H
#define TESTS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

/* Uniform in [-1, 1) (xorshift32); *state must not be 0. */
static inline float test_uniform(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

#endif
