/* SPDX-License-Identifier: MIT
 *
 * stage.c - the stages of a study, and the loop that runs them. See stage.h.
 *
 * A stage runs for both modalities before the next one begins, so that what cannot work is
 * found before the long stages. A modality that the model gets right too rarely has none of
 * the stages that are of circuits; the others go on.
 */
#include "study/stage.h"

#include <stdio.h>

#include "circuit/circuit_work.h"
#include "twinlens/log.h"
#include "twinlens/split.h"

const tl_stage *const tl_stages[TL_STAGE_COUNT] = {
    &tl_stage_predict,   &tl_stage_split,       &tl_stage_tokens,
    &tl_stage_attribute, &tl_stage_evaluate,    &tl_stage_circuit_tests,
    &tl_stage_validate,  &tl_stage_precision,   &tl_stage_pictures,
    &tl_stage_overlap,   &tl_stage_interchange, &tl_stage_align,
    &tl_stage_backpatch, &tl_stage_iterate,
};

enum { NAME = 48 };

/* "attribute text", "overlap" */
static const char *name_of(const tl_stage *stage, tl_modality modality, char name[NAME])
{
    if (stage->of == TL_STAGE_BOTH || stage->of == TL_STAGE_ONCE)
        snprintf(name, NAME, "%s", stage->name);
    else
        snprintf(name, NAME, "%s %s", stage->name, tl_modality_name(modality));
    return name;
}

static bool is_there(const tl_stage *stage, const tl_study_shape *shape,
                     tl_modality modality)
{
    return shape->n_rows[modality] >
           (stage->of_circuits ? shape->n_no_part[modality] : 0);
}

bool tl_stage_is_of(const tl_stage *stage, const tl_study_shape *shape,
                    tl_modality modality)
{
    const bool text = is_there(stage, shape, TL_TEXT),
               image = is_there(stage, shape, TL_IMAGE);
    switch (stage->of) {
    case TL_STAGE_EACH: return modality == TL_TEXT ? text : image;
    case TL_STAGE_ONCE:
    case TL_STAGE_IMAGE: return image && modality == TL_IMAGE;
    case TL_STAGE_CONTROLLED: return image && (modality == TL_IMAGE || text);
    case TL_STAGE_EACH_OF_BOTH: return text && image;
    case TL_STAGE_BOTH: return text && image && modality == TL_IMAGE;
    }
    return false;
}

void tl_study_shape_of(const tl_study *study, tl_study_shape *out)
{
    *out = (tl_study_shape){.circuit = TL_STUDY_CIRCUIT_SHARE};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        out->spans[m] = study->spans[m];
        out->n_prefix[m] = study->spans[m].data_begin;
        if (!study->modalities[m])
            continue;
        out->n_rows[m] = study->n_rows[m];
        out->n_no_part[m] =
            study->n_rows[m] - (study->too_few[m] ? 0 : study->n_circuit_rows[m]);
    }
}

/* ---- what it is expected to take -------------------------------------------- */

static tl_stage_sizes sizes_of(const tl_model *model, const tl_settings *settings,
                               const tl_sizes *fractions, const tl_study_shape *shape,
                               tl_modality modality)
{
    const size_t most = settings->prompts > 0 ? settings->prompts : TL_SPLIT_PROMPTS,
                 n_rows = shape->n_rows[modality],
                 n = n_rows - shape->n_no_part[modality], used = n < most ? n : most,
                 discovery = used * 3 / 4;
    return (tl_stage_sizes){.model = model,
                            .settings = settings,
                            .fractions = fractions,
                            .shape = shape,
                            .modality = modality,
                            .n_rows = n_rows,
                            .n_predicted = n > 0 ? n : n_rows,
                            .n_discovery = discovery,
                            .n_evaluation = used - discovery};
}

size_t tl_stage_prefix(const tl_stage_sizes *sizes)
{
    return sizes->settings->ablate == TL_ABLATE_COUNTERFACTUAL
               ? sizes->shape->n_prefix[sizes->modality]
               : 0;
}

