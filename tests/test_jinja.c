/* SPDX-License-Identifier: MIT
 *
 * test_jinja.c - templates make what jinja2 makes of them as transformers sets it up: recorded in
 * tests/data/chat/golden.json by tests/parity/chat_templates.py. What is not read is named, and what
 * never ends is ended.
 */
#include "testing.h"

#include <jansson.h>
#include <string.h>

#include "input/jinja.h"

static json_t *golden(const char *key)
{
    json_t *all =
        json_load_file(TWINLENS_SOURCE_DIR "/tests/data/chat/golden.json", 0, NULL);
    assert_non_null(all);
    json_t *list = json_incref(json_object_get(all, key));
    json_decref(all);
    return list;
}

static void templates_make_what_jinja2_makes(void **state)
{
    (void)state;
    json_t *cases = golden("jinja");
    assert_true(json_array_size(cases) > 40);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        const char *source = json_string_value(json_object_get(one, "template")),
                   *want = json_string_value(json_object_get(one, "made")), *made = "?";
        tl_error err = {0};
        tl_arena *arena = tl_arena_create();
        const tl_status status = tl_jinja_render(
            source, json_object_get(one, "variables"), arena, &made, &err);
        if (want == NULL && status == TL_OK)
            fail_msg("'%s' makes '%s', wanted a refusal", source, made);
        if (want != NULL && (status != TL_OK || strcmp(made, want) != 0))
            fail_msg("'%s' makes '%s' (%s), wanted '%s'", source, made, err.text, want);
        if (want == NULL)
            assert_string_equal(made, "?");
        tl_arena_destroy(arena);
    }
    json_decref(cases);
}

static void what_is_not_read_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        tl_status status;
        const char *says;
    } cases[] = {
        {"{{ 'a' | wordcount }}", TL_ERR_UNSUPPORTED, "the filter 'wordcount'"},
        {"{{ cycler(1) }}", TL_ERR_UNSUPPORTED, "the function cycler()"},
        {"{{ 'a'.zfill(3) }}", TL_ERR_UNSUPPORTED, "the method zfill()"},
        {"{{ 4 is divisibleby(2) }}", TL_ERR_UNSUPPORTED, "the test 'divisibleby'"},
        {"{% include 'x' %}", TL_ERR_UNSUPPORTED, "the tag 'include'"},
        {"{% macro m() %}x{% endmacro %}{{ m() }}", TL_ERR_UNSUPPORTED, "m()"},
        {"{{ 1.5 }}", TL_ERR_UNSUPPORTED, "a number with a fraction"},
        {"a \xff b", TL_ERR_FORMAT, "not UTF-8"},
        {"{{ [1] }}", TL_ERR_UNSUPPORTED, "a whole list as text"},
        {"{{ 99999999999999999999 }}", TL_ERR_UNSUPPORTED, "so large a number"},
        {"{{ 'a\\u1234' }}", TL_ERR_UNSUPPORTED, "'\\u' in a text"},
        {"{% for c in 'abc' %}{% endfor %}", TL_ERR_UNSUPPORTED, "no list"},
        {"{% set n = namespace() %}{% set n.a = [n] %}", TL_ERR_UNSUPPORTED,
         "a list in a namespace"},
        {"{{ raise_exception('only users') }}", TL_ERR_DATA, "only users"},
        {"{{ a.b }}", TL_ERR_DATA, "undefined"},
        {"{% if 1 %}", TL_ERR_FORMAT, "no 'endif'"},
        {"a {{ b", TL_ERR_FORMAT, "'{{' without its end"},
        {"{{ a b }}", TL_ERR_FORMAT, "'b ' at the end of a tag"},
        /* In a branch that is not taken the grammar counts, and no name does. */
        {"{% if false %}{{ x | wordcount(y.z) }}{{ f(1) }}{% endif %}", TL_OK, ""},
        {"{% if false %}{{ 1 + }}{% endif %}", TL_ERR_FORMAT, "a name"},
    };
    json_t *none = json_object();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *made = NULL;
        tl_error err = {0};
        tl_arena *arena = tl_arena_create();
        const tl_status status =
            tl_jinja_render(cases[i].source, none, arena, &made, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s: %s, '%s', wanted '%s'", cases[i].source,
                     tl_status_name(status), err.text, cases[i].says);
        tl_arena_destroy(arena);
    }
    json_decref(none);
}

