/* SPDX-License-Identifier: MIT
 * word_list.c - see word_list.h. */
#include "base/word_list.h"

#include <string.h>

tl_status tl_word_list_split(const char *text, tl_arena *arena,
                             const char *const **words, size_t *count, tl_error *err)
{
    size_t n = 1;
    for (const char *c = text; *c != '\0'; c++)
        n += *c == ',';
    const char **list = tl_arena_alloc(arena, n, sizeof *list);
    char *copy = tl_arena_strdup(arena, text);
    if (list == NULL || copy == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a list of %zu words", n);
    for (size_t i = 0; i < n; i++) {
        list[i] = copy;
        const size_t length = strcspn(copy, ",");
        copy[length] = '\0';
        copy += length + 1;
        if (list[i][0] == '\0')
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "'%s' has an empty word between its commas", text);
    }
    *words = list;
    *count = n;
    return TL_OK;
}