tl_status tl_stage_add_pair(const tl_stage_sizes *sizes, size_t n_units, bool no_clean,
                            double *sum, tl_error *err)
{
    const size_t n_pos = sizes->shape->spans[sizes->modality].n_pos;
    const tl_pass_options forward = {.last_only = true};
    double own = 0.0, for_means = 0.0;
    if (sizes->settings->ablate == TL_ABLATE_MEAN)
        for_means = (double)sizes->n_evaluation / (double)(n_units > 0 ? n_units : 1);
    if (sizes->settings->ablate !=
        TL_ABLATE_COUNTERFACTUAL) /* its own run, and that of the means or zeros */
        return tl_pass_flops_add(sizes->model, n_pos, 0, &forward, 2.0 + for_means, sum,
                                 err);
    const tl_status status =
        tl_pair_flops(sizes->model, n_pos, tl_stage_prefix(sizes), no_clean, &own, err);
    *sum += own;
    return status;
}

tl_status tl_stage_add_circuits(const tl_stage_sizes *sizes, const tl_circuit *circuits,
                                size_t n, double *sum, tl_error *err)
{
    double all = 0.0;
    const tl_status status = tl_known_circuits_flops(
        sizes->model, sizes->shape->spans[sizes->modality].n_pos,
        tl_stage_prefix(sizes), circuits, n, &all, err);
    *sum += all;
    return status;
}

tl_status tl_stages_guess(const tl_model *model, const tl_settings *settings,
                          const tl_sizes *fractions, const tl_study_shape *shape,
                          tl_take_guess *take, void *user, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t s = 0; s < TL_STAGE_COUNT; s++)
        for (int m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
            const tl_stage *stage = tl_stages[s];
            char name[NAME];
            tl_stage_guess guess = {0};
            if (stage->guess == NULL || !tl_stage_is_of(stage, shape, (tl_modality)m))
                continue;
            const tl_stage_sizes sizes =
                sizes_of(model, settings, fractions, shape, (tl_modality)m);
            status = stage->guess(&sizes, &guess, err);
            if (status == TL_OK)
                status = take(user, s, (tl_modality)m,
                              name_of(stage, (tl_modality)m, name), &guess, err);
        }
    return status;
}

/* ---- progress ---------------------------------------------------------------- */

static size_t place_of(const tl_stage *stage)
{
    size_t place = 0;
    while (tl_stages[place] != stage)
        place++;
    return place;
}

static tl_status announce(void *user, size_t stage, tl_modality modality,
                          const char *name, const tl_stage_guess *guess, tl_error *err)
{
    (void)err;
    tl_study *study = user;
    study->progress_of[stage][modality] =
        tl_progress_add(study->progress, name, guess->n_units, guess->flops);
    return TL_OK;
}

/* Prompts of the longest length, which differ from where the data begins. */
tl_status tl_stages_announce(tl_study *study, tl_error *err)
{
    tl_study_shape shape;
    tl_study_shape_of(study, &shape);
    return tl_stages_guess(study->session.model, &study->settings, &study->sizes,
                           &shape, announce, study, err);
}

void tl_stage_resize(tl_study *study, const tl_stage *stage, tl_modality modality,
                     size_t n_units)
{
    tl_study_shape shape;
    tl_study_shape_of(study, &shape);
    if (stage->guess != NULL && tl_stage_is_of(stage, &shape, modality))
        tl_progress_resize(study->progress,
                           study->progress_of[place_of(stage)][modality], n_units);
}

void tl_stages_drop_circuits(tl_study *study, tl_modality modality)
{
    tl_study_shape before, after;
    tl_study_shape_of(study, &before);
    study->too_few[modality] = true;
    tl_study_shape_of(study, &after);
    for (size_t s = 0; s < TL_STAGE_COUNT; s++)
        for (int m = 0; m < TL_MODALITY_COUNT; m++)
            if (tl_stages[s]->guess != NULL &&
                tl_stage_is_of(tl_stages[s], &before, (tl_modality)m) &&
                !tl_stage_is_of(tl_stages[s], &after, (tl_modality)m))
                tl_progress_resize(study->progress, study->progress_of[s][m], 0);
}

