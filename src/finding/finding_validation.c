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

/* Numbers of the components in question, prompt by prompt. */
typedef struct sample {
    double *exact, *other;
    size_t *pairs; /* which each is of */
    size_t n;
} sample;

static tl_status make_sample(size_t n, tl_arena *arena, sample *out, tl_error *err)
{
    *out = (sample){.exact = tl_arena_alloc(arena, n, sizeof(double)),
                    .other = tl_arena_alloc(arena, n, sizeof(double)),
                    .pairs = tl_arena_alloc(arena, n, sizeof(size_t))};
    return out->exact != NULL && out->other != NULL && out->pairs != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu effects", n);
}

static void add(sample *s, size_t pair, double exact, double other)
{
    s->pairs[s->n] = pair;
    s->exact[s->n] = exact;
    s->other[s->n++] = other;
}

static tl_status correlate(const sample *s, bool with_intervals, tl_finding_check *f,
                           tl_error *err)
{
    tl_correlation c = {0};
    const tl_status status =
        tl_correlate(s->exact, s->other, s->pairs, s->n, with_intervals, &c, err);
    f->n = s->n;
    f->n_pairs = c.n_clusters;
    f->pearson = c.pearson;
    f->spearman = c.spearman;
    return status;
}

/* The effects of a kind, layer and number of steps. */
static tl_status check(const tl_finding_validation *v, tl_component_kind kind,
                       int layer, size_t ig_steps, sample *room, tl_finding_check *out,
                       tl_error *err)
{
    tl_finding_check f = {.ig_steps = ig_steps, .kind = kind, .layer = layer};
    room->n = 0;
    for (size_t i = 0; i < v->n_effects; i++) {
        const tl_study_effect *e = &v->effects[i];
        if (e->ig_steps == ig_steps && strcmp(e->kind, tl_kind_name(kind)) == 0 &&
            (layer == ALL_LAYERS || e->layer == (size_t)layer))
            add(room, e->pair, e->exact, e->attributed);
    }
    /* One layer has too few for an interval that means anything. */
    const tl_status status = correlate(room, layer == ALL_LAYERS, &f, err);
    *out = f;
    return status;
}

/* The sizes of effects beside what ranks components. */
static tl_status check_ranked(tl_finding_validation *v, const tl_study_ranked *scores,
                              size_t n, sample *room, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
        tl_finding_check *f = &v->ranked[k];
        *f = (tl_finding_check){
            .ig_steps = v->ig_steps, .kind = (tl_component_kind)k, .layer = ALL_LAYERS};
        room->n = 0;
        for (size_t i = 0, at = 0; i < v->n_effects && at < n; i++) {
            const tl_study_effect *e = &v->effects[i];
            if (e->ig_steps != v->ig_steps)
                continue;
            while (at < n &&
                   (scores[at].pair < e->pair || (scores[at].pair == e->pair &&
                                                  scores[at].component < e->component)))
                at++;
            if (at < n && scores[at].pair == e->pair &&
                scores[at].component == e->component &&
                strcmp(e->kind, tl_kind_name((tl_component_kind)k)) == 0)
                add(room, e->pair, fabs(e->exact), scores[at].score);
        }
        status = correlate(room, true, f, err);
    }
    return status;
}

static tl_status check_all(tl_finding_validation *v, const size_t *steps,
                           size_t n_steps, size_t n_layers, tl_arena *arena,
                           sample *room, tl_error *err)
{
    const size_t n = n_steps * TL_KIND_COUNT * (n_layers + 1);
    tl_finding_check *checks = tl_arena_alloc(arena, n, sizeof *checks);
    if (checks == NULL)
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
    if (steps[0] == 0) /* it is the method of the study, and has none */
        return 0;
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
    tl_rows effects = {0}, completeness = {0}, ranked = {0};
    sample room;
    size_t steps[MOST_STEPS], n_steps = 0;
    tl_status status =
        tl_study_db_get(db, TL_ROW_EFFECT, &(tl_study_effect){.modality = modality}, 1,
                        arena, &effects, err);
    if (status == TL_OK)
        status = tl_study_db_get(db, TL_ROW_COMPLETENESS,
                                 &(tl_study_completeness){.modality = modality}, 1,
                                 arena, &completeness, err);
    if (status == TL_OK)
        status =
            tl_study_db_get(db, TL_ROW_RANKED, &(tl_study_ranked){.modality = modality},
                            1, arena, &ranked, err);
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
    status = make_sample(v.n_effects, arena, &room, err);
    if (status == TL_OK)
        status = check_all(&v, steps, n_steps, f->parts[modality].scores.n_layers,
                           arena, &room, err);
    if (status == TL_OK)
        status = check_ranked(&v, ranked.rows, ranked.n, &room, err);
    if (status == TL_OK)
        status = measure_gaps(&v, steps, n_steps, rows, n_rows, arena, err);
    if (status == TL_OK)
        f->validations[modality] = v;
    return status;
}
