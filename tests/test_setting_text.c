/*
 * test_setting_text.c - the table of settings: every default, every value out of range with its
 * words, the way through a manifest and back.
 */
#include "testing.h"

#include "study/setting_text.h"
#include "twinlens/overlap.h"
#include "twinlens/probe.h"
#include "twinlens/processor.h"

static void every_default_is_a_value_that_can_be_given(void **state)
{
    (void)state;
    size_t n = 0;
    const tl_setting *table = tl_settings_table(&n);
    tl_arena *arena = tl_arena_create();
    tl_settings settings;
    tl_settings_init(&settings);
    assert_int_equal(settings.size, sizeof settings);
    assert_int_equal(tl_settings_check(&settings, NULL), TL_OK);
    for (size_t i = 0; i < n; i++) {
        const char *value = "?";
        tl_error err = {0};
        assert_int_equal(tl_settings_get(&settings, table[i].name, arena, &value, &err),
                         TL_OK);
        if (table[i].value == NULL) {
            if (value != NULL || table[i].unset == NULL)
                fail_msg("%s is not set, and yet '%s'", table[i].name, value);
            continue;
        }
        assert_string_equal(value, table[i].value);
        if (tl_settings_set(&settings, table[i].name, value, &err) != TL_OK)
            fail_msg("%s", err.text);
    }
    tl_arena_destroy(arena);
    /* Some of them, as the documents have them. */
    assert_int_equal(settings.ig_steps, 5);
    assert_int_equal(settings.seed, 42);
    assert_close("threshold", 0, settings.threshold, 0.8, 0);
    assert_true(settings.modality == TL_MODALITY_COUNT && settings.model == NULL);
}

static void the_table_is_complete(void **state)
{
    (void)state;
    size_t n = 0, end = 0;
    const tl_setting *table = tl_settings_table(&n);
    assert_true(n > 25);
    for (size_t i = 0; i < n; i++) {
        const tl_setting *s = &table[i];
        assert_ptr_equal(tl_settings_find(s->name), s);
        assert_true(s->help != NULL && s->argument != NULL && s->group != NULL);
        assert_int_equal(s->kind == TL_SETTING_CHOICE, s->choices != NULL);
        assert_true(s->kind != TL_SETTING_COUNT || s->most > s->least);
        /* A score changes whatever is made of it. */
        assert_true(!s->in_scores || s->in_manifest);
        for (size_t k = 0; k < i; k++)
            if (table[k].offset == s->offset)
                fail_msg("%s and %s share a field", table[k].name, s->name);
        end = s->offset > end ? s->offset : end;
    }
    assert_null(tl_settings_find("elephant"));
    /* No field behind the last setting. */
    assert_true(end + sizeof(void *) >= sizeof(tl_settings));
}

/* A value that is out of range, and what was wanted. */
static void refused(const char *name, const char *value, const char *wanted)
{
    tl_settings settings, before;
    tl_error err = {0};
    char text[256];
    tl_settings_init(&settings);
    before = settings;
    snprintf(text, sizeof text, "%s is '%s', wanted %s", name, value, wanted);
    if (tl_settings_set(&settings, name, value, &err) != TL_ERR_ARGUMENT ||
        strcmp(err.text, text) != 0)
        fail_msg("'%s', wanted '%s'", err.text, text);
    assert_memory_equal(&settings, &before, sizeof settings);
    /* The same words when it stands in a manifest. */
    const tl_study_key key = {name, value};
    if (!tl_settings_find(name)->in_manifest)
        return;
    err = (tl_error){0};
    assert_int_equal(tl_settings_read(&settings, &key, 1, &err), TL_ERR_DATA);
    assert_string_equal(err.text, text);
    assert_memory_equal(&settings, &before, sizeof settings);
}

