/* SPDX-License-Identifier: MIT
 *
 * fuzz_dataset.c - any bytes as dataset.jsonl and, behind a line "---", as task.json: rows
 * that can be found by their ids and encoded, or refused.
 */
#include "fuzz.h"

#include "twinlens/dataset.h"

static const tl_processor *tiny_processor(void)
{
    static tl_processor *processor; /* kept until the end of the process */
    if (processor == NULL && tl_processor_open(FUZZ_DATA "qwen2vl-tiny/checkpoint", 640,
                                               &processor, NULL) != TL_OK)
        abort();
    return processor;
}

static void use_row(const tl_dataset *dataset, size_t row, tl_arena *arena)
{
    const tl_dataset_row *r = &dataset->rows[row];
    const int32_t *ids = NULL;
    size_t n_ids = 0;
    int32_t answer = -1, other = -1;
    tl_encoding encoding = {0};
    if (tl_dataset_find(dataset, r->id) != row)
        abort();
    tl_dataset_answer_id(dataset, row, tiny_processor(), &answer, NULL);
    tl_dataset_label_ids(dataset, row, tiny_processor(), arena, &ids, &n_ids, NULL);
    if (r->counterfactual != TL_NO_ROW &&
        tl_dataset_pair_ids(dataset, row, r->counterfactual, tiny_processor(), &answer,
                            &other, NULL) == TL_OK &&
        answer == other)
        abort();
    /* Pictures are fuzz_image's. */
    if (r->image_path == NULL &&
        tl_dataset_encode(dataset, row, tiny_processor(), arena, &encoding, NULL) ==
            TL_OK &&
        (encoding.data_begin >= encoding.data_end ||
         encoding.data_end > encoding.n_pos))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    enum { MAX_ROWS = 64 };
    char rows[512], task[512];
    const uint8_t *second = NULL;
    size_t n_second = 0;
    const size_t n_first = fuzz_cut(data, bytes, &second, &n_second);
    fuzz_write(rows, "dataset.jsonl", data, n_first);
    fuzz_write(task, "task.json", second, n_second);
    if (n_second == 0)
        remove(task);
    tl_dataset *dataset = NULL;
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    if (tl_dataset_open(fuzz_folder(), &dataset, &err) == TL_OK) {
        for (size_t i = 0; i < dataset->n_rows && i < MAX_ROWS; i++)
            use_row(dataset, i, arena);
    } else if (dataset != NULL || err.text[0] == '\0')
        abort();
    tl_arena_destroy(arena);
    tl_dataset_close(dataset);
    remove(rows);
    remove(task);
    return 0;
}
