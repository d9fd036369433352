/* SPDX-License-Identifier: MIT
 * leading.c - see leading.h. */
#include "store/leading.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 4096 };

/* One chunk of the values after the other. */
typedef tl_status take_values(void *user, const float *values, size_t first, size_t n,
                              tl_error *err);

static tl_status scan(const tl_tensor *values, take_values *take, void *user,
                      tl_error *err)
{
    float chunk[CHUNK];
    const size_t count = tl_tensor_count(values);
    tl_status status = TL_OK;
    for (size_t first = 0; first < count && status == TL_OK; first += CHUNK) {
        const size_t n = count - first < CHUNK ? count - first : CHUNK;
        status = tl_tensor_to_f32(values, first, n, chunk, err);
        if (status == TL_OK)
            status = take(user, chunk, first, n, err);
    }
    return status;
}

/* ---- the largest ----------------------------------------------------------------- */

typedef struct leaders {
    size_t *places, n, most;
    double *scores;
} leaders;

/* Behind those that are as large. */
static void insert(leaders *l, double score, size_t place)
{
    size_t at = l->n < l->most ? l->n++ : l->most - 1;
    for (; at > 0 && fabs(l->scores[at - 1]) < fabs(score); at--) {
        l->scores[at] = l->scores[at - 1];
        l->places[at] = l->places[at - 1];
    }
    l->scores[at] = score;
    l->places[at] = place;
}

static tl_status take_leaders(void *user, const float *values, size_t first, size_t n,
                              tl_error *err)
{
    leaders *l = user;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i]))
            return tl_fail(err, TL_ERR_DATA, "score %zu is %g, wanted a finite number",
                           first + i, (double)values[i]);
        const double size = fabs((double)values[i]);
        if (size > 0.0 && (l->n < l->most || size > fabs(l->scores[l->most - 1])))
            insert(l, (double)values[i], first + i);
    }
    return TL_OK;
}

tl_status tl_leading_find(const tl_tensor *values, size_t most, size_t *places,
                          double *scores, size_t *n, tl_error *err)
{
    leaders l = {.places = places, .most = most, .scores = scores};
    const tl_status status = most > 0 ? scan(values, take_leaders, &l, err) : TL_OK;
    if (status == TL_OK)
        *n = l.n;
    return status;
}

/* ---- the n-th -------------------------------------------------------------------- */

/*
 * The n-th largest is found digit by digit of its bits, which for numbers that are not
 * negative have the order of the numbers themselves: a scan counts the next digit of those
 * whose digits before are the right ones.
 */
enum { DIGIT_BITS = 8, DIGIT_VALUES = 1 << DIGIT_BITS, BITS = 32 };

static uint32_t bits_of(float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 is 0 */
    memcpy(&bits, &score, sizeof bits);
    return bits;
}

typedef struct search {
    uint32_t known, mask; /* the digits so far, and which they are */
    unsigned shift;       /* of the next digit */
    size_t counts[DIGIT_VALUES];
    size_t left, last; /* in the end: how many equal ones are within, and the last */
} search;

static tl_status count_digits(void *user, const float *values, size_t first, size_t n,
                              tl_error *err)
{
    search *s = user;
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = bits_of(values[i]);
        if (!(values[i] >= 0.0f) || !isfinite(values[i]))
            return tl_fail(err, TL_ERR_DATA,
                           "score %zu is %g, wanted a finite number that is not "
                           "negative",
                           first + i, (double)values[i]);
        if ((bits & s->mask) == s->known)
            s->counts[bits >> s->shift & (DIGIT_VALUES - 1)]++;
    }
    return TL_OK;
}

static tl_status count_equal(void *user, const float *values, size_t first, size_t n,
                             tl_error *err)
{
    (void)err;
    search *s = user;
    for (size_t i = 0; i < n && s->left > 0; i++)
        if (bits_of(values[i]) == s->known) {
            s->left--;
            s->last = first + i;
        }
    return TL_OK;
}

tl_status tl_leading_cut_at(const tl_tensor *values, size_t n, tl_leading_cut *out,
                            tl_error *err)
{
    search s = {.left = n};
    tl_status status = TL_OK;
    if (n == 0) {
        *out = (tl_leading_cut){.is_empty = true};
        return TL_OK;
    }
    for (unsigned shift = BITS; shift > 0 && status == TL_OK;) {
        s.shift = shift -= DIGIT_BITS;
        memset(s.counts, 0, sizeof s.counts);
        status = scan(values, count_digits, &s, err);
        uint32_t digit = DIGIT_VALUES - 1;
        for (; digit > 0 && s.counts[digit] < s.left; digit--)
            s.left -= s.counts[digit];
        s.known |= digit << shift;
        s.mask |= (uint32_t)(DIGIT_VALUES - 1) << shift;
    }
    if (status == TL_OK)
        status = scan(values, count_equal, &s, err);
    if (status != TL_OK)
        return status;
    float least;
    memcpy(&least, &s.known, sizeof least);
    *out = (tl_leading_cut){.least = (double)least, .last = s.last};
    return TL_OK;
}