static void what_is_out_of_range_is_named_with_value_and_range(void **state)
{
    (void)state;
    size_t n = 0;
    const tl_setting *table = tl_settings_table(&n);
    for (size_t i = 0; i < n; i++) {
        const tl_setting *s = &table[i];
        char wanted[256], value[32];
        switch (s->kind) {
        case TL_SETTING_COUNT:
            snprintf(wanted, sizeof wanted, "an integer from %.0f to %.0f", s->least,
                     s->most);
            if (s->least > 0)
                refused(s->name, "0", wanted);
            refused(s->name, "-1", wanted);
            refused(s->name, "1e1", wanted);
            refused(s->name, " 1", wanted);
            refused(s->name, "99999999999999999999", wanted);
            snprintf(value, sizeof value, "%.0f", s->most + 1);
            refused(s->name, value, wanted);
            break;
        case TL_SETTING_SEED:
            refused(s->name, "-1", "an integer from 0 to 18446744073709551615");
            refused(s->name, "18446744073709551616",
                    "an integer from 0 to 18446744073709551615");
            break;
        case TL_SETTING_BYTES:
            refused(s->name, "0", "a number of bytes such as 500M or 8G");
            refused(s->name, "1MBB", "a number of bytes such as 500M or 8G");
            refused(s->name, "99999999999G", "a number of bytes such as 500M or 8G");
            break;
        case TL_SETTING_REAL:
            refused(s->name, "nan", "a number");
            refused(s->name, "0,8", "a number");
            break;
        case TL_SETTING_FRACTIONS:
            refused(s->name, "0.1,,0.2", "decimals from 0 to 1 with commas between");
            refused(s->name, "1.01", "decimals from 0 to 1 with commas between");
            refused(s->name, "", "decimals from 0 to 1 with commas between");
            break;
        case TL_SETTING_CHOICE: {
            tl_settings settings;
            tl_error err = {0};
            assert_int_equal(tl_settings_set(&settings, s->name, "elephant", &err),
                             TL_ERR_ARGUMENT);
            snprintf(wanted, sizeof wanted, "%s is 'elephant', wanted one of %s",
                     s->name, s->choices[0].name);
            assert_ptr_equal(strstr(err.text, wanted), err.text);
            break;
        }
        case TL_SETTING_TEXT: break;
        }
    }
    refused("ig-path", "half", "one of full, textonly");
    refused("method", "lrp", "one of ig, relp");
    refused("ig-rule", "left", "one of right, midpoint");
    refused("rope", "none", "one of mrope, sequential"); /* "seq" is not advertised */
    tl_settings settings;
    tl_error err = {0};
    tl_settings_init(&settings);
    assert_int_equal(tl_settings_set(&settings, "model", "", &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text, "model is empty, wanted DIR");
    assert_int_equal(tl_settings_set(&settings, "elephant", "1", &err),
                     TL_ERR_ARGUMENT);
    assert_string_equal(err.text, "there is no setting 'elephant'");
}

/* From C the fields are set directly; the words are those of a command line. */
static void fields_out_of_range_are_refused_with_the_same_words(void **state)
{
    (void)state;
    tl_settings settings;
    tl_error err = {0};
    tl_settings_init(&settings);
    settings.ig_steps = 0;
    assert_int_equal(tl_settings_check(&settings, &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text, "ig-steps is '0', wanted an integer from 1 to 1000");
    settings.ig_steps = 1001;
    assert_int_equal(tl_settings_check(&settings, &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text,
                        "ig-steps is '1001', wanted an integer from 1 to 1000");
    settings.ig_steps = 1000;
    settings.align = 7;
    assert_int_equal(tl_settings_check(&settings, &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text, "align is '7', wanted one of act, unembed");
    settings.align = TL_ALIGN_ACT;
    settings.threshold = NAN;
    assert_int_equal(tl_settings_check(&settings, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "threshold is '"));
    settings.threshold = -9.0;
    settings.fractions = "0.5,2";
    assert_int_equal(tl_settings_check(&settings, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "fractions is '0.5,2', wanted"));
    settings.fractions = "0.5,0.2";
    assert_int_equal(tl_settings_check(&settings, &err), TL_OK);
}

static void bytes_take_a_suffix(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } cases[] = {{"1048576", 1048576},      {"512M", (size_t)512 << 20},
                 {"8G", (size_t)8 << 30},   {"64K", 65536},
                 {"2GiB", (size_t)2 << 30}, {"2GB", (size_t)2 << 30}};
    tl_settings settings;
    tl_settings_init(&settings);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tl_settings_set(&settings, "memory", cases[i].text, NULL),
                         TL_OK);
        assert_int_equal(settings.memory, cases[i].bytes);
    }
}

static void published_values_replace_the_defaults(void **state)
{
    (void)state;
    size_t n = 0, changed = 0;
    const tl_setting *table = tl_settings_table(&n);
    tl_arena *arena = tl_arena_create();
    tl_settings settings;
    tl_settings_init(&settings);
    tl_settings_publish(&settings);
    for (size_t i = 0; i < n; i++) {
        const char *value = NULL;
        assert_int_equal(tl_settings_get(&settings, table[i].name, arena, &value, NULL),
                         TL_OK);
        if (table[i].published != NULL) {
            assert_string_equal(value, table[i].published);
            changed += strcmp(table[i].published, table[i].value) != 0;
        } else if (table[i].value != NULL) {
            assert_string_equal(value, table[i].value);
        }
    }
    assert_int_equal(changed, 10); /* the rows of docs/options.md */
    assert_true(settings.ig_path == TL_IG_TEXT_ONLY && settings.rand_draws == 1);
    tl_arena_destroy(arena);
}

/* Another value than the default, for each setting. */
static const char *other_value(const tl_setting *s)
{
    if (s->kind == TL_SETTING_CHOICE)
        return s->choices[1].name != NULL ? s->choices[1].name : s->choices[0].name;
    return s->kind == TL_SETTING_FRACTIONS ? "0.01,0.5"
           : s->kind == TL_SETTING_BYTES   ? "12345"
           : s->kind == TL_SETTING_REAL    ? "0.1"
           : s->kind == TL_SETTING_TEXT    ? "something"
                                           : "7";
}

static void a_manifest_gives_the_settings_back(void **state)
{
    (void)state;
    size_t n = 0;
    const tl_setting *table = tl_settings_table(&n);
    tl_arena *arena = tl_arena_create();
    tl_settings given;
    tl_settings_init(&given);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            tl_settings_set(&given, table[i].name, other_value(&table[i]), NULL),
            TL_OK);
    given.keep = TL_KEEP_CORRECT; /* with `acc`: full */
    for (size_t round = 0; round < 2; round++) {
        const tl_study_key *keys = NULL, *again = NULL;
        size_t n_keys = 0, n_again = 0, in_manifest = 0;
        tl_settings back;
        tl_settings_init(&back);
        assert_int_equal(tl_settings_write(&given, arena, &keys, &n_keys, NULL), TL_OK);
        assert_int_equal(tl_settings_read(&back, keys, n_keys, NULL), TL_OK);
        assert_int_equal(tl_settings_write(&back, arena, &again, &n_again, NULL),
                         TL_OK);
        for (size_t i = 0; i < n; i++)
            in_manifest +=
                table[i].in_manifest && (round == 0 || !table[i].is_newer);
        assert_int_equal(n_keys, in_manifest);
        assert_int_equal(n_again, in_manifest);
        for (size_t i = 0; i < n_keys; i++) {
            assert_string_equal(keys[i].key, again[i].key);
            assert_string_equal(keys[i].value, again[i].value);
        }
        if (round == 0) {
            assert_true(back.accuracy == TL_ACCURACY_FULL && back.ig_steps == 7 &&
                        back.prompts == 7 && back.modality == TL_IMAGE);
            assert_string_equal(back.fractions, "0.01,0.5");
            assert_close("threshold", 0, back.threshold, 0.1, 0);
            assert_int_equal(back.memory, 0); /* changes no number, so is not there */
        }
        tl_settings_init(&given); /* then all defaults */
    }
    tl_arena_destroy(arena);
}

