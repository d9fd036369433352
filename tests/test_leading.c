/*
 * test_leading.c - the components that lead by score against an order of all, and the end of
 * a circuit against membership by rank.
 */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/leading.h"

enum { N = 10007, MOST = 50 };

/* Many are equal, some are 0; `sign`: some are negative. */
static void fill(float *scores, bool sign)
{
    uint32_t random = 5;
    for (size_t i = 0; i < N; i++) {
        const float value = test_uniform(&random);
        scores[i] = i % 3 == 0 ? 0.0f : roundf(value * 40.0f) / 4096.0f;
        if (!sign)
            scores[i] = fabsf(scores[i]);
    }
    scores[7] = -0.0f;
    scores[4096] = scores[4095] = 0.5f; /* the largest, at the border of two chunks */
}

static const float *compared;

static int larger_first(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    const float p = fabsf(compared[x]), q = fabsf(compared[y]);
    return p != q ? (p < q) - (p > q) : (x > y) - (x < y);
}

static void make_order(const float *scores, size_t *order)
{
    for (size_t i = 0; i < N; i++)
        order[i] = i;
    compared = scores;
    qsort(order, N, sizeof *order, larger_first);
}

static void leaders_come_in_the_order_of_all(void **unused)
{
    (void)unused;
    static float scores[N];
    static size_t order[N];
    for (int sign = 0; sign < 2; sign++) {
        fill(scores, sign);
        make_order(scores, order);
        const tl_tensor values = tl_tensor_f32(scores, N, 0, 0);
        size_t places[MOST], n = 0;
        double found[MOST];
        for (size_t most = 0; most <= MOST; most++) {
            assert_int_equal(tl_leading_find(&values, most, places, found, &n, NULL),
                             TL_OK);
            assert_int_equal(n, most);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(places[i], order[i]);
                assert_true(found[i] == (double)scores[order[i]]);
            }
        }
    }
}

static void what_has_score_0_does_not_lead(void **unused)
{
    (void)unused;
    const float scores[] = {0.0f, 0.25f, -0.0f, -0.5f, 0.0f};
    const tl_tensor values = tl_tensor_f32(scores, 5, 0, 0);
    size_t places[4] = {0}, n = 9;
    double found[4];
    assert_int_equal(tl_leading_find(&values, 4, places, found, &n, NULL), TL_OK);
    assert_int_equal(n, 2);
    assert_int_equal(places[0], 3);
    assert_int_equal(places[1], 1);
}

static void a_cut_ends_where_ranks_end(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {1, 2, 3, 20, 100, 1000, 5000, 6600, 6671, 7000, N};
    static float scores[N];
    static size_t order[N], rank[N];
    fill(scores, false);
    make_order(scores, order);
    for (size_t i = 0; i < N; i++)
        rank[order[i]] = i;
    const tl_tensor values = tl_tensor_f32(scores, N, 0, 0);
    tl_leading_cut cut;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        assert_int_equal(tl_leading_cut_at(&values, sizes[s], &cut, NULL), TL_OK);
        for (size_t i = 0; i < N; i++)
            if (tl_leading_is_within(&cut, (double)scores[i], i) !=
                (rank[i] < sizes[s]))
                fail_msg("circuit of %zu: component %zu of rank %zu, score %g",
                         sizes[s], i, rank[i], (double)scores[i]);
    }
    assert_int_equal(tl_leading_cut_at(&values, 0, &cut, NULL), TL_OK);
    assert_false(tl_leading_is_within(&cut, 1e9, 0));
}

static void what_is_no_number_is_refused(void **unused)
{
    (void)unused;
    float scores[] = {1.0f, 2.0f, NAN, 4.0f};
    const tl_tensor values = tl_tensor_f32(scores, 4, 0, 0),
                    bytes = {.dtype = TL_U8, .n_dims = 1, .dims = {4}, .data = scores};
    size_t places[2], n = 7;
    double found[2];
    tl_leading_cut cut;
    tl_error err = {0};
    assert_int_equal(tl_leading_find(&values, 2, places, found, &n, &err), TL_ERR_DATA);
    assert_string_equal(err.text, "score 2 is nan, wanted a finite number");
    assert_int_equal(n, 7);
    assert_int_equal(tl_leading_cut_at(&values, 2, &cut, &err), TL_ERR_DATA);
    scores[2] = -1.0f;
    assert_int_equal(tl_leading_find(&values, 2, places, found, &n, &err), TL_OK);
    assert_int_equal(tl_leading_cut_at(&values, 2, &cut, &err), TL_ERR_DATA);
    assert_int_equal(tl_leading_find(&bytes, 2, places, found, &n, &err),
                     TL_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaders_come_in_the_order_of_all),
        cmocka_unit_test(what_has_score_0_does_not_lead),
        cmocka_unit_test(a_cut_ends_where_ranks_end),
        cmocka_unit_test(what_is_no_number_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
