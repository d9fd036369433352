/* SPDX-License-Identifier: MIT
 * row_pairs.c - see row_pairs.h. */
#include "study/row_pairs.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "twinlens/log.h"
#include "twinlens/statistics.h"

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

static bool has_partner(const tl_dataset *d, const char *pair)
{
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].modality == TL_TEXT && d->rows[i].pair != NULL &&
            strcmp(d->rows[i].pair, pair) == 0)
            return true;
    return false;
}

bool tl_row_pairs_named(const tl_dataset *d)
{
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].modality == TL_IMAGE && d->rows[i].pair != NULL &&
            has_partner(d, d->rows[i].pair))
            return true;
    return false;
}

/* ---- length ------------------------------------------------------------------------ */

tl_status tl_session_text_lengths(tl_session *s, const tl_row_pair *rows, size_t n,
                                  size_t *lengths, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt");
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_encoding e;
        status =
            tl_dataset_encode(s->dataset, rows[i].text, s->processor, arena, &e, err);
        if (status == TL_OK)
            lengths[i] = e.n_pos;
        tl_arena_rewind(arena, mark);
    }
    tl_arena_destroy(arena);
    return status;
}

/* Leaves the pairs whose text has the most frequent length. */
static tl_status filter_by_length(tl_session *s, tl_row_pairs *p, tl_error *err)
{
    size_t *lengths = tl_arena_alloc(s->arena, p->n, sizeof *lengths), kept = 0;
    if (lengths == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", p->n);
    const tl_status status = tl_session_text_lengths(s, p->rows, p->n, lengths, err);
    if (status != TL_OK)
        return status;
    p->length = tl_most_frequent(lengths, p->n);
    for (size_t i = 0; i < p->n; i++) {
        const tl_row_pair rows = p->rows[i];
        if (lengths[i] == p->length)
            p->rows[kept++] = rows;
        else
            p->pairings[rows.text] = p->pairings[rows.image] = TL_OTHER_LENGTH;
    }
    p->n = kept;
    return TL_OK;
}

/* ---- pairs ------------------------------------------------------------------------- */

static size_t find_texts(const tl_dataset *d, named_row *texts)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].modality == TL_TEXT && d->rows[i].pair != NULL)
            texts[n++] = (named_row){d->rows[i].pair, i};
    qsort(texts, n, sizeof *texts, by_pair);
    return n;
}

static void find_pairs(const tl_dataset *d, const named_row *texts, size_t n_texts,
                       tl_row_pairs *p)
{
    for (size_t i = 0; i < d->n_rows; i++)
        p->pairings[i] = TL_ALONE;
    for (size_t i = 0; i < d->n_rows; i++) {
        const tl_dataset_row *row = &d->rows[i];
        if (row->modality != TL_IMAGE || row->pair == NULL || n_texts == 0)
            continue;
        const named_row key = {row->pair, i};
        const named_row *found = bsearch(&key, texts, n_texts, sizeof *texts, by_name);
        if (found == NULL)
            continue;
        p->pairings[i] = p->pairings[found->row] = TL_PAIRED;
        p->rows[p->n++] = (tl_row_pair){found->row, i};
    }
}

tl_status tl_session_row_pairs(tl_session *s, tl_bp_filter filter, tl_row_pairs *out,
                               tl_error *err)
{
    const tl_dataset *d = s->dataset;
    named_row *texts = tl_arena_alloc(s->arena, d->n_rows, sizeof *texts);
    tl_row_pairs p = {.rows = tl_arena_alloc(s->arena, d->n_rows, sizeof *p.rows),
                      .pairings =
                          tl_arena_alloc(s->arena, d->n_rows, sizeof *p.pairings)};
    if (texts == NULL || p.rows == NULL || p.pairings == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows", d->n_rows);
    find_pairs(d, texts, find_texts(d, texts), &p);
    if (p.n == 0)
        return tl_fail(err, TL_ERR_DATA,
                       "%s: no image prompt has a text prompt of the same 'pair'",
                       d->path);
    const tl_status status =
        filter == TL_BP_FILTER_MODAL ? filter_by_length(s, &p, err) : TL_OK;
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].modality == TL_IMAGE)
            p.counts[p.pairings[i]]++;
    if (status == TL_OK)
        *out = p;
    return status;
}

void tl_row_pairs_keep(const tl_row_pairs *pairs, size_t *rows, size_t *n,
                       size_t counts[TL_PAIRING_COUNT])
{
    size_t kept = 0;
    for (size_t i = 0; i < TL_PAIRING_COUNT; i++)
        counts[i] = 0;
    for (size_t i = 0; i < *n; i++) {
        counts[pairs->pairings[rows[i]]]++;
        if (pairs->pairings[rows[i]] == TL_PAIRED)
            rows[kept++] = rows[i];
    }
    *n = kept;
}

static bool is_other(const tl_dataset *d, const tl_row_pair *a, const tl_row_pair *b)
{
    const tl_dataset_row *x = &d->rows[a->text], *y = &d->rows[b->text];
    return strcmp(x->answer, y->answer) != 0 && strcmp(x->data, y->data) != 0;
}

void tl_row_pairs_others(const tl_dataset *d, const tl_row_pairs *pairs, uint64_t seed,
                         size_t *others)
{
    tl_random random = {seed};
    for (size_t i = 0; i < pairs->n; i++) {
        size_t n = 0;
        others[i] = TL_NO_PAIR;
        for (size_t k = 0; k < pairs->n; k++)
            n += is_other(d, &pairs->rows[i], &pairs->rows[k]);
        if (n == 0)
            continue;
        size_t left = (size_t)tl_random_below(&random, n);
        for (size_t k = 0; others[i] == TL_NO_PAIR; k++)
            if (is_other(d, &pairs->rows[i], &pairs->rows[k]) && left-- == 0)
                others[i] = k;
    }
}

void tl_pairing_log(const tl_session *s, const size_t counts[TL_PAIRING_COUNT],
                    size_t length)
{
    if (counts[TL_ALONE] > 0)
        tl_log(
            TL_LOG_WARNING,
            "%s: prompts left out, the other modality having none of their 'pair': %zu",
            s->dataset->path, counts[TL_ALONE]);
    if (counts[TL_OTHER_LENGTH] > 0)
        tl_log(
            TL_LOG_WARNING,
            "%s: prompts left out, the text of their pair not having %zu tokens, the "
            "most frequent length: %zu",
            s->dataset->path, length, counts[TL_OTHER_LENGTH]);
}

tl_status tl_session_parallel_text(tl_session *s, const tl_row_pair *rows,
                                   tl_arena *arena, tl_parallel *out, tl_error *err)
{
    tl_encoding e;
    tl_parallel p = {.text_ids = NULL};
    const tl_status status = tl_session_input(s, rows->text, arena, &e, &p.text, err);
    if (status != TL_OK)
        return status;
    p.text_span = (tl_span){e.n_pos, e.data_begin, e.data_end};
    p.text_ids = e.ids;
    *out = p;
    return TL_OK;
}

tl_status tl_session_parallel(tl_session *s, const tl_row_pair *rows, tl_arena *arena,
                              tl_parallel *out, tl_error *err)
{
    tl_encoding e;
    tl_status status = tl_session_parallel_text(s, rows, arena, out, err);
    if (status == TL_OK)
        status = tl_session_input(s, rows->image, arena, &e, &out->image, err);
    if (status == TL_OK)
        out->image_span = (tl_span){e.n_pos, e.data_begin, e.data_end};
    return status;
}
