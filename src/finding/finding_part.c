/* SPDX-License-Identifier: MIT
 *
 * finding_part.c - one modality: accuracies, faithfulness curves and what lies under
 * them, where the importance is (include/twinlens/finding.h).
 */
#include "finding/findings_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "store/leading.h"
#include "store/score_file.h"

/* ---- prompts --------------------------------------------------------------------- */

static void read_accuracies(tl_finding_part *p)
{
    size_t limited = 0, full = 0;
    for (size_t i = 0; i < p->n_prompts; i++) {
        limited += p->prompts[i].correct_limited;
        full += p->prompts[i].correct_full;
    }
    p->limited = tl_interval_share(limited, p->n_prompts);
    p->full = tl_interval_share(full, p->n_prompts);
}

static size_t count_mirrored(const tl_study_pair *pairs, size_t n)
{
    size_t n_mirrored = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < n && (pairs[k].row != pairs[i].counterfactual ||
                         pairs[k].counterfactual != pairs[i].row))
            k++;
        n_mirrored += k < n;
    }
    return n_mirrored;
}

static tl_status read_prompts(const tl_study_db *db, tl_modality modality,
                              tl_arena *arena, tl_finding_part *p, tl_error *err)
{
    const tl_study_pair *pairs = NULL;
    tl_status status =
        tl_study_db_get_prompts(db, modality, arena, &p->prompts, &p->n_prompts, err);
    p->present = p->n_prompts > 0;
    if (status == TL_OK)
        read_accuracies(p);
    if (status == TL_OK)
        status = tl_study_db_get_pairs(db, modality, TL_STUDY_EVALUATION, arena, &pairs,
                                       &p->n_evaluation, err);
    p->n_mirrored = status == TL_OK ? count_mirrored(pairs, p->n_evaluation) : 0;
    if (status == TL_OK)
        status = tl_study_db_get_pairs(db, modality, TL_STUDY_DISCOVERY, arena, &pairs,
                                       &p->n_discovery, err);
    /* The pairs are of one length; other prompts need not be. */
    for (size_t i = 0; i < p->n_prompts && status == TL_OK && p->n_discovery > 0; i++)
        if (p->prompts[i].row == pairs[0].row) {
            p->n_pos = p->prompts[i].n_pos;
            p->data_begin = p->prompts[i].data_begin;
            p->data_end = p->prompts[i].data_end;
        }
    return status;
}

/* ---- curves ---------------------------------------------------------------------- */

/* The evaluation pairs under the circuits of one kind. */
typedef struct curve_data {
    const tl_study_evaluations *done;
    tl_study_kind kind;
    const double *fractions; /* [n_points] */
    size_t n_points;
    double *curve;  /* [n_points], room for the faithfulness of one resample */
    size_t point;   /* where statistics of one point look */
    tl_faith faith; /* what areas are of */
} curve_data;

/* Over the chosen pairs, at one point of the curve. */
static double faithfulness_at(const curve_data *d, size_t point, tl_faith faith,
                              const size_t *chosen, size_t n)
{
    tl_faithfulness_sums sums = {0};
    for (size_t i = 0; i < n; i++) {
        const tl_study_baseline *b = &d->done->pairs[chosen[i]];
        tl_faithfulness_add(
            &sums, b->clean, b->none,
            tl_study_evaluations_at(d->done, d->kind, chosen[i], point));
    }
    return faith == TL_FAITH_RATIO_MEAN ? tl_faithfulness_ratio_of_means(&sums)
                                        : tl_faithfulness_mean_of_ratios(&sums);
}

static double mean_of_ratios(const void *data, const size_t *chosen, size_t n)
{
    const curve_data *d = data;
    return faithfulness_at(d, d->point, TL_FAITH_MEAN_RATIO, chosen, n);
}

static double ratio_of_means(const void *data, const size_t *chosen, size_t n)
{
    const curve_data *d = data;
    return faithfulness_at(d, d->point, TL_FAITH_RATIO_MEAN, chosen, n);
}

static tl_curve_area area_of(const curve_data *d, const size_t *chosen, size_t n)
{
    for (size_t i = 0; i < d->n_points; i++)
        d->curve[i] = faithfulness_at(d, i, d->faith, chosen, n);
    return tl_curve_measure(d->fractions, d->curve, d->n_points);
}

static double performance_of(const void *data, const size_t *chosen, size_t n)
{
    return area_of(data, chosen, n).performance;
}

static double distance_of(const void *data, const size_t *chosen, size_t n)
{
    return area_of(data, chosen, n).distance;
}

