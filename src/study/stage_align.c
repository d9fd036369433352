/* SPDX-License-Identifier: MIT
 * stage_align.c - in which layer image states come to look like those of the same content
 * in words. See stage.h. */
#include "study/stage.h"

#include "circuit/circuit_work.h"
#include "study/aligned_rows.h"
#include "twinlens/log.h"

/* Units: every pair goes into the means, then every pair is measured. */
typedef struct align_stage {
    tl_row_pairs pairs;
    size_t *others;    /* of every pair, one of other content */
    size_t n_measured; /* by an earlier run: the first pairs */
    double *sums;      /* of a pair that another rank has run */
    tl_alignment *alignment;
} align_stage;

static size_t sums_bytes(const tl_study *study)
{
    const tl_dims *d = tl_model_dims(study->session.model);
    return TL_MODALITY_COUNT * (d->n_layers * d->d_model + 1) * sizeof(double);
}

/* The inputs of two pairs, and what another rank has added up. */
static size_t held(const tl_study *study)
{
    size_t bytes = 0;
    for (int m = 0; m < TL_MODALITY_COUNT; m++)
        bytes += tl_study_input_bytes(study, (tl_modality)m, study->spans[m].n_pos, 2);
    return bytes + (tl_team_size(study->team) > 1 ? sums_bytes(study) : 0);
}

