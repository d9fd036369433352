/* SPDX-License-Identifier: MIT
 *
 * fuzz_tokenizer.c - any bytes as text, and as a tokenizer.json when they begin with '{':
 * encoded or refused; tokens inside the text.
 */
#include "fuzz.h"

#include "twinlens/tokenizer.h"

static void encode(const tl_tokenizer *tokenizer, const char *text, size_t bytes)
{
    tl_arena *arena = tl_arena_create();
    const tl_token *tokens = NULL;
    size_t count = 0;
    tl_error err = {0};
    if (tl_tokenizer_encode(tokenizer, text, bytes, arena, &tokens, &count, &err) ==
        TL_OK) {
        for (size_t i = 0; i < count; i++) {
            if (tokens[i].begin > tokens[i].end || tokens[i].end > bytes)
                abort();
            tl_tokenizer_text(tokenizer, tokens[i].id, arena);
        }
    }
    tl_arena_destroy(arena);
}

static void open_and_encode(const uint8_t *data, size_t bytes)
{
    static const char text[] = "a b  caf\xc3\xa9 e\xcc\x81 <s>  <mask>\n";
    char path[512];
    fuzz_write(path, "tokenizer.json", data, bytes);
    tl_tokenizer *tokenizer = NULL;
    tl_error err = {0};
    if (tl_tokenizer_open(path, &tokenizer, &err) == TL_OK)
        encode(tokenizer, text, sizeof text - 1);
    tl_tokenizer_close(tokenizer);
    remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const paths[] = {
        FUZZ_DATA "qwen2vl-tiny/checkpoint/tokenizer.json",
        FUZZ_DATA "tokenizer/gemma3-tiny.json", FUZZ_DATA "tokenizer/options.json",
        FUZZ_DATA "tokenizer_forms/llava_next_5_blanks.json",
        FUZZ_DATA "tokenizer_forms/nested.json", FUZZ_DATA "tokenizer_forms/nfkc.json"};
    enum { N_PATHS = sizeof paths / sizeof *paths };
    static tl_tokenizer *tokenizers[N_PATHS]; /* kept until the end of the process */
    if (bytes > 0 && data[0] == '{') {
        open_and_encode(data, bytes);
        return 0;
    }
    for (size_t i = 0; i < N_PATHS; i++) {
        if (tokenizers[i] == NULL &&
            tl_tokenizer_open(paths[i], &tokenizers[i], NULL) != TL_OK)
            abort();
        encode(tokenizers[i], (const char *)data, bytes);
    }
    return 0;
}