/* ---- evaluators -------------------------------------------------------------- */

/* The prompts that means are taken over. What they take is counted once: not when a study
 * goes on, nor at every rank. */
static tl_status add_to_mean(tl_stage_run *run, const tl_part_pairs *pairs,
                             tl_evaluator *evaluator, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t i = 0; i < pairs->n && status == TL_OK; i++) {
        const tl_arena_mark mark = tl_arena_get_mark(run->arena);
        tl_input input;
        status = tl_session_input(&run->study->session, pairs->pairs[i].row, run->arena,
                                  NULL, &input, err);
        if (status == TL_OK)
            status = tl_evaluator_add_to_mean(evaluator, &input, err);
        tl_arena_rewind(run->arena, mark);
    }
    if (run->n_done > 0 || run->study->team->rank > 0)
        tl_stage_skip_work(run->study);
    return status;
}

void tl_stage_make_room(tl_arena *arena, size_t n, size_t components)
{
    enum { ALIGNMENT = 64 }; /* of each of the two parts of a set */
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    /* What is given back stays in the arena. Without memory the sets will say so. */
    if (tl_arena_alloc(arena, n, components + 2 * ALIGNMENT) != NULL)
        tl_arena_rewind(arena, mark);
}

tl_status tl_stage_evaluator(tl_stage_run *run, const tl_part_pairs *pairs, size_t held,
                             bool no_clean, tl_evaluator **out, tl_error *err)
{
    const tl_settings *settings = &run->study->settings;
    const tl_evaluate_options options = {.memory_budget =
                                             tl_study_budget(run->study, held),
                                         .no_clean = no_clean,
                                         .ablate = (tl_ablate)settings->ablate};
    const tl_status status =
        tl_evaluator_create(run->study->session.model, &options, out, err);
    return status == TL_OK && options.ablate == TL_ABLATE_MEAN &&
                   run->n_done < run->n_units
               ? add_to_mean(run, pairs, *out, err)
               : status;
}

size_t tl_stage_ranking_bytes(const tl_study *study, tl_modality modality)
{
    return tl_study_array_bytes(study, study->spans[modality].n_pos,
                                3 * sizeof(uint32_t));
}

tl_status tl_stage_evaluator_bytes(const tl_study *study, tl_modality modality,
                                   size_t *out, tl_error *err)
{
    const tl_model *model = study->session.model;
    const size_t n_pos = study->spans[modality].n_pos;
    const tl_status status = tl_evaluator_bytes(model, n_pos, out, err);
    if (status == TL_OK && study->settings.ablate == TL_ABLATE_MEAN)
        *out += tl_evaluator_mean_bytes(model, n_pos);
    return status;
}

/* ---- the loop ---------------------------------------------------------------- */

/* Products of the decoder. The tower is not counted with a stage: how often it runs depends
 * on the features that there is room for. */
static uint64_t count_products(const tl_study *study)
{
    return tl_model_product_flops(study->session.model) -
           tl_model_tower_flops(study->session.model);
}

int64_t tl_stage_work(const tl_study *study, const tl_rows *rows, size_t n)
{
    int64_t sum = study->work.product_flops;
    for (size_t i = 0; i < n; i++)
        if (rows[i].kind == TL_ROW_WORK)
            sum += ((const tl_study_work *)rows[i].rows)->product_flops;
    return sum;
}

void tl_stage_skip_work(tl_study *study)
{
    study->counted = count_products(study);
}

/* What an earlier run has taken for the units that are in the store. */
static tl_status begin_work(tl_study *study, const char *name, tl_error *err)
{
    bool found = false;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", name);
    study->work = study->more_work = (tl_study_work){.stage = name};
    study->counted = count_products(study);
    const tl_status status =
        tl_study_db_find(study->db, TL_ROW_WORK, &study->work, arena, &found, err);
    study->work.stage = name;
    tl_arena_destroy(arena);
    return status;
}

/* Adds to rows what they took. */
static void add_work(tl_study *study, tl_stage_rows *rows)
{
    const uint64_t now = count_products(study);
    study->more_work.product_flops = (int64_t)(now - study->counted);
    study->counted = now;
    if (study->more_work.product_flops > 0)
        tl_stage_put(rows, TL_ROW_WORK, &study->more_work, 1);
}