/* The median of a point's ratios; `room` is for 2 n doubles. */
static tl_status median_of(const curve_data *d, size_t n, double *room,
                           tl_interval *out, tl_error *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const tl_study_baseline *b = &d->done->pairs[i];
        const double ratio = tl_faithfulness_of(
            b->clean, b->none, tl_study_evaluations_at(d->done, d->kind, i, d->point));
        if (!isnan(ratio))
            room[kept++] = ratio;
    }
    const tl_median_data ratios = {room, room + n};
    return tl_bootstrap(tl_statistic_median, &ratios, kept, NULL, out, err);
}

static tl_status measure_curve(curve_data *d, size_t n, tl_arena *arena,
                               tl_finding_point *points, tl_finding_area *areas,
                               tl_error *err)
{
    double *room = tl_arena_alloc(arena, 2 * n, sizeof *room);
    tl_status status =
        room != NULL ? TL_OK
                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t i = 0; i < d->n_points && status == TL_OK; i++) {
        d->point = i;
        status =
            tl_bootstrap(mean_of_ratios, d, n, NULL, &points[i].mean_of_ratios, err);
        if (status == TL_OK)
            status = tl_bootstrap(ratio_of_means, d, n, NULL, &points[i].ratio_of_means,
                                  err);
        if (status == TL_OK)
            status = median_of(d, n, room, &points[i].median, err);
    }
    for (int faith = 0; faith < TL_FAITH_COUNT && status == TL_OK; faith++) {
        d->faith = (tl_faith)faith;
        status =
            tl_bootstrap(performance_of, d, n, NULL, &areas[faith].performance, err);
        if (status == TL_OK)
            status = tl_bootstrap(distance_of, d, n, NULL, &areas[faith].distance, err);
    }
    return status;
}

/* `stored` has n_points rows of each kind. */
static tl_status read_curve(const tl_study_evaluations *done,
                            const tl_study_point *stored, tl_study_kind kind,
                            tl_arena *arena, tl_finding_part *p, tl_error *err)
{
    tl_finding_point *points = tl_arena_alloc_zero(arena, p->n_points, sizeof *points);
    double *fractions = tl_arena_alloc(arena, p->n_points, sizeof *fractions),
           *curve = tl_arena_alloc(arena, p->n_points, sizeof *curve);
    if (points == NULL || fractions == NULL || curve == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu points", p->n_points);
    for (size_t i = 0; i < p->n_points; i++) {
        points[i].point = &stored[kind * p->n_points + i];
        points[i].fraction = fractions[i] = strtod(points[i].point->fraction, NULL);
    }
    p->curves[kind] = points;
    curve_data d = {.done = done,
                    .kind = kind,
                    .fractions = fractions,
                    .n_points = p->n_points,
                    .curve = curve};
    return measure_curve(&d, done->n_pairs, arena, points, p->areas[kind], err);
}

static tl_status read_curves(const tl_study_db *db, tl_modality modality,
                             tl_arena *arena, tl_finding_part *p, tl_error *err)
{
    const tl_study_point like = {.modality = modality};
    tl_study_evaluations done = {0};
    tl_rows points = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_POINT, &like, 1, arena, &points, err);
    p->n_points = points.n / TL_STUDY_KIND_COUNT;
    if (status == TL_OK && p->n_points > 0)
        status =
            tl_study_db_get_evaluations(db, modality, p->n_points, arena, &done, err);
    for (size_t k = 0; k < TL_STUDY_KIND_COUNT && status == TL_OK && p->n_points > 0;
         k++)
        status = read_curve(&done, points.rows, (tl_study_kind)k, arena, p, err);
    return status;
}

/* ---- importance ------------------------------------------------------------------ */

static double *sum_width(const float *scores, size_t places, size_t width,
                         tl_arena *arena)
{
    double *sums = tl_arena_alloc_zero(arena, places, sizeof *sums);
    for (size_t i = 0; sums != NULL && i < places; i++)
        for (size_t k = 0; k < width; k++)
            sums[i] += (double)scores[i * width + k];
    return sums;
}

