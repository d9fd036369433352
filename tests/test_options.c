/* SPDX-License-Identifier: MIT
 *
 * test_options.c - command lines: what is read, what is refused with which words, and what
 * help says of a command.
 */
#include "testing.h"

#include "cli/help.h"
#include "twinlens/circuit.h"

enum { ARGS_MAX = 8 };

/* A command with an option of every sort. */
typedef struct values {
    tl_settings settings;
    tl_strings runs, folders;
    bool json, out_given, steps_given;
    const char *out, *sites;
    size_t times;
} values;

static const tl_taken taken[] = {
    {.name = "memory"},
    {.name = "ig-steps", .given = offsetof(values, steps_given)},
    {.name = "ig-path"},
    {.name = "inter-draws", .as = "draws"},
    {.name = "seed", .value = "0"},
    {.name = "threshold"},
    {.name = "pictures"},
    {0}};
static const tl_option own[] = {
    {.setting = {.name = "out",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(values, out),
                 .argument = "FILE",
                 .help = "where to write"},
     .required = true,
     .given = offsetof(values, out_given)},
    {.setting = {.name = "json", .offset = offsetof(values, json), .help = "as JSON"},
     .is_flag = true},
    {.setting = {.name = "folder",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(values, folders),
                 .argument = "DIR",
                 .help = "folders"},
     .is_list = true},
    {.setting = {.name = "times",
                 .kind = TL_SETTING_COUNT,
                 .offset = offsetof(values, times),
                 .least = 1,
                 .most = 9,
                 .value = "3",
                 .argument = "N",
                 .help = "how often"}},
    {.setting = {.name = "sites",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(values, sites),
                 .value = "z",
                 .argument = "A,B",
                 .help = "where"}},
    TL_OPTIONS_END};
static const tl_idle idle[] = {
    {.name = "ig-steps", .beside = "times", .value = "9"},
    {.name = "seed", .beside = "times", .value = "3", .unless = true},
    {.name = "sites", .beside = "json"},
    {0}};
static const tl_command command = {.name = "test",
                                   .summary = "to be tested",
                                   .operands = "RUN...",
                                   .operand_help = "folders of studies",
                                   .operands_at = offsetof(values, runs),
                                   .settings = taken,
                                   .options = own,
                                   .idle = idle};

