/* SPDX-License-Identifier: MIT
 * parallel.c - see parallel.h. */
#include "cli/parallel.h"

#include <stdlib.h>
#include <string.h>

/* A text row and the name of its pair. */
typedef struct named_row {
    const char *pair;
    size_t row;
} named_row;

static int by_pair(const void *a, const void *b)
{
    const named_row *x = a, *y = b;
    const int order = strcmp(x->pair, y->pair);
    return order != 0 ? order : (x->row > y->row) - (x->row < y->row);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named_row *)a)->pair, ((const named_row *)b)->pair);
}

tl_status tl_session_row_pairs(tl_session *s, tl_row_pair **pairs, size_t *count,
                               size_t *n_alone, tl_error *err)
{
    const tl_dataset *d = s->dataset;
    named_row *texts = tl_arena_alloc(s->arena, d->n_rows, sizeof *texts);
    tl_row_pair *list = tl_arena_alloc(s->arena, d->n_rows, sizeof *list);
    if (texts == NULL || list == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows", d->n_rows);
    size_t n_texts = 0, n = 0, alone = 0;
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].modality == TL_TEXT && d->rows[i].pair != NULL)
            texts[n_texts++] = (named_row){d->rows[i].pair, i};
    qsort(texts, n_texts, sizeof *texts, by_pair);
    for (size_t i = 0; i < d->n_rows; i++) {
        const tl_dataset_row *row = &d->rows[i];
        if (row->modality != TL_IMAGE)
            continue;
        const named_row key = {row->pair, i};
        const named_row *found =
            row->pair != NULL && n_texts > 0
                ? bsearch(&key, texts, n_texts, sizeof *texts, by_name)
                : NULL;
        if (found == NULL)
            alone++;
        else
            list[n++] = (tl_row_pair){found->row, i};
    }
    if (n == 0)
        return tl_fail(err, TL_ERR_DATA,
                       "%s: no image prompt has a text prompt of the same 'pair'",
                       d->path);
    *pairs = list;
    *count = n;
    *n_alone = alone;
    return TL_OK;
}

tl_status tl_session_parallel(tl_session *s, const tl_row_pair *rows, tl_arena *arena,
                              tl_parallel *out, tl_error *err)
{
    tl_encoding text, image;
    tl_status status = tl_session_input(s, rows->text, arena, &text, &out->text, err);
    if (status == TL_OK)
        status = tl_session_input(s, rows->image, arena, &image, &out->image, err);
    if (status != TL_OK)
        return status;
    out->text_span = (tl_span){text.n_pos, text.data_begin, text.data_end};
    out->image_span = (tl_span){image.n_pos, image.data_begin, image.data_end};
    out->text_ids = text.ids;
    return TL_OK;
}
