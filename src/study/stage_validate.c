/* SPDX-License-Identifier: MIT
 *
 * stage_validate.c - what patching a sample of components really does, beside what
 * attribution says of them. See stage.h.
 */
#include "study/stage.h"

#include "circuit/circuit_work.h"

#include "twinlens/validate.h"

enum { STEPS = 3, COMPONENTS = 24 };
static const size_t ig_steps[STEPS] = {1, 5, 20};

static const tl_validate_options options = {
    .ig_steps = ig_steps, .n_ig_steps = STEPS, .n_components = COMPONENTS};

typedef struct validate_stage {
    tl_part_pairs pairs;
    tl_validator *validator;
} validate_stage;

static tl_status make_rows(const tl_stage_run *run, size_t index,
                           const tl_validation *v, tl_stage_rows *rows, tl_error *err)
{
    const tl_modality modality = run->modality;
    tl_study_effect *effects =
        tl_arena_alloc(run->arena, v->n * STEPS, sizeof *effects);
    tl_study_completeness *completeness =
        tl_arena_alloc(run->arena, STEPS, sizeof *completeness);
    if (effects == NULL || completeness == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu effects", v->n);
    for (size_t m = 0; m < STEPS; m++)
        completeness[m] = (tl_study_completeness){modality, index, ig_steps[m],
                                                  v->gradient[m], v->difference};
    for (size_t i = 0; i < v->n * STEPS; i++) {
        const tl_component *c = &v->components[i / STEPS];
        effects[i] = (tl_study_effect){modality,
                                       index,
                                       i / STEPS,
                                       ig_steps[i % STEPS],
                                       tl_kind_name(c->kind),
                                       c->layer,
                                       c->pos,
                                       c->index,
                                       v->exact[i / STEPS],
                                       v->attributed[i % STEPS * v->n + i / STEPS]};
    }
    tl_stage_put(rows, TL_ROW_EFFECT, effects, v->n * STEPS);
    tl_stage_put(rows, TL_ROW_COMPLETENESS, completeness, STEPS);
    return TL_OK;
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
    tl_status status = tl_study_db_get(study->db, TL_ROW_COMPLETENESS, &like, 1,
                                       run->arena, &known, err);
    if (status == TL_OK)
        status = tl_study_find_pairs(study, run->modality, TL_STUDY_DISCOVERY,
                                     run->arena, &v->pairs, err);
    if (status != TL_OK)
        return status;
    const size_t wanted = study->settings.validate;
    run->n_units = v->pairs.n < wanted ? v->pairs.n : wanted;
    run->n_done = known.n / STEPS;
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
    tl_pair *made = NULL;
    tl_validation found;
    tl_status status = tl_study_make_pairs(run->study, &v->pairs.pairs[first], 1,
                                           run->arena, &made, err);
    if (status == TL_OK)
        status = tl_validator_pair(v->validator, made, &options,
                                   run->study->settings.seed + 2 * first, run->arena,
                                   &found, err);
    return status == TL_OK ? make_rows(run, first, &found, rows, err) : status;
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
    const tl_status status =
        tl_validator_bytes(study->session.model, n_pos, &options, out, err);
    *out += tl_study_input_bytes(study, modality, n_pos, 2);
    return status;
}

static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const tl_modality m = sizes->modality;
    const size_t wanted = sizes->settings->validate;
    out->n_units = wanted < sizes->n_discovery ? wanted : sizes->n_discovery;
    return tl_validator_flops(sizes->model, sizes->shape->spans[m].n_pos,
                              sizes->shape->n_prefix[m], &options, &out->flops, err);
}

const tl_stage tl_stage_validate = {.name = "validate",
                                    .of = TL_STAGE_EACH,
                                    .guess = guess,
                                    .bytes = bytes,
                                    .begin = begin,
                                    .run = validate_pair,
                                    .release = release};
