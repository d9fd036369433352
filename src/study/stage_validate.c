/* SPDX-License-Identifier: MIT
 *
 * stage_validate.c - what patching a sample of components really does, beside what
 * attribution says of them; and the same of the components that lead by score. See stage.h.
 */
#include "study/stage.h"

#include "circuit/circuit_work.h"
#include "circuit/observed_effects.h"
#include "store/leading.h"
#include "store/score_file.h"
#include "study/draw_pairs.h"

#include "twinlens/safetensors.h"
#include "twinlens/validate.h"

enum { MOST_WAYS = 4, MOST_LEADING = TL_KIND_COUNT * TL_LEADING_STUDIED };

/* What is judged, all by the path and rule of the study: its own method, and integrated
 * gradients of few, its own and many steps. */
typedef struct ways {
    tl_attribution_options all[MOST_WAYS], own;
    size_t n;
} ways;

static ways ways_of(const tl_settings *s)
{
    enum { FEW = 1, MANY = 20 };
    const size_t own = s->ig_steps;
    const size_t steps[] = {FEW, own, MANY};
    ways w = {.own = tl_settings_attribution(s, 0)};
    tl_attribution_options ig = w.own;
    ig.method = TL_METHOD_IG;
    if (w.own.method == TL_METHOD_RELP)
        w.all[w.n++] = w.own;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (i != 1 && steps[i] == own)
            continue;
        ig.ig_steps = steps[i];
        w.all[w.n++] = ig;
        for (size_t k = w.n - 1; k > 0 && w.all[k - 1].method == TL_METHOD_IG &&
                                 w.all[k - 1].ig_steps > w.all[k].ig_steps;
             k--) {
            const tl_attribution_options more = w.all[k - 1];
            w.all[k - 1] = w.all[k];
            w.all[k] = more;
        }
    }
    return w;
}

/* A way as rows have it: 0 steps are relevance's. */
static size_t steps_of(const tl_attribution_options *way)
{
    return way->method == TL_METHOD_RELP ? 0 : way->ig_steps;
}

/* Of as many leading components as there may be. */
static tl_validate_options options_of(const ways *w, const char *folder)
{
    return (tl_validate_options){.others = w->all,
                                 .n_others = w->n,
                                 .n_components = TL_OBSERVED_COMPONENTS,
                                 .ranked = &w->own,
                                 .folder = folder,
                                 .n_also = MOST_LEADING};
}

typedef struct validate_stage {
    tl_part_pairs pairs;
    size_t *chosen; /* of the pairs, for every unit */
    ways ways;
    tl_component leading[MOST_LEADING];
    size_t n_leading;
    tl_validator *validator;
} validate_stage;

/* ---- the leading components ------------------------------------------------------ */

static tl_status add_leading(const tl_tensor *scores, tl_component_kind kind,
                             validate_stage *v, tl_error *err)
{
    size_t places[TL_LEADING_STUDIED], n = 0;
    double unused[TL_LEADING_STUDIED];
    const tl_status status =
        tl_leading_find(scores, TL_LEADING_STUDIED, places, unused, &n, err);
    const size_t n_pos = scores->dims[1], width = scores->dims[2];
    for (size_t i = 0; i < n && status == TL_OK; i++)
        v->leading[v->n_leading++] =
            (tl_component){.kind = kind,
                           .layer = places[i] / width / n_pos,
                           .pos = places[i] / width % n_pos,
                           .index = places[i] % width};
    return status;
}

static tl_status find_leading(tl_stage_run *run, tl_error *err)
{
    const char *path = tl_study_path(run->study, "scores", run->modality);
    tl_study_scores wanted = {.modality = run->modality};
    tl_safetensors *file = NULL;
    tl_status status = path != NULL ? tl_study_db_find(run->study->db, TL_ROW_SCORES,
                                                       &wanted, run->arena, NULL, err)
                                    : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    if (status == TL_OK)
        status = tl_score_file_check(path, wanted.sha256, err);
    if (status == TL_OK)
        status = tl_safetensors_open(path, &file, err);
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
        const tl_tensor *scores = NULL;
        status = tl_safetensors_need(file, tl_kind_name((tl_component_kind)k), &scores,
                                     err);
        if (status == TL_OK)
            status = tl_fail_while(
                err, add_leading(scores, (tl_component_kind)k, run->state, err), "%s",
                path);
    }
    tl_safetensors_close(file);
    return status;
}

/* ---- rows ------------------------------------------------------------------------ */