static tl_status bytes(const tl_study *study, tl_modality modality, size_t *out,
                       tl_error *err)
{
    (void)modality;
    const tl_status status = tl_alignment_bytes(
        study->session.model, (tl_align)study->settings.align, &study->spans[TL_TEXT],
        &study->spans[TL_IMAGE], study->n_rows[TL_IMAGE], out, err);
    *out += held(study);
    return status;
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    tl_study *study = run->study;
    tl_session *s = &study->session;
    tl_rows known = {0};
    if (!tl_row_pairs_named(s->dataset)) {
        tl_log(TL_LOG_INFO,
               "%s: no text and image rows have the same 'pair': no alignment",
               s->dataset->path);
        return TL_OK;
    }
    align_stage *a = run->state = tl_arena_alloc_zero(run->arena, 1, sizeof *a);
    if (a == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to align");
    tl_status status = tl_session_row_pairs(s, (tl_bp_filter)study->settings.bp_filter,
                                            &a->pairs, err);
    if (status != TL_OK)
        return status;
    tl_pairing_log(s, a->pairs.counts, a->pairs.length);
    status =
        tl_study_db_get(study->db, TL_ROW_ALIGNMENT, NULL, 0, run->arena, &known, err);
    a->others = tl_arena_alloc(run->arena, a->pairs.n, sizeof *a->others);
    if (a->others == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to align");
    tl_row_pairs_others(s->dataset, &a->pairs, study->settings.seed, a->others);
    a->n_measured = known.n / tl_model_dims(s->model)->n_layers;
    run->n_units = 2 * a->pairs.n;
    if (status == TL_OK && tl_team_size(study->team) > 1 &&
        (a->sums = tl_arena_alloc(run->arena, sums_bytes(study), 1)) == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the mean states");
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = tl_stage_put_left_out(run, (tl_modality)m, "alignment", &a->pairs,
                                       rows, err);
    return status == TL_OK
               ? tl_alignment_create(s->model, (tl_align)study->settings.align,
                                     tl_study_budget(study, held(study)), &a->alignment,
                                     err)
               : status;
}

/* Runs pair number i again if its states were not kept. */
static tl_status get_pair(tl_stage_run *run, size_t i, bool text_alone,
                          tl_parallel *made, const tl_parallel **out, tl_error *err)
{
    tl_session *s = &run->study->session;
    const align_stage *a = run->state;
    const tl_row_pair *rows = &a->pairs.rows[i];
    *out = NULL;
    if (tl_alignment_keeps(a->alignment, i))
        return TL_OK;
    *out = made;
    return text_alone ? tl_session_parallel_text(s, rows, run->arena, made, err)
                      : tl_session_parallel(s, rows, run->arena, made, err);
}

static tl_status measure_pair(tl_stage_run *run, size_t i, tl_stage_rows *rows,
                              tl_error *err)
{
    const align_stage *a = run->state;
    const tl_row_pair *of = &a->pairs.rows[i];
    const size_t n_layers = tl_model_dims(run->study->session.model)->n_layers,
                 j = a->others[i];
    double *values = tl_arena_alloc(run->arena, 4 * n_layers, sizeof *values);
    tl_study_alignment *layers = tl_arena_alloc(run->arena, n_layers, sizeof *layers);
    if (values == NULL || layers == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to align");
    tl_alignment_values out = {values, values + n_layers, values + 2 * n_layers,
                               values + 3 * n_layers};
    tl_parallel made[2];
    const tl_parallel *pair = NULL, *other = NULL;
    tl_status status = get_pair(run, i, false, &made[0], &pair, err);
    if (status == TL_OK && j != TL_NO_PAIR)
        status = get_pair(run, j, true, &made[1], &other, err);
    if (status == TL_OK)
        status = tl_alignment_measure(a->alignment, i, pair, j, other, &out, err);
    tl_stage_skip_work(run->study); /* states that are not kept here, again */
    if (status == TL_OK)
        tl_aligned_rows_fill(layers, n_layers, i, of, &out);
    tl_stage_put(rows, TL_ROW_ALIGNMENT, layers, n_layers);
    return status;
}

static tl_status align_pair(tl_stage_run *run, size_t first, size_t n,
                            tl_stage_rows *rows, tl_error *err)
{
    (void)n;
    const align_stage *a = run->state;
    if (first >= a->pairs.n) {
        const size_t i = first - a->pairs.n;
        return i < a->n_measured ? TL_OK : measure_pair(run, i, rows, err);
    }
    tl_parallel pair;
    const tl_status status = tl_session_parallel(
        &run->study->session, &a->pairs.rows[first], run->arena, &pair, err);
    return status == TL_OK ? tl_alignment_run(a->alignment, &pair, err) : status;
}

/* A pair is measured by the rank that has its states. */
static size_t reach(const tl_stage_run *run, size_t first)
{
    const align_stage *a = run->state;
    return first < a->pairs.n ? a->pairs.n : run->n_units;
}

static tl_status take_pair(tl_stage_run *run, size_t from, size_t first, size_t n,
                           const tl_rows *rows, size_t n_rows, tl_error *err)
{
    const align_stage *a = run->state;
    const tl_team *team = run->study->team;
    const bool is_own = from == team->rank;
    (void)n;
    (void)rows;
    (void)n_rows;
    if (first >= a->pairs.n)
        return TL_OK;
    size_t n_sums = 0;
    double *own = tl_alignment_sums(a->alignment, &n_sums);
    const tl_status status =
        tl_team_doubles(team, from, is_own ? own : a->sums, n_sums, err);
    return status == TL_OK
               ? tl_alignment_take(a->alignment, is_own ? NULL : a->sums, err)
               : status;
}

static void release(tl_stage_run *run)
{
    align_stage *a = run->state;
    tl_alignment_destroy(a->alignment);
}

/* A pair's two prompts are run once. */
static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const tl_pass_options options = {.first_layer = 0};
    const bool runs_text = sizes->settings->align == TL_ALIGN_ACT;
    out->n_units = 2 * sizes->n_rows; /* the first half of which makes products */
    tl_status status =
        tl_pass_flops_add(sizes->model, sizes->shape->spans[TL_IMAGE].n_pos, 0,
                          &options, 1.0, &out->flops, err);
    if (status == TL_OK && runs_text)
        status = tl_pass_flops_add(sizes->model, sizes->shape->spans[TL_TEXT].n_pos, 0,
                                   &options, 1.0, &out->flops, err);
    out->flops /= 2.0;
    return status;
}

const tl_stage tl_stage_align = {.name = "align",
                                 .of = TL_STAGE_BOTH,
                                 .guess = guess,
                                 .bytes = bytes,
                                 .begin = begin,
                                 .reach = reach,
                                 .run = align_pair,
                                 .take = take_pair,
                                 .release = release};
