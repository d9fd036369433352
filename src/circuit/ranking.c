/* SPDX-License-Identifier: MIT
 *
 * ranking.c - from scores to circuits (include/twinlens/circuit.h).
 *
 * A circuit of a 7B model is a choice among sixty million neurons, and a
 * faithfulness curve makes thirty of them. Ranks are computed once; every circuit
 * is then a cut, and membership is one comparison.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "twinlens/alloc.h"
#include "twinlens/circuit.h"

/* A key that sorts ascending as the score descends; -0 and 0 are one key. */
static uint32_t descending_key(float score)
{
    uint32_t bits;
    score += 0.0f;
    memcpy(&bits, &score, sizeof bits);
    const uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
    return ~ascending;
}

enum { DIGIT_BITS = 11, DIGITS = 3, BUCKETS = 1 << DIGIT_BITS };

static_assert(DIGITS % 2 == 1, "the last order is not where the ranks will be");

/* Stable radix sort of 0 .. n - 1 by key; stability is the tie rule. The orders are by turns in
 * memory of the arena's kind and where the ranks will be. */
static tl_status rank_scores(const float *scores, size_t n, const tl_arena *arena,
                             uint32_t *rank, tl_error *err)
{
    tl_arena *own = tl_arena_create_like(arena);
    uint32_t *order = rank,
             *sorted = own != NULL ? tl_arena_alloc(own, n, sizeof *sorted) : NULL;
    tl_status status = TL_OK;
    if (sorted == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory to rank %zu components", n);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (unsigned digit = 0; digit < DIGITS; digit++) {
        const unsigned shift = digit * DIGIT_BITS;
        size_t start[BUCKETS + 1] = {0};
        for (size_t i = 0; i < n; i++)
            start[(descending_key(scores[i]) >> shift & (BUCKETS - 1)) + 1]++;
        for (size_t i = 0; i < BUCKETS; i++)
            start[i + 1] += start[i];
        for (size_t i = 0; i < n; i++) {
            const uint32_t component = order[i];
            const uint32_t key = descending_key(scores[component]);
            sorted[start[key >> shift & (BUCKETS - 1)]++] = component;
        }
        uint32_t *swap = order;
        order = sorted;
        sorted = swap;
    }
    for (size_t i = 0; i < n; i++)
        rank[order[i]] = (uint32_t)i;
done:
    tl_arena_destroy(own);
    return status;
}

static tl_status check_finite(const tl_scores *s, const float *scores, size_t per_pos,
                              const char *kind, tl_error *err)
{
    for (size_t i = 0; i < s->n_layers * s->n_pos * per_pos; i++)
        if (!isfinite(scores[i]))
            return tl_fail(err, TL_ERR_DATA,
                           "the score of %s %zu at layer %zu, position %zu is %g", kind,
                           i % per_pos, i / per_pos / s->n_pos, i / per_pos % s->n_pos,
                           (double)scores[i]);
    return TL_OK;
}

/* Sizes of `shape`, memory for the ranks. */
static tl_status allocate(size_t n_layers, size_t n_pos, size_t n_heads, size_t d_mlp,
                          tl_arena *arena, tl_ranking *out, tl_error *err)
{
    tl_ranking ranking = {n_layers, n_pos, n_heads, d_mlp, NULL, NULL};
    const size_t places = n_layers * n_pos;
    if (places > UINT32_MAX / (n_heads > d_mlp ? n_heads : d_mlp))
        return tl_fail(
            err, TL_ERR_UNSUPPORTED,
            "%zu layers x %zu positions x %zu neurons are more than 2^32 components",
            n_layers, n_pos, d_mlp);
    ranking.heads = tl_arena_alloc(arena, places * n_heads, sizeof *ranking.heads);
    ranking.neurons = tl_arena_alloc(arena, places * d_mlp, sizeof *ranking.neurons);
    if (ranking.heads == NULL || ranking.neurons == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "no memory for the ranks of %zu components",
                       places * (n_heads + d_mlp));
    *out = ranking;
    return TL_OK;
}

tl_status tl_ranking_from_scores(const tl_scores *scores, tl_arena *arena,
                                 tl_ranking *out, tl_error *err)
{
    tl_ranking ranking;
    tl_status status =
        check_finite(scores, scores->heads, scores->n_heads, "head", err);
    if (status == TL_OK)
        status = check_finite(scores, scores->neurons, scores->d_mlp, "neuron", err);
    if (status == TL_OK)
        status = allocate(scores->n_layers, scores->n_pos, scores->n_heads,
                          scores->d_mlp, arena, &ranking, err);
    if (status != TL_OK)
        return status;
    const size_t places = scores->n_layers * scores->n_pos;
    status =
        rank_scores(scores->heads, places * scores->n_heads, arena, ranking.heads, err);
    if (status == TL_OK)
        status = rank_scores(scores->neurons, places * scores->d_mlp, arena,
                             ranking.neurons, err);
    if (status == TL_OK)
        *out = ranking;
    return status;
}

