/* SPDX-License-Identifier: MIT
 *
 * test_progress.c - the time that is left of a long run, with a clock of our own.
 */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "study/progress.h"

static double now;

static double test_clock(void *user)
{
    (void)user;
    return now;
}

static void begin(tl_progress *progress)
{
    now = 1000.0;
    tl_progress_init(progress, NULL, NULL, test_clock, NULL);
}

static void later_stages_are_guessed_from_the_speed_so_far(void **state)
{
    (void)state;
    tl_progress progress;
    begin(&progress);
    const size_t predict = tl_progress_add(&progress, "predict", 10, 1.0);
    const size_t attribute = tl_progress_add(&progress, "attribute", 5, 16.0);
    assert_true(isnan(tl_progress_left(&progress)));
    tl_progress_begin(&progress, predict, 0);
    now += 2.0;
    tl_progress_step(&progress, predict, 4);
    assert_true(fabs(tl_progress_left(&progress) - (6 + 5 * 16) * 0.5) < 1e-9);
    tl_progress_resize(&progress, attribute, 2);
    assert_true(fabs(tl_progress_left(&progress) - (6 + 2 * 16) * 0.5) < 1e-9);
    tl_progress_step(&progress, predict, 10);
    tl_progress_end(&progress, predict);
    tl_progress_begin(&progress, attribute, 0);
    now += 7.0; /* from now on its own speed counts */
    tl_progress_step(&progress, attribute, 1);
    assert_true(fabs(tl_progress_left(&progress) - 7.0) < 1e-9);
}

static void a_stage_without_cost_says_nothing_about_the_others(void **state)
{
    (void)state;
    tl_progress progress;
    begin(&progress);
    const size_t hash = tl_progress_add(&progress, "hash files", 100, 0.0);
    tl_progress_begin(&progress, hash, 0);
    now += 8.0;
    tl_progress_step(&progress, hash, 40);
    assert_true(fabs(tl_progress_left(&progress) - 12.0) < 1e-9);
    tl_progress_step(&progress, hash, 100);
    tl_progress_end(&progress, hash);
    const size_t predict = tl_progress_add(&progress, "predict", 10, 1.0);
    (void)tl_progress_add(&progress, "attribute", 10, 2.0);
    assert_true(isnan(tl_progress_left(&progress)));
    tl_progress_begin(&progress, predict, 0);
    now += 1.0;
    tl_progress_step(&progress, predict, 5);
    assert_true(fabs(tl_progress_left(&progress) - (1.0 + 4.0)) < 1e-9);
}

static void what_an_earlier_run_did_is_no_speed(void **state)
{
    (void)state;
    tl_progress progress;
    begin(&progress);
    const size_t stage = tl_progress_add(&progress, "evaluate", 100, 1.0);
    tl_progress_begin(&progress, stage, 90);
    assert_true(isnan(tl_progress_left(&progress)));
    now += 20.0;
    tl_progress_step(&progress, stage, 92);
    assert_true(fabs(tl_progress_left(&progress) - 80.0) < 1e-9);
}

/* The events of a stage, as "event done/units seconds". */
static void note(void *user, const tl_progress_report *report)
{
    static const char *const names[] = {"begin", "step", "end"};
    char *text = user;
    const size_t used = strlen(text);
    snprintf(text + used, 256 - used, "%s %s %zu/%zu %g; ", report->stage,
             names[report->event], report->n_done, report->n_units, report->seconds);
}

static void every_event_is_reported(void **state)
{
    (void)state;
    char text[256] = "";
    tl_progress progress;
    now = 1000.0;
    tl_progress_init(&progress, note, text, test_clock, NULL);
    const size_t stage = tl_progress_add(&progress, "align", 4, 1.0);
    tl_progress_begin(&progress, stage, 1);
    now += 2.0;
    tl_progress_step(&progress, stage, 2);
    tl_progress_end(&progress, stage);
    assert_string_equal(text,
                        "align begin 1/4 nan; align step 2/4 4; align end 2/2 2; ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_stages_are_guessed_from_the_speed_so_far),
        cmocka_unit_test(a_stage_without_cost_says_nothing_about_the_others),
        cmocka_unit_test(what_an_earlier_run_did_is_no_speed),
        cmocka_unit_test(every_event_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
