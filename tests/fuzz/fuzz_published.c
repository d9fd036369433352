/* SPDX-License-Identifier: MIT
 *
 * fuzz_published.c - any bytes as the published tables of a task: the first byte chooses task
 * and model, the table of images stands behind a line "---". Rows, or refused.
 */
#include "fuzz.h"

#include "task/published_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes == 0)
        return 0;
    char words[512], images[512];
    const uint8_t *second = NULL;
    size_t n_second = 0;
    const size_t n_first = fuzz_cut(data + 1, bytes - 1, &second, &n_second);
    const tl_published_source source = {
        .csv = {[TL_TEXT] = fuzz_write(words, "text.csv", data + 1, n_first),
                [TL_IMAGE] = fuzz_write(images, "image.csv", second, n_second)},
        .family = (tl_published_family)(data[0] % TL_PUBLISHED_FAMILIES),
        .task = (tl_task)(data[0] / TL_PUBLISHED_FAMILIES % TL_TASKS)};
    tl_published_rows rows[TL_MODALITY_COUNT] = {0};
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    if (tl_published_rows_read(&source, arena, rows, &err) != TL_OK &&
        err.text[0] == '\0')
        abort();
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t i = 0; i < rows[m].n; i++)
            if (rows[m].items[i].answer == NULL || rows[m].n_right > rows[m].n)
                abort();
    tl_arena_destroy(arena);
    remove(words);
    remove(images);
    return 0;
}
