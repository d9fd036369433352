/* SPDX-License-Identifier: MIT
 *
 * test_tokenizer_forms.c - the forms of tokenizer.json that the families' folders have, small
 * ones in tests/data/tokenizer_forms: ids and offsets as the tokenizers library gives them
 * (tokenizer_forms.py), for the recorded texts, and for 10 000 random ones where a Python has
 * that library.
 *
 *     test_tokenizer_forms tokenizer.json < TEXTS
 *
 * reads a JSON list of texts and prints a line of [[id, begin, end], ...] for each.
 */
#include "testing.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "twinlens/alloc.h"
#include "twinlens/tokenizer.h"

#define FORMS TWINLENS_SOURCE_DIR "/tests/data/tokenizer_forms/"

/* --- the program ------------------------------------------------------------------ */

static int print_tokens(const tl_tokenizer *tokenizer, const json_t *text)
{
    tl_arena *arena = tl_arena_create();
    const tl_token *tokens = NULL;
    size_t count = 0;
    tl_error err = {0};
    const tl_status status =
        tl_tokenizer_encode(tokenizer, json_string_value(text),
                            json_string_length(text), arena, &tokens, &count, &err);
    if (status != TL_OK)
        fprintf(stderr, "%s\n", err.text);
    putchar('[');
    for (size_t i = 0; i < count; i++)
        printf("%s[%d,%zu,%zu]", i > 0 ? "," : "", (int)tokens[i].id, tokens[i].begin,
               tokens[i].end);
    puts("]");
    tl_arena_destroy(arena);
    return status != TL_OK;
}

static int print_all(const char *path)
{
    tl_tokenizer *tokenizer = NULL;
    tl_error err = {0};
    json_t *texts = json_loadf(stdin, JSON_ALLOW_NUL, NULL);
    int failed = texts == NULL;
    if (failed)
        fprintf(stderr, "no list of texts on standard input\n");
    if (!failed && tl_tokenizer_open(path, &tokenizer, &err) != TL_OK) {
        fprintf(stderr, "%s\n", err.text);
        failed = 1;
    }
    for (size_t i = 0; !failed && i < json_array_size(texts); i++)
        failed = print_tokens(tokenizer, json_array_get(texts, i));
    tl_tokenizer_close(tokenizer);
    json_decref(texts);
    return failed;
}

/* --- the tests ---------------------------------------------------------------------- */

static int64_t integer(const json_t *array, size_t i)
{
    return (int64_t)json_integer_value(json_array_get(array, i));
}

/* `want` is a list of ids, or of [id, begin, end]. */
static void check_text(const tl_tokenizer *tokenizer, const char *name,
                       const json_t *text, const json_t *want)
{
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    const tl_token *tokens = NULL;
    size_t count = 0;
    const char *words = json_string_value(text);
    if (tl_tokenizer_encode(tokenizer, words, json_string_length(text), arena, &tokens,
                            &count, &err) != TL_OK)
        fail_msg("%s: '%s': %s", name, words, err.text);
    if (count != json_array_size(want))
        fail_msg("%s: '%s': %zu tokens, wanted %zu", name, words, count,
                 json_array_size(want));
    for (size_t i = 0; i < count; i++) {
        const json_t *w = json_array_get(want, i);
        const int64_t id = json_is_array(w) ? integer(w, 0) : integer(want, i);
        if (tokens[i].id != id)
            fail_msg("%s: '%s': token %zu is %d, wanted %d", name, words, i,
                     (int)tokens[i].id, (int)id);
        if (json_is_array(w) && (tokens[i].begin != (size_t)integer(w, 1) ||
                                 tokens[i].end != (size_t)integer(w, 2)))
            fail_msg("%s: '%s': token %zu is at %zu-%zu, wanted %d-%d", name, words, i,
                     tokens[i].begin, tokens[i].end, (int)integer(w, 1),
                     (int)integer(w, 2));
    }
    tl_arena_destroy(arena);
}

static tl_tokenizer *open_form(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, FORMS "%s", name);
    tl_tokenizer *tokenizer = NULL;
    tl_error err = {0};
    if (tl_tokenizer_open(path, &tokenizer, &err) != TL_OK)
        fail_msg("%s", err.text);
    return tokenizer;
}