/* Those of the leading components, which are behind the sample's. */
static tl_status put_leading(const tl_stage_run *run, size_t pair,
                             const tl_validation *v, tl_stage_rows *rows, tl_error *err)
{
    const validate_stage *state = run->state;
    const size_t n = state->n_leading, first = v->n - n;
    size_t own = 0; /* the way of the study */
    tl_study_effect *effects = tl_arena_alloc(run->arena, n, sizeof *effects);
    if (effects == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu effects", n);
    while (steps_of(&state->ways.all[own]) != steps_of(&state->ways.own))
        own++;
    for (size_t i = 0; i < n; i++) {
        const tl_component *c = &state->leading[i];
        effects[i] = (tl_study_effect){run->modality,
                                       pair,
                                       i,
                                       steps_of(&state->ways.own),
                                       tl_kind_name(c->kind),
                                       c->layer,
                                       c->pos,
                                       c->index,
                                       v->exact[first + i],
                                       v->attributed[own * v->n + first + i]};
    }
    tl_stage_put(rows, TL_ROW_LEADING, effects, n);
    return TL_OK;
}

static tl_status make_rows(const tl_stage_run *run, size_t pair, const tl_validation *v,
                           tl_stage_rows *rows, tl_error *err)
{
    const validate_stage *state = run->state;
    const tl_modality modality = run->modality;
    const size_t n_ways = state->ways.n, n_drawn = v->n - state->n_leading,
                 n = n_drawn * n_ways;
    tl_study_effect *effects = tl_arena_alloc(run->arena, n, sizeof *effects);
    tl_study_ranked *ranked = tl_arena_alloc(run->arena, n_drawn, sizeof *ranked);
    tl_study_completeness *completeness =
        tl_arena_alloc(run->arena, n_ways, sizeof *completeness);
    if (effects == NULL || ranked == NULL || completeness == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu effects", n_drawn);
    for (size_t m = 0; m < n_ways; m++)
        completeness[m] =
            (tl_study_completeness){modality, pair, steps_of(&state->ways.all[m]),
                                    v->gradient[m], v->difference};
    for (size_t i = 0; i < n; i++) {
        const size_t at = i / n_ways, m = i % n_ways;
        const tl_component *c = &v->components[at];
        effects[i] = (tl_study_effect){modality,
                                       pair,
                                       at,
                                       steps_of(&state->ways.all[m]),
                                       tl_kind_name(c->kind),
                                       c->layer,
                                       c->pos,
                                       c->index,
                                       v->exact[at],
                                       v->attributed[m * v->n + at]};
    }
    for (size_t i = 0; i < n_drawn; i++)
        ranked[i] = (tl_study_ranked){modality, pair, i, v->ranked[i]};
    tl_stage_put(rows, TL_ROW_EFFECT, effects, n);
    tl_stage_put(rows, TL_ROW_RANKED, ranked, n_drawn);
    tl_stage_put(rows, TL_ROW_COMPLETENESS, completeness, n_ways);
    return put_leading(run, pair, v, rows, err);
}

/* Discovery pairs at random, answers in turn. */
static tl_status draw_units(tl_stage_run *run, tl_error *err)
{
    const tl_settings *s = &run->study->settings;
    validate_stage *v = run->state;
    int32_t *answers = tl_arena_alloc(run->arena, v->pairs.n, sizeof *answers);
    v->chosen = tl_arena_alloc(run->arena, v->pairs.n, sizeof *v->chosen);
    if (answers == NULL || v->chosen == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", v->pairs.n);
    for (size_t i = 0; i < v->pairs.n; i++)
        answers[i] = v->pairs.pairs[i].answer_id;
    return tl_draw_pairs(answers, v->pairs.n, s->validate, 0,
                         s->seed + (uint64_t)run->modality, v->chosen, &run->n_units,
                         err);
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    tl_study *study = run->study;
    const tl_study_completeness like = {.modality = run->modality};
    tl_rows known = {0};
    validate_stage *v = run->state = tl_arena_alloc_zero(run->arena, 1, sizeof *v);
    if (v == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to validate");
    v->ways = ways_of(&study->settings);
    tl_status status = tl_study_db_get(study->db, TL_ROW_COMPLETENESS, &like, 1,
                                       run->arena, &known, err);
    if (status == TL_OK)
        status = tl_study_find_pairs(study, run->modality, TL_STUDY_DISCOVERY,
                                     run->arena, &v->pairs, err);
    if (status == TL_OK)
        status = draw_units(run, err);
    if (status == TL_OK && run->n_units > 0)
        status = find_leading(run, err);
    if (status != TL_OK)
        return status;
    run->n_done = known.n / v->ways.n;
    const size_t inputs = tl_study_input_bytes(study, run->modality,
                                               study->spans[run->modality].n_pos, 2);
    return tl_validator_create(study->session.model, tl_study_budget(study, inputs),
                               &v->validator, err);
}

static tl_status validate_pair(tl_stage_run *run, size_t first, size_t n,
                               tl_stage_rows *rows, tl_error *err)
{
    (void)n;
    validate_stage *v = run->state;
    const size_t pair = v->chosen[first];
    tl_validate_options options = options_of(&v->ways, run->study->arrays_in);
    options.also = v->leading;
    options.n_also = v->n_leading;
    tl_pair *made = NULL;
    tl_validation found;
    tl_status status = tl_study_make_pairs(run->study, &v->pairs.pairs[pair], 1,
                                           run->arena, &made, err);
    if (status == TL_OK)
        status = tl_validator_pair(v->validator, made, &options,
                                   run->study->settings.seed + 2 * pair, run->arena,
                                   &found, err);
    return status == TL_OK ? make_rows(run, pair, &found, rows, err) : status;
}

static void release(tl_stage_run *run)
{
    validate_stage *v = run->state;
    tl_validator_destroy(v->validator);
}

static tl_status bytes(const tl_study *study, tl_modality modality, size_t *out,
                       tl_error *err)
{
    const size_t n_pos = study->spans[modality].n_pos;
    const ways w = ways_of(&study->settings);
    const tl_validate_options options = options_of(&w, study->arrays_in);
    const tl_status status =
        tl_validator_bytes(study->session.model, n_pos, &options, out, err);
    *out += tl_study_input_bytes(study, modality, n_pos, 2);
    return status;
}

static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const tl_modality m = sizes->modality;
    const size_t wanted = sizes->settings->validate;
    const ways w = ways_of(sizes->settings);
    const tl_validate_options options = options_of(&w, NULL);
    out->n_units = wanted < sizes->n_discovery ? wanted : sizes->n_discovery;
    return tl_validator_flops(sizes->model, sizes->shape->spans[m].n_pos,
                              sizes->shape->n_prefix[m], &options, &out->flops, err);
}

const tl_stage tl_stage_validate = {.name = "validate",
                                    .of = TL_STAGE_EACH,
                                    .of_circuits = true,
                                    .guess = guess,
                                    .bytes = bytes,
                                    .begin = begin,
                                    .run = validate_pair,
                                    .release = release};