/* The words of a command line, ended by NULL, read into *v. */
static tl_status read_words(const char *const *words, values *v, tl_error *err)
{
    char *argv[ARGS_MAX] = {NULL};
    int argc = 0;
    for (; words[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    memset(v, 0x5a, sizeof *v); /* nothing is left of what was there */
    return tl_options_read(&command, argc, argv, v, sizeof *v, err);
}

static void both_ways_of_giving_a_value_are_read(void **state)
{
    (void)state;
    values v;
    tl_error err = {0};
    const char *words[] = {"--out=a=b", "--ig-steps", "7",        "--json",
                           "--ig-path", "textonly",   "--seed=5", NULL};
    assert_int_equal(read_words(words, &v, &err), TL_OK);
    assert_string_equal(v.out, "a=b");
    assert_true(v.out_given && v.steps_given && v.json);
    assert_int_equal(v.settings.ig_steps, 7);
    assert_int_equal(v.settings.ig_path, TL_IG_TEXT_ONLY);
    assert_int_equal(v.settings.seed, 5);
}

/* Defaults are no offence, and count for the others. */
static void what_changes_nothing_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words[6], *text; /* NULL: it is taken */
    } cases[] = {
        {{"--out=x", "--ig-steps=7"}, NULL},
        {{"--out=x", "--times=9"}, NULL},
        {{"--out=x", "--ig-steps=7", "--times=9"},
         "--ig-steps changes nothing beside --times 9"},
        {{"--out=x", "--seed=5"}, NULL},
        {{"--out=x", "--seed=5", "--times=4"},
         "--seed changes nothing without --times 3"},
        {{"--out=x", "--sites=z"}, NULL},
        {{"--out=x", "--json", "--sites=z"}, "--sites changes nothing beside --json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        values v;
        tl_error err = {0};
        const tl_status status = read_words(cases[i].words, &v, &err);
        assert_int_equal(status, cases[i].text == NULL ? TL_OK : TL_ERR_ARGUMENT);
        assert_string_equal(err.text, cases[i].text != NULL ? cases[i].text : "");
    }
}

static void what_is_not_given_has_its_default(void **state)
{
    (void)state;
    values v;
    tl_error err = {0};
    const char *words[] = {"--out=x", NULL};
    assert_int_equal(read_words(words, &v, &err), TL_OK);
    assert_int_equal(v.settings.ig_steps, 5);
    assert_int_equal(v.settings.seed, 0); /* the command's, not the table's */
    assert_int_equal(v.settings.inter_draws, 5);
    assert_int_equal(v.times, 3);
    assert_string_equal(v.sites, "z");
    assert_false(v.json || v.steps_given);
    assert_true(v.runs.n == 0 && v.folders.n == 0 && v.settings.memory == 0);
}

static void some_options_may_be_given_again_and_some_be_0(void **state)
{
    (void)state;
    values v;
    tl_error err = {0};
    const char *words[] = {"--out=x", "--folder",   "b", "--folder=a",
                           "run",     "--pictures", "0", NULL};
    assert_int_equal(read_words(words, &v, &err), TL_OK);
    assert_int_equal(v.settings.pictures, 0);
    assert_int_equal(v.folders.n, 2);
    assert_string_equal(v.folders.texts[0], "b");
    assert_string_equal(v.folders.texts[1], "a");
    assert_int_equal(v.runs.n, 1);
    assert_string_equal(v.runs.texts[0], "run");
}

static void what_is_wrong_is_refused_with_what_was_wanted(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *text;
    } cases[] = {
        {{NULL}, "--out FILE is missing"},
        {{"-o", "x", NULL}, "'-o' is no option"},
        {{"--", NULL}, "'--' is no option"},
        {{"--out", NULL}, "--out wants a value, FILE"},
        {{"--out", "--json", NULL}, "--out wants a value, FILE"},
        {{"--out=", NULL}, "--out is empty, wanted FILE"},
        {{"--out", "x", "--out", "y", NULL}, "--out is given twice"},
        {{"--out=x", "--jsn", NULL}, "unknown option '--jsn'; did you mean '--json'?"},
        {{"--out=x", "--ig-setps=3", NULL}, "did you mean '--ig-steps'?"},
        {{"--out=x", "--xyz", NULL}, "unknown option '--xyz'; see --help"},
        {{"--out=x", "--elephant", NULL}, "unknown option '--elephant'; see --help"},
        {{"--out=x", "--json=1", NULL}, "--json takes no value"},
        {{"--out=x", "--ig-steps=0", NULL},
         "--ig-steps is '0', wanted an integer from 1 to 1000"},
        {{"--out=x", "--times=10", NULL},
         "--times is '10', wanted an integer from 1 to 9"},
        {{"--out=x", "--draws=0", NULL},
         "--draws is '0', wanted an integer from 1 to 10000"},
        {{"--out=x", "--folder=", NULL}, "--folder is empty, wanted DIR"},
        {{"--out=x", "--seed=1x", NULL}, "--seed is '1x'"},
        {{"--out=x", "--memory=0", NULL}, "--memory is '0', wanted a number of bytes"},
        {{"--out=x", "--threshold=nan", NULL}, "--threshold is 'nan', wanted a number"},
        {{"--out=x", "--ig-path=half", NULL},
         "--ig-path is 'half', wanted one of full, textonly"},
        {{"--out=x", "--compat=none", NULL},
         "--compat is 'none', wanted one of published"},
        /* A value is refused before what is missing. */
        {{"--ig-steps=0", NULL}, "--ig-steps is '0'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        values v;
        tl_error err = {0};
        const tl_status status = read_words(cases[i].words, &v, &err);
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
        {{"--out=x", NULL}, 5, TL_IG_FULL},
        {{"--out=x", "--compat=published", NULL}, 1, TL_IG_TEXT_ONLY},
        {{"--out=x", "--draws=3", "--compat=published", NULL}, 3, TL_IG_TEXT_ONLY},
        {{"--out=x", "--compat=published", "--ig-path=full", NULL}, 1, TL_IG_FULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        values v;
        tl_error err = {0};
        assert_int_equal(read_words(cases[i].words, &v, &err), TL_OK);
        assert_int_equal(v.settings.inter_draws, cases[i].draws);
        assert_int_equal(v.settings.ig_path, cases[i].path);
        assert_int_equal(v.settings.ig_steps, 5);
    }
}

static void help_names_every_option(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    tl_help_command(&command, out);
    fclose(out);
    static const char *const wanted[] = {
        "usage: twinlens test RUN... --out FILE [<options>]\n",
        "  RUN...                      folders of studies\n",
        "  --json                      as JSON\n",
        "  --times N                   how often (3)\n",
        "  --ig-steps N                interpolation steps (5)\n",
        "  --seed N                    of split, counterfactuals, random circuits, other",
        "\n                              and the order of",
        "  --memory BYTES ",
        "what is interpolated (full) [published: textonly]\n",
        "  --draws N                   random parts of each segment of an",
        " interchange (5)",
        "\nattribution\n",
        "  --compat published "};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("no '%s' in:\n%s", wanted[i], text);
    /* No line is longer than a terminal of 100 columns. */
    for (const char *line = text; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        if (length > 99)
            fail_msg("%.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    free(text);
}

/* What commands take is in the table, and has a place in their values. */
static void every_command_can_be_read_without_a_word(void **state)
{
    (void)state;
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        tl_line_option options[TL_LINE_OPTIONS];
        const size_t n = tl_options_list(tl_commands[i], options);
        for (size_t k = 0; k < n; k++) {
            assert_non_null(options[k].name);
            assert_non_null(options[k].setting->help);
            assert_true(options[k].is_flag || options[k].setting->argument != NULL);
            for (size_t j = 0; j < k; j++)
                if (strcmp(options[j].name, options[k].name) == 0)
                    fail_msg("%s has two options '%s'", tl_commands[i]->name,
                             options[k].name);
        }
    }
}

static void an_extent_is_two_numbers(void **state)
{
    (void)state;
    size_t width = 0, height = 0;
    tl_error err = {0};
    assert_int_equal(tl_options_extent("size", "252x128", &width, &height, &err),
                     TL_OK);
    assert_true(width == 252 && height == 128);
    static const char *const bad[] = {"", "252", "252x", "x252", "0x5", "5x0", "5x5x5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(tl_options_extent("size", bad[i], &width, &height, &err),
                         TL_ERR_ARGUMENT);
    assert_true(width == 252 && height == 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_of_giving_a_value_are_read),
        cmocka_unit_test(what_changes_nothing_is_refused),
        cmocka_unit_test(what_is_not_given_has_its_default),
        cmocka_unit_test(some_options_may_be_given_again_and_some_be_0),
        cmocka_unit_test(what_is_wrong_is_refused_with_what_was_wanted),
        cmocka_unit_test(one_option_sets_what_was_published),
        cmocka_unit_test(help_names_every_option),
        cmocka_unit_test(every_command_can_be_read_without_a_word),
        cmocka_unit_test(an_extent_is_two_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
