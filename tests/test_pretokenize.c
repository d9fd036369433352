/* SPDX-License-Identifier: MIT
 *
 * test_pretokenize.c - which words a text is cut into, as the tokenizers library
 * documents it; and the alphabet that bytes are written in.
 */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "input/pretokenize.h"

/* The words of `text`, with | behind each. */
static void words_of(const char *json, const char *text, char *out, size_t room)
{
    tl_arena *arena = tl_arena_create();
    tl_pattern_set set = {.arena = arena};
    json_t *parsed = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(parsed);
    const tl_pretokenizer *pretokenizer = NULL;
    tl_pieces pieces;
    tl_error err = {0};
    tl_status status = tl_pretokenizer_read(&set, parsed, &pretokenizer, &err);
    if (status == TL_OK)
        status = tl_pieces_from_text(text, strlen(text), arena, &pieces, &err);
    if (status == TL_OK)
        status = tl_pretokenizer_apply(pretokenizer, &pieces, &pieces, &err);
    if (status != TL_OK)
        fail_msg("%s: %s", json, err.text);
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < pieces.count; i++) {
        const tl_span at = pieces.list[i].at;
        n += (size_t)snprintf(out + n, room - n, "%.*s|", (int)(at.end - at.begin),
                              pieces.text + at.begin);
        assert_true(n < room);
    }
    tl_pattern_set_release(&set);
    json_decref(parsed);
    tl_arena_destroy(arena);
}

static void each_behavior_cuts_in_its_own_way(void **state)
{
    (void)state;
    static const struct {
        const char *behavior;
        bool invert;
        const char *text, *want;
    } cases[] = {
        {"Removed", false, "the-final--countdown", "the|final|countdown|"},
        {"Isolated", false, "the-final--countdown", "the|-|final|-|-|countdown|"},
        {"MergedWithPrevious", false, "the-final--countdown",
         "the-|final-|-|countdown|"},
        {"MergedWithNext", false, "the-final--countdown", "the|-final|-|-countdown|"},
        {"Contiguous", false, "the-final--countdown", "the|-|final|--|countdown|"},
        {"Removed", false, "-", ""},
        {"Isolated", false, "-a", "-|a|"},
        {"MergedWithPrevious", false, "--a-", "-|-|a-|"},
        {"MergedWithNext", false, "-a--", "-a|-|-|"},
        {"Contiguous", false, "--a", "--|a|"},
        {"Removed", true, "a-b", "-|"},
        {"MergedWithPrevious", true, "a-b--c", "a|-b|-|-c|"},
        {"MergedWithNext", true, "a-b--c", "a-|b-|-|c|"},
        {"Contiguous", true, "a-b--c", "a|-|b|--|c|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[200], got[200];
        snprintf(
            json, sizeof json,
            "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"%s\","
            "\"invert\":%s}",
            cases[i].behavior, cases[i].invert ? "true" : "false");
        words_of(json, cases[i].text, got, sizeof got);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s%s of '%s': '%s', wanted '%s'",
                     cases[i].invert ? "inverted " : "", cases[i].behavior,
                     cases[i].text, got, cases[i].want);
    }
}

static void byte_level_writes_bytes_as_letters(void **state)
{
    (void)state;
    static const struct {
        const char *options, *text, *want;
    } cases[] = {
        {"\"add_prefix_space\":false,\"use_regex\":false", "a \xc3\xa9\n",
         "a\xc4\xa0\xc3\x83\xc2\xa9\xc4\x8a|"},
        {"\"add_prefix_space\":false", "it's  12",
         "it|'s|\xc4\xa0|\xc4\xa0"
         "12|"},
        {"\"add_prefix_space\":true", "a b",
         "\xc4\xa0"
         "a|\xc4\xa0"
         "b|"},
        {"\"add_prefix_space\":true", " a",
         "\xc4\xa0"
         "a|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[200], got[200];
        snprintf(json, sizeof json, "{\"type\":\"ByteLevel\",%s}", cases[i].options);
        words_of(json, cases[i].text, got, sizeof got);
        assert_string_equal(got, cases[i].want);
    }
}

static void a_sequence_cuts_the_pieces_of_the_step_before(void **state)
{
    (void)state;
    char got[200];
    words_of("null", "a-b c", got, sizeof got);
    assert_string_equal(got, "a-b c|");
    words_of(
        "{\"type\":\"Sequence\",\"pretokenizers\":["
        "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"Removed\"},"
        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a+\"},\"behavior\":\"Isolated\"}]"
        "}",
        "ba-aab", got, sizeof got);
    assert_string_equal(got, "b|a|aa|b|");
}

static void the_byte_alphabet_is_one_to_one(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        const int32_t code = tl_byte_level_encode((unsigned char)byte);
        assert_int_equal(tl_byte_level_decode(code), byte);
        assert_true(code > ' ' && code != 0x7f && code != 0xad && code < 0x144);
    }
    assert_int_equal(tl_byte_level_encode(' '), 0x120);
    assert_int_equal(tl_byte_level_encode(0xad), 0x143);
    assert_int_equal(tl_byte_level_decode(' '), -1);
    assert_int_equal(tl_byte_level_decode(0xad), -1);
    assert_int_equal(tl_byte_level_decode(0x144), -1);
    assert_int_equal(tl_byte_level_decode(-1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_behavior_cuts_in_its_own_way),
        cmocka_unit_test(byte_level_writes_bytes_as_letters),
        cmocka_unit_test(a_sequence_cuts_the_pieces_of_the_step_before),
        cmocka_unit_test(the_byte_alphabet_is_one_to_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
