/* SPDX-License-Identifier: MIT
 *
 * test_normalize.c - the forms of Unicode against those of utf8proc, which shares the
 * tables but not the algorithm; and where each byte says that it comes from.
 */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "input/normalize.h"

/* Characters of Unicode 9 that compose, decompose and change places. */
static const struct {
    int32_t first, last;
} ranges[] = {
    {0x20, 0x17f},      {0x300, 0x345},     {0x300, 0x345},     {0x41, 0x5a},
    {0x915, 0x95f},     {0x9be, 0x9d7},     {0xb3c, 0xb57},     {0xdca, 0xddf},
    {0xf71, 0xf84},     {0x1100, 0x1112},   {0x1161, 0x1175},   {0x11a7, 0x11c2},
    {0xac00, 0xac40},   {0x1e00, 0x1eff},   {0x1f00, 0x1fbc},   {0x212a, 0x212b},
    {0x3099, 0x309a},   {0x304b, 0x3062},   {0xfb1d, 0xfb4e},   {0x1d15e, 0x1d166},
    {0x11131, 0x11134}, {0x2f800, 0x2f810}, {0x110ba, 0x110ba}, {0x5b0, 0x5bc},
    {0xfb00, 0xfb06},   {0x2460, 0x24ff},   {0x3380, 0x33df},   {0xfdf2, 0xfdfb},
    {0xff01, 0xffbe},
};
enum { N_RANGES = sizeof ranges / sizeof *ranges };

static size_t below(size_t n, uint32_t *state)
{
    const double unit = ((double)test_uniform(state) + 1.0) / 2.0;
    return (size_t)(unit * (double)n);
}

static size_t random_text(char *text, size_t n_characters, uint32_t *state)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n_characters; i++) {
        const size_t r = below(N_RANGES, state);
        const size_t width = (size_t)(ranges[r].last - ranges[r].first + 1);
        const int32_t code = ranges[r].first + (int32_t)below(width, state);
        bytes += (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)text + bytes);
    }
    text[bytes] = '\0';
    return bytes;
}

/* `text` under the normalizer `json`. */
static tl_pieces normalize(const char *json, const char *text, tl_arena *arena)
{
    tl_pattern_set set = {.arena = arena};
    json_t *parsed = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(parsed);
    const tl_normalizer *normalizer = NULL;
    tl_pieces pieces;
    tl_error err = {0};
    tl_status status = tl_normalizer_read(&set, parsed, &normalizer, &err);
    if (status == TL_OK)
        status = tl_pieces_from_text(text, strlen(text), arena, &pieces, &err);
    if (status == TL_OK)
        status = tl_normalizer_apply(normalizer, &pieces, &pieces, &err);
    if (status != TL_OK)
        fail_msg("%s", err.text);
    tl_pattern_set_release(&set);
    json_decref(parsed);
    return pieces;
}

typedef utf8proc_uint8_t *form_function(const utf8proc_uint8_t *text);
static const struct {
    const char *json;
    form_function *function;
} forms[] = {{"{\"type\": \"NFC\"}", utf8proc_NFC},
             {"{\"type\": \"NFD\"}", utf8proc_NFD},
             {"{\"type\": \"NFKC\"}", utf8proc_NFKC},
             {"{\"type\": \"NFKD\"}", utf8proc_NFKD}};
enum { N_FORMS = sizeof forms / sizeof *forms };
static const char nfc[] = "{\"type\": \"NFC\"}";

static void the_forms_are_those_of_unicode(void **state)
{
    (void)state;
    uint32_t seed = 20240607u;
    for (int round = 0; round < 40000; round++) {
        char text[400];
        random_text(text, 1 + below(60, &seed), &seed);
        tl_arena *arena = tl_arena_create();
        const size_t form = (size_t)round % N_FORMS;
        const tl_pieces got = normalize(forms[form].json, text, arena);
        utf8proc_uint8_t *want = forms[form].function((const utf8proc_uint8_t *)text);
        if (got.bytes != strlen((char *)want) || memcmp(got.text, want, got.bytes) != 0)
            fail_msg("round %d: %s of '%s' is '%.*s', wanted '%s'", round,
                     forms[form].json, text, (int)got.bytes, got.text, (char *)want);
        free(want);
        tl_arena_destroy(arena);
    }
}