/* Fisher and Yates' shuffle, inside out. */
static void shuffle(tl_random *random, size_t n, uint32_t *rank)
{
    for (size_t i = 0; i < n; i++) {
        const size_t j = (size_t)tl_random_below(random, i + 1);
        rank[i] = rank[j];
        rank[j] = (uint32_t)i;
    }
}

tl_status tl_ranking_random(const tl_ranking *shape, uint64_t seed, tl_arena *arena,
                            tl_ranking *out, tl_error *err)
{
    tl_ranking ranking;
    const tl_status status = allocate(shape->n_layers, shape->n_pos, shape->n_heads,
                                      shape->d_mlp, arena, &ranking, err);
    if (status != TL_OK)
        return status;
    tl_random random = {seed};
    const size_t places = shape->n_layers * shape->n_pos;
    shuffle(&random, places * shape->n_heads, ranking.heads);
    shuffle(&random, places * shape->d_mlp, ranking.neurons);
    *out = ranking;
    return TL_OK;
}

/* ---- fractions ------------------------------------------------------------------- */

enum { MAX_DIGITS = 15 }; /* numerators stay below 2^53 */

tl_status tl_fraction_parse(const char *text, tl_fraction *out, tl_error *err)
{
    uint64_t numerator = 0;
    int digits = 0, exponent = 0;
    bool point = false, bad = false;
    const char *at = text;
    for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        if (numerator == 0 && *at == '0' && !point) {
            digits++;
            continue;
        }
        bad |= digits >= MAX_DIGITS;
        if (bad)
            break;
        numerator = 10 * numerator + (uint64_t)(*at - '0');
        digits++;
        exponent -= point;
    }
    if (digits > 0 && !bad && (*at == 'e' || *at == 'E')) {
        const bool negative = at[1] == '-';
        at += 1 + (at[1] == '-' || at[1] == '+');
        int e = 0;
        bad = !(*at >= '0' && *at <= '9');
        for (; *at >= '0' && *at <= '9' && e < 1000; at++)
            e = 10 * e + (*at - '0');
        exponent += negative ? -e : e;
    }
    if (digits == 0 || bad || *at != '\0')
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "'%s' is not a decimal fraction of at most %d digits", text,
                       MAX_DIGITS);
    uint64_t denominator = 1;
    while (numerator != 0 && exponent > 0 && numerator <= 1000000) {
        numerator *= 10;
        exponent--;
    }
    while (exponent < 0 && numerator % 10 == 0 && numerator != 0) {
        numerator /= 10;
        exponent++;
    }
    if (exponent < -18)
        return tl_fail(err, TL_ERR_ARGUMENT, "'%s' has more than 18 decimals", text);
    for (; exponent < 0 && numerator != 0; exponent++)
        denominator *= 10;
    if ((numerator != 0 && exponent > 0) || numerator > denominator)
        return tl_fail(err, TL_ERR_ARGUMENT, "fraction %s is outside 0..1", text);
    *out = (tl_fraction){numerator, denominator};
    return TL_OK;
}

double tl_fraction_value(tl_fraction fraction)
{
    return (double)fraction.numerator / (double)fraction.denominator;
}

/* floor(a * b / c) for a <= c, without a 128-bit type: one digit of b at a time. */
static size_t floor_muldiv(uint64_t a, size_t b, uint64_t c)
{
    size_t quotient = 0;
    uint64_t remainder = 0;
    for (int bit = (int)(8 * sizeof b) - 1; bit >= 0; bit--) {
        quotient *= 2;
        remainder *= 2; /* below 2 c: no overflow for c <= 10^18 */
        if (b >> bit & 1)
            remainder += a;
        while (remainder >= c) {
            remainder -= c;
            quotient++;
        }
    }
    return quotient;
}

size_t tl_fraction_of(tl_fraction fraction, size_t count, tl_fraction_rounding rounding)
{
    if (rounding == TL_FRACTION_F32)
        return (size_t)((double)(float)tl_fraction_value(fraction) * (double)count);
    return floor_muldiv(fraction.numerator, count, fraction.denominator);
}

tl_circuit tl_circuit_at(const tl_ranking *ranking, tl_fraction fraction,
                         tl_fraction_rounding rounding)
{
    return tl_circuit_of(ranking, fraction, fraction, rounding);
}

tl_circuit tl_circuit_of(const tl_ranking *ranking, tl_fraction heads,
                         tl_fraction neurons, tl_fraction_rounding rounding)
{
    const size_t places = ranking->n_layers * ranking->n_pos;
    return (tl_circuit){
        .ranking = ranking,
        .n_heads = tl_fraction_of(heads, places * ranking->n_heads, rounding),
        .n_neurons = tl_fraction_of(neurons, places * ranking->d_mlp, rounding),
    };
}
