/* SPDX-License-Identifier: MIT
 *
 * test_progress.c - what a person sees of a long run, with a clock of our own.
 */
#include "testing.h"

#include <string.h>

#include "cli/progress.h"

static double now;

static double test_clock(void *user)
{
    (void)user;
    return now;
}

/* What has been printed since the last call; good until the next. */
static const char *printed(FILE *file)
{
    static char text[4096];
    static long from;
    if (file == NULL) {
        from = 0;
        return NULL;
    }
    fflush(file);
    const long end = ftell(file);
    assert_true(end - from < (long)sizeof text);
    fseek(file, from, SEEK_SET);
    text[fread(text, 1, (size_t)(end - from), file)] = '\0';
    fseek(file, end, SEEK_SET);
    from = end;
    return text;
}

static FILE *begin(tl_progress *progress, bool terminal)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    now = 1000.0;
    printed(NULL);
    tl_progress_init(progress, file, terminal, test_clock, NULL);
    return file;
}

static void plain_lines_come_every_ten_seconds_and_at_the_end(void **state)
{
    (void)state;
    tl_progress progress;
    FILE *file = begin(&progress, false);
    const size_t stage = tl_progress_add(&progress, "predict text", 100, 1.0);
    tl_progress_begin(&progress, stage, 0);
    assert_string_equal(printed(file), "");
    for (size_t i = 1; i <= 9; i++) {
        now += 1.0;
        tl_progress_step(&progress, stage, i);
    }
    assert_string_equal(printed(file), "");
    now += 1.0;
    tl_progress_step(&progress, stage, 10);
    assert_string_equal(printed(file),
                        "predict text  10/100  10 %, about 2 min left\n");
    now += 1.0;
    tl_progress_step(&progress, stage, 50);
    assert_string_equal(printed(file), "");
    now += 1.0;
    tl_progress_step(&progress, stage, 100);
    tl_progress_end(&progress, stage);
    assert_string_equal(printed(file), "predict text  100/100  100 %, took 12 s\n");
    fclose(file);
}

static void a_terminal_line_is_drawn_over_the_last_one(void **state)
{
    (void)state;
    tl_progress progress;
    FILE *file = begin(&progress, true);
    const size_t stage = tl_progress_add(&progress, "attribute image", 4, 1.0);
    tl_progress_begin(&progress, stage, 0);
    assert_string_equal(printed(file), "\rattribute image  0/4  0 %");
    now += 30.0;
    tl_progress_step(&progress, stage, 1);
    assert_string_equal(printed(file),
                        "\rattribute image  1/4  25 %, about 2 min left");
    now += 0.05; /* too soon to be drawn */
    tl_progress_step(&progress, stage, 2);
    assert_string_equal(printed(file), "");
    now += 1.0;
    tl_progress_step(&progress, stage, 3);
    assert_string_equal(printed(file),
                        "\rattribute image  3/4  75 %, about 11 s left ");
    tl_progress_clear(&progress);
    assert_string_equal(printed(file),
                        "\r                                           \r");
    tl_progress_step(&progress, stage, 4);
    tl_progress_end(&progress, stage);
    assert_string_equal(printed(file), "\rattribute image  4/4  100 %, took 32 s\n");
    fclose(file);
}

static void later_stages_are_guessed_from_the_speed_so_far(void **state)
{
    (void)state;
    tl_progress progress;
    FILE *file = begin(&progress, false);
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
    fclose(file);
}

static void a_stage_without_cost_says_nothing_about_the_others(void **state)
{
    (void)state;
    tl_progress progress;
    FILE *file = begin(&progress, false);
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
    fclose(file);
}

static void what_an_earlier_run_did_is_no_speed(void **state)
{
    (void)state;
    tl_progress progress;
    FILE *file = begin(&progress, false);
    const size_t stage = tl_progress_add(&progress, "evaluate", 100, 1.0);
    tl_progress_begin(&progress, stage, 90);
    assert_true(isnan(tl_progress_left(&progress)));
    now += 20.0;
    tl_progress_step(&progress, stage, 92);
    assert_true(fabs(tl_progress_left(&progress) - 80.0) < 1e-9);
    assert_string_equal(printed(file), "evaluate  92/100  92 %, about 2 min left\n");
    fclose(file);
}

static void hours_are_written_with_minutes(void **state)
{
    (void)state;
    tl_progress progress;
    FILE *file = begin(&progress, false);
    const size_t stage = tl_progress_add(&progress, "attribute", 1000, 1.0);
    tl_progress_begin(&progress, stage, 0);
    now += 100.0;
    tl_progress_step(&progress, stage, 10);
    assert_string_equal(printed(file),
                        "attribute  10/1000  1 %, about 2 h 45 min left\n");
    fclose(file);
}

static void without_a_file_nothing_is_said(void **state)
{
    (void)state;
    tl_progress progress;
    tl_progress_init(&progress, NULL, true, test_clock, NULL);
    const size_t stage = tl_progress_add(&progress, "predict", 2, 1.0);
    tl_progress_begin(&progress, stage, 0);
    now += 100.0;
    tl_progress_step(&progress, stage, 1);
    tl_progress_clear(&progress);
    tl_progress_end(&progress, stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_come_every_ten_seconds_and_at_the_end),
        cmocka_unit_test(a_terminal_line_is_drawn_over_the_last_one),
        cmocka_unit_test(later_stages_are_guessed_from_the_speed_so_far),
        cmocka_unit_test(a_stage_without_cost_says_nothing_about_the_others),
        cmocka_unit_test(what_an_earlier_run_did_is_no_speed),
        cmocka_unit_test(hours_are_written_with_minutes),
        cmocka_unit_test(without_a_file_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