/* `before` n times, `middle`, `after` n times. */
static char *nest(tl_arena *arena, const char *before, const char *middle,
                  const char *after, size_t n)
{
    char *text = tl_arena_alloc_zero(
        arena, n * (strlen(before) + strlen(after)) + strlen(middle) + 1, 1);
    char *at = text;
    for (size_t i = 0; i < 2 * n + 1; i++) {
        const char *piece = i < n ? before : i == n ? middle : after;
        memcpy(at, piece, strlen(piece));
        at += strlen(piece);
    }
    return text;
}

/* A list that holds the last one twice, and so on: it is short, and endless to write or compare. */
static void what_is_in_a_value_is_counted_as_often_as_it_is_there(void **state)
{
    (void)state;
    static const char *const ends[] = {"{{ a | tojson }}", "{{ a == b }}",
                                       "{{ a in [b] }}"};
    tl_arena *arena = tl_arena_create();
    json_t *none = json_object();
    char *twice = nest(arena, "{% set a = [a, a] %}{% set b = [b, b] %}", "", "", 40);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char source[4096];
        const char *made = NULL;
        tl_error err = {0};
        snprintf(source, sizeof source, "{%% set a = [1] %%}{%% set b = [1] %%}%s%s",
                 twice, ends[i]);
        assert_int_equal(tl_jinja_render(source, none, arena, &made, &err),
                         TL_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "so much to compare"));
    }
    /* Whatever is cut off, the rest is not measured again; and there is an end to it. */
    char *comments = nest(arena, "{#--#}", "", "", 150000);
    const char *made = NULL;
    tl_error err = {0};
    assert_int_equal(tl_jinja_render(comments, none, arena, &made, &err), TL_OK);
    assert_int_equal(tl_jinja_render(nest(arena, "{#--#}", "", "", 200000), none, arena,
                                     &made, &err),
                     TL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "so long a template"));
    json_decref(none);
    tl_arena_destroy(arena);
}

static void a_template_has_its_limits(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    json_t *variables = json_pack("{s:[i, i, i, i, i, i, i, i, i, i]}", "l", 0, 1, 2, 3,
                                  4, 5, 6, 7, 8, 9);
    const char *const sources[] = {
        nest(arena, "{{ ", nest(arena, "(", "1", ")", 5000), " }}", 1),
        nest(arena, "{{ ", nest(arena, "[", "1", "]", 5000), " }}", 1),
        nest(arena, "{{ ", nest(arena, "not ", "1", "", 5000), " }}", 1),
        nest(arena, "{{ ", nest(arena, "-", "1", "", 5000), " }}", 1),
        nest(arena, "{{ ", nest(arena, "(", "1", " if x)", 90), " }}", 1),
        nest(arena, "{% if 1 %}", "x", "{% endif %}", 5000),
        nest(arena, "{% for x in l %}", "x", "{% endfor %}", 12),
        nest(arena, "{% set s = 'aaaaaaaaaaaaaaaa' %}",
             nest(arena, "{% set s = s + s %}", "{{ s }}", "", 60), "", 1),
        nest(arena, "{% set s = l %}", nest(arena, "{% set s = s + s %}", "", "", 60),
             "", 1),
        nest(arena, "{% set s = l %}",
             nest(arena, "{% set s = [s] %}", "{{ s | tojson }}", "", 20000), "", 1),
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        const char *made = NULL;
        tl_error err = {0};
        const tl_status status =
            tl_jinja_render(sources[i], variables, arena, &made, &err);
        if (status == TL_OK || status == TL_ERR_DATA)
            fail_msg("%zu: %s, '%s'", i, tl_status_name(status), err.text);
    }
    json_decref(variables);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_make_what_jinja2_makes),
        cmocka_unit_test(what_is_not_read_is_named),
        cmocka_unit_test(a_template_has_its_limits),
        cmocka_unit_test(what_is_in_a_value_is_counted_as_often_as_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
