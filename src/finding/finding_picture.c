/* SPDX-License-Identifier: MIT
 *
 * finding_picture.c - scores over image tokens, added up in three bands of layers
 * (include/twinlens/finding.h).
 */
#include "finding/findings_private.h"

#include <math.h>

static tl_status add_up(const tl_study_db *db, const tl_study_picture *row,
                        tl_arena *arena, tl_finding_picture *out, tl_error *err)
{
    const tl_study_picture_score like = {.pair = row->pair};
    const size_t n_pos = row->n_rows * row->n_columns;
    tl_finding_picture f = {.row = row};
    tl_rows got = {0};
    const tl_status status =
        tl_study_db_get(db, TL_ROW_PICTURE_SCORE, &like, 1, arena, &got, err);
    if (status != TL_OK)
        return status;
    const tl_study_picture_score *scores = got.rows;
    if (got.n == 0 || scores[got.n - 1].pos + 1 != n_pos)
        return tl_fail(err, TL_ERR_FORMAT,
                       "picture %zu has %zu scores, wanted some for each of %zu image "
                       "tokens",
                       row->pair, got.n, n_pos);
    for (size_t b = 0; b <= TL_FINDING_BANDS; b++)
        f.first_layer[b] = b * (got.n / n_pos) / TL_FINDING_BANDS;
    for (size_t b = 0; b < TL_FINDING_BANDS; b++) {
        double *sums = tl_arena_alloc_zero(arena, n_pos, sizeof *sums);
        if (sums == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a picture");
        for (size_t i = 0; i < n_pos; i++) {
            for (size_t l = f.first_layer[b]; l < f.first_layer[b + 1]; l++)
                sums[i] += scores[l * n_pos + i].heads + scores[l * n_pos + i].neurons;
            if (!isfinite(sums[i]))
                sums[i] = 0.0;
            f.most = fmax(f.most, sums[i]);
        }
        f.bands[b] = sums;
    }
    *out = f;
    return TL_OK;
}

tl_status tl_findings_pictures(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                               tl_error *err)
{
    tl_rows got = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_PICTURE, NULL, 0, arena, &got, err);
    if (status != TL_OK || got.n == 0)
        return status;
    const tl_study_picture *rows = got.rows;
    const size_t n = got.n;
    tl_finding_picture *pictures = tl_arena_alloc(arena, n, sizeof *pictures);
    if (pictures == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pictures", n);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = add_up(db, &rows[i], arena, &pictures[i], err);
    if (status == TL_OK) {
        out->pictures = pictures;
        out->n_pictures = n;
    }
    return status;
}
