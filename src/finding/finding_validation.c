/* SPDX-License-Identifier: MIT
 *
 * finding_validation.c - how well attributed scores agree with exact effects
 * (include/twinlens/finding.h).
 */
#include "finding/findings_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_LAYERS = -1, MOST_STEPS = 16 };

/* Exact and attributed of the components in question. */
typedef struct sample {
    const double *exact, *attributed;
    double *x, *y; /* room for a resample */
} sample;

static void gather(const sample *s, const size_t *chosen, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->x[i] = s->exact[chosen[i]];
        s->y[i] = s->attributed[chosen[i]];
    }
}

static double pearson_of(const void *data, const size_t *chosen, size_t n)
{
    const sample *s = data;
    gather(s, chosen, n);
    return tl_pearson(s->x, s->y, n);
}

static double spearman_of(const void *data, const size_t *chosen, size_t n)
{
    const sample *s = data;
    double value = NAN;
    gather(s, chosen, n);
    return tl_spearman(s->x, s->y, n, &value, NULL) == TL_OK ? value : NAN;
}

/* The effects of a kind, layer and number of steps. */
static tl_status check(const tl_finding_validation *v, tl_component_kind kind,
                       int layer, size_t ig_steps, double *room, tl_finding_check *out,
                       tl_error *err)
{
    double *exact = room, *attributed = room + v->n_effects;
    const sample s = {exact, attributed, room + 2 * v->n_effects,
                      room + 3 * v->n_effects};
    tl_finding_check f = {.ig_steps = ig_steps, .kind = kind, .layer = layer};
    for (size_t i = 0; i < v->n_effects; i++) {
        const tl_study_effect *e = &v->effects[i];
        if (e->ig_steps != ig_steps || strcmp(e->kind, tl_kind_name(kind)) != 0 ||
            (layer != ALL_LAYERS && e->layer != (size_t)layer))
            continue;
        exact[f.n] = e->exact;
        attributed[f.n++] = e->attributed;
    }
    /* One layer has too few for an interval that means anything. */
    const tl_bootstrap_options few = {.n_resamples = 1};
    const tl_bootstrap_options *options = layer == ALL_LAYERS ? NULL : &few;
    tl_status status = tl_bootstrap(pearson_of, &s, f.n, options, &f.pearson, err);
    if (status == TL_OK)
        status = tl_bootstrap(spearman_of, &s, f.n, options, &f.spearman, err);
    *out = f;
    return status;
}

static tl_status check_all(tl_finding_validation *v, const size_t *steps,
                           size_t n_steps, size_t n_layers, tl_arena *arena,
                           tl_error *err)
{
    const size_t n = n_steps * TL_KIND_COUNT * (n_layers + 1);
    tl_finding_check *checks = tl_arena_alloc(arena, n, sizeof *checks);
    double *room = tl_arena_alloc(arena, 4 * v->n_effects, sizeof *room);
    if (checks == NULL || room == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu correlations", n);
    tl_status status = TL_OK;
    for (size_t m = 0; m < n_steps; m++)
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            for (int layer = ALL_LAYERS; layer < (int)n_layers; layer++)
                if (status == TL_OK)
                    status = check(v, (tl_component_kind)k, layer, steps[m], room,
                                   &checks[v->n_checks++], err);
    v->checks = checks;
    return status;
}

static tl_status measure_gaps(tl_finding_validation *v, const size_t *steps,
                              size_t n_steps, const tl_study_completeness *rows,
                              size_t n, tl_arena *arena, tl_error *err)
{
    tl_finding_gap *gaps = tl_arena_alloc(arena, n_steps, sizeof *gaps);
    double *values = tl_arena_alloc(arena, n, sizeof *values);
    tl_status status = TL_OK;
    if (gaps == NULL || values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t m = 0; m < n_steps && status == TL_OK; m++) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            const double gap =
                tl_completeness_gap(rows[i].attributed, rows[i].difference);
            if (rows[i].ig_steps == steps[m] &&
                (!isnan(gap) || isnan(rows[i].attributed)))
                values[kept++] = gap;
        }
        gaps[m].ig_steps = steps[m];
        status = tl_findings_mean(values, kept, &gaps[m].gap, err);
    }
    v->gaps = gaps;
    v->n_gaps = n_steps;
    return status;
}

/* The steps that the study attributes with, or the nearest that were checked. */
static size_t nearest_steps(const tl_findings *f, const size_t *steps, size_t n_steps)
{
    const double wanted = strtod(tl_findings_key(f, "ig-steps"), NULL);
    size_t best = steps[0];
    for (size_t i = 0; i < n_steps; i++)
        if (fabs((double)steps[i] - wanted) < fabs((double)best - wanted))
            best = steps[i];
    return best;
}

tl_status tl_findings_validation(const tl_study_db *db, tl_findings *f,
                                 tl_modality modality, tl_arena *arena, tl_error *err)
{
    tl_finding_validation v = {0};
    tl_rows effects = {0}, completeness = {0};
    size_t steps[MOST_STEPS], n_steps = 0;
    tl_status status =
        tl_study_db_get(db, TL_ROW_EFFECT, &(tl_study_effect){.modality = modality}, 1,
                        arena, &effects, err);
    if (status == TL_OK)
        status = tl_study_db_get(db, TL_ROW_COMPLETENESS,
                                 &(tl_study_completeness){.modality = modality}, 1,
                                 arena, &completeness, err);
    if (status != TL_OK || effects.n == 0)
        return status;
    v.effects = effects.rows;
    v.n_effects = effects.n;
    const tl_study_completeness *rows = completeness.rows;
    const size_t n_rows = completeness.n;
    if (n_rows == 0)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%zu effects of %s prompts without their completeness",
                       v.n_effects, tl_modality_name(modality));
    /* All pairs have the steps of the first. */
    while (n_steps < n_rows && n_steps < MOST_STEPS &&
           rows[n_steps].pair == rows[0].pair) {
        steps[n_steps] = rows[n_steps].ig_steps;
        n_steps++;
    }
    v.ig_steps = nearest_steps(f, steps, n_steps);
    status =
        check_all(&v, steps, n_steps, f->parts[modality].scores.n_layers, arena, err);
    if (status == TL_OK)
        status = measure_gaps(&v, steps, n_steps, rows, n_rows, arena, err);
    if (status == TL_OK)
        f->validations[modality] = v;
    return status;
}