static tl_status sum_kinds(tl_finding_part *p, size_t places, tl_arena *arena,
                           tl_error *err)
{
    double *both = tl_arena_alloc(arena, places, sizeof *both);
    if (both == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for maps");
    for (size_t i = 0; i < places; i++)
        both[i] = p->importance[TL_KIND_HEADS][i] + p->importance[TL_KIND_NEURONS][i];
    p->importance_of_both = both;
    return TL_OK;
}

/* How many of the n components with the largest scores are in each layer and at each position:
 * in `scores`, [places, width]. */
static tl_status count_circuit(const float *scores, size_t places, size_t width,
                               size_t n, tl_arena *arena, const size_t **out,
                               tl_error *err)
{
    const tl_tensor values = tl_tensor_f32(scores, places, width, 0);
    size_t *counts = tl_arena_alloc_zero(arena, places, sizeof *counts);
    tl_leading_cut cut;
    if (counts == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a circuit");
    if (n > places * width)
        return tl_fail(err, TL_ERR_FORMAT, "a circuit of %zu components, of %zu", n,
                       places * width);
    const tl_status status = tl_leading_cut_at(&values, n, &cut, err);
    for (size_t i = 0; i < places * width && status == TL_OK; i++)
        counts[i / width] += tl_leading_is_within(&cut, (double)scores[i], i);
    if (status == TL_OK)
        *out = counts;
    return status;
}

static tl_status read_circuit(const tl_scores *s, tl_arena *arena, tl_finding_part *p,
                              tl_error *err)
{
    const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
    const size_t places = s->n_layers * s->n_pos;
    if (smallest == NULL)
        return TL_OK;
    const tl_status status =
        count_circuit(s->heads, places, s->n_heads, smallest->point->n_heads, arena,
                      &p->circuit[TL_KIND_HEADS], err);
    return status == TL_OK
               ? count_circuit(s->neurons, places, s->d_mlp, smallest->point->n_neurons,
                               arena, &p->circuit[TL_KIND_NEURONS], err)
               : status;
}

/* Without the file there are no maps; another file in its place is refused. */
static tl_status read_importance(const char *folder, tl_arena *arena,
                                 tl_finding_part *p, tl_error *err)
{
    const tl_study_scores *about = &p->scores;
    const char *path = tl_path_join(arena, folder, about->file);
    if (path == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    if (!tl_file_exists(path))
        return TL_OK;
    const tl_dims dims = {
        .n_layers = about->n_layers, .n_heads = about->n_heads, .d_mlp = about->d_mlp};
    tl_arena *own = tl_arena_create(); /* only the sums are kept */
    tl_scores s = {0};
    tl_status status = own != NULL ? tl_score_file_check(path, about->sha256, err)
                                   : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    if (status == TL_OK)
        status = tl_score_file_read(path, &dims, about->n_pos, own, &s, err);
    if (status == TL_OK) {
        const size_t places = s.n_layers * s.n_pos;
        p->importance[TL_KIND_HEADS] = sum_width(s.heads, places, s.n_heads, arena);
        p->importance[TL_KIND_NEURONS] = sum_width(s.neurons, places, s.d_mlp, arena);
        if (p->importance[TL_KIND_HEADS] == NULL ||
            p->importance[TL_KIND_NEURONS] == NULL)
            status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for maps");
        if (status == TL_OK)
            status = sum_kinds(p, places, arena, err);
        if (status == TL_OK)
            status = read_circuit(&s, arena, p, err);
    }
    tl_arena_destroy(own);
    return status;
}

tl_status tl_findings_part(const tl_study_db *db, const char *folder,
                           tl_modality modality, tl_arena *arena, tl_finding_part *out,
                           tl_error *err)
{
    tl_finding_part p = {.minimal = {.modality = modality},
                         .scores = {.modality = modality}};
    const tl_study_token like = {.modality = modality};
    const tl_study_effect like_effect = {.modality = modality};
    tl_rows tokens = {0}, patched = {0};
    bool attributed = false;
    tl_status status = read_prompts(db, modality, arena, &p, err);
    if (status == TL_OK)
        status = read_curves(db, modality, arena, &p, err);
    if (status == TL_OK)
        status = tl_study_db_find(db, TL_ROW_MINIMAL, &p.minimal, arena, &p.done, err);
    if (status == TL_OK && p.minimal.found && p.minimal.point >= p.n_points)
        status = tl_fail(err, TL_ERR_FORMAT, "the minimal circuit is not on the curve");
    if (status == TL_OK)
        status =
            tl_study_db_find(db, TL_ROW_SCORES, &p.scores, arena, &attributed, err);
    if (status == TL_OK && attributed)
        status = read_importance(folder, arena, &p, err);
    if (status == TL_OK)
        status = tl_study_db_get(db, TL_ROW_TOKEN, &like, 1, arena, &tokens, err);
    p.tokens = tokens.rows;
    p.n_tokens = tokens.n;
    if (status == TL_OK)
        status =
            tl_study_db_get(db, TL_ROW_LEADING, &like_effect, 1, arena, &patched, err);
    p.patched = patched.rows;
    p.n_patched = patched.n;
    if (status == TL_OK)
        *out = p;
    return status;
}
