/*
 * fuzz_tokenizer.c - any bytes as text, and as a tokenizer.json: encoded or
 * refused, never a crash; tokens in order and inside the text.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined ... fuzz_tokenizer.c
 *     ./fuzz_tokenizer CORPUS tests/data/tokenizer
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "twinlens/tokenizer.h"

#define DATA TWINLENS_SOURCE_DIR "/tests/data/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

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
    static char path[64];
    if (path[0] == '\0')
        snprintf(path, sizeof path, "/tmp/fuzz_tokenizer.%d", (int)getpid());
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0)
        abort();
    tl_tokenizer *tokenizer = NULL;
    tl_error err = {0};
    if (tl_tokenizer_open(path, &tokenizer, &err) == TL_OK)
        encode(tokenizer, text, sizeof text - 1);
    tl_tokenizer_close(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const paths[] = {DATA "qwen2vl-tiny/checkpoint/tokenizer.json",
                                        DATA "tokenizer/gemma3-tiny.json",
                                        DATA "tokenizer/options.json"};
    enum { N_PATHS = sizeof paths / sizeof *paths };
    static tl_tokenizer *tokenizers[N_PATHS];
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
