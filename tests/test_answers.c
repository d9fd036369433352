/* SPDX-License-Identifier: MIT
 * test_answers.c - which answer is the best, and what is no answer at all. */
#include "testing.h"

#include <math.h>
#include <string.h>

#include "study/answers.h"

static void of_equal_logits_the_first_is_the_best(void **state)
{
    (void)state;
    const double logits[] = {1.0, 3.0, 3.0, 2.0};
    const int32_t ids[] = {7, 5, 6, 8};
    size_t best = 9;
    assert_int_equal(tl_answers_best(logits, ids, 4, &best, NULL), TL_OK);
    assert_int_equal(best, 1);
    const float vocabulary[] = {0.0f, 5.0f, -1.0f, 5.0f, INFINITY};
    const int32_t some[] = {3, 1, 2};
    assert_int_equal(tl_answers_best_of_all(vocabulary, some, 3, &best, NULL), TL_OK);
    assert_int_equal(best, 0);
    assert_int_equal(tl_answers_best_of_all(vocabulary, NULL, 5, &best, NULL), TL_OK);
    assert_int_equal(best, 4);
}

/* Wherever it stands, also first, where nothing would be larger. */
static void a_logit_that_is_not_a_number_is_an_error(void **state)
{
    (void)state;
    const int32_t ids[] = {7, 5, 6, 5, 6};
    for (size_t at = 0; at < 3; at++) {
        double logits[] = {1.0, 3.0, 2.0};
        float vocabulary[8] = {0.0f};
        size_t best = 9;
        bool right = true;
        tl_error err = {0};
        char text[64];
        logits[at] = NAN;
        vocabulary[ids[at]] = NAN;
        snprintf(text, sizeof text, "logits: that of token %d is not a number",
                 (int)ids[at]);
        assert_int_equal(tl_answers_best(logits, ids, 3, &best, &err), TL_ERR_DATA);
        assert_string_equal(err.text, text);
        assert_int_equal(tl_answers_best_of_all(vocabulary, ids, 3, &best, &err),
                         TL_ERR_DATA);
        assert_string_equal(err.text, text);
        assert_int_equal(best, 9);
        int32_t copy[5];
        memcpy(copy, ids, sizeof copy);
        const tl_answers answers = {.ids = copy, .n_ids = 5, .n_labels = 3};
        assert_int_equal(tl_answers_is_right(&answers, logits, &right, &err),
                         TL_ERR_DATA);
        assert_true(right);
    }
}

static void the_answer_is_right_when_it_is_the_best_label(void **state)
{
    (void)state;
    int32_t ids[] = {7, 5, 6, 5, 6};
    const double logits[] = {1.0, 3.0, 2.0, 3.0, 2.0};
    tl_answers answers = {.ids = ids, .n_ids = 5, .n_labels = 3, .has_pair = true};
    bool right = false;
    assert_int_equal(tl_answers_is_right(&answers, logits, &right, NULL), TL_OK);
    assert_true(right);
    assert_true(tl_answers_logit_diff(&answers, logits) == 1.0);
    ids[3] = 7;
    assert_int_equal(tl_answers_is_right(&answers, logits, &right, NULL), TL_OK);
    assert_false(right);
    answers.n_labels = 0;
    assert_int_equal(tl_answers_is_right(&answers, logits, &right, NULL), TL_OK);
    assert_false(right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_equal_logits_the_first_is_the_best),
        cmocka_unit_test(a_logit_that_is_not_a_number_is_an_error),
        cmocka_unit_test(the_answer_is_right_when_it_is_the_best_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