/* With the rows the work so far; alone it waits for the next ones. */
static tl_status put(tl_study *study, const tl_rows *rows, size_t n, tl_error *err)
{
    tl_stage_rows all = {.n = 0};
    study->work.product_flops = tl_stage_work(study, rows, n);
    for (size_t i = 0; i < n; i++)
        if (rows[i].kind != TL_ROW_WORK)
            all.kinds[all.n++] = rows[i];
    if (all.n == 0)
        return TL_OK;
    if (study->work.product_flops > 0)
        tl_stage_put(&all, TL_ROW_WORK, &study->work, 1);
    return tl_study_db_put(study->db, all.kinds, all.n, err);
}

/* Units of one rank. */
typedef struct share {
    size_t first, n;
} share;

/* What one call of a rank can do of the units from `first` to `end`, when none is to have more
 * than `fair` but for the blocks that are not divided. */
static share share_from(const tl_stage_run *run, size_t first, size_t end, size_t fair)
{
    size_t n = run->n_together > 0 ? run->n_together : 1;
    if (run->n_block > 0 && n > run->n_block - first % run->n_block)
        n = run->n_block - first % run->n_block;
    else if (run->n_block == 0 && n > fair)
        n = fair;
    return (share){first, end - first < n ? end - first : n};
}

/* Every rank runs its share of the units from *next on, and all take all of them. */
static tl_status run_round(const tl_stage *stage, tl_stage_run *run, size_t *next,
                           tl_error *err)
{
    const tl_team *team = run->study->team;
    const size_t end = stage->reach != NULL ? stage->reach(run, *next) : run->n_units,
                 n_ranks = tl_team_size(team),
                 fair = (end - *next + n_ranks - 1) / n_ranks;
    tl_stage_rows found = {0};
    tl_status own = TL_OK;
    share s = {*next, 0};
    for (size_t r = 0; r <= team->rank; r++)
        s = share_from(run, s.first + s.n, end, fair);
    if (s.n > 0)
        own = stage->run(run, s.first, s.n, &found, err);
    add_work(run->study, &found);
    s = (share){*next, 0};
    for (size_t r = 0; r < n_ranks && s.first + s.n < end; r++) {
        const tl_rows *rows = NULL;
        size_t n = 0;
        s = share_from(run, s.first + s.n, end, fair);
        tl_status status =
            tl_team_rows(team, r, r == team->rank ? own : TL_OK, found.kinds, found.n,
                         run->arena, &rows, &n, err);
        if (status == TL_OK && stage->take != NULL)
            status = stage->take(run, r, s.first, s.n, rows, n, err);
        if (status == TL_OK)
            status = put(run->study, rows, n, err);
        if (status != TL_OK)
            return status;
    }
    *next = s.first + s.n;
    return TL_OK;
}

static tl_status run_units(const tl_stage *stage, tl_stage_run *run, tl_error *err)
{
    tl_progress *progress = run->study->progress;
    const size_t shown = run->study->progress_of[place_of(stage)][run->modality];
    const tl_arena_mark mark = tl_arena_get_mark(run->arena),
                        arrays = tl_arena_get_mark(run->arrays);
    tl_status status = TL_OK;
    if (stage->guess != NULL)
        tl_progress_begin(progress, shown, run->n_done);
    for (size_t i = run->n_done; i < run->n_units && status == TL_OK;) {
        status = run_round(stage, run, &i, err);
        tl_arena_rewind(run->arena, mark);
        tl_arena_rewind(run->arrays, arrays);
        if (status == TL_OK && stage->guess != NULL)
            tl_progress_step(progress, shown, i);
    }
    return status;
}

