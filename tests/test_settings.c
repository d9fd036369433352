/* SPDX-License-Identifier: MIT
 * test_settings.c - what a caller may say of a study, and what becomes of it. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "study/settings.h"
#include "twinlens/terms.h"

static void the_defaults_are_a_full_set(void **state)
{
    (void)state;
    tl_settings s, taken;
    tl_error err = {0};
    tl_settings_init(&s);
    assert_int_equal(s.size, sizeof s);
    assert_int_equal(tl_settings_take(&s, &taken, &err), TL_OK);
    assert_int_equal(taken.seed, 42);
    assert_int_equal(taken.ig_steps, 5);
    assert_int_equal(taken.modality, TL_MODALITY_COUNT);
    assert_true(taken.threshold == 0.8);
    assert_non_null(taken.backend);
}

static void a_backend_is_named_by_the_environment_or_the_build(void **state)
{
    (void)state;
    tl_settings s, taken;
    tl_settings_init(&s);
    assert_int_equal(setenv("TWINLENS_BACKEND", "ref", 1), 0);
    assert_int_equal(tl_settings_take(&s, &taken, NULL), TL_OK);
    assert_string_equal(taken.backend, "ref");
    s.backend = "cpu";
    assert_int_equal(tl_settings_take(&s, &taken, NULL), TL_OK);
    assert_string_equal(taken.backend, "cpu");
    unsetenv("TWINLENS_BACKEND");
}

/* One that knows only the first fields gets the defaults of the others. */
static void a_caller_of_an_older_version_gets_the_defaults(void **state)
{
    (void)state;
    tl_settings s, taken;
    memset(&s, 0x5a, sizeof s);
    s.size = offsetof(tl_settings, backend);
    s.model = "model";
    s.dataset = "dataset";
    s.out = "out";
    assert_int_equal(tl_settings_take(&s, &taken, NULL), TL_OK);
    assert_string_equal(taken.dataset, "dataset");
    assert_int_equal(taken.size, sizeof taken);
    assert_int_equal(taken.threads, 0);
    assert_int_equal(taken.seed, 42);
    assert_int_equal(taken.bp_grid, TL_BP_TRIANGLE);
}

static void what_was_not_initialised_is_refused(void **state)
{
    (void)state;
    const tl_settings s = {0};
    tl_settings taken;
    tl_error err = {0};
    assert_int_equal(tl_settings_take(&s, &taken, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "tl_settings_init"));
    assert_int_equal(tl_study_run(&s, NULL, NULL, &err), TL_ERR_ARGUMENT);
}

static void a_study_says_what_is_missing(void **state)
{
    (void)state;
    tl_settings s;
    tl_error err = {0};
    tl_settings_init(&s);
    assert_int_equal(tl_study_run(&s, NULL, NULL, &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text, "dataset is missing");
    s.dataset = "somewhere";
    assert_int_equal(tl_study_run(&s, NULL, NULL, &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text, "out is missing");
}

static void a_number_out_of_range_is_named_with_its_range(void **state)
{
    (void)state;
    tl_settings s, taken;
    tl_error err = {0};
    tl_settings_init(&s);
    s.threads = 99999;
    assert_int_equal(tl_settings_take(&s, &taken, &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text,
                        "threads is '99999', wanted an integer from 1 to 4096");
}

static void sizes_are_those_of_the_grid_or_given(void **state)
{
    (void)state;
    tl_settings s;
    tl_sizes sizes = {0};
    tl_arena *arena = tl_arena_create();
    tl_settings_init(&s);
    assert_int_equal(tl_settings_sizes(&s, true, arena, &sizes, NULL), TL_OK);
    assert_int_equal(sizes.n, 27);
    assert_string_equal(sizes.texts[0], "0");
    assert_string_equal(sizes.texts[26], "0.9");
    assert_true(tl_fraction_value(sizes.fractions[22]) == 0.2);
    s.grid = TL_GRID_PAPER;
    assert_int_equal(tl_settings_sizes(&s, true, arena, &sizes, NULL), TL_OK);
    assert_int_equal(sizes.n, 102);
    assert_string_equal(sizes.texts[0], "0.001");
    assert_string_equal(sizes.texts[101], "1.00");
    s.fractions = "0.5,0.05";
    assert_int_equal(tl_settings_sizes(&s, false, arena, &sizes, NULL), TL_OK);
    assert_int_equal(sizes.n, 2);
    assert_true(tl_fraction_value(sizes.fractions[1]) == 0.05);
    tl_arena_destroy(arena);
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *fractions, *text;
    } cases[] = {
        {"0.5,0.05", "fractions: 0.05 comes after a larger or equal one"},
        {"0.5,0.5", "fractions: 0.5 comes after a larger or equal one"},
        {"0.5,2", "fractions: "},
        {"0.5,,1", "fractions: "},
        {"x", "fractions: "},
    };
    tl_settings s;
    tl_arena *arena = tl_arena_create();
    tl_settings_init(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_sizes sizes = {.n = 17};
        tl_error err = {0};
        s.fractions = cases[i].fractions;
        assert_int_equal(tl_settings_sizes(&s, true, arena, &sizes, &err),
                         TL_ERR_ARGUMENT);
        if (strncmp(err.text, cases[i].text, strlen(cases[i].text)) != 0)
            fail_msg("'%s': %s", cases[i].fractions, err.text);
        assert_int_equal(sizes.n, 17);
    }
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_a_full_set),
        cmocka_unit_test(a_backend_is_named_by_the_environment_or_the_build),
        cmocka_unit_test(a_caller_of_an_older_version_gets_the_defaults),
        cmocka_unit_test(what_was_not_initialised_is_refused),
        cmocka_unit_test(a_study_says_what_is_missing),
        cmocka_unit_test(a_number_out_of_range_is_named_with_its_range),
        cmocka_unit_test(sizes_are_those_of_the_grid_or_given),
        cmocka_unit_test(bad_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
