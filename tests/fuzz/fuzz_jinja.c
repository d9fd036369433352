/* SPDX-License-Identifier: MIT
 *
 * fuzz_jinja.c - any bytes as the chat template of a folder, rendered with a conversation: a text,
 * the same text again, or refused with a reason.
 */
#include "fuzz.h"

#include <jansson.h>

#include "input/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    json_t *variables =
        json_pack("{s:[{s:s, s:[{s:s, s:s}]}, {s:s, s:[{s:s}, {s:s, s:s}]}], s:b, s:n, "
                  "s:s, s:{s:i}, "
                  "s:[s, i, n]}",
                  "messages", "role", "system", "content", "type", "text", "text",
                  "Be brief.", "role", "user", "content", "type", "image", "type",
                  "text", "text", " H\u00e4? \n", "add_generation_prompt", 1, "tools",
                  "bos_token", "<s>", "d", "a", 1, "l", "x", 2);
    char *source = malloc(bytes + 1);
    if (variables == NULL || source == NULL)
        abort();
    memcpy(source, data, bytes);
    source[bytes] = '\0';
    const char *made[2] = {NULL, NULL};
    tl_status status[2];
    tl_arena *arena = tl_arena_create();
    for (int i = 0; i < 2; i++) {
        tl_error err = {0};
        status[i] = tl_jinja_render(source, variables, arena, &made[i], &err);
        if ((status[i] == TL_OK) != (made[i] != NULL) ||
            (status[i] != TL_OK && err.text[0] == '\0'))
            abort();
    }
    /* strftime_now() may tell another second. */
    if (status[0] != status[1] ||
        (status[0] == TL_OK && strcmp(made[0], made[1]) != 0 &&
         strstr(source, "strftime_now") == NULL))
        abort();
    tl_arena_destroy(arena);
    free(source);
    json_decref(variables);
    return 0;
}