/* The rows of the whole stage, its work, and that it is over. */
static tl_status end_stage(const tl_stage *stage, tl_stage_run *run, const char *name,
                           tl_error *err)
{
    const tl_study_stage over = {name};
    const tl_rows *rows = NULL;
    size_t n = 0;
    tl_stage_rows found = {0};
    tl_status status = TL_OK;
    if (stage->end != NULL && run->n_units > 0)
        status = stage->end(run, &found, err);
    add_work(run->study, &found);
    tl_stage_put(&found, TL_ROW_STAGE, &over, 1);
    const tl_team *team = run->study->team;
    status = tl_team_rows(team, 0, team->rank == 0 ? status : TL_OK, found.kinds,
                          found.n, run->arena, &rows, &n, err);
    if (status == TL_OK)
        status = put(run->study, rows, n, err);
    if (status == TL_OK && run->study->work.product_flops > 0)
        tl_log(TL_LOG_INFO, "%s: %.4g GFLOP in products", name,
               (double)run->study->work.product_flops / 1e9);
    return status;
}

static tl_status run_stage(tl_study *study, const tl_stage *stage, tl_modality modality,
                           const char *name, tl_error *err)
{
    tl_stage_run run = {
        .study = study, .modality = modality, .arena = tl_arena_create()};
    tl_stage_rows rows = {0};
    run.arrays =
        study->arrays_in != NULL ? tl_arena_create_in(study->arrays_in) : run.arena;
    tl_status status = run.arena != NULL && run.arrays != NULL
                           ? begin_work(study, name, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", name);
    if (status == TL_OK)
        status = stage->begin(&run, &rows, err);
    if (status == TL_OK)
        status = put(study, rows.kinds, rows.n, err);
    if (status == TL_OK) /* of what is in files, rank 0 alone knows */
        status = tl_team_number(study->team, &run.n_done, err);
    if (run.n_done == 0)
        study->work.product_flops = 0; /* all units are done again */
    if (status == TL_OK)
        tl_stage_resize(study, stage, modality, run.n_units);
    if (status == TL_OK && run.n_units > 0)
        status = run_units(stage, &run, err);
    if (status == TL_OK)
        status = end_stage(stage, &run, name, err);
    if (status == TL_OK && run.n_units > 0 && stage->guess != NULL)
        tl_progress_end(study->progress, study->progress_of[place_of(stage)][modality]);
    if (stage->release != NULL && run.state != NULL)
        stage->release(&run);
    if (run.arrays != run.arena)
        tl_arena_destroy(run.arrays);
    tl_arena_destroy(run.arena);
    return status;
}

static tl_status finish_stage(tl_study *study, const tl_stage *stage,
                              tl_modality modality, tl_error *err)
{
    char name[NAME];
    bool over = false;
    name_of(stage, modality, name);
    tl_status status = tl_study_db_has_stage(study->db, name, &over, err);
    if (status == TL_OK && over)
        tl_stage_resize(study, stage, modality, 0);
    else if (status == TL_OK)
        status = run_stage(study, stage, modality, name, err);
    return status == TL_OK && stage->after != NULL ? stage->after(study, modality, err)
                                                   : status;
}

tl_status tl_stages_run(tl_study *study, tl_error *err)
{
    tl_status status = TL_OK;
    tl_study_shape shape;
    tl_study_shape_of(study, &shape);
    if (shape.n_rows[TL_IMAGE] == 0)
        tl_log(TL_LOG_INFO, "text only: no overlap, interchange, alignment or "
                            "back-patching");
    else if (shape.n_rows[TL_TEXT] == 0)
        tl_log(TL_LOG_INFO, "images only: no overlap, interchange or alignment, and no "
                            "control of back-patching");
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (shape.n_rows[m] > 0 && shape.n_rows[m] == shape.n_no_part[m] &&
            study->lengths_differ[m] == NULL)
            tl_log(TL_LOG_INFO, "the split of all %s rows is 'none': no circuits",
                   tl_modality_name((tl_modality)m));
    for (size_t s = 0; s < TL_STAGE_COUNT; s++)
        for (int m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
            tl_study_shape_of(study,
                              &shape); /* a stage may have found a modality weak */
            if (tl_stage_is_of(tl_stages[s], &shape, (tl_modality)m))
                status = finish_stage(study, tl_stages[s], (tl_modality)m, err);
        }
    return status;
}
