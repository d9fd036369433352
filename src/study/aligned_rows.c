/* SPDX-License-Identifier: MIT
 * aligned_rows.c - see aligned_rows.h. */
#include "study/aligned_rows.h"

#include <math.h>

static tl_status read_pairs(tl_session *s, const tl_row_pairs *from, tl_parallel **out,
                            tl_error *err)
{
    tl_parallel *pairs = tl_arena_alloc(s->arena, from->n, sizeof *pairs);
    if (pairs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", from->n);
    tl_status status = TL_OK;
    for (size_t i = 0; i < from->n && status == TL_OK; i++)
        status = tl_session_parallel(s, &from->rows[i], s->arena, &pairs[i], err);
    *out = pairs;
    return status;
}

void tl_aligned_rows_fill(tl_study_alignment *rows, size_t n_layers, size_t i,
                          const tl_row_pair *of, const tl_alignment_values *values)
{
    for (size_t l = 0; l < n_layers; l++)
        rows[l] = (tl_study_alignment){
            .pair = i,
            .layer = l,
            .text_row = of->text,
            .image_row = of->image,
            .matched = values->matched[l],
            .other = values->other[l],
            .centred_matched =
                values->centred_matched != NULL ? values->centred_matched[l] : NAN,
            .centred_other =
                values->centred_other != NULL ? values->centred_other[l] : NAN};
}

tl_status tl_aligned_rows_run(tl_session *s, bool centred, tl_aligned_rows *out,
                              tl_error *err)
{
    const size_t n_layers = tl_model_dims(s->model)->n_layers;
    tl_aligned_rows a = {.n_other = 0};
    tl_parallel *pairs = NULL;
    tl_status status =
        tl_session_row_pairs(s, (tl_bp_filter)s->settings.bp_filter, &a.pairs, err);
    if (status == TL_OK)
        status = read_pairs(s, &a.pairs, &pairs, err);
    if (status != TL_OK)
        return status;
    tl_pairing_log(s, a.pairs.counts, a.pairs.length);
    const size_t n = a.pairs.n;
    a.rows = tl_arena_alloc(s->arena, n * n_layers, sizeof *a.rows);
    double *room = tl_arena_alloc(s->arena, 4 * n_layers, sizeof *room);
    size_t *others = tl_arena_alloc(s->arena, n, sizeof *others);
    if (a.rows == NULL || room == NULL || others == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    tl_row_pairs_others(s->dataset, &a.pairs, s->settings.seed, others);
    tl_alignment *alignment = NULL;
    status = tl_alignment_create(s->model, (tl_align)s->settings.align,
                                 s->settings.memory, &alignment, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_alignment_add(alignment, &pairs[i], err);
    tl_alignment_values values = {room, room + n_layers,
                                  centred ? room + 2 * n_layers : NULL,
                                  centred ? room + 3 * n_layers : NULL};
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const size_t j = others[i];
        const tl_parallel *other = j != TL_NO_PAIR ? &pairs[j] : NULL;
        a.n_other += other != NULL;
        status = tl_alignment_measure(alignment, i, &pairs[i], j, other, &values, err);
        if (status == TL_OK)
            tl_aligned_rows_fill(a.rows + i * n_layers, n_layers, i, &a.pairs.rows[i],
                                 &values);
    }
    tl_alignment_destroy(alignment);
    if (status == TL_OK)
        *out = a;
    return status;
}
