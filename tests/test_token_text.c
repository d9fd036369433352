/* SPDX-License-Identifier: MIT
 *
 * test_token_text.c - one token decoded; what is no UTF-8 by itself becomes as many
 * U+FFFD as Python's bytes.decode(errors="replace") makes of it.
 */
#include "testing.h"

#include <string.h>

#include <utf8proc.h>

#include "input/pretokenize.h"
#include "input/token_text.h"

#define BROKEN "\xef\xbf\xbd"

/* Decodes with the decoder that `json` asks for. */
static void check_text(const char *json, const char *token, const char *want)
{
    tl_arena *arena = tl_arena_create();
    tl_pattern_set set = {.arena = arena};
    json_t *parsed = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(parsed);
    const tl_token_decoder *decoder = NULL;
    tl_error err = {0};
    if (tl_token_decoder_read(&set, parsed, &decoder, &err) != TL_OK)
        fail_msg("%s: %s", json, err.text);
    assert_string_equal(tl_token_decode(decoder, token, strlen(token), arena), want);
    tl_pattern_set_release(&set);
    json_decref(parsed);
    tl_arena_destroy(arena);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"a b", "a b"},
        {"\xe6\x97\xa5", "\xe6\x97\xa5"},
        {"\xe6\x97", BROKEN},
        {"\x97\xa5", BROKEN BROKEN},
        {"a\xf0\x9f\x99", "a" BROKEN},
        {"\xf0\x9f\x99z", BROKEN "z"},
        {"\xe2(\xa1", BROKEN "(" BROKEN},
        {"\xc0\x80", BROKEN BROKEN},
        {"\xe0\x80\x80", BROKEN BROKEN BROKEN},
        {"\xed\xa0\x80", BROKEN BROKEN BROKEN},
        {"\xf4\x90\x80\x80", BROKEN BROKEN BROKEN BROKEN},
        {"\xf1\x80\xc3\xa9", BROKEN "\xc3\xa9"},
        {"\xff", BROKEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char token[64];
        size_t n = 0;
        for (const char *at = cases[i].bytes; *at != '\0'; at++)
            n += (size_t)utf8proc_encode_char(tl_byte_level_encode((unsigned char)*at),
                                              (utf8proc_uint8_t *)token + n);
        token[n] = '\0';
        check_text("{\"type\":\"ByteLevel\"}", token, cases[i].want);
    }
}

static void each_decoder_undoes_its_encoding(void **state)
{
    (void)state;
    static const char gemma[] =
        "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"
        "\"String\":"
        "\"\xe2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},"
        "{\"type\":\"Fuse\"}]}";
    check_text(gemma, "\xe2\x96\x81\xe2\x96\x81the", "  the");
    check_text(gemma, "<0x41>", "A");
    check_text(gemma, "<0xe2>", BROKEN);
    check_text(gemma, "<0x4G>", "<0x4G>");
    check_text(gemma, "<0x41>a", "<0x41>a");
    check_text("{\"type\":\"ByteLevel\"}", "<|a b|>", "<|a b|>");
    check_text("null", "\xc4\xa0 <0x41>", "\xc4\xa0 <0x41>");
    check_text("null", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(each_decoder_undoes_its_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
