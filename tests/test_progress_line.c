/* SPDX-License-Identifier: MIT
 *
 * test_progress_line.c - what a person sees of a long run, with a clock of our own.
 */
#include "testing.h"

#include <string.h>

#include "cli/progress_line.h"
#include "study/progress.h"

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

static tl_progress_line drawn;

static FILE *begin(tl_progress *progress, bool terminal)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    now = 1000.0;
    printed(NULL);
    tl_progress_line_init(&drawn, file, terminal, test_clock, NULL);
    tl_progress_init(progress, tl_progress_line_report, &drawn, test_clock, NULL);
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
    tl_progress_line_clear(&drawn);
    assert_string_equal(printed(file),
                        "\r                                           \r");
    tl_progress_step(&progress, stage, 4);
    tl_progress_end(&progress, stage);
    assert_string_equal(printed(file), "\rattribute image  4/4  100 %, took 32 s\n");
    fclose(file);
}

static void what_an_earlier_run_did_is_counted_as_done(void **state)
{
    (void)state;
    tl_progress progress;
    FILE *file = begin(&progress, false);
    const size_t stage = tl_progress_add(&progress, "evaluate", 100, 1.0);
    tl_progress_begin(&progress, stage, 90);
    now += 20.0;
    tl_progress_step(&progress, stage, 92);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_come_every_ten_seconds_and_at_the_end),
        cmocka_unit_test(a_terminal_line_is_drawn_over_the_last_one),
        cmocka_unit_test(what_an_earlier_run_did_is_counted_as_done),
        cmocka_unit_test(hours_are_written_with_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