static json_t *read_golden(void)
{
    json_error_t problem;
    json_t *golden = json_load_file(FORMS "golden.json", JSON_ALLOW_NUL, &problem);
    if (golden == NULL)
        fail_msg("golden.json: %s", problem.text);
    return golden;
}

static void every_form_gives_the_recorded_ids(void **state)
{
    (void)state;
    json_t *golden = read_golden();
    const json_t *texts = json_object_get(golden, "texts");
    const json_t *list = json_object_get(golden, "golden");
    assert_true(json_array_size(list) > 20 && json_array_size(texts) > 200);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(one, "tokenizer"));
        const json_t *want = json_object_get(one, "tokens");
        assert_int_equal(json_array_size(want), json_array_size(texts));
        tl_tokenizer *tokenizer = open_form(name);
        for (size_t t = 0; t < json_array_size(texts); t++)
            check_text(tokenizer, name, json_array_get(texts, t),
                       json_array_get(want, t));
        tl_tokenizer_close(tokenizer);
    }
    json_decref(golden);
}

/* Opens and encodes; anything but NO_MEMORY is an error. */
static tl_status open_and_encode(const char *name)
{
    static const char text[] = "  nai\xcc\x88ve <image>12 caf\xc3\xa9\xf0\x9f\x99\x82\n"
                               "\xe2\x91\xa0 \xf0\x96\xb5\x83";
    char path[1024];
    snprintf(path, sizeof path, FORMS "%s", name);
    tl_tokenizer *tokenizer = NULL;
    tl_arena *arena = tl_arena_create();
    const tl_token *tokens = NULL;
    size_t count = 0;
    tl_error err = {0};
    tl_status status = arena == NULL ? TL_ERR_NO_MEMORY : TL_OK;
    if (status == TL_OK)
        status = tl_tokenizer_open(path, &tokenizer, &err);
    if (status == TL_OK)
        status = tl_tokenizer_encode(tokenizer, text, sizeof text - 1, arena, &tokens,
                                     &count, &err);
    if (status == TL_OK && tl_tokenizer_text(tokenizer, 300, arena) == NULL)
        status = TL_ERR_NO_MEMORY;
    tl_tokenizer_close(tokenizer);
    tl_arena_destroy(arena);
    return status;
}

static void a_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"metaspace_old.json",
                                        "metaspace_after_split.json",
                                        "llava_next_5_blanks.json",
                                        "smolvlm.json",
                                        "nested.json",
                                        "nfkc.json"};
    const size_t live = tl_alloc_live();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (long long n = 0;; n++) {
            tl_alloc_fail_at(n);
            const tl_status status = open_and_encode(names[i]);
            const bool hit = tl_alloc_fault_hit() != 0;
            tl_alloc_fail_at(-1);
            if (tl_alloc_live() != live)
                fail_msg("%s: allocation %d fails: %zu blocks leak", names[i], (int)n,
                         tl_alloc_live() - live);
            if (status != TL_OK && (!hit || status != TL_ERR_NO_MEMORY))
                fail_msg("%s: allocation %d fails: %s", names[i], (int)n,
                         tl_status_name(status));
            if (!hit)
                break;
        }
    }
}

/* A Python that has the tokenizers library, or NULL. */
static const char *find_python(void)
{
    static const char *const others[] = {"python3",
                                         TWINLENS_SOURCE_DIR "/build/venv/bin/python"};
    const char *named = getenv("TWINLENS_TOKENIZERS_PYTHON");
    if (named != NULL)
        return named;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char command[1024];
        snprintf(command, sizeof command, "%s -c 'import tokenizers' 2> /dev/null",
                 others[i]);
        if (system(command) == 0)
            return others[i];
    }
    return NULL;
}

static const char *own_path;

static void ten_thousand_random_texts_give_the_librarys_ids(void **state)
{
    (void)state;
    const char *python = find_python();
    if (python == NULL) {
        print_message("skipped: no Python with the tokenizers package "
                      "(TWINLENS_TOKENIZERS_PYTHON names one)\n");
        skip();
    }
    char command[2048];
    snprintf(command, sizeof command,
             "%s '" TWINLENS_SOURCE_DIR "/tests/parity/tokenizer_forms.py' live '%s'",
             python, own_path);
    assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return print_all(argv[1]);
    own_path = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_gives_the_recorded_ids),
        cmocka_unit_test(a_failing_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(ten_thousand_random_texts_give_the_librarys_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
