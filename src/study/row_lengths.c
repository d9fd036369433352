/* SPDX-License-Identifier: MIT
 * row_lengths.c - see row_lengths.h. */
#include "study/row_lengths.h"

#include <stdio.h>

#include "task/length_count.h"
#include "twinlens/log.h"

/* As soon as one row of a modality has a part, no circuit is of those without. */
static bool has_parts(const tl_dataset *d, tl_modality modality)
{
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].modality == modality &&
            (d->rows[i].part == TL_DISCOVERY || d->rows[i].part == TL_EVALUATION))
            return true;
    return false;
}

static bool is_like(const tl_span *a, const tl_span *b)
{
    return a->n_pos == b->n_pos && a->data_begin == b->data_begin &&
           a->data_end == b->data_end;
}

tl_status tl_row_lengths_count(const tl_dataset *d, tl_modality modality,
                               const tl_span *spans, tl_arena *arena,
                               tl_row_lengths *out, tl_error *err)
{
    const bool given = has_parts(d, modality);
    tl_row_lengths l = {.one_length = true, .first = TL_NO_ROW, .other = TL_NO_ROW};
    tl_length_count *counts = tl_arena_alloc(arena, d->n_rows + 1, sizeof *counts);
    size_t n_counts = 0;
    l.is_other = tl_arena_alloc_zero(arena, d->n_rows, sizeof *l.is_other);
    if (counts == NULL || l.is_other == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu lengths", d->n_rows);
    for (size_t i = 0; i < d->n_rows; i++) {
        const tl_dataset_row *r = &d->rows[i];
        const tl_span *s = &spans[i];
        if (r->modality != modality || r->part == TL_NO_PART ||
            (given && r->part == TL_PART_NONE))
            continue;
        l.first = l.first == TL_NO_ROW ? i : l.first;
        if (l.other == TL_NO_ROW && !is_like(s, &spans[l.first]))
            l.other = i;
        l.one_length = l.one_length && s->n_pos == spans[l.first].n_pos;
        l.n_rows++;
        tl_length_count_add(counts, &n_counts,
                            &(tl_length_count){modality, false, s->n_pos, s->data_begin,
                                               s->data_end, 1});
    }
    if (n_counts > 0) {
        tl_length_count_sort(counts, n_counts);
        l.most = (tl_span){counts[0].n_pos, counts[0].data_begin, counts[0].data_end};
        l.n_alike = counts[0].n;
    }
    for (size_t i = 0; i < d->n_rows; i++) {
        const size_t cf = d->rows[i].counterfactual;
        if (d->rows[i].modality == modality)
            l.is_other[i] = !is_like(&spans[i], &l.most) ||
                            (cf != TL_NO_ROW && !is_like(&spans[cf], &l.most));
    }
    *out = l;
    return TL_OK;
}

void tl_row_lengths_offer(const tl_session *s, tl_modality modality,
                          const tl_row_lengths *l, char text[256])
{
    snprintf(
        text, 256,
        "%zu of %zu %s prompts have %zu tokens, data [%zu,%zu): --length commonest "
        "leaves the others out%s",
        l->n_alike, l->n_rows, tl_modality_name(modality), l->most.n_pos,
        l->most.data_begin, l->most.data_end,
        modality == TL_IMAGE && !l->one_length && s->dataset->image_width == 0
            ? "; 'image_size' in task.json gives all images one shape"
            : "");
}

tl_status tl_row_lengths_refuse(const tl_session *s, tl_modality modality,
                                const tl_span *spans, const tl_row_lengths *l,
                                const char *needed_by, tl_error *err)
{
    const size_t rows[] = {l->first, l->other};
    tl_encoding both[2] = {{0}};
    char offer[256];
    tl_error why = {0};
    for (size_t i = 0; i < 2; i++) {
        both[i].n_pos = spans[rows[i]].n_pos;
        both[i].data_begin = spans[rows[i]].data_begin;
        both[i].data_end = spans[rows[i]].data_end;
    }
    const tl_status status =
        tl_dataset_check_lengths(s->dataset, rows, both, 2, needed_by, &why);
    tl_row_lengths_offer(s, modality, l, offer);
    return status == TL_OK ? TL_OK
                           : tl_fail(err, status, "%.480s; %s", why.text, offer);
}

void tl_row_lengths_log(const tl_session *s, tl_modality modality,
                        const tl_row_lengths *l)
{
    size_t n = 0;
    const bool given = has_parts(s->dataset, modality);
    for (size_t i = 0; i < s->dataset->n_rows; i++)
        n += s->dataset->rows[i].part != TL_NO_PART &&
             !(given && s->dataset->rows[i].part == TL_PART_NONE) && l->is_other[i];
    if (s->settings.length == TL_LENGTH_COMMONEST && n > 0)
        tl_log(TL_LOG_WARNING,
               "%s: %zu of %zu %s prompts are left out of circuits: they, or their "
               "counterfactuals, have not the commonest length, %zu tokens, data "
               "[%zu,%zu)",
               s->dataset->path, n, l->n_rows, tl_modality_name(modality),
               l->most.n_pos, l->most.data_begin, l->most.data_end);
}

tl_status tl_session_lengths(tl_session *s, tl_modality modality,
                             const tl_row_lengths **out, tl_error *err)
{
    const tl_dataset *d = s->dataset;
    tl_arena *arena = NULL;
    if (s->lengths[modality] != NULL) {
        *out = s->lengths[modality];
        return TL_OK;
    }
    tl_row_lengths *made = tl_arena_alloc(s->arena, 1, sizeof *made);
    tl_span *spans = tl_arena_alloc_zero(s->arena, d->n_rows, sizeof *spans);
    if (made == NULL || spans == NULL || (arena = tl_arena_create()) == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu lengths", d->n_rows);
    tl_status status = TL_OK;
    for (size_t i = 0; i < d->n_rows && status == TL_OK; i++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_encoding e = {0};
        if (d->rows[i].modality != modality)
            continue;
        status = tl_dataset_encode(d, i, s->processor, arena, &e, err);
        spans[i] = (tl_span){e.n_pos, e.data_begin, e.data_end};
        tl_arena_rewind(arena, mark);
    }
    tl_arena_destroy(arena);
    if (status == TL_OK)
        status = tl_row_lengths_count(d, modality, spans, s->arena, made, err);
    if (status != TL_OK)
        return status;
    tl_row_lengths_log(s, modality, made);
    *out = s->lengths[modality] = made;
    return TL_OK;
}

bool tl_session_leaves_out(const tl_session *s, size_t row)
{
    const tl_row_lengths *l = s->lengths[s->dataset->rows[row].modality];
    return s->settings.length == TL_LENGTH_COMMONEST && l != NULL && l->is_other[row];
}

tl_status tl_session_span(tl_session *s, tl_modality modality, size_t n_pos,
                          tl_span *out, tl_error *err)
{
    if (s->settings.length == TL_LENGTH_COMMONEST) {
        const tl_row_lengths *lengths = NULL;
        const tl_status status = tl_session_lengths(s, modality, &lengths, err);
        const bool is_most = status == TL_OK && lengths->n_rows > 0 &&
                             (n_pos == 0 || n_pos == lengths->most.n_pos);
        if (is_most)
            *out = lengths->most;
        if (is_most || status != TL_OK)
            return status;
    }
    for (size_t i = 0; i < s->dataset->n_rows; i++) {
        const tl_arena_mark mark = tl_arena_get_mark(s->arena);
        tl_encoding e;
        if (s->dataset->rows[i].modality != modality)
            continue;
        const tl_status status =
            tl_dataset_encode(s->dataset, i, s->processor, s->arena, &e, err);
        if (status != TL_OK)
            return status;
        const tl_span found = {e.n_pos, e.data_begin, e.data_end};
        tl_arena_rewind(s->arena, mark);
        if (n_pos > 0 && found.n_pos != n_pos)
            continue;
        *out = found;
        return TL_OK;
    }
    return tl_fail(err, TL_ERR_DATA, "%s: no %s prompt among its %zu rows",
                   s->dataset->path, tl_modality_name(modality), s->dataset->n_rows);
}
