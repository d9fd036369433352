/* SPDX-License-Identifier: MIT
 *
 * test_pattern.c - what strings and expressions find, and which expressions are
 * refused because Oniguruma might read them otherwise.
 */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "input/pattern.h"
#include "twinlens/alloc.h"

/* "[match]between[match]" */
static void show(const char *text, const tl_match *matches, size_t count, char *out,
                 size_t room)
{
    size_t n = 0, end = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(matches[i].at.begin, end);
        end = matches[i].at.end;
        n += (size_t)snprintf(out + n, room - n, matches[i].matches ? "[%.*s]" : "%.*s",
                              (int)(end - matches[i].at.begin),
                              text + matches[i].at.begin);
        assert_true(n < room);
    }
    assert_int_equal(end, strlen(text));
}

static void matches_and_what_lies_between_cover_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *pattern, *text, *want;
    } cases[] = {
        {"String", "ab", "xababyab", "x[ab][ab]y[ab]"},
        {"String", "aa", "aaa", "[aa]a"},
        {"String", "abc", "ab", "ab"},
        {"String", ".", "a.b", "a[.]b"},
        {"String", "\xc3\xa9", "\xc3\xa8\xc3\xa9", "\xc3\xa8[\xc3\xa9]"},
        {"Regex", "\\s+", "a  b", "a[  ]b"},
        /* \s is White_Space, of which U+180E is no more and U+200B never was */
        {"Regex", "\\s", "\xc2\x85\xc2\xa0\xe3\x80\x80",
         "[\xc2\x85][\xc2\xa0][\xe3\x80\x80]"},
        {"Regex", "\\s", "\xe1\xa0\x8e\xe2\x80\x8b", "\xe1\xa0\x8e\xe2\x80\x8b"},
        {"Regex", "[^\\S ]", " \t\xe1\xa0\x8e", " [\t]\xe1\xa0\x8e"},
        {"Regex", "\\S+", "a\xe1\xa0\x8e b", "[a\xe1\xa0\x8e] [b]"},
        {"Regex", "\\s+(?!\\S)|\\s+", "a  b ", "a[ ][ ]b[ ]"},
        {"Regex", "(?i:'s)", "'s'S'\xc5\xbf's", "['s]['S]['\xc5\xbf]['s]"},
        {"Regex", "\\p{L}+|\\p{N}", "ab12\xe6\x97\xa5", "[ab][1][2][\xe6\x97\xa5]"},
        {"Regex", "\\d", "1\xd9\xa1\xc2\xbd", "[1][\xd9\xa1]\xc2\xbd"},
        {"Regex", "a{2}", "aaa", "[aa]a"},
        {"Regex", "[\\]a]", "]a", "[]][a]"},
        {"Regex", ".", "a\r\n\xc3\xa9", "[a][\r]\n[\xc3\xa9]"},
        {"Regex", "\\x{e9}", "\xc3\xa9", "[\xc3\xa9]"},
        /* an empty match counts unless it is right behind a match */
        {"Regex", "x*", "axxb", "[]a[xx]b[]"},
        {"Regex", "(?=b)", "abb", "a[]b[]b"},
        {"Regex", "a", "", ""},
        /* classes inside classes, and what && leaves of them */
        {"Regex", "[a[b]]+", "abc", "[ab]c"},
        {"Regex", "[^a[b]]", "abc", "ab[c]"},
        {"Regex", "[a-e&&[^b-d]]", "abde", "[a]bd[e]"},
        {"Regex", "[^a-e&&[b-d]]", "abde", "[a]bd[e]"},
        {"Regex", "[a-e&&b-z&&[^c]]+", "abcde", "a[b]c[de]"},
        {"Regex", "[[[x]y]^]+", "ax^y", "a[x^y]"},
        {"Regex", "[a&&^b]|[^&]", "&a", "&[a]"},
        {"Regex", "[\\p{L}&&[^\\p{Han}]]", "a\xe6\x97\xa5", "[a]\xe6\x97\xa5"},
        {"Regex", "(?i:x)[a[b]]", "Xb", "[Xb]"},
        /* not what Han shares with other scripts: U+300F */
        {"Regex", "\\p{Han}|\\p{^Latin}", "\xe3\x80\x8f", "[\xe3\x80\x8f]"},
        {"Regex", "\\p{Han}", "\xe3\x80\x8f\xe6\x97\xa5", "\xe3\x80\x8f[\xe6\x97\xa5]"},
        {"Regex", "\\A +| +\\z", "  a b ", "[  ]a b[ ]"},
        /* Unicode 15 and 16: a Han letter, a letter, a digit, a mark, a capital */
        {"Regex", "\\p{Han}", "\xf0\xb1\x8d\x90\xf0\xae\xaf\xb0",
         "[\xf0\xb1\x8d\x90][\xf0\xae\xaf\xb0]"},
        {"Regex", "\\p{L}|\\p{Nd}|\\p{M}",
         "\xf0\x96\xb5\x83.\xf0\x91\x9b\x90.\xe0\xa2\x97",
         "[\xf0\x96\xb5\x83].[\xf0\x91\x9b\x90].[\xe0\xa2\x97]"},
        {"Regex", "\\p{Lu}", "\xe1\xb2\x89\xe1\xb2\x8a", "[\xe1\xb2\x89]\xe1\xb2\x8a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_pattern_set set = {.arena = arena};
        json_t *json = json_pack("{ss}", cases[i].kind, cases[i].pattern);
        const tl_pattern *pattern = NULL;
        tl_error err = {0};
        tl_match *matches = NULL;
        size_t count = 0;
        if (tl_pattern_read(&set, json, &pattern, &err) != TL_OK ||
            tl_pattern_find(pattern, cases[i].text, strlen(cases[i].text), arena,
                            &matches, &count, &err) != TL_OK)
            fail_msg("%s: %s", cases[i].pattern, err.text);
        char got[100] = "";
        show(cases[i].text, matches, count, got, sizeof got);
        assert_string_equal(got, cases[i].want);
        tl_pattern_set_release(&set);
        json_decref(json);
        tl_arena_destroy(arena);
    }
}

