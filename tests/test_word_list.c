/* SPDX-License-Identifier: MIT
 * test_word_list.c - lists of words separated by commas. */
#include "testing.h"

#include <string.h>

#include "base/word_list.h"

static void a_list_has_no_empty_words(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    const char *const *words = NULL;
    size_t n = 0;
    tl_error err = {0};
    assert_int_equal(tl_word_list_split("a,bc,d", arena, &words, &n, &err), TL_OK);
    assert_int_equal(n, 3);
    assert_string_equal(words[0], "a");
    assert_string_equal(words[1], "bc");
    assert_string_equal(words[2], "d");
    static const char *const bad[] = {"", "a,,b", ",a", "a,"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        n = 17;
        assert_int_equal(tl_word_list_split(bad[i], arena, &words, &n, &err),
                         TL_ERR_ARGUMENT);
        assert_int_equal(n, 17);
        assert_non_null(strstr(err.text, "empty word"));
    }
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_no_empty_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
