/* SPDX-License-Identifier: MIT
 *
 * study_validate.c - what patching a sample of components really does, beside what
 * attribution says of them. See study_private.h.
 */
#include "study/study_private.h"

#include "twinlens/validate.h"

enum { STEPS = 3, COMPONENTS = 24 };
static const size_t ig_steps[STEPS] = {1, 5, 20};

static tl_status put(tl_study *study, tl_modality modality, size_t index,
                     const tl_validation *v, tl_arena *arena, tl_error *err)
{
    tl_study_effect *effects = tl_arena_alloc(arena, v->n * STEPS, sizeof *effects);
    tl_study_completeness completeness[STEPS];
    if (effects == NULL)
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
    const tl_rows rows[] = {{TL_ROW_EFFECT, effects, v->n * STEPS},
                            {TL_ROW_COMPLETENESS, completeness, STEPS}};
    return tl_study_db_put(study->db, rows, 2, err);
}

/* The first pair makes the validator of all: it tells how long prompts are. */
static tl_status validate_pair(tl_study *study, tl_validator **validator,
                               tl_modality modality, const tl_study_pair *pair,
                               size_t index, tl_arena *arena, tl_error *err)
{
    tl_pair *made = NULL;
    tl_validation v;
    tl_status status = tl_study_make_pairs(study, pair, 1, arena, &made, err);
    if (status != TL_OK)
        return status;
    const size_t kept = tl_study_attribution_bytes(study, made->clean.n_pos);
    if (*validator == NULL)
        status = tl_validator_create(study->session.model,
                                     tl_study_pass_budget(study, kept), validator, err);
    if (status != TL_OK)
        return status;
    const tl_validate_options options = {
        .ig_steps = ig_steps, .n_ig_steps = STEPS, .n_components = COMPONENTS};
    status = tl_validator_pair(*validator, made, &options,
                               study->settings.seed + 2 * index, arena, &v, err);
    return status == TL_OK ? put(study, modality, index, &v, arena, err) : status;
}

tl_status tl_study_validate(tl_study *study, tl_modality modality, tl_error *err)
{
    const size_t stage = study->stages[modality][TL_STAGE_VALIDATE];
    const tl_study_pair *pairs = NULL;
    const tl_study_completeness like = {.modality = modality};
    tl_rows known = {0};
    size_t n_pairs = 0;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to validate");
    tl_status status =
        tl_study_db_get(study->db, TL_ROW_COMPLETENESS, &like, 1, arena, &known, err);
    if (status == TL_OK)
        status = tl_study_db_get_pairs(study->db, modality, TL_STUDY_DISCOVERY, arena,
                                       &pairs, &n_pairs, err);
    const size_t n =
        n_pairs < study->settings.validate ? n_pairs : study->settings.validate;
    tl_validator *validator = NULL;
    tl_progress_resize(study->progress, stage, n);
    tl_progress_begin(study->progress, stage, known.n / STEPS);
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t i = known.n / STEPS; i < n && status == TL_OK; i++) {
        status = validate_pair(study, &validator, modality, &pairs[i], i, arena, err);
        tl_arena_rewind(arena, mark);
        tl_progress_step(study->progress, stage, i + 1);
    }
    if (status == TL_OK)
        tl_progress_end(study->progress, stage);
    tl_validator_destroy(validator);
    tl_arena_destroy(arena);
    return status;
}
