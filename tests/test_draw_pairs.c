/*
 * test_draw_pairs.c - pairs drawn at random, in which all answers get their turn.
 */
#include "testing.h"

#include "study/draw_pairs.h"

enum { N = 20 };

/* Grouped, as a split leaves them: ten of one answer, then fewer of others. */
static const int32_t answers[N] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
                                   3, 3, 3, 3, 3, 9, 9, 9, 9, 1};

static size_t draw(size_t wanted, size_t most_each, uint64_t seed, size_t *chosen)
{
    size_t n = 0;
    assert_int_equal(
        tl_draw_pairs(answers, N, wanted, most_each, seed, chosen, &n, NULL), TL_OK);
    return n;
}

static size_t count(const size_t *chosen, size_t n, int32_t answer)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += answers[chosen[i]] == answer;
    return found;
}

static void answers_take_turns(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        size_t chosen[N];
        assert_int_equal(draw(8, 0, seed, chosen), 8);
        for (size_t i = 1; i < 8; i++) /* ascending, so each once */
            assert_true(chosen[i - 1] < chosen[i] && chosen[i] < N);
        assert_int_equal(count(chosen, 8, 1), 1);
        /* Two rounds are seven; the eighth is of one of three answers. */
        assert_in_range(count(chosen, 8, 7), 2, 3);
        assert_in_range(count(chosen, 8, 3), 2, 3);
        assert_in_range(count(chosen, 8, 9), 2, 3);
        assert_int_equal(draw(8, 1, seed, chosen), 4); /* one of each */
        assert_int_equal(draw(100, 0, seed, chosen), N);
        assert_int_equal(draw(0, 0, seed, chosen), 0);
    }
}

static void every_pair_of_an_answer_is_as_likely(void **state)
{
    (void)state;
    size_t seen[N] = {0};
    for (uint64_t seed = 0; seed < 5000; seed++) {
        size_t chosen[N];
        const size_t n = draw(4, 0, seed, chosen);
        for (size_t i = 0; i < n; i++)
            seen[chosen[i]]++;
    }
    for (size_t i = 0; i < N; i++) { /* sd at most 33 */
        const size_t of = i < 10 ? 10 : i < 15 ? 5 : i < 19 ? 4 : 1;
        assert_in_range(seen[i], 5000 / of - 130, 5000 / of + 130);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_take_turns),
        cmocka_unit_test(every_pair_of_an_answer_is_as_likely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
