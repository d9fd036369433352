/* SPDX-License-Identifier: MIT
 *
 * test_rotary.c - the rotation against multiplication of complex numbers: channels f
 * and f + D/2 are the two parts of one number, turned by c + i s.
 */
#include "testing.h"

#include <complex.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "op/rotary.h"

enum { MAX_COUNT = 8192 };

typedef struct problem {
    size_t rows, n_heads, d_head;
} problem;

/* The smallest, an odd number of everything, Qwen2-VL's and Gemma-3's heads, and a
 * half head that is odd. */
static const problem problems[] = {
    {1, 1, 2}, {5, 3, 16}, {2, 28, 128}, {3, 4, 256}, {7, 1, 10},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static float x[MAX_COUNT], turned[MAX_COUNT], cosine[MAX_COUNT], sine[MAX_COUNT];

static size_t count_of(const problem *p)
{
    return p->rows * p->n_heads * p->d_head;
}

static void draw(const problem *p, uint32_t seed, float *out)
{
    for (size_t i = 0; i < count_of(p); i++)
        out[i] = test_uniform(&seed);
}

/* Random angles; their table; and x turned by them. */
static void run(const problem *p, bool inverse)
{
    uint32_t seed = 99u;
    for (size_t i = 0; i < p->rows * p->d_head / 2; i++) {
        const double angle = 50.0 * (double)test_uniform(&seed);
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
    draw(p, 5u, x);
    memcpy(turned, x, sizeof turned);
    tl_rotary_apply(p->rows, p->n_heads, p->d_head, cosine, sine, inverse, turned);
}

static void assert_near(const problem *p, const char *what, size_t i, double got,
                        double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("[%zu,%zu,%zu]: %s %zu is %.9g, wanted %.9g within %.2g", p->rows,
                 p->n_heads, p->d_head, what, i, got, want, within);
}

static void both_directions_round_the_complex_product_once(void **state)
{
    (void)state;
    for (size_t n = 0; n < 2 * PROBLEMS; n++) {
        const problem *p = &problems[n / 2];
        const bool inverse = n % 2 == 1;
        const size_t half = p->d_head / 2;
        run(p, inverse);
        for (size_t head = 0; head < p->rows * p->n_heads; head++)
            for (size_t f = 0; f < half; f++) {
                const size_t low = head * p->d_head + f, high = low + half;
                const size_t at = head / p->n_heads * half + f;
                const double complex unit = (double)cosine[at] + (double)sine[at] * I;
                const double complex want = ((double)x[low] + (double)x[high] * I) *
                                            (inverse ? conj(unit) : unit);
                assert_near(p, "element", low, (double)turned[low], creal(want),
                            0.5 * FLT_EPSILON * fabs(creal(want)) + 1e-15);
                assert_near(p, "element", high, (double)turned[high], cimag(want),
                            0.5 * FLT_EPSILON * fabs(cimag(want)) + 1e-15);
            }
    }
}

/* <R x, y> = <x, R' y>: the inverse is the gradient, whatever the table holds. */
static void the_inverse_is_the_adjoint(void **state)
{
    (void)state;
    static float y[MAX_COUNT], back[MAX_COUNT];
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p, false);
        draw(p, 31u, y);
        memcpy(back, y, sizeof back);
        tl_rotary_apply(p->rows, p->n_heads, p->d_head, cosine, sine, true, back);
        double there = 0.0, here = 0.0;
        for (size_t i = 0; i < count_of(p); i++) {
            there += (double)turned[i] * (double)y[i];
            here += (double)x[i] * (double)back[i];
        }
        assert_near(p, "<Rx,y>, problem", (size_t)(p - problems), there, here,
                    FLT_EPSILON * (double)count_of(p));
    }
}

static void the_inverse_turns_back(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p, false);
        tl_rotary_apply(p->rows, p->n_heads, p->d_head, cosine, sine, true, turned);
        for (size_t i = 0; i < count_of(p); i++)
            assert_near(p, "element", i, (double)turned[i], (double)x[i],
                        4.0 * FLT_EPSILON);
    }
}

/* What the op is for: <R_m q, R_n k> is a function of m - n. */
static void a_score_depends_on_the_distance_only(void **state)
{
    (void)state;
    const problem p = {1, 1, 16};
    double scores[3];
    for (size_t n = 0; n < 3; n++) {
        const double query_pos = 5.0 + 37.0 * (double)n, key_pos = query_pos - 3.0;
        float q[16], k[16], c[2][8], s[2][8];
        draw(&p, 1u, q);
        draw(&p, 2u, k);
        for (size_t f = 0; f < 8; f++) {
            const double rate = pow(10000.0, -(double)f / 8.0);
            c[0][f] = (float)cos(query_pos * rate),
            s[0][f] = (float)sin(query_pos * rate);
            c[1][f] = (float)cos(key_pos * rate), s[1][f] = (float)sin(key_pos * rate);
        }
        tl_rotary_apply(1, 1, 16, c[0], s[0], false, q);
        tl_rotary_apply(1, 1, 16, c[1], s[1], false, k);
        scores[n] = 0.0;
        for (size_t i = 0; i < 16; i++)
            scores[n] += (double)q[i] * (double)k[i];
        assert_near(&p, "score", n, scores[n], scores[0], 16.0 * FLT_EPSILON);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_round_the_complex_product_once),
        cmocka_unit_test(the_inverse_is_the_adjoint),
        cmocka_unit_test(the_inverse_turns_back),
        cmocka_unit_test(a_score_depends_on_the_distance_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
