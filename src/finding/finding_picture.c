/* SPDX-License-Identifier: MIT
 *
 * finding_picture.c - scores over image tokens, added up in three bands of layers
 * (include/twinlens/finding.h).
 */
#include "finding/findings_private.h"

#include <math.h>
#include <string.h>

#include "twinlens/alloc.h"

/* The scores of a picture, n_pos of them in each layer. */
typedef struct picture_scores {
    const tl_study_picture_score *rows;
    size_t n_layers, n_pos;
} picture_scores;

static tl_status read_scores(const tl_study_db *db, size_t pair, size_t n_pos,
                             tl_arena *arena, picture_scores *out, tl_error *err)
{
    const tl_study_picture_score like = {.pair = pair};
    tl_rows got = {0};
    const tl_status status =
        tl_study_db_get(db, TL_ROW_PICTURE_SCORE, &like, 1, arena, &got, err);
    if (status != TL_OK)
        return status;
    const tl_study_picture_score *rows = got.rows;
    if (got.n == 0 || rows[got.n - 1].pos + 1 != n_pos)
        return tl_fail(err, TL_ERR_FORMAT,
                       "picture %zu has %zu scores, wanted some for each of %zu image "
                       "tokens",
                       pair, got.n, n_pos);
    *out = (picture_scores){rows, got.n / n_pos, n_pos};
    return TL_OK;
}

/* Of the view whose grid is in *f and begins at `first`. */
static tl_status add_up(const picture_scores *scores, size_t first, tl_arena *arena,
                        tl_finding_picture *f, tl_error *err)
{
    const size_t n = f->n_rows * f->n_columns;
    for (size_t b = 0; b <= TL_FINDING_BANDS; b++)
        f->first_layer[b] = b * scores->n_layers / TL_FINDING_BANDS;
    for (size_t b = 0; b < TL_FINDING_BANDS; b++) {
        double *sums = tl_arena_alloc_zero(arena, n, sizeof *sums);
        if (sums == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a picture");
        for (size_t i = 0; i < n; i++) {
            for (size_t l = f->first_layer[b]; l < f->first_layer[b + 1]; l++) {
                const tl_study_picture_score *s =
                    &scores->rows[l * scores->n_pos + first + i];
                sums[i] += s->heads + s->neurons;
            }
            if (!isfinite(sums[i]))
                sums[i] = 0.0;
            f->most = fmax(f->most, sums[i]);
        }
        f->bands[b] = sums;
    }
    return TL_OK;
}

/* ---- the circuit ------------------------------------------------------------------ */

/* How many tokens of the data are what stands at `pos`. */
static size_t count_like(const tl_finding_part *p, size_t pos)
{
    size_t n = 0;
    for (size_t t = p->data_begin; t < p->data_end; t++)
        n += strcmp(p->tokens[t].text, p->tokens[pos].text) == 0;
    return n;
}

/* Where the n image tokens stand, in their order: they are the one token that the data has n
 * times, and others between them are not. False when that cannot be told. */
static bool find_places(const tl_finding_part *p, size_t n, size_t *places)
{
    size_t found = 0;
    const bool all = p->data_end - p->data_begin == n;
    if (p->n_tokens != p->n_pos || p->data_end > p->n_pos)
        return false;
    for (size_t t = p->data_begin; t < p->data_end; t++) {
        if (!all && count_like(p, t) != n)
            continue;
        if (found == n || (!all && found > 0 &&
                           strcmp(p->tokens[places[0]].text, p->tokens[t].text) != 0))
            return false;
        places[found++] = t;
    }
    return found == n;
}

/* Of a picture in one view, whose tokens come row by row. */
static tl_status add_circuit(const tl_finding_part *p, tl_arena *arena,
                             tl_finding_picture *f, tl_error *err)
{
    const size_t n = f->n_rows * f->n_columns, n_pos = p->scores.n_pos;
    size_t *places = tl_arena_alloc(arena, n, sizeof *places);
    if (places == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a picture");
    if (p->circuit[TL_KIND_HEADS] == NULL || p->circuit[TL_KIND_NEURONS] == NULL ||
        f->first_layer[TL_FINDING_BANDS] != p->scores.n_layers || p->n_pos != n_pos ||
        !find_places(p, n, places))
        return TL_OK;
    for (size_t b = 0; b < TL_FINDING_BANDS; b++)
        for (size_t k = 0; k < TL_KIND_COUNT; k++) {
            size_t *counts = tl_arena_alloc_zero(arena, n, sizeof *counts);
            if (counts == NULL)
                return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a picture");
            for (size_t l = f->first_layer[b]; l < f->first_layer[b + 1]; l++)
                for (size_t i = 0; i < n; i++)
                    counts[i] += p->circuit[k][l * n_pos + places[i]];
            f->circuit[b][k] = counts;
        }
    return TL_OK;
}

/* The findings of one picture behind the *n that there are, one for each view. */
static tl_status add_picture(const tl_study_db *db, const tl_study_picture *row,
                             const tl_rows *views, tl_arena *arena,
                             tl_finding_picture *out, size_t *n, tl_error *err)
{
    const tl_study_picture_view *view = views->rows;
    const size_t begin = *n;
    size_t n_pos = row->n_rows * row->n_columns, first = 0;
    picture_scores scores = {0};
    out[(*n)++] = (tl_finding_picture){
        .row = row, .n_rows = row->n_rows, .n_columns = row->n_columns};
    for (size_t i = 0; i < views->n; i++)
        if (view[i].pair == row->pair) {
            if (!tl_size_muladd(view[i].n_rows, view[i].n_columns, &n_pos))
                return tl_fail(err, TL_ERR_FORMAT, "picture %zu: too many image tokens",
                               row->pair);
            out[(*n)++] = (tl_finding_picture){.row = row,
                                               .view = view[i].view,
                                               .n_rows = view[i].n_rows,
                                               .n_columns = view[i].n_columns};
        }
    tl_status status = read_scores(db, row->pair, n_pos, arena, &scores, err);
    for (size_t i = begin; i < *n && status == TL_OK; i++) {
        status = add_up(&scores, first, arena, &out[i], err);
        first += out[i].n_rows * out[i].n_columns;
    }
    return status;
}

tl_status tl_findings_pictures(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                               tl_error *err)
{
    tl_rows got = {0}, views = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_PICTURE, NULL, 0, arena, &got, err);
    if (status != TL_OK || got.n == 0)
        return status;
    const tl_study_picture *rows = got.rows;
    status = tl_study_db_get(db, TL_ROW_PICTURE_VIEW, NULL, 0, arena, &views, err);
    if (status != TL_OK)
        return status;
    size_t n = 0;
    tl_finding_picture *pictures =
        tl_arena_alloc(arena, got.n + views.n, sizeof *pictures);
    if (pictures == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pictures", got.n);
    for (size_t i = 0; i < got.n && status == TL_OK; i++) {
        const size_t first = n;
        status = add_picture(db, &rows[i], &views, arena, pictures, &n, err);
        if (status == TL_OK && n == first + 1)
            status = add_circuit(&out->parts[TL_IMAGE], arena, &pictures[first], err);
    }
    if (status == TL_OK) {
        out->pictures = pictures;
        out->n_pictures = n;
    }
    return status;
}