static void what_two_engines_may_read_differently_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *expression;
        tl_status status;
        const char *reason;
    } cases[] = {
        {"\\w+", TL_ERR_UNSUPPORTED, "'\\w'"},
        {"a\\b", TL_ERR_UNSUPPORTED, "'\\b'"},
        {"[\\h]", TL_ERR_UNSUPPORTED, "'\\h'"},
        {"\\R", TL_ERR_UNSUPPORTED, "'\\R'"},
        {"\\1", TL_ERR_UNSUPPORTED, "'\\1'"},
        {"\\xe9", TL_ERR_UNSUPPORTED, "'\\x'"},
        {"a\\", TL_ERR_UNSUPPORTED, "escape"},
        {"\\p{L", TL_ERR_UNSUPPORTED, "'\\p'"},
        {"^a", TL_ERR_UNSUPPORTED, "'^'"},
        {"a$", TL_ERR_UNSUPPORTED, "'$'"},
        {"a{,2}", TL_ERR_UNSUPPORTED, "'{,'"},
        {"a{1,2}+", TL_ERR_UNSUPPORTED, "'}+'"},
        {"a{2}?", TL_ERR_UNSUPPORTED, "'{n}?'"},
        {"[[:alpha:]]", TL_ERR_UNSUPPORTED, "'[:'"},
        {"[a-[b]]", TL_ERR_UNSUPPORTED, "'-' beside a class"},
        {"[[b]-z]", TL_ERR_UNSUPPORTED, "'-' beside a class"},
        {"[a&&]", TL_ERR_UNSUPPORTED, "'&&'"},
        {"[&&a]", TL_ERR_UNSUPPORTED, "'&&'"},
        {"[a[]b]]", TL_ERR_UNSUPPORTED, "begins with ']'"},
        {"(?i:x|(?:[a[b]]))", TL_ERR_UNSUPPORTED, "case"},
        {"[a[\\w]]", TL_ERR_UNSUPPORTED, "'\\w'"},
        {"[\\A]", TL_ERR_UNSUPPORTED, "'\\A'"},
        {"a\\Z", TL_ERR_UNSUPPORTED, "'\\Z'"},
        {"[a[b]", TL_ERR_FORMAT, "without end"},
        {"[a\\]", TL_ERR_FORMAT, "without end"},
        {"[[[[[[[[[[a]]]]]]]]]]", TL_ERR_FORMAT, "too deep"},
        {"\\p{Alphabetic}", TL_ERR_FORMAT, "Alphabetic"},
        {"[]a]", TL_ERR_UNSUPPORTED, "class"},
        {"[^]a]", TL_ERR_UNSUPPORTED, "class"},
        {"(?m)a", TL_ERR_UNSUPPORTED, "'(?'"},
        {"(?<x>a)", TL_ERR_UNSUPPORTED, "'(?'"},
        {"(*UTF)a", TL_ERR_UNSUPPORTED, "'(?'"},
        {"[a", TL_ERR_FORMAT, "[a"},
        {"\\p{Nonsense}", TL_ERR_FORMAT, "Nonsense"},
        {"*a", TL_ERR_FORMAT, "*a"},
        {"a|\U0001fadc", TL_ERR_UNSUPPORTED, "Unicode 15"},
        {"a|\\x{1FADC}", TL_ERR_UNSUPPORTED, "Unicode 15"},
        {"[\\x{1fadc}b]", TL_ERR_UNSUPPORTED, "Unicode 15"},
        {"\\x{1F600}", TL_OK, ""},
        {"[^$^]{3}(?:a|(?=b)c|(?!d)|(?<=e)f|(?<!g)|(?>h)++)", TL_OK, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_pattern_set set = {.arena = arena};
        const tl_pattern *pattern = NULL;
        tl_error err = {0};
        const tl_status status =
            tl_pattern_compile(&set, cases[i].expression, &pattern, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].reason) == NULL)
            fail_msg("%s: %s: %s", cases[i].expression, tl_status_name(status),
                     err.text);
        assert_true((status == TL_OK) == (pattern != NULL));
        tl_pattern_set_release(&set);
        tl_arena_destroy(arena);
    }
    assert_int_equal(tl_alloc_live(), 0);
}

/* Catastrophic, if the text is long: PCRE2 counts its steps. */
static void a_pattern_that_gives_up_is_an_error(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_pattern_set set = {.arena = arena};
    const tl_pattern *pattern = NULL;
    tl_error err = {0};
    assert_int_equal(tl_pattern_compile(&set, "(?:a|aa)+[bc]", &pattern, &err), TL_OK);
    char text[200];
    memset(text, 'a', sizeof text);
    tl_match *matches = NULL;
    size_t count = 7;
    assert_int_equal(
        tl_pattern_find(pattern, text, sizeof text, arena, &matches, &count, &err),
        TL_ERR_DATA);
    assert_non_null(strstr(err.text, "gives up"));
    assert_int_equal(count, 7);
    tl_pattern_set_release(&set);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_and_what_lies_between_cover_the_text),
        cmocka_unit_test(what_two_engines_may_read_differently_is_refused),
        cmocka_unit_test(a_pattern_that_gives_up_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
