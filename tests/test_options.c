/* SPDX-License-Identifier: MIT
 *
 * test_options.c - command lines: what is read, and what is refused with which words.
 */
#include "testing.h"

#include "cli/options.h"

enum { ARGS_MAX = 8 };

static const tl_choice paths[] = {{"full", 0}, {"textonly", 1}, {0}};
static const tl_choice compats[] = {{"published", 1}, {0}};

/* One table with an option of every kind. */
typedef struct values {
    bool json, out_given;
    const char *out;
    size_t steps, memory, prompts, draws;
    tl_strings datasets;
    uint64_t seed;
    double threshold;
    int path, compat;
} values;

/* The words of a command line, ended by NULL, parsed into *v. */
static tl_status parse(const char *const *words, values *v, FILE *out, bool *help,
                       tl_error *err)
{
    char *argv[ARGS_MAX] = {NULL};
    int argc = 0;
    for (; words[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    const tl_option options[] = {
        {.name = "out",
         .kind = TL_OPTION_STRING,
         .value = &v->out,
         .argument = "FILE",
         .help = "where to write",
         .required = true,
         .given = &v->out_given},
        {.name = "json", .kind = TL_OPTION_FLAG, .value = &v->json, .help = "as JSON"},
        {.name = "ig-steps",
         .kind = TL_OPTION_SIZE,
         .value = &v->steps,
         .argument = "N",
         .help = "steps"},
        {.name = "seed",
         .kind = TL_OPTION_SEED,
         .value = &v->seed,
         .argument = "N",
         .help = "seed"},
        {.name = "memory",
         .kind = TL_OPTION_BYTES,
         .value = &v->memory,
         .argument = "BYTES",
         .help = "budget"},
        {.name = "threshold",
         .kind = TL_OPTION_DOUBLE,
         .value = &v->threshold,
         .argument = "X",
         .help = "wanted"},
        {.name = "prompts",
         .kind = TL_OPTION_COUNT,
         .value = &v->prompts,
         .argument = "N",
         .help = "prompts, or none"},
        {.name = "dataset",
         .kind = TL_OPTION_STRINGS,
         .value = &v->datasets,
         .argument = "DIR",
         .help = "folders"},
        {.name = "ig-path",
         .kind = TL_OPTION_CHOICE,
         .value = &v->path,
         .argument = "full|textonly",
         .help = "path",
         .choices = paths,
         .published = "textonly"},
        {.name = "draws",
         .kind = TL_OPTION_SIZE,
         .value = &v->draws,
         .argument = "N",
         .help = "draws",
         .published = "1"},
        {.name = "compat",
         .kind = TL_OPTION_CHOICE,
         .value = &v->compat,
         .argument = "published",
         .help = "as published",
         .choices = compats,
         .sets_published = true},
    };
    return tl_options_parse(options, sizeof options / sizeof options[0], "attribute",
                            argc, argv, out, help, err);
}

static void both_ways_of_giving_a_value_are_read(void **state)
{
    (void)state;
    values v = {0};
    bool help = true;
    tl_error err = {0};
    const char *words[] = {"--out=a=b", "--ig-steps", "7",        "--json",
                           "--ig-path", "textonly",   "--seed=0", NULL};
    assert_int_equal(parse(words, &v, stdout, &help, &err), TL_OK);
    assert_false(help);
    assert_string_equal(v.out, "a=b");
    assert_true(v.out_given);
    assert_int_equal(v.steps, 7);
    assert_true(v.json);
    assert_int_equal(v.path, 1);
    assert_int_equal(v.seed, 0);
}

static void some_options_may_be_given_again_and_some_be_0(void **state)
{
    (void)state;
    values v = {.prompts = 4};
    bool help = false;
    tl_error err = {0};
    const char *words[] = {"--out=x",   "--dataset", "b", "--dataset=a",
                           "--prompts", "0",         NULL};
    assert_int_equal(parse(words, &v, stdout, &help, &err), TL_OK);
    assert_int_equal(v.prompts, 0);
    assert_int_equal(v.datasets.n, 2);
    assert_string_equal(v.datasets.texts[0], "b");
    assert_string_equal(v.datasets.texts[1], "a");
}

static void sizes_in_bytes_take_a_suffix(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } cases[] = {
        {"--memory=1048576", 1048576},      {"--memory=512M", (size_t)512 << 20},
        {"--memory=8G", (size_t)8 << 30},   {"--memory=64K", 65536},
        {"--memory=2GiB", (size_t)2 << 30}, {"--memory=2GB", (size_t)2 << 30}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        values v = {0};
        bool help;
        tl_error err = {0};
        const char *words[] = {"--out", "x", cases[i].text, NULL};
        assert_int_equal(parse(words, &v, stdout, &help, &err), TL_OK);
        assert_int_equal(v.memory, cases[i].bytes);
    }
}

static void help_prints_every_option_and_asks_for_nothing(void **state)
{
    (void)state;
    values v = {0};
    bool help = false;
    tl_error err = {0};
    const char *words[] = {"--bogus", "--help", NULL};
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(parse(words, &v, file, &help, &err), TL_OK);
    assert_true(help);
    char text[2048];
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    static const char *const wanted[] = {"usage: twinlens attribute --out FILE",
                                         "--json ",
                                         "--ig-steps N",
                                         "--seed N",
                                         "--memory BYTES",
                                         "--threshold X",
                                         "--ig-path full|textonly",
                                         "path [published: textonly]"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("no '%s' in:\n%s", wanted[i], text);
}

static void what_is_wrong_is_refused_with_what_was_wanted(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *text;
    } cases[] = {
        {{NULL}, "--out FILE is missing"},
        {{"out", NULL}, "'out' is no option"},
        {{"-o", "x", NULL}, "'-o' is no option"},
        {{"--", NULL}, "'--' is no option"},
        {{"--out", NULL}, "--out wants a value, FILE"},
        {{"--out", "--json", NULL}, "--out wants a value, FILE"},
        {{"--out=", NULL}, "--out is empty, wanted FILE"},
        {{"--out", "x", "--out", "y", NULL}, "--out is given twice"},
        {{"--out=x", "--jsn", NULL}, "unknown option '--jsn'; did you mean '--json'?"},
        {{"--out=x", "--ig-setps=3", NULL}, "did you mean '--ig-steps'?"},
        {{"--out=x", "--elephant", NULL}, "unknown option '--elephant'; see --help"},
        {{"--out=x", "--json=1", NULL}, "--json takes no value"},
        {{"--out=x", "--ig-steps=0", NULL}, "--ig-steps is '0', wanted an integer"},
        {{"--out=x", "--ig-steps=-1", NULL}, "--ig-steps is '-1'"},
        {{"--out=x", "--ig-steps= 1", NULL}, "--ig-steps is ' 1'"},
        {{"--out=x", "--ig-steps=1e3", NULL}, "--ig-steps is '1e3'"},
        {{"--out=x", "--ig-steps=99999999999999999999", NULL}, "--ig-steps is '9999"},
        {{"--out=x", "--prompts=-1", NULL}, "--prompts is '-1'"},
        {{"--out=x", "--dataset=", NULL}, "--dataset is empty, wanted DIR"},
        {{"--out=x", "--seed=1x", NULL}, "--seed is '1x'"},
        {{"--out=x", "--memory=0", NULL}, "--memory is '0', wanted a number of bytes"},
        {{"--out=x", "--memory=1X", NULL}, "--memory is '1X'"},
        {{"--out=x", "--memory=1MBB", NULL}, "--memory is '1MBB'"},
        {{"--out=x", "--memory=99999999999G", NULL}, "--memory is '99999999999G'"},
        {{"--out=x", "--threshold=nan", NULL}, "--threshold is 'nan', wanted a number"},
        {{"--out=x", "--threshold=1,5", NULL}, "--threshold is '1,5'"},
        {{"--out=x", "--ig-path=half", NULL},
         "--ig-path is 'half', wanted one of full, textonly"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        values v = {0};
        bool help = false;
        tl_error err = {0};
        const tl_status status = parse(cases[i].words, &v, stdout, &help, &err);
        if (status != TL_ERR_ARGUMENT || strstr(err.text, cases[i].text) == NULL)
            fail_msg("case %zu: %s, '%s', wanted '%s'", i, tl_status_name(status),
                     err.text, cases[i].text);
    }
}

/* Options that are given stay as they are, before and behind --compat. */
static void one_option_sets_what_was_published(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        size_t draws;
        int path;
    } cases[] = {
        {{"--out=x", NULL}, 20, 0},
        {{"--out=x", "--compat=published", NULL}, 1, 1},
        {{"--out=x", "--draws=3", "--compat=published", NULL}, 3, 1},
        {{"--out=x", "--compat=published", "--ig-path=full", NULL}, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        values v = {.draws = 20};
        bool help = false;
        tl_error err = {0};
        assert_int_equal(parse(cases[i].words, &v, stdout, &help, &err), TL_OK);
        assert_int_equal(v.draws, cases[i].draws);
        assert_int_equal(v.path, cases[i].path);
        assert_int_equal(v.steps, 0);
    }
    assert_string_equal(tl_choice_name(paths, 1), "textonly");
    assert_null(tl_choice_name(paths, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_of_giving_a_value_are_read),
        cmocka_unit_test(some_options_may_be_given_again_and_some_be_0),
        cmocka_unit_test(sizes_in_bytes_take_a_suffix),
        cmocka_unit_test(help_prints_every_option_and_asks_for_nothing),
        cmocka_unit_test(what_is_wrong_is_refused_with_what_was_wanted),
        cmocka_unit_test(one_option_sets_what_was_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