/* What a manifest has always said, which studies on disks depend on. */
static void the_manifest_says_what_it_always_said(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_settings settings;
    const tl_study_key *keys = NULL;
    size_t n = 0;
    tl_settings_init(&settings);
    settings.backend = "cpu";
    settings.fractions = "0.05,0.5";
    static const tl_study_key wanted[] = {{"backend", "cpu"},
                                          {"precision", "f32"},
                                          {"modality", "text,image"},
                                          {"rope", "mrope"},
                                          {"keep", "limited"},
                                          {"prompts", "default"},
                                          {"seed", "42"},
                                          {"method", "ig"},
                                          {"ig-steps", "5"},
                                          {"ig-rule", "right"},
                                          {"ig-path", "full"},
                                          {"head-reduce", "absdim"},
                                          {"prompt-reduce", "abs"},
                                          {"fractions", "0.05,0.5"},
                                          {"pct", "exact"},
                                          {"faith", "mean_ratio"},
                                          {"ablate", "counterfactual"},
                                          {"threshold", "0.8"},
                                          {"circuit-tests", "100"},
                                          {"pictures", "4"},
                                          {"validate", "8"},
                                          {"rand-match", "whole"},
                                          {"rand-draws", "20"},
                                          {"niou", "correct"},
                                          {"inter-rand", "valid"},
                                          {"inter-draws", "5"},
                                          {"align", "act"},
                                          {"bp-filter", "none"},
                                          {"bp-repeat", "on"},
                                          {"iter-labels", "question"},
                                          {"bp-grid", "triangle"},
                                          {"bp-search", "full"}};
    settings.chat = TL_CHAT_RAW; /* which older studies do not have */
    assert_int_equal(tl_settings_write(&settings, arena, &keys, &n, NULL), TL_OK);
    assert_int_equal(n, sizeof wanted / sizeof *wanted + 1);
    assert_string_equal(keys[4].key, "chat");
    assert_string_equal(keys[4].value, "raw");
    settings.chat = TL_CHAT_INSTRUCT;
    assert_int_equal(tl_settings_write(&settings, arena, &keys, &n, NULL), TL_OK);
    assert_int_equal(n, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(keys[i].key, wanted[i].key);
        assert_string_equal(keys[i].value, wanted[i].value);
    }
    tl_arena_destroy(arena);
}

