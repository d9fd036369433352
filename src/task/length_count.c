/* SPDX-License-Identifier: MIT
 * length_count.c - see length_count.h. */
#include "task/length_count.h"

#include <stdlib.h>

static int by_kind(const void *a, const void *b)
{
    const tl_length_count *x = a, *y = b;
    if (x->no_part != y->no_part)
        return x->no_part - y->no_part;
    if (x->modality != y->modality)
        return (x->modality > y->modality) - (x->modality < y->modality);
    if (x->n != y->n)
        return (x->n < y->n) - (x->n > y->n);
    if (x->n_pos != y->n_pos)
        return (x->n_pos > y->n_pos) - (x->n_pos < y->n_pos);
    if (x->data_begin != y->data_begin)
        return (x->data_begin > y->data_begin) - (x->data_begin < y->data_begin);
    return (x->data_end > y->data_end) - (x->data_end < y->data_end);
}

static bool is_alike(const tl_length_count *a, const tl_length_count *b)
{
    return a->modality == b->modality && a->no_part == b->no_part &&
           a->n_pos == b->n_pos && a->data_begin == b->data_begin &&
           a->data_end == b->data_end;
}

void tl_length_count_add(tl_length_count *counts, size_t *n,
                         const tl_length_count *like)
{
    size_t i = 0;
    while (i < *n && !is_alike(&counts[i], like))
        i++;
    if (i < *n)
        counts[i].n++;
    else
        counts[(*n)++] = *like;
}

void tl_length_count_sort(tl_length_count *counts, size_t n)
{
    qsort(counts, n, sizeof *counts, by_kind);
}

tl_status tl_length_count_all(const tl_dataset *dataset, const tl_processor *processor,
                              tl_arena *arena, tl_length_count **counts, size_t *n,
                              tl_error *err)
{
    tl_length_count *made = tl_arena_alloc(arena, dataset->n_rows + 1, sizeof *made);
    if (made == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu lengths",
                       dataset->n_rows);
    *n = 0;
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t row = 0; row < dataset->n_rows; row++) {
        tl_encoding e;
        const tl_status status =
            tl_dataset_encode(dataset, row, processor, arena, &e, err);
        if (status != TL_OK)
            return status;
        const tl_dataset_row *r = &dataset->rows[row];
        const tl_length_count like = {
            r->modality, r->part == TL_NO_PART, e.n_pos, e.data_begin, e.data_end, 1};
        tl_length_count_add(made, n, &like);
        tl_arena_rewind(arena, mark);
    }
    tl_length_count_sort(made, *n);
    *counts = made;
    return TL_OK;
}

tl_status tl_length_count_print(const char *folder, const tl_processor *processor,
                                FILE *out, tl_error *err)
{
    tl_dataset *dataset = NULL;
    tl_length_count *counts = NULL;
    size_t n = 0;
    tl_status status = tl_dataset_open(folder, &dataset, err);
    if (status == TL_OK)
        status =
            tl_length_count_all(dataset, processor, dataset->arena, &counts, &n, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        fprintf(out, "%s: %zu prompts of %zu tokens, data [%zu,%zu)\n",
                counts[i].no_part && counts[i].modality == TL_TEXT
                    ? "parallel"
                    : tl_modality_name(counts[i].modality),
                counts[i].n, counts[i].n_pos, counts[i].data_begin, counts[i].data_end);
    tl_dataset_close(dataset);
    return status;
}