static void every_byte_comes_from_a_character_and_in_order(void **state)
{
    (void)state;
    uint32_t seed = 7u;
    for (int round = 0; round < 10000; round++) {
        char text[400];
        const size_t bytes = random_text(text, 1 + below(60, &seed), &seed);
        tl_arena *arena = tl_arena_create();
        const tl_pieces got =
            normalize(forms[(size_t)round % N_FORMS].json, text, arena);
        tl_span last = {0, 0};
        for (size_t i = 0; i < got.bytes; i++) {
            const tl_span at = got.origin[i];
            assert_true(at.begin < at.end && at.end <= bytes);
            assert_int_equal(at.end - at.begin, tl_utf8_length(text + at.begin));
            assert_true(at.begin >= last.begin);
            last = at;
        }
        tl_arena_destroy(arena);
    }
}

static void each_step_keeps_the_origins(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text, *want;
        size_t begin[8]; /* of the origin of each character */
    } cases[] = {
        {nfc, "e\xcc\x81x", "\xc3\xa9x", {0, 3}},
        {nfc, "xe\xcc\xa3\xcc\x82", "x\xe1\xbb\x87", {0, 1}},
        {nfc,
         "\xe0\xa5\x98x",
         "\xe0\xa4\x95\xe0\xa4\xbcx",
         {0, 0, 3}}, /* stays apart */
        {nfc, "\xe2\x84\xab", "\xc3\x85", {0}},
        {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"  \"},\"content\":\"_-\"}",
         "a   b",
         "a_- b",
         {0, 2, 2, 3, 4}},
        {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"b\"},\"content\":\"\"}",
         "abc",
         "ac",
         {0, 2}},
        {"{\"type\":\"Prepend\",\"prepend\":\"_-\"}",
         "\xc3\xa9x",
         "_-\xc3\xa9x",
         {0, 0, 0, 2}},
        {"{\"type\":\"Prepend\",\"prepend\":\"_\"}", "", "", {0}},
        {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},"
         "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xc3\xa9\"},\"content\":\"E!"
         "\"}]}",
         "e\xcc\x81x",
         "E!x",
         {0, 0, 3}},
        {"null", "e\xcc\x81", "e\xcc\x81", {0, 1}},
        {"{\"type\":\"NFD\"}", "x\xc3\xa9", "xe\xcc\x81", {0, 1, 1}},
        {"{\"type\":\"NFKC\"}", "\xef\xac\x81x", "fix", {0, 0, 3}},
        {"{\"type\":\"NFKC\"}", "\xc2\xa0\xe3\x8b\xbf", " \xe3\x8b\xbf", {0, 2}},
        {"{\"type\":\"NFKD\"}", "\xe2\x91\xa0\xc3\xa5", "1a\xcc\x8a", {0, 3, 3}},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\"_-\"}",
         "a   b",
         "a_-b",
         {0, 3, 3, 4}},
        /* U+1DF6 and U+11938 are younger than the tables that tokenizers has */
        {nfc, "a\xe1\xb7\xb6\xcc\xa3", "a\xe1\xb7\xb6\xcc\xa3", {0, 1, 4}},
        {nfc, "\xc3\x80\xf0\x91\xa4\xb8", "\xc3\x80\xf0\x91\xa4\xb8", {0, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        const tl_pieces got = normalize(cases[i].json, cases[i].text, arena);
        if (got.bytes != strlen(cases[i].want) ||
            (got.bytes > 0 && memcmp(got.text, cases[i].want, got.bytes) != 0))
            fail_msg("case %zu: '%.*s', wanted '%s'", i, (int)got.bytes, got.text,
                     cases[i].want);
        size_t character = 0;
        for (size_t at = 0; at < got.bytes;
             at += tl_utf8_length(got.text + at), character++) {
            if (got.origin[at].begin != cases[i].begin[character])
                fail_msg("case %zu: character %zu comes from %zu, wanted %zu", i,
                         character, got.origin[at].begin, cases[i].begin[character]);
        }
        tl_arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_forms_are_those_of_unicode),
        cmocka_unit_test(every_byte_comes_from_a_character_and_in_order),
        cmocka_unit_test(each_step_keeps_the_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