/* What a score depends on stands in its file, under the keys that it always had. */
static void score_files_say_what_scores_depend_on(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_settings settings;
    const tl_study_key *keys = NULL;
    size_t n = 0;
    static const tl_study_key wanted[] = {
        {"precision", "f32"},    {"rope", "mrope"},         {"chat", "instruct"},
        {"method", "relp"},      {"ig_steps", "5"},         {"ig_rule", "midpoint"},
        {"ig_path", "textonly"}, {"head_reduce", "absdim"}, {"prompt_reduce", "abs"}};
    tl_settings_init(&settings);
    settings.ig_path = TL_IG_TEXT_ONLY;
    settings.method = TL_METHOD_RELP;
    settings.ig_rule = TL_IG_MIDPOINT;
    assert_int_equal(tl_settings_write_scores(&settings, arena, &keys, &n, NULL),
                     TL_OK);
    assert_int_equal(n, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(keys[i].key, wanted[i].key);
        assert_string_equal(keys[i].value, wanted[i].value);
    }
    tl_arena_destroy(arena);
}

/* What differs between two studies is said in the words of the command line. */
static void keys_of_a_manifest_are_said_as_options(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *said;
    } cases[] = {
        {"ig-steps", "5", "--ig-steps 5"},
        {"keep", "limited", "--keep correct --acc limited"},
        {"keep", "full", "--keep correct --acc full"},
        {"keep", "all", "--keep all"},
        {"modality", "text,image", "--modality both"},
        {"prompts", "default", "no --prompts"},
        {"chat", NULL, "no --chat"},
        {"model", "abc", "?"},
        {"threads", "2", "?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64] = "?";
        tl_setting_say_key(cases[i].key, cases[i].value, text, sizeof text);
        assert_string_equal(text, cases[i].said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_a_manifest_are_said_as_options),
        cmocka_unit_test(every_default_is_a_value_that_can_be_given),
        cmocka_unit_test(the_table_is_complete),
        cmocka_unit_test(what_is_out_of_range_is_named_with_value_and_range),
        cmocka_unit_test(fields_out_of_range_are_refused_with_the_same_words),
        cmocka_unit_test(bytes_take_a_suffix),
        cmocka_unit_test(published_values_replace_the_defaults),
        cmocka_unit_test(a_manifest_gives_the_settings_back),
        cmocka_unit_test(the_manifest_says_what_it_always_said),
        cmocka_unit_test(score_files_say_what_scores_depend_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
